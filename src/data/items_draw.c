#include "data/items_draw.h"

#include <string.h>

/* ---- blocks ---- */

static sn_status cut_class(const sn_phenomenon *p, const sn_class *c, sn_rng *rng, int32_t *block, sn_arena *arena)
{
	int64_t *order;
	int next = 0;
	SN_NEW(order, arena, int64_t, c->n);
	sn_rng_permute(rng, order, c->n);
	for (int g = 0; g < c->n_group; g++)
		for (int i = 0; i < c->n; i++)
			if (c->lexeme[order[i]].group == g) block[order[i]] = next++ % p->n_fold;
	return SN_OK;
}

sn_status sn_draw_blocks(const int32_t *const **out, const sn_phenomenon *p, uint64_t seed, sn_arena *arena)
{
	const int32_t **block;
	SN_NEW(block, arena, const int32_t *, p->n_class);
	for (int c = 0; c < p->n_class; c++) {
		const char *name = p->classes[c].name;
		sn_rng rng = sn_rng_make(seed, sn_fnv1a(sn_fnv1a(SN_FNV_START, "blocks", 6), name, strlen(name)));
		int32_t *of;
		SN_NEW(of, arena, int32_t, p->classes[c].n);
		SN_TRY(cut_class(p, &p->classes[c], &rng, of, arena));
		block[c] = of;
	}
	*out = block;
	return SN_OK;
}

/* ---- draws ---- */

sn_status sn_draw_open(sn_item_draw *out, const sn_phenomenon *p, const int32_t *const *block, uint64_t seed,
					   const char *use, sn_arena *arena)
{
	*out = (sn_item_draw){ .p = p, .block = block, .rng = sn_rng_make(seed, sn_fnv1a(SN_FNV_START, use, strlen(use))) };
	for (int s = 0; s < p->n_slot; s++) SN_NEW(out->used[s], arena, int32_t, SN_DRAW_KEYS * sn_slot_class(p, s)->n);
	for (int t = 0; t < 2; t++) SN_NEW(out->lead_used[t], arena, int32_t, p->n_lead[t]);
	return SN_OK;
}

/* Returns the counts that go with the values a slot varies: singular and plural are counted apart. */
static int32_t *counts(const sn_item_draw *d, int slot, const sn_values *values)
{
	const sn_slot *s = &d->p->slot[slot];
	int key = 0;
	for (int i = 0; i < s->n_vary && i < 2; i++) key |= (values->value[s->vary[i].feature] & 1) << i;
	return d->used[slot] + (ptrdiff_t)key * sn_slot_class(d->p, slot)->n;
}

bool sn_draw_admits(const sn_item_draw *d, int slot, int i, const sn_wanted *wanted, const sn_fill *fill)
{
	const sn_phenomenon *p = d->p;
	const sn_lexeme *lexeme = &sn_slot_class(p, slot)->lexeme[i];
	if (!sn_slot_takes(&p->slot[slot], lexeme)) return false;
	if (wanted->block >= 0 && d->block[p->slot[slot].class_index][i] != wanted->block) return false;
	for (int f = 0; f < p->n_feature; f++)
		if (wanted->inherent.value[f] >= 0 && wanted->inherent.value[f] != lexeme->inherent.value[f]) return false;
	for (int s = 0; s < p->n_slot; s++) {
		bool apart = p->slot[slot].distinct == s || p->slot[s].distinct == slot;
		if (apart && s != slot && fill[s].lexeme && strcmp(fill[s].lexeme->lemma, lexeme->lemma) == 0) return false;
	}
	return true;
}

int sn_draw_lexeme(sn_item_draw *d, int slot, const sn_values *values, const sn_wanted *wanted, const sn_fill *fill,
				   const bool *skip)
{
	const int32_t *used = counts(d, slot, values);
	int best = -1, ties = 0;
	for (int i = 0; i < sn_slot_class(d->p, slot)->n; i++) {
		if ((skip && skip[i]) || !sn_draw_admits(d, slot, i, wanted, fill)) continue;
		if (best >= 0 && used[i] > used[best]) continue;
		ties = best >= 0 && used[i] == used[best] ? ties + 1 : 1;
		if (sn_rng_below(&d->rng, (uint64_t)ties) == 0) best = i;
	}
	return best;
}

void sn_draw_count(sn_item_draw *d, int slot, const sn_values *values, const sn_lexeme *lexeme)
{
	counts(d, slot, values)[lexeme - sn_slot_class(d->p, slot)->lexeme]++;
}

int sn_draw_lead(sn_item_draw *d, int test)
{
	int best = -1, ties = 0;
	for (int i = 0; i < d->p->n_lead[test]; i++) {
		if (best >= 0 && d->lead_used[test][i] > d->lead_used[test][best]) continue;
		ties = best >= 0 && d->lead_used[test][i] == d->lead_used[test][best] ? ties + 1 : 1;
		if (sn_rng_below(&d->rng, (uint64_t)ties) == 0) best = i;
	}
	return best;
}

void sn_draw_count_lead(sn_item_draw *d, int test, int lead) { d->lead_used[test][lead]++; }
