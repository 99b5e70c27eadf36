/* GGUF: the keys that architectures share, `<architecture>.block_count` and so on, as llama.cpp's converter writes
 * them. */
#include "model/gguf_shape.h"

#include "base/base.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

typedef struct reader { sn_ctx *ctx; const sn_gguf *file; sn_arena *arena; sn_shape *shape; } reader;

static const char *full_key(const reader *r, const char *key, char out[128])
{
	sn_format(out, 128, "%s.%s", r->shape->arch->gguf_name, key);
	return out;
}

static bool has(const reader *r, const char *key)
{
	char full[128];
	return sn_gguf_has(r->file, full_key(r, key, full));
}

/* missing INT64_MIN: the key is required. */
static sn_status whole(const reader *r, const char *key, int64_t missing, int64_t min, int64_t max, int64_t *out)
{
	char full[128];
	full_key(r, key, full);
	if (missing == INT64_MIN) SN_TRY(sn_gguf_i64(r->file, full, out));
	else SN_TRY(sn_gguf_i64_or(r->file, full, missing, out));
	if (*out >= min && *out <= max) return SN_OK;
	return sn_fail(r->ctx, SN_ESHAPE, "%s: %s is %lld; expected %lld to %lld", sn_gguf_path(r->file), full,
	               (long long)*out, (long long)min, (long long)max);
}

static sn_status real(const reader *r, const char *key, double missing, double min, double max, double *out)
{
	char full[128];
	SN_TRY(sn_gguf_f64_or(r->file, full_key(r, key, full), missing, out));
	if (*out >= min && *out <= max) return SN_OK;
	return sn_fail(r->ctx, SN_ESHAPE, "%s: %s is %g; expected %g to %g", sn_gguf_path(r->file), full, *out, min, max);
}

/* ---- sizes ---- */

static sn_status read_heads(const reader *r)
{
	sn_shape *s = r->shape;
	int64_t layers, heads, kv, d_head, d_value;
	SN_TRY(whole(r, "block_count", INT64_MIN, 1, 4096, &layers));
	SN_TRY(whole(r, "attention.head_count", INT64_MIN, 1, 4096, &heads));
	SN_TRY(whole(r, "attention.head_count_kv", heads, 1, heads, &kv));
	SN_TRY(whole(r, "attention.key_length", SN_MAX(1, s->d_model / heads), 1, 1 << 20, &d_head));
	SN_TRY(whole(r, "attention.value_length", d_head, 1, 1 << 20, &d_value));
	if (d_value != d_head)
		return sn_fail(r->ctx, SN_EUNKNOWN, "%s: values of %lld columns beside keys of %lld; known: the same number",
		               sn_gguf_path(r->file), (long long)d_value, (long long)d_head);
	s->n_layer = (int)layers;
	s->n_head = (int)heads;
	s->n_kv_head = (int)kv;
	s->d_head = (int)d_head;
	return SN_OK;
}

static sn_status read_sizes(const reader *r)
{
	sn_shape *s = r->shape;
	bool rms = s->form.norm == SN_NORM_RMS;
	SN_TRY(whole(r, "embedding_length", INT64_MIN, 1, 1 << 20, &s->d_model));
	SN_TRY(whole(r, "feed_forward_length", INT64_MIN, 1, 1 << 22, &s->d_mlp));
	SN_TRY(whole(r, "context_length", INT64_MIN, 1, 1 << 30, &s->n_ctx));
	SN_TRY(read_heads(r));
	return real(r, rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 1e-5, 0, 0.5,
				&s->norm_eps);
}

/* ---- rotary angles ---- */

/* Divisors of angles stand in a tensor of their own (Llama 3, Phi 3). */
static sn_status read_divisors(const reader *r, const char *name, const float **out)
{
	const sn_gguf_tensor *t = sn_gguf_tensor_find(r->file, name);
	float *divisor;
	int n = r->shape->n_rot / 2;
	if (!t) return SN_OK;
	if (t->count != n || !t->type->to_f32 || t->type->block != 1)
		return sn_fail(r->ctx, SN_ESHAPE, "%s: tensor %s has %lld numbers of type %s; expected %d of F32",
		               sn_gguf_path(r->file), name, (long long)t->count, t->type->name, n);
	SN_NEW(divisor, r->arena, float, n);
	t->type->to_f32(t->data, divisor, n);
	for (int i = 0; i < n; i++)
		if (!(divisor[i] > 0 && divisor[i] < 1e9f))
			return sn_fail(r->ctx, SN_ESHAPE, "%s: tensor %s: number %d is %g; expected 0 to 1e9",
						   sn_gguf_path(r->file), name, i, (double)divisor[i]);
	*out = divisor;
	return SN_OK;
}

