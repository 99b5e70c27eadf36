/* The summary: what was found, in sentences a linguist can check against the tables. */
#include "methods/localize/tables.h"

#include "base/base.h"
#include "data/russian.h"

#include <math.h>
#include <string.h>

typedef bool cell_test(const sn_evidence *ev, int l, int r);

/* ---- lists of layers ---- */

/* Appends "3-14, 17" for the layers of role r that pass the test; returns their number. */
static int write_layers(sn_buf *buf, const sn_evidence *ev, int r, cell_test *test)
{
	int n = 0;
	for (int l = 0; l < ev->n_layer; l++) {
		if (!test(ev, l, r)) continue;
		int last = l;
		while (last + 1 < ev->n_layer && test(ev, last + 1, r)) last++;
		sn_buf_puts(buf, n ? ", " : "");
		if (last == l)
			sn_buf_format(buf, "%d", l);
		else
			sn_buf_format(buf, "%d–%d", l, last);
		n += last - l + 1;
		l = last;
	}
	return n;
}

/* "layer 3" or "layers 3-14, 17", from the arena; NULL when none passes. */
static const char *layers_of(sn_arena *arena, const sn_evidence *ev, int r, cell_test *test)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	int n = write_layers(&buf, ev, r, test);
	const char *text = NULL;
	if (n && !buf.failed && ev->russian)
		text = sn_arena_format(arena, "%s %s", n > 1 ? "слоях" : "слое", buf.data);
	else if (n && !buf.failed)
		text = sn_arena_format(arena, "layer%s %s", n > 1 ? "s" : "", buf.data);
	sn_buf_free(&buf);
	return text;
}

static const sn_judgement *at(const sn_evidence *ev, int l, int r) { return &ev->judgement[0][l * ev->n_role + r]; }

static bool certain(const sn_evidence *ev, int l, int r)
{
	double ignored;
	return sn_tautology(ev, false, l, r, &ignored);
}

static bool is_encoded(const sn_evidence *ev, int l, int r) { return at(ev, l, r)->encoded == SN_ANSWER_YES; }
static bool not_encoded(const sn_evidence *ev, int l, int r) { return at(ev, l, r)->encoded == SN_ANSWER_NO; }
static bool has_vectors(const sn_evidence *ev, int l, int r) { return at(ev, l, r)->encoded != SN_ANSWER_NA; }
static bool passes(const sn_evidence *ev, int l, int r)
{
	return !certain(ev, l, r) && at(ev, l, r)->e == SN_ANSWER_YES;
}
static bool blocked(const sn_evidence *ev, int l, int r)
{
	return !certain(ev, l, r) && at(ev, l, r)->e == SN_ANSWER_NO;
}
static bool free_cell(const sn_evidence *ev, int l, int r)
{
	return !certain(ev, l, r) && at(ev, l, r)->e != SN_ANSWER_NA;
}
static bool used(const sn_evidence *ev, int l, int r) { return at(ev, l, r)->verdict == SN_VERDICT_USED; }
static bool unused(const sn_evidence *ev, int l, int r) { return at(ev, l, r)->verdict == SN_VERDICT_ENCODED_UNUSED; }
static bool otherwise(const sn_evidence *ev, int l, int r)
{
	return at(ev, l, r)->verdict == SN_VERDICT_OTHER_ENCODING;
}
static bool not_linear(const sn_evidence *ev, int l, int r) { return at(ev, l, r)->verdict == SN_VERDICT_NOT_LINEAR; }
static bool undecided(const sn_evidence *ev, int l, int r) { return at(ev, l, r)->verdict == SN_VERDICT_UNDETERMINED; }

static int count(const sn_evidence *ev, int r, cell_test *test)
{
	int n = 0;
	for (int l = 0; l < ev->n_layer; l++) n += test(ev, l, r);
	return n;
}

/* The layer of role r with the largest point estimate among those that pass the test (-1: none). */
static int peak_of(const sn_evidence *ev, const sn_quantity *q, int r, cell_test *test)
{
	int best = -1;
	for (int l = 0; l < ev->n_layer; l++) {
		if (test && !test(ev, l, r)) continue;
		double x = sn_band_at(q, l, r)->point;
		if (!isnan(x) && (best < 0 || x > sn_band_at(q, best, r)->point)) best = l;
	}
	return best;
}

