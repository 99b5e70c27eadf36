/* The whole of localize on items in token space, stage by stage. */
#include "methods/localize/localize.h"

#include "base/base.h"
#include "model/choice.h"

#include <time.h>

sn_localize_options sn_localize_preset(sn_effort effort)
{
	sn_localize_options o = { .delta = 0.10,
							  .least_d = 0.2,
							  .level = 0.95,
							  .n_random = 1,
							  .n_boot = 2000,
							  .n_control = 10,
							  .n_erase_draw = 20,
							  .n_control_item = 64,
							  .part_steps = 4,
							  .n_part_top = 10 };
	if (effort != SN_EFFORT_QUICK) o.part_steps = 8;
	if (effort == SN_EFFORT_STANDARD) {
		o.n_random = 2;
		o.erase_step = 3;
	} else if (effort == SN_EFFORT_THOROUGH) {
		o.n_random = 5;
		o.erase_step = 1;
		o.wide_step = 6;
		o.n_wide_draw = 5;
		o.n_refit = 200;
	}
	return o;
}

double sn_localize_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sn_localize_lap(sn_evidence *ev, sn_stage stage, double *since)
{
	double now = sn_localize_now();
	ev->seconds[stage] += now - *since;
	*since = now;
}

/* ---- start ---- */

static sn_status check_items(sn_ctx *ctx, const sn_items *items)
{
	int64_t main = 0, test = 0;
	for (int64_t p = 0; p < items->n_pair; p++) main += items->pair[p].kind == SN_PAIR_MAIN;
	for (int64_t i = 0; i < items->n_probe; i++) test += items->item[i].test_lead;
	if (main == 0) return sn_fail(ctx, SN_EARG, "%s: localize needs interchange pairs; found none", items->id);
	if (test == 0 || test == items->n_probe)
		return sn_fail(ctx, SN_EARG,
					   "%s: localize needs probe prefixes with training and with test lead-ins; %lld of %lld have a "
					   "test lead-in",
					   items->id, (long long)test, (long long)items->n_probe);
	if (items->n_fold < 3)
		return sn_fail(ctx, SN_EARG,
					   "%s: localize needs at least 3 folds of lemmas (the inner folds need two); found %d", items->id,
					   items->n_fold);
	if (items->n_choice < 1 || items->n_label < 1 || items->n_role < 1)
		return sn_fail(ctx, SN_EARG, "%s: localize needs a role, a label and choice words; found %d, %d, %d", items->id,
					   items->n_role, items->n_label, items->n_choice);
	return SN_OK;
}

static sn_status list_members(sn_evidence *ev)
{
	const sn_items *items = ev->items;
	SN_NEW(ev->slot, ev->arena, int64_t, items->n);
	SN_NEW(ev->member, ev->arena, int64_t, items->n);
	for (int64_t i = 0; i < items->n; i++) ev->slot[i] = -1;
	for (int64_t p = 0; p < 2 * items->n_pair; p++) {
		int64_t item = p % 2 ? items->pair[p / 2].source : items->pair[p / 2].base;
		if (ev->slot[item] >= 0) continue;
		ev->slot[item] = ev->n_member;
		ev->member[ev->n_member++] = item;
	}
	SN_NEW(ev->ld, ev->arena, double, ev->n_member);
	SN_NEW(ev->ld_choice, ev->arena, double, ev->n_member * items->n_choice);
	return SN_OK;
}

static sn_status list_prefixes(sn_evidence *ev)
{
	const sn_items *items = ev->items;
	ev->n_probe = items->n_probe;
	SN_NEW(ev->probe, ev->arena, int64_t, ev->n_probe);
	SN_NEW(ev->test, ev->arena, int64_t, ev->n_probe);
	SN_NEW(ev->test_slot, ev->arena, int64_t, items->n);
	for (int64_t i = 0; i < items->n; i++) ev->test_slot[i] = -1;
	for (int64_t i = 0; i < ev->n_probe; i++) {
		ev->probe[i] = i;
		if (!items->item[i].test_lead) continue;
		ev->test_slot[i] = ev->n_test;
		ev->test[ev->n_test++] = i;
	}
	return SN_OK;
}

/* Whether the members of a pair differ only where patching the subject exchanges them: within its span, or at its last
 * token if there are pairs of unequal lengths. */
static bool differs_in_subject_only(const sn_items *items, const sn_pair *pair)
{
	const int32_t *base = items->token + items->start[pair->base], *source = items->token + items->start[pair->source];
	int64_t n = items->start[pair->base + 1] - items->start[pair->base];
	const int32_t *span = items->span[pair->base * items->n_role];
	int32_t first = items->n_unequal > 0 ? span[1] - 1 : span[0];
	if (n != items->start[pair->source + 1] - items->start[pair->source]) return false;
	for (int64_t t = 0; t < n; t++)
		if ((t < first || t >= span[1]) && base[t] != source[t]) return false;
	return true;
}

static bool differ_in_subject_only(const sn_items *items)
{
	for (int64_t p = 0; p < items->n_pair; p++)
		if (items->pair[p].kind == SN_PAIR_MAIN && !differs_in_subject_only(items, &items->pair[p])) return false;
	return true;
}

