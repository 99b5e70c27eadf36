/* Verdicts: yes, no or undetermined for each kind of evidence, and what they say together. */
#include "methods/localize/localize.h"

#include "base/base.h"

#include <math.h>

sn_answer sn_answer_of(const sn_band *band, double delta)
{
	if (isnan(band->point) || isnan(band->sim_low) || isnan(band->sim_high)) return SN_ANSWER_NA;
	if (band->sim_low > delta) return SN_ANSWER_YES;
	return band->sim_high < delta ? SN_ANSWER_NO : SN_ANSWER_UNDETERMINED;
}

sn_answer sn_answer_both(sn_answer a, sn_answer b)
{
	if (a == SN_ANSWER_NA || b == SN_ANSWER_NA) return SN_ANSWER_NA;
	return SN_MIN(a, b); /* one no is enough for no, one undetermined for undetermined */
}

sn_verdict sn_verdict_of(sn_answer encoded, sn_answer e, sn_answer e_sub)
{
	if (encoded == SN_ANSWER_NA || e == SN_ANSWER_NA) return SN_VERDICT_NA;
	if (encoded == SN_ANSWER_UNDETERMINED || e == SN_ANSWER_UNDETERMINED) return SN_VERDICT_UNDETERMINED;
	if (encoded == SN_ANSWER_NO) return e == SN_ANSWER_YES ? SN_VERDICT_NOT_LINEAR : SN_VERDICT_NEITHER;
	if (e == SN_ANSWER_NO) return SN_VERDICT_ENCODED_UNUSED;
	switch (e_sub) {
	case SN_ANSWER_YES:
		return SN_VERDICT_USED;
	case SN_ANSWER_NO:
		return SN_VERDICT_OTHER_ENCODING;
	case SN_ANSWER_UNDETERMINED:
		return SN_VERDICT_UNDETERMINED;
	default:
		return SN_VERDICT_NA;
	}
}

const char *sn_verdict_text(sn_verdict verdict)
{
	static const char *const text[] = {
		[SN_VERDICT_NA] = "not applicable",
		[SN_VERDICT_TAUTOLOGY] = "true of any model",
		[SN_VERDICT_UNDETERMINED] = "undetermined",
		[SN_VERDICT_NEITHER] = "neither",
		[SN_VERDICT_ENCODED_UNUSED] = "encoded, not used from here on",
		[SN_VERDICT_OTHER_ENCODING] = "passes here, not through this encoding",
		[SN_VERDICT_NOT_LINEAR] = "used, not linearly encoded",
		[SN_VERDICT_USED] = "encoded and used",
	};
	return text[verdict];
}

const char *sn_answer_text(sn_answer answer)
{
	static const char *const text[] = { [SN_ANSWER_NA] = "n/a",
										[SN_ANSWER_NO] = "no",
										[SN_ANSWER_UNDETERMINED] = "undetermined",
										[SN_ANSWER_YES] = "yes" };
	return text[answer];
}

bool sn_tautology(const sn_evidence *ev, bool sub, int l, int r, double *value)
{
	if (l == ev->n_layer - 1 && r != ev->n_role - 1) {
		*value = 0; /* nothing reads these positions any more */
		return true;
	}
	*value = 1;
	if (sub) return false;
	return l == ev->n_layer - 1 || (l == 0 && r == 0 && ev->subject_only);
}

static sn_answer encoded_at(const sn_evidence *ev, int cell, double delta)
{
	sn_answer surface = sn_answer_of(&ev->over_surface.band[cell], delta);
	return ev->over_random.band ? sn_answer_both(surface, sn_answer_of(&ev->over_random.band[cell], delta)) : surface;
}

static void judge_cell(sn_judgement *out, const sn_evidence *ev, int l, int r, double delta)
{
	double ignored;
	*out = (sn_judgement){ .encoded = encoded_at(ev, l * ev->n_role + r, delta) };
	if (!ev->chooses) return;
	out->e = sn_answer_of(sn_band_at(&ev->e, l, r), delta);
	out->e_sub = sn_answer_of(sn_band_at(&ev->e_sub, l, r), delta);
	out->verdict = sn_verdict_of(out->encoded, out->e, out->e_sub);
	if (out->verdict != SN_VERDICT_NA && sn_tautology(ev, false, l, r, &ignored)) out->verdict = SN_VERDICT_TAUTOLOGY;
}

/* ---- first layers ---- */

/* The layer below which a share q of the resamples has its first layer. */
static int share_quantile(const double *share, int n, double q)
{
	double sum = 0;
	for (int l = 0; l < n; l++)
		if ((sum += share[l]) >= q) return l;
	return n;
}

sn_status sn_localize_first(sn_first *out, const sn_evidence *ev, const char *name, const sn_quantity *q, int r,
							int tautology, double above)
{
	sn_reps column;
	int *cell;
	double ignored;
	*out = (sn_first){ .quantity = name, .role = r };
	SN_NEW(cell, ev->arena, int, q->n_layer);
	for (int l = 0; l < q->n_layer; l++) cell[l] = l * q->n_col + r;
	SN_TRY(sn_reps_select(&column, ev->arena, &q->reps, cell, q->n_layer));
	for (int l = 0; l < q->n_layer; l++) {
		if (tautology < 0 || !sn_tautology(ev, tautology > 0, l, r, &ignored)) continue;
		column.point[l] = NAN;
		for (int b = 0; b < column.n_boot; b++) column.rep[(int64_t)b * column.n_cell + l] = NAN;
	}
	SN_NEW(out->share, ev->arena, double, q->n_layer + 1);
	sn_reps_first(&column, above, &out->point, out->share);
	double outside = (1 - ev->options.level) / 2;
	out->low = share_quantile(out->share, q->n_layer, outside);
	out->high = share_quantile(out->share, q->n_layer, 1 - outside);
	return SN_OK;
}

static sn_status first_layers(sn_evidence *ev)
{
	SN_NEW(ev->first, ev->arena, sn_first, 3 * ev->n_role);
	sn_quantity over = ev->over_surface;
	if (ev->over_random.band) {
		SN_TRY(sn_reps_copy(&over.reps, ev->arena, &ev->over_surface.reps));
		sn_reps_min(&over.reps, &ev->over_random.reps);
	}
	double delta = ev->options.delta;
	for (int r = 0; r < ev->n_role; r++) {
		SN_TRY(sn_localize_first(&ev->first[ev->n_first++], ev, "encoded", &over, r, -1, delta));
		if (!ev->chooses) continue;
		SN_TRY(sn_localize_first(&ev->first[ev->n_first++], ev, "E", &ev->e, r, 0, delta));
		SN_TRY(sn_localize_first(&ev->first[ev->n_first++], ev, "E_sub", &ev->e_sub, r, 1, delta));
	}
	return SN_OK;
}

sn_status sn_localize_judge(sn_evidence *ev)
{
	const double delta[3] = { ev->options.delta, 0.05, 0.20 };
	for (int k = 0; k < 3; k++) {
		ev->delta[k] = delta[k];
		SN_NEW(ev->judgement[k], ev->arena, sn_judgement, ev->n_layer * ev->n_role);
		for (int c = 0; c < ev->n_layer * ev->n_role; c++)
			judge_cell(&ev->judgement[k][c], ev, c / ev->n_role, c % ev->n_role, delta[k]);
	}
	return first_layers(ev);
}
