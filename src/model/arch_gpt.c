/* GPT-2 and its relatives: GPT-Neo, GPT-NeoX, GPT-J, OPT, BLOOM, Falcon. All have layer norms and an MLP without a
 * gate. */
#include "model/arch_rows.h"

#include "base/base.h"
#include "model/config.h"

#include <math.h>
#include <string.h>

#define H "transformer.h.%d."

/* ---- GPT-2 ---- */

static sn_status configure_gpt2(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool scaled;
	(void)ctx;
	(void)arena;
	SN_TRY(sn_config_only(config, "scale_attn_by_inverse_layer_idx", false, false,
						  "scores are scaled alike in all blocks"));
	SN_TRY(sn_config_only(config, "add_cross_attention", false, false, "the model stands alone"));
	SN_TRY(sn_json_bool_or(config, config->root, "scale_attn_weights", true, &scaled));
	if (!scaled) s->form.attn_scale = 1;
	return SN_OK;
}

#define GPT2_QKV(part) LAID(part, H "attn.c_attn.weight", SN_STACKED_TRANSPOSED),                                      \
	LAID(part##_B, H "attn.c_attn.bias", SN_STACKED)
#define CONV1D(part, text) LAID(part, text ".weight", SN_TRANSPOSED), PLAIN(part##_B, text ".bias")

static const sn_arch gpt2 = {
	.gguf_name = "gpt2",
	.model_type = "gpt2",
	.tied = true,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .position = SN_POSITION_LEARNED, .act = SN_ACT_GELU_TANH },
	.prefix = "transformer.",
	.gguf = { GGUF_ENDS, PLAIN(POS_EMBED, "position_embd.weight"), GGUF_NORMS, GGUF_NORM_BIASES, GGUF_FUSED_ATTN,
			  GGUF_MLP },
	.hf = { PLAIN(EMBED, "transformer.wte.weight"), PLAIN(POS_EMBED, "transformer.wpe.weight"),
			BOTH(ATTN_NORM, H "ln_1"), GPT2_QKV(Q), GPT2_QKV(K), GPT2_QKV(V), CONV1D(O, H "attn.c_proj"),
			BOTH(MLP_NORM, H "ln_2"), CONV1D(UP, H "mlp.c_fc"), CONV1D(DOWN, H "mlp.c_proj"),
			BOTH(FINAL_NORM, "transformer.ln_f"), PLAIN(UNEMBED, "lm_head.weight") },
	.configure = configure_gpt2,
};

/* ---- GPT-Neo: every other block sees a window; scores are not scaled ---- */

/* attention_types: [[["global", "local"], 12], …]: lists of types, each so many times. */
static sn_status read_types(const sn_json *config, const json_t *types, int64_t window, int n, sn_layer_kind *kind)
{
	int64_t l = 0;
	size_t i, j;
	json_t *item, *type;
	json_array_foreach(types, i, item) {
		int64_t times = json_integer_value(json_array_get(item, 1));
		for (; times > 0 && l < n; times--)
			json_array_foreach(json_array_get(item, 0), j, type) {
				const char *name = json_string_value(type);
				if (!name || (strcmp(name, "local") != 0 && strcmp(name, "global") != 0))
					return sn_json_fail(config, config->root, "attention_types", SN_EUNKNOWN,
					                    "\"%.64s\"; known: global, local", name ? name : "");
				if (l < n) kind[l].window = strcmp(name, "local") == 0 ? (int32_t)window : 0;
				l++;
			}
		if (times > 0 && !json_array_size(json_array_get(item, 0))) break;
	}
	if (l == n) return SN_OK;
	return sn_json_fail(config, config->root, "attention_types", SN_ESHAPE, "the types do not make %d blocks", n);
}

static sn_status configure_gpt_neo(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	int64_t window;
	json_t *types;
	sn_layer_kind *kind;
	(void)ctx;
	SN_TRY(sn_config_int(config, SN_KEYS("window_size"), 256, 1, 1 << 30, &window));
	SN_TRY(sn_json_array_or(config, config->root, "attention_types", &types));
	SN_TRY(sn_config_kinds(arena, s, &kind));
	if (types) return read_types(config, types, window, s->n_layer, kind);
	for (int l = 0; l < s->n_layer; l++) kind[l].window = l % 2 ? (int32_t)window : 0;
	return SN_OK;
}

