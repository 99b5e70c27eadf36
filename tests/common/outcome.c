#include "common/outcome.h"

#include <math.h>
#include <string.h>

/* ---- a sink that remembers every place, and the order ---- */

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	record *r = state;
	int64_t size = sn_tensor_count(&block->x) / block->m;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++) {
		int64_t place = block->first + i;
		const float *x = (const float *)block->x.data + i * size;
		assert_true(place >= 0 && place < r->n && !r->x[place]);
		assert_int_equal(block->chunk, block->row[i] / 64);
		r->x[place] = SN_TAKE(r->arena, float, size);
		memcpy(r->x[place], x, (size_t)size * sizeof *x);
		r->size[place] = size;
		r->hash = sn_fnv1a(r->hash, &place, sizeof place);
		r->hash = sn_fnv1a(r->hash, x, (size_t)size * sizeof *x);
		r->taken++;
	}
	return SN_OK;
}

static const sn_sink recorder = { .size = sizeof(record), .take = take };

void outcome_run(forms_case *f, sn_ctx *ctx, const sn_batch *batch, const sn_plan *plan, sn_state *keep, outcome *out)
{
	sn_tap tap[RANDOM_TAPS];
	sn_plan with = *plan;
	*out = (outcome){ 0 };
	for (int t = 0; t < plan->n_tap; t++) {
		record *r = &out->tap[t];
		int64_t n = sn_where_count(f->ctx, batch, &plan->tap[t].where);
		*r = (record){ .arena = f->arena, .n = n, .hash = SN_FNV_START };
		r->x = SN_TAKE(f->arena, float *, r->n);
		r->size = SN_TAKE(f->arena, int64_t, r->n);
		tap[t] = plan->tap[t];
		tap[t].sink = &recorder;
		tap[t].state = r;
	}
	with.tap = tap;
	out->status = sn_run(ctx, f->model, batch, &with, keep, out->score);
	for (int t = 0; t < plan->n_tap && out->status == SN_OK; t++)
		if (out->tap[t].taken != out->tap[t].n)
			fail_msg("model %d: %s: %d places of %d came", (int)f->number,
			         sn_site_name((sn_site_kind)plan->tap[t].at.kind), (int)out->tap[t].taken, (int)out->tap[t].n);
}

/* ---- comparing ---- */

static bool close_to(double a, double b, double most)
{
	return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= most;
}

static double size_of(const float *x, int64_t n)
{
	double most = 0;
	for (int64_t i = 0; i < n; i++) most = fmax(most, isfinite(x[i]) ? fabs((double)x[i]) : 0);
	return most;
}

const char *outcome_difference(const sn_plan *plan, int32_t rows, const outcome *a, const outcome *b, double tolerance,
                               char *text, size_t n)
{
	for (int t = 0; t < plan->n_tap; t++)
		for (int64_t i = 0; i < a->tap[t].n; i++) {
			const float *x = a->tap[t].x[i], *y = b->tap[t].x[i];
			double scale = SN_MAX(size_of(y, b->tap[t].size[i]), 1e-3);
			for (int64_t j = 0; j < a->tap[t].size[i]; j++)
				if (!close_to(x[j], y[j], tolerance * scale))
					return sn_format(text, n, "tap %d of %s, place %d, column %d: %.8g, not %.8g", t,
					                 sn_site_name((sn_site_kind)plan->tap[t].at.kind), (int)i, (int)j, (double)x[j],
					                 (double)y[j]), text;
		}
	for (int i = 0; i < plan->n_goal * rows; i++)
		if (!close_to(a->score[i], b->score[i], tolerance * (fabs(b->score[i]) + 1)))
			return sn_format(text, n, "goal %d (metric %d), row %d: %.10g, not %.10g", i / rows,
			                 (int)plan->goal[i / rows].metric, i % rows, a->score[i], b->score[i]), text;
	return NULL;
}

bool outcome_same_bits(const sn_plan *plan, int32_t rows, const outcome *a, const outcome *b)
{
	for (int t = 0; t < plan->n_tap; t++)
		if (a->tap[t].hash != b->tap[t].hash) return false;
	return memcmp(a->score, b->score, (size_t)(plan->n_goal * rows) * sizeof *a->score) == 0;
}