static sn_status read_long(const reader *r, sn_rope *rope)
{
	SN_TRY(read_divisors(r, "rope_factors_short.weight", &rope->divisor[0]));
	SN_TRY(read_divisors(r, "rope_factors_long.weight", &rope->divisor[1]));
	if (!rope->divisor[0] || !rope->divisor[1])
		return sn_fail(r->ctx, SN_ENOTFOUND, "%s: tensor rope_factors_%s.weight is missing", sn_gguf_path(r->file),
		               rope->divisor[0] ? "long" : "short");
	rope->kind = SN_ROPE_LONG;
	SN_TRY(whole(r, "rope.scaling.original_context_length", r->shape->n_ctx, 1, 1 << 30, &rope->original_ctx));
	double scale = (double)r->shape->n_ctx / (double)rope->original_ctx;
	double usual = scale <= 1 || rope->original_ctx < 2 ? 1 : sqrt(1 + log(scale) / log((double)rope->original_ctx));
	return real(r, "rope.scaling.attn_factor", usual, 1e-6, 1e6, &rope->attention_factor);
}

static sn_status read_yarn(const reader *r, sn_rope *rope)
{
	double more;
	rope->kind = SN_ROPE_YARN;
	SN_TRY(whole(r, "rope.scaling.original_context_length", r->shape->n_ctx, 1, 1 << 30, &rope->original_ctx));
	SN_TRY(real(r, "rope.scaling.yarn_beta_fast", 32, 0, 1e6, &rope->beta_fast));
	SN_TRY(real(r, "rope.scaling.yarn_beta_slow", 1, 0, 1e6, &rope->beta_slow));
	SN_TRY(real(r, "rope.scaling.attn_factor", 1, 1e-6, 1e6, &more));
	rope->attention_factor = more * (rope->factor <= 1 ? 1 : 0.1 * log(rope->factor) + 1);
	return SN_OK;
}

static sn_status read_scaling(const reader *r, sn_rope *rope)
{
	const char *type = "none";
	char full[128];
	if (has(r, "rope.scaling.type"))
		SN_TRY(sn_gguf_string(r->file, full_key(r, "rope.scaling.type", full), r->arena, &type));
	double old;
	SN_TRY(real(r, "rope.scale_linear", 1, 1e-3, 1e6, &old));
	SN_TRY(real(r, "rope.scaling.factor", old, 0, 1e6, &rope->factor));
	if (rope->factor == 0) rope->factor = 1;
	if (sn_gguf_tensor_find(r->file, "rope_factors_long.weight")) return read_long(r, rope);
	if (strcmp(type, "yarn") == 0) return read_yarn(r, rope);
	bool none = strcmp(type, "none") == 0;
	if (!none && strcmp(type, "linear") != 0)
		return sn_fail(r->ctx, SN_EUNKNOWN, "%s: %s is \"%.64s\"; known: none, linear, yarn, and factors in tensors",
		               sn_gguf_path(r->file), full, type);
	if (rope->factor != 1 && (!none || old != 1)) rope->kind = SN_ROPE_LINEAR;
	return SN_OK;
}

static sn_status read_rope(const reader *r)
{
	sn_shape *s = r->shape;
	sn_rope *rope = &s->rope[0];
	int64_t rotated;
	double base = s->arch->rope_base > 0 ? s->arch->rope_base : 10000;
	SN_TRY(whole(r, "rope.dimension_count", s->d_head, 1, s->d_head, &rotated));
	s->n_rot = (int)rotated;
	s->n_rope = 1;
	SN_TRY(real(r, "rope.freq_base", base, 1, 1e12, &rope->base));
	SN_TRY(read_scaling(r, rope));
	if (rope->kind != SN_ROPE_LONG) SN_TRY(read_divisors(r, "rope_freqs.weight", &rope->divisor[0]));
	if (s->arch->rope_local == 0) return SN_OK;
	s->n_rope = 2;
	return real(r, "rope.freq_base_swa", s->arch->rope_local, 1, 1e12, &s->rope[1].base);
}