static const sn_arch gpt_neo = {
	.model_type = "gpt_neo",
	.tied = true,
	.form = { .norm = SN_NORM_LAYER,
			  .pre_norm = true,
			  .position = SN_POSITION_LEARNED,
			  .act = SN_ACT_GELU_TANH,
			  .attn_scale = 1 },
	.prefix = "transformer.",
	.hf = { PLAIN(EMBED, "transformer.wte.weight"), PLAIN(POS_EMBED, "transformer.wpe.weight"),
			BOTH(ATTN_NORM, H "ln_1"), PLAIN(Q, H "attn.attention.q_proj.weight"),
			PLAIN(K, H "attn.attention.k_proj.weight"), PLAIN(V, H "attn.attention.v_proj.weight"),
			BOTH(O, H "attn.attention.out_proj"), BOTH(MLP_NORM, H "ln_2"), BOTH(UP, H "mlp.c_fc"),
			BOTH(DOWN, H "mlp.c_proj"), BOTH(FINAL_NORM, "transformer.ln_f"), PLAIN(UNEMBED, "lm_head.weight") },
	.configure = configure_gpt_neo,
};

/* ---- GPT-NeoX (Pythia): both branches from the same stream, each with its norm ---- */

#define NEOX "gpt_neox.layers.%d."
#define GROUPED(part, text) LAID(part, text ".weight", SN_GROUPED), LAID(part##_B, text ".bias", SN_GROUPED)
#define GROUPED_QKV(text) GROUPED(Q, text), GROUPED(K, text), GROUPED(V, text)

static sn_status configure_neox(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool parallel;
	(void)ctx;
	(void)arena;
	SN_TRY(sn_json_bool_or(config, config->root, "use_parallel_residual", true, &parallel));
	s->form.parallel = parallel ? SN_PARALLEL : SN_SERIAL;
	return SN_OK;
}

static sn_status configure_neox_gguf(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	bool parallel;
	(void)ctx;
	(void)arena;
	SN_TRY(sn_gguf_bool_or(file, "gptneox.use_parallel_residual", true, &parallel));
	s->form.parallel = parallel ? SN_PARALLEL : SN_SERIAL;
	return SN_OK;
}

static const sn_arch gpt_neox = {
	.gguf_name = "gptneox", .model_type = "gpt_neox", .rotary = 0.25,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .parallel = SN_PARALLEL, .act = SN_ACT_GELU },
	.optional = QKV_BIASES | OPTIONAL(O_B), .prefix = "gpt_neox.",
	.gguf = { GGUF_ENDS, GGUF_NORMS, GGUF_NORM_BIASES, GGUF_FUSED_ATTN, GGUF_MLP },
	.hf = { PLAIN(EMBED, "gpt_neox.embed_in.weight"), BOTH(ATTN_NORM, NEOX "input_layernorm"),
	        GROUPED_QKV(NEOX "attention.query_key_value"), BOTH(O, NEOX "attention.dense"),
	        BOTH(MLP_NORM, NEOX "post_attention_layernorm"), BOTH(UP, NEOX "mlp.dense_h_to_4h"),
	        BOTH(DOWN, NEOX "mlp.dense_4h_to_h"), BOTH(FINAL_NORM, "gpt_neox.final_layer_norm"),
	        PLAIN(UNEMBED, "embed_out.weight") },
	.configure = configure_neox, .configure_gguf = configure_neox_gguf,
};

/* ---- GPT-J: one norm for both branches ---- */

static sn_status configure_gptj(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	int64_t n_rot;
	(void)ctx;
	(void)arena;
	bool whole = json_is_null(json_object_get(config->root, "rotary_dim"));
	SN_TRY(sn_config_int(config, SN_KEYS("rotary_dim"), whole ? s->d_head : 64, 2, s->d_head, &n_rot));
	if (n_rot > s->d_head || n_rot % 2)
		return sn_json_fail(config, config->root, "rotary_dim", SN_ESHAPE, "%lld; expected an even number up to %d",
		                    (long long)n_rot, s->d_head);
	s->n_rot = (int)n_rot;
	return SN_OK;
}

static const sn_arch gptj = {
	.model_type = "gptj",
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .parallel = SN_PARALLEL_ONE_NORM, .rope_interleaved = true,
	          .act = SN_ACT_GELU_TANH },
	.prefix = "transformer.", .optional = OPTIONAL(UNEMBED_B),
	.hf = { PLAIN(EMBED, "transformer.wte.weight"), BOTH(ATTN_NORM, H "ln_1"), PLAIN(Q, H "attn.q_proj.weight"),
	        PLAIN(K, H "attn.k_proj.weight"), PLAIN(V, H "attn.v_proj.weight"), PLAIN(O, H "attn.out_proj.weight"),
	        BOTH(UP, H "mlp.fc_in"), BOTH(DOWN, H "mlp.fc_out"), BOTH(FINAL_NORM, "transformer.ln_f"),
	        BOTH(UNEMBED, "lm_head") },
	.configure = configure_gptj,
};

