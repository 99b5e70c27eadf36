/* config.json: rotary angles. transformers 5 has rope_parameters, flat or an object for each type of layer; before it
 * rope_theta stood at the top, and rope_scaling beside it held the rest. What each kind means: model/weights.h. */
#include "model/config.h"

#include "base/base.h"

#include <math.h>
#include <string.h>

/* One set of angles being read: at is where its keys stand (NULL: nowhere), in a model of that shape. */
typedef struct reader { const sn_json *doc; json_t *at; const sn_shape *shape; sn_arena *arena; sn_rope *rope; } reader;

static sn_status real(const reader *r, const char *key, double missing, double min, double max, double *out)
{
	*out = missing;
	if (!r->at) return SN_OK;
	SN_TRY(sn_json_f64_or(r->doc, r->at, key, missing, out));
	if (*out >= min && *out <= max) return SN_OK;
	return sn_json_fail(r->doc, r->at, key, SN_ESHAPE, "%g; expected %g to %g", *out, min, max);
}

static sn_status read_base(const reader *r, bool local)
{
	const sn_arch *arch = r->shape->arch;
	const char *const *keys = local ? SN_KEYS("rope_local_base_freq", "local_rope_theta")
	                                : SN_KEYS("rope_theta", "rotary_emb_base", "global_rope_theta");
	const char *key = sn_config_key(r->doc, keys);
	double missing = local ? arch->rope_local : arch->rope_base > 0 ? arch->rope_base : 10000, base;
	SN_TRY(sn_json_f64_or(r->doc, r->doc->root, key, missing, &base));
	SN_TRY(real(r, "rope_theta", base, 1, 1e12, &r->rope->base));
	if (r->rope->base > 1) return SN_OK;
	return sn_json_fail(r->doc, r->doc->root, key, SN_ESHAPE, "%g; expected more than 1", r->rope->base);
}

/* The length of rows before angles were stretched. */
static sn_status read_original(const reader *r)
{
	int64_t within = r->shape->n_ctx;
	const char *key = "original_max_position_embeddings";
	if (r->at) SN_TRY(sn_json_i64_or(r->doc, r->at, key, within, &within));
	return sn_config_int(r->doc, SN_KEYS(key), SN_MIN(SN_MAX(within, (int64_t)1), (int64_t)1 << 30), 1, 1 << 30,
	                     &r->rope->original_ctx);
}

static sn_status read_factor(const reader *r, double missing)
{
	if (missing == 0 && !json_is_number(json_object_get(r->at, "factor")))
		return sn_json_fail(r->doc, r->at, "factor", SN_ENOTFOUND, "missing; expected a number");
	return real(r, "factor", missing, 1e-3, 1e6, &r->rope->factor);
}

/* ---- kinds ---- */

static sn_status read_default(const reader *r) { (void)r; return SN_OK; }
static sn_status read_linear(const reader *r) { return read_factor(r, 0); }

static sn_status read_dynamic(const reader *r)
{
	r->rope->original_ctx = r->shape->n_ctx;
	return read_factor(r, 0);
}

static sn_status read_llama3(const reader *r)
{
	SN_TRY(read_original(r));
	SN_TRY(real(r, "low_freq_factor", 1, 1e-6, 1e6, &r->rope->low_freq_factor));
	SN_TRY(real(r, "high_freq_factor", 4, 1e-6, 1e6, &r->rope->high_freq_factor));
	if (!(r->rope->high_freq_factor > r->rope->low_freq_factor))
		return sn_json_fail(r->doc, r->at, "high_freq_factor", SN_ESHAPE, "%g; expected more than low_freq_factor, %g",
		                    r->rope->high_freq_factor, r->rope->low_freq_factor);
	return read_factor(r, 0);
}

static double mscale(double factor, double scale) { return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1; }

static sn_status read_yarn(const reader *r)
{
	double scale, scale_all;
	bool truncate;
	sn_rope *rope = r->rope;
	SN_TRY(read_original(r));
	SN_TRY(read_factor(r, (double)r->shape->n_ctx / (double)rope->original_ctx));
	SN_TRY(real(r, "beta_fast", 0, 0, 1e6, &rope->beta_fast));
	SN_TRY(real(r, "beta_slow", 0, 0, 1e6, &rope->beta_slow));
	SN_TRY(real(r, "mscale", 0, 0, 1e6, &scale));
	SN_TRY(real(r, "mscale_all_dim", 0, 0, 1e6, &scale_all));
	SN_TRY(sn_json_bool_or(r->doc, r->at, "truncate", true, &truncate));
	rope->no_truncation = !truncate;
	double usual = scale > 0 && scale_all > 0 ? mscale(rope->factor, scale) / mscale(rope->factor, scale_all)
	                                          : mscale(rope->factor, 1);
	return real(r, "attention_factor", usual, 1e-6, 1e6, &rope->attention_factor);
}

static sn_status read_divisors(const reader *r, const char *key, const float **out)
{
	json_t *list;
	float *divisor;
	int n = r->shape->n_rot / 2;
	SN_TRY(sn_json_array(r->doc, r->at, key, &list));
	if ((int64_t)json_array_size(list) != n)
		return sn_json_fail(r->doc, r->at, key, SN_ESHAPE, "%lld numbers; expected %d, half of the %d rotated columns",
		                    (long long)json_array_size(list), n, r->shape->n_rot);
	SN_NEW(divisor, r->arena, float, n);
	for (int i = 0; i < n; i++) {
		double x = json_number_value(json_array_get(list, (size_t)i));
		if (!(x > 0 && x < 1e9))
			return sn_json_fail(r->doc, r->at, key, SN_ESHAPE, "number %d is %g; expected 0 to 1e9", i, x);
		divisor[i] = (float)x;
	}
	*out = divisor;
	return SN_OK;
}