/* ---- windows ---- */

/* attention.sliding_window_pattern: a number as in full_every, or a list that says of each block whether it has the
 * window. */
static sn_status read_pattern(const reader *r, bool *sliding)
{
	sn_shape *s = r->shape;
	char full[128];
	bool *list = NULL;
	int64_t n = 0, every = 0;
	full_key(r, "attention.sliding_window_pattern", full);
	bool is_list = sn_gguf_is_array(r->file, full);
	if (is_list) SN_TRY(sn_gguf_bools(r->file, full, r->arena, &list, &n));
	if (is_list && n != s->n_layer)
		return sn_fail(r->ctx, SN_ESHAPE, "%s: %s has %lld values for %d blocks", sn_gguf_path(r->file), full,
					   (long long)n, s->n_layer);
	if (!is_list) SN_TRY(whole(r, "attention.sliding_window_pattern", s->arch->full_every, 0, 1 << 20, &every));
	for (int l = 0; l < s->n_layer; l++) sliding[l] = is_list ? list[l] : every == 0 || (l + 1) % every != 0;
	return SN_OK;
}

static sn_status read_windows(const reader *r)
{
	sn_shape *s = r->shape;
	int64_t window;
	bool *sliding;
	sn_layer_kind *kind;
	SN_TRY(whole(r, "attention.sliding_window", 0, 0, INT32_MAX, &window));
	if (window == 0) return SN_OK;
	SN_NEW(sliding, r->arena, bool, s->n_layer);
	SN_NEW(kind, r->arena, sn_layer_kind, s->n_layer);
	SN_TRY(read_pattern(r, sliding));
	for (int l = 0; l < s->n_layer; l++) {
		kind[l].window = sliding[l] ? (int32_t)window : 0;
		kind[l].rope = sliding[l] && s->n_rope == 2 ? 2 : 0;
	}
	s->kind = kind;
	return SN_OK;
}

/* ---- what would change numbers in silence ---- */

static sn_status refuse(const reader *r)
{
	static const struct { const char *key; double usual; } keys[] = {
		{ "expert_count", 0 }, { "attention.clamp_kqv", 0 }, { "logit_scale", 1 }, { "residual_scale", 1 },
		{ "embedding_scale", 1 },
	};
	for (int i = 0; i < SN_COUNT(keys); i++) {
		double value;
		SN_TRY(real(r, keys[i].key, keys[i].usual, -1e9, 1e9, &value));
		if (value != keys[i].usual && value != 0)
			return sn_fail(r->ctx, SN_EUNKNOWN, "%s: %s.%s is %g; known: %g", sn_gguf_path(r->file),
			               r->shape->arch->gguf_name, keys[i].key, value, keys[i].usual);
	}
	char full[128];
	bool causal;
	SN_TRY(sn_gguf_bool_or(r->file, full_key(r, "attention.causal", full), !r->shape->form.bidirectional, &causal));
	if (causal != r->shape->form.bidirectional) return SN_OK;
	return sn_fail(r->ctx, SN_EUNKNOWN, "%s: %s is %s; known for this architecture: %s", sn_gguf_path(r->file), full,
	               causal ? "true" : "false", causal ? "false" : "true");
}

static uint64_t named_parts(const sn_arch *arch)
{
	uint64_t parts = 0;
	for (int part = 1; part < SN_PART_COUNT; part++)
		if (arch->gguf[part].name) parts |= UINT64_C(1) << part;
	return parts;
}

sn_status sn_gguf_shape(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *s)
{
	reader r = { ctx, file, arena, s };
	const sn_arch *arch = s->arch;
	s->form = arch->form;
	s->has = named_parts(arch);
	s->form.position_offset = 0;   /* converters cut off unused rows */
	SN_TRY(refuse(&r));
	SN_TRY(read_sizes(&r));
	SN_TRY(real(&r, "attention.scale", s->form.attn_scale, 0, 1e6, &s->form.attn_scale));
	if (s->form.position == SN_POSITION_ROTARY) SN_TRY(read_rope(&r));
	SN_TRY(read_windows(&r));
	return arch->configure_gguf ? arch->configure_gguf(ctx, file, arena, s) : SN_OK;
}
