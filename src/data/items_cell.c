/* Cells of the balance, their words, and the text that these make. */
#include "data/items_maker.h"

#include <string.h>

enum { MAX_CELLS = 4096, MAX_PREFIX = SN_MAX_PIECE * SN_MAX_TEXT };

const sn_interchange *sn_maker_change(const sn_maker *k)
{
	static const sn_interchange none = { .slot = -1, .flip = -1 };
	return k->kind == SN_NO_PAIR ? &none : &k->p->interchange[k->kind];
}

/* ---- cells ---- */

static bool dim_applies(const sn_maker *k, int d, const sn_frame *frame)
{
	const sn_ref *dim = &k->p->dim[d];
	bool flipped = sn_maker_change(k)->slot == dim->slot && sn_maker_change(k)->flip == dim->feature;
	for (int i = 0; i < frame->n_with; i++)
		if (frame->with[i].ref.slot == dim->slot && frame->with[i].ref.feature == dim->feature) return false;
	return (frame->slots >> dim->slot & 1) && !flipped;
}

/* Fills the n-th combination of the frame's dimensions into a cell; false past the last. */
static bool set_cell(const sn_maker *k, int frame, int n, sn_balance_cell *out)
{
	out->frame = frame;
	for (int s = 0; s < SN_MAX_SLOT; s++) out->want[s] = sn_values_none();
	for (int d = k->p->n_dim - 1; d >= 0; d--) {
		if (!dim_applies(k, d, &k->p->frame[frame])) continue;
		uint32_t values = sn_slot_values(k->p, k->p->dim[d].slot, k->p->dim[d].feature);
		int n_value = __builtin_popcount(values), v = 0;
		for (int skip = n % n_value; skip > 0; skip--) values &= values - 1;
		v = __builtin_ctz(values);
		n /= n_value;
		out->want[k->p->dim[d].slot].value[k->p->dim[d].feature] = (int8_t)v;
	}
	for (int i = 0; i < k->p->frame[frame].n_with; i++) {
		const sn_with *with = &k->p->frame[frame].with[i];
		out->want[with->ref.slot].value[with->ref.feature] = (int8_t)with->value;
	}
	return n == 0;
}

sn_status sn_maker_cells(sn_maker *k, sn_balance_cell **out, int *n_out)
{
	int n = 0;
	sn_balance_cell *list = NULL;
	SN_NEW(list, k->rows.arena, sn_balance_cell, MAX_CELLS);
	for (int f = 0; f < k->p->n_frame; f++) {
		if (sn_maker_change(k)->slot >= 0 && !(k->p->frame[f].slots >> sn_maker_change(k)->slot & 1)) continue;
		for (int i = 0; n < MAX_CELLS && set_cell(k, f, i, &list[n]); i++) n++;
	}
	if (n == MAX_CELLS)
		return sn_fail(k->rows.ctx, SN_EARG, "%s: balance: %d cells or more; balance fewer features", k->p->source,
					   MAX_CELLS);
	*out = list;
	*n_out = n;
	return SN_OK;
}

void sn_maker_format_cell(const sn_maker *k, const sn_balance_cell *c, char *buf, size_t size)
{
	int used = sn_format(buf, size, "frame %s", k->p->frame[c->frame].id);
	for (int d = 0; d < k->p->n_dim; d++) {
		const sn_ref *dim = &k->p->dim[d];
		int v = c->want[dim->slot].value[dim->feature];
		if (v < 0 || used < 0 || (size_t)used >= size) continue;
		used += sn_format(buf + used, size - (size_t)used, ", %s.%s %s", k->p->slot[dim->slot].name,
						  k->p->feature[dim->feature].name, k->p->feature[dim->feature].value[v]);
	}
}

/* ---- words ---- */

static int random_value(sn_maker *k, uint32_t values)
{
	for (uint64_t skip = sn_rng_below(&k->draw.rng, (uint64_t)__builtin_popcount(values)); skip > 0; skip--)
		values &= values - 1;
	return __builtin_ctz(values);
}

/* Sets what a slot varies: as the cell wants it; a feature that the pair flips starts with its first value; the rest by
 * chance. */
static sn_values vary(sn_maker *k, const sn_balance_cell *c, int slot)
{
	const sn_slot *s = &k->p->slot[slot];
	sn_values values = sn_values_none();
	for (int i = 0; i < s->n_vary; i++) {
		int f = s->vary[i].feature, want = c->want[slot].value[f];
		uint32_t all = sn_slot_values(k->p, slot, f);
		if (want < 0)
			want = sn_maker_change(k)->slot == slot && sn_maker_change(k)->flip == f ? __builtin_ctz(all)
																					 : random_value(k, all);
		values.value[f] = (int8_t)want;
	}
	return values;
}

sn_wanted sn_maker_wanted(const sn_maker *k, const sn_balance_cell *c, int block, int slot)
{
	sn_wanted wanted = { c->want[slot], k->p->unseen >> slot & 1 ? block : -1 };
	for (int i = 0; i < k->p->slot[slot].n_vary; i++) wanted.inherent.value[k->p->slot[slot].vary[i].feature] = -1;
	return wanted;
}

