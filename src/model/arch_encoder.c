/* Encoders: BERT, RoBERTa, DistilBERT, ELECTRA, ALBERT, DeBERTa, ModernBERT. All but the last have their norms behind
 * the branches. */
#include "model/arch_rows.h"

#include "base/base.h"
#include "model/config.h"

#include <math.h>
#include <string.h>

#define POST_NORM_WITH(function)                                                                                       \
	.norm = SN_NORM_LAYER, .post_norm = true, .bidirectional = true, .act = function, .head_act = function
#define POST_NORM POST_NORM_WITH(SN_ACT_GELU)
#define HEAD_PARTS (OPTIONAL(HEAD) | OPTIONAL(HEAD_B) | OPTIONAL(HEAD_NORM) | OPTIONAL(HEAD_NORM_B) |                  \
	OPTIONAL(UNEMBED_B))
/* Embeddings and blocks as BERT names them, below a prefix; q, k, v: of the three projections. */
#define BERT_EMBEDDINGS(p) PLAIN(EMBED, p "embeddings.word_embeddings.weight"),                                        \
	PLAIN(POS_EMBED, p "embeddings.position_embeddings.weight"),                                                       \
	PLAIN(TYPE_EMBED, p "embeddings.token_type_embeddings.weight"), BOTH(EMBED_NORM, p "embeddings.LayerNorm")
#define BERT_BLOCKS(p, q, k, v)                                                                                        \
	BOTH(Q, p "encoder.layer.%d.attention.self." q), BOTH(K, p "encoder.layer.%d.attention.self." k),                  \
		BOTH(V, p "encoder.layer.%d.attention.self." v), BOTH(O, p "encoder.layer.%d.attention.output.dense"),         \
		BOTH(ATTN_NORM, p "encoder.layer.%d.attention.output.LayerNorm"),                                              \
		BOTH(UP, p "encoder.layer.%d.intermediate.dense"), BOTH(DOWN, p "encoder.layer.%d.output.dense"),              \
		BOTH(MLP_NORM, p "encoder.layer.%d.output.LayerNorm")
#define BERT(p) BERT_EMBEDDINGS(p), BERT_BLOCKS(p, "query", "key", "value")

/* ---- what their configs share ---- */

static sn_status refuse(const sn_json *config)
{
	const char *kind;
	SN_TRY(sn_json_string_or(config, config->root, "position_embedding_type", "absolute", &kind));
	if (strcmp(kind, "absolute") != 0)
		return sn_json_fail(config, config->root, "position_embedding_type", SN_EUNKNOWN, "\"%.64s\"; known: absolute",
		                    kind);
	SN_TRY(sn_config_only(config, "is_decoder", false, false, "encoders attend both ways"));
	return sn_config_only(config, "add_cross_attention", false, false, "the encoder stands alone");
}

static sn_status configure_bert(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	s->form.head_act = s->form.act;
	SN_TRY(sn_config_int(config, SN_KEYS("embedding_size"), s->d_model, 1, 1 << 20, &s->d_embed));
	return refuse(config);
}

/* ---- BERT, RoBERTa, DistilBERT ---- */

static const sn_arch bert = {
	.gguf_name = "bert", .model_type = "bert", .norm_eps = 1e-12, .tied = true, .needs_head = true,
	.form = { POST_NORM, .position = SN_POSITION_LEARNED }, .prefix = "bert.",
	.optional = HEAD_PARTS | OPTIONAL(TYPE_EMBED),
	.gguf = { PLAIN(EMBED, "token_embd.weight"), PLAIN(POS_EMBED, "position_embd.weight"),
	          PLAIN(TYPE_EMBED, "token_types.weight"), BOTH(EMBED_NORM, "token_embd_norm"), GGUF_ATTN, GGUF_MLP,
	          BOTH(ATTN_NORM, "blk.%d.attn_output_norm"), BOTH(MLP_NORM, "blk.%d.layer_output_norm") },
	.hf = { BERT("bert."), BOTH(HEAD, "cls.predictions.transform.dense"),
	        BOTH(HEAD_NORM, "cls.predictions.transform.LayerNorm"), PLAIN(UNEMBED, "cls.predictions.decoder.weight"),
	        PLAIN(UNEMBED_B, "cls.predictions.bias|cls.predictions.decoder.bias") },
	.configure = configure_bert,
};

