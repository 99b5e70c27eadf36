/* Filling the tables of tables.c from the evidence. */
#include "methods/localize/tables.h"

#include "base/base.h"
#include "data/russian.h"

#include <math.h>
#include <string.h>

/* A cell of a quantity, with what follows it: value, low, high. */
typedef struct triple {
	sn_cell value, low, high;
} triple;

sn_tokens_a_word sn_localize_tokens(const sn_evidence *ev, int r)
{
	sn_tokens_a_word out = { 0 };
	for (int64_t i = 0; i < ev->n_test; i++) {
		const int32_t *span = ev->items->span[ev->test[i] * ev->n_role + r];
		if (span[0] < 0) continue;
		out.n_word++;
		out.mean += span[1] - span[0];
		out.single += span[1] - span[0] == 1;
	}
	if (out.n_word > 0) out.mean /= (double)out.n_word, out.single /= (double)out.n_word;
	return out;
}

static triple of_band(const sn_quantity *q, int l, int r)
{
	if (!q->band || r >= q->n_col) return (triple){ sn_none(), sn_none(), sn_none() };
	const sn_band *b = sn_band_at(q, l, r);
	return (triple){ sn_num(b->point), sn_num(b->sim_low), sn_num(b->sim_high) };
}

static triple of_share(const sn_share *s)
{
	if (!s) return (triple){ sn_none(), sn_none(), sn_none() };
	return (triple){ sn_num(s->value), sn_num(s->low), sn_num(s->high) };
}

static sn_cell point_of(const sn_quantity *q, int l, int r) { return of_band(q, l, r).value; }

/* A role's name, and any other word, in the report's language. */
static sn_cell role_text(const sn_evidence *ev, int r)
{
	return sn_text(ev->russian ? sn_ru_name(ev->role[r], SN_RU_NOM) : ev->role[r]);
}
static const char *word(const sn_evidence *ev, const char *text) { return ev->russian && text ? sn_ru(text) : text; }

/* A format in the report's language; tests hold the Russian to the English one's conversions. */
static const char *in_language(const sn_evidence *ev, const char *english) __attribute__((format_arg(2)));
static const char *in_language(const sn_evidence *ev, const char *english)
{
	return ev->russian ? sn_ru(english) : english;
}

#define THREE(t) (t).value, (t).low, (t).high

const char *sn_erase_scope_text(sn_erase_scope scope)
{
	static const char *const text[] = { [SN_ERASE_CELL] = "here alone",
										[SN_ERASE_ROLE_ONWARDS] = "this role from here on",
										[SN_ERASE_ALL_ONWARDS] = "all positions from here on" };
	return text[scope];
}

/* ---- one row a cell ---- */

static bool certain(const sn_evidence *ev, bool sub, int l, int r)
{
	double ignored;
	return ev->chooses && sn_tautology(ev, sub, l, r, &ignored);
}

static sn_status verdict_row(sn_result *out, const sn_evidence *ev, int l, int r)
{
	const sn_judgement *j = &ev->judgement[0][l * ev->n_role + r];
	return SN_ADD(out, SN_T_VERDICTS, sn_int(l), role_text(ev, r), sn_text(word(ev, sn_verdict_text(j->verdict))),
				  sn_flag(j->verdict == SN_VERDICT_TAUTOLOGY), sn_text(word(ev, sn_answer_text(j->encoded))),
				  sn_text(word(ev, sn_answer_text(j->e))), sn_text(word(ev, sn_answer_text(j->e_sub))));
}

static sn_status threshold_rows(sn_result *out, const sn_evidence *ev, int l, int r)
{
	for (int k = 1; k < 3; k++) {
		char delta[16];
		sn_format(delta, sizeof delta, "%.2f", ev->delta[k]);
		sn_verdict v = ev->judgement[k][l * ev->n_role + r].verdict;
		SN_TRY(SN_ADD(out, SN_T_THRESHOLDS, sn_int(l), role_text(ev, r), sn_text(delta),
					  sn_text(word(ev, sn_verdict_text(v))), sn_flag(v == SN_VERDICT_TAUTOLOGY)));
	}
	return SN_OK;
}