static sn_status fill_slot(sn_maker *k, const sn_balance_cell *c, int block, int slot, sn_fill *fill)
{
	const sn_interchange *x = sn_maker_change(k);
	sn_values values = vary(k, c, slot);
	sn_wanted wanted = sn_maker_wanted(k, c, block, slot);
	if (x->swap && x->flip >= 0 && x->slot == slot)
		wanted.inherent.value[x->flip] = (int8_t)__builtin_ctz(sn_slot_values(k->p, slot, x->flip));
	int i = sn_draw_lexeme(&k->draw, slot, &values, &wanted, fill, NULL);
	if (i < 0) {
		char where[300];
		sn_maker_format_cell(k, c, where, sizeof where);
		return sn_fail(k->rows.ctx, SN_EARG,
					   "%s: %s: block %d of %d has no lexeme for slot %s; add lexemes or use fewer folds", k->p->source,
					   where, block + 1, k->p->n_fold, k->p->slot[slot].name);
	}
	fill[slot] = (sn_fill){ &sn_slot_class(k->p, slot)->lexeme[i], values, NULL };
	SN_ASSERT(sn_slot_inflect(k->p, slot, fill));
	return SN_OK;
}

sn_status sn_maker_fill(sn_maker *k, const sn_balance_cell *c, int block, sn_fill *fill)
{
	uint32_t slots = k->p->frame[c->frame].slots;
	int controller = k->p->label[0].slot;
	memset(fill, 0, SN_MAX_SLOT * sizeof *fill);
	SN_TRY(fill_slot(k, c, block, controller, fill));
	for (int agreeing = 0; agreeing < 2; agreeing++)
		for (int s = 0; s < k->p->n_slot; s++)
			if (s != controller && (slots >> s & 1) && (k->p->slot[s].n_agree > 0) == agreeing)
				SN_TRY(fill_slot(k, c, block, s, fill));
	return SN_OK;
}

/* ---- text ---- */

/* Writes the prefix and the byte spans of its roles. */
static sn_status write_text(sn_maker *k, const sn_frame *frame, const sn_fill *fill, const char *lead, sn_item_row *row)
{
	char text[MAX_PREFIX];
	int64_t n = 0;
	for (int r = 0; r < SN_MAX_ROLE; r++) row->bytes[r][0] = row->bytes[r][1] = -1;
	for (int i = 0; i < frame->n_piece; i++) {
		int slot = frame->piece[i].slot;
		const char *part = slot == SN_PIECE_TEXT   ? frame->piece[i].text
						   : slot == SN_PIECE_LEAD ? lead
												   : fill[slot].form->text;
		int64_t size = (int64_t)strlen(part);
		memcpy(text + n, part, (size_t)size);
		for (int r = 0; r < k->p->n_role - 1; r++)
			if (k->p->role[r].slot == slot) row->bytes[r][0] = n, row->bytes[r][1] = n + size;
		n += size;
	}
	int last = k->p->n_role - 1;
	row->bytes[last][0] = row->bytes[last][1] = n;
	while (row->bytes[last][0] > 0 && text[row->bytes[last][0] - 1] != ' ') row->bytes[last][0]--;
	row->text = sn_arena_copy(k->rows.arena, text, (size_t)n);
	return row->text ? SN_OK : SN_ENOMEM;
}

static int8_t sign_of(const sn_label_def *label, const sn_fill *fill)
{
	int v = fill[label->slot].lexeme ? fill[label->slot].values.value[label->feature] : -1;
	return (int8_t)(v < 0 ? 0 : v == label->value[0] ? 1 : v == label->value[1] ? -1 : 0);
}

static void set_labels(const sn_maker *k, const sn_fill *fill, sn_item_row *row)
{
	const sn_phenomenon *p = k->p;
	for (int i = 0; i < p->n_label; i++) {
		row->z[i] = sign_of(&p->label[i], fill);
		if (p->label[i].slot == p->attractor && p->label[i].feature == p->interchange[SN_PAIR_ATTRACTOR].flip)
			row->attractor_n = row->z[i];
	}
}

sn_status sn_maker_row(sn_maker *k, int frame_number, const sn_fill *fill, int test, int lead, int block,
					   sn_item_row *row)
{
	const sn_phenomenon *p = k->p;
	const sn_frame *frame = &p->frame[frame_number];
	const sn_fill *subject = &fill[p->label[0].slot];
	*row = (sn_item_row){ .frame = frame->id,
						  .lead = p->lead[test][lead],
						  .test_lead = (int8_t)test,
						  .kind = k->kind,
						  .fold = block,
						  .lemma = subject->lexeme->lemma,
						  .form = subject->form->text,
						  .group = sn_slot_class(p, p->label[0].slot)->group[subject->lexeme->group],
						  .frequency = subject->lexeme->frequency,
						  .choice_set = sn_maker_choice_set(k, fill) };
	if (p->attractor >= 0 && fill[p->attractor].lexeme) row->attractor = fill[p->attractor].lexeme->lemma;
	for (int i = frame->n_condition - 1; i >= 0; i--)
		if (sn_expr_holds(frame->condition[i].when, fill)) row->condition = frame->condition[i].name;
	set_labels(k, fill, row);
	return write_text(k, frame, fill, row->lead, row);
}
