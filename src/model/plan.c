/* Compiling a plan: places, inherited edits, what is dirty, what is needed. */
#include "model/plan.h"

#include "model/check.h"
#include "model/cost.h"
#include "model/pass.h"
#include "model/positions.h"
#include "model/site.h"

#include <string.h>

/* ---- edits as places ---- */

/* A growing list of edit places: rows come in order, so each row's are contiguous. */
typedef struct place_list { sn_edit_place *item; int64_t n, room; sn_ctx *ctx; } place_list;

static sn_status push(place_list *list, sn_edit_place place)
{
	if (list->n == list->room) {
		int64_t room = SN_MAX(2 * list->room, (int64_t)256);
		sn_edit_place *item = sn_alloc_raw(list->ctx, sn_size3((size_t)room, sizeof *item, 1));
		if (!item) return SN_ENOMEM;
		if (list->n) memcpy(item, list->item, (size_t)list->n * sizeof *item);
		sn_free(list->ctx, list->item);
		list->item = item;
		list->room = room;
	}
	list->item[list->n++] = place;
	return SN_OK;
}

/* Where each edit's places stand while rows are gone through in order. */
typedef struct edit_cursor { sn_places places; int64_t at; } edit_cursor;

/* Position on the source row that matches the j-th of k places on the row, or -1. */
static sn_status match_source(const sn_compiled *c, int e, int32_t row, int32_t from, int64_t k, int32_t *pos)
{
	const sn_edit *edit = &c->plan->edit[e];
	sn_where where = edit->where;
	where.row0 = where.n_row = 0;   /* the source may stand outside the edited rows */
	if (where.sel == SN_LIST) return SN_OK;
	int32_t n = sn_places_in_row(c->batch, &where, from, NULL);
	if (n != k)
		return sn_fail(c->ctx, SN_EARG, "edit %d: row %d has %lld places, its source row %d has %d", e, row,
		               (long long)k, from, n);
	sn_places_in_row(c->batch, &where, from, pos);
	return SN_OK;
}

static sn_status push_own(sn_compiled *c, place_list *list, int e, edit_cursor *cursor, int32_t row, bool *named)
{
	const sn_edit *edit = &c->plan->edit[e];
	const sn_places *p = &cursor->places;
	int64_t first = cursor->at;
	while (cursor->at < p->n && p->row[cursor->at] == row) cursor->at++;
	int64_t k = cursor->at - first;
	int32_t from = edit->src_row ? edit->src_row[row] : -1;
	*named = k > 0 && !(edit->src_row && from < 0);
	if (!*named) return SN_OK;
	sn_mark mark = sn_arena_mark(c->arena);
	int32_t *pos;
	SN_NEW(pos, c->arena, int32_t, k);
	memcpy(pos, p->pos + first, (size_t)k * sizeof *pos);
	if (from >= 0) SN_TRY(match_source(c, e, row, from, k, pos));
	for (int64_t j = 0; j < k; j++) {
		if (from >= 0 && pos[j] >= sn_row_length(c->batch, from))
			return sn_fail(c->ctx, SN_EARG, "edit %d: row %d, position %d: its source row %d is shorter", e, row,
			               pos[j], from);
		SN_TRY(push(list, (sn_edit_place){ e, row, p->pos[first + j], row, first + j, from, from < 0 ? -1 : pos[j] }));
	}
	sn_arena_reset(c->arena, mark);
	return SN_OK;
}

/* A fork repeats its parent's edits on the positions it shares, unless the plan names it for that edit itself. */
static sn_status push_inherited(sn_compiled *c, place_list *list, int e, int64_t first, int64_t last, int32_t row)
{
	for (int64_t i = first; i < last; i++) {
		sn_edit_place place = list->item[i];
		if (place.edit != e || place.pos >= c->batch->fork[row]) continue;
		place.row = row;
		SN_TRY(push(list, place));
	}
	return SN_OK;
}

