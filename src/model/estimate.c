#include "model/estimate.h"
#include "base/base.h"
#include "model/choice.h"
#include "model/gather.h"
#include "model/site.h"

#include <math.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20, MOST_TOKENS = 4096 }; /* of one run */

/* A whole site, of which spots may be heads or units: values of the members, derivatives at the rows that have them. */
typedef struct tapped {
	sn_site at;
	int64_t d;
	float *x, *g;
} tapped;

typedef struct estimate {
	sn_ctx *ctx;
	sn_model *model;
	const sn_items *items;
	const sn_pair *pair;
	const sn_spot *spot;
	int n_spot, n_site, steps, *site_of; /* [n_spot] */
	bool lean;
	tapped *site;
	int64_t longest;
	int32_t *row_of; /* [items->n] row among the chunk's members, -1 */
	sn_exchange *out;
	sn_arena *arena; /* of one chunk */
} estimate;

/* One run: pairs [first, first + n), their members without repetition, and the places that spots name in them. */
typedef struct chunk {
	int64_t first, n, *which;
	int32_t n_member;
	sn_batch batch;
	int64_t n_place, *place, *number; /* flat tokens; [tokens] their numbers, -1 */
	double *ld;                       /* [n_member] */
} chunk;

/* ---- sites ---- */

static int site_number(estimate *e, const sn_site *spot)
{
	sn_site whole = *spot;
	whole.head = 0;
	whole.unit = 0;
	for (int s = 0; s < e->n_site; s++) {
		const sn_site *at = &e->site[s].at;
		if (at->kind == whole.kind && at->layer == whole.layer && at->stack == whole.stack) return s;
	}
	e->site[e->n_site] = (tapped){ .at = whole, .d = sn_site_width(e->model, &whole) };
	return e->n_site++;
}

static sn_status open_sites(estimate *e, sn_arena *arena)
{
	SN_NEW(e->site, arena, tapped, e->n_spot);
	SN_NEW(e->site_of, arena, int, e->n_spot);
	for (int s = 0; s < e->n_spot; s++) {
		char name[96];
		e->site_of[s] = site_number(e, &e->spot[s].site);
		if (e->site[e->site_of[s]].d > 0) continue;
		sn_site_format(&e->spot[s].site, name, sizeof name);
		return sn_fail(e->ctx, SN_EARG, "%s has no vectors; estimates need residual streams, outputs, q, k, v or z",
					   name);
	}
	SN_NEW(e->row_of, arena, int32_t, e->items->n);
	for (int64_t i = 0; i < e->items->n; i++) e->row_of[i] = -1;
	return SN_OK;
}

/* ---- places ---- */

static int64_t length(const sn_items *items, int64_t item) { return items->start[item + 1] - items->start[item]; }

static bool alike(const estimate *e, const sn_pair *pair)
{
	return length(e->items, pair->base) == length(e->items, pair->source);
}

/* Positions of a spot in the base and what stands for them in the source; 0: none. */
static int counterparts(const estimate *e, const sn_pair *pair, const sn_spot *spot, int32_t *base, int32_t *source)
{
	int n = sn_spot_positions(e->items, pair->base, spot, base);
	if (spot->place == SN_PLACE_ROLE_LAST && e->steps == 0)
		return n && sn_spot_positions(e->items, pair->source, spot, source) == n ? n : 0;
	if (!alike(e, pair)) return 0;
	memcpy(source, base, (size_t)n * sizeof *base);
	return n;
}

static void mark_places(const estimate *e, chunk *c, int32_t *base, int32_t *source)
{
	for (int64_t p = c->first; p < c->first + c->n; p++)
		for (int s = 0; s < e->n_spot; s++) {
			int64_t b = c->batch.start[e->row_of[e->pair[p].base]], t = c->batch.start[e->row_of[e->pair[p].source]];
			int n = counterparts(e, &e->pair[p], &e->spot[s], base, source);
			for (int i = 0; i < n; i++) c->number[b + base[i]] = c->number[t + source[i]] = 0;
		}
}

