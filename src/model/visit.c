/* What a plan does at a site: read, change, score, read. */
#include "model/visit.h"

#include "model/site.h"

#include <string.h>

/* ---- taps ---- */

sn_status sn_deliver(sn_pass *p, int tap, float *x, int64_t width, int64_t m, int64_t first)
{
	const sn_tap *t = &p->c->plan->tap[tap];
	const sn_places *places = &p->c->tap[tap];
	for (int64_t i = 0; i < m;) {
		int64_t chunk = places->row[first + i] / SN_CHUNK_ROWS, end = i;
		while (end < m && places->row[first + end] / SN_CHUNK_ROWS == chunk) end++;
		sn_block block = { .site = t->at, .batch = p->batch, .row = places->row + first + i,
		                   .pos = places->pos + first + i,
			           .m = end - i, .first = first + i, .chunk = chunk,
			           .x = sn_tensor_f32(x + i * width, end - i, width) };
		SN_TRY(t->sink->take(p->ctx, t->state, &block));
		i = end;
	}
	return SN_OK;
}

/* A site's value at a place: in this step, or what an earlier one has left; NULL: not in the view. */
static const float *value_at(const sn_pass *p, const sn_slots *v, sn_site_kind kind, sn_what what, int32_t row,
							 int32_t pos)
{
	int64_t slot = sn_slot(p, &p->now, row, pos);
	return slot >= 0 ? sn_at_slot(v, slot) : sn_held_value(p, kind, what, row, pos);
}

/* Gathers the places [first, last) that stand in the view and hands them on in runs of consecutive places. */
static sn_status gather_and_deliver(sn_pass *p, int tap, const sn_slots *v, int64_t first, int64_t last)
{
	const sn_places *places = &p->c->tap[tap];
	const sn_tap *t = &p->c->plan->tap[tap];
	int64_t c0, c1;
	sn_site_columns(p->model, &t->at, &c0, &c1);
	int64_t width = c1 - c0, run = first, filled = 0, room = SN_MIN(last - first, SN_MAX(SN_TAP_FLOATS / width, 1));
	sn_mark mark = sn_arena_mark(p->arena);
	float *buffer;
	SN_NEW(buffer, p->arena, float, room * width);
	sn_status status = SN_OK;
	for (int64_t i = first; i <= last && status == SN_OK; i++) {
		const float *x =
			i < last ? value_at(p, v, (sn_site_kind)t->at.kind, t->what, places->row[i], places->pos[i]) : NULL;
		if (x) memcpy(buffer + filled++ * width, x + c0, (size_t)width * sizeof *x);
		if (x && filled < room) continue;
		if (filled) status = sn_deliver(p, tap, buffer, width, filled, run);
		run = i + 1;
		filled = 0;
	}
	sn_arena_reset(p->arena, mark);
	return status;
}

/* Rows of the step whose places follow one another are taken together. */
static sn_status run_tap(sn_pass *p, int tap, const sn_slots *v)
{
	const sn_places *places = &p->c->tap[tap];
	for (int32_t i = 0; i < p->n_row;) {
		int64_t first = sn_places_of_row(places, p->row[i]), last = first;
		for (; i < p->n_row && (last == first || (last < places->n && places->row[last] == p->row[i])); i++) {
			if (last == first) first = last = sn_places_of_row(places, p->row[i]);
			while (last < places->n && places->row[last] == p->row[i]) last++;
		}
		if (last > first) SN_TRY(gather_and_deliver(p, tap, v, first, last));
	}
	return SN_OK;
}

sn_status sn_visit_taps(sn_pass *p, sn_site_kind kind, const sn_slots *v, sn_what what)
{
	for (int t = 0; t < p->c->plan->n_tap; t++) {
		const sn_tap *tap = &p->c->plan->tap[t];
		if (tap->what == what && sn_site_here(p, &tap->at, kind)) SN_TRY(run_tap(p, t, v));
	}
	return SN_OK;
}

/* ---- edits ---- */

float sn_edit_strength(const sn_edit *e, int32_t row)
{
	if (!e->alpha || e->n_alpha == 0) return 1;
	return e->alpha[e->n_alpha == 1 ? 0 : row];
}

static void fill_noise(const sn_pass *p, const sn_edit_place *place, const sn_edit *e, float *out, int64_t first,
                       int64_t width)
{
	int64_t item = p->batch->item ? p->batch->item[place->origin] : place->origin;
	uint64_t key = sn_rng_bits(e->noise_key, (uint64_t)item, (uint64_t)place->pos);
	for (int64_t j = 0; j < width; j++) {
		sn_rng rng = sn_rng_make(sn_ctx_seed(p->ctx), key);
		rng.counter = 2 * (uint64_t)(first + j);
		out[j] = (float)sn_rng_normal(&rng);
	}
}