static sn_status curve_row(sn_result *out, const sn_evidence *ev, int l, int r)
{
	triple i = of_band(&ev->info, l, r), e = of_band(&ev->e, l, r), sub = of_band(&ev->e_sub, l, r);
	return SN_ADD(out, SN_T_CURVES, sn_int(l), role_text(ev, r), THREE(i), point_of(&ev->surface, l, r),
				  point_of(&ev->random, l, r), THREE(e), point_of(&ev->placebo, l, r),
				  sn_flag(certain(ev, false, l, r)), THREE(sub), sn_flag(certain(ev, true, l, r)));
}

static const char *mark_of(sn_answer answer, bool flagged)
{
	if (flagged) return "!";
	return answer == SN_ANSWER_YES ? "+" : answer == SN_ANSWER_UNDETERMINED ? "?" : "";
}

static bool flagged(const sn_evidence *ev, int l, int r)
{
	return r < ev->n_role && ev->norm_ratio[l * ev->n_role + r] > 10;
}

static sn_status heat_rows(sn_result *out, const sn_evidence *ev, int l, int r)
{
	const sn_judgement *j = r < ev->n_role ? &ev->judgement[0][l * ev->n_role + r] : NULL;
	sn_cell role = role_text(ev, r);
	sn_answer e = ev->chooses ? sn_answer_of(sn_band_at(&ev->e, l, r), ev->options.delta) : SN_ANSWER_NA;
	if (j)
		SN_TRY(SN_ADD(out, SN_T_HEAT, sn_int(l), role, sn_text("I"), point_of(&ev->info, l, r), sn_flag(false),
					  sn_text(mark_of(j->encoded, flagged(ev, l, r)))));
	if (!ev->chooses) return SN_OK;
	SN_TRY(SN_ADD(out, SN_T_HEAT, sn_int(l), role, sn_text("E"), point_of(&ev->e, l, r),
				  sn_flag(certain(ev, false, l, r)), sn_text(mark_of(e, flagged(ev, l, r)))));
	if (!j) return SN_OK;
	return SN_ADD(out, SN_T_HEAT, sn_int(l), role, sn_text("E_sub"), point_of(&ev->e_sub, l, r),
				  sn_flag(certain(ev, true, l, r)), sn_text(mark_of(j->e_sub, flagged(ev, l, r))));
}

static sn_status accuracy_row(sn_result *out, const sn_evidence *ev, int l, int r)
{
	int c = l * ev->n_role + r;
	triple a = of_share(&ev->accuracy[c]);
	const sn_selectivity *s = &ev->selectivity[c];
	return SN_ADD(out, SN_T_ACCURACY, sn_int(l), role_text(ev, r), THREE(a), sn_num(s->task), sn_num(s->control),
				  sn_num(s->task - s->control));
}

static sn_status pair_rows(sn_result *out, const sn_evidence *ev, int l, int r)
{
	triple a = of_band(&ev->attractor, l, r), p = of_band(&ev->placebo, l, r), m = of_band(&ev->move, l, r);
	triple en = of_band(&ev->e_nats, l, r), sn = of_band(&ev->e_sub_nats, l, r);
	const sn_share *flip = &ev->flip[l * (ev->n_role + 1) + r],
				   *sub = r < ev->n_role ? &ev->flip_sub[l * ev->n_role + r] : NULL;
	triple f = of_share(flip), fs = of_share(sub);
	if (ev->attractor.band || ev->placebo.band)
		SN_TRY(SN_ADD(out, SN_T_OTHER_PAIRS, sn_int(l), role_text(ev, r), THREE(a), THREE(p),
					  point_of(&ev->main_rms, l, r)));
	if (l > 0) SN_TRY(SN_ADD(out, SN_T_MOVES, sn_int(l), role_text(ev, r), THREE(m)));
	return SN_ADD(out, SN_T_FLIPS, sn_int(l), role_text(ev, r), THREE(f), THREE(fs), THREE(en), THREE(sn),
				  sn_int(flip->n_lemma));
}

