/* A site on the way down: goals that look at it, taps of its gradient, and the edits, whose closed form
 * y = x + alpha U V' (t - x) has dx = dy - alpha V U' dy and dt = alpha V U' dy. */
#include "model/back.h"
#include "model/site.h"
#include "model/visit.h"

#include <string.h>

/* ---- goals ---- */

static void seed_row(const sn_pass *p, const sn_goal *goal, const sn_places *places, const sn_slots *v, int32_t row)
{
	const float *dir = goal->dir->data;
	float weight = goal->weight ? goal->weight[row] : 1;
	int64_t c0, c1;
	sn_site_columns(p->model, &goal->at, &c0, &c1);
	for (int64_t i = sn_places_of_row(places, row); i < places->n && places->row[i] == row; i++) {
		float *x = sn_at_slot(v, sn_slot(p, &p->now, row, places->pos[i]));
		for (int64_t j = c0; x && j < c1; j++) x[j] += weight * dir[(j - c0) * goal->dir->stride[0]];
	}
}

static void seed_dots(const sn_pass *p, sn_site_kind kind, const sn_slots *v)
{
	for (int g = 0; g < p->c->plan->n_goal; g++) {
		const sn_goal *goal = &p->c->plan->goal[g];
		if (goal->metric != SN_DOT || !sn_site_here(p, &goal->at, kind)) continue;
		for (int32_t i = 0; i < p->n_row; i++) seed_row(p, goal, &p->c->goal[g], v, p->row[i]);
	}
}

/* ---- edits ---- */

static float *slot_of(const sn_pass *p, const sn_slots *v, int32_t row, int32_t pos)
{
	return sn_at_slot(v, sn_slot(p, &p->now, row, pos));
}

/* moved, zero before: what flows to the value that the edit moves towards. */
static void place_back(sn_pass *p, const sn_slots *v, const sn_edit_place *place, double *coefficient, float *moved)
{
	const sn_edit *e = &p->c->plan->edit[place->edit];
	float alpha = sn_edit_strength(e, place->origin);
	int64_t c0, c1;
	sn_site_columns(p->model, &e->at, &c0, &c1);
	if (alpha == 0 || e->op == SN_OP_ADD || e->op == SN_OP_NOISE) return;
	float *dy = slot_of(p, v, place->row, place->pos) + c0;
	sn_edit_add_projected(e, true, moved, dy, alpha, c1 - c0, coefficient);
	for (int64_t j = 0; j < c1 - c0; j++) dy[j] -= moved[j];
}

/* Rows are read as they stand before any edit: what flows to them is added when all edits are through. */
static void sources_back(sn_pass *p, const sn_slots *v, const sn_edit_place *place, const float *moved)
{
	int64_t c0, c1;
	if (place->from_row < 0) return;
	sn_site_columns(p->model, &p->c->plan->edit[place->edit].at, &c0, &c1);
	p->model->kernels->add(slot_of(p, v, place->from_row, place->from_pos) + c0, moved, c1 - c0);
}

static sn_status edits_back(sn_pass *p, sn_site_kind kind, const sn_slots *v)
{
	sn_mark mark = sn_arena_mark(p->arena);
	const sn_edit_place **places;
	float *moved;
	double *coefficient;
	int64_t n;
	SN_TRY(sn_edits_here(p, kind, v, &places, &n));
	SN_NEW(moved, p->arena, float, n * v->stride);
	SN_NEW(coefficient, p->arena, double, sn_most_columns(p->c->plan));
	for (int64_t i = n - 1; i >= 0; i--) place_back(p, v, places[i], coefficient, moved + i * v->stride);
	for (int64_t i = 0; i < n; i++) sources_back(p, v, places[i], moved + i * v->stride);
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

/* ---- a site ---- */

sn_status sn_visit_normed(sn_pass *p, sn_site_kind kind, float *dx, int64_t stride)
{
	sn_slots v = { dx, stride, 0, p->now.m };
	if (!(sn_touched(p->c, kind, p->stage) & SN_TOUCH_GRAD)) return SN_OK;
	return sn_visit_taps(p, kind, &v, SN_GRAD_NORMED);
}

sn_status sn_visit_back(sn_pass *p, sn_site_kind kind, float *dx, int64_t stride)
{
	uint8_t touched = sn_touched(p->c, kind, p->stage);
	sn_slots v = { dx, stride, 0, p->now.m };
	if (touched & SN_TOUCH_DOT) seed_dots(p, kind, &v);
	if (touched & SN_TOUCH_GRAD) SN_TRY(sn_visit_taps(p, kind, &v, SN_GRAD));
	if (touched & SN_TOUCH_EDIT) SN_TRY(edits_back(p, kind, &v));
	if (touched & SN_TOUCH_GRAD) SN_TRY(sn_visit_taps(p, kind, &v, SN_GRAD_BEFORE));
	return SN_OK;
}
