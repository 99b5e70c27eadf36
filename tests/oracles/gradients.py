"""Gradients of every tiny model of tests/golden/arch and of SmolLM2 by torch's autograd, at the sites of every block.

A site's gradient is that of a tensor of zeros that a hook adds there, so nothing of the model is computed by hand.
usage: tests/oracles/run.sh gradients.py     SONDE_VARIANTS=gpt2,bert,smollm2: only these
"""
import json
import os
import zlib

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM

import arch_decoders
import arch_encdec
import arch_encoders
from arch_capture import SOFTMAX, part_of, suffixed
from common import GOLDEN, SMOLLM2, versions, write_safetensors
from tiny_arch import FEW_SITES, random_model

MADE_BY = "tests/oracles/gradients.py"
VERSIONS = versions("torch", "transformers", "numpy")
STRIDE = 3          # of every gradient each third number is kept
STRIDE_SMOLLM2, STRIDE_WEIGHTS, FIRST = 37, 7, 4
WANT, FOIL = 5, 11


class Probes(TorchFunctionMode):
    """with Probes() as probe: into(module, names), out_of(module, names); model(...). Then leaf[name] is a tensor of
    zeros that was added to the value of that name. Names may be lists: one a call of the module. One name at several
    modules is one value that all of them read."""

    def __init__(self):
        super().__init__()
        self.leaf, self.live, self.calls, self.hooks, self.attention = {}, {}, {}, [], None

    def __exit__(self, *error):
        for hook in self.hooks:
            hook.remove()
        return super().__exit__(*error)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function not in SOFTMAX or not self.attention:
            return function(*args, **(kwargs or {}))
        scores = args[0].detach()
        self.live[f"{self.attention}.seen"] = (scores > -1e30)[0]
        scores = self.add(f"{self.attention}.hook_attn_scores", args[0])
        return self.add(f"{self.attention}.hook_pattern", function(scores, *args[1:], **(kwargs or {})))

    def add(self, name, x):
        if name not in self.leaf:
            self.leaf[name] = torch.zeros_like(x, requires_grad=True)
        self.live[name] = x + self.leaf[name]
        return self.live[name]

    def name_of(self, module, names, what):
        names = [names] if isinstance(names, str) else names
        key = (module, what, names[0])
        self.calls[key] = self.calls.get(key, -1) + 1
        return names[self.calls[key]] if self.calls[key] < len(names) else None

    def into(self, module, names):
        def hook(module, args, kwargs):
            name = self.name_of(module, names, "in")
            if not name:
                return None
            if args:
                return (self.add(name, args[0]), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": self.add(name, kwargs["hidden_states"])}
        self.hooks.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def out_of(self, module, names):
        def hook(module, args, result):
            name = self.name_of(module, names, "out")
            if not name:
                return None
            if isinstance(result, tuple):
                return (self.add(name, result[0]), *result[1:])
            return self.add(name, result)
        self.hooks.append(module.register_forward_hook(hook))

    def within(self, module, names):
        """Softmaxes inside this module are this attention's."""
        def enter(module, args):
            self.attention = self.name_of(module, names, "enter")

        def leave(module, args, result):
            self.attention = None
        self.hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]


def watch_attention(probe, name, part):
    probe.within(part["attn"], name)
    if "qkv" in part:
        probe.into(part["qkv"], suffixed(name, ".q.hook_in"))
        probe.out_of(part["qkv"], suffixed(name, ".qkv"))
    for m in "qkv" if "qkv" not in part else "":
        cross = "cross_attn" in name and m != "q"
        probe.into(part[m], suffixed(name, ".k.hook_in" if cross else ".q.hook_in"))
        probe.out_of(part[m], suffixed(name, f".hook_{m}"))
    probe.into(part["o"], suffixed(name, ".hook_z"))
    probe.out_of(part["o"], suffixed(name, ".o.hook_out"))


