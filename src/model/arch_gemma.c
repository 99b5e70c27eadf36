/* Gemma, Gemma 2, Gemma 3: scaled embeddings, gains less one in Hugging Face files, tanh-GELU gates; from 2 on norms of
 * what branches give, windows, and other score scales. */
#include "model/arch_rows.h"

#include "base/base.h"
#include "model/config.h"

#include <math.h>

#define BLOCK "model.layers.%d."
#define HF_COMMON PLAIN(EMBED, "model.embed_tokens.weight"), PLAIN(ATTN_NORM, BLOCK "input_layernorm.weight"),         \
	BOTH(Q, BLOCK "self_attn.q_proj"), BOTH(K, BLOCK "self_attn.k_proj"), BOTH(V, BLOCK "self_attn.v_proj"),           \
	BOTH(O, BLOCK "self_attn.o_proj"), PLAIN(GATE, BLOCK "mlp.gate_proj.weight"),                                      \
	PLAIN(UP, BLOCK "mlp.up_proj.weight"), PLAIN(DOWN, BLOCK "mlp.down_proj.weight"),                                  \
	PLAIN(FINAL_NORM, "model.norm.weight"), PLAIN(UNEMBED, "lm_head.weight")
#define HF_FOUR_NORMS PLAIN(ATTN_POST_NORM, BLOCK "post_attention_layernorm.weight"),                                  \
	PLAIN(MLP_NORM, BLOCK "pre_feedforward_layernorm.weight"),                                                         \
	PLAIN(MLP_POST_NORM, BLOCK "post_feedforward_layernorm.weight")
#define GGUF_FOUR_NORMS PLAIN(ATTN_POST_NORM, "blk.%d.post_attention_norm.weight"),                                    \
	PLAIN(MLP_POST_NORM, "blk.%d.post_ffw_norm.weight")
#define GEMMA_FORM .norm = SN_NORM_RMS, .pre_norm = true, .gated = true, .act = SN_ACT_GELU_TANH
#define GEMMA_ROW .norm_eps = 1e-6, .norm_plus_one = true, .tied = true, .optional = ALL_BIASES

static sn_status soft_cap(const sn_json *config, const char *key, double missing, double *out)
{
	SN_TRY(sn_json_f64_or(config, config->root, key, json_object_get(config->root, key) ? 0 : missing, out));
	if (*out >= 0 && *out < 1e9) return SN_OK;
	return sn_json_fail(config, config->root, key, SN_ESHAPE, "%g; expected more than 0", *out);
}

/* "gelu" in the first configs is the tanh approximation all the same. */
static sn_status configure_gemma(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	if (s->form.act == SN_ACT_GELU) s->form.act = SN_ACT_GELU_TANH;
	s->form.embed_scale = sqrt((double)s->d_model);
	return sn_config_only(config, "use_bidirectional_attention", false, false, "tokens attend to earlier ones only");
}

/* cap: of scores and logits where the config does not say. */
static sn_status configure_later(const sn_json *config, double score_cap, double logit_cap, sn_shape *s)
{
	double scalar;
	s->form.embed_scale = sqrt((double)s->d_model);
	SN_TRY(sn_config_only(config, "use_bidirectional_attention", false, false, "tokens attend to earlier ones only"));
	SN_TRY(soft_cap(config, "attn_logit_softcapping", score_cap, &s->form.attn_softcap));
	SN_TRY(soft_cap(config, "final_logit_softcapping", logit_cap, &s->form.logit_softcap));
	SN_TRY(sn_json_f64_or(config, config->root, "query_pre_attn_scalar", 256, &scalar));
	if (!(scalar > 0 && scalar < 1e9))
		return sn_json_fail(config, config->root, "query_pre_attn_scalar", SN_ESHAPE, "%g; expected more than 0",
							scalar);
	s->form.attn_scale = 1 / sqrt(scalar);
	return SN_OK;
}

static sn_status configure_gemma2(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	int64_t window;
	SN_TRY(configure_later(config, 50, 30, s));
	SN_TRY(sn_config_int(config, SN_KEYS("sliding_window"), 4096, 1, 1 << 30, &window));
	return sn_config_windows(ctx, config, arena, s, window, 0, 2, 1);
}

