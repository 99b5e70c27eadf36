/* Generates items from a phenomenon. Every cell of the balance (frame x features) gets the same number of units; a unit
 * is a pair of twins (probe prefixes) or an interchange pair. A unit that must be rejected is counted and drawn again,
 * so that the balance is exact. Blocks rotate over the cells. */
#include "data/items_maker.h"

#include <string.h>

/* One unit of cell c, from the block whose turn it is or, where that cannot fill the cell, from the next that can.
 * barren: [n_cell * n_fold] blocks that could not. */
static sn_status make_unit(sn_maker *k, const sn_balance_cell *list, int c, int64_t turn, bool *barren)
{
	int n_fold = k->p->n_fold;
	sn_failure why = { 0 };
	bool done = false;
	for (int i = 0; i < n_fold && !done; i++) {
		int block = (int)((turn + i) % n_fold);
		if (barren[c * n_fold + block]) continue;
		SN_TRY(sn_maker_unit(k, &list[c], block, &done, &why));
		barren[c * n_fold + block] = !done;
	}
	return done ? SN_OK : sn_maker_fail(k, &list[c], &why);
}

/* Makes at least n units of a kind, the same number in each cell. */
static sn_status make_kind(sn_maker *k, int kind, const char *use, int64_t n, const int32_t *const *block,
						   uint64_t seed)
{
	sn_balance_cell *list = NULL;
	int n_cell = 0;
	k->kind = kind;
	if (n <= 0 || (kind != SN_NO_PAIR && !k->p->interchange[kind].given)) return SN_OK;
	SN_TRY(sn_maker_cells(k, &list, &n_cell));
	if (n_cell == 0) return SN_OK;
	SN_TRY(sn_draw_open(&k->draw, k->p, block, seed, use, k->rows.arena));
	int64_t rounds = (n + n_cell - 1) / n_cell;
	SN_TRY(sn_item_rows_reserve(&k->rows, 2 * rounds * n_cell));
	k->seen_mask = 15;
	while (k->seen_mask < (uint64_t)(4 * rounds * n_cell)) k->seen_mask = 2 * k->seen_mask + 1;
	SN_NEW(k->seen, k->rows.arena, uint64_t, k->seen_mask + 1);
	bool *barren;
	SN_NEW(barren, k->rows.arena, bool, n_cell *k->p->n_fold);
	for (int64_t r = 0; r < rounds; r++) {
		SN_TRY(sn_poll(k->rows.ctx));
		for (int c = 0; c < n_cell; c++) SN_TRY(make_unit(k, list, c, r + c, barren));
	}
	return SN_OK;
}

static void set_head(sn_maker *k)
{
	const sn_phenomenon *p = k->p;
	sn_item_rows *rows = &k->rows;
	rows->id = p->id, rows->source = p->source, rows->lang = p->lang;
	rows->least_choice = p->least_choice;
	rows->n_role = p->n_role, rows->n_label = p->n_label, rows->n_fold = p->n_fold;
	for (int i = 0; i < p->n_role; i++) rows->role[i] = p->role[i].name;
	for (int i = 0; i < p->n_label; i++) {
		rows->label[i] = p->label[i].name;
		for (int v = 0; v < 2; v++) rows->value[i][v] = p->feature[p->label[i].feature].value[p->label[i].value[v]];
	}
}

sn_status sn_items_make(sn_items **out, sn_ctx *ctx, const sn_phenomenon *p, const sn_tokenizer *tokenizer,
						const sn_items_size *size, uint64_t seed, sn_arena *arena)
{
	static const char *const use[] = { "main", "attractor", "placebo" };
	enum { MOST = 10000000 };
	sn_maker k = { .p = p,
				   .rows = { .ctx = ctx, .arena = arena, .tokenizer = tokenizer, .any_length = size->any_length } };
	const int32_t *const *block;
	*out = NULL;
	for (int i = 0; i <= SN_PAIR_KINDS; i++) {
		int64_t n = i < SN_PAIR_KINDS ? size->pair[i] : size->probe;
		if (n < 0 || n > MOST) return sn_fail(ctx, SN_EARG, "%lld items: expected 0 to %d", (long long)n, MOST);
	}
	set_head(&k);
	SN_TRY(sn_maker_choices(&k));
	SN_TRY(sn_draw_blocks(&block, p, seed, arena));
	SN_TRY(make_kind(&k, SN_NO_PAIR, "probe", (size->probe + 1) / 2, block, seed));
	for (int i = 0; i < SN_PAIR_KINDS; i++) SN_TRY(make_kind(&k, i, use[i], size->pair[i], block, seed));
	return sn_item_rows_pack(out, &k.rows);
}
