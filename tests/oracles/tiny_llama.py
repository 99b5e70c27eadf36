"""Tiny random Llama models as Hugging Face folders and GGUF files, with the value of every site on a few token rows."""
import json
import math
import shutil

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import bpe
from common import GOLDEN, versions, write_json, write_safetensors
from llama import Llama, token_loss

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
VERSIONS = versions("torch", "transformers", "gguf", "tokenizers", "safetensors", "numpy")
TEXTS = ["The keys to the cabinet are", "a", "Ключи 12  are<|im_end|>\non"]
QUANT = gguf.GGMLQuantizationType
BASE = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=4, rms_norm_eps=1e-5, max_position_embeddings=64, rope_theta=10000.0, tie_word_embeddings=True)
VARIANTS = {
    "gqa-tied": {},
    "gqa-untied": dict(num_key_value_heads=1, tie_word_embeddings=False, rms_norm_eps=1e-6, rope_theta=50000.0),
    "mha-untied": dict(num_attention_heads=2, num_key_value_heads=2, head_dim=8, tie_word_embeddings=False),
    "rope-theta": dict(head_dim=8, rope_theta=100000.0),
    "quantised": dict(hidden_size=64, intermediate_size=96, head_dim=16),
}
OLD_CONFIG = {"gqa-untied", "mha-untied"}  # rope_theta, torch_dtype and no head_dim, as transformers 4 wrote it
SAFETENSORS_TYPE = {"mha-untied": torch.bfloat16}
GGUF_TYPE = {"quantised": {"token_embd": QUANT.Q8_0, "attn_q": QUANT.Q4_1, "attn_k": QUANT.F16, "attn_v": QUANT.BF16,
                           "attn_output": QUANT.Q8_0, "ffn_gate": QUANT.Q4_1, "ffn_up": QUANT.Q8_0,
                           "ffn_down": QUANT.Q4_1}}
TENSOR_NAME = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
               "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
               "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
               "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def config_of(variant, n_vocab):
    values = {**BASE, **VARIANTS[variant]}
    rope = {"rope_type": "default", "rope_theta": values.pop("rope_theta")}
    return LlamaConfig(vocab_size=n_vocab, rope_parameters=rope, bos_token_id=1, eos_token_id=2, **values)


def random_model(config, seed):
    """Weights of a size that makes attention and the gates far from uniform; norm weights away from 1."""
    model, generator = LlamaForCausalLM(config), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            normal = torch.randn(tensor.shape, generator=generator)
            gain = 2 if "q_proj" in name or "k_proj" in name else 1
            tensor.copy_(1 + 0.3 * normal if "norm" in name else normal * gain / math.sqrt(tensor.shape[-1]))
    return model.eval()


def gguf_name(name):
    stem, end = name.removesuffix(".weight"), ".weight"
    if not stem.startswith("model.layers."):
        return TENSOR_NAME[stem] + end, TENSOR_NAME[stem]
    layer, part = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{TENSOR_NAME[part]}{end}", TENSOR_NAME[part]


def permute(weight, n_head):
    """llama.cpp's order of Q's and K's rows: pair (i, i + d_head/2) of each head becomes (2i, 2i + 1)."""
    return weight.reshape(n_head, 2, -1, weight.shape[-1]).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight, n_head):
    return weight.reshape(n_head, -1, 2, weight.shape[-1]).swapaxes(1, 2).reshape(weight.shape)


def quantise(variant, config, weights):
    """{GGUF name: (stored bytes, type)} and the weights as a reader of that file sees them (Hugging Face order)."""
    stored, seen = {}, {}
    for name, tensor in weights.items():
        full, part = gguf_name(name)
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(part)
        array = permute(tensor.numpy(), heads) if heads else tensor.numpy()
        kind = GGUF_TYPE.get(variant, {}).get(part, QUANT.F32)
        data = gguf.quants.quantize(np.ascontiguousarray(array), kind)
        back = gguf.quants.dequantize(data, kind).reshape(array.shape)
        stored[full], seen[name] = (data, kind), torch.from_numpy(unpermute(back, heads) if heads else back.copy())
    return stored, seen