static sn_status configure_gemma3(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	int64_t window, every;
	SN_TRY(configure_later(config, 0, 0, s));
	SN_TRY(sn_config_int(config, SN_KEYS("sliding_window"), 4096, 1, 1 << 30, &window));
	SN_TRY(sn_config_int(config, SN_KEYS("sliding_window_pattern", "_sliding_window_pattern"), 6, 1, 1 << 20, &every));
	return sn_config_windows(ctx, config, arena, s, window, 0, every, 1);
}

/* ---- GGUF: scales of scores stand in no key; the 27-billion models are told by their depth, as llama.cpp tells them
 * ---- */

static sn_status configure_gemma_gguf(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)file;
	(void)arena;
	s->form.embed_scale = sqrt((double)s->d_model);
	return SN_OK;
}

static sn_status configure_gemma2_gguf(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	s->form.embed_scale = sqrt((double)s->d_model);
	s->form.attn_scale = 1 / sqrt(s->n_layer == 46 ? (double)s->d_model / s->n_head : (double)s->d_head);
	SN_TRY(sn_gguf_f64_or(file, "gemma2.attn_logit_softcapping", 50, &s->form.attn_softcap));
	return sn_gguf_f64_or(file, "gemma2.final_logit_softcapping", 30, &s->form.logit_softcap);
}

static sn_status configure_gemma3_gguf(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)file;
	(void)arena;
	s->form.embed_scale = sqrt((double)s->d_model);
	s->form.attn_scale = 1 / sqrt(s->n_layer == 62 ? (double)s->d_model / s->n_head : (double)s->d_head);
	return SN_OK;
}

/* ---- rows ---- */

static const sn_arch gemma = {
	.gguf_name = "gemma", .model_type = "gemma", GEMMA_ROW, .form = { GEMMA_FORM }, .prefix = "model.",
	.gguf = { GGUF_ENDS, GGUF_NORMS, GGUF_ATTN, GGUF_GATED },
	.hf = { HF_COMMON, PLAIN(MLP_NORM, BLOCK "post_attention_layernorm.weight") },
	.configure = configure_gemma, .configure_gguf = configure_gemma_gguf,
};
static const sn_arch gemma2 = {
	.gguf_name = "gemma2", .model_type = "gemma2", GEMMA_ROW, .form = { GEMMA_FORM, .branch_norm = true },
	.prefix = "model.", .full_every = 2,
	.gguf = { GGUF_ENDS, GGUF_NORMS, GGUF_FOUR_NORMS, GGUF_ATTN, GGUF_GATED }, .hf = { HF_COMMON, HF_FOUR_NORMS },
	.configure = configure_gemma2, .configure_gguf = configure_gemma2_gguf,
};

#define GEMMA3(type, gguf_type)                                                                                        \
	{                                                                                                                  \
		.gguf_name = gguf_type, .model_type = type, GEMMA_ROW, .rope_base = 1e6, .rope_local = 1e4, .full_every = 6,   \
		.form = { GEMMA_FORM, .branch_norm = true, .qk_norm = SN_QK_NORM_HEAD },                                       \
		.prefix = "model.|language_model.model.|model.language_model.",                                                \
		.gguf = { GGUF_ENDS, GGUF_NORMS, GGUF_FOUR_NORMS, GGUF_ATTN, GGUF_GATED, GGUF_QK_NORMS },                      \
		.hf = { HF_COMMON, HF_FOUR_NORMS, PLAIN(Q_NORM, BLOCK "self_attn.q_norm.weight"),                              \
				PLAIN(K_NORM, BLOCK "self_attn.k_norm.weight") },                                                      \
		.configure = configure_gemma3, .configure_gguf = configure_gemma3_gguf,                                        \
	}
static const sn_arch gemma3 = GEMMA3("gemma3_text", "gemma3"), gemma3_full = GEMMA3("gemma3", NULL);

const sn_arch *const sn_arch_gemmas[] = { &gemma, &gemma2, &gemma3, &gemma3_full };
const int sn_arch_n_gemmas = SN_COUNT(sn_arch_gemmas);
