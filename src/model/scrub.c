#include "model/scrub.h"

#include "base/base.h"
#include "model/gather.h"
#include "model/prefix.h"

#include <string.h>

/* One spot in one fold's rows: a tap in front of the edit collects them, and the last of them makes the edit. That
 * works in one pass because a site's taps come before its edits, and because the plan's rows are one step. */
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

/* ---- the rows: every item untouched, and for each fold a fork of each item outside it, which is edited ---- */

typedef struct run {
	sn_ctx *ctx;
	sn_model *model;
	const sn_items *items;
	const int8_t *z;
	int n_fold;
	sn_arena *arena; /* of this run's arrays */
	int64_t *item;   /* [n] the item of each row */
	int64_t n, n_clean, *first; /* [n_fold + 1] where each fold's rows begin */
	sn_batch batch;
} run;

/* A fork shares all its tokens with its parent: what differs begins where it is edited. Untouched rows share what they
 * begin with. */
static sn_status link_rows(run *r, int32_t *parent)
{
	int32_t *fork;
	SN_NEW(fork, r->arena, int32_t, r->n);
	SN_TRY(sn_gather_batch(&r->batch, r->items, r->item, r->n, r->arena));
	sn_batch clean = r->batch;
	clean.n = (int32_t)r->n_clean;
	if (sn_model_get_info(r->model)->causal) {
		SN_TRY(sn_share_prefixes(&clean, r->arena));
		memcpy(parent, clean.parent, (size_t)clean.n * sizeof *parent);
		memcpy(fork, clean.fork, (size_t)clean.n * sizeof *fork);
	}
	for (int64_t i = r->n_clean; i < r->n; i++) fork[i] = (int32_t)(r->batch.start[i + 1] - r->batch.start[i]);
	r->batch.parent = parent;
	r->batch.fork = fork;
	return SN_OK;
}

/* Items without the label have no rows. */
static sn_status make_batch(run *r, const int64_t *which, int64_t n_which)
{
	int32_t *parent;
	SN_NEW(r->item, r->arena, int64_t, (1 + r->n_fold) * n_which);
	SN_NEW(parent, r->arena, int32_t, (1 + r->n_fold) * n_which);
	SN_NEW(r->first, r->arena, int64_t, r->n_fold + 1);
	for (int64_t i = 0; i < n_which; i++)
		if (r->z[which[i]] != 0) parent[r->n] = -1, r->item[r->n++] = which[i];
	r->n_clean = r->n;
	for (int f = 0; f < r->n_fold; f++) {
		r->first[f] = r->n;
		for (int64_t i = 0; i < r->n_clean; i++)
			if (r->items->item[r->item[i]].fold != f) parent[r->n] = (int32_t)i, r->item[r->n++] = r->item[i];
	}
	r->first[r->n_fold] = r->n;
	return link_rows(r, parent);
}

/* ---- a spot in a fold's rows ---- */

static sn_status list_places(bed *b, const run *r, int fold, const sn_spot *spot)
{
	int64_t row0 = r->first[fold], end = r->first[fold + 1];
	int64_t tokens = r->batch.start[end] - r->batch.start[row0], longest = sn_items_longest(r->items);
	int32_t *pos;
	bool sign[2] = { false, false };
	SN_NEW(b->fit_at, r->arena, int64_t, tokens);
	SN_NEW(b->edit_at, r->arena, int64_t, tokens);
	SN_NEW(b->z, r->arena, int8_t, tokens);
	SN_NEW(pos, r->arena, int32_t, longest);
	for (int64_t i = row0; i < end; i++) {
		int n = sn_spot_positions(r->items, r->item[i], spot, pos);
		bool last_alone = spot->place == SN_PLACE_ROLE;
		for (int k = 0; k < n; k++) b->edit_at[b->n_edit++] = r->batch.start[i] + pos[k];
		for (int k = last_alone ? n - 1 : 0; k < n && n > 0; k++) {
			b->z[b->n] = r->z[r->item[i]];
			sign[b->z[b->n] > 0] = true;
			b->fit_at[b->n++] = r->batch.start[i] + pos[k];
		}
	}
	b->both = sign[0] && sign[1];
	return SN_OK;
}

