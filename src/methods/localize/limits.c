/* Limitations: what these numbers do not show, made from the gates that failed. */
#include "methods/localize/tables.h"

#include "base/base.h"
#include "data/russian.h"

#include <math.h>

static const char *in(const sn_evidence *ev, const char *english) __attribute__((format_arg(2)));
static const char *in(const sn_evidence *ev, const char *english) { return ev->russian ? sn_ru(english) : english; }
static const char *name_of(const sn_evidence *ev, const char *name)
{
	return ev->russian ? sn_ru_name(name, SN_RU_NOM) : name;
}

static sn_status limit_training(sn_result *out, const sn_evidence *ev)
{
	if (ev->options.n_refit > 0)
		return sn_result_limit(
			out,
			in(ev, "Training variation is included in I (%d resamples with refitted probes), not in E_sub "
				   "and X, whose projections "
				   "are held fixed."),
			ev->options.n_refit);
	return sn_result_limit(out, in(ev, "Training variation is not included: the intervals resample lemmas with the "
									   "probes and projections held fixed "
									   "(--effort thorough refits the probes)."));
}

static sn_status limit_baselines(sn_result *out, const sn_evidence *ev)
{
	if (ev->options.n_random == 0)
		return sn_result_limit(
			out, in(ev, "No randomly initialised model was run: \"encoded\" is judged over the surface probe alone."));
	if (ev->options.n_random == 1)
		return sn_result_limit(
			out, in(ev, "One randomly initialised model stands for all: its own variation is not in the intervals."));
	return SN_OK;
}

static sn_status limit_erasure(sn_result *out, const sn_evidence *ev)
{
	if (!ev->chooses) return SN_OK;
	if (ev->options.erase_step == 0)
		return sn_result_limit(
			out, in(ev, "Erasure was not run (--effort standard runs it): \"used\" rests on interchange alone."));
	int incomplete = 0;
	for (int i = 0; i < ev->n_erased; i++) incomplete += !ev->erased[i].complete;
	if (incomplete > 0)
		SN_TRY(sn_result_limit(out,
							   in(ev, "Erasure incomplete at %d of %d places: a fresh probe may still find the feature "
									  "there, so X is withheld."),
							   incomplete, ev->n_erased));
	if (ev->n_erased > 0 && ev->options.wide_step == 0)
		return sn_result_limit(out,
							   in(ev, "Erasing one cell does not show that the model needs it from that layer on, "
									  "because later heads read the "
									  "%s again (--effort thorough erases onwards)."),
							   name_of(ev, ev->role[0]));
	return SN_OK;
}

static sn_status limit_lengths(sn_result *out, const sn_evidence *ev)
{
	if (!ev->chooses || ev->items->n_unequal == 0) return SN_OK;
	return sn_result_limit(
		out,
		in(ev, "In %lld of %lld directed pairs the members differ in their number of tokens: E and E_sub "
			   "exchange each role's last token, and \"other\" rests on the other pairs."),
		(long long)ev->items->n_unequal, (long long)ev->items->n_pair);
}

static sn_status limit_norms(sn_result *out, const sn_evidence *ev)
{
	int n = 0;
	for (int c = 0; c < ev->n_layer * ev->n_role; c++) n += ev->norm_ratio[c] > 10;
	if (n == 0) return SN_OK;
	return sn_result_limit(
		out, in(ev, "%d cells hold vectors more than ten times as long as their layer's median: read them with care."),
		n);
}