static sn_status list_places(const estimate *e, chunk *c)
{
	int64_t n_token = c->batch.start[c->n_member];
	int32_t *base, *source;
	SN_NEW(base, e->arena, int32_t, e->longest);
	SN_NEW(source, e->arena, int32_t, e->longest);
	SN_NEW(c->place, e->arena, int64_t, n_token);
	SN_NEW(c->number, e->arena, int64_t, n_token);
	for (int64_t t = 0; t < n_token; t++) c->number[t] = -1;
	mark_places(e, c, base, source);
	for (int64_t t = 0; t < n_token; t++) {
		if (c->number[t] < 0) continue;
		c->number[t] = c->n_place;
		c->place[c->n_place++] = t;
	}
	return SN_OK;
}

/* ---- members ---- */

static bool is_member(const estimate *e, int64_t item) { return e->row_of[item] >= 0; }

static void add_member(estimate *e, chunk *c, int64_t item)
{
	if (is_member(e, item)) return;
	e->row_of[item] = c->n_member;
	c->which[c->n_member++] = item;
}

/* Takes pairs from the first on until the run is large enough. */
static sn_status take_pairs(estimate *e, chunk *c, int64_t n_pair)
{
	int64_t bytes = 0, tokens = 0;
	for (int s = 0; s < e->n_site; s++) bytes += 2 * e->site[s].d * (int64_t)sizeof(float);
	int64_t most = SN_MIN(SN_MAX(MOST_BYTES / SN_MAX(bytes * SN_MAX(e->steps, 1), 1), 1), (int64_t)MOST_TOKENS);
	SN_NEW(c->which, e->arena, int64_t, 2 * (n_pair - c->first));
	while (c->first + c->n < n_pair) {
		const sn_pair *pair = &e->pair[c->first + c->n];
		if (!is_member(e, pair->base)) tokens += length(e->items, pair->base);
		if (!is_member(e, pair->source)) tokens += length(e->items, pair->source);
		if (c->n > 0 && tokens > most) break;
		add_member(e, c, pair->base);
		add_member(e, c, pair->source);
		c->n++;
	}
	return SN_OK;
}

/* ---- runs ---- */

/* Taps of values, derivatives or both at the listed places of a batch. */
static sn_status make_taps(estimate *e, const int64_t *place, int64_t n, bool values, bool slopes, sn_tap **tap,
						   int *n_tap)
{
	sn_where where = { .sel = SN_LIST, .list = place, .n_list = n };
	sn_keep *keep;
	*n_tap = 0;
	SN_NEW(*tap, e->arena, sn_tap, 2 * e->n_site + 1);
	SN_NEW(keep, e->arena, sn_keep, 2 * e->n_site);
	for (int k = 0; k < 2; k++)
		for (int s = 0; s < e->n_site; s++) {
			tapped *t = &e->site[s];
			if (n == 0 || (k == 0 ? !values : !slopes)) continue;
			float **x = k == 0 ? &t->x : &t->g;
			SN_NEW(*x, e->arena, float, n * t->d);
			keep[*n_tap] = (sn_keep){ *x, n, t->d };
			(*tap)[*n_tap] = (sn_tap){ t->at, where, k == 0 ? SN_AFTER : SN_GRAD, &sn_sink_keep, &keep[*n_tap] };
			++*n_tap;
		}
	return SN_OK;
}

/* LD of each row; rows of a step repeat an item. */
static sn_status run(estimate *e, const sn_batch *batch, const int64_t *item, sn_plan *plan, double *ld)
{
	sn_goal *goal;
	double *score;
	SN_TRY(sn_choice_sum(e->ctx, e->items, item, batch->n, sn_model_get_info(e->model)->d_vocab, e->arena, &goal));
	SN_NEW(score, e->arena, double, (int64_t)e->items->n_choice * batch->n);
	plan->size = sizeof *plan;
	plan->lean = e->lean;
	plan->goal = goal;
	plan->n_goal = e->items->n_choice;
	SN_TRY(sn_run(e->ctx, e->model, batch, plan, NULL, score));
	for (int32_t b = 0; b < batch->n; b++) {
		ld[b] = 0;
		for (int k = 0; k < e->items->n_choice; k++) ld[b] += score[(int64_t)k * batch->n + b];
	}
	return SN_OK;
}