static sn_status list_edits(sn_compiled *c, edit_cursor *cursor, place_list *list)
{
	int n_edit = c->plan->n_edit;
	for (int32_t row = 0; row < c->batch->n; row++) {
		c->edit_start[row] = list->n;
		int32_t parent = sn_parent_of(c->batch, row);
		int64_t first = parent < 0 ? 0 : c->edit_start[parent], last = parent < 0 ? 0 : c->edit_start[parent + 1];
		for (int e = 0; e < n_edit; e++) {
			bool named = false;
			if (cursor[e].at < cursor[e].places.n && cursor[e].places.row[cursor[e].at] == row)
				SN_TRY(push_own(c, list, e, &cursor[e], row, &named));
			if (!named && last > first) SN_TRY(push_inherited(c, list, e, first, last, row));
		}
		c->edit_start[row + 1] = list->n;
	}
	return SN_OK;
}

static sn_status compile_edits(sn_compiled *c)
{
	edit_cursor *cursor;
	SN_NEW(cursor, c->arena, edit_cursor, c->plan->n_edit);
	SN_NEW(c->edit_start, c->arena, int64_t, c->batch->n + 1);
	for (int e = 0; e < c->plan->n_edit; e++) {
		char what[32];
		sn_format(what, sizeof what, "edit %d", e);
		SN_TRY(sn_places_find(c->ctx, c->batch, &c->plan->edit[e].where, what, c->arena, &cursor[e].places));
		SN_TRY(sn_edit_check(c->ctx, c->model, c->batch, &c->plan->edit[e], e, cursor[e].places.n));
	}
	place_list list = { .ctx = c->ctx };
	sn_status status = list_edits(c, cursor, &list);
	if (status == SN_OK && !(c->edit = SN_TAKE(c->arena, sn_edit_place, list.n))) status = SN_ENOMEM;
	if (status == SN_OK && list.n) memcpy(c->edit, list.item, (size_t)list.n * sizeof *list.item);
	sn_free(c->ctx, list.item);
	return status;
}

/* ---- taps and goals ---- */

static bool same_where(const sn_where *a, const sn_where *b)
{
	return a->sel == b->sel && a->arg == b->arg && a->end == b->end && a->list == b->list && a->n_list == b->n_list &&
		a->row0 == b->row0 && a->n_row == b->n_row;
}

/* Places of a tap; taps of many sites at the same places have them once. */
static sn_status find_tap_places(sn_compiled *c, int t, const sn_batch *batch)
{
	const sn_tap *tap = c->plan->tap;
	bool encoder = sn_site_of_encoder_rows((sn_site_kind)tap[t].at.kind);
	char what[32];
	for (int u = 0; u < t; u++)
		if (same_where(&tap[u].where, &tap[t].where) &&
		    sn_site_of_encoder_rows((sn_site_kind)tap[u].at.kind) == encoder) return c->tap[t] = c->tap[u], SN_OK;
	sn_format(what, sizeof what, "tap %d", t);
	return sn_places_find(c->ctx, batch, &tap[t].where, what, c->arena, &c->tap[t]);
}

static sn_status compile_taps(sn_compiled *c)
{
	SN_NEW(c->tap, c->arena, sn_places, c->plan->n_tap);
	for (int t = 0; t < c->plan->n_tap; t++) {
		SN_TRY(sn_site_check(c->ctx, c->model, &c->plan->tap[t].at));
		if (!c->plan->tap[t].sink || !c->plan->tap[t].sink->take)
			return sn_fail(c->ctx, SN_EARG, "tap %d has no sink", t);
		const sn_batch *batch =
			sn_site_of_encoder_rows((sn_site_kind)c->plan->tap[t].at.kind) ? c->batch->enc : c->batch;
		SN_TRY(find_tap_places(c, t, batch));
	}
	return SN_OK;
}