def watch(probe, name, part):
    """Hooks on one block's modules; name: a list where several blocks share the weights."""
    probe.into(part["block"], suffixed(name, ".hook_resid_pre"))
    probe.out_of(part["block"], suffixed(name, ".out"))
    watch_attention(probe, suffixed(name, ".attn"), part)
    probe.out_of(part.get("ln1_post") or part["o"], suffixed(name, ".hook_attn_out"))
    if "cross" in part:
        watch_attention(probe, f"{name}.cross_attn", part["cross"])
        probe.out_of(part["cross"]["o"], f"{name}.hook_cross_attn_out")
    for first in ("gate", "up", "gate_up", "in"):
        if first in part:
            probe.into(part[first], suffixed(name, ".mlp.in.hook_in"))
            probe.out_of(part[first], suffixed(name, ".mlp.hook_pre_linear" if first == "up" else ".mlp.hook_pre"))
    probe.into(part["down"], suffixed(name, ".mlp.hook_post"))
    probe.out_of(part["down"], suffixed(name, ".mlp.out.hook_out"))
    probe.out_of(part.get("ln2_post") or part["down"], suffixed(name, ".hook_mlp_out"))


def watch_blocks(probe, prefix, layers, family, n_head, n_kv, form, cross=None):
    """Returns {block: (part, form)}."""
    parts = [part_of(layer, family, n_head, n_kv) for layer in layers]
    for i, part in enumerate(parts):
        if cross:
            part["cross"] = {key: layers[i].get_submodule(path) for key, path in cross.items()}
        watch(probe, f"{prefix}blocks.{i}", part)
    return {f"{prefix}blocks.{i}": (part, form) for i, part in enumerate(parts)}


def watch_decoder(probe, name, model):
    family = arch_decoders.FAMILY.get(name, arch_decoders.TRAITS)
    layers = model.get_submodule(family["layers"])
    blocks = watch_blocks(probe, "", layers, family, *arch_decoders.head_counts(model.config), family["form"])
    for part, _ in blocks.values():
        if "plain_mask" in family:
            probe.hooks.append(arch_decoders.without_alibi(part["attn"]))
    probe.out_of(model.get_submodule(family["embed"]), "hook_embed")
    if "position" in family:
        probe.out_of(model.get_submodule(family["position"]), "hook_pos_embed")
    probe.into(model.get_submodule(family["head"]), "unembed.hook_in")
    return blocks


def watch_encoder(probe, name, model):
    family, config = arch_encoders.FAMILY[name], model.config
    base = model.get_submodule(family.get("base", ""))
    layers, n_head = list(base.get_submodule(family["layers"])), config.num_attention_heads
    if len(layers) == config.num_hidden_layers:
        blocks = watch_blocks(probe, "", layers, family, n_head, n_head, family["form"])
    else:
        names = [f"blocks.{i}" for i in range(config.num_hidden_layers)]
        part = part_of(layers[0], family, n_head, n_head)
        watch(probe, names, part)
        blocks = {block: (part, family["form"]) for block in names}
    for hook, path in family["sum"].items():
        probe.out_of(base.get_submodule(f"{family['embeddings']}.{path}"), hook)
    if "head" in family:
        probe.into(model.get_submodule(family["head"]), "unembed.hook_in")
    return blocks


def watch_encdec(probe, name, model):
    family, blocks = arch_encdec.FAMILY[name], {}
    for side in ("encoder", "decoder"):
        stack = model.get_submodule(family["base"] + side)
        blocks |= watch_blocks(probe, f"{side}.", stack.get_submodule(family["layers"]), family[side],
                               arch_encdec.N_HEAD, arch_encdec.N_HEAD, family["form"],
                               family["cross"] if side == "decoder" else None)
        probe.out_of(stack.embed_tokens, f"{side}.hook_embed")
    probe.into(model.lm_head, "unembed.hook_in")
    return blocks


FAMILIES = ((arch_decoders, watch_decoder), (arch_encoders, watch_encoder), (arch_encdec, watch_encdec))


def run(watcher, name, model, call):
    """Returns probes, blocks and logits [n, V] (None: no head) of one row."""
    with Probes() as probe:
        blocks = watcher(probe, name, model)
        output = model(**{key: torch.tensor([ids]) for key, ids in call.items()}, use_cache=False) \
            if watcher is not watch_encoder else model(**{key: torch.tensor([ids]) for key, ids in call.items()})
    logits = output.logits[0] if "logits" in output else None
    return probe, blocks, logits if logits is None or logits.dim() == 2 else logits[:, None]


