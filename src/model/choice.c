#include "model/choice.h"
#include "base/base.h"
#include "model/finish.h"
#include "model/gather.h"
#include "model/grid.h"
#include "model/lens.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

static int n_set(const sn_items *items) { return SN_MAX(items->n_choice_set, 1); }

static int32_t alternative(const sn_choice *choice, int i, int a)
{
	return a == 0 ? choice->form[i] : choice->more[i][a - 1];
}

static sn_status check_choices(sn_ctx *ctx, const sn_items *items, int64_t n_vocab)
{
	if (items->n_choice < 1)
		return sn_fail(ctx, SN_EARG, "%s: no choice words; give items made by 'sonde data make' for this model",
					   items->source);
	for (int k = 0; k < n_set(items) * items->n_choice; k++)
		for (int i = 0; i < 2; i++)
			for (int a = 0; a <= items->choice[k].n_more[i]; a++) {
				int32_t form = alternative(&items->choice[k], i, a);
				if (form < 0 || form >= n_vocab)
					return sn_fail(ctx, SN_EARG, "%s: choice word '%s' is token %d, the model has 0 .. %lld",
								   items->source, items->choice[k].text[i] ? items->choice[k].text[i] : "", (int)form,
								   (long long)n_vocab - 1);
			}
	return SN_OK;
}

int sn_choice_goal_count(const sn_items *items)
{
	int n = 0;
	for (int k = 0; k < items->n_choice; k++) n += 1 + items->choice[k].n_more[0] + items->choice[k].n_more[1];
	return n;
}

/* Alternative at[i] of each form. One id serves all rows where there is one set of choices; otherwise each row has its
 * own. */
static sn_status make_goal(const sn_items *items, int k, const int at[2], const int64_t *item, int32_t n,
						   sn_arena *arena, sn_goal *goal)
{
	int32_t *form[2], n_want = n_set(items) == 1 ? 1 : n;
	for (int i = 0; i < 2; i++) {
		SN_NEW(form[i], arena, int32_t, n_want);
		for (int32_t b = 0; b < n_want; b++) {
			int set = n_set(items) == 1 ? 0 : items->item[item[b]].choice_set;
			form[i][b] = alternative(&items->choice[set * items->n_choice + k], i, at[i]);
		}
	}
	*goal = (sn_goal){
		.metric = SN_LOGIT_DIFF, .where = { .sel = SN_LAST }, .want = form[0], .foil = form[1], .n_want = n_want
	};
	return SN_OK;
}

sn_status sn_choice_goals(sn_ctx *ctx, const sn_items *items, const int64_t *item, int32_t n, int64_t n_vocab,
						  sn_arena *arena, sn_goal **goal)
{
	SN_TRY(check_choices(ctx, items, n_vocab));
	SN_NEW(*goal, arena, sn_goal, sn_choice_goal_count(items));
	sn_goal *next = *goal;
	for (int k = 0; k < items->n_choice; k++) {
		SN_TRY(make_goal(items, k, (int[]){ 0, 0 }, item, n, arena, next++));
		for (int i = 0; i < 2; i++)
			for (int a = 1; a <= items->choice[k].n_more[i]; a++)
				SN_TRY(make_goal(items, k, i == 0 ? (int[]){ a, 0 } : (int[]){ 0, a }, item, n, arena, next++));
	}
	return SN_OK;
}

/* All alternatives of form i at each row, one after the other. */
static sn_status list_forms(const sn_items *items, int k, int i, const int64_t *item, int32_t n, sn_arena *arena,
							const int32_t **form, const int64_t **start)
{
	int n_form = 1 + items->choice[k].n_more[i];
	int32_t *id;
	int64_t *from;
	SN_NEW(id, arena, int32_t, (int64_t)n * n_form);
	SN_NEW(from, arena, int64_t, n + 1);
	for (int32_t b = 0; b < n; b++) {
		int set = n_set(items) == 1 ? 0 : items->item[item[b]].choice_set;
		for (int a = 0; a < n_form; a++)
			id[b * n_form + a] = alternative(&items->choice[set * items->n_choice + k], i, a);
		from[b + 1] = from[b] + n_form;
	}
	*form = id;
	*start = from;
	return SN_OK;
}

sn_status sn_choice_sum(sn_ctx *ctx, const sn_items *items, const int64_t *item, int32_t n, int64_t n_vocab,
						sn_arena *arena, sn_goal **goal)
{
	float *weight;
	SN_TRY(check_choices(ctx, items, n_vocab));
	SN_NEW(*goal, arena, sn_goal, items->n_choice);
	SN_NEW(weight, arena, float, n);
	for (int32_t b = 0; b < n; b++) weight[b] = 1 / (float)items->n_choice;
	for (int k = 0; k < items->n_choice; k++) {
		sn_goal *g = &(*goal)[k];
		*g = (sn_goal){ .metric = SN_LOGIT_DIFF, .where = { .sel = SN_LAST }, .n_want = n, .weight = weight };
		SN_TRY(list_forms(items, k, 0, item, n, arena, &g->want, &g->want_start));
		SN_TRY(list_forms(items, k, 1, item, n, arena, &g->foil, &g->foil_start));
	}
	return SN_OK;
}

