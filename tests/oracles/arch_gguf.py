"""GGUF files of the tiny models: keys, names and layouts of tensors as llama.cpp's conversion writes them; F32, without
a tokenizer."""
import re

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

ARCH = gguf.MODEL_ARCH
NAMES = {
    "gpt2": ARCH.GPT2, "gpt_neox": ARCH.GPTNEOX, "bloom": ARCH.BLOOM, "falcon-7b": ARCH.FALCON,
    "falcon-40b": ARCH.FALCON, "llama": ARCH.LLAMA, "llama-bias": ARCH.LLAMA, "llama3-rope": ARCH.LLAMA,
    "llama-linear": ARCH.LLAMA, "llama-yarn": ARCH.LLAMA, "smollm3": ARCH.SMOLLM3, "qwen2": ARCH.QWEN2,
    "qwen3": ARCH.QWEN3, "olmo2": ARCH.OLMO2, "phi3": ARCH.PHI3, "phi3-longrope": ARCH.PHI3,
    "stablelm": ARCH.STABLELM, "stablelm-parallel": ARCH.STABLELM, "gemma": ARCH.GEMMA, "gemma2-gguf": ARCH.GEMMA2,
    "gemma3-gguf": ARCH.GEMMA3, "starcoder2-gguf": ARCH.STARCODER2, "bert-base-only": ARCH.BERT,
}
READABLE = {"gpt2", "bloom", "falcon", "llama", "qwen2", "qwen3", "phi3", "stablelm", "gemma2", "gemma3", "starcoder2"}
UNREAD = {"falcon-40b": "query_key_value", "stablelm-parallel": "_layernorm.norms"}   # left as they are by transformers
PERMUTED = {"llama", "smollm3"}
GEMMA = {"gemma", "gemma2", "gemma3"}


def rope_of(config):
    both = getattr(config, "rope_parameters", None) or {}
    return both.get("full_attention", both)


def first(config, *names):
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)


def sizes(writer, config, kind):
    """Keys that every architecture has."""
    n_head, width = config.num_attention_heads, config.hidden_size
    writer.add_name("tiny random model")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(first(config, "intermediate_size", "ffn_hidden_size", "n_inner") or 4 * width)
    writer.add_head_count(n_head)
    unsaid = {"bloom": width, "falcon": 2048}
    writer.add_context_length(unsaid[kind] if kind in unsaid else config.max_position_embeddings)
    if kind == "falcon":
        writer.add_tensor_data_layout("jploski")
        writer.add_head_count_kv(config.num_kv_heads if config.new_decoder_architecture else 1)
    elif kind == "bloom":
        writer.add_head_count_kv(n_head)
    elif hasattr(config, "num_key_value_heads"):
        writer.add_head_count_kv(config.num_key_value_heads)
    if (epsilon := first(config, "rms_norm_eps")) is not None:
        writer.add_layer_norm_rms_eps(epsilon)
    if (epsilon := first(config, "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")) is not None:
        writer.add_layer_norm_eps(epsilon)
    if kind in GEMMA | {"llama", "qwen3"}:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def rotation(writer, config, kind):
    """Gemma 1 and 2, StableLM and NeoX files say nothing about the base: it is 10,000."""
    rope = rope_of(config)
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if kind in {"gptneox", "stablelm", "phi3"}:
        writer.add_rope_dimension_count(int(rope.get("partial_rotary_factor", 1.0) * d_head))
    if kind in PERMUTED:
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(d_head)
    if "rope_theta" in rope and kind not in {"gptneox", "stablelm", "gemma", "gemma2"}:
        writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type") in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope.get("rope_type") == "yarn" or kind == "phi3":
        writer.add_rope_scaling_orig_ctx_len(rope.get("original_max_position_embeddings",
                                                      config.max_position_embeddings))


def peculiar(writer, config, kind):
    """Keys of single architectures."""
    if kind in {"gptneox", "stablelm"}:
        writer.add_parallel_residual(config.use_parallel_residual)
    if kind in {"gemma2", "gemma3", "phi3"}:
        writer.add_sliding_window(config.sliding_window)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if kind == "bert":
        writer.add_causal_attention(False)
        writer.add_pooling_type(gguf.PoolingType.MEAN)
        writer.add_token_type_count(config.type_vocab_size)


