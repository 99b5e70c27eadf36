#include "model/scrub.h"

#include "base/base.h"
#include "model/gather.h"

#include <string.h>

/* One spot in one run: a tap in front of the edit collects the rows, and the last of them makes the edit. That works in
 * one pass because a site's taps come before its edits, and because the plan's rows are one step. */
typedef struct bed {
	sn_arena *scratch;
	sn_scrub_fit *fit;
	int64_t n, seen, d;                /* rows expected, rows that came */
	int64_t *fit_at, *edit_at, n_edit; /* flat token indices */
	int8_t *z;                         /* [n] */
	float *x;                          /* [n, d] */
	float *mean, *u, *v;               /* the edit's tensors; 0 until they are fitted: no change */
	bool both;                         /* rows of either sign */
} bed;

static sn_status collect(sn_ctx *ctx, void *state, const sn_block *block)
{
	(void)ctx;
	bed *b = state;
	SN_ASSERT(block->first + block->m <= b->n);
	for (int64_t i = 0; i < block->m; i++)
		memcpy(b->x + (block->first + i) * b->d, (const float *)block->x.data + i * block->x.stride[0],
			   (size_t)b->d * sizeof *b->x);
	b->seen += block->m;
	if (b->seen < b->n || !b->both) return SN_OK;
	sn_mark mark = sn_arena_mark(b->scratch);
	SN_TRY(b->fit(b->scratch, b->x, b->n, b->d, b->z, b->mean, b->u, b->v));
	sn_arena_reset(b->scratch, mark);
	return SN_OK;
}

static const sn_sink bed_sink = { .size = sizeof(bed), .take = collect };

/* ---- one fold ---- */

typedef struct run {
	sn_ctx *ctx;
	sn_model *model;
	const sn_items *items;
	const int8_t *z;
	sn_arena *arena; /* of this fold's arrays */
	sn_batch batch;
	const int64_t *which; /* the items of the batch's rows */
	int64_t n;
} run;

/* The items outside the fold that have a label. */
static sn_status make_batch(run *r, const int64_t *which, int64_t n_which, int fold)
{
	int64_t *kept;
	SN_NEW(kept, r->arena, int64_t, n_which);
	for (int64_t i = 0; i < n_which; i++)
		if (r->items->item[which[i]].fold != fold && r->z[which[i]] != 0) kept[r->n++] = which[i];
	r->which = kept;
	return sn_gather_batch(&r->batch, r->items, kept, r->n, r->arena);
}

static sn_status list_places(bed *b, const run *r, const sn_spot *spot)
{
	int64_t tokens = r->batch.start[r->n], longest = sn_items_longest(r->items);
	int32_t *pos;
	bool sign[2] = { false, false };
	SN_NEW(b->fit_at, r->arena, int64_t, tokens);
	SN_NEW(b->edit_at, r->arena, int64_t, tokens);
	SN_NEW(b->z, r->arena, int8_t, tokens);
	SN_NEW(pos, r->arena, int32_t, longest);
	for (int64_t i = 0; i < r->n; i++) {
		int n = sn_spot_positions(r->items, r->which[i], spot, pos);
		bool last_alone = spot->place == SN_PLACE_ROLE;
		for (int k = 0; k < n; k++) b->edit_at[b->n_edit++] = r->batch.start[i] + pos[k];
		for (int k = last_alone ? n - 1 : 0; k < n && n > 0; k++) {
			b->z[b->n] = r->z[r->which[i]];
			sign[b->z[b->n] > 0] = true;
			b->fit_at[b->n++] = r->batch.start[i] + pos[k];
		}
	}
	b->both = sign[0] && sign[1];
	return SN_OK;
}

static sn_status open_bed(bed *b, const run *r, const sn_spot *spot, sn_scrub_fit *fit, sn_arena *scratch)
{
	*b = (bed){ .scratch = scratch, .fit = fit, .d = sn_site_width(r->model, &spot->site) };
	if (b->d <= 0) return sn_fail(r->ctx, SN_EARG, "an eraser needs a site with vectors");
	SN_TRY(list_places(b, r, spot));
	b->x = sn_arena_take(r->arena, sn_size3((size_t)b->n, (size_t)b->d, sizeof *b->x));
	return b->x ? SN_OK : SN_ENOMEM;
}

