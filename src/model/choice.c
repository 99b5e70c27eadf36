#include "model/choice.h"
#include "base/base.h"
#include "model/grid.h"

static int n_set(const sn_items *items) { return SN_MAX(items->n_choice_set, 1); }

static sn_status check_choices(sn_ctx *ctx, const sn_items *items, int64_t n_vocab)
{
	if (items->n_choice < 1)
		return sn_fail(ctx, SN_EARG, "%s: no choice words; give items made by 'sonde data make' for this model",
					   items->source);
	for (int k = 0; k < n_set(items) * items->n_choice; k++)
		for (int i = 0; i < 2; i++) {
			int32_t form = items->choice[k].form[i];
			if (form < 0 || form >= n_vocab)
				return sn_fail(ctx, SN_EARG, "%s: choice word '%s' is token %d, the model has 0 .. %lld", items->source,
							   items->choice[k].text[i] ? items->choice[k].text[i] : "", (int)form,
							   (long long)n_vocab - 1);
		}
	return SN_OK;
}

/* One id serves all rows where there is one set of choices; otherwise each row has its own. */
static sn_status make_goal(const sn_items *items, int k, const int64_t *item, int32_t n, sn_arena *arena, sn_goal *goal)
{
	int32_t *form[2], n_want = n_set(items) == 1 ? 1 : n;
	for (int i = 0; i < 2; i++) {
		SN_NEW(form[i], arena, int32_t, n_want);
		for (int32_t b = 0; b < n_want; b++) {
			int set = n_set(items) == 1 ? 0 : items->item[item[b]].choice_set;
			form[i][b] = items->choice[set * items->n_choice + k].form[i];
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
	SN_NEW(*goal, arena, sn_goal, items->n_choice);
	for (int k = 0; k < items->n_choice; k++) SN_TRY(make_goal(items, k, item, n, arena, &(*goal)[k]));
	return SN_OK;
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