def write_gguf(path, config, tokens, merges, stored):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny random Llama")
    writer.add_vocab_size(len(tokens))
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in bpe.SPECIAL else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    for name, (data, kind) in stored.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(folder, variant, config, tokenizer, weights):
    kind = SAFETENSORS_TYPE.get(variant, torch.float32)
    config.dtype = kind
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    if variant in OLD_CONFIG:
        values = json.loads((folder / "config.json").read_text())
        values |= {"rope_theta": values.pop("rope_parameters")["rope_theta"], "rope_scaling": None,
                   "torch_dtype": values.pop("dtype"), "transformers_version": "4.40.1"}
        del values["head_dim"]
        write_json(folder / "config.json", values)
    stored = {k: v.to(kind).contiguous() for k, v in weights.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
        "unk_token": "<|endoftext|>"})


def relative(a, b):
    return float((a - b).norm() / b.norm())


def check(folder, rows, runs):
    """Both files, opened by transformers in float32, must give the plain computation's residual streams and logits."""
    for source in ({}, {"gguf_file": "model.gguf"}):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **source)
        for ids, site in zip(rows, runs):
            with torch.no_grad():
                out = model(torch.tensor([ids]), output_hidden_states=True, output_attentions=True)
            names = [f"blocks.{i}.hook_resid_pre" for i in range(model.config.num_hidden_layers)] + ["unembed.hook_in"]
            pairs = [(h[0], site[name]) for h, name in zip(out.hidden_states, names, strict=True)]
            pairs += [(a[0], site[f"blocks.{i}.attn.hook_pattern"]) for i, a in enumerate(out.attentions)]
            worst = max(relative(a.double(), b) for a, b in [*pairs, (out.logits[0], site["unembed.hook_out"])])
            assert worst < 2e-6, f"{folder}: {source} differs from plain torch by {worst}"


def write_sites(folder, rows, runs, only=None):
    tensors = {"tokens": np.concatenate(rows).astype(np.int32),
               "start": np.cumsum([0, *map(len, rows)]).astype(np.int64)}
    losses = [token_loss(site["unembed.hook_out"], ids) for ids, site in zip(rows, runs)]
    tensors["loss"] = np.array([float(loss.mean()) for loss in losses])
    for r, site in enumerate(runs):
        tensors[f"row{r}/loss"] = losses[r].float()
        tensors |= {f"row{r}/{name}": value.float() for name, value in site.items() if only is None or only(name)}
    write_safetensors(folder / "sites.safetensors", tensors, made_by="tests/oracles/tiny_llama.py", versions=VERSIONS)


def make(variant, seed):
    folder = GOLDEN / "tiny" / variant
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer, tokens, merges = bpe.tiny()
    config = config_of(variant, len(tokens))
    weights = {k: v.detach().clone() for k, v in random_model(config, seed).state_dict().items()
               if not (k == "lm_head.weight" and config.tie_word_embeddings)}
    kind = SAFETENSORS_TYPE.get(variant, torch.float32)
    stored, weights = quantise(variant, config, {k: v.to(kind).float() for k, v in weights.items()})
    write_folder(folder, variant, config, tokenizer, weights)
    write_gguf(folder / "model.gguf", config, tokens, merges, stored)
    encoded = [tokenizer.encode(text) for text in TEXTS]
    rows = [e.ids for e in encoded]
    model = Llama(weights, config)
    runs = [model.run(ids) for ids in rows]
    check(folder, rows, runs)
    few = (lambda name: "resid_" in name or name.startswith("unembed")) if variant == "quantised" else None
    write_sites(folder, rows, runs, few)
    write_json(folder / "expected.json", {"made_by": "tests/oracles/tiny_llama.py", "versions": VERSIONS, "rows": [
        {"text": t, "ids": e.ids, "offsets": [list(o) for o in e.offsets]} for t, e in zip(TEXTS, encoded)]})


if __name__ == "__main__":
    for number, variant in enumerate(VARIANTS):
        make(variant, 1000 + number)