/* Leaves out places that have no next token, for goals whose wanted token is the row's own. */
static void drop_last_places(const sn_batch *batch, int32_t offset, sn_places *p, int64_t *index)
{
	int64_t n = 0;
	for (int64_t i = 0; i < p->n; i++) {
		if (p->pos[i] + offset >= sn_row_length(batch, p->row[i])) continue;
		p->row[n] = p->row[i];
		p->pos[n] = p->pos[i];
		index[n++] = i;
	}
	p->n = n;
}

static bool wants_tokens(sn_metric m) { return m == SN_LOSS || m == SN_LOGPROB || m == SN_LOGIT || m == SN_LOGIT_DIFF; }

static sn_status compile_goals(sn_compiled *c)
{
	SN_NEW(c->goal, c->arena, sn_places, c->plan->n_goal);
	SN_NEW(c->goal_index, c->arena, int64_t *, c->plan->n_goal);
	for (int g = 0; g < c->plan->n_goal; g++) {
		const sn_goal *goal = &c->plan->goal[g];
		char what[32];
		sn_format(what, sizeof what, "goal %d", g);
		SN_TRY(sn_places_find(c->ctx, c->batch, &goal->where, what, c->arena, &c->goal[g]));
		SN_TRY(sn_goal_check(c->ctx, c->model, c->batch, goal, g, c->goal[g].n));
		SN_NEW(c->goal_index[g], c->arena, int64_t, c->goal[g].n);
		for (int64_t i = 0; i < c->goal[g].n; i++) c->goal_index[g][i] = goal->n_want == 1 ? 0 : i;
		if (wants_tokens(goal->metric) && !goal->want)
			drop_last_places(c->batch, sn_wanted_offset(c->model), &c->goal[g], c->goal_index[g]);
	}
	return SN_OK;
}

/* Stage at which a goal is scored. */
static int goal_stage(const sn_compiled *c, const sn_goal *goal)
{
	return goal->metric == SN_DOT ? sn_site_stage(&goal->at, c->model->shape.n_layer) : c->n_stage - 1;
}

static void touch(sn_compiled *c, const sn_site *site, int bit)
{
	c->touched[sn_site_stage(site, c->model->shape.n_layer) * SN_SITE_COUNT + site->kind] |= (uint8_t)bit;
}

static sn_status mark_touched(sn_compiled *c)
{
	SN_NEW(c->touched, c->arena, uint8_t, c->n_stage * SN_SITE_COUNT);
	for (int e = 0; e < c->plan->n_edit; e++) touch(c, &c->plan->edit[e].at, SN_TOUCH_EDIT);
	for (int t = 0; t < c->plan->n_tap; t++)
		touch(c, &c->plan->tap[t].at, sn_is_gradient(c->plan->tap[t].what) ? SN_TOUCH_GRAD : SN_TOUCH_TAP);
	for (int g = 0; g < c->plan->n_goal; g++)
		if (c->plan->goal[g].metric == SN_DOT) touch(c, &c->plan->goal[g].at, SN_TOUCH_DOT);
	return SN_OK;
}

/* ---- gradients ---- */

static sn_status tie_references(sn_compiled *c)
{
	const int32_t *reference = c->plan->reference;
	SN_TRY(sn_rule_check(c->ctx, c->batch, c->plan));
	if (!reference) return SN_OK;
	SN_NEW(c->ring, c->arena, int32_t, c->batch->n);
	for (int32_t b = 0; b < c->batch->n; b++) c->ring[b] = b;
	for (int32_t b = 0; b < c->batch->n; b++) {
		if (reference[b] == b) continue;
		c->ring[b] = c->ring[reference[b]];
		c->ring[reference[b]] = b;
	}
	return SN_OK;
}

