"""Tiny encoder-decoders: configurations, and where transformers keeps their parts."""
import math

import torch
import transformers as hf

from arch_capture import (Capture, finish_attention, finish_block, finish_mlp, modelling, part_of, same, sites_of,
                          watch)

N_VOCAB, N_HEAD, D_HEAD = 40, 4, 4
T5_SIZES = dict(vocab_size=N_VOCAB, d_model=16, d_kv=D_HEAD, d_ff=24, num_layers=2, num_heads=N_HEAD, pad_token_id=0,
                relative_attention_num_buckets=8, relative_attention_max_distance=16, decoder_start_token_id=0)
BART_SIZES = dict(vocab_size=N_VOCAB, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=N_HEAD,
                  decoder_attention_heads=N_HEAD, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=32,
                  pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2)


def t5_mlp(layer, gated):
    mlp = f"layer.{layer}.DenseReluDense"
    first = {"gate": f"{mlp}.wi_0", "up": f"{mlp}.wi_1"} if gated else {"in": f"{mlp}.wi"}
    return {"ln2": f"layer.{layer}.layer_norm", "down": f"{mlp}.wo", "act": f"{mlp}.act", **first}


def t5(gated):
    attn = {m: f"layer.0.SelfAttention.{m}" for m in "qkvo"} | {"attn": "layer.0.SelfAttention"}
    cross = {m: f"layer.1.EncDecAttention.{m}" for m in "qkvo"} | {"attn": "layer.1.EncDecAttention"}
    block = dict(attn, ln1="layer.0.layer_norm")
    return dict(base="", layers="block", final="final_layer_norm", form="serial", scale=1, relative=True,
                encoder={**block, **t5_mlp(1, gated)}, decoder={**block, **t5_mlp(2, gated)}, cross=cross,
                ln_cross="layer.1.layer_norm")


def bart(form, **more):
    def attention(name):
        return {"attn": name, "o": f"{name}.out_proj"} | {m: f"{name}.{m}_proj" for m in "qkv"}
    block = dict(attention("self_attn"), ln1="self_attn_layer_norm", ln2="final_layer_norm", down="fc2",
                 act="activation_fn", **{"in": "fc1"})
    return dict(base="model.", layers="layers", position="embed_positions", form=form, scale=D_HEAD ** -0.5,
                encoder=block, decoder=block, cross=attention("encoder_attn"), ln_cross="encoder_attn_layer_norm",
                **more)


FAMILY = {"t5": t5(False), "t5-v1_1": t5(True), "t5-v1_1-new": t5(True), "mt5": t5(True),
          "bart": bart("post", embed_norm="layernorm_embedding"),
          "mbart": bart("serial", embed_norm="layernorm_embedding", final="layer_norm"),
          "marian": bart("post", embed_scale=4.0)}


def variants():
    """{name: (model class, config)}"""
    return {
        "t5": (hf.T5ForConditionalGeneration, hf.T5Config(**T5_SIZES)),
        **{name: (hf.T5ForConditionalGeneration, hf.T5Config(
            **T5_SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False))
            for name in ("t5-v1_1", "t5-v1_1-new")},
        "mt5": (hf.MT5ForConditionalGeneration, hf.MT5Config(**T5_SIZES, feed_forward_proj="gated-gelu",
                                                             tie_word_embeddings=False)),
        "bart": (hf.BartForConditionalGeneration, hf.BartConfig(**BART_SIZES)),
        "mbart": (hf.MBartForConditionalGeneration, hf.MBartConfig(**BART_SIZES, scale_embedding=True)),
        "marian": (hf.MarianMTModel, hf.MarianConfig(**BART_SIZES, scale_embedding=True, activation_function="swish")),
    }


def untied(model, seed):
    """T5 1.1 and mT5 have an unembedding of their own, which transformers 5 ties in a new model; BART's bias of the
    logits is a buffer of zeros."""
    torch.manual_seed(seed)
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.copy_(0.5 * torch.randn(N_VOCAB))
    elif not getattr(model.config, "scale_decoder_outputs", False):
        model.lm_head.weight = torch.nn.Parameter(torch.randn(N_VOCAB, 16) / 4)


def old_t5(values):
    """As google/t5-v1_1-* have it: untied, and nothing said about scaling and gates but feed_forward_proj."""
    unsaid = ("scale_decoder_outputs", "dense_act_fn", "is_gated_act")
    return {k: v for k, v in values.items() if k not in unsaid} | {"tie_word_embeddings": False}


OLD_CONFIG = {"t5-v1_1": old_t5}   # transformers 5 says tied of every T5, and scale_decoder_outputs