static sn_status run_fold(run *r, const sn_spot *spot, int n_spot, bed *b, sn_tensor *tensor)
{
	sn_tap *tap;
	sn_edit *edit;
	int n = 0;
	SN_NEW(tap, r->arena, sn_tap, n_spot);
	SN_NEW(edit, r->arena, sn_edit, n_spot);
	for (int s = 0; s < n_spot; s++) {
		if (b[s].n == 0) continue;
		tap[n] = (sn_tap){ .at = spot[s].site,
						   .where = { .sel = SN_LIST, .list = b[s].fit_at, .n_list = b[s].n },
						   .what = SN_BEFORE,
						   .sink = &bed_sink,
						   .state = &b[s] };
		edit[n++] = (sn_edit){ .op = SN_OP_SET,
							   .at = spot[s].site,
							   .where = { .sel = SN_LIST, .list = b[s].edit_at, .n_list = b[s].n_edit },
							   .src = &tensor[3 * s],
							   .U = &tensor[3 * s + 1],
							   .V = &tensor[3 * s + 2] };
	}
	sn_plan plan = { .size = sizeof plan, .n_edit = n, .edit = edit, .n_tap = n, .tap = tap, .whole = true };
	return n == 0 ? SN_OK : sn_run(r->ctx, r->model, &r->batch, &plan, NULL, NULL);
}

/* ---- all folds ---- */

/* tensor [n_spot, 3, n_fold]: mean, U, V. */
static sn_status scrub_fold(sn_tensor *tensor, run *r, int fold, const int64_t *which, int64_t n_which,
							const sn_spot *spot, int n_spot, sn_scrub_fit *fit, sn_arena *keep, sn_arena *scratch)
{
	int n_fold = SN_MAX(r->items->n_fold, 1);
	bed *b;
	sn_tensor *mine;
	SN_TRY(make_batch(r, which, n_which, fold));
	SN_NEW(b, r->arena, bed, n_spot);
	SN_NEW(mine, r->arena, sn_tensor, 3 * n_spot);
	for (int s = 0; s < n_spot; s++) {
		SN_TRY(open_bed(&b[s], r, &spot[s], fit, scratch));
		SN_NEW(b[s].mean, keep, float, b[s].d);
		SN_NEW(b[s].u, keep, float, b[s].d);
		SN_NEW(b[s].v, keep, float, b[s].d);
		mine[3 * s] = sn_tensor_f32(b[s].mean, -1, b[s].d);
		mine[3 * s + 1] = sn_tensor_f32(b[s].u, b[s].d, 1);
		mine[3 * s + 2] = sn_tensor_f32(b[s].v, b[s].d, 1);
		for (int k = 0; k < 3; k++) tensor[(3 * s + k) * n_fold + fold] = mine[3 * s + k];
	}
	return run_fold(r, spot, n_spot, b, mine);
}

sn_status sn_scrub(sn_eraser *out, sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
				   int64_t n_which, const sn_spot *spot, int n_spot, const int8_t *z, sn_scrub_fit *fit,
				   sn_arena *arena)
{
	int n_fold = SN_MAX(items->n_fold, 1);
	sn_tensor *tensor;
	SN_NEW(tensor, arena, sn_tensor, 3 * n_spot * n_fold);
	for (int s = 0; s < n_spot; s++) {
		const sn_tensor *t = tensor + 3 * s * n_fold;
		out[s] = (sn_eraser){ spot[s], t, t + n_fold, t + 2 * n_fold };
	}
	sn_arena *rows, *scratch = NULL;
	SN_TRY(sn_arena_open(&rows, ctx));
	sn_status status = sn_arena_open(&scratch, ctx);
	for (int f = 0; f < n_fold && status == SN_OK; f++) {
		run r = { .ctx = ctx, .model = model, .items = items, .z = z, .arena = rows };
		sn_mark mark = sn_arena_mark(rows);
		status = scrub_fold(tensor, &r, f, which, n_which, spot, n_spot, fit, arena, scratch);
		sn_arena_reset(rows, mark);
	}
	sn_arena_close(scratch);
	sn_arena_close(rows);
	return status;
}