/* ---- sums ---- */

static double dot(const tapped *t, int64_t base, int64_t source, int64_t slope, int64_t c0, int64_t c1)
{
	const float *x = t->x + base * t->d, *y = t->x + source * t->d, *g = t->g + slope * t->d;
	double sum = 0;
	for (int64_t j = c0; j < c1; j++) sum += ((double)y[j] - x[j]) * g[j];
	return sum;
}

/* Writes what pair p of the chunk is estimated to choose. slope [tokens of the base]: where each place's derivative is.
 */
static void put_pair(estimate *e, const chunk *c, int64_t p, const int64_t *slope, int32_t *pos[2])
{
	const sn_pair *pair = &e->pair[p];
	int32_t base = e->row_of[pair->base], source = e->row_of[pair->source];
	e->out->base[p] = c->ld[base];
	e->out->source[p] = c->ld[source];
	for (int s = 0; s < e->n_spot; s++) {
		const tapped *t = &e->site[e->site_of[s]];
		int64_t c0, c1;
		int n = counterparts(e, pair, &e->spot[s], pos[0], pos[1]);
		double *to = &e->out->ld[p * e->n_spot + s];
		sn_site_columns(e->model, &e->spot[s].site, &c0, &c1);
		if (n > 0) *to = c->ld[base];
		for (int i = 0; i < n; i++)
			*to += dot(t, c->number[c->batch.start[base] + pos[0][i]], c->number[c->batch.start[source] + pos[1][i]],
					   slope[pos[0][i]], c0, c1);
	}
}

static sn_status put_chunk(estimate *e, const chunk *c)
{
	int32_t *pos[2];
	SN_NEW(pos[0], e->arena, int32_t, e->longest);
	SN_NEW(pos[1], e->arena, int32_t, e->longest);
	for (int64_t p = c->first; p < c->first + c->n; p++)
		put_pair(e, c, p, c->number + c->batch.start[e->row_of[e->pair[p].base]], pos);
	return SN_OK;
}

/* ---- the gradient at the base ---- */

static sn_status at_base(estimate *e, chunk *c)
{
	sn_plan plan = { 0 };
	sn_tap *tap;
	SN_TRY(make_taps(e, c->place, c->n_place, true, true, &tap, &plan.n_tap));
	plan.tap = tap;
	SN_TRY(run(e, &c->batch, c->which, &plan, c->ld));
	return put_chunk(e, c);
}

/* ---- its mean along the line between the embeddings ---- */

/* Rows between base and source: step k of a path has the embeddings x_s + (k + 1/2) / steps (x_b - x_s). */
typedef struct paths {
	int64_t n, *of_pair; /* [pairs of the chunk] */
	sn_batch batch;
	int64_t *item, *number, n_place;
	float *embed;
} paths;

/* A pair and its other direction, the one before it, share a path: midpoints are the same from either end. */
static sn_status list_paths(const estimate *e, const chunk *c, paths *t)
{
	int64_t *which, n_row = 0;
	SN_NEW(t->of_pair, e->arena, int64_t, c->n);
	SN_NEW(which, e->arena, int64_t, c->n * e->steps);
	for (int64_t i = 0; i < c->n; i++) {
		const sn_pair *pair = &e->pair[c->first + i], *before = i > 0 ? pair - 1 : pair;
		bool back = before->base == pair->source && before->source == pair->base;
		t->of_pair[i] = !alike(e, pair) ? -1 : back ? t->of_pair[i - 1] : t->n;
		if (t->of_pair[i] < t->n) continue;
		for (int k = 0; k < e->steps; k++) which[n_row++] = pair->base;
		t->n++;
	}
	t->item = which;
	return sn_gather_batch(&t->batch, e->items, which, n_row, e->arena);
}

