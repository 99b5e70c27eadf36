/* Chosen: does the model prefer the right form, by how many nats, and with what bias. */
#include "methods/localize/localize.h"

#include "data/phenomenon_lexicon.h"

#include <math.h>

/* Subsets of the members of main pairs, one column each. */
typedef struct subsets {
	int64_t n, *item;    /* the members of main pairs */
	const int64_t *slot; /* [items->n] place of an item in item, -1 */
	bool *both;          /* [n] both members of the item's pair are right */
	int n_column;
	sn_behaviour *column;
	int first_condition, first_frame, first_group, first_frequency, both_right;
} subsets;

static sn_status list_members(subsets *s, const sn_evidence *ev)
{
	const sn_items *items = ev->items;
	int64_t *slot;
	SN_NEW(slot, ev->arena, int64_t, items->n);
	SN_NEW(s->item, ev->arena, int64_t, ev->n_member);
	SN_NEW(s->both, ev->arena, bool, ev->n_member);
	for (int64_t i = 0; i < items->n; i++) slot[i] = -1;
	for (int64_t p = 0; p < items->n_pair; p++) {
		const sn_pair *pair = &items->pair[p];
		if (pair->kind != SN_PAIR_MAIN) continue;
		if (slot[pair->base] < 0) {
			slot[pair->base] = s->n;
			s->item[s->n++] = pair->base;
		}
		s->both[slot[pair->base]] |= sn_localize_right(ev, pair->base) && sn_localize_right(ev, pair->source);
	}
	s->slot = slot;
	return SN_OK;
}

bool sn_localize_right(const sn_evidence *ev, int64_t item)
{
	return ev->items->item[item].n * ev->ld[ev->slot[item]] > 0;
}

static void add_columns(subsets *s, int *first, const char *kind, int n, const char *const *name)
{
	*first = s->n_column;
	for (int i = 0; i < n; i++) s->column[s->n_column++] = (sn_behaviour){ .kind = kind, .name = name ? name[i] : "" };
}

static sn_status name_columns(subsets *s, const sn_evidence *ev)
{
	const sn_items *items = ev->items;
	const char *frequency[SN_FREQUENCIES];
	int ignored;
	for (int f = 0; f < SN_FREQUENCIES; f++) frequency[f] = sn_frequency_name(f);
	SN_NEW(s->column, ev->arena, sn_behaviour,
		   2 + items->n_condition + items->n_frame + items->n_group + SN_FREQUENCIES + items->n_choice);
	add_columns(s, &ignored, "all", 1, NULL);
	add_columns(s, &s->first_condition, "condition", items->n_condition, items->condition);
	add_columns(s, &s->first_frame, "frame", items->n_frame, items->frame);
	add_columns(s, &s->first_group, "group", items->n_group, items->group);
	add_columns(s, &s->first_frequency, "frequency", SN_FREQUENCIES, frequency);
	add_columns(s, &s->both_right, "both right", 1, NULL);
	return SN_OK;
}

static bool belongs(const subsets *s, const sn_evidence *ev, int64_t i, int column)
{
	const sn_item *item = &ev->items->item[s->item[i]];
	if (column == 0) return true;
	if (column == s->both_right) return s->both[i];
	if (column >= s->first_frequency) return item->frequency == column - s->first_frequency;
	if (column >= s->first_group) return item->group == column - s->first_group;
	if (column >= s->first_frame) return item->frame == column - s->first_frame;
	return item->condition == column - s->first_condition;
}

/* ---- the three means of each column ---- */

typedef struct tables {
	float *ld, *signed_ld, *right;
} tables; /* [n, n_column]; NaN outside the subset */

static sn_status new_tables(tables *t, const sn_evidence *ev, int64_t n, int n_column)
{
	SN_NEW(t->ld, ev->arena, float, n * n_column);
	SN_NEW(t->signed_ld, ev->arena, float, n * n_column);
	SN_NEW(t->right, ev->arena, float, n * n_column);
	return SN_OK;
}

static void set_cell(tables *t, int64_t at, bool in, double ld, int8_t n)
{
	double value = ld * n;
	t->ld[at] = in ? (float)ld : NAN;
	t->signed_ld[at] = in ? (float)value : NAN;
	t->right[at] = !in ? NAN : value > 0 ? 1 : value < 0 ? 0 : 0.5f;
}

