/* Llama and what is built like it: Mistral, Qwen, SmolLM3, OLMo 2, Phi, StableLM, StarCoder2. */
#include "model/arch_rows.h"

#include "base/base.h"
#include "model/config.h"

#define BLOCK "model.layers.%d."
#define HF_ENDS PLAIN(EMBED, "model.embed_tokens.weight"), PLAIN(FINAL_NORM, "model.norm.weight"),                     \
	PLAIN(UNEMBED, "lm_head.weight")
#define HF_ATTN BOTH(Q, BLOCK "self_attn.q_proj"), BOTH(K, BLOCK "self_attn.k_proj"),                                  \
	BOTH(V, BLOCK "self_attn.v_proj"), BOTH(O, BLOCK "self_attn.o_proj")
#define HF_NORMS                                                                                                       \
	PLAIN(ATTN_NORM, BLOCK "input_layernorm.weight"), PLAIN(MLP_NORM, BLOCK "post_attention_layernorm.weight")
#define HF_NORM_BIASES PLAIN(ATTN_NORM_B, BLOCK "input_layernorm.bias"),                                               \
	PLAIN(MLP_NORM_B, BLOCK "post_attention_layernorm.bias"), PLAIN(FINAL_NORM_B, "model.norm.bias")
#define HF_GATED BOTH(GATE, BLOCK "mlp.gate_proj"), BOTH(UP, BLOCK "mlp.up_proj"), BOTH(DOWN, BLOCK "mlp.down_proj")
#define HF_QK_NORMS PLAIN(Q_NORM, BLOCK "self_attn.q_norm.weight"), PLAIN(K_NORM, BLOCK "self_attn.k_norm.weight")
#define HF_LLAMA HF_ENDS, HF_NORMS, HF_ATTN, HF_GATED
#define GGUF_LLAMA GGUF_ENDS, GGUF_NORMS, GGUF_ATTN, GGUF_GATED
#define LLAMA_FORM .norm = SN_NORM_RMS, .pre_norm = true, .gated = true, .act = SN_ACT_SILU

/* ---- Llama, Mistral, Qwen ---- */

/* Every block has the window, from a missing key on. */
static sn_status configure_window(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s, int64_t missing)
{
	int64_t window = 0;
	if (!json_is_null(json_object_get(config->root, "sliding_window")))
		SN_TRY(sn_config_int(config, SN_KEYS("sliding_window"), missing, 1, 1 << 30, &window));
	return sn_config_windows(ctx, config, arena, s, window, 0, 0, 0);
}

static sn_status configure_mistral(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	return configure_window(ctx, config, arena, s, 4096);
}

/* The window begins at a block, if it is wanted at all. */
static sn_status configure_qwen(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool wanted;
	int64_t window, from;
	SN_TRY(sn_json_bool_or(config, config->root, "use_sliding_window", false, &wanted));
	SN_TRY(sn_config_int(config, SN_KEYS("sliding_window"), 4096, 1, 1 << 30, &window));
	SN_TRY(sn_config_int(config, SN_KEYS("max_window_layers"), 28, 0, 1 << 20, &from));
	bool none = !wanted || json_is_null(json_object_get(config->root, "sliding_window"));
	return sn_config_windows(ctx, config, arena, s, none ? 0 : window, from, 0, 0);
}

static const sn_arch llama = {
	.gguf_name = "llama", .model_type = "llama", .gguf_interleaved = true, .norm_eps = 1e-6,
	.form = { LLAMA_FORM }, .optional = ALL_BIASES, .prefix = "model.", .gguf = { GGUF_LLAMA }, .hf = { HF_LLAMA },
};
static const sn_arch mistral = {   /* its GGUF files call themselves llama */
	.model_type = "mistral", .norm_eps = 1e-6, .form = { LLAMA_FORM }, .optional = ALL_BIASES, .prefix = "model.",
	.hf = { HF_LLAMA }, .configure = configure_mistral,
};
static const sn_arch qwen2 = {
	.gguf_name = "qwen2", .model_type = "qwen2", .norm_eps = 1e-6, .form = { LLAMA_FORM },
	.optional = ALL_BIASES & ~QKV_BIASES, .prefix = "model.", .gguf = { GGUF_LLAMA }, .hf = { HF_LLAMA },
	.configure = configure_qwen,
};
static const sn_arch qwen3 = {
	.gguf_name = "qwen3", .model_type = "qwen3", .norm_eps = 1e-6,
	.form = { LLAMA_FORM, .qk_norm = SN_QK_NORM_HEAD }, .optional = ALL_BIASES, .prefix = "model.",
	.gguf = { GGUF_LLAMA, GGUF_QK_NORMS }, .hf = { HF_LLAMA, HF_QK_NORMS }, .configure = configure_qwen,
};

/* ---- SmolLM3: blocks without positions ---- */