/* Positions are counted from the one behind that of padding. */
static sn_status configure_roberta(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	int64_t padding;
	SN_TRY(configure_bert(ctx, config, arena, s));
	s->form.head_act = SN_ACT_GELU;
	SN_TRY(sn_config_int(config, SN_KEYS("pad_token_id"), 1, 0, 1 << 20, &padding));
	s->form.position_offset = (int)padding + 1;
	return SN_OK;
}

#define ROBERTA(type)                                                                                                  \
	{                                                                                                                  \
		.model_type = type, .norm_eps = 1e-12, .tied = true, .needs_head = true,                                       \
		.form = { POST_NORM, .position = SN_POSITION_LEARNED, .position_offset = 2 }, .prefix = "roberta.",            \
		.optional = HEAD_PARTS | OPTIONAL(TYPE_EMBED),                                                                 \
		.hf = { BERT("roberta."), BOTH(HEAD, "lm_head.dense"), BOTH(HEAD_NORM, "lm_head.layer_norm"),                  \
				PLAIN(UNEMBED, "lm_head.decoder.weight"), PLAIN(UNEMBED_B, "lm_head.bias|lm_head.decoder.bias") },     \
		.configure = configure_roberta,                                                                                \
	}
static const sn_arch roberta = ROBERTA("roberta"), xlm_roberta = ROBERTA("xlm-roberta"),
					 camembert = ROBERTA("camembert");

static sn_status configure_distilbert(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)config;
	(void)arena;
	s->norm_eps = 1e-12;   /* no key changes it */
	s->form.head_act = s->form.act;
	return SN_OK;
}

#define DISTIL "distilbert.transformer.layer.%d."
static const sn_arch distilbert = {
	.model_type = "distilbert",
	.norm_eps = 1e-12,
	.tied = true,
	.needs_head = true,
	.form = { POST_NORM, .position = SN_POSITION_LEARNED },
	.prefix = "distilbert.",
	.optional = HEAD_PARTS,
	.hf = { PLAIN(EMBED, "distilbert.embeddings.word_embeddings.weight"),
			PLAIN(POS_EMBED, "distilbert.embeddings.position_embeddings.weight"),
			BOTH(EMBED_NORM, "distilbert.embeddings.LayerNorm"), BOTH(Q, DISTIL "attention.q_lin"),
			BOTH(K, DISTIL "attention.k_lin"), BOTH(V, DISTIL "attention.v_lin"), BOTH(O, DISTIL "attention.out_lin"),
			BOTH(ATTN_NORM, DISTIL "sa_layer_norm"), BOTH(UP, DISTIL "ffn.lin1"), BOTH(DOWN, DISTIL "ffn.lin2"),
			BOTH(MLP_NORM, DISTIL "output_layer_norm"), BOTH(HEAD, "vocab_transform"),
			BOTH(HEAD_NORM, "vocab_layer_norm"), BOTH(UNEMBED, "vocab_projector") },
	.configure = configure_distilbert,
};

/* ---- ELECTRA: a generator of words, or a discriminator with one logit a token ---- */

static sn_status configure_generator(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	SN_TRY(configure_bert(ctx, config, arena, s));
	s->form.head_act = SN_ACT_GELU;
	return SN_OK;
}

static sn_status configure_discriminator(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	SN_TRY(configure_bert(ctx, config, arena, s));
	s->tied = false;
	s->n_logit = 1;
	return SN_OK;
}

#define ELECTRA_ROW .model_type = "electra", .norm_eps = 1e-12, .needs_head = true, .prefix = "electra.",              \
	.form = { POST_NORM, .position = SN_POSITION_LEARNED }
#define ELECTRA_BODY BERT("electra."), BOTH(PROJECT, "electra.embeddings_project")
#define PROJECTION (OPTIONAL(PROJECT) | OPTIONAL(PROJECT_B))

