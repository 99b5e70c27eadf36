"""The logit lens of every tiny model of tests/golden/arch, by transformers alone: the last block's output is replaced by
the stream at an earlier boundary, and the model's own code does the rest. golden/lens/logit.json has, for the first
positions of the first row at each boundary, the three most probable tokens, entropy and KL(final || lens) in nats, log p
and rank of one token. Of encoder-decoders the decoder's stream.

Of the tiny Llama under its own tokenizer: golden/lens/direct.json, what heads, MLPs and neurons write along the difference of two
words; golden/lens/gradients.json, the gradients of its matrices by autograd: norms, singular values, and where the target stands in
what each token's delta of the feed-forward output says; golden/lens/tuned, a tuned lens' files as torch.save writes them.

golden/lens/pairs.json: the same parts of the tiny T5 and mBART, whose decoder has read a prefix, with their cross-attention.

usage: tests/oracles/run.sh lens.py
"""
import zlib

import torch
import transformers
from safetensors.numpy import load_file

import arch_decoders
import arch_encdec
import arch_encoders
from common import GOLDEN, versions, write_json
from tiny_arch import random_model

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
POSITIONS, WANT, TOP = 4, 5, 3


def boundaries(sites, n_layer, stack=""):
    last = f"row0/{stack}blocks.{n_layer - 1}.hook_"
    end = last + "normalized_resid_post"
    return [f"row0/{stack}blocks.{i}.hook_resid_pre" for i in range(n_layer)] + [end if end in sites else last + "resid_post"]


@torch.no_grad()
def lens(model, last_block, x, **given):
    """Logits of the model whose last block leaves x."""
    def replace(module, args, output):
        return (x[None], *output[1:]) if isinstance(output, tuple) else x[None] if output.dim() == 3 else x
    hook = last_block.register_forward_hook(replace)
    logits = model(**{name: torch.tensor([ids]) for name, ids in given.items()}).logits[0]
    hook.remove()
    return logits


def nats(x):
    return float(f"{float(x):.7g}")


def cell(log_p, log_final):
    best = torch.topk(log_p, TOP).indices.tolist()
    return {"top": best, "entropy": nats(-(log_p.exp() * log_p).sum()), "logprob": nats(log_p[WANT]),
            "kl": nats((log_final.exp() * (log_final - log_p)).sum()), "rank": 1 + int((log_p > log_p[WANT]).sum())}


def rows_of(family, name, kind, config):
    sites = load_file(GOLDEN / "arch" / name / "sites.safetensors")
    model = random_model(kind, config, zlib.crc32(name.encode()))
    ids = sites["tokens"][:sites["start"][1]].tolist()
    layout = getattr(family, "FAMILY").get(name, getattr(family, "TRAITS", None))
    base = model.get_submodule(layout.get("base", ""))
    last_block = base.get_submodule(layout["layers"])[-1]
    stream = [torch.tensor(sites[site]) for site in boundaries(sites, config.num_hidden_layers)]
    return cells_of(sites, [lens(model, last_block, x, input_ids=ids) for x in stream], name)


def rows_of_pair(name, kind, config):
    sites, family, seed = load_file(GOLDEN / "arch" / name / "sites.safetensors"), arch_encdec.FAMILY[name], zlib.crc32(name.encode())
    model = random_model(kind, config, seed)
    with torch.no_grad():
        arch_encdec.untied(model, seed)
    blocks = model.get_submodule(f"{family['base']}decoder.{family['layers']}")
    ids = {"input_ids": sites["enc_tokens"][:sites["enc_start"][1]].tolist(),
           "decoder_input_ids": sites["tokens"][:sites["start"][1]].tolist()}
    stream = [torch.tensor(sites[site]) for site in boundaries(sites, len(blocks), "decoder.")]
    return cells_of(sites, [lens(model, blocks[-1], x, **ids) for x in stream], name)


def cells_of(sites, logits, name):
    log_p = [x.double().log_softmax(-1) for x in logits]
    own = torch.tensor(sites["row0/logits"]).double().log_softmax(-1)
    assert float((own - log_p[-1]).abs().max()) < 1e-4, name
    return [[cell(p[i], log_p[-1][i]) for i in range(POSITIONS)] for p in log_p]


# ---- the tiny Llama, by hooks on its modules ----