static bool swap_lemmas(const sn_items *items)
{
	for (int64_t p = 0; p < items->n_pair; p++)
		if (items->pair[p].kind == SN_PAIR_MAIN &&
			items->item[items->pair[p].base].lemma != items->item[items->pair[p].source].lemma)
			return true;
	return false;
}

static sn_status open_boot(sn_evidence *ev, sn_ctx *ctx)
{
	bool *subject, *attractor;
	SN_NEW(subject, ev->arena, bool, ev->items->n_lemma);
	SN_NEW(attractor, ev->arena, bool, ev->items->n_lemma);
	for (int64_t i = 0; i < ev->items->n; i++) {
		const sn_item *item = &ev->items->item[i];
		if (i >= ev->n_probe && ev->slot[i] < 0) continue;
		subject[item->lemma] = true;
		if (item->attractor >= 0) attractor[item->attractor] = true;
	}
	return sn_boot_open(&ev->boot, ev->arena, ev->options.n_boot, ev->items->n_lemma, subject, attractor,
						sn_ctx_seed(ctx), 0x4c4f43);
}

sn_status sn_localize_start(sn_evidence *ev, sn_ctx *ctx, const sn_items *items, int n_layer, int64_t d,
							const sn_localize_options *options, sn_arena *arena)
{
	*ev = (sn_evidence){
		.arena = arena, .items = items, .options = *options, .n_layer = n_layer, .n_role = items->n_role, .d = d
	};
	SN_TRY(check_items(ctx, items));
	SN_NEW(ev->role, arena, const char *, items->n_role + 1);
	for (int r = 0; r < items->n_role; r++) ev->role[r] = items->role[r];
	ev->role[items->n_role] = "other";
	ev->subject_only = differ_in_subject_only(items);
	ev->swaps = swap_lemmas(items);
	SN_TRY(list_members(ev));
	SN_TRY(list_prefixes(ev));
	return open_boot(ev, ctx);
}

/* ---- stages ---- */

static sn_status choose(sn_evidence *ev, sn_ctx *ctx, sn_model *model)
{
	SN_TRY(sn_choice_run(ctx, model, ev->items, ev->member, ev->n_member, ev->ld, ev->ld_choice));
	return sn_localize_chosen(ev);
}

static sn_status flag_norms(sn_evidence *ev, const sn_gather *g)
{
	SN_NEW(ev->norm_ratio, ev->arena, double, ev->n_layer * ev->n_role);
	for (int c = 0; c < ev->n_layer * ev->n_role; c++) ev->norm_ratio[c] = g->norm[c] / g->layer_norm[c / ev->n_role];
	return SN_OK;
}

/* Everything that needs the activations, which scratch holds. */
static sn_status with_activations(sn_evidence *ev, sn_ctx *ctx, sn_model *model, sn_arena *scratch)
{
	double clock = sn_localize_now();
	sn_gather g;
	SN_TRY(sn_gather_residuals(&g, ctx, model, ev->items, ev->probe, ev->n_probe, 0, ev->n_role, scratch));
	SN_TRY(flag_norms(ev, &g));
	sn_localize_lap(ev, SN_STAGE_GATHER, &clock);
	SN_TRY(sn_localize_encoded(ev, ctx, &g));
	clock = sn_localize_now();
	SN_TRY(sn_localize_selectivity(ev, ctx, &g));
	sn_localize_lap(ev, SN_STAGE_CONTROL, &clock);
	if (ev->chooses) {
		SN_TRY(sn_localize_project(ev, ctx, &g));
		sn_localize_lap(ev, SN_STAGE_PROJECT, &clock);
		SN_TRY(sn_localize_patch(ev, ctx, model));
		sn_localize_lap(ev, SN_STAGE_PATCH, &clock);
	}
	SN_TRY(sn_localize_judge(ev));
	if (ev->chooses && ev->options.erase_step > 0) SN_TRY(sn_localize_erasure(ev, ctx, model, &g));
	sn_localize_lap(ev, SN_STAGE_ERASE, &clock);
	return SN_OK;
}

sn_status sn_localize_run(sn_evidence *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
						  const sn_localize_options *options, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(model);
	double clock = sn_localize_now();
	SN_TRY(sn_localize_start(out, ctx, items, info->n_layer + 1, info->d_model, options, arena));
	out->model = model;
	SN_TRY(sn_localize_random(out, ctx, model));
	sn_localize_lap(out, SN_STAGE_RANDOM, &clock);
	SN_TRY(choose(out, ctx, model));
	sn_localize_lap(out, SN_STAGE_CHOICE, &clock);
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = with_activations(out, ctx, model, scratch);
	sn_arena_close(scratch);
	SN_TRY(status);
	clock = sn_localize_now();
	if (out->chooses && out->options.part_steps > 0) {
		SN_TRY(sn_localize_parts(out, ctx, model));
		SN_TRY(sn_localize_lens(out, ctx, model));
	}
	sn_localize_lap(out, SN_STAGE_PARTS, &clock);
	return SN_OK;
}