static const sn_arch discriminator = {
	ELECTRA_ROW, .optional = HEAD_PARTS | PROJECTION | OPTIONAL(TYPE_EMBED),
	.hf = { ELECTRA_BODY, BOTH(HEAD, "discriminator_predictions.dense"),
	        BOTH(UNEMBED, "discriminator_predictions.dense_prediction") },
	.configure = configure_discriminator,
};
static const sn_arch electra = {
	ELECTRA_ROW, .tied = true, .optional = HEAD_PARTS | PROJECTION | OPTIONAL(TYPE_EMBED),
	.hf = { ELECTRA_BODY, BOTH(HEAD, "generator_predictions.dense"), BOTH(HEAD_NORM, "generator_predictions.LayerNorm"),
	        BOTH(UNEMBED, "generator_lm_head") },
	.configure = configure_generator, .otherwise = &discriminator,
};

/* ---- ALBERT: blocks share weights ---- */

static sn_status configure_albert(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	int64_t groups, inner;
	SN_TRY(configure_bert(ctx, config, arena, s));
	SN_TRY(sn_config_int(config, SN_KEYS("num_hidden_groups"), 1, 1, s->n_layer, &groups));
	SN_TRY(sn_config_int(config, SN_KEYS("inner_group_num"), 1, 1, 4096, &inner));
	if (inner != 1)
		return sn_json_fail(config, config->root, "inner_group_num", SN_EUNKNOWN, "%lld; known: 1", (long long)inner);
	if (s->n_layer % groups)
		return sn_json_fail(config, config->root, "num_hidden_groups", SN_EUNKNOWN,
		                    "%lld groups do not share %d blocks evenly", (long long)groups, s->n_layer);
	s->n_group = (int)groups;
	return SN_OK;
}

#define GROUP "albert.encoder.albert_layer_groups.%d.albert_layers.0."
static const sn_arch albert = {
	.model_type = "albert",
	.norm_eps = 1e-12,
	.tied = true,
	.needs_head = true,
	.form = { POST_NORM_WITH(SN_ACT_GELU_TANH), .position = SN_POSITION_LEARNED },
	.prefix = "albert.",
	.optional = HEAD_PARTS | OPTIONAL(TYPE_EMBED),
	.hf = { BERT_EMBEDDINGS("albert."), BOTH(PROJECT, "albert.encoder.embedding_hidden_mapping_in"),
			BOTH(Q, GROUP "attention.query"), BOTH(K, GROUP "attention.key"), BOTH(V, GROUP "attention.value"),
			BOTH(O, GROUP "attention.dense"), BOTH(ATTN_NORM, GROUP "attention.LayerNorm"), BOTH(UP, GROUP "ffn"),
			BOTH(DOWN, GROUP "ffn_output"), BOTH(MLP_NORM, GROUP "full_layer_layer_norm"),
			BOTH(HEAD, "predictions.dense"), BOTH(HEAD_NORM, "predictions.LayerNorm"),
			PLAIN(UNEMBED, "predictions.decoder.weight"),
			PLAIN(UNEMBED_B, "predictions.bias|predictions.decoder.bias") },
	.configure = configure_albert,
};

/* ---- DeBERTa v2 and v3: content and position disentangled ---- */

static sn_status read_term(const sn_json *config, const char *term, size_t size, sn_shape *s)
{
	bool c2p = size == 3 && memcmp(term, "c2p", 3) == 0, p2c = size == 3 && memcmp(term, "p2c", 3) == 0;
	s->form.c2p |= c2p;
	s->form.p2c |= p2c;
	if (c2p || p2c) return SN_OK;
	return sn_json_fail(config, config->root, "pos_att_type", SN_EUNKNOWN, "\"%.*s\"; known: c2p, p2c",
	                    (int)SN_MIN(size, (size_t)64), term);
}

/* pos_att_type: a list, or "p2c|c2p". */
static sn_status read_terms(const sn_json *config, sn_shape *s)
{
	const json_t *value = json_object_get(config->root, "pos_att_type");
	for (size_t i = 0; i < json_array_size(value); i++) {
		const char *term = json_string_value(json_array_get(value, i));
		SN_TRY(read_term(config, term ? term : "", term ? strlen(term) : 0, s));
	}
	for (const char *text = json_string_value(value); text && *text;) {
		size_t size = strcspn(text, "|");
		SN_TRY(read_term(config, text, size, s));
		text += size + (text[size] == '|');
	}
	return SN_OK;
}