static sn_status find_gradients(sn_compiled *c, bool through)
{
	c->gradient = through;
	c->first_back = through ? 1 : c->n_stage - 1;
	for (int t = 0; t < c->plan->n_tap; t++) {
		const sn_tap *tap = &c->plan->tap[t];
		if (tap->what < SN_AFTER || tap->what > SN_GRAD_NORMED)
			return sn_fail(c->ctx, SN_EARG, "tap %d: what is %d, none of after, before, gradient", t, (int)tap->what);
		if (tap->what == SN_GRAD_NORMED && !sn_is_normed(c->model, &tap->at))
			return sn_fail(c->ctx, SN_EARG, "tap %d: no norm with gains stands behind this site", t);
		if (tap->what == SN_GRAD_BEFORE && sn_site_is_attention((sn_site_kind)tap->at.kind))
			return sn_fail(c->ctx, SN_EARG, "tap %d: scores and patterns have a gradient after their edits only", t);
		if (!sn_is_gradient(tap->what)) continue;
		c->gradient = true;
		c->first_back = SN_MIN(c->first_back, sn_site_stage(&tap->at, c->model->shape.n_layer));
	}
	if (c->gradient) SN_TRY(tie_references(c));
	if (c->gradient && c->keep)
		return sn_fail(c->ctx, SN_EARG, "rows are kept or differentiated, not both: run the batch twice");
	if (c->gradient && !c->output && c->plan->n_goal == 0)
		return sn_fail(c->ctx, SN_EARG, "the plan has gradient taps but no goal to differentiate");
	return SN_OK;
}

/* ---- what differs ---- */

/* Where every position attends to every other, one that differs makes all of them differ. */
static void lower(sn_compiled *c, int32_t row, int32_t pos, int stage)
{
	int32_t *dirty = sn_dirty(c, row);
	if (c->model->shape.form.bidirectional) pos = 0;
	for (int s = stage; s < c->n_stage && dirty[s] > pos; s++) dirty[s] = pos;
}

/* A kept state holds keys, values and residuals only: whatever else is read on its rows' positions is computed
 * again. */
static void lower_for_state(sn_compiled *c, int32_t row, int32_t pos)
{
	while (sn_parent_of(c->batch, row) >= 0) row = sn_parent_of(c->batch, row);
	if (sn_state_parent_of(c->batch, row) >= 0) lower(c, row, pos, 0);
}

static bool of_encoder_rows(const sn_compiled *c, int tap)
{
	return sn_site_of_encoder_rows((sn_site_kind)c->plan->tap[tap].at.kind);
}

static void lower_all_for_state(sn_compiled *c)
{
	for (int t = 0; t < c->plan->n_tap; t++)
		for (int64_t i = 0; i < c->tap[t].n && !of_encoder_rows(c, t); i++)
			lower_for_state(c, c->tap[t].row[i], c->tap[t].pos[i]);
	for (int g = 0; g < c->plan->n_goal; g++)
		for (int64_t i = 0; i < c->goal[g].n; i++) {
			lower_for_state(c, c->goal[g].row[i], c->goal[g].pos[i]);
			if (c->plan->goal[g].metric == SN_KL)
				lower_for_state(c, c->plan->goal[g].ref_row[c->goal[g].row[i]], c->goal[g].pos[i]);
		}
	for (int64_t i = 0; i < c->edit_start[c->batch->n]; i++)
		if (c->edit[i].from_row >= 0) lower_for_state(c, c->edit[i].from_row, c->edit[i].from_pos);
}

/* Whether positions before the fork may be read from the parent at all. */
static bool shares_prefix(const sn_compiled *c, int32_t row)
{
	const sn_batch *batch = c->batch;
	int32_t parent = sn_parent_of(batch, row), kept = sn_state_parent_of(batch, row), n = sn_row_length(batch, row);
	if (parent < 0 && kept < 0) return false;
	int32_t m = parent >= 0 ? sn_row_length(batch, parent) : c->state->row[kept].n;
	const sn_shape *s = &c->model->shape;
	if (s->form.bidirectional && (n != m || batch->fork[row] < n)) return false;
	if (n != m && (sn_rope_depends_on_length(s, n) || sn_rope_depends_on_length(s, m))) return false;
	return !c->model->encoder || parent < 0 || sn_enc_row(batch, row) == sn_enc_row(batch, parent);
}

