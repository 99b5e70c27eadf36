/* config.json: the keys that architectures share. */
#include "model/config.h"

#include "base/base.h"

#include <string.h>

/* ---- keys with several names ---- */

static bool there(const sn_json *doc, const char *key)
{
	const json_t *value = json_object_get(doc->root, key);
	return value && !json_is_null(value);
}

const char *sn_config_key(const sn_json *doc, const char *const *keys)
{
	for (int i = 0; keys[i]; i++)
		if (there(doc, keys[i])) return keys[i];
	return keys[0];
}

sn_status sn_config_int(const sn_json *doc, const char *const *keys, int64_t missing, int64_t min, int64_t max,
                        int64_t *out)
{
	const char *key = sn_config_key(doc, keys);
	if (missing == INT64_MIN) SN_TRY(sn_json_i64(doc, doc->root, key, out));
	else SN_TRY(sn_json_i64_or(doc, doc->root, key, missing, out));
	if ((there(doc, key) || missing == INT64_MIN) && (*out < min || *out > max))
		return sn_json_fail(doc, doc->root, key, SN_ESHAPE, "%lld; expected %lld to %lld", (long long)*out,
		                    (long long)min, (long long)max);
	return SN_OK;
}

sn_status sn_config_only(const sn_json *doc, const char *key, bool missing, bool wanted, const char *why)
{
	bool value;
	SN_TRY(sn_json_bool_or(doc, doc->root, key, missing, &value));
	if (value == wanted) return SN_OK;
	return sn_json_fail(doc, doc->root, key, SN_EUNKNOWN, "%s; known: %s (%s)", value ? "true" : "false",
	                    wanted ? "true" : "false", why);
}

/* ---- activations ---- */

/* transformers' ACT2FN, as far as the block has them. */
static const struct { const char *name; sn_act act;
} acts[] = {
	{ "gelu", SN_ACT_GELU },
	{ "gelu_python", SN_ACT_GELU },
	{ "gelu_new", SN_ACT_GELU_TANH },
	{ "gelu_fast", SN_ACT_GELU_TANH },
	{ "gelu_pytorch_tanh", SN_ACT_GELU_TANH },
	{ "gelu_accurate", SN_ACT_GELU_TANH },
	{ "gelu_python_tanh", SN_ACT_GELU_TANH },
	{ "relu", SN_ACT_RELU },
	{ "silu", SN_ACT_SILU },
	{ "swish", SN_ACT_SILU },
	{ "tanh", SN_ACT_TANH },
	{ "linear", SN_ACT_NONE },
};

int sn_config_act_named(const char *name)
{
	for (int i = 0; i < SN_COUNT(acts); i++)
		if (strcmp(acts[i].name, name) == 0) return (int)acts[i].act;
	return -1;
}

sn_status sn_config_act(const sn_json *doc, const char *const *keys, sn_act missing, sn_act *out)
{
	const char *key = sn_config_key(doc, keys), *name;
	*out = missing;
	if (!there(doc, key)) return SN_OK;
	SN_TRY(sn_json_string(doc, doc->root, key, &name));
	int act = sn_config_act_named(name);
	if (act < 0)
		return sn_json_fail(doc, doc->root, key, SN_EUNKNOWN,
							"\"%.64s\"; known: gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, silu, swish, tanh",
							name);
	*out = (sn_act)act;
	return SN_OK;
}

/* ---- kinds of blocks ---- */

sn_status sn_config_kinds(sn_arena *arena, sn_shape *s, sn_layer_kind **out)
{
	SN_NEW(*out, arena, sn_layer_kind, s->n_layer);
	s->kind = *out;
	return SN_OK;
}

static sn_status read_layer_types(const sn_json *doc, const json_t *types, const sn_shape *s, bool *sliding)
{
	if ((int64_t)json_array_size(types) != s->n_layer)
		return sn_json_fail(doc, doc->root, "layer_types", SN_ESHAPE, "%lld types of %d blocks",
		                    (long long)json_array_size(types), s->n_layer);
	for (int l = 0; l < s->n_layer; l++) {
		const char *type = json_string_value(json_array_get(types, (size_t)l));
		sliding[l] = type && strcmp(type, "sliding_attention") == 0;
		if (!type || (!sliding[l] && strcmp(type, "full_attention") != 0))
			return sn_json_fail(doc, doc->root, "layer_types", SN_EUNKNOWN,
			                    "\"%.64s\"; known: full_attention, sliding_attention", type ? type : "");
	}
	return SN_OK;
}

sn_status sn_config_windows(sn_ctx *ctx, const sn_json *doc, sn_arena *arena, sn_shape *s, int64_t window, int64_t from,
                            int64_t every, int64_t phase)
{
	json_t *types;
	bool *sliding;
	sn_layer_kind *kind;
	(void)ctx;
	if (window < 1) return SN_OK;
	SN_TRY(sn_json_array_or(doc, doc->root, "layer_types", &types));
	SN_NEW(sliding, arena, bool, s->n_layer);
	for (int l = 0; l < s->n_layer; l++) sliding[l] = l >= from && (every == 0 || (l + phase) % every != 0);
	if (types) SN_TRY(read_layer_types(doc, types, s, sliding));
	SN_TRY(sn_config_kinds(arena, s, &kind));
	for (int l = 0; l < s->n_layer; l++) {
		kind[l].window = sliding[l] ? (int32_t)SN_MIN(window, (int64_t)INT32_MAX) : 0;
		kind[l].rope = sliding[l] && s->n_rope == 2 ? 2 : 0;
	}
	return SN_OK;
}