/* "0.97 bits [0.93, 1.00]" */
static const char *with_band(sn_arena *arena, const sn_quantity *q, int l, int r, const char *unit)
{
	const sn_band *b = sn_band_at(q, l, r);
	return sn_arena_format(arena, "%.2f%s [%.2f, %.2f]", b->point, unit, b->sim_low, b->sim_high);
}

/* A role as a place in a sentence; form: what the Russian sentence asks for. */
static const char *place(const sn_evidence *ev, int r, sn_ru_form form)
{
	if (ev->russian) return sn_ru_name(ev->role[r], form);
	return strcmp(ev->role[r], "last") == 0 ? "last position" : ev->role[r];
}

static const char *label(const sn_evidence *ev)
{
	return ev->russian ? sn_ru_name(ev->items->label[0], SN_RU_NOM) : ev->items->label[0];
}

/* The first letter large, Latin or Cyrillic (а-п are d0 b0-bf, р-я d1 80-8f in UTF-8). */
static const char *capital(sn_arena *arena, const char *text)
{
	char *copy = sn_arena_string(arena, text);
	if (!copy) return text;
	unsigned char *c = (unsigned char *)copy;
	if (c[0] >= 'a' && c[0] <= 'z')
		c[0] = (unsigned char)(c[0] - 'a' + 'A');
	else if (c[0] == 0xd0 && c[1] >= 0xb0)
		c[1] = (unsigned char)(c[1] - 0x20);
	else if (c[0] == 0xd1 && c[1] <= 0x8f)
		c[0] = 0xd0, c[1] = (unsigned char)(c[1] + 0x20);
	return copy;
}

/* The text in the report's language; formats are checked as the English ones, tests hold the Russian to them. */
static const char *in(const sn_evidence *ev, const char *english) __attribute__((format_arg(2)));
static const char *in(const sn_evidence *ev, const char *english) { return ev->russian ? sn_ru(english) : english; }

/* ---- what is chosen ---- */

static sn_status say_choice(sn_result *out, const sn_evidence *ev, const char *model)
{
	const sn_behaviour *all = &ev->behaviour[0];
	const char *feature = label(ev), *controller = place(ev, 0, SN_RU_NOM);
	if (!ev->chooses)
		return sn_result_say(
			out,
			in(ev, "%s makes no such choice: changing the %s of the %s moves it by D = %.2f nats [%.2f, %.2f], and "
				   "the lower bound is not above %.1f. So there are no shares and no verdicts here."),
			model, feature, controller, ev->d_main.point, ev->d_main.low, ev->d_main.high, ev->options.least_d);
	return sn_result_say(
		out,
		in(ev, "%s chooses by the %s of the %s: at %.0f %% of the prefixes [%.0f, %.0f] the right form is the more "
			   "probable one, and changing the %s moves the choice by D = %.2f nats [%.2f, %.2f] (bias %+.2f nats "
			   "[%.2f, %.2f])."),
		model, feature, controller, 100 * all->accuracy.value, 100 * all->accuracy.low, 100 * all->accuracy.high,
		feature, ev->d_main.point, ev->d_main.low, ev->d_main.high, all->bias.point, all->bias.low, all->bias.high);
}

static sn_status say_conditions(sn_result *out, const sn_evidence *ev)
{
	sn_buf buf = { .ctx = sn_result_ctx(out) };
	int n = 0;
	for (int b = 0; b < ev->n_behaviour; b++) {
		const sn_behaviour *x = &ev->behaviour[b];
		if (strcmp(x->kind, "condition") != 0 || x->n == 0) continue;
		sn_buf_format(&buf, "%s%s %.0f %% [%.0f, %.0f]", n++ ? ", " : "", in(ev, x->name), 100 * x->accuracy.value,
					  100 * x->accuracy.low, 100 * x->accuracy.high);
	}
	sn_status status = SN_OK;
	if (n > 1 && !buf.failed) status = sn_result_say(out, in(ev, "Right choices by condition: %s."), buf.data);
	sn_buf_free(&buf);
	if (status != SN_OK || !ev->attractor.band || isnan(ev->attractor_total.point)) return status;
	return sn_result_say(out,
						 in(ev, "Changing the %s of the attractor instead moves the choice by %.2f of D [%.2f, %.2f]."),
						 label(ev), ev->attractor_total.point, ev->attractor_total.low, ev->attractor_total.high);
}