TINY, TEXT, TARGET, FOIL = GOLDEN / "tiny" / "gqa-tied", "The keys to the cabinet", " are", " is"
MATRICES = {"Q": "self_attn.q_proj", "K": "self_attn.k_proj", "V": "self_attn.v_proj", "O": "self_attn.o_proj",
            "GATE": "mlp.gate_proj", "IN": "mlp.up_proj", "OUT": "mlp.down_proj"}


def open_tiny():
    model = transformers.AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32, attn_implementation="eager")
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY)
    ids = tokenizer(TEXT)["input_ids"]
    word = {text: tokenizer(text, add_special_tokens=False)["input_ids"][-1] for text in (TARGET, FOIL)}
    return model.eval(), ids, word


def inputs_of(model, ids, names):
    """What the modules of these names read."""
    kept, hooks = {}, []
    for name in names:
        def keep(module, args, name=name):
            kept[name] = args[0][0].detach()
        hooks.append(model.get_submodule(name).register_forward_pre_hook(keep))
    output = model(input_ids=torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return kept, output.logits[0]


@torch.no_grad()
def direct(model, ids, word):
    n_layer, n_head, d_head = model.config.num_hidden_layers, model.config.num_attention_heads, model.config.head_dim
    names = [f"model.layers.{i}.{m}" for i in range(n_layer) for m in ("self_attn.o_proj", "mlp.down_proj")]
    kept, logits = inputs_of(model, ids, [*names, "model.norm"])
    stream = kept["model.norm"][-1].double()
    scale = torch.sqrt((stream ** 2).mean() + model.config.rms_norm_eps)
    unembed = model.lm_head.weight.double()
    along = (unembed[word[TARGET]] - unembed[word[FOIL]]) * model.model.norm.weight.double() / scale
    heads, neurons = [], []
    for i in range(n_layer):
        z, m = kept[names[2 * i]][-1].double(), kept[names[2 * i + 1]][-1].double()
        o, down = (model.get_submodule(name).weight.double() for name in names[2 * i:2 * i + 2])
        heads.append([nats(along @ o[:, h * d_head:(h + 1) * d_head] @ z[h * d_head:(h + 1) * d_head]) for h in range(n_head)])
        neurons.append([nats(v) for v in (along @ down) * m])
    return {"difference": nats(logits[-1, word[TARGET]] - logits[-1, word[FOIL]]),
            "embedding": nats(along @ model.model.embed_tokens.weight[ids[-1]].double()), "heads": heads, "neurons": neurons}


# ---- encoder-decoders, by hooks likewise ----

PAIR = dict(source="keys on the table", prefix="the old", target="cat", foil="dog")


@torch.no_grad()
def direct_pair(name):
    family = arch_encdec.FAMILY[name]
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / "arch" / name, dtype=torch.float32,
                                                               attn_implementation="eager").eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(GOLDEN / "behaviour" / "tokenizer.json"))
    word = {k: tokenizer(PAIR[k], add_special_tokens=False)["input_ids"] for k in ("target", "foil")}
    assert all(len(ids) == 1 for ids in word.values())
    start, blocks = model.config.decoder_start_token_id, f"{family['base']}decoder.{family['layers']}"
    prefix, source = tokenizer(PAIR["prefix"])["input_ids"][:-1], tokenizer(PAIR["source"])["input_ids"]
    branches = {"heads": family["decoder"]["o"], "cross": family["cross"]["o"], "mlp": family["decoder"]["down"]}
    n_layer, final = len(model.get_submodule(blocks)), model.get_submodule(f"{family['base']}decoder.{family['final']}")
    names = {f"{blocks}.{i}.{path}" for i in range(n_layer) for path in branches.values()}
    kept, hooks = {}, []
    for name in names | {f"{family['base']}decoder.{family['final']}", f"{blocks}.0"}:
        def keep(module, args, name=name):
            kept[name] = args[0][0, -1].double()
        hooks.append(model.get_submodule(name).register_forward_pre_hook(keep))
    logits = model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[start] + prefix])).logits[0, -1]
    along = model.lm_head.weight.double()[word["target"][0]] - model.lm_head.weight.double()[word["foil"][0]]
    along = along * (model.config.d_model ** -0.5 if getattr(model.config, "scale_decoder_outputs", False) else 1)
    stream, centre = kept[f"{family['base']}decoder.{family['final']}"], hasattr(final, "eps")
    variance = stream.var(unbiased=False) if centre else (stream ** 2).mean()
    along = along * final.weight.double() / torch.sqrt(variance + (final.eps if centre else final.variance_epsilon))
    along = along - along.mean() if centre else along
    out = {"embedding": nats(along @ kept[f"{blocks}.0"]), "difference": nats(logits[word["target"][0]] - logits[word["foil"][0]])}
    for branch, path in branches.items():
        out[branch] = []
        for i in range(n_layer):
            module, x = model.get_submodule(f"{blocks}.{i}.{path}"), kept[f"{blocks}.{i}.{path}"]
            bias = module.bias.double() if module.bias is not None else torch.zeros_like(along)
            parts = (along @ module.weight.double() * x).view(arch_encdec.N_HEAD, -1).sum(-1)
            out[branch].append(nats(parts.sum() + along @ bias) if branch == "mlp" else [nats(p) for p in parts])
    return out


