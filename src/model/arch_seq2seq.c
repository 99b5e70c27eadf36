/* Encoder-decoders: T5 (v1.0, v1.1, mT5), BART, mBART, Marian. Each has a row for each of its stacks. */
#include "model/arch_rows.h"

#include "base/base.h"
#include "model/config.h"

#include <math.h>
#include <string.h>

/* ---- T5: bucketed distances instead of positions, unscaled scores ---- */

/* "relu", "gated-gelu" (whose GELU is the tanh approximation) … */
static sn_status read_mlp(const sn_json *config, const char *missing, sn_form *form)
{
	const char *text;
	SN_TRY(sn_json_string_or(config, config->root, "feed_forward_proj", missing, &text));
	form->gated = strncmp(text, "gated-", 6) == 0;
	int act = sn_config_act_named(form->gated ? text + 6 : text);
	if (act < 0)
		return sn_json_fail(config, config->root, "feed_forward_proj", SN_EUNKNOWN,
		                    "\"%.64s\"; known: relu, gated-gelu, gated-silu", text);
	form->act = form->gated && act == SN_ACT_GELU ? SN_ACT_GELU_TANH : (sn_act)act;
	return SN_OK;
}

static sn_status configure_distances(const sn_json *config, const char *mlp, sn_shape *s)
{
	SN_TRY(read_mlp(config, mlp, &s->form));
	s->tied = true;   /* whether it is, the file's tensors say */
	return sn_config_int(config, SN_KEYS("relative_attention_max_distance"), 128, 2, 1 << 20, &s->max_distance);
}

/* The first T5 scales what enters the tied unembedding. transformers 5 calls every T5 tied and says it by itself. */
static sn_status configure_t5(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool scaled;
	(void)ctx;
	(void)arena;
	SN_TRY(sn_json_bool_or(config, config->root, "tie_word_embeddings", true, &scaled));
	SN_TRY(sn_json_bool_or(config, config->root, "scale_decoder_outputs", scaled, &scaled));
	if (scaled && s->form.cross) s->form.head_scale = 1 / sqrt((double)s->d_model);
	return configure_distances(config, "relu", s);
}

static sn_status configure_mt5(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	return configure_distances(config, "gated-gelu", s);
}

#define T5_FORM .norm = SN_NORM_RMS, .pre_norm = true, .position = SN_POSITION_BUCKETS, .attn_scale = 1
#define T5_STACK(side, mlp) PLAIN(EMBED, "shared.weight|" side ".embed_tokens.weight"),                                \
	PLAIN(REL_BIAS, side ".block.0.layer.0.SelfAttention.relative_attention_bias.weight"),                             \
	PLAIN(ATTN_NORM, side ".block.%d.layer.0.layer_norm.weight"),                                                      \
	PLAIN(Q, side ".block.%d.layer.0.SelfAttention.q.weight"),                                                         \
	PLAIN(K, side ".block.%d.layer.0.SelfAttention.k.weight"),                                                         \
	PLAIN(V, side ".block.%d.layer.0.SelfAttention.v.weight"),                                                         \
	PLAIN(O, side ".block.%d.layer.0.SelfAttention.o.weight"),                                                         \
	PLAIN(MLP_NORM, side ".block.%d.layer." mlp ".layer_norm.weight"),                                                 \
	PLAIN(GATE, side ".block.%d.layer." mlp ".DenseReluDense.wi_0.weight"),                                            \
	PLAIN(UP, side ".block.%d.layer." mlp ".DenseReluDense.wi_1.weight|"                                               \
	          side ".block.%d.layer." mlp ".DenseReluDense.wi.weight"),                                                \
	PLAIN(DOWN, side ".block.%d.layer." mlp ".DenseReluDense.wo.weight"),                                              \
	PLAIN(FINAL_NORM, side ".final_layer_norm.weight")
#define T5_CROSS PLAIN(CROSS_NORM, "decoder.block.%d.layer.1.layer_norm.weight"),                                      \
	PLAIN(CROSS_Q, "decoder.block.%d.layer.1.EncDecAttention.q.weight"),                                               \
	PLAIN(CROSS_K, "decoder.block.%d.layer.1.EncDecAttention.k.weight"),                                               \
	PLAIN(CROSS_V, "decoder.block.%d.layer.1.EncDecAttention.v.weight"),                                               \
	PLAIN(CROSS_O, "decoder.block.%d.layer.1.EncDecAttention.o.weight"), PLAIN(UNEMBED, "lm_head.weight")
