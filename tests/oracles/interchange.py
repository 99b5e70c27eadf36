"""Edits by brute force in plain torch: every cell of interchange grids, and one of each other kind of edit."""
import json

import torch
from safetensors.torch import load_file
from transformers import LlamaConfig

import smollm2
from common import GOLDEN, SMOLLM2, versions, write_json
from llama import Llama, token_loss

torch.set_num_threads(1)
OUT = GOLDEN / "interchange"
ABOUT = dict(made_by="tests/oracles/interchange.py", dtype="float64",
             versions=versions("torch", "transformers", "gguf", "tokenizers", "safetensors"))
TINY = ["gqa-tied", "gqa-untied", "mha-untied", "rope-theta"]
GRID = ["hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "mlp.hook_post",
        "attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_rot_q", "attn.hook_rot_k",
        "ln1.hook_normalized", "ln2.hook_scale"]
BASE, SOURCE = "The keys to the cabinet probably", "The key to the cabinet probably"
UNEQUAL_SOURCE, UNEQUAL_PLACES = [271, 259, 35, 90, 114, 284, 281, 264], [(1, 1), (2, 4), (3, 5), (5, 7)]
UNEQUAL_GRID = ["hook_resid_pre", "hook_resid_post", "attn.hook_z", "attn.hook_k", "mlp.hook_post"]
TINY_BASE, TINY_SOURCE, TINY_TOKENS = [271, 259, 114, 261, 281, 264], [284, 35, 4, 200, 281, 272], [276, 30]


def answer(site, tokens):
    """Logits of the asked tokens at the last position."""
    return site["unembed.hook_out"][-1, tokens].tolist()


def patched(model, ids, at, position, value, tokens):
    """Run `ids` with one position of one site replaced."""
    def edit(name, x):
        if name != at:
            return None
        x = x.clone()
        x[position] = value
        return x
    return answer(model.run(ids, edit), tokens)


def grid(model, base, source, hook, tokens, layers):
    """[layer][position][token]: the base run's logits after that position of `hook` came from the source run."""
    other = model.run(source)
    return [[patched(model, base, at, p, other[at][p], tokens) for p in range(len(base))]
            for at in (f"blocks.{layer}.{hook}" for layer in layers)]


def unequal(model, base, tokens, layers):
    """A source of another length: [layer][place][token], the base's position of each place set to the source's."""
    other = model.run(UNEQUAL_SOURCE)
    grids = {hook: [[patched(model, base, at, p, other[at][q], tokens) for p, q in UNEQUAL_PLACES]
                    for at in (f"blocks.{layer}.{hook}" for layer in layers)] for hook in UNEQUAL_GRID}
    return {"source": UNEQUAL_SOURCE, "places": [list(place) for place in UNEQUAL_PLACES],
            "source_logits": answer(other, tokens), "grids": grids}


def heads_grid(model, base, source, tokens):
    """[layer][position][head][token] for hook_z: one head's output at one position."""
    other, out = model.run(source), []
    for layer in range(model.n_layer):
        at = f"blocks.{layer}.attn.hook_z"
        out.append([[patched(model, base, at, (p, h), other[at][p, h], tokens) for h in range(model.n_head)]
                    for p in range(len(base))])
    return out


def edited(model, ids, at, change, tokens):
    """change(x) edits a copy in place; logits of the asked tokens and the row's mean loss."""
    def edit(name, x):
        if name != at:
            return None
        x = x.clone()
        change(x)
        return x
    site = model.run(ids, edit)
    return {"logits": answer(site, tokens), "mean_loss": float(token_loss(site["unembed.hook_out"], ids).mean())}


