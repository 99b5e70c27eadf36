/* Holding values for later waves, and finding them. */
#include "model/pass.h"

#include <string.h>

/* Copies rows of width floats, at distance stride from one another, for the positions of a row that are held. */
static void hold_row(const sn_pass *p, int32_t row, int key, const float *x, int64_t stride)
{
	int32_t first, last;
	int64_t width = sn_held_width(p->held, key);
	sn_held_range(p->held, row, key, &first, &last);
	for (int32_t pos = first; pos < last; pos++) {
		int64_t slot = p->now.off[row] + pos - p->now.from[row];
		memcpy(sn_held_at(p->held, row, key, pos), x + slot * stride, (size_t)width * sizeof *x);
	}
}

static void hold_rows(const sn_pass *p, int key, const float *x, int64_t stride)
{
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0) hold_row(p, p->row[i], key, x, stride);
}

void sn_hold_stream(const sn_pass *p, int stage)
{
	if (p->held) hold_rows(p, sn_held_stream(p->held, stage), p->x, p->model->shape.d_model);
}

void sn_hold_keys(const sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	if (p->held) hold_rows(p, sn_held_kv(p->stage), p->qkv + (int64_t)s->n_head * s->d_head, sn_qkv_width(s));
}

void sn_hold_site(const sn_pass *p, sn_site_kind kind, sn_what what, const float *x, int64_t stride)
{
	int key = p->held ? sn_held_site(p->held, p->stage, kind, what) : -1;
	if (key >= 0) hold_rows(p, key, x, stride);
}

const float *sn_held_value(const sn_pass *p, sn_site_kind kind, sn_what what, int32_t row, int32_t pos)
{
	int32_t owner = sn_owner(p->c, row, pos, p->stage);
	if (owner < 0) return NULL;
	const float *x = p->held ? sn_held_at(p->held, owner, sn_held_site(p->held, p->stage, kind, what), pos) : NULL;
	SN_ASSERT(x);
	return x;
}