/* tensor [3, n_fold]: mean, U, V of the spot. */
static sn_status open_bed(bed *b, const run *r, int fold, const sn_spot *spot, sn_scrub_fit *fit, sn_tensor *tensor,
						  sn_arena *keep, sn_arena *scratch)
{
	*b = (bed){ .scratch = scratch, .fit = fit, .d = sn_site_width(r->model, &spot->site) };
	if (b->d <= 0) return sn_fail(r->ctx, SN_EARG, "an eraser needs a site with vectors");
	SN_TRY(list_places(b, r, fold, spot));
	b->x = sn_arena_take(r->arena, sn_size3((size_t)b->n, (size_t)b->d, sizeof *b->x));
	if (!b->x) return SN_ENOMEM;
	SN_NEW(b->mean, keep, float, b->d);
	SN_NEW(b->u, keep, float, b->d);
	SN_NEW(b->v, keep, float, b->d);
	tensor[fold] = sn_tensor_f32(b->mean, -1, b->d);
	tensor[r->n_fold + fold] = sn_tensor_f32(b->u, b->d, 1);
	tensor[2 * r->n_fold + fold] = sn_tensor_f32(b->v, b->d, 1);
	return SN_OK;
}

/* ---- the run ---- */

/* b, tensor: [n_spot] -> [n_fold], [3, n_fold]. */
static sn_status run_all(run *r, const sn_spot *spot, int n_spot, bed *b, const sn_tensor *tensor)
{
	sn_tap *tap;
	sn_edit *edit;
	int n = 0, n_fold = r->n_fold;
	SN_NEW(tap, r->arena, sn_tap, n_spot * n_fold);
	SN_NEW(edit, r->arena, sn_edit, n_spot * n_fold);
	for (int k = 0; k < n_spot * n_fold; k++) {
		const sn_site at = spot[k / n_fold].site;
		const sn_tensor *t = tensor + k / n_fold * 3 * n_fold + k % n_fold;
		if (b[k].n == 0) continue;
		tap[n] = (sn_tap){ .at = at,
						   .where = { .sel = SN_LIST, .list = b[k].fit_at, .n_list = b[k].n },
						   .what = SN_BEFORE,
						   .sink = &bed_sink,
						   .state = &b[k] };
		edit[n++] = (sn_edit){ .op = SN_OP_SET,
							   .at = at,
							   .where = { .sel = SN_LIST, .list = b[k].edit_at, .n_list = b[k].n_edit },
							   .src = t,
							   .U = t + n_fold,
							   .V = t + 2 * n_fold };
	}
	sn_plan plan = { .size = sizeof plan, .n_edit = n, .edit = edit, .n_tap = n, .tap = tap, .whole = true };
	return n == 0 ? SN_OK : sn_run(r->ctx, r->model, &r->batch, &plan, NULL, NULL);
}

static sn_status scrub(sn_tensor *tensor, run *r, const int64_t *which, int64_t n_which, const sn_spot *spot,
					   int n_spot, sn_scrub_fit *fit, sn_arena *keep, sn_arena *scratch)
{
	bed *b;
	SN_TRY(make_batch(r, which, n_which));
	SN_NEW(b, r->arena, bed, n_spot * r->n_fold);
	for (int k = 0; k < n_spot * r->n_fold; k++) {
		int s = k / r->n_fold;
		SN_TRY(open_bed(&b[k], r, k % r->n_fold, &spot[s], fit, tensor + 3 * s * r->n_fold, keep, scratch));
	}
	return run_all(r, spot, n_spot, b, tensor);
}

sn_status sn_scrub(sn_eraser *out, sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
				   int64_t n_which, const sn_spot *spot, int n_spot, const int8_t *z, sn_scrub_fit *fit,
				   sn_arena *arena)
{
	run r = { .ctx = ctx, .model = model, .items = items, .z = z, .n_fold = SN_MAX(items->n_fold, 1) };
	sn_tensor *tensor;
	SN_NEW(tensor, arena, sn_tensor, 3 * n_spot * r.n_fold);
	for (int s = 0; s < n_spot; s++) {
		const sn_tensor *t = tensor + 3 * s * r.n_fold;
		out[s] = (sn_eraser){ spot[s], t, t + r.n_fold, t + 2 * r.n_fold };
	}
	sn_arena *scratch = NULL;
	SN_TRY(sn_arena_open(&r.arena, ctx));
	sn_status status = sn_arena_open(&scratch, ctx);
	if (status == SN_OK) status = scrub(tensor, &r, which, n_which, spot, n_spot, fit, arena, scratch);
	sn_arena_close(scratch);
	sn_arena_close(r.arena);
	return status;
}