#define T5_ENCODER(type, function) {                                                                                   \
	.model_type = type, .norm_eps = 1e-6, .form = { T5_FORM, .bidirectional = true, .rel_bidirectional = true },       \
	.hf = { T5_STACK("encoder", "1") }, .configure = function,                                                         \
}
#define T5_DECODER(type, function, other) {                                                                            \
	.model_type = type, .norm_eps = 1e-6, .tied = true, .form = { T5_FORM, .cross = true },                            \
	.hf = { T5_STACK("decoder", "2"), T5_CROSS }, .configure = function, .encoder = other,                             \
}
static const sn_arch t5_encoder = T5_ENCODER("t5", configure_t5), mt5_encoder = T5_ENCODER("mt5", configure_mt5);
static const sn_arch t5 = T5_DECODER("t5", configure_t5, &t5_encoder);
static const sn_arch mt5 = T5_DECODER("mt5", configure_mt5, &mt5_encoder);

/* ---- BART, mBART, Marian ---- */

static sn_status configure_bart(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool scaled;
	(void)ctx;
	(void)arena;
	s->norm_eps = 1e-5;   /* no key changes it */
	SN_TRY(sn_json_bool_or(config, config->root, "scale_embedding", false, &scaled));
	if (scaled) s->form.embed_scale = sqrt((double)s->d_model);
	return SN_OK;
}

#define SIDE(side) "model." side ".layers.%d."
#define BART_STACK(side) PLAIN(EMBED, "model." side ".embed_tokens.weight|model.shared.weight"),                       \
	BOTH(Q, SIDE(side) "self_attn.q_proj"), BOTH(K, SIDE(side) "self_attn.k_proj"),                                    \
	BOTH(V, SIDE(side) "self_attn.v_proj"), BOTH(O, SIDE(side) "self_attn.out_proj"),                                  \
	BOTH(ATTN_NORM, SIDE(side) "self_attn_layer_norm"), BOTH(UP, SIDE(side) "fc1"), BOTH(DOWN, SIDE(side) "fc2"),      \
	BOTH(MLP_NORM, SIDE(side) "final_layer_norm")
#define BART_POSITIONS(side) PLAIN(POS_EMBED, "model." side ".embed_positions.weight"),                                \
	BOTH(EMBED_NORM, "model." side ".layernorm_embedding")
#define BART_FINAL(side) BOTH(FINAL_NORM, "model." side ".layer_norm")
#define BART_CROSS BOTH(CROSS_NORM, SIDE("decoder") "encoder_attn_layer_norm"),                                        \
	BOTH(CROSS_Q, SIDE("decoder") "encoder_attn.q_proj"), BOTH(CROSS_K, SIDE("decoder") "encoder_attn.k_proj"),        \
	BOTH(CROSS_V, SIDE("decoder") "encoder_attn.v_proj"), BOTH(CROSS_O, SIDE("decoder") "encoder_attn.out_proj"),      \
	PLAIN(UNEMBED, "lm_head.weight"), PLAIN(UNEMBED_B, "final_logits_bias")
#define BART_FORM .norm = SN_NORM_LAYER, .post_norm = true, .act = SN_ACT_GELU, .position = SN_POSITION_LEARNED,       \
	.position_offset = 2
#define MBART_FORM .norm = SN_NORM_LAYER, .pre_norm = true, .act = SN_ACT_GELU, .position = SN_POSITION_LEARNED,       \
	.position_offset = 2
#define MARIAN_FORM .norm = SN_NORM_LAYER, .post_norm = true, .act = SN_ACT_GELU, .position = SN_POSITION_SINUSOIDAL
#define BART_ROW(type) .model_type = type, .prefix = "model.", .configure = configure_bart
#define BART_DECODER(type, other) BART_ROW(type), .tied = true, .optional = OPTIONAL(UNEMBED_B), .encoder = other

static const sn_arch bart_encoder = {
	BART_ROW("bart"), .form = { BART_FORM, .bidirectional = true },
	.hf = { BART_STACK("encoder"), BART_POSITIONS("encoder") },
};
static const sn_arch bart = {
	BART_DECODER("bart", &bart_encoder), .form = { BART_FORM, .cross = true },
	.hf = { BART_STACK("decoder"), BART_POSITIONS("decoder"), BART_CROSS },
};
static const sn_arch mbart_encoder = {
	BART_ROW("mbart"), .form = { MBART_FORM, .bidirectional = true },
	.hf = { BART_STACK("encoder"), BART_POSITIONS("encoder"), BART_FINAL("encoder") },
};
static const sn_arch mbart = {
	BART_DECODER("mbart", &mbart_encoder), .form = { MBART_FORM, .cross = true },
	.hf = { BART_STACK("decoder"), BART_POSITIONS("decoder"), BART_FINAL("decoder"), BART_CROSS },
};
static const sn_arch marian_encoder = {
	BART_ROW("marian"), .form = { MARIAN_FORM, .bidirectional = true }, .hf = { BART_STACK("encoder") },
};
static const sn_arch marian = {
	BART_DECODER("marian", &marian_encoder), .form = { MARIAN_FORM, .cross = true },
	.hf = { BART_STACK("decoder"), BART_CROSS },
};

const sn_arch *const sn_arch_seq2seqs[] = { &t5, &mt5, &bart, &mbart, &marian };
const int sn_arch_n_seq2seqs = SN_COUNT(sn_arch_seq2seqs);