void sn_edit_add_projected(const sn_edit *e, bool transposed, float *y, const float *delta, float alpha, int64_t width,
                           double *coefficient)
{
	if (!e->U) {
		for (int64_t j = 0; j < width; j++) y[j] += alpha * delta[j];
		return;
	}
	int64_t k = e->U->dim[1];
	const sn_tensor *left = transposed ? e->V : e->U, *right = transposed ? e->U : e->V;
	const float *U = left->data, *V = right->data;
	const int64_t *us = left->stride, *vs = right->stride;
	for (int64_t i = 0; i < k; i++) {
		coefficient[i] = 0;
		for (int64_t j = 0; j < width; j++) coefficient[i] += (double)V[j * vs[0] + i * vs[1]] * delta[j];
	}
	for (int64_t j = 0; j < width; j++) {
		double sum = 0;
		for (int64_t i = 0; i < k; i++) sum += (double)U[j * us[0] + i * us[1]] * coefficient[i];
		y[j] += (float)(alpha * sum);
	}
}

/* The vector that SET moves towards or ADD adds; NULL: zeros. */
static const float *source_of(const sn_edit *e, const sn_edit_place *place, const float *from_row)
{
	if (from_row) return from_row;
	if (!e->src) return NULL;
	const float *data = e->src->data;
	return e->src->ndim == 1 ? data : data + place->index * e->src->stride[0];
}

static void apply(const sn_pass *p, const sn_edit_place *place, float *y, int64_t first, int64_t width,
                  const float *from_row, float *delta, double *coefficient)
{
	const sn_edit *e = &p->c->plan->edit[place->edit];
	float alpha = sn_edit_strength(e, place->origin);
	if (alpha == 0) return;
	const float *target = source_of(e, place, from_row);
	if (e->op == SN_OP_NOISE) {
		fill_noise(p, place, e, delta, first, width);
	} else if (e->op == SN_OP_ADD) {
		memcpy(delta, target, (size_t)width * sizeof *delta);
	} else if (alpha == 1 && !e->U) {   /* exactly the target, with no rounding */
		if (target) memcpy(y, target, (size_t)width * sizeof *y);
		else memset(y, 0, (size_t)width * sizeof *y);
		return;
	} else {
		for (int64_t j = 0; j < width; j++) delta[j] = (target ? target[j] : 0) - y[j];
	}
	sn_edit_add_projected(e, false, y, delta, alpha, width, coefficient);
}

sn_status sn_edits_here(sn_pass *p, sn_site_kind kind, const sn_slots *v, const sn_edit_place ***out, int64_t *n)
{
	int64_t room = 0;
	for (int32_t i = 0; i < p->n_row; i++) room += p->c->edit_start[p->row[i] + 1] - p->c->edit_start[p->row[i]];
	SN_NEW(*out, p->arena, const sn_edit_place *, room);
	*n = 0;
	for (int32_t i = 0; i < p->n_row; i++) {
		if (p->now.off[p->row[i]] < 0) continue;
		for (int64_t j = p->c->edit_start[p->row[i]]; j < p->c->edit_start[p->row[i] + 1]; j++) {
			const sn_edit_place *place = &p->c->edit[j];
			bool here = sn_site_here(p, &p->c->plan->edit[place->edit].at, kind) &&
				place->pos >= p->now.from[place->row];
			if (here && sn_at_slot(v, sn_slot(p, &p->now, place->row, place->pos))) (*out)[(*n)++] = place;
		}
	}
	return SN_OK;
}

static int64_t width_of(const sn_pass *p, const sn_edit_place *place)
{
	int64_t c0, c1;
	sn_site_columns(p->model, &p->c->plan->edit[place->edit].at, &c0, &c1);
	return c1 - c0;
}

/* Values that edits take from other rows, as they stand before any edit of this site, one behind the other. */
static sn_status read_sources(sn_pass *p, sn_site_kind kind, const sn_slots *v, const sn_edit_place *const *places,
                              int64_t n, float **out)
{
	int64_t floats = 0;
	for (int64_t i = 0; i < n; i++) floats += places[i]->from_row < 0 ? 0 : width_of(p, places[i]);
	SN_NEW(*out, p->arena, float, floats);
	float *to = *out;
	for (int64_t i = 0; i < n; i++) {
		if (places[i]->from_row < 0) continue;
		const float *x = value_at(p, v, kind, SN_BEFORE, places[i]->from_row, places[i]->from_pos);
		SN_ASSERT(x);
		int64_t c0, c1;
		sn_site_columns(p->model, &p->c->plan->edit[places[i]->edit].at, &c0, &c1);
		memcpy(to, x + c0, (size_t)(c1 - c0) * sizeof *x);
		to += c1 - c0;
	}
	return SN_OK;
}