static sn_status read_span(const sn_json *config, sn_shape *s)
{
	int64_t most, buckets;
	SN_TRY(sn_config_int(config, SN_KEYS("max_relative_positions"), -1, -1, 1 << 20, &most));
	SN_TRY(sn_config_int(config, SN_KEYS("position_buckets"), -1, -1, 1 << 20, &buckets));
	s->max_distance = most < 1 ? s->n_ctx : most;
	s->rel_buckets = SN_MAX(buckets, (int64_t)0);
	s->rel_span = s->rel_buckets ? s->rel_buckets : s->max_distance;
	return SN_OK;
}

/* Which parts there are: norms of the position embeddings, projections of their own, added positions. */
static sn_status read_parts(const sn_json *config, sn_shape *s)
{
	const uint64_t query = SN_PART_BIT(REL_Q) | SN_PART_BIT(REL_Q_B), key = SN_PART_BIT(REL_K) | SN_PART_BIT(REL_K_B);
	bool added, shared;
	const char *norm;
	SN_TRY(sn_json_bool_or(config, config->root, "position_biased_input", true, &added));
	SN_TRY(sn_json_bool_or(config, config->root, "share_att_key", false, &shared));
	SN_TRY(sn_json_string_or(config, config->root, "norm_rel_ebd", "none", &norm));
	if (!added) sn_config_without(s, SN_PART_BIT(POS_EMBED));
	if (!strstr(norm, "layer_norm")) sn_config_without(s, SN_PART_BIT(REL_NORM) | SN_PART_BIT(REL_NORM_B));
	sn_config_without(s, (shared || !s->form.p2c ? query : 0) | (shared || !s->form.c2p ? key : 0));
	return SN_OK;
}

static sn_status refuse_deberta(const sn_json *config, const sn_shape *s)
{
	int64_t kernel, width;
	SN_TRY(sn_config_int(config, SN_KEYS("conv_kernel_size"), 0, 0, 1 << 20, &kernel));
	if (kernel > 0)
		return sn_json_fail(config, config->root, "conv_kernel_size", SN_EUNKNOWN,
		                    "%lld: a convolution beside the first block; known: 0", (long long)kernel);
	SN_TRY(sn_config_int(config, SN_KEYS("embedding_size"), s->d_model, 1, 1 << 20, &width));
	if (width == s->d_model) return SN_OK;
	return sn_json_fail(config, config->root, "embedding_size", SN_EUNKNOWN, "%lld; known: hidden_size, %lld",
	                    (long long)width, (long long)s->d_model);
}

static sn_status configure_deberta(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool relative;
	int64_t d_head;
	SN_TRY(configure_bert(ctx, config, arena, s));
	SN_TRY(refuse_deberta(config, s));
	SN_TRY(sn_config_int(config, SN_KEYS("attention_head_size"), s->d_head, 1, 8192, &d_head));
	SN_TRY(sn_json_bool_or(config, config->root, "relative_attention", false, &relative));
	SN_TRY(read_terms(config, s));
	SN_TRY(read_parts(config, s));
	s->d_head = (int)d_head;
	s->form.attn_scale = 1 / sqrt((double)d_head * (1 + s->form.c2p + s->form.p2c));
	if (relative) return read_span(config, s);
	s->form.position = sn_has(s, SN_PART_POS_EMBED) ? SN_POSITION_LEARNED : SN_POSITION_NONE;
	return SN_OK;
}

