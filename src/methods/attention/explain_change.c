/* Attention changed after encoding: permuted, uniform, erased key by key (Jain & Wallace 2019; Serrano & Smith
 * 2019). */
#include "methods/attention/explain.h"
#include "stats/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Variants of one chosen layer, as they are collected. */
typedef struct changes {
	const sn_explained *e;
	const sn_explained_stack *s;
	int c;
	int64_t size, d;         /* of a pattern, of z */
	int64_t lines;           /* heads x queries, each with weights of its own */
	double *own, *mean;      /* [lines][n_key]; [n_key] mean over lines */
	double *a;               /* scratch, as own */
	float *z;
	int *layer;
	int32_t n, room;
	sn_rng rng;
} changes;

static void add_variant(changes *k)
{
	SN_ASSERT(k->n < k->room);
	sn_explain_mix(k->s, k->c, k->a, k->z + k->n * k->d);
	k->layer[k->n++] = k->c;
}

static void add_permuted(changes *k, int64_t *perm)
{
	int32_t n = k->s->n_key;
	for (int64_t h = 0; h < k->lines; h++) {
		sn_rng_permute(&k->rng, perm, n);
		for (int32_t i = 0; i < n; i++) k->a[h * n + i] = k->own[h * n + perm[i]];
	}
	add_variant(k);
}

static void add_uniform(changes *k)
{
	for (int64_t i = 0; i < k->size; i++) k->a[i] = 1.0 / k->s->n_key;
	add_variant(k);
}

/* Without the first n keys of an order, what is left summing to 1 again. A line that has nothing left is
 * uniform. */
static void add_erased(changes *k, const int32_t *order, int32_t n)
{
	int32_t keys = k->s->n_key;
	memcpy(k->a, k->own, (size_t)k->size * sizeof *k->a);
	for (int64_t h = 0; h < k->lines; h++) {
		double *row = k->a + h * keys, sum = 0;
		for (int32_t i = 0; i < n; i++) row[order[i]] = 0;
		for (int32_t i = 0; i < keys; i++) sum += row[i];
		for (int32_t i = n; i < keys; i++) row[order[i]] = sum > 0 ? row[order[i]] / sum : 1.0 / (keys - n);
	}
	add_variant(k);
}

/* ---- orders ---- */

typedef struct ranked { double value; int32_t key; } ranked;

static int largest_first(const void *a, const void *b)
{
	const ranked *x = a, *y = b;
	if (x->value != y->value) return x->value > y->value ? -1 : 1;
	return (x->key > y->key) - (x->key < y->key);
}

static void sort_keys(const double *value, int32_t n, ranked *scratch, int32_t *order)
{
	for (int32_t i = 0; i < n; i++) scratch[i] = (ranked){ value[i], i };
	qsort(scratch, (size_t)n, sizeof *scratch, largest_first);
	for (int32_t i = 0; i < n; i++) order[i] = scratch[i].key;
}

/* d log p(top) / d weight of a key, moved in all lines together. */
static void slopes(const changes *k, double *out)
{
	const sn_explained_stack *s = k->s;
	int d = s->of->d_head, n_head = s->of->n_head, group = n_head / s->of->n_kv_head;
	int64_t width = (int64_t)s->of->n_kv_head * d;
	const float *value = s->value + (int64_t)k->c * s->n_key * width, *slope = s->slope + k->c * k->d;
	for (int32_t i = 0; i < s->n_key; i++) {
		out[i] = 0;
		for (int64_t line = 0; line < k->lines; line++) {
			int h = (int)(line % n_head);
			for (int j = 0; j < d; j++)
				out[i] += (double)slope[line * d + j] * value[i * width + (h / group) * d + j];
		}
	}
}

static sn_status find_orders(changes *k, int32_t *order[SN_ERASURES])
{
	int32_t n = k->s->n_key;
	double *slope, *product;
	int64_t *perm;
	ranked *scratch;
	SN_NEW(slope, k->e->arena, double, n);
	SN_NEW(product, k->e->arena, double, n);
	SN_NEW(perm, k->e->arena, int64_t, n);
	SN_NEW(scratch, k->e->arena, ranked, n);
	for (int o = 0; o < SN_ERASURES; o++) SN_NEW(order[o], k->e->arena, int32_t, n);
	slopes(k, slope);
	for (int32_t i = 0; i < n; i++) product[i] = k->mean[i] * slope[i];
	sort_keys(k->mean, n, scratch, order[SN_ERASE_ATTENTION]);
	sort_keys(slope, n, scratch, order[SN_ERASE_GRADIENT]);
	sort_keys(product, n, scratch, order[SN_ERASE_PRODUCT]);
	sn_rng_permute(&k->rng, perm, n);
	for (int32_t i = 0; i < n; i++) order[SN_ERASE_RANDOM][i] = (int32_t)perm[i];
	return SN_OK;
}

