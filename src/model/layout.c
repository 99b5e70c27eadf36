/* Which positions are computed in a stage, and where they stand. */
#include "model/pass.h"

#include <string.h>

int64_t sn_slot(const sn_pass *p, const sn_layout *layout, int32_t row, int32_t pos)
{
	while (row >= 0 && pos < layout->from[row]) row = sn_parent_of(p->batch, row);
	return row >= 0 && layout->off[row] >= 0 ? layout->off[row] + pos - layout->from[row] : -1;
}

void sn_layout_make(sn_pass *p)
{
	sn_layout old = p->before;
	p->before = p->now;
	p->now = old;
	int64_t m = 0;
	for (int32_t i = 0; i < p->n_kin; i++) {   /* of other waves as well: they own positions, but have no slots */
		p->now.off[p->kin[i]] = -1;
		p->now.from[p->kin[i]] = sn_first_computed(p->c, p->kin[i], p->stage);
	}
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t b = p->row[i], first = sn_first_computed(p->c, b, p->stage);
		p->now.off[b] = first == INT32_MAX ? -1 : m;
		p->now.from[b] = first;
		if (first != INT32_MAX) m += sn_row_length(p->batch, b) - first;
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

/* Residual stream entering this stage at a position that no row of the step has computed: what an earlier wave has
 * left, or the kept state's. */
static const float *kept_residual(const sn_pass *p, int32_t row, int32_t pos)
{
	int32_t owner = sn_owner(p->c, row, pos, p->stage - 1);
	if (owner >= 0) {
		const float *x = p->held ? sn_held_at(p->held, owner, sn_held_stream(p->held, p->stage), pos) : NULL;
		SN_ASSERT(x);
		return x;
	}
	while (sn_parent_of(p->batch, row) >= 0) row = sn_parent_of(p->batch, row);
	int32_t kept = sn_state_parent_of(p->batch, row);
	SN_ASSERT(kept >= 0 && p->stage >= 1);
	return sn_kept_resid(&p->c->state->row[kept], p->stage - 1, pos, p->model->shape.d_model);
}

sn_status sn_layout_move(sn_pass *p)
{
	if (same_layout(p)) return SN_OK;
	int64_t d = p->model->shape.d_model;
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t b = p->row[i], n = sn_row_length(p->batch, b), own = SN_MAX(p->before.from[b], p->now.from[b]);
		if (p->now.off[b] < 0) continue;
		float *to = p->spare + p->now.off[b] * d;
		for (int32_t pos = p->now.from[b]; pos < SN_MIN(own, n); pos++, to += d) {
			int64_t from = sn_slot(p, &p->before, b, pos);
			const float *source = from >= 0 ? p->x + from * d : kept_residual(p, b, pos);
			memcpy(to, source, (size_t)d * sizeof *source);
		}
		if (own < n)
			memcpy(to, p->x + (p->before.off[b] + own - p->before.from[b]) * d, (size_t)((n - own) * d) * sizeof *to);
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
