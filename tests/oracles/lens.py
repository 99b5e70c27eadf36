"""The logit lens of every tiny model of tests/golden/arch, by transformers alone: the last block's output is replaced by
the stream at an earlier boundary, and the model's own code does the rest. golden/lens/logit.json has, for the first
positions of the first row at each boundary, the three most probable tokens, entropy and KL(final || lens) in nats, log p
and rank of one token.

usage: tests/oracles/run.sh lens.py
"""
import zlib

import torch
import transformers
from safetensors.numpy import load_file

import arch_decoders
import arch_encoders
from common import GOLDEN, versions, write_json
from tiny_arch import random_model

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
POSITIONS, WANT, TOP = 4, 5, 3


def boundaries(sites, n_layer):
    last = f"row0/blocks.{n_layer - 1}.hook_"
    end = last + "normalized_resid_post"
    return [f"row0/blocks.{i}.hook_resid_pre" for i in range(n_layer)] + [end if end in sites else last + "resid_post"]


@torch.no_grad()
def lens(model, last_block, ids, x):
    """Logits of the model whose last block leaves x."""
    def replace(module, args, output):
        return (x[None], *output[1:]) if isinstance(output, tuple) else x[None] if output.dim() == 3 else x
    hook = last_block.register_forward_hook(replace)
    logits = model(input_ids=torch.tensor([ids])).logits[0]
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
    log_p = [lens(model, last_block, ids, x).double().log_softmax(-1) for x in stream]
    own = torch.tensor(sites["row0/logits"]).double().log_softmax(-1)
    assert float((own - log_p[-1]).abs().max()) < 1e-4, name
    return [[cell(p[i], log_p[-1][i]) for i in range(POSITIONS)] for p in log_p]


def main():
    models = {}
    for family in (arch_decoders, arch_encoders):
        for name, (kind, config) in family.variants().items():
            if name not in ("bert-base-only", "electra-discriminator"):     # no vocabulary
                models[name] = rows_of(family, name, kind, config)
    write_json(GOLDEN / "lens" / "logit.json", dict(
        made_by="tests/oracles/lens.py", versions=versions("torch", "transformers"), want=WANT, models=models))


if __name__ == "__main__":
    main()