/* ---- one layer ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Variants in this order: permutations, uniform, then of each order its prefixes of 1 .. n_key - 1 keys, then one
 * random key other than the heaviest. */
static sn_status collect(changes *k, int64_t permutations)
{
	int32_t n = k->s->n_key, *order[SN_ERASURES];
	int64_t *perm;
	SN_NEW(perm, k->e->arena, int64_t, n);
	for (int64_t p = 0; p < permutations; p++) add_permuted(k, perm);
	add_uniform(k);
	SN_TRY(find_orders(k, order));
	for (int o = 0; o < SN_ERASURES; o++)
		for (int32_t i = 1; i < n; i++) add_erased(k, order[o], i);
	if (n < 2) return SN_OK;
	int32_t *other = order[SN_ERASE_RANDOM], top = order[SN_ERASE_ATTENTION][0];
	if (other[0] == top) {   /* the second of a random order is random among the others */
		other[0] = other[1];
		other[1] = top;
	}
	add_erased(k, other, 1);
	return SN_OK;
}

static void read_out(const changes *k, int64_t permutations, sn_predicted *got, sn_changed *out)
{
	int32_t n = k->s->n_key, at = (int32_t)permutations;
	*out = (sn_changed){ .adversary = NAN, .adversary_tvd = NAN, .js_gap = NAN };
	for (int32_t i = 0; i < n; i++) out->most = fmax(out->most, k->mean[i]);
	qsort(got->tvd, (size_t)permutations, sizeof *got->tvd, by_value);
	out->permuted = sn_quantile_sorted(got->tvd, permutations, 0.5);
	out->uniform = got->tvd[at++];
	int32_t first = at, last = at + SN_ERASURES * (n - 1);
	for (int o = 0; o < SN_ERASURES; o++)
		for (int32_t i = 1; i < n; i++, at++) {
			if (out->flipped[o] || got->top[at] == k->e->top) continue;
			out->flipped[o] = true;
			out->removed[o] = (double)i / n;
		}
	for (int o = 0; o < SN_ERASURES; o++)
		if (!out->flipped[o]) out->removed[o] = 1;
	if (n < 2) return;
	out->js_gap = got->js[first] - got->js[last];
	out->flips_top = got->top[first] != k->e->top;
	out->flips_random = got->top[last] != k->e->top;
}

enum { DRAW = 0x6a77 };

static sn_status change_layer(const sn_explained *e, const sn_explained_stack *s, int c, int64_t permutations,
                              sn_changed *out)
{
	changes k = { .e = e, .s = s, .c = c, .size = sn_explain_size(s), .d = s->n_query * sn_explain_width(s),
		          .lines = (int64_t)s->of->n_head * s->n_query };
	sn_predicted got;
	k.room = (int32_t)permutations + 2 + SN_ERASURES * (s->n_key - 1);
	k.rng = sn_rng_make(sn_ctx_seed(e->ctx), DRAW + ((uint64_t)e->number << 20) + ((uint64_t)s->chosen[c] << 40) +
	                    ((uint64_t)s->of->kind << 56));
	SN_NEW(k.own, e->arena, double, k.size);
	SN_NEW(k.a, e->arena, double, k.size);
	SN_NEW(k.mean, e->arena, double, s->n_key);
	SN_NEW(k.z, e->arena, float, k.room * k.d);
	SN_NEW(k.layer, e->arena, int, k.room);
	sn_explain_pattern(s, c, k.own);
	for (int64_t i = 0; i < k.size; i++) k.mean[i % s->n_key] += k.own[i] / (double)k.lines;
	SN_TRY(collect(&k, permutations));
	SN_TRY(sn_explain_variants(e, s, k.n, k.layer, k.z, &got));
	read_out(&k, permutations, &got, out);
	return SN_OK;
}

sn_status sn_explain_change(const sn_explained *e, const sn_explained_stack *s, int64_t permutations, sn_changed *out)
{
	for (int c = 0; c < s->n_chosen; c++) {
		SN_TRY(sn_poll(e->ctx));
		sn_mark mark = sn_arena_mark(e->arena);
		SN_TRY(change_layer(e, s, c, permutations, &out[c]));
		sn_arena_reset(e->arena, mark);
	}
	return SN_OK;
}
