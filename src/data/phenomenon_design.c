/* Reads how items are arranged: "interchange", "balance", "split", "reject". */
#include "data/phenomenon_read.h"

#include <string.h>

/* ---- interchange ---- */

static sn_status read_hold(const sn_reading *r, json_t *object, sn_interchange *x)
{
	json_t *list, *value;
	size_t i;
	SN_TRY(sn_json_array_or(r->doc, object, "hold", &list));
	json_array_foreach(list, i, value) {
		const char *name;
		SN_TRY(sn_read_text(r, value, &name));
		int f = sn_feature_find(r->p->feature, r->p->n_feature, name, strlen(name));
		if (f < 0 || x->n_hold == SN_MAX_FEATURE)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
								"\"%.60s\" is no feature; declare it under \"features\"", name);
		x->hold[x->n_hold++] = f;
	}
	return SN_OK;
}

static bool inherent_only(const sn_phenomenon *p, int slot, int feature)
{
	return feature >= 0 && sn_slot_vary(&p->slot[slot], feature) < 0;
}

static sn_status read_change(const sn_reading *r, json_t *object, sn_interchange *x)
{
	json_t *flip = json_object_get(object, "flip"), *swap = json_object_get(object, "swap");
	sn_ref a = { -1, -1 }, b = { -1, -1 };
	if (flip) SN_TRY(sn_read_ref(r, flip, &a));
	if (swap) SN_TRY(sn_read_ref(r, swap, &b));
	if ((flip && a.feature < 0) || (swap && b.feature >= 0) || (!flip && !swap) || (flip && swap && a.slot != b.slot))
		return sn_json_fail(r->doc, object, NULL, SN_EPARSE,
							"expected \"flip\": SLOT.FEATURE, \"swap\": SLOT.lemma, or both of one slot");
	x->slot = flip ? a.slot : b.slot;
	x->flip = a.feature;
	x->swap = swap != NULL;
	if (flip && !swap && inherent_only(r->p, x->slot, x->flip))
		return sn_json_fail(r->doc, flip, NULL, SN_EPARSE,
							"%s is inherent in a lemma and cannot be flipped; add \"swap\": \"%s.lemma\"",
							r->p->feature[x->flip].name, r->p->slot[x->slot].name);
	if (flip && __builtin_popcount(sn_slot_values(r->p, x->slot, x->flip)) != 2)
		return sn_json_fail(r->doc, flip, NULL, SN_EPARSE,
							"only a feature with two values can be flipped; make it a label");
	return SN_OK;
}

static sn_status check_kind(const sn_reading *r, json_t *object, sn_pair_kind kind, const sn_interchange *x)
{
	const sn_label_def *controller = &r->p->label[0];
	bool own = x->slot == controller->slot;
	const char *expected = NULL;
	if (kind == SN_PAIR_MAIN && (!own || x->flip != controller->feature))
		expected = "main flips the controller's feature";
	bool labelled = false;
	for (int i = 0; i < r->p->n_label; i++)
		labelled |= r->p->label[i].slot == x->slot && r->p->label[i].feature == x->flip;
	if (kind == SN_PAIR_ATTRACTOR && (own || !labelled))
		expected = "attractor flips a feature of another slot, a label of its own";
	if (kind == SN_PAIR_PLACEBO && (!own || x->flip >= 0))
		expected = "placebo swaps the controller's lemma and flips nothing";
	if (!expected) return SN_OK;
	return sn_json_fail(r->doc, object, NULL, SN_EPARSE, "%s", expected);
}

static sn_status read_one_interchange(sn_reading *r, json_t *object)
{
	static const char *const key[] = { "id", "flip", "swap", "hold" }, *const id[] = { "main", "attractor", "placebo" };
	const char *name;
	int kind = 0;
	SN_TRY(sn_read_member(r, object, "id", &name));
	SN_TRY(sn_read_keys(r, object, key, SN_COUNT(key), false));
	while (kind < SN_PAIR_KINDS && strcmp(name, id[kind]) != 0) kind++;
	if (kind == SN_PAIR_KINDS || r->p->interchange[kind].given)
		return sn_json_fail(r->doc, object, "id", SN_EPARSE,
							"expected main, attractor or placebo, each once; found \"%.60s\"", name);
	sn_interchange *x = &r->p->interchange[kind];
	SN_TRY(read_change(r, object, x));
	SN_TRY(read_hold(r, object, x));
	SN_TRY(check_kind(r, object, (sn_pair_kind)kind, x));
	x->given = true;
	return SN_OK;
}

