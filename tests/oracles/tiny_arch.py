"""A tiny random model of every architecture as Hugging Face folder, with the value of every site on two token rows.

usage: tests/oracles/run.sh tiny_arch.py        all of tests/golden/arch
       SONDE_VARIANTS=gpt2,bert tests/oracles/run.sh tiny_arch.py
"""
import json
import math
import os
import shutil
import zlib

import numpy as np
import torch
import transformers
from safetensors import safe_open

import arch_decoders
from common import GOLDEN, versions, write_json, write_safetensors
from llama import token_loss

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
VERSIONS = versions("torch", "transformers", "safetensors", "numpy")
MADE_BY = "tests/oracles/tiny_arch.py"
ROWS = [7, 3]


def gain(name):
    """Queries and keys are made larger, so that patterns are far from uniform; not where scores are not scaled."""
    return 2 if any(part in name for part in ("q_proj", "k_proj", "query", "key", "c_attn", "qkv", "Wqkv")) else 1


def random_model(kind, config, seed):
    """No weight is at the value it has before training: norm weights are away from 1, biases from 0, embeddings not
    small; a constructor's zeros would hide a missing term."""
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = kind(config).eval()
    unscaled = config.model_type in ("gpt_neo", "t5", "mt5")
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            normal = torch.randn(tensor.shape)
            module = model.get_submodule(name.rpartition(".")[0])
            if tensor.dim() < 2:
                norm = "norm" in name.lower() or ".ln_" in name
                gemma = "Gemma" in type(module).__name__
                tensor.copy_(0.3 * normal + (norm and name.endswith("weight") and not gemma))
            elif isinstance(module, torch.nn.Embedding):
                tensor.copy_(0.7 * normal)
            else:
                fan_in = tensor.shape[0 if type(module).__name__ == "Conv1D" else 1]
                tensor.copy_(normal * (1 if unscaled else gain(name)) / math.sqrt(fan_in))
    return model


def draw_rows(config, seed):
    """Ids without the special ones, some twice."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, config.vocab_size, (n,), generator=generator).tolist() for n in ROWS]


def save(folder, model, old_config):
    """As save_pretrained writes it; the configuration as transformers 4 wrote it where old_config says how."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if old_config:
        values = json.loads((folder / "config.json").read_text())
        values["torch_dtype"], values["transformers_version"] = values.pop("dtype"), "4.46.0"
        write_json(folder / "config.json", old_config(values))
    for file in folder.iterdir():
        file.chmod(0o644)


def check_folder(folder, model, rows, runs):
    """transformers opens the folder again and says the same; with its own choice of attention where that is eager's
    equal (it drops the soft-cap)."""
    softcap = getattr(model.config, "attn_logit_softcapping", None)
    again = type(model).from_pretrained(folder, attn_implementation="eager" if softcap else None).eval()
    for ids, site in zip(rows, runs):
        with torch.no_grad():
            logits = again(torch.tensor([ids])).logits[0]
        error = float((logits - site["logits"]).norm() / site["logits"].norm())
        assert error < 1e-6, f"{folder}: opened again, logits differ by {error}"


def write_sites(folder, rows, runs, loss):
    tensors = {"tokens": np.concatenate(rows).astype(np.int32),
               "start": np.cumsum([0, *map(len, rows)]).astype(np.int64)}
    if loss:
        losses = [token_loss(site["logits"], ids) for ids, site in zip(rows, runs)]
        tensors["loss"] = np.array([float(loss.mean()) for loss in losses])
        tensors |= {f"row{r}/loss": loss.float() for r, loss in enumerate(losses)}
    for r, site in enumerate(runs):
        assert all(bool((value == value).all()) for value in site.values())
        tensors |= {f"row{r}/{name}": value.float() for name, value in site.items()}
    write_safetensors(folder / "sites.safetensors", tensors, made_by=MADE_BY, versions=VERSIONS)


def make_decoder(name, kind, config):
    seed, folder = zlib.crc32(name.encode()), GOLDEN / "arch" / name
    model, rows = random_model(kind, config, seed), draw_rows(config, seed)
    save(folder, model, arch_decoders.OLD_CONFIG.get(name))
    runs = [arch_decoders.run(name, model, ids) for ids in rows]
    check_folder(folder, model, rows, runs)
    write_sites(folder, rows, runs, loss=True)


def main():
    wanted = [name for name in os.environ.get("SONDE_VARIANTS", "").split(",") if name]
    for name, (kind, config) in arch_decoders.variants().items():
        if not wanted or name in wanted:
            make_decoder(name, kind, config)


if __name__ == "__main__":
    main()