static sn_status read_long(const reader *r)
{
	sn_rope *rope = r->rope;
	SN_TRY(read_original(r));
	SN_TRY(read_factor(r, (double)r->shape->n_ctx / (double)rope->original_ctx));
	SN_TRY(read_divisors(r, "short_factor", &rope->divisor[0]));
	SN_TRY(read_divisors(r, "long_factor", &rope->divisor[1]));
	double usual = rope->factor <= 1 || rope->original_ctx < 2
		? 1 : sqrt(1 + log(rope->factor) / log((double)rope->original_ctx));
	return real(r, "attention_factor", usual, 1e-6, 1e6, &rope->attention_factor);
}

static const struct { const char *name; sn_rope_kind kind; sn_status (*read)(const reader *r); } kinds[] = {
	{ "default", SN_ROPE_DEFAULT, read_default }, { "linear", SN_ROPE_LINEAR, read_linear },
	{ "dynamic", SN_ROPE_DYNAMIC, read_dynamic }, { "llama3", SN_ROPE_LLAMA3, read_llama3 },
	{ "yarn", SN_ROPE_YARN, read_yarn }, { "longrope", SN_ROPE_LONG, read_long },
};

/* Phi 3's first files call longrope by other names. */
static const char *new_name(const reader *r, const char *type)
{
	bool phi = strcmp(r->shape->arch->model_type, "phi3") == 0;
	return phi && (strcmp(type, "su") == 0 || strcmp(type, "yarn") == 0) ? "longrope" : type;
}

static sn_status read_set(const reader *r, bool local)
{
	const char *type = "default";
	SN_TRY(read_base(r, local));
	if (r->at) SN_TRY(sn_json_string_or(r->doc, r->at, "type", type, &type));
	if (r->at) SN_TRY(sn_json_string_or(r->doc, r->at, "rope_type", type, &type));
	for (int i = 0; i < SN_COUNT(kinds); i++)
		if (strcmp(kinds[i].name, new_name(r, type)) == 0) {
			r->rope->kind = kinds[i].kind;
			return kinds[i].read(r);
		}
	return sn_json_fail(r->doc, r->at, "rope_type", SN_EUNKNOWN,
	                    "\"%.64s\"; known: default, linear, dynamic, llama3, yarn, longrope", type);
}

/* ---- rotated columns, sets ---- */

static sn_status read_rotated(const reader *r, int *n_rot)
{
	double missing = r->shape->arch->rotary > 0 ? r->shape->arch->rotary : 1, share;
	const char *key = sn_config_key(r->doc, SN_KEYS("partial_rotary_factor", "rotary_pct"));
	SN_TRY(sn_json_f64_or(r->doc, r->doc->root, key, missing, &share));
	SN_TRY(real(r, "partial_rotary_factor", share, 0, 1, &share));
	*n_rot = share > 0 && share <= 1 ? (int)(r->shape->d_head * share) : 0;
	if (*n_rot >= 2 && *n_rot % 2 == 0) return SN_OK;
	return sn_json_fail(r->doc, r->doc->root, key, SN_ESHAPE, "%g of a head of %d; expected an even number of columns",
	                    share, r->shape->d_head);
}

/* Where the keys of the sets stand; NULL: nowhere. */
static sn_status find_sets(const sn_json *doc, json_t **full, json_t **local)
{
	json_t *parameters, *scaling;
	*full = *local = NULL;
	SN_TRY(sn_json_object_or(doc, doc->root, "rope_parameters", &parameters));
	SN_TRY(sn_json_object_or(doc, doc->root, "rope_scaling", &scaling));
	*full = scaling ? scaling : parameters;
	if (!parameters || !json_is_object(json_object_get(parameters, "full_attention"))) return SN_OK;
	SN_TRY(sn_json_object(doc, parameters, "full_attention", full));
	return sn_json_object_or(doc, parameters, "sliding_attention", local);
}

sn_status sn_config_rope(sn_ctx *ctx, const sn_json *doc, sn_arena *arena, sn_shape *s)
{
	json_t *full, *local;
	(void)ctx;
	SN_TRY(find_sets(doc, &full, &local));
	reader r = { doc, full, s, arena, &s->rope[0] };
	SN_TRY(read_rotated(&r, &s->n_rot));
	SN_TRY(read_set(&r, false));
	s->n_rope = 1;
	if (s->rope[0].kind == SN_ROPE_DYNAMIC)   /* made for rows longer than the model was trained on */
		s->n_ctx = (int64_t)SN_MIN((double)s->n_ctx * SN_MAX(s->rope[0].factor, 1.0), 1073741824.0);
	if (!(s->arch->rope_local > 0) && !local) return SN_OK;
	r = (reader){ doc, local, s, arena, &s->rope[1] };
	SN_TRY(read_set(&r, s->arch->rope_local != 0));
	s->n_rope = 2;
	return SN_OK;
}
