/* Units: two prefixes that are accepted or rejected together. */
#include "data/items_maker.h"

#include <string.h>

/* ---- judging ---- */

bool sn_maker_seen(sn_maker *k, const char *text, bool remember)
{
	uint64_t hash = sn_fnv1a(SN_FNV_START, text, strlen(text)) | 1, at = hash >> 1 & k->seen_mask;
	while (k->seen[at] && k->seen[at] != hash) at = (at + 1) & k->seen_mask;
	bool found = k->seen[at] == hash;
	if (remember) k->seen[at] = hash;
	return found;
}

static bool bytes_overlap(const sn_maker *k, const sn_item_row *row)
{
	for (int r = 0; r < k->p->n_role; r++)
		for (int i = 0; i < r; i++)
			if (row->bytes[i][0] >= 0 && row->bytes[r][0] < row->bytes[i][1] && row->bytes[i][0] < row->bytes[r][1])
				return true;
	return false;
}

/* Sets why a prefix is rejected, and the slots whose words are to blame: counted as tried, so that others come next. */
static sn_status judge_row(sn_maker *k, const sn_fill *fill, sn_item_row *row, const char **reason, uint32_t *blame)
{
	const sn_phenomenon *p = k->p;
	*blame = ~0u;
	for (int i = 0; i < p->n_reject; i++) {
		if (!sn_expr_holds(p->reject[i].when, fill)) continue;
		*reason = p->reject[i].name;
		*blame = sn_expr_slots(p->reject[i].when);
		return SN_OK;
	}
	if (row->choice_set < 0) *reason = SN_FOIL_IS_GOOD;
	if (bytes_overlap(k, row)) *reason = SN_ROLES_OVERLAP;
	if (*reason) return SN_OK;
	int c = row->choice_set * k->rows.n_choice + (int)(k->rows.n % k->rows.n_choice);
	return sn_item_row_fit(&k->rows, row, k->rows.choice[c][row->z[0] < 0], reason);
}

static sn_status judge(sn_maker *k, sn_unit *u, const char **reason, uint32_t *blame)
{
	*reason = NULL;
	u->bad_base = true;
	SN_TRY(judge_row(k, u->fill[0], &u->row[0], reason, blame));
	if (*reason) return SN_OK;
	u->bad_base = sn_maker_seen(k, u->row[0].text, false);
	SN_TRY(judge_row(k, u->fill[1], &u->row[1], reason, blame));
	if (*reason) return SN_OK;
	*blame = k->kind == SN_NO_PAIR ? ~0u : 1u << sn_maker_change(k)->slot;
	if (k->kind != SN_NO_PAIR && strcmp(u->row[0].text, u->row[1].text) == 0)
		*reason = "members are the same";
	else if (u->row[0].choice_set != u->row[1].choice_set)
		*reason = "choice words differ";
	else if (sn_item_rows_unequal(&k->rows, u->row))
		*reason = "token count";
	else if (u->bad_base || sn_maker_seen(k, u->row[1].text, false)) {
		*reason = "duplicate";
		*blame = ~0u;
	}
	return SN_OK;
}

/* ---- units ---- */

static void count_fill(sn_maker *k, const sn_fill *fill, uint32_t slots)
{
	for (int s = 0; s < k->p->n_slot; s++)
		if (fill[s].lexeme && (slots >> s & 1)) sn_draw_count(&k->draw, s, &fill[s].values, fill[s].lexeme);
}

static sn_status accept(sn_maker *k, const sn_unit *u)
{
	count_fill(k, u->fill[0], ~0u);
	if (sn_maker_change(k)->swap) count_fill(k, u->fill[1], 1u << sn_maker_change(k)->slot);
	for (int i = 0; i < 2; i++) {
		if (i == 0 || k->kind == SN_NO_PAIR) sn_draw_count_lead(&k->draw, u->row[i].test_lead, u->lead[i]);
		(void)sn_maker_seen(k, u->row[i].text, true);
		k->rows.row[k->rows.n++] = u->row[i];
	}
	return SN_OK;
}

/* Makes both rows and accepts or rejects them. */
static sn_status try_unit(sn_maker *k, const sn_balance_cell *c, int block, sn_unit *u, bool *done, uint32_t *blame)
{
	const char *reason;
	sn_mark mark = sn_arena_mark(k->rows.arena);
	for (int i = 0; i < 2; i++) {
		int test = k->kind != SN_NO_PAIR || i == 1;
		SN_TRY(sn_maker_row(k, c->frame, u->fill[i], test, u->lead[i], block, &u->row[i]));
	}
	SN_TRY(judge(k, u, &reason, blame));
	k->rows.n_generated += 2;
	*done = !reason;
	if (*done) return accept(k, u);
	const char *group = u->row[0].group, *frequency = sn_frequency_name(u->row[0].frequency);
	sn_arena_reset(k->rows.arena, mark);
	k->rows.n_dropped += 2;
	return sn_item_rows_drop(&k->rows, reason, group, frequency, 2);
}

/* Gives the second member's changed slot its form, and those that agree with it. */
static void inflect_again(const sn_maker *k, sn_fill *fill, int slot)
{
	SN_ASSERT(sn_slot_inflect(k->p, slot, fill));
	for (int s = 0; s < k->p->n_slot; s++)
		if (fill[s].lexeme && k->p->slot[s].n_agree > 0 && k->p->slot[s].agree[0].slot == slot)
			SN_ASSERT(sn_slot_inflect(k->p, s, fill));
}