def other_edits(model, base, source, tokens):
    """x <- x + alpha U V'(target - x) with each kind of target, and blocked attention scores; layer 1 throughout."""
    generator = torch.Generator().manual_seed(5)
    d, n = model.w["model.norm.weight"].numel(), len(base)
    u, v, step = (torch.randn(*shape, generator=generator).double() for shape in ((d, 2), (d, 2), (d,)))
    resid, z, scores = (f"blocks.1.{hook}" for hook in ("hook_resid_pre", "attn.hook_z", "attn.hook_attn_scores"))
    target, everywhere = model.run(source)[resid], list(range(n))

    def move(towards, positions, subspace, alpha):
        def change(x):
            delta = towards[positions] - x[positions]
            x[positions] += alpha * (delta @ v @ u.T if subspace else delta)
        return change

    def zero_head(x):
        x[:, 1] = 0

    def add(x):
        x[1:4] += 0.75 * step

    def block(x):
        x[:, 4, 1:3] = -torch.inf

    def block_head(x):
        x[0, 3:, 0] = -torch.inf

    cases, zero = [], torch.zeros_like(target)
    for op, towards, positions, subspace, alpha in (
            ("ZERO", zero, [3], False, 1.0), ("ZERO", zero, [2], True, 0.75), ("ZERO", zero, [1, 4], False, 0.5),
            ("SET", target, [2], True, 1.0), ("SET", target, [1, 2, 5], True, -0.5),
            ("SET", target, everywhere, False, 1.0)):
        cases.append({"op": op, "site": resid, "positions": positions, "subspace": subspace, "alpha": alpha,
                      **edited(model, base, resid, move(towards, positions, subspace, alpha), tokens)})
    for op, at, head, positions, extra, change in (
            ("ZERO", z, 1, everywhere, {"alpha": 1.0}, zero_head),
            ("ADD", resid, None, [1, 2, 3], {"alpha": 0.75}, add),
            ("BLOCK", scores, None, [4], {"keys": [1, 2]}, block),
            ("BLOCK", scores, 0, [3, 4, 5], {"keys": [0]}, block_head)):
        site = at if head is None else f"{at}[{head}]"
        cases.append({"op": op, "site": site, "positions": positions, **extra,
                      **edited(model, base, at, change, tokens)})
    return {"u": u.tolist(), "v": v.tolist(), "step": step.tolist(), "cases": cases}


def tiny(variant):
    folder = GOLDEN / "tiny" / variant
    config = LlamaConfig(**json.loads((folder / "config.json").read_text()))
    model = Llama(load_file(folder / "model.safetensors"), config)
    layers = range(model.n_layer)
    write_json(OUT / f"tiny-{variant}.json", {
        **ABOUT, "base": TINY_BASE, "source": TINY_SOURCE, "tokens": TINY_TOKENS,
        "base_logits": answer(model.run(TINY_BASE), TINY_TOKENS),
        "source_logits": answer(model.run(TINY_SOURCE), TINY_TOKENS),
        "grids": {hook: grid(model, TINY_BASE, TINY_SOURCE, hook, TINY_TOKENS, layers) for hook in GRID},
        "unequal": unequal(model, TINY_BASE, TINY_TOKENS, layers),
        "heads": {"attn.hook_z": heads_grid(model, TINY_BASE, TINY_SOURCE, TINY_TOKENS)},
        "edits": other_edits(model, TINY_BASE, TINY_SOURCE, TINY_TOKENS)})


def check_by_hooks(hf, base, source, tokens, pre):
    """Some cells again with forward hooks on transformers' own modules, float32."""
    for layer, position in ((0, 1), (7, 1), (16, 3), (29, 5)):
        with torch.no_grad():
            value = hf(torch.tensor([source]), output_hidden_states=True).hidden_states[layer][0, position]

            def hook(_, args, value=value, position=position):
                args[0][0, position] = value
            handle = hf.model.layers[layer].register_forward_pre_hook(hook)
            logits = hf(torch.tensor([base])).logits[0, -1, tokens]
            handle.remove()
        assert (logits.double() - torch.tensor(pre[layer][position])).abs().max() < 1e-3, (layer, position)


def real():
    hf, tokenizer = smollm2.load()
    model = smollm2.plain(hf)
    base, source = tokenizer.encode(BASE).ids, tokenizer.encode(SOURCE).ids
    tokens = [tokenizer.encode(word).ids[0] for word in (" are", " is")]
    assert len(base) == len(source)
    pre = grid(model, base, source, "hook_resid_pre", tokens, range(model.n_layer))
    check_by_hooks(hf, base, source, tokens, pre)
    write_json(OUT / "smollm2.json", {
        **ABOUT, "model": SMOLLM2.name, "texts": [BASE, SOURCE], "base": base, "source": source, "tokens": tokens,
        "base_logits": answer(model.run(base), tokens), "source_logits": answer(model.run(source), tokens),
        "grids": {"hook_resid_pre": pre},
        "last_resid_post": grid(model, base, source, "hook_resid_post", tokens, [model.n_layer - 1])[0]})


if __name__ == "__main__":
    for variant in TINY:
        tiny(variant)
    real()