static sn_status over_row(sn_result *out, const sn_evidence *ev, int l, int r)
{
	triple a = of_band(&ev->over_random, l, r), b = of_band(&ev->over_surface, l, r),
		   c = of_band(&ev->over_embedding, l, r);
	return SN_ADD(out, SN_T_OVER, sn_int(l), role_text(ev, r), THREE(a), THREE(b), THREE(c),
				  sn_num(ev->norm_ratio[l * ev->n_role + r]),
				  sn_text(word(ev, flagged(ev, l, r) ? "norm over ten times the layer's" : "")),
				  sn_text(sn_band_at(&ev->info, l, r)->constant ? "I" : ""));
}

static sn_status label_rows(sn_result *out, const sn_evidence *ev, int l, int r)
{
	for (int b = 1; b < ev->items->n_label; b++) {
		triple i = of_band(&ev->info_label[b], l, r),
			   a = of_share(&ev->accuracy[(b * ev->n_layer + l) * ev->n_role + r]);
		SN_TRY(SN_ADD(out, SN_T_LABELS, sn_int(l), role_text(ev, r), sn_text(word(ev, ev->items->label[b])), THREE(i),
					  THREE(a)));
	}
	for (int k = 0; k < ev->items->n_condition; k++) {
		triple i = of_band(&ev->info_condition[k], l, r);
		SN_TRY(SN_ADD(out, SN_T_CONDITIONS, sn_int(l), role_text(ev, r), sn_text(word(ev, ev->items->condition[k])),
					  THREE(i)));
	}
	return SN_OK;
}

static sn_status cell_rows(sn_result *out, const sn_evidence *ev, int l, int r)
{
	SN_TRY(curve_row(out, ev, l, r));
	SN_TRY(heat_rows(out, ev, l, r));
	if (ev->chooses) SN_TRY(pair_rows(out, ev, l, r));
	if (r == ev->n_role) return SN_OK;
	SN_TRY(accuracy_row(out, ev, l, r));
	SN_TRY(over_row(out, ev, l, r));
	SN_TRY(label_rows(out, ev, l, r));
	if (!ev->chooses) return SN_OK;
	SN_TRY(verdict_row(out, ev, l, r));
	return threshold_rows(out, ev, l, r);
}

/* ---- heads, MLPs, lens ---- */

/* "head 3", "MLP" */
static const char *part_text(const sn_evidence *ev, int part, sn_arena *arena)
{
	if (part == ev->n_part - 1) return word(ev, "MLP");
	return sn_arena_format(arena, in_language(ev, "head %d"), part);
}

const char *sn_localize_part_name(const sn_evidence *ev, int c, bool sentence, sn_arena *arena)
{
	int place = c % (ev->n_role + 1), part = c / (ev->n_role + 1) % ev->n_part;
	int block = c / (ev->n_role + 1) / ev->n_part;
	const char *what = part_text(ev, part, arena);
	const char *role = ev->russian ? sn_ru_name(ev->role[place], sentence ? SN_RU_AT : SN_RU_NOM) : ev->role[place];
	if (sentence && strcmp(role, "last") == 0) role = "last position";
	if (!what) return NULL;
	return sn_arena_format(
		arena, sentence ? in_language(ev, "%s of block %d at the %s") : in_language(ev, "%s of block %d, %s"), what,
		block, role);
}

static sn_status part_rows(sn_result *out, const sn_evidence *ev)
{
	int n_col = ev->n_part * (ev->n_role + 1);
	for (int i = 0; i < ev->n_top; i++) {
		const char *name = sn_localize_part_name(ev, ev->top[i], false, sn_result_arena(out));
		triple guess = of_band(&ev->part, ev->top[i] / n_col, ev->top[i] % n_col),
			   truth = of_band(&ev->top_patched, 0, i), less = of_band(&ev->top_effect, 0, i),
			   placebo = of_band(&ev->top_placebo, 0, i);
		if (!name) return SN_ENOMEM;
		SN_TRY(SN_ADD(out, SN_T_PARTS, sn_text(name), sn_text(word(ev, "estimated")), THREE(guess)));
		SN_TRY(SN_ADD(out, SN_T_PARTS, sn_text(name), sn_text(word(ev, "patched")), THREE(truth)));
		if (!ev->top_placebo.band) continue;
		SN_TRY(SN_ADD(out, SN_T_PARTS, sn_text(name), sn_text(word(ev, "placebo")), THREE(placebo)));
		if (!ev->swaps) continue;
		SN_TRY(SN_ADD(out, SN_T_PARTS, sn_text(name), sn_text(word(ev, "less placebo")), THREE(less)));
	}
	for (int p = 0; p <= ev->n_role && ev->n_part; p++)
		for (int part = 0; part < ev->n_part; part++)
			for (int b = 0; b + 1 < ev->n_layer; b++) {
				triple guess = of_band(&ev->part, b, part * (ev->n_role + 1) + p);
				const char *text = part_text(ev, part, sn_result_arena(out));
				SN_TRY(SN_ADD(out, SN_T_PART_MAP, sn_int(b), sn_text(text), role_text(ev, p), THREE(guess)));
			}
	return SN_OK;
}