/* Places of the first row of each path, in all its rows; number [tokens of the batch]. */
static sn_status list_path_places(const estimate *e, const chunk *c, paths *t, int64_t **place)
{
	int64_t n_token = t->batch.start[t->batch.n];
	SN_NEW(*place, e->arena, int64_t, n_token);
	SN_NEW(t->number, e->arena, int64_t, n_token);
	for (int32_t b = 0; b < t->batch.n; b++) {
		int64_t member = c->batch.start[e->row_of[t->item[b]]], start = t->batch.start[b];
		for (int64_t i = 0; i < t->batch.start[b + 1] - start; i++) {
			t->number[start + i] = c->number[member + i] < 0 ? -1 : t->n_place;
			if (c->number[member + i] >= 0) (*place)[t->n_place++] = start + i;
		}
	}
	return SN_OK;
}

static sn_status interpolate(const estimate *e, const chunk *c, const paths *t, int64_t d, float **out)
{
	int64_t done = -1;
	SN_NEW(*out, e->arena, float, t->batch.start[t->batch.n] * d);
	for (int64_t i = 0; i < c->n; i++) {
		const sn_pair *pair = &e->pair[c->first + i];
		if (t->of_pair[i] <= done) continue;
		done = t->of_pair[i];
		const float *base = t->embed + c->batch.start[e->row_of[pair->base]] * d;
		const float *source = t->embed + c->batch.start[e->row_of[pair->source]] * d;
		for (int k = 0; k < e->steps; k++) {
			float *to = *out + t->batch.start[done * e->steps + k] * d;
			double at = (k + 0.5) / e->steps;
			for (int64_t j = 0; j < length(e->items, pair->base) * d; j++)
				to[j] = (float)(source[j] + at * ((double)base[j] - source[j]));
		}
	}
	return SN_OK;
}

/* Adds each path's derivatives up into those of its first row. */
static void average(estimate *e, const paths *t)
{
	for (int64_t path = 0; path < t->n; path++) {
		const int64_t *start = t->batch.start + path * e->steps;
		for (int64_t i = 0; i < start[1] - start[0]; i++) {
			if (t->number[start[0] + i] < 0) continue;
			for (int s = 0; s < e->n_site; s++) {
				int64_t d = e->site[s].d;
				float *to = e->site[s].g + t->number[start[0] + i] * d;
				for (int64_t j = 0; j < d; j++) {
					double sum = 0;
					for (int k = 0; k < e->steps; k++) sum += e->site[s].g[t->number[start[k] + i] * d + j];
					to[j] = (float)(sum / e->steps);
				}
			}
		}
	}
}

static sn_status put_paths(estimate *e, const chunk *c, const paths *t)
{
	int32_t *pos[2];
	SN_NEW(pos[0], e->arena, int32_t, e->longest);
	SN_NEW(pos[1], e->arena, int32_t, e->longest);
	for (int64_t i = 0; i < c->n; i++) {
		const int64_t *slope = t->of_pair[i] < 0 ? NULL : t->number + t->batch.start[t->of_pair[i] * e->steps];
		put_pair(e, c, c->first + i, slope, pos);
	}
	return SN_OK;
}

static sn_status read_members(estimate *e, chunk *c, sn_keep *embed)
{
	sn_plan plan = { 0 };
	sn_tap *tap;
	SN_NEW(embed->x, e->arena, float, embed->m * embed->d);
	SN_TRY(make_taps(e, c->place, c->n_place, true, false, &tap, &plan.n_tap));
	tap[plan.n_tap++] =
		(sn_tap){ .at = { .kind = SN_SITE_EMBED }, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = embed };
	plan.tap = tap;
	return run(e, &c->batch, c->which, &plan, c->ld);
}

