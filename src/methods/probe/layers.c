/* Where in depth a label is: what mixtures of the layers' predictions gain, layer by layer (Tenney et al. 2019). */
#include "methods/probe/probe.h"

#include "data/result.h"
#include "stats/bootstrap.h"
#include "stats/metrics.h"
#include "stats/mixture.h"

#include <math.h>

enum { BLOCKS = 10 };

typedef struct layers {
	const sn_probe_outcome *o;
	sn_arena *arena;
	int n;                 /* boundaries, ascending */
	double *at;            /* [n] their numbers */
	float *p;              /* [rows, n] probabilities of the own class */
	double *half[2];       /* [rows] 1 in this half of the groups */
	double *block[BLOCKS]; /* [rows] 0 in this tenth of them */
	float *gain;           /* [rows, n] of cumulative mixtures */
	double *weight, gravity, gravity_se;
} layers;

/* The boundary of a residual site, or -1: 0 is the embedding, l what block l - 1 leaves. */
static int boundary(const sn_site *site)
{
	bool whole = !site->head && !site->unit;
	if (whole && site->kind == SN_SITE_RESID_PRE) return site->layer;
	return whole && site->kind == SN_SITE_RESID_POST ? site->layer + 1 : -1;
}

static bool is_depth(const sn_probe_outcome *o)
{
	for (int s = 0; s < o->n_site; s++)
		if (boundary(&o->site[s]) < 0 || (s && boundary(&o->site[s]) <= boundary(&o->site[s - 1]))) return false;
	return o->n_site >= 3 && o->n_site <= 1024 && o->rows.n_group >= 2 * BLOCKS;
}

static sn_status deal_groups(layers *l, uint64_t seed)
{
	const sn_probe_rows *rows = &l->o->rows;
	int64_t *order;
	int32_t *place;
	SN_NEW(order, l->arena, int64_t, rows->n_group);
	SN_NEW(place, l->arena, int32_t, rows->n_group);
	sn_rng rng = sn_rng_make(seed, 0x4c415952);
	sn_rng_permute(&rng, order, rows->n_group);
	for (int g = 0; g < rows->n_group; g++) place[order[g]] = g;
	for (int k = 0; k < 2; k++) SN_NEW(l->half[k], l->arena, double, rows->n);
	for (int k = 0; k < BLOCKS; k++) SN_NEW(l->block[k], l->arena, double, rows->n);
	for (int64_t i = 0; i < rows->n; i++) {
		int g = place[rows->group[i]];
		for (int k = 0; k < 2; k++) l->half[k][i] = g % 2 == k;
		for (int k = 0; k < BLOCKS; k++) l->block[k][i] = g % BLOCKS != k;
	}
	return SN_OK;
}

static sn_status prepare(layers *l, uint64_t seed)
{
	const sn_probe_outcome *o = l->o;
	l->n = o->n_site;
	size_t size = sn_size3((size_t)o->rows.n, (size_t)l->n, 1);
	SN_NEW(l->at, l->arena, double, l->n);
	SN_NEW(l->p, l->arena, float, size);
	SN_NEW(l->gain, l->arena, float, size);
	SN_NEW(l->weight, l->arena, double, l->n);
	for (int s = 0; s < l->n; s++) l->at[s] = boundary(&o->site[s]);
	for (int64_t i = 0; i < o->rows.n; i++)
		for (int s = 0; s < l->n; s++) l->p[i * l->n + s] = exp2f(SN_MAX(o->gain[i * l->n + s] + o->null[i], -40.0f));
	return deal_groups(l, seed);
}

/* Scores each half of the groups by the mixture of boundaries 0 .. last that the other half prefers. */
static void mix_up_to(layers *l, int last, double *s)
{
	int64_t n = l->o->rows.n;
	for (int k = 0; k < 2; k++) {
		(void)sn_mixture_fit(s, last + 1, l->p, n, l->n, l->half[k]);
		for (int64_t i = 0; i < n; i++) {
			double mixed = 0;
			for (int j = 0; j <= last && !(l->half[k][i] > 0); j++) mixed += s[j] * l->p[i * l->n + j];
			if (!(l->half[k][i] > 0)) l->gain[i * l->n + last] = (float)(log2(mixed) - l->o->null[i]);
		}
	}
}

static sn_status mix(layers *l)
{
	double *s;
	sn_ctx *ctx = sn_arena_ctx(l->arena);
	SN_NEW(s, l->arena, double, (int64_t)l->n * l->n);
#pragma omp parallel for num_threads(sn_ctx_threads(ctx)) schedule(dynamic)
	for (int last = l->n - 1; last >= 0; last--) mix_up_to(l, last, s + (int64_t)last * l->n);
	return sn_poll(ctx);
}

static double gravity(const layers *l, double *s, const double *weight)
{
	double sum = 0;
	(void)sn_mixture_fit(s, l->n, l->p, l->o->rows.n, l->n, weight);
	for (int j = 0; j < l->n; j++) sum += s[j] * l->at[j];
	return sum;
}