static sn_status lens_rows(sn_result *out, const sn_evidence *ev)
{
	for (int l = 0; l < ev->n_layer && ev->lens.band; l++) {
		triple lens = of_band(&ev->lens, l, 0), right = of_share(&ev->lens_right[l]);
		SN_TRY(
			SN_ADD(out, SN_T_LENS, sn_int(l), role_text(ev, ev->n_role - 1), THREE(lens), THREE(right), sn_num(0.5)));
	}
	return SN_OK;
}

/* ---- behaviour ---- */

static sn_status behaviour_row(sn_result *out, const sn_evidence *ev, const sn_behaviour *b)
{
	sn_cell s = sn_num(b->sensitivity.point), s_low = sn_num(b->sensitivity.low), s_high = sn_num(b->sensitivity.high);
	sn_cell bias = sn_num(b->bias.point), bias_low = sn_num(b->bias.low), bias_high = sn_num(b->bias.high);
	triple a = of_share(&b->accuracy);
	bool words = b->kind[0] == 'c' && b->kind[1] == 'h';
	if (b->n == 0) return SN_OK;
	if (words) return SN_ADD(out, SN_T_WORDS, sn_text(b->name), THREE(a), s, s_low, s_high, bias, bias_low, bias_high);
	bool plain = b->name[0] == '\0' || b->kind[0] == 'c';
	const char *name = plain ? word(ev, b->name[0] ? b->name : b->kind)
							 : sn_arena_format(sn_result_arena(out), "%s: %s", word(ev, b->kind), word(ev, b->name));
	return SN_ADD(out, SN_T_BEHAVIOUR, sn_text(name), THREE(a), sn_num(0.5), s, s_low, s_high, bias, bias_low,
				  bias_high, sn_int(b->n), sn_int(b->accuracy.n_lemma));
}

/* ---- lists ---- */

static sn_status first_rows(sn_result *out, const sn_evidence *ev, const sn_first *f)
{
	int n = ev->n_layer;
	sn_cell point = f->point < 0 ? sn_none() : sn_int(f->point);
	sn_cell low = f->low >= n ? sn_none() : sn_int(f->low), high = f->high >= n ? sn_none() : sn_int(f->high);
	SN_TRY(SN_ADD(out, SN_T_FIRST, sn_text(word(ev, f->quantity)), role_text(ev, f->role), point, low, high,
				  sn_num(f->share[n])));
	for (int l = 0; l < n; l++)
		SN_TRY(SN_ADD(out, SN_T_FIRST_SHARES, sn_int(l), role_text(ev, f->role), sn_text(word(ev, f->quantity)),
					  sn_num(f->share[l])));
	return SN_OK;
}

static sn_status erasure_row(sn_result *out, const sn_evidence *ev, const sn_erased_cell *e)
{
	const char *outcome = !e->complete ? "erasure incomplete" : e->counts ? "counts" : "within the controls";
	sn_cell x = sn_num(e->x.point), low = sn_num(e->x.sim_low), high = sn_num(e->x.sim_high);
	if (!e->complete) x = low = high = sn_none(); /* withheld */
	return SN_ADD(out, SN_T_ERASURE, sn_int(e->l), role_text(ev, e->r),
				  sn_text(word(ev, sn_erase_scope_text(e->scope))), x, low, high, sn_num(e->control_label),
				  sn_num(e->control_random), sn_num(e->gate.point), sn_num(e->gate.sim_low), sn_num(e->gate.sim_high),
				  sn_num(e->before.point), sn_text(word(ev, outcome)));
}