static sn_status along_paths(estimate *e, chunk *c)
{
	paths t = { 0 };
	sn_site at = { .kind = SN_SITE_EMBED };
	sn_keep embed = { .m = c->batch.start[c->n_member], .d = sn_site_width(e->model, &at) };
	int64_t *place;
	float *x;
	double *ld;
	sn_tap *tap;
	SN_TRY(read_members(e, c, &embed));
	t.embed = embed.x;
	SN_TRY(list_paths(e, c, &t));
	if (t.n == 0) return put_paths(e, c, &t);
	SN_TRY(list_path_places(e, c, &t, &place));
	SN_TRY(interpolate(e, c, &t, embed.d, &x));
	sn_tensor src = sn_tensor_f32(x, t.batch.start[t.batch.n], embed.d);
	sn_edit set = { .op = SN_OP_SET, .at = at, .where = { .sel = SN_ALL }, .src = &src };
	sn_plan plan = { .n_edit = 1, .edit = &set };
	SN_TRY(make_taps(e, place, t.n_place, false, true, &tap, &plan.n_tap));
	plan.tap = tap;
	SN_NEW(ld, e->arena, double, t.batch.n);
	SN_TRY(run(e, &t.batch, t.item, &plan, ld));
	average(e, &t);
	return put_paths(e, c, &t);
}

/* ---- all pairs ---- */

static sn_status run_chunk(estimate *e, chunk *c, int64_t n_pair)
{
	SN_TRY(take_pairs(e, c, n_pair));
	SN_TRY(sn_gather_batch(&c->batch, e->items, c->which, c->n_member, e->arena));
	SN_TRY(list_places(e, c));
	SN_NEW(c->ld, e->arena, double, c->n_member);
	SN_TRY(e->steps > 0 ? along_paths(e, c) : at_base(e, c));
	for (int32_t i = 0; i < c->n_member; i++) e->row_of[c->which[i]] = -1;
	return SN_OK;
}

static sn_status run_chunks(estimate *e, int64_t n_pair)
{
	sn_mark mark = sn_arena_mark(e->arena);
	for (int64_t p = 0; p < n_pair;) {
		chunk c = { .first = p };
		SN_TRY(sn_poll(e->ctx));
		SN_TRY(run_chunk(e, &c, n_pair));
		sn_arena_reset(e->arena, mark);
		sn_progress(e->ctx, "estimating patches", p += c.n, n_pair);
	}
	return SN_OK;
}

static sn_status take_arrays(sn_exchange *out, const sn_items *items, int64_t n_pair, int n_spot, sn_arena *arena)
{
	*out = (sn_exchange){ .n_pair = n_pair, .n_patch = n_spot, .n_choice = items->n_choice };
	SN_NEW(out->base, arena, double, n_pair);
	SN_NEW(out->source, arena, double, n_pair);
	SN_NEW(out->ld, arena, double, n_pair *n_spot);
	for (int64_t p = 0; p < n_pair; p++) out->base[p] = out->source[p] = NAN;
	for (int64_t i = 0; i < n_pair * n_spot; i++) out->ld[i] = NAN;
	return SN_OK;
}

sn_status sn_interchange_estimate(sn_exchange *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
								  const sn_pair *pair, int64_t n_pair, const sn_spot *spot, int n_spot,
								  sn_estimate_how how, sn_arena *arena)
{
	estimate e = { .ctx = ctx,
				   .model = model,
				   .items = items,
				   .pair = pair,
				   .spot = spot,
				   .n_spot = n_spot,
				   .steps = how.steps,
				   .lean = how.lean,
				   .longest = sn_items_longest(items),
				   .out = out };
	SN_TRY(take_arrays(out, items, n_pair, n_spot, arena));
	for (int64_t p = 0; p < n_pair; p++)
		if (pair[p].base < 0 || pair[p].base >= items->n || pair[p].source < 0 || pair[p].source >= items->n)
			return sn_fail(ctx, SN_EARG, "%s: pair %lld names an item that does not exist (%lld items)", items->source,
						   (long long)p, (long long)items->n);
	SN_TRY(sn_arena_open(&e.arena, ctx));
	sn_arena *kept;
	sn_status status = sn_arena_open(&kept, ctx);
	if (status == SN_OK) status = open_sites(&e, kept);
	if (status == SN_OK) status = run_chunks(&e, n_pair);
	sn_arena_close(kept);
	sn_arena_close(e.arena);
	return status;
}
