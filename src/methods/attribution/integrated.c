/* Integrated gradients (Sundararajan et al. 2017): sum over dimensions of (x - x0) times the mean gradient on the line
 * from a baseline x0 to x. Fixed rules, or intervals that are halved until each one's scores sum to the rise of f over
 * it: f is known at every point, so each interval tells its own error. */
#include "methods/attribution/attribution.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct integrated_param {
	sn_attribution_param common;
	const char *baseline, *steps_rule;
	int64_t steps, most;
	double tolerance;
} integrated_param;

static const sn_param params[] = {
	SN_ATTRIBUTION_PARAMS(integrated_param),
	SN_ATTRIBUTION_BASELINE(integrated_param, "where the path begins"),
	{ "rule", NULL, "where on the path gradients are taken", "adaptive", "adaptive|gauss-legendre|trapezoid|midpoint",
	  SN_TYPE_TEXT, offsetof(integrated_param, steps_rule), 0, 0, false },
	{ "steps", "points", "points of the fixed rules", "50", NULL, SN_TYPE_INT, offsetof(integrated_param, steps), 2,
	  4096, false },
	{ "tolerance", "share", "adaptive: the gap that completeness may leave, over |f(x) - f(baseline)|", "0.01", NULL,
	  SN_TYPE_FLOAT, offsetof(integrated_param, tolerance), 1e-7, 1, false },
	{ "most", "points", "adaptive: at most so many points", "2000", NULL, SN_TYPE_INT,
	  offsetof(integrated_param, most), 9, 1e5, false },
};

/* A point of the path: f there, and each token's derivative along the path. */
typedef struct point { double at, f, *slope; } point;

typedef struct path {
	sn_ctx *ctx;
	sn_model *model;
	const sn_attribution_item *item;
	sn_site site;
	int32_t n;              /* tokens at the site */
	int64_t d;
	const float *x, *x0;    /* [n, d] */
	sn_arena *arena;
	int64_t evaluations;
} path;

/* ---- evaluation: points are copies of the row, whose vectors at the site are set ---- */

static float on_path(const path *p, double at, int64_t i)
{
	return (float)(p->x0[i] + at * ((double)p->x[i] - p->x0[i]));
}

static void read_slopes(const path *p, const float *g, point *to)
{
	for (int32_t i = 0; i < p->n; i++) {
		double sum = 0;
		for (int64_t j = i * p->d; j < (i + 1) * p->d; j++) sum += g[j] * ((double)p->x[j] - p->x0[j]);
		to->slope[i] = sum;
	}
}