/* ---- role by role ---- */

static sn_status say_encoded(sn_result *out, const sn_evidence *ev, int r, sn_arena *arena)
{
	const char *name = capital(arena, label(ev)), *role = place(ev, r, SN_RU_AT), *bits = in(ev, " bits");
	const char *layers = layers_of(arena, ev, r, is_encoded);
	int peak = peak_of(ev, &ev->info, r, NULL);
	if (peak < 0) return SN_OK;
	if (layers)
		return sn_result_say(
			out, in(ev, "%s is encoded at the %s in %s (at most %s, at layer %d; %s at the embedding)."), name, role,
			layers, with_band(arena, &ev->info, peak, r, bits), peak, with_band(arena, &ev->info, 0, r, bits));
	bool nowhere = count(ev, r, not_encoded) == count(ev, r, has_vectors);
	return sn_result_say(
		out,
		nowhere ? in(ev, "%s is encoded at no layer of the %s (at most %s, at layer %d).")
				: in(ev, "Whether %s is encoded at the %s is undetermined at some layers and no at the others (at most "
						 "%s, at layer %d)."),
		nowhere ? name : label(ev), role, with_band(arena, &ev->info, peak, r, bits), peak);
}

static sn_status say_passing(sn_result *out, const sn_evidence *ev, int r, sn_arena *arena)
{
	const char *role = place(ev, r, SN_RU_ACC), *layers = layers_of(arena, ev, r, passes);
	int peak = peak_of(ev, &ev->e, r, free_cell);
	if (peak < 0) return SN_OK;
	if (!layers && count(ev, r, blocked) == count(ev, r, free_cell))
		return sn_result_say(
			out,
			in(ev, "The choice never passes the %s: exchanging its vector moves it by %s of D at most (layer %d)."),
			role, with_band(arena, &ev->e, peak, r, ""), peak);
	if (!layers)
		return sn_result_say(out,
							 in(ev, "Whether the choice passes the %s is undetermined (at most %s of D, at layer %d)."),
							 role, with_band(arena, &ev->e, peak, r, ""), peak);
	int sub = peak_of(ev, &ev->e_sub, r, passes);
	const char *through = layers_of(arena, ev, r, used);
	if (through)
		return sn_result_say(
			out,
			in(ev,
			   "The choice passes the %s in %s (E at most %s of D, at layer %d), and is read from this encoding of %s "
			   "in %s (E_sub at most %s, at layer %d)."),
			role, layers, with_band(arena, &ev->e, peak, r, ""), peak, label(ev), through,
			with_band(arena, &ev->e_sub, sub, r, ""), sub);
	return sn_result_say(
		out,
		in(ev,
		   "The choice passes the %s in %s (E at most %s of D, at layer %d); at no layer is it certain to be read from "
		   "this encoding of %s (E_sub at most %s, at layer %d)."),
		role, layers, with_band(arena, &ev->e, peak, r, ""), peak, label(ev), with_band(arena, &ev->e_sub, sub, r, ""),
		sub);
}

static sn_status say_rest(sn_result *out, const sn_evidence *ev, int r, sn_arena *arena)
{
	const char *role = place(ev, r, SN_RU_AT), *name = label(ev), *layers;
	if ((layers = layers_of(arena, ev, r, unused)))
		SN_TRY(sn_result_say(out, in(ev, "At the %s in %s %s is encoded, but not used from there on."), role, layers,
							 name));
	if ((layers = layers_of(arena, ev, r, otherwise)))
		SN_TRY(sn_result_say(out, in(ev, "At the %s in %s the choice passes, but not through this encoding of %s."),
							 role, layers, name));
	if ((layers = layers_of(arena, ev, r, not_linear)))
		SN_TRY(sn_result_say(out, in(ev, "At the %s in %s the choice passes although no linear probe finds %s."), role,
							 layers, name));
	return SN_OK;
}

/* ---- heads, MLPs, lens ---- */