def duplicated(tensors):
    """t5-small's file has the embeddings three times, and a bias of the cross-attention that nothing reads."""
    for side in ("encoder", "decoder"):
        tensors[f"{side}.embed_tokens.weight"] = tensors["shared.weight"].clone()
    return tensors | {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.ones(8, N_HEAD)}


RENAME = {"t5": duplicated}


def bucket(distance, causal, n_bucket, longest):
    """T5's bucket of key position - query position: half of them one a distance, then logarithmic."""
    first = 0 if causal or distance <= 0 else n_bucket // 2
    n_bucket, distance = n_bucket if causal else n_bucket // 2, max(-distance, 0) if causal else abs(distance)
    exact = n_bucket // 2
    if distance < exact:
        return first + distance
    log = math.log(distance / exact) / math.log(longest / exact) * (n_bucket - exact)
    return first + min(exact + int(log), n_bucket - 1)


def relative_bias(model, side, n):
    """[heads, queries, keys], of the first block and for all of them."""
    config, table = model.config, model.get_submodule(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias")
    index = [[bucket(j - i, side == "decoder", config.relative_attention_num_buckets,
                     config.relative_attention_max_distance) for j in range(n)] for i in range(n)]
    return table.weight[torch.tensor(index)].permute(2, 0, 1)


def watch_side(site, model, family, side):
    """Returns the parts of the side's blocks."""
    stack, parts = model.get_submodule(family["base"] + side), []
    for i, layer in enumerate(stack.get_submodule(family["layers"])):
        part = part_of(layer, family[side], N_HEAD, N_HEAD)
        if side == "decoder":
            part["cross"] = {key: layer.get_submodule(path) for key, path in family["cross"].items()}
            part["ln_cross"] = layer.get_submodule(family["ln_cross"])
        watch(site, f"{side}.blocks.{i}", part)
        parts.append(part)
    site.out_of(stack.embed_tokens, f"{side}.hook_embed")
    if "position" in family:
        site.out_of(stack.get_submodule(family["position"]), f"{side}.hook_pos_embed")
    if "embed_norm" in family:
        site.norm(stack.get_submodule(family["embed_norm"]), f"{side}.embed.ln")
    if "final" in family:
        site.norm(stack.get_submodule(family["final"]), f"{side}.ln_final")
    return parts


def finish_side(site, model, family, side, parts, n):
    """Returns the side's output."""
    value = site.value
    total = value[f"{side}.hook_embed"] = value[f"{side}.hook_embed"] * family.get("embed_scale", 1)
    total = total + value.get(f"{side}.hook_pos_embed", 0)
    if "embed_norm" in family:
        total = site.put(f"{side}.hook_full_embed", value[f"{side}.embed.ln.out"])
    for i, part in enumerate(parts):
        block = f"{side}.blocks.{i}"
        same(total, value[f"{block}.hook_resid_pre"], f"{block}.hook_resid_pre")
        total = value[f"{block}.out"]
        if "relative" in family:
            part["bias"] = relative_bias(model, side, n)
        finish_attention(site, f"{block}.attn", part, N_HEAD, N_HEAD, False, scale=family["scale"])
        if "cross" in part:
            finish_attention(site, f"{block}.cross_attn", part["cross"], N_HEAD, N_HEAD, False, scale=family["scale"])
        finish_mlp(site, f"{block}.mlp", part)
        finish_block(site, block, part, family["form"])
    return value[f"{side}.ln_final.out"] if "final" in family else total


def run(name, model, ids, encoder_ids):
    """Sites of one row of token ids and the row its encoder reads; logits."""
    family = FAMILY[name]
    with torch.no_grad(), Capture(modelling(model)) as site:
        sides = {side: watch_side(site, model, family, side) for side in ("encoder", "decoder")}
        site.into(model.lm_head, "unembed.hook_in")
        site.out_of(model.lm_head, "unembed.hook_out")
        site.put("logits", model(input_ids=torch.tensor([encoder_ids]), decoder_input_ids=torch.tensor([ids]),
                                 use_cache=False).logits[0])
        read = finish_side(site, model, family, "encoder", sides["encoder"], len(encoder_ids))
        out = finish_side(site, model, family, "decoder", sides["decoder"], len(ids))
        for i in range(len(sides["decoder"])):
            same(read, site[f"decoder.blocks.{i}.cross_attn.k.hook_in"], "what the cross-attention reads")
        scaled = out * model.config.d_model ** -0.5 if getattr(model.config, "scale_decoder_outputs", False) else out
        same(scaled, site["unembed.hook_in"], "unembed.hook_in")
        site.value["unembed.hook_out"] += getattr(model, "final_logits_bias", torch.zeros(1))
        same(site["unembed.hook_out"], site["logits"], "logits")
    return sites_of(site)