def interleaved(x, n_head):
    """Pair (i, i + d_head/2) of each head becomes (2i, 2i + 1); weights and biases."""
    return x.reshape(n_head, 2, -1, *x.shape[1:]).transpose(1, 2).reshape(x.shape)


def ungrouped(x, n_head, n_kv):
    """Heads' or groups' queries, key and value one after the other -> all queries, all keys, all values."""
    x = x.reshape(n_kv, n_head // n_kv + 2, -1, *x.shape[1:])
    return torch.cat([part.reshape(-1, *x.shape[3:]) for part in (x[:, :-2], x[:, -2], x[:, -1])])


def stored(config, kind, name, x):
    """The tensor as GGUF stores it."""
    n_head, n_kv = config.num_attention_heads, first(config, "num_key_value_heads") or config.num_attention_heads
    if kind == "falcon":
        n_kv = config.num_kv_heads if config.new_decoder_architecture else 1
    if kind == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return x.T
    if kind in GEMMA and name.endswith("norm.weight"):
        return x + 1
    if kind in PERMUTED and re.search(r"[qk]_proj\.", name):
        return interleaved(x, n_head if "q_proj" in name else n_kv)
    if kind in {"bloom", "gptneox", "falcon"} and "query_key_value" in name:
        return ungrouped(x, n_head, n_kv)
    return x


def stacked(tensors):
    """StableLM's norms of single heads, as one tensor a layer."""
    for name in list(tensors):
        if match := re.match(r"(.*_layernorm)\.norms\.(\d+)\.weight", name):
            tensors.setdefault(f"{match[1]}.weight", {})[int(match[2])] = tensors.pop(name)
    return {name: torch.stack([x[i] for i in sorted(x)]) if isinstance(x, dict) else x for name, x in tensors.items()}


def extra(config, kind):
    """Tensors made from the configuration: divisors of the frequencies."""
    rope = rope_of(config)
    if kind == "phi3" and "long_factor" in rope:
        return {f"rope_factors_{n}.weight": torch.tensor(rope[f"{n}_factor"]) for n in ("long", "short")}
    if rope.get("rope_type") != "llama3":
        return {}
    frequency = rope["rope_theta"] ** (-torch.arange(0, config.head_dim, 2) / config.head_dim)
    turns = rope["original_max_position_embeddings"] * frequency / (2 * torch.pi)
    smooth = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
    return {"rope_freqs.weight": 1 / ((1 - smooth.clamp(0, 1)) / rope["factor"] + smooth.clamp(0, 1))}


def skipped(kind, name):
    mask = kind in {"gptneox", "gpt2"} and name.endswith((".attention.bias", "masked_bias", ".attn.bias"))
    return mask or kind == "bert" and (name.startswith("pooler") or name.endswith("position_ids"))


def write(folder, variant, config):
    """Writes folder/model.gguf from folder/model.safetensors."""
    arch = NAMES[variant]
    kind, names = gguf.MODEL_ARCH_NAMES[arch], gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    writer = gguf.GGUFWriter(folder / "model.gguf", kind)
    sizes(writer, config, kind)
    rotation(writer, config, kind)
    peculiar(writer, config, kind)
    if kind == "phi3" and "long_factor" in rope_of(config):
        scale, original = config.max_position_embeddings, config.original_max_position_embeddings
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(scale / original) / np.log(original))))
    for name, x in stacked(load_file(folder / "model.safetensors")).items():
        if not skipped(kind, name):
            full = names.get_name(name, try_suffixes=(".weight", ".bias"))
            assert full, f"{kind} has no tensor {name}"
            writer.add_tensor(full, np.ascontiguousarray(stored(config, kind, name, x).numpy()))
    for full, x in extra(config, kind).items():
        writer.add_tensor(full, np.ascontiguousarray(x.float().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "model.gguf").chmod(0o644)


def check(folder, variant, model):
    """transformers reads the weights back, of the architectures it knows."""
    if gguf.MODEL_ARCH_NAMES[NAMES[variant]] not in READABLE:
        return
    read = load_gguf_checkpoint(str(folder / "model.gguf"), return_tensors=True, model_to_load=model)["tensors"]
    weights = dict(model.named_parameters())
    known = {name: x for name, x in weights.items() if variant not in UNREAD or UNREAD[variant] not in name}
    wrong = [name for name, x in known.items() if name not in read or not torch.allclose(read[name].float(), x)]
    assert not wrong, f"{folder}/model.gguf: {wrong}"