/* The centre of gravity, and its standard error by leaving out tenths of the groups (jackknife). */
static sn_status find_gravity(layers *l)
{
	double part[BLOCKS], mean = 0, square = 0, *s;
	SN_NEW(s, l->arena, double, (int64_t)BLOCKS * l->n);
	l->gravity = gravity(l, l->weight, NULL);
#pragma omp parallel for num_threads(sn_ctx_threads(sn_arena_ctx(l->arena))) schedule(dynamic)
	for (int k = 0; k < BLOCKS; k++) part[k] = gravity(l, s + (int64_t)k * l->n, l->block[k]);
	for (int k = 0; k < BLOCKS; k++) mean += part[k] / BLOCKS;
	for (int k = 0; k < BLOCKS; k++) square += (part[k] - mean) * (part[k] - mean);
	l->gravity_se = sqrt(square * (BLOCKS - 1) / BLOCKS);
	return SN_OK;
}

/* Replicates of the differences of consecutive cells; the first stays as it is. */
static void differences(sn_reps *a)
{
	for (int c = a->n_cell - 1; c > 0; c--) {
		a->point[c] -= a->point[c - 1];
		for (int64_t b = 0; b < a->n_boot; b++) a->rep[b * a->n_cell + c] -= a->rep[b * a->n_cell + c - 1];
	}
}

/* The band of one number that is computed of every replicate's row of scores. */
static sn_status band_of(sn_band *out, const layers *l, const sn_reps *score,
						 double (*number)(const double *score, const double *at, int n))
{
	sn_reps e = { .n_boot = score->n_boot, .n_cell = 1, .df = score->df };
	SN_NEW(e.point, l->arena, double, 1);
	SN_NEW(e.rep, l->arena, double, e.n_boot);
	e.point[0] = number(score->point, l->at, l->n);
	for (int64_t b = 0; b < e.n_boot; b++) e.rep[b] = number(score->rep + b * l->n, l->at, l->n);
	return sn_reps_bands(out, l->arena, &e, 0.95, NULL);
}

static double beyond_first(const double *score, const double *at, int n)
{
	(void)at;
	return score[n - 1] - score[0];
}

/* The expected layer divides by what is gained beyond the first layer: missing unless that is surely above 0. */
static sn_status expected(sn_band *out, const layers *l, const sn_reps *score)
{
	sn_band gained;
	SN_TRY(band_of(&gained, l, score, beyond_first));
	if (gained.low > 0) return band_of(out, l, score, sn_expected_layer);
	*out = (sn_band){ .point = NAN, .low = NAN, .high = NAN };
	return SN_OK;
}

static sn_status say(const layers *l, const sn_reps *score, const sn_band *mean, double wide, sn_result *out)
{
	const char *label = l->o->rows.label_name;
	double first = score->point[0], all = score->point[l->n - 1];
	if (isnan(mean->point))
		return sn_result_say(out,
							 "All layers together are not shown to know more of %s than the first (%.2f and %.2f "
							 "bits), so there is no expected layer; the centre of gravity is %.1f [%.1f, %.1f].",
							 label, all, first, l->gravity, l->gravity - wide, l->gravity + wide);
	return sn_result_say(out,
						 "Of what all layers together know of %s beyond the first (%.2f to %.2f bits), the expected "
						 "layer is %.1f [%.1f, %.1f]; the centre of gravity is %.1f [%.1f, %.1f].",
						 label, first, all, mean->point, mean->low, mean->high, l->gravity, l->gravity - wide,
						 l->gravity + wide);
}

static sn_status add(const layers *l, const sn_reps *score, sn_result *out)
{
	sn_band *whole, *step, mean;
	sn_reps delta;
	const char *label = l->o->rows.label_name;
	SN_NEW(whole, l->arena, sn_band, l->n);
	SN_NEW(step, l->arena, sn_band, l->n);
	SN_TRY(sn_reps_bands(whole, l->arena, score, 0.95, NULL));
	SN_TRY(sn_reps_copy(&delta, l->arena, score));
	differences(&delta);
	SN_TRY(sn_reps_bands(step, l->arena, &delta, 0.95, NULL));
	for (int s = 0; s < l->n; s++)
		SN_TRY(SN_ADD(out, SN_PROBE_CUMULATIVE, sn_text(label), sn_int((int64_t)l->at[s]), sn_num(whole[s].point),
					  sn_num(whole[s].sim_low), sn_num(whole[s].sim_high), sn_num(s ? step[s].point : NAN),
					  sn_num(s ? step[s].low : NAN), sn_num(s ? step[s].high : NAN), sn_num(l->weight[s])));
	SN_TRY(expected(&mean, l, score));
	double wide = l->gravity_se * sn_t_quantile(0.975, BLOCKS - 1);
	SN_TRY(SN_ADD(out, SN_PROBE_LAYERS, sn_text(label), sn_text("expected layer"), sn_num(mean.point), sn_num(mean.low),
				  sn_num(mean.high)));
	SN_TRY(SN_ADD(out, SN_PROBE_LAYERS, sn_text(label), sn_text("centre of gravity"), sn_num(l->gravity),
				  sn_num(l->gravity - wide), sn_num(l->gravity + wide)));
	return say(l, score, &mean, wide, out);
}

sn_status sn_probe_layers(const sn_probe_outcome *o, const sn_boot *boot, sn_arena *scratch, uint64_t seed,
						  sn_result *out)
{
	layers l = { .o = o, .arena = scratch };
	sn_reps score;
	if (!is_depth(o)) return SN_OK;
	SN_TRY(prepare(&l, seed));
	SN_TRY(mix(&l));
	SN_TRY(find_gravity(&l));
	sn_boot_items units = { .n = o->rows.n, .subject = o->rows.group, .n_frame = 1 };
	SN_TRY(sn_boot_mean(&score, l.arena, boot, &units, l.gain, l.n, 0));
	return add(&l, &score, out);
}