/* ---- OPT: 350m has its norms behind the branches, and narrower embeddings ---- */

#define OPT "model.decoder.layers.%d."

static sn_status configure_opt(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool before, none;
	(void)ctx;
	(void)arena;
	SN_TRY(sn_config_only(config, "layer_norm_elementwise_affine", true, true, "norms have weights"));
	SN_TRY(sn_json_bool_or(config, config->root, "do_layer_norm_before", true, &before));
	SN_TRY(sn_json_bool_or(config, config->root, "_remove_final_layer_norm", false, &none));
	SN_TRY(sn_config_int(config, SN_KEYS("word_embed_proj_dim"), s->d_model, 1, 1 << 20, &s->d_embed));
	s->form.pre_norm = before;
	s->form.post_norm = !before;
	s->norm_eps = 1e-5;   /* no key changes it */
	if (!before || none) sn_config_without(s, SN_PART_BIT(FINAL_NORM) | SN_PART_BIT(FINAL_NORM_B));
	if (s->d_embed == s->d_model) sn_config_without(s, SN_PART_BIT(PROJECT) | SN_PART_BIT(HEAD));
	return SN_OK;
}

static const sn_arch opt = {
	.model_type = "opt", .tied = true,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .position = SN_POSITION_LEARNED, .position_offset = 2,
	          .act = SN_ACT_RELU, .project_first = true, .head_act = SN_ACT_NONE },
	.optional = ALL_BIASES, .prefix = "model.",
	.hf = { PLAIN(EMBED, "model.decoder.embed_tokens.weight"), PLAIN(POS_EMBED, "model.decoder.embed_positions.weight"),
	        PLAIN(PROJECT, "model.decoder.project_in.weight"), BOTH(ATTN_NORM, OPT "self_attn_layer_norm"),
	        BOTH(Q, OPT "self_attn.q_proj"), BOTH(K, OPT "self_attn.k_proj"), BOTH(V, OPT "self_attn.v_proj"),
	        BOTH(O, OPT "self_attn.out_proj"), BOTH(MLP_NORM, OPT "final_layer_norm"), BOTH(UP, OPT "fc1"),
	        BOTH(DOWN, OPT "fc2"), BOTH(FINAL_NORM, "model.decoder.final_layer_norm"),
	        PLAIN(HEAD, "model.decoder.project_out.weight"), PLAIN(UNEMBED, "lm_head.weight") },
	.configure = configure_opt,
};

/* ---- BLOOM: ALiBi ---- */

static sn_status configure_bloom(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	s->d_mlp = 4 * s->d_model;   /* no key changes it */
	return sn_config_only(config, "apply_residual_connection_post_layernorm", false, false,
	                      "branches are added to the stream before the norm");
}

static const sn_arch bloom = {
	.gguf_name = "bloom",
	.model_type = "bloom",
	.tied = true,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .position = SN_POSITION_ALIBI, .act = SN_ACT_GELU_TANH },
	.prefix = "transformer.",
	.gguf = { GGUF_ENDS, BOTH(EMBED_NORM, "token_embd_norm"), GGUF_NORMS, GGUF_NORM_BIASES, GGUF_FUSED_ATTN, GGUF_MLP },
	.hf = { PLAIN(EMBED, "transformer.word_embeddings.weight"),
			BOTH(EMBED_NORM, "transformer.word_embeddings_layernorm"), BOTH(ATTN_NORM, H "input_layernorm"),
			GROUPED_QKV(H "self_attention.query_key_value"), BOTH(O, H "self_attention.dense"),
			BOTH(MLP_NORM, H "post_attention_layernorm"), BOTH(UP, H "mlp.dense_h_to_4h"),
			BOTH(DOWN, H "mlp.dense_4h_to_h"), BOTH(FINAL_NORM, "transformer.ln_f"), PLAIN(UNEMBED, "lm_head.weight") },
	.configure = configure_bloom,
};

/* ---- Falcon: 7b (one key/value head, one norm for both branches), 40b (groups, two norms), rw (ALiBi, serial) ---- */