/* Whether the plan names a row for an edit, so that it has none of its parent's places of it. */
static bool named_for(const sn_compiled *c, int32_t row, int edit)
{
	for (int64_t i = c->edit_start[row]; i < c->edit_start[row + 1] && c->edit[i].edit <= edit; i++)
		if (c->edit[i].edit == edit && c->edit[i].origin == row) return true;
	return false;
}

/* A fork differs where it is edited, and where its parent is but not the fork itself. */
static void lower_for_edits(sn_compiled *c, int32_t row)
{
	int32_t parent = sn_parent_of(c->batch, row), n_layer = c->model->shape.n_layer;
	for (int64_t i = c->edit_start[row]; i < c->edit_start[row + 1]; i++) {
		const sn_edit_place *p = &c->edit[i];
		if (p->origin == row) lower(c, row, p->pos, sn_site_stage(&c->plan->edit[p->edit].at, n_layer));
	}
	for (int64_t i = parent < 0 ? 0 : c->edit_start[parent]; parent >= 0 && i < c->edit_start[parent + 1]; i++) {
		const sn_edit_place *p = &c->edit[i];
		int stage = sn_site_stage(&c->plan->edit[p->edit].at, n_layer);
		if (p->pos < sn_dirty(c, row)[stage] && named_for(c, row, p->edit)) lower(c, row, p->pos, stage);
	}
}

static sn_status find_dirty(sn_compiled *c)
{
	SN_NEW(c->dirty, c->arena, int32_t, sn_size3((size_t)c->batch->n, (size_t)c->n_stage, 1));
	for (int32_t row = 0; row < c->batch->n; row++) {
		int32_t *dirty = sn_dirty(c, row), first = !c->gradient && shares_prefix(c, row) ? c->batch->fork[row] : 0;
		for (int s = 0; s < c->n_stage; s++) dirty[s] = first;
		lower_for_edits(c, row);
	}
	if (c->state) lower_all_for_state(c);
	return SN_OK;
}

/* ---- what is needed ---- */

static void need_places(sn_compiled *c, const sn_places *p, int stage)
{
	for (int64_t i = 0; i < p->n; i++) {
		int32_t row = p->row[i];
		c->need[row] = SN_MAX(c->need[row], stage);
		if (stage == c->n_stage - 1) c->final_from[row] = SN_MIN(c->final_from[row], p->pos[i]);
	}
}

/* Taps of what is made of the encoder's rows need every row that reads those. */
static void need_readers(sn_compiled *c, const sn_places *p, int stage)
{
	for (int32_t b = 0; b < c->batch->n; b++) {
		int64_t i = sn_places_of_row(p, sn_enc_row(c->batch, b));
		if (i < p->n && p->row[i] == sn_enc_row(c->batch, b)) c->need[b] = SN_MAX(c->need[b], stage);
	}
}

static void need_reference_rows(sn_compiled *c, const sn_goal *goal, const sn_places *p)
{
	for (int64_t i = 0; i < p->n; i++) {
		int32_t ref = goal->ref_row[p->row[i]];
		c->need[ref] = c->n_stage - 1;
		c->final_from[ref] = SN_MIN(c->final_from[ref], p->pos[i]);
	}
}

/* Source rows run as far as the edit that reads them; later rows first, so that parents see what their forks need. */
static void need_sources(sn_compiled *c, int32_t row)
{
	for (int64_t i = c->edit_start[row]; i < c->edit_start[row + 1]; i++) {
		const sn_edit_place *p = &c->edit[i];
		int stage = sn_site_stage(&c->plan->edit[p->edit].at, c->model->shape.n_layer);
		if (p->from_row < 0 || stage > c->need[row]) continue;
		c->need[p->from_row] = SN_MAX(c->need[p->from_row], stage);
		if (stage == c->n_stage - 1) c->final_from[p->from_row] = SN_MIN(c->final_from[p->from_row], p->from_pos);
	}
}