static const sn_arch deberta = {
	.model_type = "deberta-v2", .norm_eps = 1e-7, .tied = true, .needs_head = true,
	.form = { POST_NORM, .position = SN_POSITION_DISENTANGLED }, .prefix = "deberta.",
	.optional = HEAD_PARTS | OPTIONAL(TYPE_EMBED),
	.hf = { BERT_EMBEDDINGS("deberta."), BERT_BLOCKS("deberta.", "query_proj", "key_proj", "value_proj"),
	        PLAIN(REL_EMBED, "deberta.encoder.rel_embeddings.weight"), BOTH(REL_NORM, "deberta.encoder.LayerNorm"),
	        BOTH(REL_Q, "deberta.encoder.layer.%d.attention.self.pos_query_proj"),
	        BOTH(REL_K, "deberta.encoder.layer.%d.attention.self.pos_key_proj"),
	        PLAIN(HEAD, "cls.predictions.transform.dense.weight|lm_predictions.lm_head.dense.weight"),
	        PLAIN(HEAD_B, "cls.predictions.transform.dense.bias|lm_predictions.lm_head.dense.bias"),
	        PLAIN(HEAD_NORM, "cls.predictions.transform.LayerNorm.weight|lm_predictions.lm_head.LayerNorm.weight"),
	        PLAIN(HEAD_NORM_B, "cls.predictions.transform.LayerNorm.bias|lm_predictions.lm_head.LayerNorm.bias"),
	        PLAIN(UNEMBED, "cls.predictions.decoder.weight"),
	        PLAIN(UNEMBED_B, "cls.predictions.bias|cls.predictions.decoder.bias|lm_predictions.lm_head.bias") },
	.configure = configure_deberta,
};

/* ---- ModernBERT: rotary, gated, norms first; local attention in most blocks ---- */

static sn_status configure_modernbert(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	int64_t window, every;
	if (json_is_object(json_object_get(config->root, "rope_scaling")))
		return sn_json_fail(config, config->root, "rope_scaling", SN_EUNKNOWN, "known for this architecture: none");
	SN_TRY(sn_config_act(config, SN_KEYS("classifier_activation"), SN_ACT_GELU, &s->form.head_act));
	SN_TRY(sn_config_int(config, SN_KEYS("local_attention"), 128, 2, 1 << 30, &window));
	SN_TRY(sn_config_int(config, SN_KEYS("global_attn_every_n_layers"), 3, 1, 1 << 20, &every));
	return sn_config_windows(ctx, config, arena, s, window / 2, 0, every, 0);
}

#define MODERN "model.layers.%d."
#define WQKV(part)                                                                                                     \
	LAID(part, MODERN "attn.Wqkv.weight", SN_STACKED), LAID(part##_B, MODERN "attn.Wqkv.bias", SN_STACKED)
#define WI(part) LAID(part, MODERN "mlp.Wi.weight", SN_STACKED), LAID(part##_B, MODERN "mlp.Wi.bias", SN_STACKED)
static const sn_arch modernbert = {
	.model_type = "modernbert", .norm_eps = 1e-5, .rope_base = 160000, .rope_local = 10000, .tied = true,
	.needs_head = true, .prefix = "model.",
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .first_attn_bare = true, .bidirectional = true, .gated = true,
	          .act = SN_ACT_GELU, .head_act = SN_ACT_GELU },
	.optional = ALL_BIASES | HEAD_PARTS | OPTIONAL(EMBED_NORM_B) | OPTIONAL(ATTN_NORM_B) | OPTIONAL(MLP_NORM_B) |
	            OPTIONAL(FINAL_NORM_B),
	.hf = { PLAIN(EMBED, "model.embeddings.tok_embeddings.weight"), BOTH(EMBED_NORM, "model.embeddings.norm"),
	        BOTH(ATTN_NORM, MODERN "attn_norm"), WQKV(Q), WQKV(K), WQKV(V), BOTH(O, MODERN "attn.Wo"),
	        BOTH(MLP_NORM, MODERN "mlp_norm"), WI(GATE), WI(UP), BOTH(DOWN, MODERN "mlp.Wo"),
	        BOTH(FINAL_NORM, "model.final_norm"), BOTH(HEAD, "head.dense"), BOTH(HEAD_NORM, "head.norm"),
	        BOTH(UNEMBED, "decoder") },
	.configure = configure_modernbert,
};

const sn_arch *const sn_arch_encoders[] = { &bert, &roberta, &xlm_roberta, &camembert, &distilbert, &electra, &albert,
                                            &deberta, &modernbert };
const int sn_arch_n_encoders = SN_COUNT(sn_arch_encoders);
