/* Which positions are computed in a stage, and where they stand. */
#include "model/pass.h"

#include <string.h>

int64_t sn_slot(const sn_pass *p, const sn_layout *layout, int32_t row, int32_t pos)
{
	for (; row >= 0; row = sn_parent_of(p->batch, row))
		if (layout->off[row] >= 0 && pos >= layout->from[row]) return layout->off[row] + pos - layout->from[row];
	return -1;
}

/* First position of a row that this stage computes; the last stage computes nothing before the first position asked
 * for. */
static int32_t first_computed(const sn_pass *p, int32_t row)
{
	int32_t dirty = sn_dirty(p->c, row)[p->stage];
	return p->stage == p->c->n_stage - 1 ? SN_MAX(dirty, p->c->final_from[row]) : dirty;
}

void sn_layout_make(sn_pass *p)
{
	sn_layout old = p->before;
	p->before = p->now;
	p->now = old;
	int64_t m = 0;
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t b = p->row[i], n = sn_row_length(p->batch, b);
		bool computed = p->c->need[b] >= p->stage && first_computed(p, b) < n;
		p->now.off[b] = computed ? m : -1;
		p->now.from[b] = computed ? first_computed(p, b) : n;
		if (computed) m += n - p->now.from[b];
	}
	p->now.m = m;
}

static bool same_layout(const sn_pass *p)
{
	if (p->now.m != p->before.m) return false;
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] != p->before.off[p->row[i]] || p->now.from[p->row[i]] != p->before.from[p->row[i]])
			return false;
	return true;
}

/* Residual stream entering this stage at a position that no row of the batch has computed: the kept state's. */
static const float *kept_residual(const sn_pass *p, int32_t row, int32_t pos)
{
	while (sn_parent_of(p->batch, row) >= 0) row = sn_parent_of(p->batch, row);
	int32_t kept = sn_state_parent_of(p->batch, row);
	SN_ASSERT(kept >= 0 && p->stage >= 1);
	return p->c->state->row[kept].resid[p->stage - 1] + pos * p->model->shape.d_model;
}

sn_status sn_layout_move(sn_pass *p)
{
	if (same_layout(p)) return SN_OK;
	int64_t d = p->model->shape.d_model;
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t b = p->row[i], n = sn_row_length(p->batch, b);
		for (int32_t pos = p->now.from[b]; pos < n && p->now.off[b] >= 0; pos++) {
			int64_t from = sn_slot(p, &p->before, b, pos);
			const float *source = from >= 0 ? p->x + from * d : kept_residual(p, b, pos);
			memcpy(p->spare + (p->now.off[b] + pos - p->now.from[b]) * d, source, (size_t)d * sizeof *source);
		}
	}
	float *x = p->x;
	p->x = p->spare;
	p->spare = x;
	return SN_OK;
}

int64_t sn_places_of_row(const sn_places *places, int32_t row)
{
	int64_t lo = 0, hi = places->n;
	while (lo < hi) {
		int64_t mid = (lo + hi) / 2;
		if (places->row[mid] < row) lo = mid + 1;
		else hi = mid;
	}
	return lo;
}