static bool need_parent(sn_compiled *c, int32_t row)
{
	int32_t parent = sn_parent_of(c->batch, row);
	if (parent < 0 || c->need[row] < 0 || sn_dirty(c, row)[0] == 0) return false;   /* without a shared prefix: none */
	bool more = c->need[parent] < c->need[row] || c->final_from[parent] > c->final_from[row];
	c->need[parent] = SN_MAX(c->need[parent], c->need[row]);
	c->final_from[parent] = SN_MIN(c->final_from[parent], c->final_from[row]);
	return more;
}

static sn_status find_needs(sn_compiled *c)
{
	int32_t n = c->batch->n;
	SN_NEW(c->need, c->arena, int32_t, n);
	SN_NEW(c->final_from, c->arena, int32_t, n);
	for (int32_t b = 0; b < n; b++) {
		c->need[b] = c->output ? c->n_stage - 1 : c->keep ? c->n_stage - 2 : -1;
		c->final_from[b] = c->output ? 0 : INT32_MAX;
	}
	for (int t = 0; t < c->plan->n_tap; t++) {
		int stage = sn_site_stage(&c->plan->tap[t].at, c->model->shape.n_layer);
		if (of_encoder_rows(c, t)) need_readers(c, &c->tap[t], stage);
		else need_places(c, &c->tap[t], stage);
	}
	for (int g = 0; g < c->plan->n_goal; g++) {
		need_places(c, &c->goal[g], goal_stage(c, &c->plan->goal[g]));
		if (c->plan->goal[g].metric == SN_KL) need_reference_rows(c, &c->plan->goal[g], &c->goal[g]);
	}
	for (bool more = true; more;) {   /* a source may itself be a fork, or stand after its reader: until nothing
	                                     changes */
		more = false;
		int64_t before = 0, after = 0;
		for (int32_t b = 0; b < n; b++) before += c->need[b];
		for (int32_t b = n - 1; b >= 0; b--) {
			need_sources(c, b);
			more |= need_parent(c, b);
		}
		for (int32_t b = 0; b < n; b++) after += c->need[b];
		more |= after != before;
	}
	return SN_OK;
}

/* What a row is compared with reaches as far as the row does. */
static void need_compared_rows(sn_compiled *c)
{
	for (int32_t b = 0; c->gradient && c->plan->reference && b < c->batch->n; b++) {
		int32_t other = c->plan->reference[b];
		c->need[other] = SN_MAX(c->need[other], c->need[b]);
		c->final_from[other] = SN_MIN(c->final_from[other], c->final_from[b]);
	}
}

/* Backward, all rows of a step stand alike in every block. */
static void need_all_alike(sn_compiled *c)
{
	int32_t top = -1;
	for (int32_t b = 0; b < c->batch->n; b++) top = SN_MAX(top, c->need[b]);
	for (int32_t b = 0; b < c->batch->n; b++) c->need[b] = top;
}

sn_status sn_plan_compile(sn_compiled *out, sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_plan *plan,
                          const sn_state *state, bool keep, bool output, bool through, sn_arena *arena)
{
	*out = (sn_compiled){ .ctx = ctx, .model = model, .batch = batch, .plan = plan, .state = state, .arena = arena,
	                      .n_stage = model->shape.n_layer + 2, .keep = keep, .output = output };
	SN_TRY(sn_batch_check(ctx, model, batch, state));
	SN_TRY(compile_edits(out));
	SN_TRY(compile_taps(out));
	SN_TRY(compile_goals(out));
	SN_TRY(mark_touched(out));
	SN_TRY(find_gradients(out, through));
	SN_TRY(find_dirty(out));
	SN_TRY(find_needs(out));
	need_compared_rows(out);
	if (out->gradient) need_all_alike(out);
	sn_cost_prepare(out);
	return SN_OK;
}
