/* Attention as unlike the model's as possible that leaves the prediction as it is (Jain & Wallace 2019, 4.2.2). */
#include "methods/attention/explain.h"
#include "stats/distance.h"

#include <math.h>
#include <string.h>

static const double first_step = 0.3, last_step = 0.03;

/* Rows: n_chosen x starts, each with weights softmax(theta) for every line: a head, a query. */
typedef struct attack {
	const sn_explained *e;
	const sn_explained_stack *s;
	const sn_explain_param *p;
	int32_t rows;
	int64_t size, d, lines;      /* of a row's weights, of z; heads x queries */
	double *own;                 /* [n_chosen][size] the model's */
	double *theta, *a, *g;       /* [rows][size]; g: the derivative of what is minimised by theta */
	float *z, *slope;            /* [rows][d] and the derivative of KL by it */
	sn_predicted got;
	sn_batch batch;
	sn_plan plan;
} attack;

static int layer_of(const attack *k, int32_t row) { return (int)(row / k->p->starts); }

enum { START = 0x61747461 };

/* Starts: the logarithm of the model's own weights with noise of 0.1, 1 and 3. */
static void begin(attack *k)
{
	static const double noise[] = { 0.1, 1, 3 };
	for (int32_t r = 0; r < k->rows; r++) {
		int start = (int)(r % k->p->starts);
		sn_rng rng = sn_rng_make(sn_ctx_seed(k->e->ctx), START + ((uint64_t)k->e->number << 20) + (uint64_t)r +
		                         ((uint64_t)k->s->of->kind << 56));
		for (int64_t i = 0; i < k->size; i++)
			k->theta[r * k->size + i] = log(k->own[layer_of(k, r) * k->size + i] + 1e-6) +
				noise[start % SN_COUNT(noise)] * sn_rng_normal(&rng);
	}
}

static void to_weights(attack *k)
{
	int32_t n = k->s->n_key;
	for (int64_t h = 0; h < k->rows * k->lines; h++) {
		const double *t = k->theta + h * n;
		double most = t[0], sum = 0, *a = k->a + h * n;
		for (int32_t i = 1; i < n; i++) most = fmax(most, t[i]);
		for (int32_t i = 0; i < n; i++) sum += a[i] = exp(t[i] - most);
		for (int32_t i = 0; i < n; i++) a[i] /= sum;
	}
	for (int32_t r = 0; r < k->rows; r++) sn_explain_mix(k->s, layer_of(k, r), k->a + r * k->size, k->z + r * k->d);
}

/* Mean over lines of the divergence from the model's weights, nats. */
static double divergence(const attack *k, int32_t row)
{
	double sum = 0;
	int32_t n = k->s->n_key;
	for (int64_t line = 0; line < k->lines; line++)
		sum += sn_jensen_shannon(k->own + layer_of(k, row) * k->size + line * n, k->a + row * k->size + line * n, n);
	return sum / (double)k->lines;
}

/* Derivative by one line's weights of what is minimised: KL where the prediction has moved too far, -JSD otherwise. */
static void weight_slope(const attack *k, int32_t row, int64_t line, double *out)
{
	const sn_explained_stack *s = k->s;
	int32_t n = s->n_key;
	int h = (int)(line / s->n_query), d = s->of->d_head, kv = h / (s->of->n_head / s->of->n_kv_head);
	int64_t width = (int64_t)s->of->n_kv_head * d;
	const double *own = k->own + layer_of(k, row) * k->size + line * n, *a = k->a + row * k->size + line * n;
	const float *value = s->value + (int64_t)layer_of(k, row) * n * width + kv * d;
	const float *slope = k->slope + row * k->d + (line % s->n_query) * sn_explain_width(s) + h * d;
	bool far = !(k->got.tvd[row] <= k->p->epsilon);
	for (int32_t i = 0; i < n; i++) {
		out[i] = far ? 0 : -log(2 * a[i] / (a[i] + own[i]) + 1e-300) / 2;
		for (int j = 0; far && j < d; j++) out[i] += (double)slope[j] * value[i * width + j];
	}
}

/* A step of the switching subgradient method (Polyak 1967): along either gradient, through the softmax, of a length
 * that falls as the search goes on. */
static void descend(attack *k, int64_t step, double *slope)
{
	int32_t n = k->s->n_key;
	double done = (double)(step - 1) / (double)k->p->steps, size = first_step * pow(last_step / first_step, done);
	for (int32_t r = 0; r < k->rows; r++) {
		double square = 0, *g = k->g + r * k->size, *theta = k->theta + r * k->size;
		for (int64_t line = 0; line < k->lines; line++) {
			const double *a = k->a + r * k->size + line * n;
			double mean = 0;
			weight_slope(k, r, line, slope);
			for (int32_t i = 0; i < n; i++) mean += a[i] * slope[i];
			for (int32_t i = 0; i < n; i++) {
				g[line * n + i] = a[i] * (slope[i] - mean);
				square += g[line * n + i] * g[line * n + i];
			}
		}
		double scale = square > 0 ? size / sqrt(square / (double)k->size) : 0;
		for (int64_t i = 0; i < k->size; i++) theta[i] -= scale * g[i];
	}
}

static void take_best(attack *k, sn_changed *out)
{
	for (int32_t r = 0; r < k->rows; r++) {
		sn_changed *best = &out[layer_of(k, r)];
		if (!(k->got.tvd[r] <= k->p->epsilon)) continue;
		double x = divergence(k, r);
		if (!isnan(best->adversary) && x <= best->adversary) continue;
		best->adversary = x;
		best->adversary_tvd = k->got.tvd[r];
	}
}

