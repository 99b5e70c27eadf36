"""Ablation of heads and feed-forward layers of encoder-decoders by torch hooks.

attribution/ablation.json: per case the model (arch/, under the tokenizer of behaviour/), the options as `sonde attribute ablation`
takes them, the rows, f of each, and each site's mean loss of f and mean size of it. Computed in float64.

usage: tests/oracles/run.sh attribution_ablation.py
"""
import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModelForSeq2SeqLM

from common import GOLDEN, versions, write_json

# Pairs of as many tokens on each side: where values come from another text, it is always the other one.
PAIRS = [("the old key is near the table", "the boat", None), ("a green boat is near the dog", "a key", None)]
CHOICES = [("the old key is near the table", "is", "are"), ("a boat", "are", "is"), ("the dog and the key", "the", "a")]
FAMILIES = {"t5": "t5", "t5-v1_1": "t5", "mbart": "bart", "marian": "bart"}


def parts(model, family):
    """{name: (module, whether its input is what is replaced, first column, end)} of every head and feed-forward layer."""
    core = model.model if family == "bart" else model
    heads = model.config.encoder_attention_heads if family == "bart" else model.config.num_heads
    for stack in ("encoder", "decoder"):
        side = getattr(core, stack)
        for i, block in enumerate(side.layers if family == "bart" else side.block):
            if family == "bart":
                attention = {"attn": block.self_attn.out_proj}
                if stack == "decoder":
                    attention["cross_attn"] = block.encoder_attn.out_proj
                mlp = block.fc2
            else:
                attention = {"attn": block.layer[0].SelfAttention.o}
                if stack == "decoder":
                    attention["cross_attn"] = block.layer[1].EncDecAttention.o
                mlp = block.layer[-1].DenseReluDense
            for name, module in attention.items():
                width = module.in_features // heads
                for h in range(heads):
                    yield f"{stack}.blocks.{i}.{name}.hook_z[{h}]", (module, True, h * width, (h + 1) * width)
            yield f"{stack}.blocks.{i}.hook_mlp_out", (mlp, False, 0, model.config.d_model)


def run(model, row, part=None, change=None):
    """The logits of a row; change is given the part's values [tokens, columns] and returns others."""
    def edit(x):
        x = x.clone()
        x[0, :, part[2]:part[3]] = change(x[0, :, part[2]:part[3]])
        return x
    handle = None
    if part and part[1]:
        handle = part[0].register_forward_pre_hook(lambda module, inputs: (edit(inputs[0]), *inputs[1:]))
    elif part:
        handle = part[0].register_forward_hook(lambda module, inputs, output: edit(output))
    try:
        with torch.no_grad():
            return model(input_ids=row["source"], decoder_input_ids=row["decoder"]).logits[0]
    finally:
        if handle:
            handle.remove()


def score(row, logits):
    if row["foil"] is not None:
        return (logits[0, row["want"][0]] - logits[0, row["foil"]]).item()
    logp = logits.log_softmax(-1)
    return sum(logp[i, token] for i, token in enumerate(row["want"])).item()


def encode(tokenizer, model, source, target, foil):
    want = [tokenizer.token_to_id(word) for word in target.split()]
    assert None not in want
    return {"source": torch.tensor([tokenizer.encode(source).ids]), "want": want,
            "decoder": torch.tensor([[model.config.decoder_start_token_id] + want[:-1]]),
            "foil": tokenizer.token_to_id(foil) if foil else None}


def read(model, row, part):
    seen = []
    run(model, row, part, lambda x: seen.append(x.clone()) or x)
    return seen[0]


def replaced(model, rows, part, kind, r, at):
    """What row r's values of a part are replaced by, as a function of them."""
    found = [read(model, row, part) for row in rows]
    first = torch.stack([x[0] for x in found]).mean(0)
    rest = torch.cat([x[1:] for x in found])
    other = torch.zeros_like(found[r]) if kind == "zero" else found[1 - r] if kind == "resample" else torch.cat(
        [first[None], (rest.mean(0) if len(rest) else first)[None].expand(len(found[r]) - 1, -1)])
    def change(x):
        keep = x.clone()
        keep[:] = other
        if at == "target":
            keep[:-1] = x[:-1]
        return keep
    return change


def case(kind, texts, with_, at):
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / "arch" / kind, attn_implementation="eager").double().eval()
    tokenizer = Tokenizer.from_file(str(GOLDEN / "behaviour" / "tokenizer.json"))
    rows = [encode(tokenizer, model, *text) for text in texts]
    value = [score(row, run(model, row)) for row in rows]
    sites = []
    for name, part in parts(model, FAMILIES[kind]):
        if at == "target" and name.startswith("encoder"):
            continue
        loss = [value[r] - score(row, run(model, row, part, replaced(model, rows, part, with_, r, at)))
                for r, row in enumerate(rows)]
        sites.append({"site": name, "loss": float(f"{sum(loss) / len(loss):.8g}"),
                      "size": float(f"{sum(map(abs, loss)) / len(loss):.8g}")})
    return {"model": kind, "options": {"with": with_, "at": at},
            "rows": [{"source": s, "target": t, "foil": f} for s, t, f in texts], "value": value, "sites": sites}


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cases = []
    for kind in FAMILIES:
        cases += [case(kind, PAIRS, with_, "all") for with_ in ("zero", "mean", "resample")]
        cases += [case(kind, CHOICES, "mean", "all"), case(kind, PAIRS, "mean", "target")]
    write_json(GOLDEN / "attribution" / "ablation.json", {
        "made_by": "tests/oracles/attribution_ablation.py", "versions": versions("torch", "transformers", "tokenizers"),
        "cases": cases})


if __name__ == "__main__":
    main()