/* Cells where a change of lemma alone moves the choice at least half as much as the feature does. */
static sn_status limit_placebo(sn_result *out, const sn_evidence *ev)
{
	if (!ev->chooses) return SN_OK;
	if (!ev->placebo.band)
		return sn_result_limit(out,
							   in(ev, "The phenomenon has no placebo pairs: effects of the lemma are not separated."));
	if (ev->swaps)
		return sn_result_limit(
			out,
			in(ev, "The members of a pair differ in the lemma of the %s too, since its %s is inherent: E "
				   "and E_sub are what remains after the placebo's RMS (the lemma alone swapped) is taken "
				   "off."),
			name_of(ev, ev->role[0]), name_of(ev, ev->items->label[0]));
	int n = 0;
	double ignored;
	for (int l = 0; l < ev->n_layer; l++)
		for (int r = 0; r < ev->n_role; r++) {
			if (sn_tautology(ev, false, l, r, &ignored) || ev->judgement[0][l * ev->n_role + r].e != SN_ANSWER_YES)
				continue;
			n += sn_band_at(&ev->placebo, l, r)->point > 0.5 * sn_band_at(&ev->main_rms, l, r)->point;
		}
	if (n == 0) return SN_OK;
	return sn_result_limit(
		out,
		in(ev, "At %d cells where the choice passes, exchanging the lemma alone moves it at least half as much (RMS)."),
		n);
}

static sn_status limit_memory(sn_result *out, const sn_evidence *ev)
{
	double worst = 0;
	for (int c = 0; c < ev->n_layer * ev->n_role; c++)
		if (ev->selectivity[c].control > worst) worst = ev->selectivity[c].control;
	if (worst < 0.7) return SN_OK;
	return sn_result_limit(
		out,
		in(ev, "A probe of this strength learns labels drawn at random for the %d subject forms up to %.0f "
			   "%% (d = %lld): only "
			   "the test on unseen lemmas shows an encoding."),
		ev->n_type, 100 * worst, (long long)ev->d);
}

static sn_status limit_lemmas(sn_result *out, const sn_evidence *ev)
{
	int64_t n = ev->behaviour[0].accuracy.n_lemma;
	if (n < 40)
		SN_TRY(sn_result_limit(
			out, in(ev, "The pairs hold %lld subject lemmas: below 40, intervals over lemmas are too narrow."),
			(long long)n));
	if (ev->n_unconverged > 0)
		return sn_result_limit(out, in(ev, "%d probe fits stopped before their tolerance."), ev->n_unconverged);
	return SN_OK;
}

static sn_status limit_tokens(sn_result *out, const sn_evidence *ev)
{
	sn_tokens_a_word t = sn_localize_tokens(ev, 0);
	if (t.n_word == 0 || t.single >= 0.5) return SN_OK;
	return sn_result_limit(
		out,
		in(ev, "Most words of the %s have several tokens (%.1f on average): its last token stands for it, and I and E "
			   "may differ from those of one-token words."),
		name_of(ev, ev->role[0]), t.mean);
}

static sn_status limit_parts(sn_result *out, const sn_evidence *ev)
{
	if (!ev->n_top) return SN_OK;
	if (ev->swaps)
		SN_TRY(
			sn_result_limit(out, in(ev, "Estimates of heads and MLPs are those of the whole exchange; from the patched "
										"ones the placebo's RMS is taken off.")));
	if (ev->items->n_unequal > 0)
		SN_TRY(
			sn_result_limit(out, in(ev, "Heads and MLPs are ranked by the gradient at the base alone, since members of "
										"pairs differ in their number of tokens: parts that saturate may be missed.")));
	return sn_result_limit(out,
						   in(ev, "Only the %d heads and MLPs with the largest estimates are patched; a part that "
								  "other parts stand in for moves little alone."),
						   ev->n_top);
}

sn_status sn_localize_limits(sn_result *out, const sn_evidence *ev)
{
	SN_TRY(limit_training(out, ev));
	SN_TRY(limit_baselines(out, ev));
	SN_TRY(limit_erasure(out, ev));
	SN_TRY(limit_lengths(out, ev));
	SN_TRY(limit_tokens(out, ev));
	SN_TRY(limit_norms(out, ev));
	SN_TRY(limit_placebo(out, ev));
	SN_TRY(limit_memory(out, ev));
	SN_TRY(limit_lemmas(out, ev));
	SN_TRY(limit_parts(out, ev));
	return sn_result_limit(
		out,
		in(ev,
		   "A linear probe and a linear projection see linear encodings only; a patch shows where the choice passes in "
		   "these frames, not in all text."));
}