static sn_status read_bare(const sn_json *config, sn_shape *s, int64_t every, sn_layer_kind *kind)
{
	json_t *list;
	SN_TRY(sn_json_array_or(config, config->root, "no_rope_layers", &list));
	if (list && (int64_t)json_array_size(list) != s->n_layer)
		return sn_json_fail(config, config->root, "no_rope_layers", SN_ESHAPE, "%lld numbers for %d blocks",
		                    (long long)json_array_size(list), s->n_layer);
	for (int l = 0; l < s->n_layer; l++) {   /* 1: the block has rotary positions, whatever the name says */
		const json_t *own = list ? json_array_get(list, (size_t)l) : NULL;
		bool rope = list ? json_integer_value(own) != 0 || json_is_true(own) : (l + 1) % every != 0;
		kind[l].rope = rope ? 0 : -1;
	}
	return SN_OK;
}

static sn_status configure_smollm3(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool windows;
	int64_t every;
	sn_layer_kind *kind;
	(void)ctx;
	SN_TRY(sn_json_bool_or(config, config->root, "use_sliding_window", false, &windows));
	if (windows)
		return sn_json_fail(config, config->root, "use_sliding_window", SN_EUNKNOWN, "true; known: false");
	SN_TRY(sn_config_int(config, SN_KEYS("no_rope_layer_interval"), 4, 1, 1 << 20, &every));
	SN_TRY(sn_config_kinds(arena, s, &kind));
	return read_bare(config, s, every, kind);
}

static sn_status configure_smollm3_gguf(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	sn_layer_kind *kind;
	(void)ctx;
	(void)file;
	SN_TRY(sn_config_kinds(arena, s, &kind));
	for (int l = 0; l < s->n_layer; l++) kind[l].rope = (l + 1) % 4 == 0 ? -1 : 0;
	return SN_OK;
}

static const sn_arch smollm3 = {
	.gguf_name = "smollm3", .model_type = "smollm3", .gguf_interleaved = true, .norm_eps = 1e-6, .rope_base = 2e6,
	.tied = true, .form = { LLAMA_FORM }, .optional = ALL_BIASES, .prefix = "model.", .gguf = { GGUF_LLAMA },
	.hf = { HF_LLAMA }, .configure = configure_smollm3, .configure_gguf = configure_smollm3_gguf,
};

/* ---- OLMo 2: norms of what a branch gives, none of what it takes ---- */

static const sn_arch olmo2 = {
	.gguf_name = "olmo2", .model_type = "olmo2", .norm_eps = 1e-5,
	.form = { .norm = SN_NORM_RMS, .branch_norm = true, .gated = true, .act = SN_ACT_SILU,
	          .qk_norm = SN_QK_NORM_ALL },
	.optional = ALL_BIASES, .prefix = "model.",
	.gguf = { GGUF_ENDS, GGUF_ATTN, GGUF_GATED, GGUF_QK_NORMS,
	          PLAIN(ATTN_POST_NORM, "blk.%d.post_attention_norm.weight"),
	          PLAIN(MLP_POST_NORM, "blk.%d.post_ffw_norm.weight") },
	.hf = { HF_ENDS, HF_ATTN, HF_GATED, HF_QK_NORMS,
	        PLAIN(ATTN_POST_NORM, BLOCK "post_attention_layernorm.weight"),
	        PLAIN(MLP_POST_NORM, BLOCK "post_feedforward_layernorm.weight") },
};

/* ---- Phi ---- */

static sn_status configure_phi(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	(void)s;
	return sn_config_only(config, "qk_layernorm", false, false, "no released Phi has norms of queries and keys");
}

static const sn_arch phi = {
	.gguf_name = "phi2", .model_type = "phi", .rotary = 0.5,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .parallel = SN_PARALLEL_ONE_NORM, .act = SN_ACT_GELU_TANH },
	.prefix = "model.",
	.gguf = { BOTH(FINAL_NORM, "output_norm"), PLAIN(EMBED, "token_embd.weight"), BOTH(UNEMBED, "output"),
	          BOTH(ATTN_NORM, "blk.%d.attn_norm"), GGUF_ATTN, GGUF_MLP },
	.hf = { PLAIN(EMBED, "model.embed_tokens.weight"), BOTH(FINAL_NORM, "model.final_layernorm"),
	        BOTH(UNEMBED, "lm_head"), BOTH(ATTN_NORM, BLOCK "input_layernorm"),
	        BOTH(Q, BLOCK "self_attn.q_proj"), BOTH(K, BLOCK "self_attn.k_proj"), BOTH(V, BLOCK "self_attn.v_proj"),
	        BOTH(O, BLOCK "self_attn.dense"), BOTH(UP, BLOCK "mlp.fc1"), BOTH(DOWN, BLOCK "mlp.fc2") },
	.configure = configure_phi,
};

