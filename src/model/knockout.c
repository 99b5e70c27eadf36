/* Row 0 is the text; row 1 + set * layers + l is the fork whose window is around l. A layer's blocks concern the rows
 * whose windows it is in, which stand beside one another. */
#include "model/knockout.h"

#include <string.h>

typedef struct rows {
	sn_batch batch;
	sn_edit *edit;
	int n_edit, n_layer;
} rows;

static sn_status make_rows(rows *r, const sn_knockout *k, sn_arena *arena)
{
	int32_t m = 1 + k->n_set * r->n_layer, *token, *parent, *fork, (*span)[2];
	int64_t *start;
	SN_NEW(token, arena, int32_t, (int64_t)m * k->n);
	SN_NEW(start, arena, int64_t, m + 1);
	SN_NEW(parent, arena, int32_t, m);
	SN_NEW(fork, arena, int32_t, m);
	span = sn_arena_take(arena, sn_size3((size_t)m, (size_t)k->n_span, sizeof *span));
	if (!span) return SN_ENOMEM;
	for (int32_t b = 0; b < m; b++) {
		start[b + 1] = start[b] + k->n;
		memcpy(token + start[b], k->token, (size_t)k->n * sizeof *token);
		memcpy(span[(int64_t)b * k->n_span], k->span, (size_t)k->n_span * sizeof *span);
		parent[b] = b ? 0 : -1;
		fork[b] = b ? k->n : 0;
	}
	r->batch = (sn_batch){ .n = m, .token = token, .start = start, .parent = parent, .fork = fork,
	                       .span = (const int32_t(*)[2])span, .n_span = k->n_span };
	return SN_OK;
}

/* Layer l is in the windows of centres l - (window - 1) / 2 .. l + window / 2. */
static void add_block(rows *r, const sn_knockout *k, int set, int span, int layer)
{
	int first = SN_MAX(layer - (k->window - 1) / 2, 0), last = SN_MIN(layer + k->window / 2, r->n_layer - 1);
	if (k->span[span][0] < 0) return;
	r->edit[r->n_edit++] = (sn_edit){
		.op = SN_OP_BLOCK, .at = { .kind = SN_SITE_ATTN_SCORES, .layer = (int16_t)layer },
		.where = { .sel = SN_AT, .arg = k->at, .row0 = 1 + set * r->n_layer + first, .n_row = last - first + 1 },
		.key = { .sel = SN_SPAN, .arg = span } };
}

sn_status sn_knockout_run(sn_ctx *ctx, sn_model *model, sn_knockout *k, sn_arena *arena)
{
	rows r = { .n_layer = sn_model_get_info(model)->n_layer };
	double *score;
	SN_TRY(make_rows(&r, k, arena));
	SN_NEW(r.edit, arena, sn_edit, (int64_t)k->n_set * k->n_span * r.n_layer);
	SN_NEW(score, arena, double, r.batch.n);
	for (int set = 0; set < k->n_set; set++)
		for (int span = 0; span < k->n_span; span++)
			for (int l = 0; k->set[set] >> span & 1 && l < r.n_layer; l++) add_block(&r, k, set, span, l);
	sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_AT, .arg = k->at }, .want = &k->want, .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_edit = r.n_edit, .edit = r.edit, .n_goal = 1, .goal = &goal };
	SN_TRY(sn_run(ctx, model, &r.batch, &plan, NULL, score));
	k->base = score[0];
	memcpy(k->logprob, score + 1, (size_t)(r.batch.n - 1) * sizeof *score);
	return SN_OK;
}