static sn_status falcon_heads(const sn_json *config, bool grouped, sn_shape *s)
{
	bool one;
	int64_t kv;
	SN_TRY(sn_json_bool_or(config, config->root, "multi_query", true, &one));
	SN_TRY(sn_config_int(config, SN_KEYS("num_kv_heads", "n_head_kv"), s->n_head, 1, s->n_head, &kv));
	s->n_kv_head = !grouped && one ? 1 : (int)kv;
	s->d_head = (int)SN_MAX(1, s->d_model / s->n_head);
	return SN_OK;
}

static sn_status configure_falcon(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool grouped, parallel, alibi;
	int64_t norms;
	SN_TRY(sn_json_bool_or(config, config->root, "new_decoder_architecture", false, &grouped));
	SN_TRY(sn_json_bool_or(config, config->root, "parallel_attn", true, &parallel));
	SN_TRY(sn_json_bool_or(config, config->root, "alibi", false, &alibi));
	SN_TRY(sn_config_int(config, SN_KEYS("num_ln_in_parallel_attn"), grouped ? 2 : 1, 1, 2, &norms));
	SN_TRY(sn_config_int(config, SN_KEYS("ffn_hidden_size"), 4 * s->d_model, 1, 1 << 22, &s->d_mlp));
	SN_TRY(falcon_heads(config, grouped, s));
	if (!grouped && parallel && norms == 2)
		return sn_json_fail(config, config->root, "num_ln_in_parallel_attn", SN_EUNKNOWN,
		                    "2 without new_decoder_architecture; known: 1");
	if (grouped && !parallel)
		return sn_json_fail(config, config->root, "parallel_attn", SN_EUNKNOWN,
		                    "false with new_decoder_architecture; known: true");
	s->form.parallel = !parallel ? SN_SERIAL : norms == 2 ? SN_PARALLEL : SN_PARALLEL_ONE_NORM;
	s->form.position = alibi ? SN_POSITION_ALIBI : SN_POSITION_ROTARY;
	s->form.alibi_scaled = alibi;
	s->n_rope = 0;
	return alibi ? SN_OK : sn_config_rope(ctx, config, arena, s);
}

/* GGUF files of the 40b kind have a second norm, which is that of attention. */
static sn_status configure_falcon_gguf(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	bool two = sn_gguf_tensor_find(file, "blk.0.attn_norm_2.weight") != NULL;
	s->form.parallel = two ? SN_PARALLEL : SN_PARALLEL_ONE_NORM;
	return SN_OK;
}

static const sn_arch falcon = {
	.gguf_name = "falcon", .model_type = "falcon", .tied = true,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .parallel = SN_PARALLEL_ONE_NORM, .act = SN_ACT_GELU },
	.optional = ALL_BIASES, .prefix = "transformer.",
	.gguf = { GGUF_ENDS, PLAIN(FINAL_NORM_B, "output_norm.bias"), GGUF_FUSED_ATTN, GGUF_MLP,
	          PLAIN(ATTN_NORM, "blk.%d.attn_norm_2.weight|blk.%d.attn_norm.weight"),
	          PLAIN(ATTN_NORM_B, "blk.%d.attn_norm_2.bias|blk.%d.attn_norm.bias"),
	          PLAIN(MLP_NORM, "blk.%d.attn_norm.weight"), PLAIN(MLP_NORM_B, "blk.%d.attn_norm.bias") },
	.hf = { PLAIN(EMBED, "transformer.word_embeddings.weight"),
	        PLAIN(ATTN_NORM, H "ln_attn.weight|" H "input_layernorm.weight"),
	        PLAIN(ATTN_NORM_B, H "ln_attn.bias|" H "input_layernorm.bias"),
	        GROUPED_QKV(H "self_attention.query_key_value"), BOTH(O, H "self_attention.dense"),
	        PLAIN(MLP_NORM, H "ln_mlp.weight|" H "post_attention_layernorm.weight"),
	        PLAIN(MLP_NORM_B, H "ln_mlp.bias|" H "post_attention_layernorm.bias"), BOTH(UP, H "mlp.dense_h_to_4h"),
	        BOTH(DOWN, H "mlp.dense_4h_to_h"), BOTH(FINAL_NORM, "transformer.ln_f"), PLAIN(UNEMBED, "lm_head.weight") },
	.configure = configure_falcon, .configure_gguf = configure_falcon_gguf,
};

const sn_arch *const sn_arch_gpts[] = { &gpt2, &gpt_neo, &gpt_neox, &gptj, &opt, &bloom, &falcon };
const int sn_arch_n_gpts = SN_COUNT(sn_arch_gpts);