static sn_status configure_phi3(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	return configure_window(ctx, config, arena, s, 0);
}

static const sn_arch phi3 = {
	.gguf_name = "phi3",
	.model_type = "phi3",
	.norm_eps = 1e-5,
	.form = { LLAMA_FORM },
	.prefix = "model.",
	.gguf = { GGUF_ENDS, GGUF_NORMS, LAID(Q, "blk.%d.attn_qkv.weight", SN_STACKED),
			  LAID(K, "blk.%d.attn_qkv.weight", SN_STACKED), LAID(V, "blk.%d.attn_qkv.weight", SN_STACKED),
			  PLAIN(O, "blk.%d.attn_output.weight"), LAID(GATE, "blk.%d.ffn_up.weight", SN_STACKED),
			  LAID(UP, "blk.%d.ffn_up.weight", SN_STACKED), PLAIN(DOWN, "blk.%d.ffn_down.weight") },
	.hf = { HF_ENDS, HF_NORMS, LAID(Q, BLOCK "self_attn.qkv_proj.weight", SN_STACKED),
			LAID(K, BLOCK "self_attn.qkv_proj.weight", SN_STACKED),
			LAID(V, BLOCK "self_attn.qkv_proj.weight", SN_STACKED), PLAIN(O, BLOCK "self_attn.o_proj.weight"),
			LAID(GATE, BLOCK "mlp.gate_up_proj.weight", SN_STACKED),
			LAID(UP, BLOCK "mlp.gate_up_proj.weight", SN_STACKED), PLAIN(DOWN, BLOCK "mlp.down_proj.weight") },
	.configure = configure_phi3,
};

/* ---- StableLM ---- */

static sn_status configure_stablelm(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	bool parallel, qk_norm;
	(void)ctx;
	(void)arena;
	SN_TRY(sn_json_bool_or(config, config->root, "use_parallel_residual", false, &parallel));
	SN_TRY(sn_json_bool_or(config, config->root, "qk_layernorm", false, &qk_norm));
	s->form.parallel = parallel ? SN_PARALLEL_ONE_NORM : SN_SERIAL;
	s->form.qk_norm = qk_norm ? SN_QK_NORM_EACH : SN_QK_NORM_NONE;
	return SN_OK;
}

/* The converter's key for the branches is of no use: all files that it writes have it. */
static sn_status configure_stablelm_gguf(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	(void)ctx;
	(void)arena;
	s->form.parallel = sn_gguf_tensor_find(file, "blk.0.ffn_norm.weight") ? SN_SERIAL : SN_PARALLEL_ONE_NORM;
	s->form.qk_norm = sn_gguf_tensor_find(file, "blk.0.attn_q_norm.weight") ? SN_QK_NORM_EACH : SN_QK_NORM_NONE;
	return SN_OK;
}

static const sn_arch stablelm = {
	.gguf_name = "stablelm", .model_type = "stablelm", .rotary = 0.25,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .gated = true, .act = SN_ACT_SILU },
	.optional = ALL_BIASES, .prefix = "model.",
	.gguf = { GGUF_LLAMA, GGUF_NORM_BIASES, GGUF_QK_NORMS },
	.hf = { HF_LLAMA, HF_NORM_BIASES, LAID(Q_NORM, BLOCK "self_attn.q_layernorm.norms.%d.weight", SN_PER_HEAD),
	        LAID(K_NORM, BLOCK "self_attn.k_layernorm.norms.%d.weight", SN_PER_HEAD) },
	.configure = configure_stablelm, .configure_gguf = configure_stablelm_gguf,
};

/* ---- StarCoder2 ---- */

static sn_status configure_starcoder2(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *s)
{
	return configure_window(ctx, config, arena, s, 0);
}

static const sn_arch starcoder2 = {
	.gguf_name = "starcoder2", .model_type = "starcoder2", .tied = true,
	.form = { .norm = SN_NORM_LAYER, .pre_norm = true, .act = SN_ACT_GELU_TANH }, .optional = ALL_BIASES,
	.prefix = "model.", .gguf = { GGUF_ENDS, GGUF_NORMS, GGUF_NORM_BIASES, GGUF_ATTN, GGUF_MLP },
	.hf = { HF_ENDS, HF_NORMS, HF_NORM_BIASES, HF_ATTN, BOTH(UP, BLOCK "mlp.c_fc"), BOTH(DOWN, BLOCK "mlp.c_proj") },
	.configure = configure_starcoder2,
};

const sn_arch *const sn_arch_llamas[] = { &llama, &mistral, &qwen2, &qwen3, &smollm3, &olmo2, &phi, &phi3, &stablelm,
                                          &starcoder2 };
const int sn_arch_n_llamas = SN_COUNT(sn_arch_llamas);