sn_status sn_read_interchange(sn_reading *r)
{
	json_t *list, *value;
	size_t i;
	SN_TRY(sn_json_array(r->doc, r->doc->root, "interchange", &list));
	json_array_foreach(list, i, value) SN_TRY(read_one_interchange(r, value));
	if (!r->p->interchange[SN_PAIR_MAIN].given)
		return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "expected an entry with \"id\": \"main\"");
	const sn_interchange *x = &r->p->interchange[SN_PAIR_ATTRACTOR];
	r->p->attractor = x->given ? x->slot : -1;
	return SN_OK;
}

/* ---- balance, split ---- */

sn_status sn_read_balance(sn_reading *r)
{
	json_t *list, *value;
	size_t i;
	sn_phenomenon *p = r->p;
	bool controller = false;
	SN_TRY(sn_json_array(r->doc, r->doc->root, "balance", &list));
	json_array_foreach(list, i, value) {
		sn_ref ref;
		if (json_is_string(value) && strcmp(json_string_value(value), "frame") == 0) continue;
		SN_TRY(sn_read_ref(r, value, &ref));
		if (ref.feature < 0 || ref.slot == p->choice || sn_slot_values(p, ref.slot, ref.feature) == 0)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
								"expected \"frame\", or a feature that a slot of the prefix has");
		for (int d = 0; d < p->n_dim; d++)
			if (p->dim[d].slot == ref.slot && p->dim[d].feature == ref.feature)
				return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "stands twice; remove one");
		if (p->n_dim == SN_COUNT(p->dim))
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "more than %d dimensions", SN_COUNT(p->dim));
		p->dim[p->n_dim++] = ref;
		controller |= ref.slot == p->label[0].slot && ref.feature == p->label[0].feature;
	}
	if (controller) return SN_OK;
	return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "the controller's feature must be balanced; add \"%s.%s\"",
						p->slot[p->label[0].slot].name, p->feature[p->label[0].feature].name);
}

sn_status sn_read_split(sn_reading *r)
{
	static const char *const key[] = { "unseen", "folds" };
	json_t *object, *list, *value;
	size_t i;
	int64_t folds;
	sn_phenomenon *p = r->p;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "split", &object));
	SN_TRY(sn_read_keys(r, object, key, SN_COUNT(key), false));
	SN_TRY(sn_json_i64(r->doc, object, "folds", &folds));
	if (folds < 2 || folds > 20)
		return sn_json_fail(r->doc, object, "folds", SN_EPARSE, "expected 2 to 20 blocks, found %lld",
							(long long)folds);
	p->n_fold = (int)folds;
	SN_TRY(sn_json_array(r->doc, object, "unseen", &list));
	json_array_foreach(list, i, value) {
		sn_ref ref;
		SN_TRY(sn_read_ref(r, value, &ref));
		if (ref.feature >= 0) return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected SLOT.lemma");
		p->unseen |= 1u << ref.slot;
	}
	if (p->unseen >> p->label[0].slot & 1) return SN_OK;
	return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "the controller's lemma must be unseen; add \"%s.lemma\"",
						p->slot[p->label[0].slot].name);
}

/* ---- reject ---- */

sn_status sn_read_reject(sn_reading *r)
{
	json_t *list, *value;
	size_t i;
	sn_phenomenon *p = r->p;
	SN_TRY(sn_json_array_or(r->doc, r->doc->root, "reject", &list));
	json_array_foreach(list, i, value) {
		const char *text;
		SN_TRY(sn_read_text(r, value, &text));
		if (strcmp(text, SN_ROLES_OVERLAP) == 0 || strcmp(text, SN_FOIL_IS_GOOD) == 0)
			continue; /* rejected always; files may say it */
		if (p->n_reject == SN_COUNT(p->reject))
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "more than %d expressions", SN_COUNT(p->reject));
		sn_reject *reject = &p->reject[p->n_reject++];
		reject->name = text;
		sn_status status = sn_expr_parse(&reject->when, r->ctx, &r->scope, text, -1, r->arena);
		if (status != SN_OK) return sn_read_expr_failed(r, value, status);
		if (sn_expr_slots(reject->when) >> p->choice & 1)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "speaks of the choice %s, which no prefix contains",
								p->slot[p->choice].name);
	}
	return SN_OK;
}