/* ---- what is refused ---- */

static sn_status refuse(const sn_json *doc)
{
	static const char *const experts[] = { "num_local_experts", "num_experts", "n_routed_experts" };
	int64_t n;
	if (there(doc, "quantization_config"))
		return sn_json_fail(doc, doc->root, "quantization_config", SN_EUNKNOWN,
		                    "quantised weights of this kind are not known; use a GGUF file or the original weights");
	for (int i = 0; i < SN_COUNT(experts); i++) {
		SN_TRY(sn_json_i64_or(doc, doc->root, experts[i], 0, &n));
		if (n > 1)
			return sn_json_fail(doc, doc->root, experts[i], SN_EUNKNOWN, "mixtures of experts are not known");
	}
	return SN_OK;
}

/* ---- sizes ---- */

/* An encoder-decoder says some sizes for each side; keys of its own come before those that all models have. */
static sn_status read_blocks(const sn_json *doc, sn_shape *s)
{
	bool cross = s->form.cross;
	int64_t layers, heads;
	const char *const *layer_keys = cross ? SN_KEYS("decoder_layers", "num_decoder_layers", "num_hidden_layers",
	                                                "n_layer", "num_layers", "n_layers")
	                                      : SN_KEYS("encoder_layers", "num_hidden_layers", "n_layer", "num_layers",
	                                                "n_layers");
	const char *const *head_keys = cross ? SN_KEYS("decoder_attention_heads", "num_attention_heads", "n_head",
	                                               "num_heads", "n_heads")
	                                     : SN_KEYS("encoder_attention_heads", "num_attention_heads", "n_head",
	                                               "num_heads", "n_heads");
	SN_TRY(sn_config_int(doc, layer_keys, INT64_MIN, 1, 4096, &layers));
	SN_TRY(sn_config_int(doc, head_keys, INT64_MIN, 1, 4096, &heads));
	s->n_layer = (int)layers;
	s->n_head = (int)heads;
	return SN_OK;
}

static sn_status read_widths(const sn_json *doc, sn_shape *s)
{
	bool cross = s->form.cross;
	int64_t kv, d_head;
	const char *const *mlp_keys = cross ? SN_KEYS("decoder_ffn_dim", "intermediate_size", "d_ff")
	                                    : SN_KEYS("encoder_ffn_dim", "intermediate_size", "n_inner", "ffn_dim", "d_ff",
	                                              "hidden_dim");
	SN_TRY(sn_config_int(doc, SN_KEYS("hidden_size", "n_embd", "d_model", "dim", "n_embed"), INT64_MIN, 1, 1 << 20,
	                     &s->d_model));
	SN_TRY(sn_config_int(doc, SN_KEYS("num_key_value_heads", "num_kv_heads"), s->n_head, 1, s->n_head, &kv));
	SN_TRY(sn_config_int(doc, SN_KEYS("head_dim", "d_kv"), SN_MAX(1, s->d_model / s->n_head), 1, 8192, &d_head));
	SN_TRY(sn_config_int(doc, mlp_keys, 4 * s->d_model, 1, 1 << 22, &s->d_mlp));
	SN_TRY(sn_config_int(doc, SN_KEYS("max_position_embeddings", "n_positions", "seq_length", "n_ctx"), 2048, 1,
						 1 << 30, &s->n_ctx));
	s->n_kv_head = (int)kv;
	s->d_head = (int)SN_MIN(d_head, (int64_t)8192);
	return SN_OK;
}

static sn_status read_norm(const sn_json *doc, sn_shape *s)
{
	const char *key = sn_config_key(doc, SN_KEYS("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_epsilon",
	                                             "norm_eps"));
	SN_TRY(sn_json_f64_or(doc, doc->root, key, s->arch->norm_eps > 0 ? s->arch->norm_eps : 1e-5, &s->norm_eps));
	if (!(s->norm_eps >= 0 && s->norm_eps < 1))
		return sn_json_fail(doc, doc->root, key, SN_ESHAPE, "%g; expected 0 to 1", s->norm_eps);
	return SN_OK;
}

static uint64_t named_parts(const sn_arch *arch)
{
	uint64_t parts = 0;
	for (int part = 1; part < SN_PART_COUNT; part++)
		if (arch->hf[part].name) parts |= UINT64_C(1) << part;
	return parts;
}

sn_status sn_config_shape(sn_ctx *ctx, const sn_json *doc, sn_arena *arena, sn_shape *s)
{
	const sn_arch *arch = s->arch;
	s->form = arch->form;
	s->has = named_parts(arch);
	SN_TRY(refuse(doc));
	SN_TRY(read_blocks(doc, s));
	SN_TRY(read_widths(doc, s));
	SN_TRY(read_norm(doc, s));
	SN_TRY(sn_config_act(doc, SN_KEYS("hidden_activation", "hidden_act", "activation_function", "activation"),
	                     arch->form.act, &s->form.act));
	SN_TRY(sn_json_bool_or(doc, doc->root, "tie_word_embeddings", arch->tied, &s->tied));
	if (s->form.position == SN_POSITION_ROTARY) SN_TRY(sn_config_rope(ctx, doc, arena, s));
	return arch->configure ? arch->configure(ctx, doc, arena, s) : SN_OK;
}
