"""Attribution patching in plain torch: (x_source - x_base) . dLD/dx by autograd, at the base and along the embeddings' line."""
import json

import torch
from safetensors.torch import load_file
from transformers import LlamaConfig

from common import GOLDEN, versions, write_json
from interchange import TINY, TINY_BASE, TINY_SOURCE, TINY_TOKENS, UNEQUAL_PLACES, UNEQUAL_SOURCE
from llama import Llama

torch.set_num_threads(1)
ABOUT = dict(made_by="tests/oracles/estimates.py", dtype="float64", versions=versions("torch", "transformers", "safetensors"))
HOOKS = ["hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "mlp.hook_post",
         "attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_rot_k", "ln1.hook_normalized"]
STEPS = 6


def sites(model):
    return ["hook_embed"] + [f"blocks.{layer}.{hook}" for layer in range(model.n_layer) for hook in HOOKS]


def gradients(model, ids, embed=None):
    """dLD/dx at every site; embed: the embeddings, if not the tokens' own."""
    start = model.w["model.embed_tokens.weight"][torch.as_tensor(ids)] if embed is None else embed
    start = start.detach().requires_grad_()
    site = model.run(ids, lambda name, x: start if name == "hook_embed" else None)
    logits = site["unembed.hook_out"][-1, TINY_TOKENS]
    names = sites(model)
    return dict(zip(names, torch.autograd.grad(logits[0] - logits[1], [site[name] for name in names])))


def shares(base, source, gradient, places):
    """[place] or, where there are heads, [place][head]."""
    return [((source[q] - base[p]) * gradient[p]).sum(-1).tolist() for p, q in places]


def estimates(model, base_ids, source_ids, places, steps):
    with torch.no_grad():
        base, source = model.run(base_ids), model.run(source_ids)
    if steps == 0:
        mean = gradients(model, base_ids)
    else:
        line = base["hook_embed"] - source["hook_embed"]
        each = [gradients(model, base_ids, source["hook_embed"] + (k + 0.5) / steps * line) for k in range(steps)]
        mean = {name: sum(g[name] for g in each) / steps for name in sites(model)}
    return {name: shares(base[name], source[name], mean[name], places) for name in sites(model)}


def tiny(variant):
    folder = GOLDEN / "tiny" / variant
    config = LlamaConfig(**json.loads((folder / "config.json").read_text()))
    model = Llama(load_file(folder / "model.safetensors"), config)
    everywhere = [(p, p) for p in range(len(TINY_BASE))]
    write_json(GOLDEN / "estimates" / f"tiny-{variant}.json", {
        **ABOUT, "base": TINY_BASE, "source": TINY_SOURCE, "tokens": TINY_TOKENS, "steps": STEPS,
        "at_base": estimates(model, TINY_BASE, TINY_SOURCE, everywhere, 0),
        "along": estimates(model, TINY_BASE, TINY_SOURCE, everywhere, STEPS),
        "unequal": {"source": UNEQUAL_SOURCE, "places": [list(place) for place in UNEQUAL_PLACES],
                    "at_base": estimates(model, TINY_BASE, UNEQUAL_SOURCE, UNEQUAL_PLACES, 0)}})


if __name__ == "__main__":
    for variant in TINY[:2]:
        tiny(variant)