def heads(x, n_head):
    return x.reshape(x.shape[0], n_head, -1)


def named(probe, blocks, grads, scale):
    """Gradients under their sites' names, heads with an axis of their own. What no module returns has the gradient of
    the last summand."""
    site = {name: grad if grad.dim() == 2 else grad[0] for name, grad in grads.items() if grad is not None}
    for name in site:
        if name.endswith("hook_embed"):
            site[name] = site[name] / scale
        if name.endswith(("hook_attn_scores", "hook_pattern")):
            site[name] = site[name].masked_fill(~probe.live[name.rpartition(".")[0] + ".seen"], np.inf)
    for block, (part, form) in blocks.items():
        if f"{block}.out" not in site and f"{block}.hook_resid_pre" not in site:
            continue
        qkv = site.pop(f"{block}.attn.qkv", None)
        if qkv is not None:
            site |= {f"{block}.attn.hook_{m}": x for m, x in zip("qkv", part["split"](qkv))}
        if "gate_up" in part and f"{block}.mlp.hook_pre" in site:
            site[f"{block}.mlp.hook_pre"], site[f"{block}.mlp.hook_pre_linear"] = \
                site[f"{block}.mlp.hook_pre"].chunk(2, -1)
        out = site.pop(f"{block}.out", None)
        if out is not None:
            site[f"{block}.hook_normalized_resid_post" if form == "post" else f"{block}.hook_resid_post"] = out
        sums = {"hook_attn_out": "hook_resid_mid", "hook_cross_attn_out": "hook_resid_mid_cross",
                "hook_mlp_out": "hook_resid_post"}
        for summand, total in sums.items():
            if f"{block}.{summand}" in site and not (form == "parallel" and total == "hook_resid_mid"):
                site.setdefault(f"{block}.{total}", site[f"{block}.{summand}"])
    return site


def direction(width):
    return torch.cos(0.7 * torch.arange(width, dtype=torch.float64))


def goals(name, runs, rows):
    """{goal: [a scalar for each row]}; the goals that tests/unit/test_gradient_oracle.c gives Sonde."""
    found = {}
    inner = [block for block in runs[0][1] if block.endswith("blocks.1")][-1]
    found["dot"] = [(probe.live[f"{inner}.out"][0, -1].double() * direction(probe.live[f"{inner}.out"].shape[-1])).sum()
                    for probe, _, _ in runs]
    logits = [logits for _, _, logits in runs]
    if logits[0] is None:
        return found
    if logits[0].shape[1] == 1:
        return found | {"logit": [x[-1, 0] for x in logits]}
    shift = name not in arch_encoders.FAMILY
    logp = [x.double().log_softmax(-1) for x in logits]
    own = [torch.tensor(ids) for ids in rows]
    found["loss"] = [-(p[:-1][torch.arange(len(t) - 1), t[1:]] if shift else p[torch.arange(len(t)), t]).sum()
                     for p, t in zip(logp, own)]
    found["logprob"] = [p[-1, WANT] for p in logp]
    found["diff"] = [x[-1, WANT] - x[-1, FOIL] for x in logits]
    ref = logp[1][1].detach()
    found["kl"] = [(ref.exp() * (ref - p[1])).sum() for p in logp]
    return found


def wanted(goal, everything, row, site, few):
    """All sites of the first goal's first row; otherwise the stream and the embeddings."""
    stream = site.endswith(("hook_resid_pre", "hook_embed"))
    if goal != everything:
        return row == 0 and site.endswith(("hook_embed", "blocks.1.hook_resid_pre"))
    return stream or row == 0 and not few


def sample(grad, stride=STRIDE):
    return grad.contiguous().flatten()[::stride].float().detach()


def matrix(module):
    """A leaf [d_in, d_out] that the module's weight was replaced by, and its bias."""
    weight = module.weight.detach()
    leaf = (weight if type(module).__name__ == "Conv1D" else weight.T).contiguous().requires_grad_()
    module.weight = torch.nn.Parameter(leaf.detach())
    del module.weight
    module.weight = leaf if type(module).__name__ == "Conv1D" else leaf.T
    return leaf, getattr(module, "bias", None)


