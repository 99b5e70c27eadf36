/* Selectivity (Hewitt & Liang 2019): can a probe of equal strength learn labels drawn at random for each word form? */
#include "methods/localize/localize.h"

#include "base/work.h"
#include "stats/probe.h"

#include <math.h>

/* Forms of one sign in random order; the first half gets +1, the rest -1 (an odd one out by a coin). */
static sn_status label_side(int8_t *z, const int8_t *sign, int n_form, int8_t side, sn_rng *rng, sn_arena *scratch)
{
	int64_t *form, *order, n = 0;
	SN_NEW(form, scratch, int64_t, n_form);
	for (int f = 0; f < n_form; f++)
		if (sign[f] == side) form[n++] = f;
	if (n == 0) return SN_OK;
	SN_NEW(order, scratch, int64_t, n);
	sn_rng_permute(rng, order, n);
	int64_t half = (n + (int64_t)sn_rng_below(rng, 2)) / 2;
	for (int64_t i = 0; i < n; i++) z[form[order[i]]] = i < half ? 1 : -1;
	return SN_OK;
}

/* The feature's sign of each form that a probe prefix has; 0: none has it. */
static void form_signs(const sn_evidence *ev, int8_t *sign)
{
	for (int64_t i = 0; i < ev->n_probe; i++) {
		const sn_item *item = &ev->items->item[ev->probe[i]];
		if (item->form >= 0) sign[item->form] = item->n;
	}
}

sn_status sn_localize_control_labels(const sn_evidence *ev, uint64_t seed, int n_draw, uint64_t key, sn_arena *arena,
									 int8_t **z)
{
	int n_form = ev->items->n_form;
	int8_t *sign;
	SN_NEW(*z, arena, int8_t, (int64_t)n_draw * n_form);
	SN_NEW(sign, arena, int8_t, n_form);
	form_signs(ev, sign);
	for (int k = 0; k < n_draw; k++) {
		sn_rng rng = sn_rng_make(seed, key + (uint64_t)k);
		for (int8_t side = -1; side <= 1; side += 2)
			SN_TRY(label_side(*z + (int64_t)k * n_form, sign, n_form, side, &rng, arena));
	}
	return SN_OK;
}

/* Balanced accuracy of label b on the tested rows. */
static double accuracy(const sn_probe_result *result, const int8_t *z, int b)
{
	sn_confusion c = sn_confuse(result->p + b * result->n, z + b * result->n, NULL, result->n, 0.5);
	return sn_balanced_accuracy(&c);
}

/* Fits the task (label 0) and n_draw controls of one cell on training lead-ins, tests them on the same forms after
 * others. */
static sn_status select_cell(sn_selectivity *out, const sn_evidence *ev, const sn_gather *g, int cell,
							 const int8_t *control, double strength, sn_arena *arena)
{
	const sn_items *items = ev->items;
	int r = cell % g->n_role, n_draw = ev->options.n_control;
	int64_t n = g->n[r];
	uint8_t *use;
	int8_t *z;
	int32_t *fold;
	SN_NEW(use, arena, uint8_t, n);
	SN_NEW(fold, arena, int32_t, n);
	SN_NEW(z, arena, int8_t, (1 + n_draw) * n);
	for (int64_t i = 0; i < n; i++) {
		const sn_item *item = &items->item[g->item[r][i]];
		use[i] = item->test_lead ? SN_USE_TEST : SN_USE_FIT;
		z[i] = item->n;
		for (int k = 0; k < n_draw; k++)
			z[(1 + k) * n + i] = item->form >= 0 ? control[k * items->n_form + item->form] : 0;
	}
	sn_probe_plan plan = { .n = n,
						   .d = g->d,
						   .n_fold = 1,
						   .fold = fold,
						   .use = use,
						   .n_label = 1 + n_draw,
						   .z = z,
						   .n_strength = 1,
						   .strength = &strength };
	sn_probe_result result;
	SN_TRY(sn_probe_split(&result, arena, &plan, g->x[cell], NULL));
	double sum = 0;
	for (int k = 0; k < n_draw; k++) sum += accuracy(&result, z, 1 + k);
	*out = (sn_selectivity){ .task = accuracy(&result, z, 0), .control = sum / n_draw, .strength = strength };
	return SN_OK;
}

static sn_status count_types(const sn_evidence *ev, sn_arena *scratch, int *n_type)
{
	int8_t *sign;
	SN_NEW(sign, scratch, int8_t, ev->items->n_form);
	form_signs(ev, sign);
	*n_type = 0;
	for (int f = 0; f < ev->items->n_form; f++) *n_type += sign[f] != 0;
	return SN_OK;
}

/* The cells as a list of work. */
typedef struct selected {
	const sn_evidence *ev;
	const sn_gather *g;
	const int8_t *control;
} selected;

static sn_status run_cell(sn_ctx *ctx, void *arg, int64_t c, void *result)
{
	const selected *l = arg;
	sn_selectivity *out = result;
	*out = (sn_selectivity){ NAN, NAN, NAN };
	if (l->g->n[c % l->g->n_role] == 0) return SN_OK;
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = select_cell(out, l->ev, l->g, (int)c, l->control, l->ev->strength[c], scratch);
	sn_arena_close(scratch);
	return status;
}

static sn_status select_all(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g, sn_arena *scratch)
{
	int8_t *control;
	SN_TRY(count_types(ev, scratch, &ev->n_type));
	SN_TRY(sn_localize_control_labels(ev, sn_ctx_seed(ctx), ev->options.n_control, 0x53454c00, scratch, &control));
	selected l = { ev, g, control };
	return sn_work_run(ctx, &(sn_work){ .what = "control labels",
										.n = ev->n_layer * ev->n_role,
										.size = sizeof *ev->selectivity,
										.run = run_cell,
										.arg = &l,
										.result = ev->selectivity });
}

sn_status sn_localize_selectivity(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g)
{
	SN_NEW(ev->selectivity, ev->arena, sn_selectivity, ev->n_layer * ev->n_role);
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = select_all(ev, ctx, g, scratch);
	sn_arena_close(scratch);
	return status;
}
