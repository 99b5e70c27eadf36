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
from safetensors.torch import load_file, save_file
from safetensors import safe_open

import arch_decoders
import arch_encdec
import arch_encoders
import arch_gguf
from common import GOLDEN, versions, write_json, write_safetensors
from llama import token_loss

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
VERSIONS = versions("torch", "transformers", "safetensors", "gguf", "numpy")
MADE_BY = "tests/oracles/tiny_arch.py"
EPSILON = {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon"}
ROWS, ENCODER_ROWS = [7, 3], [6, 4]
FEW_SITES = {   # what these compute another variant does too, but for the rotation
    "gpt2-published", "bert-gamma", "xlm-roberta", "mt5", "t5-v1_1-new", "starcoder2-gguf", "gemma2-gguf",
    "gemma3-gguf", "llama-linear", "llama-yarn", "llama-dynamic"}


def gain(name):
    """Queries and keys are made larger, so that patterns are far from uniform; not where scores are not scaled."""
    return 2 if any(part in name for part in ("q_proj", "k_proj", "query", "key", "c_attn", "qkv", "Wqkv")) else 1


def random_model(kind, config, seed):
    """No weight is at the value it has before training: norm weights are away from 1, biases from 0; a constructor's
    zeros would hide a missing term. The norms' epsilon is large or, where it is fixed, embeddings are small: a wrong
    one must show."""
    config._attn_implementation = "eager"
    for name in EPSILON & set(dir(config)):
        setattr(config, name, 2e-3)
    torch.manual_seed(seed)
    model = kind(config).eval()
    unscaled = config.model_type in ("gpt_neo", "t5", "mt5")
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            normal = torch.randn(tensor.shape)
            module = model.get_submodule(name.rpartition(".")[0])
            if "Sinusoidal" in type(module).__name__:
                continue
            if tensor.dim() < 2:
                norm = "norm" in name.lower() or ".ln_" in name
                gemma = "Gemma" in type(module).__name__
                tensor.copy_(0.3 * normal + (norm and name.endswith("weight") and not gemma))
            elif isinstance(module, torch.nn.Embedding):
                tensor.copy_(normal * (0.7 if EPSILON & set(dir(config)) else 0.2))
            else:
                fan_in = tensor.shape[0 if type(module).__name__ == "Conv1D" else 1]
                tensor.copy_(normal * (1 if unscaled else gain(name)) / math.sqrt(fan_in))
    return model


def draw_rows(config, seed, lengths):
    """Ids without the special ones, some twice."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, config.vocab_size, (n,), generator=generator).tolist() for n in lengths]


def save(folder, model, old_config=None, rename=None):
    """As save_pretrained writes it; configuration and tensors as older versions wrote them where the two say how."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if old_config:
        values = json.loads((folder / "config.json").read_text())
        values["torch_dtype"], values["transformers_version"] = values.pop("dtype"), "4.46.0"
        write_json(folder / "config.json", old_config(values))
    if rename:
        tensors = rename(load_file(folder / "model.safetensors"))
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for file in folder.iterdir():
        file.chmod(0o644)


def last_output(site):
    return [value for name, value in site.items() if name.endswith("hook_normalized_resid_post")][-1]


def check_folder(folder, model, calls, runs):
    """transformers opens the folder again and says the same; with its own choice of attention where that is eager's
    equal (it drops the soft-cap)."""
    softcap = getattr(model.config, "attn_logit_softcapping", None)
    again = type(model).from_pretrained(folder, attn_implementation="eager" if softcap else None).eval()
    for call, site in zip(calls, runs):
        with torch.no_grad():
            output = again(**{name: torch.tensor([ids]) for name, ids in call.items()})
        found, last = output[0][0], site.get("logits")
        last = last_output(site) if last is None else last.reshape(found.shape)
        error = float((found - last).norm() / last.norm())
        assert error < 1e-6, f"{folder}: opened again, the output differs by {error}"


def kept(folder, row, name):
    """The first row has every site, the second those from which the others of the position follow."""
    few = "resid_" in name or "hook_rot_" in name or name.startswith("unembed") or name == "logits"
    local = name.endswith(("hook_in", "hook_out", "hook_result", "hook_scale", "hook_normalized"))
    return few or folder.name not in FEW_SITES and (row == 0 or not local)


def packed(rows, prefix=""):
    return {f"{prefix}tokens": np.concatenate(rows).astype(np.int32),
            f"{prefix}start": np.cumsum([0, *map(len, rows)]).astype(np.int64)}


def write_sites(folder, rows, encoder_rows, runs, loss):
    tensors = packed(rows) | (packed(encoder_rows, "enc_") if encoder_rows else {})
    if loss:
        losses = [token_loss(site["logits"], ids) for ids, site in zip(rows, runs)]
        tensors["loss"] = np.array([float(loss.mean()) for loss in losses])
        tensors |= {f"row{r}/loss": loss.float() for r, loss in enumerate(losses)}
    for r, site in enumerate(runs):
        assert all(bool((value == value).all()) for value in site.values())
        tensors |= {f"row{r}/{name}": value.float() for name, value in site.items()
                    if kept(folder, r, name)}
    write_safetensors(folder / "sites.safetensors", tensors, made_by=MADE_BY, versions=VERSIONS)


def make(family, name, kind, config):
    """family: the module whose variants these are."""
    seed, folder = zlib.crc32(name.encode()), GOLDEN / "arch" / name
    model, rows = random_model(kind, config, seed), draw_rows(config, seed, ROWS)
    calls, encoder_rows = [{"input_ids": ids} for ids in rows], []
    if family is arch_encdec:
        arch_encdec.untied(model, seed)
        encoder_rows = draw_rows(config, seed + 1, ENCODER_ROWS)
        calls = [{"input_ids": e, "decoder_input_ids": ids} for e, ids in zip(encoder_rows, rows)]
    save(folder, model, family.OLD_CONFIG.get(name), getattr(family, "RENAME", {}).get(name))
    runs = [family.run(name, model, *ids) for ids in zip(rows, *([encoder_rows] if encoder_rows else []))]
    check_folder(folder, model, calls, runs)
    write_sites(folder, rows, encoder_rows, runs, loss=family is not arch_encoders)
    if name in arch_gguf.NAMES:
        arch_gguf.write(folder, name, config)
        arch_gguf.check(folder, name, model)
    if name.endswith("-gguf"):
        for file in ("config.json", "model.safetensors"):
            (folder / file).unlink()


def main():
    wanted = [name for name in os.environ.get("SONDE_VARIANTS", "").split(",") if name]
    for family in (arch_decoders, arch_encoders, arch_encdec):
        for name, (kind, config) in family.variants().items():
            if not wanted or name in wanted:
                make(family, name, kind, config)


if __name__ == "__main__":
    main()