static sn_status means_of(sn_behaviour *out, const sn_evidence *ev, const subsets *s, const tables *t, int n_column)
{
	sn_boot_items by_sign;
	SN_TRY(sn_localize_item_units(&by_sign, ev, s->item, s->n, 0));
	sn_quantity bias, sensitivity, right;
	SN_TRY(sn_localize_quantity(&bias, ev, &by_sign, t->ld, 1, n_column));
	SN_TRY(sn_localize_quantity(&sensitivity, ev, &by_sign, t->signed_ld, 1, n_column));
	SN_TRY(sn_localize_quantity(&right, ev, &by_sign, t->right, 1, n_column));
	SN_TRY(sn_localize_bands(&bias, ev));
	SN_TRY(sn_localize_bands(&sensitivity, ev));
	int64_t *n_lemma;
	SN_NEW(n_lemma, ev->arena, int64_t, n_column);
	SN_TRY(sn_localize_count_lemmas(ev, s->item, s->n, t->ld, n_column, n_lemma));
	for (int c = 0; c < n_column; c++) {
		out[c].bias = bias.band[c];
		out[c].sensitivity = sensitivity.band[c];
		out[c].accuracy = sn_localize_share(ev, right.reps.point[c], n_lemma[c]);
		out[c].n = 0;
		for (int64_t i = 0; i < s->n; i++) out[c].n += !isnan(t->ld[i * n_column + c]);
	}
	return SN_OK;
}

static sn_status by_subset(subsets *s, const sn_evidence *ev)
{
	tables t;
	SN_TRY(new_tables(&t, ev, s->n, s->n_column));
	for (int64_t i = 0; i < s->n; i++)
		for (int c = 0; c < s->n_column; c++)
			set_cell(&t, i * s->n_column + c, belongs(s, ev, i, c), ev->ld[ev->slot[s->item[i]]],
					 ev->items->item[s->item[i]].n);
	return means_of(s->column, ev, s, &t, s->n_column);
}

static sn_status by_choice(subsets *s, const sn_evidence *ev)
{
	const sn_items *items = ev->items;
	int n = items->n_choice, first;
	tables t;
	SN_TRY(new_tables(&t, ev, s->n, n));
	for (int64_t i = 0; i < s->n; i++)
		for (int c = 0; c < n; c++)
			set_cell(&t, i * n + c, true, ev->ld_choice[ev->slot[s->item[i]] * n + c], items->item[s->item[i]].n);
	add_columns(s, &first, "choice", n, NULL);
	for (int c = 0; c < n; c++) {
		const sn_choice *choice = &items->choice[c];
		s->column[first + c].name = choice->text[0] && choice->text[1]
										? sn_arena_format(ev->arena, "%s / %s", choice->text[1], choice->text[0])
										: sn_arena_format(ev->arena, "%d / %d", choice->form[1], choice->form[0]);
		if (!s->column[first + c].name) return SN_ENOMEM;
	}
	return means_of(s->column + first, ev, s, &t, n);
}

/* ---- D ---- */

sn_status sn_localize_d(sn_quantity *out, const sn_evidence *ev, const int64_t *pair, int64_t n)
{
	sn_boot_items units;
	SN_TRY(sn_localize_pair_units(&units, ev, pair, n));
	float *x;
	SN_NEW(x, ev->arena, float, n);
	for (int64_t p = 0; p < n; p++) {
		const sn_pair *it = &ev->items->pair[pair[p]];
		x[p] = (float)(ev->items->item[it->base].n * (ev->ld[ev->slot[it->base]] - ev->ld[ev->slot[it->source]]));
	}
	SN_TRY(sn_localize_quantity(out, ev, &units, x, 1, 1));
	return sn_localize_bands(out, ev);
}

sn_status sn_localize_chosen(sn_evidence *ev)
{
	subsets s = { 0 };
	SN_TRY(list_members(&s, ev));
	SN_TRY(name_columns(&s, ev));
	SN_TRY(by_subset(&s, ev));
	SN_TRY(by_choice(&s, ev));
	ev->n_behaviour = s.n_column;
	ev->behaviour = s.column;
	int64_t *pair, n;
	sn_quantity d;
	SN_TRY(sn_localize_pairs_of(ev, SN_PAIR_MAIN, &pair, &n));
	SN_TRY(sn_localize_d(&d, ev, pair, n));
	ev->d_main = d.band[0];
	ev->chooses = ev->d_main.low > ev->options.least_d;
	return SN_OK;
}
