/* Choice words: what they look like after a controller, and which sets of them there are. */
#include "data/items_maker.h"

#include <string.h>

enum { MOST_SETS = 256 };

/* Writes the choice words after the controller of a filled frame into form[0 .. n_word): what is chosen for +1, and for
 * -1. Returns false if one has no single form there. */
static bool choice_forms(const sn_maker *k, const sn_fill *filled, sn_text_pair *form)
{
	const sn_phenomenon *p = k->p;
	const sn_label_def *label = &p->label[0];
	const sn_class *words = sn_slot_class(p, p->choice);
	sn_fill fill[SN_MAX_SLOT];
	memcpy(fill, filled, sizeof fill);
	for (int i = 0, n = 0; i < words->n; i++) {
		if (!sn_slot_takes(&p->slot[p->choice], &words->lexeme[i])) continue;
		for (int v = 0; v < 2; v++) {
			fill[label->slot].values.value[label->feature] = (int8_t)label->value[v];
			fill[p->choice] = (sn_fill){ &words->lexeme[i], sn_values_none(), NULL };
			if (!sn_slot_inflect(p, p->choice, fill)) return false;
			form[n][v] = fill[p->choice].form->text;
		}
		n++;
	}
	return true;
}

static bool has_choice(const sn_text_pair *form, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(form[i][0], form[i][1]) != 0) return true;
	return false;
}

int sn_maker_choice_set(const sn_maker *k, const sn_fill *fill)
{
	sn_text_pair form[SN_MAX_CHOICE];
	if (!choice_forms(k, fill, form)) return -1;
	for (int s = 0; s < k->n_form_set; s++)
		if (memcmp(form, k->form + (ptrdiff_t)s * k->n_word, (size_t)k->n_word * sizeof *form) == 0) return s;
	return -1;
}

/* Adds the choice words after this controller, unless they are known or their two forms are all alike. */
static sn_status add_set(sn_maker *k, const sn_fill *fill)
{
	sn_text_pair *form = k->form + (ptrdiff_t)k->n_form_set * k->n_word;
	if (sn_maker_choice_set(k, fill) >= 0 || !choice_forms(k, fill, form) || !has_choice(form, k->n_word)) return SN_OK;
	if (++k->n_form_set < MOST_SETS) return SN_OK;
	return sn_fail(k->rows.ctx, SN_EARG,
				   "%s: choice: its words differ in %d ways by the controller; let them agree in less", k->p->source,
				   MOST_SETS);
}

/* Once for each group of controllers: only inherent and varied features matter to agreement. */
static sn_status list_sets(sn_maker *k)
{
	const sn_phenomenon *p = k->p;
	int controller = p->label[0].slot, next = 0;
	const sn_class *c = sn_slot_class(p, controller);
	bool *seen;
	SN_NEW(seen, k->rows.arena, bool, c->n_group);
	for (next = 0; next < c->n; next++) {
		const sn_lexeme *lexeme = &c->lexeme[next];
		if (seen[lexeme->group] || !sn_slot_takes(&p->slot[controller], lexeme)) continue;
		seen[lexeme->group] = true;
		sn_fill fill[SN_MAX_SLOT] = { 0 };
		sn_values values = sn_slot_first_values(p, controller);
		do {
			fill[controller] = (sn_fill){ lexeme, values, NULL };
			if (sn_slot_inflect(p, controller, fill)) SN_TRY(add_set(k, fill));
		} while (sn_slot_next_values(p, controller, &values));
	}
	return SN_OK;
}

sn_status sn_maker_choices(sn_maker *k)
{
	const sn_phenomenon *p = k->p;
	const sn_class *words = sn_slot_class(p, p->choice);
	for (int i = 0; i < words->n; i++) k->n_word += sn_slot_takes(&p->slot[p->choice], &words->lexeme[i]);
	SN_NEW(k->form, k->rows.arena, sn_text_pair, (int64_t)MOST_SETS * k->n_word);
	SN_TRY(list_sets(k));
	sn_item_rows *rows = &k->rows;
	SN_NEW(rows->choice, rows->arena, sn_text_pair, (int64_t)k->n_form_set * k->n_word);
	memcpy(rows->choice, k->form, (size_t)(k->n_form_set * k->n_word) * sizeof *k->form);
	rows->n_choice = k->n_word;
	rows->n_choice_set = k->n_form_set;
	return sn_item_rows_fit_choices(rows, p->lead[1][0]);
}
