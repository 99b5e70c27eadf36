"""Tiny encoders: configurations, and where transformers keeps their parts."""
import math

import torch
import transformers as hf

from arch_capture import (Capture, finish_attention, finish_block, finish_mlp, modelling, part_of, same, sites_of,
                          watch)

N_VOCAB = 40
SMALL = dict(vocab_size=N_VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=32)
EMBEDDINGS = {"hook_embed": "word_embeddings", "hook_pos_embed": "position_embeddings",
              "hook_token_type_embed": "token_type_embeddings"}
BERT = dict(
    base="bert", layers="encoder.layer", embeddings="embeddings", embed_norm="embeddings.LayerNorm", sum=EMBEDDINGS,
    attn="attention.self", q="attention.self.query", k="attention.self.key", v="attention.self.value",
    o="attention.output.dense", ln1="attention.output.LayerNorm", ln2="output.LayerNorm", down="output.dense",
    act="intermediate.intermediate_act_fn", form="post", rotary=False, head="cls.predictions.decoder",
    head_norm="cls.predictions.transform.LayerNorm", head_dense="cls.predictions.transform.dense", **{"in": "intermediate.dense"})
ROBERTA = dict(BERT, base="roberta", head="lm_head.decoder", head_norm="lm_head.layer_norm", head_dense="lm_head.dense")
FAMILY = {
    "bert": BERT,
    "bert-gamma": BERT,
    "bert-base-only": {k: v for k, v in BERT.items() if k not in ("base", "head", "head_norm", "head_dense")},
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "distilbert": dict(
        BERT, base="distilbert", layers="transformer.layer", sum={k: EMBEDDINGS[k] for k in list(EMBEDDINGS)[:2]},
        attn="attention", q="attention.q_lin", k="attention.k_lin", v="attention.v_lin", o="attention.out_lin",
        ln1="sa_layer_norm", ln2="output_layer_norm", down="ffn.lin2", act="ffn.activation", head="vocab_projector",
        head_norm="vocab_layer_norm", head_dense="vocab_transform", **{"in": "ffn.lin1"}),
    "electra-generator": dict(BERT, base="electra", projection="embeddings_project", head="generator_lm_head",
                              head_norm="generator_predictions.LayerNorm", head_dense="generator_predictions.dense"),
    "electra-discriminator": dict({k: v for k, v in BERT.items() if k != "head_norm"}, base="electra",
                                  head_dense="discriminator_predictions.dense",
                                  head="discriminator_predictions.dense_prediction"),
    "albert": dict(
        BERT, base="albert", layers="encoder.albert_layer_groups.0.albert_layers", attn="attention",
        projection="encoder.embedding_hidden_mapping_in", q="attention.query", k="attention.key", v="attention.value",
        o="attention.dense", ln1="attention.LayerNorm", ln2="full_layer_layer_norm", down="ffn_output",
        act="activation", head="predictions.decoder", head_norm="predictions.LayerNorm", head_dense="predictions.dense",
        **{"in": "ffn"}),
    "deberta-v2": dict(BERT, base="deberta", sum={"hook_embed": "word_embeddings"}, scale=None, disentangled=True,
                       q="attention.self.query_proj", k="attention.self.key_proj", v="attention.self.value_proj"),
    "modernbert": dict(
        base="model", layers="layers", embeddings="embeddings", embed_norm="embeddings.norm", rotary=True,
        sum={"hook_embed": "tok_embeddings"}, attn="attn", qkv="attn.Wqkv", o="attn.Wo", ln1="attn_norm",
        ln2="mlp_norm", gate_up="mlp.Wi", down="mlp.Wo", act="mlp.act", form="serial", final="final_norm",
        head="decoder", head_norm="head.norm", head_dense="head.dense", split=lambda x, n_head, n_kv: x.chunk(3, -1)),
}


def electra(**more):
    return hf.ElectraConfig(**{**SMALL, **more})