def rank_in(model, delta, token):
    """Rank of a token in what the model's end makes of a derivative of root mean square 1."""
    with torch.no_grad():
        unit = delta / (delta ** 2).mean().sqrt()
        logits = model.lm_head(model.model.norm(unit[None]))[0]
        return 1 + int((logits > logits[token]).sum())


def gradients(model, ids, word):
    deltas, hooks, n_layer = {}, [], model.config.num_hidden_layers
    for i in range(n_layer):
        def keep(module, args, output, i=i):
            output.register_hook(lambda grad: deltas.__setitem__(i, grad[0]))
        hooks.append(model.model.layers[i].mlp.down_proj.register_forward_hook(keep))
    logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
    loss = -logits.log_softmax(-1)[word[TARGET]]
    loss.backward()
    for hook in hooks:
        hook.remove()
    found = {}
    for name, path in MATRICES.items():
        found[name] = []
        for i in range(n_layer):
            grad = model.get_submodule(f"model.layers.{i}.{path}").weight.grad.double()
            values = torch.linalg.svdvals(grad)[:len(ids)]
            found[name].append({"norm": nats(grad.norm()), "values": [nats(v) for v in values],
                                "rank": int((values > 1e-4 * values[0]).sum())})
    ranks = [[rank_in(model, deltas[i][t], word[TARGET]) if float(deltas[i][t].norm()) > 0 else None for t in range(len(ids))]
             for i in range(n_layer)]
    return {"loss": nats(loss.detach()), "tokens": len(ids), "matrices": found, "target_rank": ranks}


def tuned(model):
    """Translators of known numbers, under the names that tuned_lens.nn.TunedLens gives them."""
    width, n_layer, folder = model.config.hidden_size, model.config.num_hidden_layers, GOLDEN / "lens" / "tuned"
    layers = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(n_layer))
    i, k = torch.meshgrid(torch.arange(width), torch.arange(width), indexing="ij")
    with torch.no_grad():
        for number, layer in enumerate(layers):
            layer.weight.copy_(0.02 * torch.sin((3 * number + 7 * i + 2 * k).double()))
            layer.bias.copy_(0.01 * torch.cos((number + torch.arange(width)).double()))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(layers.state_dict(), folder / "params.pt")
    write_json(folder / "config.json", {"base_model_name_or_path": "tiny", "d_model": width, "num_hidden_layers": n_layer,
                                        "bias": True, "lens_type": "linear_tuned_lens"})


def main():
    about = dict(made_by="tests/oracles/lens.py", versions=versions("torch", "transformers"), text=TEXT, target=TARGET)
    tiny = open_tiny()
    write_json(GOLDEN / "lens" / "direct.json", about | dict(foil=FOIL) | direct(*tiny))
    tuned(tiny[0])
    write_json(GOLDEN / "lens" / "gradients.json", about | gradients(*tiny))
    models = {}
    for family in (arch_decoders, arch_encoders):
        for name, (kind, config) in family.variants().items():
            if name not in ("bert-base-only", "electra-discriminator"):     # no vocabulary
                models[name] = rows_of(family, name, kind, config)
    for name, (kind, config) in arch_encdec.variants().items():
        models[name] = rows_of_pair(name, kind, config)
    write_json(GOLDEN / "lens" / "pairs.json", dict(
        made_by="tests/oracles/lens.py", versions=versions("torch", "transformers"), **PAIR,
        models={name: direct_pair(name) for name in ("t5", "mbart")}))
    write_json(GOLDEN / "lens" / "logit.json", dict(
        made_by="tests/oracles/lens.py", versions=versions("torch", "transformers"), want=WANT, models=models))


if __name__ == "__main__":
    main()