/* One prefix of each frame, condition and value of the feature. */
static sn_status example_rows(sn_result *out, const sn_evidence *ev)
{
	const sn_items *items = ev->items;
	int n_kind = items->n_frame * (items->n_condition + 1) * 2;
	bool *seen;
	SN_NEW(seen, ev->arena, bool, n_kind); /* no mark here: the rows may live in the same arena */
	for (int64_t m = 0; m < ev->n_member; m++) {
		const sn_item *it = &items->item[ev->member[m]];
		int kind = ((it->frame * (items->n_condition + 1)) + it->condition + 1) * 2 + (it->n > 0);
		if (seen[kind] || !it->text) continue;
		seen[kind] = true;
		const char *feature = items->value ? items->value[0][it->n < 0] : it->n > 0 ? "+1" : "-1";
		SN_TRY(SN_ADD(out, SN_T_EXAMPLES, sn_text(it->text),
					  it->condition < 0 ? sn_none() : sn_text(word(ev, items->condition[it->condition])),
					  sn_text(items->frame[it->frame]), sn_text(word(ev, feature)), sn_num(ev->ld[m]),
					  sn_text(word(ev, sn_localize_right(ev, ev->member[m]) ? "yes" : "no"))));
	}
	return SN_OK;
}

static sn_status drop_rows(sn_result *out, const sn_evidence *ev)
{
	for (int d = 0; d < ev->items->n_drop; d++) {
		const sn_drop *drop = &ev->items->drop[d];
		SN_TRY(SN_ADD(out, SN_T_DROPS, sn_text(word(ev, drop->reason)), sn_text(drop->group),
					  sn_text(word(ev, drop->frequency)), sn_int(drop->n)));
	}
	return SN_OK;
}

/* Morphology splits words: how many tokens a word has at each role. The last role is one token by definition. */
static sn_status token_rows(sn_result *out, const sn_evidence *ev)
{
	for (int r = 0; r + 1 < ev->n_role; r++) {
		sn_tokens_a_word t = sn_localize_tokens(ev, r);
		if (t.n_word == 0) continue;
		SN_TRY(SN_ADD(out, SN_T_TOKENS, role_text(ev, r), sn_num(t.mean), sn_num(t.single), sn_int(t.n_word)));
	}
	return SN_OK;
}

static sn_status time_rows(sn_result *out, const sn_evidence *ev)
{
	static const char *const stage[] = { "choices",       "residual streams", "probes",
										 "random models", "control labels",   "projections",
										 "patches",       "heads and MLPs",   "erasure",
										 "refits" };
	_Static_assert(SN_COUNT(stage) == SN_STAGE_COUNT, "a name for each stage");
	for (int s = 0; s < SN_STAGE_COUNT; s++)
		if (ev->seconds[s] > 0) SN_TRY(SN_ADD(out, SN_T_TIMES, sn_text(word(ev, stage[s])), sn_num(ev->seconds[s])));
	return SN_OK;
}

sn_status sn_localize_rows(sn_result *out, const sn_evidence *ev)
{
	for (int r = 0; r <= ev->n_role; r++)
		for (int l = 0; l < ev->n_layer; l++) SN_TRY(cell_rows(out, ev, l, r));
	SN_TRY(part_rows(out, ev));
	SN_TRY(lens_rows(out, ev));
	for (int b = 0; b < ev->n_behaviour; b++) SN_TRY(behaviour_row(out, ev, &ev->behaviour[b]));
	for (int f = 0; f < ev->n_first; f++) SN_TRY(first_rows(out, ev, &ev->first[f]));
	for (int e = 0; e < ev->n_erased; e++) SN_TRY(erasure_row(out, ev, &ev->erased[e]));
	SN_TRY(example_rows(out, ev));
	SN_TRY(drop_rows(out, ev));
	SN_TRY(token_rows(out, ev));
	return time_rows(out, ev);
}