/* The other member where a feature of a form is flipped. */
static void flip_form(const sn_maker *k, sn_unit *u)
{
	int s = sn_maker_change(k)->slot, f = sn_maker_change(k)->flip;
	uint32_t other = sn_slot_values(k->p, s, f) & ~(1u << u->fill[0][s].values.value[f]);
	u->fill[1][s].values.value[f] = (int8_t)__builtin_ctz(other);
	inflect_again(k, u->fill[1], s);
}

/* The other member where a lemma is swapped: tries partners, least used first, until one is accepted. */
static sn_status try_partners(sn_maker *k, const sn_balance_cell *c, int block, sn_unit *u, bool *done, uint32_t *blame)
{
	const sn_interchange *x = sn_maker_change(k);
	const sn_class *words = sn_slot_class(k->p, x->slot);
	const sn_fill *base = &u->fill[0][x->slot];
	sn_wanted wanted = sn_maker_wanted(k, c, block, x->slot);
	for (int i = 0; i < x->n_hold; i++) wanted.inherent.value[x->hold[i]] = base->lexeme->inherent.value[x->hold[i]];
	if (x->flip >= 0)
		wanted.inherent.value[x->flip] =
			(int8_t)__builtin_ctz(sn_slot_values(k->p, x->slot, x->flip) & ~(1u << base->values.value[x->flip]));
	bool *skip;
	SN_NEW(skip, k->rows.arena, bool, words->n);
	skip[base->lexeme - words->lexeme] = true;
	sn_values varied = base->values;
	for (;;) {
		int i = sn_draw_lexeme(&k->draw, x->slot, &varied, &wanted, u->fill[0], skip);
		if (i < 0) break;
		skip[i] = true;
		u->fill[1][x->slot] = (sn_fill){ &words->lexeme[i], varied, NULL };
		inflect_again(k, u->fill[1], x->slot);
		SN_TRY(try_unit(k, c, block, u, done, blame));
		if (*done || u->bad_base) return SN_OK;
	}
	*blame = 1u << x->slot;
	k->rows.n_generated += 2;
	k->rows.n_dropped += 2;
	return sn_item_rows_drop(&k->rows, "no partner lemma", words->group[base->lexeme->group],
							 sn_frequency_name(base->lexeme->frequency), 2);
}

static sn_status draw_unit(sn_maker *k, const sn_balance_cell *c, int block, bool *done)
{
	sn_unit u;
	uint32_t blame = 0;
	SN_TRY(sn_maker_fill(k, c, block, u.fill[0]));
	memcpy(u.fill[1], u.fill[0], sizeof u.fill[0]);
	u.lead[1] = sn_draw_lead(&k->draw, 1);
	u.lead[0] = k->kind == SN_NO_PAIR ? sn_draw_lead(&k->draw, 0) : u.lead[1];
	if (sn_maker_change(k)->swap) {
		SN_TRY(try_partners(k, c, block, &u, done, &blame));
	} else {
		if (k->kind != SN_NO_PAIR) flip_form(k, &u);
		SN_TRY(try_unit(k, c, block, &u, done, &blame));
	}
	if (!*done) count_fill(k, u.fill[0], blame);
	return SN_OK;
}

/* Returns the reason that dropped most since the drops were counted in before[0 .. n). */
static const char *main_reason(const sn_item_rows *rows, const int64_t *before, int n)
{
	int best = 0;
	int64_t most = 0;
	for (int i = 0; i < rows->n_drop; i++) {
		int64_t since = rows->drop[i].n - (i < n ? before[i] : 0);
		if (since <= most) continue;
		most = since;
		best = i;
	}
	return rows->drop[best].reason;
}

sn_status sn_maker_unit(sn_maker *k, const sn_balance_cell *c, int block, bool *done, sn_failure *why)
{
	enum { MOST_DROPS = 64 };
	int64_t before[MOST_DROPS];
	int each = sn_slot_class(k->p, k->p->label[0].slot)->n / k->p->n_fold;
	int most = sn_maker_change(k)->swap ? 50 + 2 * each : 100 + 8 * each; /* a swap tries all partners */
	int n_drop = SN_MIN(k->rows.n_drop, MOST_DROPS);
	*done = false;
	for (int i = 0; i < n_drop; i++) before[i] = k->rows.drop[i].n;
	for (int i = 0; i < most && !*done; i++) SN_TRY(draw_unit(k, c, block, done));
	if (!*done) *why = (sn_failure){ why->tries + most, main_reason(&k->rows, before, n_drop) };
	return SN_OK;
}

sn_status sn_maker_fail(const sn_maker *k, const sn_balance_cell *c, const sn_failure *why)
{
	char where[300];
	sn_maker_format_cell(k, c, where, sizeof where);
	return sn_fail(
		k->rows.ctx, SN_EARG,
		"%s: %s: cannot be filled: %d tries, dropped mostly for \"%s\"; add lexemes, ask for fewer items or use "
		"another tokenizer",
		k->p->source, where, why->tries, why->reason ? why->reason : "duplicate");
}