enum { MOST_NAMED = 6 };

/* "MLP of block 0 at the subject 1.00 [1.00, 1.00], ...": the confirmed parts whose patch moves more than delta, by the
 * size of what they move. Returns their number. */
static int write_parts(sn_buf *buf, const sn_evidence *ev, sn_arena *arena)
{
	int n = 0;
	double last = INFINITY;
	for (;;) {
		int best = -1;
		for (int i = 0; i < ev->n_top; i++) {
			const sn_band *b = sn_band_at(&ev->top_effect, 0, i);
			if (!(b->sim_low > ev->options.delta) || b->point >= last) continue;
			if (best < 0 || b->point > sn_band_at(&ev->top_effect, 0, best)->point) best = i;
		}
		if (best < 0) return n;
		const sn_band *b = sn_band_at(&ev->top_effect, 0, best);
		const char *name = sn_localize_part_name(ev, ev->top[best], true, arena);
		if (n < MOST_NAMED && name)
			sn_buf_format(buf, "%s%s %.2f [%.2f, %.2f]", n ? ", " : "", name, b->point, b->sim_low, b->sim_high);
		last = b->point;
		n++;
	}
}

static sn_status say_parts(sn_result *out, const sn_evidence *ev, sn_arena *arena)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	if (!ev->n_top) return SN_OK;
	int n = write_parts(&buf, ev, arena), of = (ev->n_layer - 1) * ev->n_part;
	sn_status status = buf.failed ? SN_ENOMEM : SN_OK;
	const char *name = sn_localize_part_name(ev, ev->top[0], true, arena);
	const sn_band *b = sn_band_at(&ev->top_effect, 0, 0);
	if (status == SN_OK && n > 0)
		status =
			sn_result_say(out,
						  in(ev, "Of %d heads and MLPs, patched one by one where the gradient finds them, these move "
								 "more than %.2f of D: %s."),
						  of, ev->options.delta, buf.data);
	else if (status == SN_OK && name)
		status =
			sn_result_say(out,
						  in(ev, "No head or MLP alone is certain to move more than %.2f of D; the largest estimate is "
								 "that of %s (patched: %.2f [%.2f, %.2f])."),
						  ev->options.delta, name, b->point, b->sim_low, b->sim_high);
	sn_buf_free(&buf);
	return status;
}

static sn_status say_lens(sn_result *out, const sn_evidence *ev, sn_arena *arena)
{
	const sn_first *f = &ev->lens_first;
	if (!ev->lens.band) return SN_OK;
	if (f->point < 0)
		return sn_result_say(out,
							 in(ev, "Read by the model's own end, the last position never holds half of D before the "
									"last layer."));
	const char *none = f->high >= ev->n_layer ? in(ev, "none") : sn_arena_format(arena, "%d", f->high);
	return sn_result_say(out,
						 in(ev,
							"Read by the model's own end, the last position holds more than half of D from layer %d on "
							"[%d, %s]; there %.0f %% of the choices are right."),
						 f->point, f->low, none ? none : "", 100 * ev->lens_right[f->point].value);
}

/* ---- everything else ---- */

static sn_status say_never(sn_result *out, const sn_evidence *ev)
{
	for (int r = 0; r < ev->n_role; r++)
		if (count(ev, r, blocked) != count(ev, r, free_cell)) return SN_OK;
	return sn_result_say(out, in(ev, "%s is never used: E is below %.2f at every cell."), label(ev), ev->options.delta);
}

static sn_status say_other(sn_result *out, const sn_evidence *ev, sn_arena *arena)
{
	int r = ev->n_role, best = -1;
	for (int l = 0; l + 1 < ev->n_layer; l++) {
		double x = sn_band_at(&ev->e, l, r)->point;
		if (!isnan(x) && (best < 0 || x > sn_band_at(&ev->e, best, r)->point)) best = l;
	}
	if (best < 0) return SN_OK;
	return sn_result_say(out, in(ev, "All other positions after the %s together carry at most %s of D, at layer %d."),
						 place(ev, 0, SN_RU_NOM), with_band(arena, &ev->e, best, r, ""), best);
}