/* From the model's weights towards the last iterates, as far as the prediction allows: bisection of forks. */
static sn_status polish(attack *k, sn_changed *out)
{
	enum { ROUNDS = 10 };
	double *low, *high, *far;
	int *layer;
	SN_NEW(low, k->e->arena, double, k->rows);
	SN_NEW(high, k->e->arena, double, k->rows);
	SN_NEW(far, k->e->arena, double, k->rows * k->size);
	SN_NEW(layer, k->e->arena, int, k->rows);
	memcpy(far, k->a, (size_t)(k->rows * k->size) * sizeof *far);
	for (int32_t r = 0; r < k->rows; r++) {
		layer[r] = layer_of(k, r);
		high[r] = 1;
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int32_t r = 0; r < k->rows; r++) {
			double share = (low[r] + high[r]) / 2;
			for (int64_t i = r * k->size; i < (r + 1) * k->size; i++)
				k->a[i] = (1 - share) * k->own[layer[r] * k->size + i % k->size] + share * far[i];
			sn_explain_mix(k->s, layer[r], k->a + r * k->size, k->z + r * k->d);
		}
		sn_mark mark = sn_arena_mark(k->e->arena);
		SN_TRY(sn_explain_variants(k->e, k->s, k->rows, layer, k->z, &k->got));
		take_best(k, out);
		for (int32_t r = 0; r < k->rows; r++)
			*(k->got.tvd[r] <= k->p->epsilon ? &low[r] : &high[r]) = (low[r] + high[r]) / 2;
		sn_arena_reset(k->e->arena, mark);
	}
	return SN_OK;
}

/* ---- the plan, made once ---- */

static sn_status make_plan(attack *k)
{
	const sn_explained *e = k->e;
	sn_edit *edit;
	sn_tensor *src;
	sn_tap *tap;
	sn_keep *keep;
	sn_goal *goal;
	int32_t *ref;
	SN_TRY(sn_explain_rows(e, k->s, k->rows, true, &k->batch));
	SN_NEW(edit, e->arena, sn_edit, k->rows);
	SN_NEW(src, e->arena, sn_tensor, k->rows);
	SN_NEW(tap, e->arena, sn_tap, k->rows + 1);
	SN_NEW(keep, e->arena, sn_keep, k->rows);
	SN_NEW(goal, e->arena, sn_goal, 1);
	SN_NEW(ref, e->arena, int32_t, k->rows + 1);
	for (int32_t r = 0; r < k->rows; r++) {
		int64_t d = sn_explain_width(k->s);
		sn_site z = sn_attn_z(k->s->of, k->s->chosen[layer_of(k, r)], -1);
		sn_where at = sn_explain_queries(k->s, r + 1, 1);
		src[r] = sn_tensor_f32(k->z + r * k->d, k->s->n_query, d);
		keep[r] = (sn_keep){ k->slope + r * k->d, k->s->n_query, d };
		edit[r] = (sn_edit){ .op = SN_OP_SET, .at = z, .where = at, .src = &src[r] };
		tap[r] = (sn_tap){ .at = z, .where = at, .what = SN_GRAD, .sink = &sn_sink_keep, .state = &keep[r] };
	}
	sn_where places = { .sel = SN_AT, .arg = e->place, .row0 = 1, .n_row = k->rows };
	*goal = (sn_goal){ .metric = SN_KL, .where = places, .ref_row = ref };
	SN_TRY(sn_explain_tap(e, &places, &k->got, &tap[k->rows]));
	k->plan = (sn_plan){ .size = sizeof k->plan, .n_edit = k->rows, .edit = edit, .n_tap = k->rows + 1, .tap = tap,
		                 .n_goal = 1, .goal = goal };
	return SN_OK;
}

static sn_status open_attack(attack *k)
{
	sn_arena *arena = k->e->arena;
	int64_t n = k->rows * k->size;
	SN_NEW(k->own, arena, double, k->s->n_chosen * k->size);
	SN_NEW(k->theta, arena, double, n);
	SN_NEW(k->a, arena, double, n);
	SN_NEW(k->g, arena, double, n);
	SN_NEW(k->z, arena, float, k->rows * k->d);
	SN_NEW(k->slope, arena, float, k->rows * k->d);
	SN_NEW(k->got.tvd, arena, double, k->rows);
	SN_NEW(k->got.js, arena, double, k->rows);
	SN_NEW(k->got.top, arena, int32_t, k->rows);
	for (int c = 0; c < k->s->n_chosen; c++) sn_explain_pattern(k->s, c, k->own + c * k->size);
	return make_plan(k);
}

sn_status sn_explain_attack(const sn_explained *e, const sn_explained_stack *s, const sn_explain_param *p,
                            sn_changed *out)
{
	attack k = { .e = e, .s = s, .p = p, .rows = (int32_t)(s->n_chosen * p->starts), .size = sn_explain_size(s),
		         .d = s->n_query * sn_explain_width(s), .lines = (int64_t)s->of->n_head * s->n_query };
	double *score, *slope;
	SN_TRY(open_attack(&k));
	SN_NEW(score, e->arena, double, k.rows + 1);
	SN_NEW(slope, e->arena, double, s->n_key);
	begin(&k);
	for (int64_t step = 1; step <= p->steps; step++) {
		SN_TRY(sn_poll(e->ctx));
		to_weights(&k);
		SN_TRY(sn_run(e->ctx, e->model, &k.batch, &k.plan, NULL, score));
		take_best(&k, out);
		descend(&k, step, slope);
	}
	return polish(&k, out);
}