int64_t sn_most_columns(const sn_plan *plan)
{
	int64_t k = 1;
	for (int e = 0; e < plan->n_edit; e++)
		if (plan->edit[e].U) k = SN_MAX(k, plan->edit[e].U->dim[1]);
	return k;
}

static sn_status apply_all(sn_pass *p, sn_site_kind kind, const sn_slots *v, const sn_edit_place *const *places,
						   int64_t n)
{
	float *source, *delta;
	double *coefficient;
	int64_t widest = 1;
	for (int64_t i = 0; i < n; i++) widest = SN_MAX(widest, width_of(p, places[i]));
	SN_TRY(read_sources(p, kind, v, places, n, &source));
	SN_NEW(delta, p->arena, float, widest);
	SN_NEW(coefficient, p->arena, double, sn_most_columns(p->c->plan));
	for (int64_t i = 0; i < n; i++) {
		int64_t c0, c1;
		sn_site_columns(p->model, &p->c->plan->edit[places[i]->edit].at, &c0, &c1);
		float *y = sn_at_slot(v, sn_slot(p, &p->now, places[i]->row, places[i]->pos)) + c0;
		bool from_row = places[i]->from_row >= 0;
		apply(p, places[i], y, c0, c1 - c0, from_row ? source : NULL, delta, coefficient);
		source += from_row ? c1 - c0 : 0;
	}
	return SN_OK;
}

static sn_status run_edits(sn_pass *p, sn_site_kind kind, const sn_slots *v)
{
	sn_mark mark = sn_arena_mark(p->arena);
	const sn_edit_place **places;
	int64_t n;
	SN_TRY(sn_edits_here(p, kind, v, &places, &n));
	if (n) SN_TRY(apply_all(p, kind, v, places, n));
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

/* ---- goals at sites ---- */

static void score_row(sn_pass *p, int g, const sn_slots *v, int32_t row)
{
	const sn_goal *goal = &p->c->plan->goal[g];
	const sn_places *places = &p->c->goal[g];
	const float *dir = goal->dir->data;
	int64_t c0, c1;
	sn_site_columns(p->model, &goal->at, &c0, &c1);
	for (int64_t i = sn_places_of_row(places, row); i < places->n && places->row[i] == row; i++) {
		const float *x = value_at(p, v, (sn_site_kind)goal->at.kind, SN_AFTER, row, places->pos[i]);
		if (!x) continue;
		double sum = 0;
		for (int64_t j = c0; j < c1; j++) sum += (double)x[j] * dir[(j - c0) * goal->dir->stride[0]];
		p->score[(int64_t)g * p->batch->n + row] += (goal->weight ? goal->weight[row] : 1) * sum;
	}
}

static void run_dots(sn_pass *p, sn_site_kind kind, const sn_slots *v)
{
	for (int g = 0; g < p->c->plan->n_goal; g++) {
		const sn_goal *goal = &p->c->plan->goal[g];
		if (goal->metric != SN_DOT || !sn_site_here(p, &goal->at, kind)) continue;
		for (int32_t i = 0; i < p->n_row; i++) score_row(p, g, v, p->row[i]);
	}
}

sn_status sn_visit_slab(sn_pass *p, sn_site_kind kind, float *x, int64_t stride, int64_t slot0, int64_t slot1)
{
	uint8_t touched = sn_touched(p->c, kind, p->stage);
	if (p->silent) touched &= SN_TOUCH_EDIT;
	if (!touched && !p->held) return SN_OK;
	sn_slots v = { x, stride, slot0, slot1 };
	sn_hold_site(p, kind, SN_BEFORE, x, stride);
	if (touched & SN_TOUCH_TAP) SN_TRY(sn_visit_taps(p, kind, &v, SN_BEFORE));
	if (touched & SN_TOUCH_EDIT) SN_TRY(run_edits(p, kind, &v));
	sn_hold_site(p, kind, SN_AFTER, x, stride);
	if (touched & SN_TOUCH_DOT) run_dots(p, kind, &v);
	if (touched & SN_TOUCH_TAP) SN_TRY(sn_visit_taps(p, kind, &v, SN_AFTER));
	return SN_OK;
}

sn_status sn_visit(sn_pass *p, sn_site_kind kind, float *x, int64_t stride)
{
	return sn_visit_slab(p, kind, x, stride, 0, p->now.m);
}