static sn_status say_first(sn_result *out, const sn_evidence *ev, sn_arena *arena)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	int n = 0;
	for (int f = 0; f < ev->n_first; f++) {
		const sn_first *x = &ev->first[f];
		if (x->point < 0) continue;
		sn_buf_format(&buf, in(ev, "%s%s at the %s %d"), n++ ? "; " : "",
					  strcmp(x->quantity, "encoded") == 0 ? "I" : x->quantity, place(ev, x->role, SN_RU_AT), x->point);
		if (x->high >= ev->n_layer)
			sn_buf_format(&buf, in(ev, " [%d, none]"), x->low);
		else
			sn_buf_format(&buf, " [%d, %d]", x->low, x->high);
	}
	sn_status status = n && !buf.failed
						   ? sn_result_say(out, in(ev, "First layers above %.2f: %s."), ev->options.delta, buf.data)
						   : SN_OK;
	sn_buf_free(&buf);
	return status;
}

static sn_status say_erasure(sn_result *out, const sn_evidence *ev)
{
	int counts = 0, complete = 0, best = -1;
	for (int i = 0; i < ev->n_erased; i++) {
		const sn_erased_cell *e = &ev->erased[i];
		complete += e->complete;
		counts += e->counts;
		if (e->counts && (best < 0 || e->x.point > ev->erased[best].x.point)) best = i;
		if (e->scope == SN_ERASE_CELL && e->complete && !e->counts)
			SN_TRY(sn_result_say(out,
								 in(ev, "Contradiction: at the %s, layer %d, the encoding is used (E_sub %.2f), but "
										"erasing it there costs no "
										"more than the controls (X %.2f [%.2f, %.2f], controls up to %.2f)."),
								 place(ev, e->r, SN_RU_AT), e->l, sn_band_at(&ev->e_sub, e->l, e->r)->point, e->x.point,
								 e->x.sim_low, e->x.sim_high, fmax(e->control_label, e->control_random)));
	}
	if (ev->n_erased == 0) return SN_OK;
	if (best < 0)
		return sn_result_say(
			out, in(ev, "Erasure was complete at %d of %d places and costs more than its controls at none."), complete,
			ev->n_erased);
	const sn_erased_cell *e = &ev->erased[best];
	return sn_result_say(out,
						 in(ev, "Erasing the encoding costs more than its controls at %d of the %d places where it was "
								"complete; most at the "
								"%s, layer %d, %s: X = %.2f [%.2f, %.2f] of S."),
						 counts, complete, place(ev, e->r, SN_RU_AT), e->l, in(ev, sn_erase_scope_text(e->scope)),
						 e->x.point, e->x.sim_low, e->x.sim_high);
}

static sn_status say_undetermined(sn_result *out, const sn_evidence *ev)
{
	int n = 0, all = 0;
	for (int r = 0; r < ev->n_role; r++) {
		n += count(ev, r, undecided);
		all += count(ev, r, free_cell);
	}
	if (n == 0) return SN_OK;
	return sn_result_say(out, in(ev, "Undetermined at a threshold of %.2f: %d of %d cells."), ev->options.delta, n,
						 all);
}

static sn_status say_all(sn_result *out, const sn_evidence *ev, const char *model, sn_arena *arena)
{
	SN_TRY(say_choice(out, ev, model));
	SN_TRY(say_conditions(out, ev));
	for (int r = 0; r < ev->n_role; r++) {
		SN_TRY(say_encoded(out, ev, r, arena));
		if (!ev->chooses) continue;
		SN_TRY(say_passing(out, ev, r, arena));
		SN_TRY(say_rest(out, ev, r, arena));
	}
	if (ev->chooses) {
		SN_TRY(say_never(out, ev));
		SN_TRY(say_other(out, ev, arena));
		SN_TRY(say_parts(out, ev, arena));
		SN_TRY(say_lens(out, ev, arena));
		SN_TRY(say_erasure(out, ev));
		SN_TRY(say_undetermined(out, ev));
	}
	return say_first(out, ev, arena);
}

sn_status sn_localize_say(sn_result *out, const sn_evidence *ev, const char *model)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, sn_result_ctx(out)));
	sn_status status = say_all(out, ev, model, arena);
	sn_arena_close(arena);
	return status;
}