def matrices(block, part, cross=False):
    """{W_Q of a block ...: [(leaf, bias, how to take it from a fused one)]}."""
    found = {}
    whole = [("Q", "q"), ("K", "k"), ("V", "v"), ("O", "o"), ("GATE", "gate"), ("IN", "up" if "gate" in part else "in"),
             ("OUT", "down")]
    for name, key in whole:
        if key in part:
            found[f"{block}.{'CROSS_' if cross else ''}{name}"] = (*matrix(part[key]), None)
    if "qkv" in part:
        leaf, bias = matrix(part["qkv"])
        for i, name in enumerate("QKV"):
            found[f"{block}.{name}"] = (leaf, bias, lambda x, i=i: part["split"](x)[i].reshape(len(x), -1))
    if "gate_up" in part:
        leaf, bias = matrix(part["gate_up"])
        for i, name in enumerate(("GATE", "IN")):
            found[f"{block}.{name}"] = (leaf, bias, lambda x, i=i: x.chunk(2, -1)[i])
    return found


def all_matrices(family, name, model):
    """Every matrix of every use in the model, each with weights of its own. ALBERT's blocks share theirs."""
    with Probes() as probe:
        blocks = dict(FAMILIES)[family](probe, name, model)
    found = {}
    for block, (part, _) in blocks.items() if name != "albert" else ():
        found |= matrices(block, part)
        found |= matrices(block, part["cross"], True) if "cross" in part else {}
    if family is arch_encdec:
        base = arch_encdec.FAMILY[name]["base"]
        embeds = {f"{side}.E": model.get_submodule(f"{base}{side}").embed_tokens for side in ("encoder", "decoder")}
        head = model.lm_head
    else:
        traits = family.FAMILY.get(name, arch_decoders.TRAITS)
        path = traits["embed"] if family is arch_decoders else \
            ".".join(filter(None, (traits.get("base"), traits["embeddings"], traits["sum"]["hook_embed"])))
        embeds, head = {"E": model.get_submodule(path)}, traits.get("head") and model.get_submodule(traits["head"])
    for key, module in embeds.items():
        if isinstance(module, torch.nn.Embedding):
            module.weight = torch.nn.Parameter(module.weight.detach().clone())
            found[key] = (module.weight, None, None)
    if head:
        leaf, bias = matrix(head)
        found["U"] = (leaf, bias, None)
    return found


def as_used(model, key, leaf):
    """The first numbers of a parameter; Gemma's gains multiply by one more than they say."""
    gemma = "Gemma" in type(model.get_submodule(key.rpartition(".")[0])).__name__ and "norm" in key
    return leaf[(0,) * (leaf.dim() - 1)][:FIRST].float().detach() + gemma


def others(model, found):
    """What the model learns besides: norms, tables, layers of a head, ALBERT's shared blocks; under torch's names."""
    seen = {id(tensor) for entry in found.values() for tensor in entry[:2] if tensor is not None}
    return {key: p for key, p in model.named_parameters() if id(p) not in seen and p.requires_grad}


def weights(family, watcher, name, model, calls, rows):
    """Gradients of the loss of all rows by every matrix and bias; models without a loss have none. Of the other
    parameters the first numbers too, by which the test finds them: no two are alike."""
    found = all_matrices(family, name, model)
    rest = others(model, found)
    runs = [run(watcher, name, model, call) for call in calls]
    all_goals = goals(name, runs, rows)
    if "loss" not in all_goals:
        return {}
    leaves = [leaf for leaf, _, _ in found.values()] + [bias for _, bias, _ in found.values() if bias is not None]
    leaves += rest.values()
    grads = torch.autograd.grad(sum(all_goals["loss"]), leaves, allow_unused=True)
    of = {id(leaf): grad for leaf, grad in zip(leaves, grads)}
    tensors = {}
    for key, (leaf, bias, take) in found.items():
        for what, grad in (("weight", of[id(leaf)]), ("bias", of.get(id(bias)))):
            if grad is not None:
                grad = grad if what == "weight" else grad[None]
                tensors[f"{what}/{key}"] = sample(take(grad) if take else grad, STRIDE_WEIGHTS)
    for key, leaf in rest.items():
        if of[id(leaf)] is not None:
            tensors[f"other/{key}"] = sample(of[id(leaf)], STRIDE_WEIGHTS)
            tensors[f"value/{key}"] = as_used(model, key, leaf)
    return tensors


