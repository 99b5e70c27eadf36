"""Tiny decoders: configurations, and where transformers keeps the parts of their blocks."""
import math

import torch
import transformers as hf

from arch_capture import (Capture, finish_attention, finish_block, finish_mlp, heads, modelling, part_of, row, same,
                          sites_of, watch)

N_VOCAB = 40
SMALL = dict(vocab_size=N_VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GROUPED = dict(SMALL, num_key_value_heads=2)
TWO_HEADS = dict(SMALL, num_attention_heads=2)   # of 8, where a part of each is rotated
TRAITS = dict(
    embed="model.embed_tokens", layers="model.layers", final="model.norm", head="lm_head",
    attn="self_attn", q="self_attn.q_proj", k="self_attn.k_proj", v="self_attn.v_proj", o="self_attn.o_proj",
    ln1="input_layernorm", ln2="post_attention_layernorm", gate="mlp.gate_proj", up="mlp.up_proj", down="mlp.down_proj",
    act="mlp.act_fn", rotary=True, form="serial")


def traits(**changes):
    """The Llama's names with changes; None takes one away."""
    return {key: value for key, value in {**TRAITS, **changes}.items() if value is not None}


def fused(name, split, **changes):
    return traits(qkv=name, q=None, k=None, v=None, split=split, **changes)


def plain_mlp(first, down, act):
    return {"gate": None, "up": None, "in": first, "down": down, "act": act}


def thirds(x, n_head, n_kv):
    return x.chunk(3, -1)


def by_size(x, n_head, n_kv):
    """Q, K, V one after the other, with fewer heads in K and V."""
    head = x.shape[-1] // (n_head + 2 * n_kv)
    return x.split([n_head * head, n_kv * head, n_kv * head], -1)


def by_head(x, n_head, n_kv):
    """BLOOM and NeoX: head by head its q, k and v."""
    return x.reshape(len(x), n_head, 3, -1).unbind(2)


def by_group(x, n_head, n_kv):
    """Falcon: key head by key head the queries that read it, its key and its value."""
    x = x.reshape(len(x), n_kv, n_head // n_kv + 2, -1)
    return x[:, :, :-2].flatten(1, 2), x[:, :, -2], x[:, :, -1]


def gptj_rotated(q, k, calls):
    """GPT-J rotates the first part of each head, keys first; [1, n, heads, part]."""
    part = [row(result) if result.dim() == 3 else result[0].clone() for _, result in calls]
    return tuple(torch.cat([turned, x[..., turned.shape[-1]:]], -1) for turned, x in ((part[1], q), (part[0], k)))


def falcon_rotated(q, k, calls):
    """Falcon repeats keys for all query heads before the rotation."""
    turned = [heads(x) for x in calls[0][1]]
    return turned[0], turned[1][:, ::turned[1].shape[1] // k.shape[1]]


def alibi(n_head, n_key, factor=1):
    """[heads, 1, keys]: slope times the key's position; n_head a power of two."""
    slope = 2.0 ** (-8 * torch.arange(1, n_head + 1) / n_head)
    return slope[:, None, None] * torch.arange(n_key) * factor


GPT2_MLP = plain_mlp("mlp.c_fc", "mlp.c_proj", "mlp.act")
GPT2 = dict(embed="transformer.wte", layers="transformer.h", final="transformer.ln_f", ln1="ln_1", ln2="ln_2")
FC = plain_mlp("mlp.fc1", "mlp.fc2", "mlp.activation_fn")
FALCON = fused("self_attention.query_key_value", by_group, embed="transformer.word_embeddings", layers="transformer.h",
               final="transformer.ln_f", attn="self_attention", o="self_attention.dense", rotated=falcon_rotated,
               **plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", "mlp.act"))
NEOX = fused("attention.query_key_value", by_head, embed="gpt_neox.embed_in", layers="gpt_neox.layers",
             final="gpt_neox.final_layer_norm", attn="attention", o="attention.dense", form="parallel",
             **plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", "mlp.act"))
OPT = traits(embed="model.decoder.embed_tokens", position="model.decoder.embed_positions",
             layers="model.decoder.layers", final="model.decoder.final_layer_norm", o="self_attn.out_proj",
             ln1="self_attn_layer_norm", ln2="final_layer_norm", rotary=False, q_scale=0.5,
             **plain_mlp("fc1", "fc2", "activation_fn"))
GEMMA_POST = dict(ln1_post="post_attention_layernorm", ln2="pre_feedforward_layernorm",
                  ln2_post="post_feedforward_layernorm")
FAMILY = {
    "gpt2": fused("attn.c_attn", thirds, attn="attn", o="attn.c_proj", position="transformer.wpe", rotary=False,
                  **GPT2, **GPT2_MLP),
    "gpt_neo": traits(attn="attn", q="attn.attention.q_proj", k="attn.attention.k_proj", v="attn.attention.v_proj",
                      o="attn.attention.out_proj", position="transformer.wpe", rotary=False, scale=1, **GPT2,
                      **GPT2_MLP),
    "gptj": traits(attn="attn", q="attn.q_proj", k="attn.k_proj", v="attn.v_proj", o="attn.out_proj", form="parallel",
                   rotated=gptj_rotated, **{**GPT2, "ln2": None}, **plain_mlp("mlp.fc_in", "mlp.fc_out", "mlp.act")),
    "gpt_neox": NEOX,
    "gpt_neox-serial": dict(NEOX, form="serial"),
    "opt": OPT,
    "opt-350m": dict({k: v for k, v in OPT.items() if k != "final"}, form="post",
                     embed="model.decoder.project_in", head_dense="model.decoder.project_out"),
    "bloom": fused("self_attention.query_key_value", by_head, attn="self_attention", o="self_attention.dense",
                   embed="transformer.word_embeddings", embed_norm="transformer.word_embeddings_layernorm",
                   layers="transformer.h", final="transformer.ln_f", rotary=False, alibi=1,
                   **plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", "mlp.gelu_impl")),
    "falcon-7b": dict({k: v for k, v in FALCON.items() if k != "ln2"}, form="parallel"),
    "falcon-40b": dict(FALCON, form="parallel", ln1="ln_attn", ln2="ln_mlp"),
    "falcon-rw": dict(FALCON, rotary=False, split=by_head, alibi=0.5, plain_mask=True),   # alibi / sqrt(d_head)
    "olmo2": traits(ln1=None, ln2=None, ln1_post="post_attention_layernorm", ln2_post="post_feedforward_layernorm",
                    q_norm="self_attn.q_norm"),
    "qwen3": traits(q_norm="self_attn.q_norm"),
    "phi": traits(o="self_attn.dense", final="model.final_layernorm", ln2=None, form="parallel", **FC),
    "phi3": fused("self_attn.qkv_proj", by_size, gate=None, up=None, gate_up="mlp.gate_up_proj",
                  act="mlp.activation_fn"),
    "stablelm-parallel": traits(ln2=None, form="parallel", q_norm="self_attn.q_layernorm"),
    "starcoder2": traits(**plain_mlp("mlp.c_fc", "mlp.c_proj", "mlp.act")),
    "gemma2": traits(scale=1 / 3, softcap=5.0, logit_softcap=4.0, **GEMMA_POST),
    "gemma3": traits(scale=1 / 3, q_norm="self_attn.q_norm", **GEMMA_POST),
}
FAMILY["phi3-longrope"], FAMILY["gpt2-published"] = FAMILY["phi3"], FAMILY["gpt2"]
# GGUF files have no place for a scale, a pattern of layers or StarCoder 2's window: readers take the published models'.
FAMILY["gemma2-gguf"] = dict(FAMILY["gemma2"], scale=8 ** -0.5)
FAMILY["gemma3-gguf"] = dict(FAMILY["gemma3"], scale=8 ** -0.5)
FAMILY["starcoder2-gguf"] = FAMILY["starcoder2"]


def rope(theta, kind="default", **more):
    return {"rope_theta": theta, "rope_type": kind, **more}


def llama(kind, max_positions=256, **more):
    values = dict(GROUPED, head_dim=8, max_position_embeddings=max_positions)
    return hf.LlamaForCausalLM, hf.LlamaConfig(**values, rope_parameters=rope(1000.0, kind, **more),
                                               tie_word_embeddings=False)


def falcon(**more):
    sizes = {key: value for key, value in SMALL.items() if key != "intermediate_size"}
    return hf.FalconForCausalLM, hf.FalconConfig(**{**sizes, **more})


def stablelm(values, n_kv, **more):
    return hf.StableLmForCausalLM, hf.StableLmConfig(
        **dict(values, num_key_value_heads=n_kv), rope_parameters=rope(10000.0, partial_rotary_factor=0.5), **more)


def phi3(values, n_kv, **more):
    return hf.Phi3ForCausalLM, hf.Phi3Config(**dict(values, num_key_value_heads=n_kv), sliding_window=4, **more)


OPT_SIZES = dict(vocab_size=N_VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, ffn_dim=24,
                 max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GPT2_SIZES = dict(vocab_size=N_VOCAB, n_positions=32, n_embd=16, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)


def variants():
    """{name: (model class, config)}"""
    linear = {"sliding_attention": rope(10000.0), "full_attention": rope(1000000.0, "linear", factor=8.0)}
    return {
        "llama": (hf.LlamaForCausalLM, hf.LlamaConfig(**GROUPED, rope_parameters=rope(10000.0))),
        "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config(**GPT2_SIZES)),
        "gpt2-published": (hf.GPT2LMHeadModel, hf.GPT2Config(**GPT2_SIZES)),
        "gpt_neox": (hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig(
            **dict(TWO_HEADS, hidden_size=32), hidden_act="gelu",
            rope_parameters=rope(10000.0, partial_rotary_factor=0.25))),
        "gpt_neox-serial": (hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig(
            **SMALL, use_parallel_residual=False, hidden_act="gelu_fast",
            rope_parameters=rope(2000.0, partial_rotary_factor=1.0))),
        "qwen2": (hf.Qwen2ForCausalLM, hf.Qwen2Config(**GROUPED, rope_parameters=rope(1000000.0))),
        "qwen2-window": (hf.Qwen2ForCausalLM, hf.Qwen2Config(
            **dict(GROUPED, num_hidden_layers=3), use_sliding_window=True, sliding_window=3, max_window_layers=1,
            rope_parameters=rope(1000000.0), tie_word_embeddings=True)),
        "qwen3": (hf.Qwen3ForCausalLM, hf.Qwen3Config(**GROUPED, head_dim=8, rope_parameters=rope(1000000.0),
                                                      tie_word_embeddings=True)),
        "mistral": (hf.MistralForCausalLM, hf.MistralConfig(**GROUPED, sliding_window=3,
                                                            rope_parameters=rope(10000.0))),
        "llama-bias": (hf.LlamaForCausalLM, hf.LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True,
                                                           rope_parameters=rope(10000.0))),
        "gemma": (hf.GemmaForCausalLM, hf.GemmaConfig(**dict(GROUPED, num_key_value_heads=1), head_dim=8,
                                                      rope_parameters=rope(10000.0))),
        "gemma2": (hf.Gemma2ForCausalLM, hf.Gemma2Config(
            **GROUPED, head_dim=8, sliding_window=3, query_pre_attn_scalar=9, attn_logit_softcapping=5.0,
            final_logit_softcapping=4.0, rope_parameters=rope(10000.0))),
        "gemma3": (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(
            **dict(GROUPED, num_hidden_layers=4), head_dim=8, sliding_window=3, sliding_window_pattern=3,
            query_pre_attn_scalar=9, rope_parameters=linear)),
        "olmo2": (hf.Olmo2ForCausalLM, hf.Olmo2Config(**GROUPED, rope_parameters=rope(500000.0))),
        "phi": (hf.PhiForCausalLM, hf.PhiConfig(**TWO_HEADS, rope_parameters=rope(10000.0, partial_rotary_factor=0.5))),
        "phi3": phi3(TWO_HEADS, 1, rope_parameters=rope(10000.0, partial_rotary_factor=0.75)),
        "phi3-longrope": phi3(
            TWO_HEADS, 1, original_max_position_embeddings=4, rope_parameters=rope(
                10000.0, "longrope", short_factor=[1.0, 1.25, 1.5, 2.0], long_factor=[1.5, 2.5, 4.0, 8.0],
                partial_rotary_factor=1.0, original_max_position_embeddings=4)),
        "starcoder2": (hf.Starcoder2ForCausalLM, hf.Starcoder2Config(
            **GROUPED, sliding_window=4, use_bias=True, rope_parameters=rope(10000.0))),
        "gpt_neo": (hf.GPTNeoForCausalLM, hf.GPTNeoConfig(
            vocab_size=N_VOCAB, max_position_embeddings=32, hidden_size=16, num_layers=3, num_heads=4, window_size=3,
            intermediate_size=24, attention_types=[[["global", "local"], 1], [["global"], 1]], bos_token_id=1,
            eos_token_id=2)),
        "gptj": (hf.GPTJForCausalLM, hf.GPTJConfig(**dict(GPT2_SIZES, n_head=2), n_inner=24, rotary_dim=4)),
        "opt": (hf.OPTForCausalLM, hf.OPTConfig(**OPT_SIZES, word_embed_proj_dim=16)),
        "opt-350m": (hf.OPTForCausalLM, hf.OPTConfig(**OPT_SIZES, word_embed_proj_dim=12, do_layer_norm_before=False)),
        "bloom": (hf.BloomForCausalLM, hf.BloomConfig(
            vocab_size=N_VOCAB, hidden_size=16, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)),
        "falcon-7b": falcon(multi_query=True, parallel_attn=True, bias=False, alibi=False),
        "falcon-40b": falcon(new_decoder_architecture=True, num_kv_heads=2, bias=False, alibi=False),
        "falcon-rw": falcon(multi_query=False, parallel_attn=False, bias=True, alibi=True, ffn_hidden_size=40),
        "llama3-rope": llama("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=64),
        "llama-linear": llama("linear", factor=4.0),
        "llama-dynamic": llama("dynamic", 4, factor=3.0),
        "llama-yarn": llama("yarn", factor=4.0, original_max_position_embeddings=64),
        "smollm3": (hf.SmolLM3ForCausalLM, hf.SmolLM3Config(
            **dict(GROUPED, num_hidden_layers=4), no_rope_layer_interval=4, rope_parameters=rope(2000000.0))),
        "starcoder2-gguf": (hf.Starcoder2ForCausalLM, hf.Starcoder2Config(
            **GROUPED, sliding_window=None, use_bias=True, rope_parameters=rope(10000.0))),
        "gemma2-gguf": (hf.Gemma2ForCausalLM, hf.Gemma2Config(
            **GROUPED, head_dim=8, sliding_window=3, query_pre_attn_scalar=8, attn_logit_softcapping=5.0,
            final_logit_softcapping=4.0, rope_parameters=rope(10000.0))),
        "gemma3-gguf": (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(
            **dict(GROUPED, num_hidden_layers=7), head_dim=8, sliding_window=3, query_pre_attn_scalar=8,
            rope_parameters=linear)),
        "stablelm": stablelm(TWO_HEADS, 2),
        "stablelm-parallel": stablelm(TWO_HEADS, 1, qk_layernorm=True, use_parallel_residual=True, use_qkv_bias=True),
    }


def old_rope(values):
    """rope_theta and rope_scaling at the top, as transformers 4 wrote them."""
    parameters = dict(values.pop("rope_parameters"))
    values["rope_theta"] = parameters.pop("rope_theta")
    partial = parameters.pop("partial_rotary_factor", None)
    if partial is not None:
        values["partial_rotary_factor"] = partial
    values["rope_scaling"] = parameters if parameters["rope_type"] != "default" else None
    return values


def old_neox(values):
    old_rope(values)
    return values | {"rotary_emb_base": int(values.pop("rope_theta")),
                     "rotary_pct": values.pop("partial_rotary_factor")}


def old_linear(values):
    """Before rope_type it was "type"; no head_dim was written where hidden_size / heads gave it."""
    scaling = old_rope(values)["rope_scaling"]
    scaling["type"] = scaling.pop("rope_type")
    return values


def old_qwen2(values):
    """Qwen2.5's own files: the window is written although it is not used."""
    old_rope(values)
    values.pop("layer_types")
    return values | {"sliding_window": 3, "use_sliding_window": False, "max_window_layers": 1}


def old_gemma3(values):
    """The first Gemma 3 files: two bases, a pattern of layers."""
    both = values.pop("rope_parameters")
    values.pop("layer_types")
    values.pop("_sliding_window_pattern", None)
    return values | {"rope_theta": both["full_attention"]["rope_theta"], "sliding_window_pattern": 3,
                     "rope_local_base_freq": both["sliding_attention"]["rope_theta"],
                     "rope_scaling": {"rope_type": "linear", "factor": both["full_attention"]["factor"]}}


OLD_CONFIG = {"gpt_neox": old_neox, "llama-linear": old_linear, "llama3-rope": old_rope, "llama-dynamic": old_linear,
              "qwen2": old_qwen2, "gemma3": old_gemma3, "phi": old_rope, "stablelm": old_rope,
              "phi3-longrope": old_linear, "qwen3": old_rope, "mistral": old_rope}


def buffers(name, **shapes):
    """A rename that adds what older versions saved beside each block's weights: masks and frequencies."""
    def add(tensors):
        made = {"tril": torch.ones(1, 1, 32, 32).tril(), "minus": torch.tensor(-1e9), "frequency": torch.ones(2)}
        for i in range(2):
            tensors |= {f"{name.format(i)}.{key}": made[what].to(kind, copy=True)
                        for key, (what, kind) in shapes.items()}
        return tensors
    return add


def without_prefix(tensors):
    """Saved from the model without its head, as bigscience/bloom-560m was."""
    return {name.removeprefix("transformer."): x for name, x in tensors.items()}


def gpt2_published(tensors):
    """openai-community/gpt2: without prefix, with the causal masks."""
    return without_prefix(buffers("transformer.h.{}.attn", bias=("tril", torch.float32))(tensors))


MASKS = dict(bias=("tril", torch.bool), masked_bias=("minus", torch.float32))
RENAME = {
    "gpt2-published": gpt2_published,
    "bloom": without_prefix,
    "gptj": buffers("transformer.h.{}.attn", **MASKS),
    "gpt_neo": buffers("transformer.h.{}.attn.attention", **MASKS),
    "gpt_neox": buffers("gpt_neox.layers.{}.attention", bias=("tril", torch.uint8), masked_bias=MASKS["masked_bias"]),
    "llama-dynamic": buffers("model.layers.{}.self_attn.rotary_emb", inv_freq=("frequency", torch.float32)),
}


def head_counts(config):
    n_head = config.num_attention_heads
    if config.model_type == "falcon":
        return n_head, config.num_kv_heads if config.new_decoder_architecture else 1 if config.multi_query else n_head
    return n_head, getattr(config, "num_key_value_heads", None) or n_head


def run(name, model, ids):
    """Sites of one row of token ids, and logits."""
    config, family = model.config, FAMILY.get(name, TRAITS)
    n_head, n_kv = head_counts(config)
    with torch.no_grad(), Capture(modelling(model)) as site:
        parts = [part_of(layer, family, n_head, n_kv) for layer in model.get_submodule(family["layers"])]
        for i, part in enumerate(parts):
            watch(site, f"blocks.{i}", part)
            if "plain_mask" in family:
                site.hooks.append(without_alibi(part["attn"]))
        site.out_of(model.get_submodule(family["embed"]), "hook_embed")
        if "position" in family:
            site.out_of(model.get_submodule(family["position"]), "hook_pos_embed")
        if "embed_norm" in family:
            site.norm(model.get_submodule(family["embed_norm"]), "embed.ln")
        if "final" in family:
            site.norm(model.get_submodule(family["final"]), "ln_final")
        if "head_dense" in family:
            site.into(model.get_submodule(family["head_dense"]), "mlm_head.dense.hook_in")
            site.out_of(model.get_submodule(family["head_dense"]), "mlm_head.dense.hook_out")
        site.into(model.get_submodule(family["head"]), "unembed.hook_in")
        site.out_of(model.get_submodule(family["head"]), "unembed.hook_out")
        site.put("logits", model(torch.tensor([ids])).logits[0])
        for i, part in enumerate(parts):
            finish(site, f"blocks.{i}", part, family, config, n_head, n_kv, len(ids))
        finish_ends(site, family, len(parts))
    return sites_of(site)


def without_alibi(attention):
    """transformers 5 puts Falcon's alibi into the mask, for SDPA; its eager attention then adds it a second time."""
    def hook(module, args, kwargs):
        mask = kwargs["attention_mask"]
        return args, kwargs | {"attention_mask": torch.where(mask < -1e30, mask, 0.0)}
    return attention.register_forward_pre_hook(hook, with_kwargs=True)


def finish(site, block, part, family, config, n_head, n_kv, n):
    d_head = part["o"].weight.numel() // config.hidden_size // n_head
    if "alibi" in family:
        part["bias"] = alibi(n_head, n, family["alibi"])
    finish_attention(site, f"{block}.attn", part, n_head, n_kv, family["rotary"], family.get("softcap"),
                     family.get("scale", 1 / math.sqrt(d_head)))
    finish_mlp(site, f"{block}.mlp", part)
    finish_block(site, block, part, family["form"])


def finish_ends(site, family, n_layer):
    value = site.value
    total = value["hook_embed"] + value.get("hook_pos_embed", 0)
    if "embed_norm" in family:
        total = site.put("hook_full_embed", value["embed.ln.out"])
    same(total, value["blocks.0.hook_resid_pre"], "sum of the embeddings")
    for i in range(1, n_layer):
        name = "hook_resid_post" if family["form"] != "post" else "hook_normalized_resid_post"
        same(value[f"blocks.{i - 1}.{name}"], value[f"blocks.{i}.hook_resid_pre"], f"blocks.{i}.hook_resid_pre")
    if "final" in family:
        same(value["ln_final.out"], value["unembed.hook_in"], "unembed.hook_in")
    cap, out = family.get("logit_softcap"), value["unembed.hook_out"]
    same(cap * (out / cap).tanh() if cap else out, value["logits"], "logits")