/* log(e^x0 + e^x1 + ...) for x0 = first and the others score[a * stride], negated or not, shifted by first. */
static double log_sum(double first, const double *score, int64_t stride, int n, double sign, double shift)
{
	double most = first, sum = 0;
	for (int a = 0; a < n; a++) most = fmax(most, shift + sign * score[a * stride]);
	sum = exp(first - most);
	for (int a = 0; a < n; a++) sum += exp(shift + sign * score[a * stride] - most);
	return most + log(sum);
}

void sn_choice_combine(const sn_items *items, const double *score, int64_t stride, double *each)
{
	for (int k = 0; k < items->n_choice; k++) {
		const int32_t *more = items->choice[k].n_more;
		double ld = score[0]; /* all logits relative to that of form[1] */
		score += stride;
		double plus = more[0] ? log_sum(ld, score, stride, more[0], 1, 0) : ld;
		score += more[0] * stride;
		each[k] = more[1] ? plus - log_sum(0, score, stride, more[1], -1, ld) : plus;
		score += more[1] * stride;
	}
}

sn_status sn_choice_run(sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which, int64_t n_which,
						double *ld, double *each)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_family *family = SN_TAKE(arena, sn_family, n_which);
	sn_status status = family ? SN_OK : SN_ENOMEM;
	for (int64_t i = 0; family && i < n_which; i++) family[i] = (sn_family){ which ? which[i] : i, -1 };
	sn_grid grid = { .items = items, .family = family, .n_family = n_which, .what = "behaviour" };
	if (status == SN_OK) status = sn_grid_run(ctx, model, &grid, &(sn_grid_out){ .base = ld, .base_each = each });
	sn_arena_close(arena);
	return status;
}

/* ---- the lens ---- */

enum { LENS_ROWS = 4096 };

/* The logits of both forms of choice k for each row, the first form's before the second's. */
static sn_status ask_choice(const sn_items *items, int k, const int64_t *item, int32_t n, sn_arena *arena, sn_ask *ask)
{
	for (int i = 0; i < 2; i++) {
		const int32_t *form;
		const int64_t *start;
		SN_TRY(list_forms(items, k, i, item, n, arena, &form, &start));
		for (int32_t b = 0; b < n; b++)
			for (int64_t a = start[b]; a < start[b + 1]; a++) *ask++ = (sn_ask){ .slot = b, .id = form[a] };
	}
	return SN_OK;
}

/* Vectors x [n, d] of items through the model's end: ld [n]. */
static sn_status run_lens(sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *item, int32_t n,
						  const float *x, double *ld, sn_arena *arena)
{
	float *h;
	SN_NEW(h, arena, float, sn_gemm_room(n) * model->shape.d_head_out);
	SN_TRY(sn_lens_head(ctx, model, x, n, h, arena));
	memset(ld, 0, (size_t)n * sizeof *ld);
	for (int k = 0; k < items->n_choice; k++) {
		int64_t n_form[2] = { 1 + items->choice[k].n_more[0], 1 + items->choice[k].n_more[1] };
		sn_ask *ask;
		SN_NEW(ask, arena, sn_ask, n * (n_form[0] + n_form[1]));
		SN_TRY(ask_choice(items, k, item, n, arena, ask));
		SN_TRY(sn_ask_logits(ctx, model, h, ask, n * (n_form[0] + n_form[1]), arena));
		const sn_ask *foil = ask + n * n_form[0];
		for (int32_t b = 0; b < n; b++)
			ld[b] += (sn_ask_sum(ask + b * n_form[0], n_form[0]) - sn_ask_sum(foil + b * n_form[1], n_form[1])) /
				items->n_choice;
	}
	return SN_OK;
}

static sn_status read_lens(sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which, int64_t n_which,
						   double *ld, sn_arena *arena)
{
	sn_gather g;
	SN_TRY(check_choices(ctx, items, sn_model_get_info(model)->d_vocab));
	SN_TRY(sn_gather_residuals(&g, ctx, model, items, which, n_which, items->n_role - 1, 1, arena));
	SN_ASSERT(g.n[0] == n_which);
	int64_t cells = g.n_layer * n_which;
	for (int64_t c = 0; c < cells; c += LENS_ROWS) {
		sn_mark mark = sn_arena_mark(arena);
		int64_t n = SN_MIN(cells - c, (int64_t)LENS_ROWS), *item;
		float *x;
		SN_NEW(item, arena, int64_t, n);
		SN_NEW(x, arena, float, n * g.d);
		for (int64_t i = 0; i < n; i++) {
			int64_t row = (c + i) % n_which;
			item[i] = which[row];
			memcpy(x + i * g.d, g.x[(c + i) / n_which] + row * g.d, (size_t)g.d * sizeof *x);
		}
		SN_TRY(run_lens(ctx, model, items, item, (int32_t)n, x, ld + c, arena));
		sn_arena_reset(arena, mark);
	}
	return SN_OK;
}

sn_status sn_choice_lens(sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which, int64_t n_which,
						 double *ld)
{
	sn_arena *arena;
	if (n_which == 0) return SN_OK;
	if (items->n_role < 1) return sn_fail(ctx, SN_EARG, "%s: the lens needs a role at the last token", items->source);
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = read_lens(ctx, model, items, which, n_which, ld, arena);
	sn_arena_close(arena);
	return status;
}
