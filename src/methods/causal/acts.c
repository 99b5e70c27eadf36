/* Activations at the places of the probe prefixes, and LEACE fitted on them. */
#include "methods/causal/causal.h"

#include <string.h>

/* ---- activations ---- */

enum { MOST_BYTES = 192 << 20 };

/* Lists the places of the probe prefixes at one place (whatever the site). */
static sn_status list_places(const sn_causal *c, const sn_batch *batch, sn_spot spot, sn_arena *arena, sn_acts *acts,
							 int64_t **list)
{
	int64_t n_token = batch->start[batch->n];
	int32_t *pos;
	SN_NEW(*list, arena, int64_t, n_token);
	SN_NEW(acts->item, arena, int64_t, n_token);
	SN_NEW(pos, arena, int32_t, sn_items_longest(c->items));
	if (spot.place == SN_PLACE_ROLE) spot.place = SN_PLACE_ROLE_LAST;
	acts->n = 0;
	for (int64_t i = 0; i < batch->n; i++) {
		int n = sn_spot_positions(c->items, i, &spot, pos);
		for (int k = 0; k < n; k++, acts->n++) {
			(*list)[acts->n] = batch->start[i] + pos[k];
			acts->item[acts->n] = i;
		}
	}
	return SN_OK;
}

/* One forward pass that keeps sites [site0, site0 + n_site) at all places. */
static sn_status gather(const sn_causal *c, int site0, int n_site, sn_arena *arena, sn_acts *acts)
{
	sn_batch batch = { .n = (int32_t)c->items->n_probe, .token = c->items->token, .start = c->items->start };
	sn_tap *tap;
	sn_keep *keep;
	int n_tap = 0;
	SN_NEW(tap, arena, sn_tap, n_site * c->n_place);
	SN_NEW(keep, arena, sn_keep, n_site * c->n_place);
	for (int p = 0; p < c->n_place; p++) {
		sn_acts at = { 0 };
		int64_t *list;
		SN_TRY(list_places(c, &batch, c->spot[p], arena, &at, &list));
		for (int s = 0; s < n_site; s++) {
			sn_acts *a = &acts[s * c->n_place + p];
			*a = at;
			a->d = sn_site_width(c->model, &c->site[site0 + s]);
			SN_NEW(a->x, arena, float, a->n * a->d);
			if (a->n == 0) continue;
			keep[n_tap] = (sn_keep){ a->x, a->n, a->d };
			tap[n_tap] = (sn_tap){ c->site[site0 + s],
								   { .sel = SN_LIST, .list = list, .n_list = a->n },
								   SN_AFTER,
								   &sn_sink_keep,
								   &keep[n_tap] };
			n_tap++;
		}
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = n_tap, .tap = tap };
	return sn_run(c->ctx, c->model, &batch, &plan, NULL, NULL);
}

/* Returns how many sites from site0 on fit into MOST_BYTES together. */
static int group_size(const sn_causal *c, int site0)
{
	int64_t rows = 0, bytes = 0;
	int n = 0;
	for (int p = 0; p < c->n_place; p++) {
		bool many = c->spot[p].place == SN_PLACE_OTHER || c->spot[p].place == SN_PLACE_ONWARD;
		rows += many ? c->items->start[c->items->n_probe] : c->items->n_probe;
	}
	for (; site0 + n < c->n_site; n++) {
		bytes += rows * sn_site_width(c->model, &c->site[site0 + n]) * (int64_t)sizeof(float);
		if (bytes > MOST_BYTES) break;
	}
	return SN_MAX(n, 1);
}