static sn_status evaluate_some(path *p, point *points, int32_t n)
{
	sn_mark mark = sn_arena_mark(p->arena);
	sn_attribution_rows rows;
	int64_t size = p->n * p->d;
	float *src, *g;
	double *f;
	SN_TRY(sn_attribution_copy(&rows, p->item, 1, &p->site, n, false, p->arena));
	SN_NEW(src, p->arena, float, n * size);
	SN_NEW(g, p->arena, float, n * size);
	SN_NEW(f, p->arena, double, n);
	for (int32_t k = 0; k < n; k++)
		for (int64_t i = 0; i < size; i++) src[k * size + i] = on_path(p, points[k].at, i);
	sn_tensor values = sn_tensor_f32(src, n * p->n, p->d);
	sn_edit set = { .op = SN_OP_SET, .at = p->site, .where = { .sel = SN_ALL }, .src = &values };
	sn_keep keep = { g, n * p->n, p->d };
	sn_tap tap = { .at = p->site, .where = { .sel = SN_ALL }, .what = SN_GRAD, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_edit = 1, .edit = &set, .n_tap = 1, .tap = &tap, .n_goal = 1,
	                 .goal = &rows.goal };
	SN_TRY(sn_run(p->ctx, p->model, &rows.batch, &plan, NULL, f));
	for (int32_t k = 0; k < n; k++) {
		points[k].f = f[k];
		read_slopes(p, g + k * size, &points[k]);
	}
	p->evaluations += n;
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

enum { TOKENS_A_RUN = 1024 };

static sn_status evaluate(path *p, point *points, int32_t n)
{
	int32_t most = SN_MAX(TOKENS_A_RUN / SN_MAX(p->item->row.n, p->n), 1);
	for (int32_t k = 0; k < n; k += most) SN_TRY(evaluate_some(p, points + k, SN_MIN(most, n - k)));
	return SN_OK;
}

static sn_status new_points(path *p, point *points, int32_t n)
{
	for (int32_t k = 0; k < n; k++) SN_NEW(points[k].slope, p->arena, double, p->n);
	return SN_OK;
}

/* ---- fixed rules ---- */

/* Node k of n of the Gauss-Legendre rule on [0, 1], by Newton's method on P_n. */
static void gauss_legendre(int64_t n, int64_t k, double *at, double *weight)
{
	double z = cos(3.14159265358979323846 * ((double)k + 0.75) / ((double)n + 0.5)), slope = 1;
	for (int i = 0; i < 100; i++) {
		double before = 1, now = z;
		for (int64_t j = 2; j <= n; j++) {
			double next = ((double)(2 * j - 1) * z * now - (double)(j - 1) * before) / (double)j;
			before = now;
			now = next;
		}
		slope = (double)n * (z * now - before) / (z * z - 1);
		double step = now / slope;
		z -= step;
		if (fabs(step) < 1e-15) break;
	}
	*at = (1 - z) / 2;
	*weight = 1 / ((1 - z * z) * slope * slope);
}

static void fixed_node(const char *rule, int64_t n, int64_t k, double *at, double *weight)
{
	if (strcmp(rule, "gauss-legendre") == 0) {
		gauss_legendre(n, k, at, weight);
	} else if (strcmp(rule, "midpoint") == 0) {
		*at = ((double)k + 0.5) / (double)n;
		*weight = 1 / (double)n;
	} else {
		*at = (double)k / (double)(n - 1);
		*weight = (k == 0 || k == n - 1 ? 0.5 : 1) / (double)(n - 1);
	}
}

/* The ends are evaluated too, for f there. */
static sn_status fixed_rule(path *p, const integrated_param *param, double *score, sn_attribution_sum *sum)
{
	int32_t n = (int32_t)param->steps;
	point *points;
	double *weight;
	SN_NEW(points, p->arena, point, n + 2);
	SN_NEW(weight, p->arena, double, n);
	SN_TRY(new_points(p, points, n + 2));
	for (int32_t k = 0; k < n; k++) fixed_node(param->steps_rule, n, k, &points[k].at, &weight[k]);
	points[n].at = 0;
	points[n + 1].at = 1;
	SN_TRY(evaluate(p, points, n + 2));
	for (int32_t i = 0; i < p->n; i++) {
		score[i] = 0;
		for (int32_t k = 0; k < n; k++) score[i] += weight[k] * points[k].slope[i];
	}
	*sum = (sn_attribution_sum){ points[n + 1].f, points[n].f, p->evaluations };
	return SN_OK;
}

/* ---- intervals that are halved ---- */

/* A stretch of the path, integrated over log at, in which a model that norms its input is smooth: with b = 0 as
 * baseline f changes at every power of ten down to where numbers end. open: it begins at 0, where derivatives need not
 * exist in float32; lo has only f then, and mid nothing. */
typedef struct stretch { point lo, mid, hi; bool open; } stretch;
typedef struct line { stretch *at; int32_t n; } line;

static double share(const stretch *t, int32_t i)
{
	if (t->open) return t->hi.at * t->hi.slope[i];
	return log(t->hi.at / t->lo.at) / 6 * (t->lo.at * t->lo.slope[i] + 4 * t->mid.at * t->mid.slope[i] +
	                                       t->hi.at * t->hi.slope[i]);
}

/* What a stretch's scores sum to, less f's rise over it: known at every stretch, since f is. */
static double excess(const path *p, const stretch *t)
{
	double sum = 0;
	for (int32_t i = 0; i < p->n; i++) sum += share(t, i);
	return sum - (t->hi.f - t->lo.f);
}

/* Where f is so rough that the rule does not even find half of its rise, the stretch has no scores: what is left out of
 * neighbours then adds up to the rise over both, not to a pile of errors. */
static bool trusted(const path *p, const stretch *t) { return fabs(excess(p, t)) <= 0.5 * fabs(t->hi.f - t->lo.f); }

static double gap_of(const path *p, const stretch *t)
{
	return trusted(p, t) ? excess(p, t) : t->lo.f - t->hi.f;
}

static const double SMALLEST = 1e-30;   /* of the path: gradients below it may leave float32 */

typedef struct rank { double gap; int32_t k; } rank;

static int larger_first(const void *a, const void *b)
{
	const rank *x = a, *y = b;
	if (x->gap != y->gap) return (x->gap < y->gap) - (x->gap > y->gap);
	return (x->k > y->k) - (x->k < y->k);
}

static bool divisible(const stretch *t)
{
	return t->open ? t->hi.at > SMALLEST : t->hi.at - t->lo.at > 1e-7 * t->hi.at;
}

/* The stretches with gaps that are more than one of n may have, the largest first, at most `most` of them. Returns
 * whether all gaps together are allowed: their sum, and, lest it be small by chance, twice the root of their sum of
 * squares. */
static bool mark_bad(const path *p, const line *l, double allowed, int64_t most, rank *list, bool *bad, int32_t *n_bad)
{
	double sum = 0, square = 0;
	*n_bad = 0;
	for (int32_t k = 0; k < l->n; k++) {
		double gap = gap_of(p, &l->at[k]);
		sum += gap;
		square += gap * gap;
		list[k] = (rank){ divisible(&l->at[k]) ? fabs(gap) : 0, k };
	}
	if (fabs(sum) <= allowed && 2 * sqrt(square) <= allowed) return true;
	qsort(list, (size_t)l->n, sizeof *list, larger_first);
	double each = allowed / (2 * sqrt((double)l->n));
	for (int32_t i = 0; i < l->n && *n_bad < most && list[i].gap > (i < 4 ? 0 : each); i++) {
		bad[list[i].k] = true;
		++*n_bad;
	}
	return false;
}

/* The two points that halving a stretch asks for. */
static void ask(const stretch *t, point *one, point *two)
{
	double lo = t->open ? t->hi.at / 1000 : t->lo.at, mid = t->open ? sqrt(lo * t->hi.at) : t->mid.at;
	one->at = t->open ? lo : sqrt(lo * mid);
	two->at = t->open ? mid : sqrt(mid * t->hi.at);
}

static void split(const stretch *t, const point *one, const point *two, stretch *left, stretch *right)
{
	*left = t->open ? (stretch){ .lo = t->lo, .hi = *one, .open = true } : (stretch){ t->lo, *one, t->mid, false };
	*right = t->open ? (stretch){ *one, *two, t->hi, false } : (stretch){ t->mid, *two, t->hi, false };
}

static sn_status halve(path *p, line *l, const bool *bad, int32_t n_bad)
{
	point *fresh;
	stretch *all;
	int32_t f = 0, n = 0;
	SN_NEW(fresh, p->arena, point, 2 * n_bad);
	SN_NEW(all, p->arena, stretch, l->n + n_bad);
	SN_TRY(new_points(p, fresh, 2 * n_bad));
	for (int32_t k = 0; k < l->n; k++)
		if (bad[k]) ask(&l->at[k], &fresh[f], &fresh[f + 1]), f += 2;
	SN_TRY(evaluate(p, fresh, f));
	f = 0;
	for (int32_t k = 0; k < l->n; k++) {
		if (!bad[k]) {
			all[n++] = l->at[k];
			continue;
		}
		split(&l->at[k], &fresh[f], &fresh[f + 1], &all[n], &all[n + 1]);
		f += 2;
		n += 2;
	}
	*l = (line){ .at = all, .n = n };
	return SN_OK;
}

/* The first stretches: from 0 to 0.01, to 0.1, to 1. */
static sn_status begin(path *p, line *l)
{
	static const double at[] = { 0, 0.01, 0.0316227766, 0.1, 0.316227766, 1 };
	point *points;
	SN_NEW(points, p->arena, point, SN_COUNT(at));
	SN_NEW(l->at, p->arena, stretch, 3);
	SN_TRY(new_points(p, points, SN_COUNT(at)));
	for (int i = 0; i < SN_COUNT(at); i++) points[i].at = at[i];
	SN_TRY(evaluate(p, points, SN_COUNT(at)));
	l->n = 3;
	l->at[0] = (stretch){ .lo = points[0], .hi = points[1], .open = true };
	l->at[1] = (stretch){ points[1], points[2], points[3], false };
	l->at[2] = (stretch){ points[3], points[4], points[5], false };
	return SN_OK;
}

static sn_status adaptive(path *p, const integrated_param *param, double *score, sn_attribution_sum *sum)
{
	line l;
	SN_TRY(begin(p, &l));
	for (;;) {
		bool *bad;
		rank *list;
		int32_t n_bad;
		SN_NEW(bad, p->arena, bool, l.n);
		SN_NEW(list, p->arena, rank, l.n);
		double allowed = param->tolerance * fabs(l.at[l.n - 1].hi.f - l.at[0].lo.f);
		int64_t most = (param->most - p->evaluations) / 2;
		if (mark_bad(p, &l, allowed, most, list, bad, &n_bad) || n_bad == 0) break;
		SN_TRY(sn_poll(p->ctx));
		SN_TRY(halve(p, &l, bad, n_bad));
	}
	for (int32_t i = 0; i < p->n; i++) score[i] = 0;
	for (int32_t k = 0; k < l.n; k++)
		for (int32_t i = 0; i < p->n && trusted(p, &l.at[k]); i++) score[i] += share(&l.at[k], i);
	*sum = (sn_attribution_sum){ l.at[l.n - 1].hi.f, l.at[0].lo.f, p->evaluations };
	return SN_OK;
}

static sn_status integrate(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                           const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum)
{
	const integrated_param *q = param;
	path p = { .ctx = ctx, .model = model, .item = item, .site = *site, .n = sn_attribution_at(item, site)->n,
	           .d = sn_site_width(model, site), .arena = arena };
	if (p.d == 0) return sn_fail(ctx, SN_EARG, "integrated gradients need a site with vectors, not attention patterns");
	SN_TRY(sn_attribution_ends(ctx, model, item, site, q->baseline, arena, &p.x, &p.x0));
	if (strcmp(q->steps_rule, "adaptive") == 0) return adaptive(&p, q, score, sum);
	return fixed_rule(&p, q, score, sum);
}

static sn_status integrate_each(const sn_attribution_task *t) { return sn_attribution_each(t, integrate); }

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	return sn_attribution_all(ctx, in, param, "integrated gradients", integrate_each, 0, out);
}

extern const sn_method sn_method_attribute_integrated_gradients;
const sn_method sn_method_attribute_integrated_gradients = {
	.family = "attribute", .name = "integrated-gradients", .brief = "gradients along the path from a baseline",
	.doc = "Scores that sum to f(x) - f(baseline). With --rule adaptive the path is halved where the scores of an "
	       "interval do not sum to f's rise over it, until the sum of all gaps, and twice the root of their sum of "
	       "squares, are below --tolerance; intervals where f is too rough for that have no scores and are part of the "
	       "gap. In models with RMSNorm a zero baseline is a poor one: scaling its input changes nothing for them "
	       "until it is tiny, so f moves up and down over thirty powers of ten before the path is visible, and no "
	       "rule with equal steps sees that (the gap says so; attribute deeplift has none there). At --sites in the "
	       "blocks the whole layer is the input (layer integrated gradients).",
	.cite = "Sundararajan et al. 2017",
	.example = "sonde attribute integrated-gradients --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(integrated_param),
	.table = sn_attribution_tables, .n_table = SN_ATTRIBUTION_TABLES, .run = run,
};