def variants():
    """{name: (model class, config)}"""
    padded = dict(SMALL, max_position_embeddings=34, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
                  layer_norm_eps=1e-5)
    deberta = dict(relative_attention=True, position_buckets=4, max_relative_positions=-1, pos_att_type=["p2c", "c2p"],
                   share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0)
    rope = {"full_attention": {"rope_type": "default", "rope_theta": 160000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    return {
        "bert": (hf.BertForMaskedLM, hf.BertConfig(**SMALL)),
        "bert-gamma": (hf.BertForMaskedLM, hf.BertConfig(**SMALL)),
        "bert-base-only": (hf.BertModel, hf.BertConfig(**SMALL)),
        "roberta": (hf.RobertaForMaskedLM, hf.RobertaConfig(**padded)),
        "xlm-roberta": (hf.XLMRobertaForMaskedLM, hf.XLMRobertaConfig(**padded)),
        "distilbert": (hf.DistilBertForMaskedLM, hf.DistilBertConfig(
            vocab_size=N_VOCAB, dim=16, n_layers=2, n_heads=4, hidden_dim=24, max_position_embeddings=32)),
        "electra-generator": (hf.ElectraForMaskedLM, electra(embedding_size=8)),
        "electra-discriminator": (hf.ElectraForPreTraining, electra(embedding_size=16)),
        "albert": (hf.AlbertForMaskedLM, hf.AlbertConfig(**dict(SMALL, num_hidden_layers=3), embedding_size=8)),
        "deberta-v2": (hf.DebertaV2ForMaskedLM, hf.DebertaV2Config(**SMALL, **deberta)),
        "modernbert": (hf.ModernBertForMaskedLM, hf.ModernBertConfig(
            **dict(SMALL, num_hidden_layers=4), global_attn_every_n_layers=3, local_attention=4, rope_parameters=rope,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2)),
    }


def old_modernbert(values):
    """ModernBERT's own files: bases and pattern of layers as numbers."""
    both = values.pop("rope_parameters")
    values.pop("layer_types")
    values.pop("sliding_window", None)
    return values | {"global_rope_theta": both["full_attention"]["rope_theta"], "global_attn_every_n_layers": 3,
                     "local_rope_theta": both["sliding_attention"]["rope_theta"], "local_attention": 4}


def old_deberta(values):
    """pos_att_type as one string, as microsoft/deberta-v3-* have it."""
    values.pop("legacy", None)
    return values | {"pos_att_type": "|".join(values["pos_att_type"])}


OLD_CONFIG = {"modernbert": old_modernbert, "deberta-v2": old_deberta, "bert-gamma": dict, "bert-base-only": dict}


def as_published(tensors):
    """bert-base-uncased: converted from TensorFlow, with gamma and beta and with what pre-training left."""
    left = {"bert.pooler.dense.weight": (16, 16), "bert.pooler.dense.bias": (16,),
            "cls.seq_relationship.weight": (2, 16), "cls.seq_relationship.bias": (2,)}
    tensors |= {name: torch.ones(shape) for name, shape in left.items()}
    ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for name in list(tensors):
        for new, old in ends.items():
            if name.endswith(new):
                tensors[name.removesuffix(new) + old] = tensors.pop(name)
    return tensors


def with_positions(tensors):
    """Buffers that older versions saved (MiniLM's file has it)."""
    return tensors | {"embeddings.position_ids": torch.arange(32)[None]}


RENAME = {"bert-gamma": as_published, "bert-base-only": with_positions}


def bucket(distance, n_bucket, longest):
    """DeBERTa's log buckets of a signed distance."""
    middle = n_bucket // 2
    if abs(distance) <= middle:
        return distance
    log = math.ceil(math.log(abs(distance) / middle) / math.log((longest - 1) / middle) * (middle - 1)) + middle
    return int(math.copysign(log, distance))


def disentangled(site, name, part, model):
    """Scores = (q_i k_j + q_i K(i - j) + k_j Q(i - j)) / sqrt(3 d_head), where K and Q are the key's and the query's
    matrix on the normalised embedding of the distance's bucket."""
    config, encoder = model.config, model.deberta.encoder
    table = encoder.LayerNorm(encoder.rel_embeddings.weight)
    q, k, scores = (site[f"{name}.{hook}"] for hook in ("hook_q", "hook_k", "hook_attn_scores"))
    n, n_head, d_head = q.shape
    at_k, at_q = (part[m](table).reshape(len(table), n_head, d_head) for m in ("k", "q"))
    for i in range(n):
        for j in range(n):
            r = bucket(i - j, config.position_buckets, config.max_position_embeddings) + config.position_buckets
            r = min(max(r, 0), len(table) - 1)
            sum_ = (q[i] * k[j] + q[i] * at_k[r] + k[j] * at_q[r]).sum(-1) / math.sqrt(3 * d_head)
            same(sum_, scores[:, i, j], f"{name}: score of {i} and {j}", 1e-5)


def run(name, model, ids):
    """Sites of one row of token ids, and logits where the model has any."""
    config, family = model.config, FAMILY[name]
    base = model.get_submodule(family.get("base", ""))
    n_head, n_layer = config.num_attention_heads, config.num_hidden_layers
    with torch.no_grad(), Capture(modelling(model)) as site:
        layers = list(base.get_submodule(family["layers"]))
        parts = [part_of(layer, family, n_head, n_head) for layer in layers]
        names = [f"blocks.{i}" for i in range(n_layer)]
        if len(parts) == n_layer:
            for block, part in zip(names, parts):
                watch(site, block, part)
        else:
            watch(site, names, parts[0])
        watch_ends(site, family, model, base)
        output = model(torch.tensor([ids]))
        if "logits" in output:
            site.put("logits", output.logits[0].reshape(len(ids), -1))
        for i, block in enumerate(names):
            part = parts[i % len(parts)]
            scale = family.get("scale", (config.hidden_size // n_head) ** -0.5)
            finish_attention(site, f"{block}.attn", part, n_head, n_head, family["rotary"], scale=scale)
            if "disentangled" in family:
                disentangled(site, f"{block}.attn", part, model)
            finish_mlp(site, f"{block}.mlp", part)
            finish_block(site, block, part, family["form"])
        finish_ends(site, family, base, n_layer)
    return sites_of(site)


def watch_ends(site, family, model, base):
    for hook, path in family["sum"].items():
        site.out_of(base.get_submodule(f"{family['embeddings']}.{path}"), hook)
    site.norm(base.get_submodule(family["embed_norm"]), "embed.ln")
    if "final" in family:
        site.norm(base.get_submodule(family["final"]), "ln_final")
    if "head_norm" in family:
        site.norm(model.get_submodule(family["head_norm"]), "mlm_head.ln")
    if "head_dense" in family:
        site.into(model.get_submodule(family["head_dense"]), "mlm_head.dense.hook_in")
        site.out_of(model.get_submodule(family["head_dense"]), "mlm_head.dense.hook_out")
    if "head" in family:
        site.into(model.get_submodule(family["head"]), "unembed.hook_in")
        site.out_of(model.get_submodule(family["head"]), "unembed.hook_out")


def finish_ends(site, family, base, n_layer):
    """With a projection after the embedding norm, the sites before it have fewer columns than the residual stream."""
    value = site.value
    total = sum(value[hook] for hook in family["sum"])
    scale, normalized = value["embed.ln.hook_scale"], value["embed.ln.hook_normalized"]
    same(total - total.mean(-1, keepdim=True), normalized * scale, "sum of the embeddings")
    into = site.put("hook_full_embed", value["embed.ln.out"])
    if "projection" in family:
        into = base.get_submodule(family["projection"])(into)
    out = "hook_normalized_resid_post" if family["form"] == "post" else "hook_resid_post"
    for i in range(n_layer):
        same(into, value[f"blocks.{i}.hook_resid_pre"], f"blocks.{i}.hook_resid_pre")
        into = value[f"blocks.{i}.{out}"]
    if "head_norm" in family:
        same(value["mlm_head.ln.out"], value["unembed.hook_in"], "unembed.hook_in")
    if "head" in family:
        same(value["unembed.hook_out"], value["logits"], "logits")