static sn_status each_group(const sn_causal *c, const char *what, sn_arena *arena,
							sn_status (*fn)(void *, int, const sn_acts *, sn_arena *), void *arg)
{
	for (int site0 = 0, n; site0 < c->n_site; site0 += n) {
		sn_mark mark = sn_arena_mark(arena);
		sn_acts *acts;
		n = group_size(c, site0);
		SN_NEW(acts, arena, sn_acts, n * c->n_place);
		SN_TRY(gather(c, site0, n, arena, acts));
		for (int i = 0; i < n * c->n_place; i++) {
			sn_mark inner = sn_arena_mark(arena);
			SN_TRY(sn_poll(c->ctx));
			SN_TRY(fn(arg, site0 * c->n_place + i, &acts[i], arena));
			sn_arena_reset(arena, inner);
			sn_progress(c->ctx, what, site0 * c->n_place + i + 1, c->n_spot);
		}
		sn_arena_reset(arena, mark);
	}
	return SN_OK;
}

sn_status sn_causal_each_spot(const sn_causal *c, const char *what,
							  sn_status (*fn)(void *arg, int spot, const sn_acts *acts, sn_arena *scratch), void *arg)
{
	sn_arena *arena;
	if (c->items->n_probe == 0)
		return sn_fail(c->ctx, SN_EARG,
					   "%s: no probe prefixes to fit a subspace on; make the items with 'sonde data make'",
					   c->items->source);
	SN_TRY(sn_arena_open(&arena, c->ctx));
	sn_status status = each_group(c, what, arena, fn, arg);
	sn_arena_close(arena);
	return status;
}

/* ---- LEACE ---- */

/* Q as float32 tensors, the factor V carrying the sign that makes U point along rising labels. */
static sn_status put_fit(const sn_causal *c, const sn_leace *q, sn_fit *out, int fold)
{
	float *mean, *u, *v;
	SN_NEW(mean, c->arena, float, q->d);
	SN_NEW(u, c->arena, float, q->d);
	SN_NEW(v, c->arena, float, q->d);
	memcpy(mean, q->mean32, (size_t)q->d * sizeof *mean);
	memcpy(u, q->u32, (size_t)q->d * sizeof *u);
	memcpy(v, q->v32, (size_t)q->d * sizeof *v);
	out->mean[fold] = sn_tensor_f32(mean, -1, q->d);
	out->U[fold] = sn_tensor_f32(u, q->d, 1);
	out->V[fold] = sn_tensor_f32(v, q->d, 1);
	return SN_OK;
}

static sn_status fit_fold(const sn_causal *c, const sn_acts *a, int n_label, const int8_t *z, int fold,
						  sn_arena *scratch, sn_fit *out)
{
	sn_mark mark = sn_arena_mark(scratch);
	double *weight, *labels;
	sn_leace *q;
	SN_NEW(weight, scratch, double, a->n);
	SN_NEW(labels, scratch, double, a->n * n_label);
	SN_NEW(q, scratch, sn_leace, n_label);
	for (int64_t i = 0; i < a->n; i++) {
		const sn_item *item = &c->items->item[a->item[i]];
		weight[i] = !item->test_lead && item->fold != fold && z[a->item[i]] != 0;
		for (int k = 0; k < n_label; k++) labels[i * n_label + k] = z[k * c->items->n + a->item[i]];
	}
	sn_rows rows = { .x = a->x, .n = a->n, .d = a->d, .weight = weight };
	SN_TRY(sn_leace_fit_each(q, scratch, &rows, labels, n_label, SN_SHRINK_LINEAR));
	for (int k = 0; k < n_label; k++) SN_TRY(put_fit(c, &q[k], &out[k], fold));
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

sn_status sn_causal_fit(const sn_causal *c, const sn_acts *acts, int n_label, const int8_t *z, sn_arena *scratch,
						sn_fit *out)
{
	for (int k = 0; k < n_label; k++) {
		SN_NEW(out[k].mean, c->arena, sn_tensor, c->items->n_fold);
		SN_NEW(out[k].U, c->arena, sn_tensor, c->items->n_fold);
		SN_NEW(out[k].V, c->arena, sn_tensor, c->items->n_fold);
	}
	for (int fold = 0; fold < c->items->n_fold; fold++) SN_TRY(fit_fold(c, acts, n_label, z, fold, scratch, out));
	return SN_OK;
}