def open_model(family, name, kind, config, folder):
    if (folder / "config.json").exists():
        return kind.from_pretrained(folder, attn_implementation="eager").double().eval()
    return random_model(kind, config, zlib.crc32(name.encode())).double().eval()


def rows_of(values, prefix=""):
    start = values[f"{prefix}start"]
    return [values[f"{prefix}tokens"][a:b].tolist() for a, b in zip(start, start[1:])]


def check(values, r, logits, name):
    expected = values.get(f"row{r}/logits")
    if expected is not None and logits is not None:
        error = np.linalg.norm(logits.detach().numpy() - expected) / np.linalg.norm(expected)
        assert error < 1e-5, f"{name}: logits differ by {error}"


def make(family, watcher, name, kind, config):
    folder = GOLDEN / "arch" / name
    values = load_file(folder / "sites.safetensors")
    rows, model = rows_of(values), open_model(family, name, kind, config, folder)
    calls = [{"input_ids": ids} for ids in rows]
    if family is arch_encdec:
        calls = [{"input_ids": e, "decoder_input_ids": ids} for e, ids in zip(rows_of(values, "enc_"), rows)]
    runs = [run(watcher, name, model, call) for call in calls]
    for r, (_, _, logits) in enumerate(runs):
        check(values, r, logits, name)
    scale = getattr(family, "FAMILY", {}).get(name, {}).get("embed_scale", 1)
    all_goals, tensors = goals(name, runs, rows), {}
    everything = "loss" if "loss" in all_goals else next(iter(all_goals))
    for goal, scalars in all_goals.items():
        for r, ((probe, blocks, _), scalar) in enumerate(zip(runs, scalars)):
            names = list(probe.leaf)
            grads = torch.autograd.grad(scalar, [probe.leaf[n] for n in names], retain_graph=True, allow_unused=True)
            for site, grad in named(probe, blocks, dict(zip(names, grads)), scale).items():
                if wanted(goal, everything, r, site, name in FEW_SITES):
                    tensors[f"{goal}/row{r}/{site}"] = sample(grad)
    tensors |= weights(family, watcher, name, model, calls, rows)
    write_safetensors(folder / "gradients.safetensors", tensors, made_by=MADE_BY, versions=VERSIONS)


def smollm2():
    """The summed loss of the first reference text by what each block reads."""
    reference = json.loads((GOLDEN / "smollm2" / "reference.json").read_text(encoding="utf-8"))["texts"][0]
    ids = torch.tensor(reference["ids"])
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2.parent, gguf_file=SMOLLM2.name, dtype=torch.float32)
    with Probes() as probe:
        for i, layer in enumerate(model.double().eval().model.layers):
            probe.into(layer, f"blocks.{i}.hook_resid_pre")
        loss = torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="sum")
    assert abs(loss.item() / (len(ids) - 1) - reference["mean_loss"]) < 1e-4
    grads = torch.autograd.grad(loss, list(probe.leaf.values()))
    tensors = {f"loss/row0/{name}": sample(grad, STRIDE_SMOLLM2) for name, grad in zip(probe.leaf, grads)}
    write_safetensors(GOLDEN / "smollm2" / "gradients.safetensors", tensors, made_by=MADE_BY, versions=VERSIONS)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    names = [name for name in os.environ.get("SONDE_VARIANTS", "").split(",") if name]
    for family, watcher in FAMILIES:
        for name, (kind, config) in family.variants().items():
            if not names or name in names:
                make(family, watcher, name, kind, config)
    if not names or "smollm2" in names:
        smollm2()


if __name__ == "__main__":
    main()
