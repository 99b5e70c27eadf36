/* Reads "slots" and checks that the lexicon has every form they may ask for. */
#include "data/phenomenon_read.h"

#include <string.h>

/* ---- reading ---- */

static sn_status read_class_name(const sn_reading *r, json_t *object, sn_slot *slot)
{
	const char *name;
	SN_TRY(sn_read_member(r, object, "from", &name));
	for (int c = 0; c < r->p->n_class; c++) {
		slot->class_index = c;
		if (strcmp(r->p->classes[c].name, name) == 0) return SN_OK;
	}
	return sn_json_fail(r->doc, object, "from", SN_EPARSE, "the lexicon has no class \"%.60s\"", name);
}

static sn_status read_feature_name(const sn_reading *r, json_t *value, int *out)
{
	const char *name;
	SN_TRY(sn_read_text(r, value, &name));
	*out = sn_feature_find(r->p->feature, r->p->n_feature, name, strlen(name));
	if (*out >= 0) return SN_OK;
	return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "\"%.60s\" is no feature; declare it under \"features\"", name);
}

static sn_status read_fixed(const sn_reading *r, json_t *object, sn_slot *slot)
{
	slot->fixed = sn_values_none();
	for (int f = 0; f < r->p->n_feature; f++) {
		const sn_feature *feature = &r->p->feature[f];
		json_t *value = json_object_get(object, feature->name);
		if (!value) continue;
		int v =
			json_is_string(value) ? sn_feature_value(feature, json_string_value(value), json_string_length(value)) : -1;
		if (v < 0)
			return sn_json_fail(r->doc, object, feature->name, SN_EPARSE, "expected a value of %s, such as \"%s\"",
								feature->name, feature->value[0]);
		slot->fixed.value[f] = (int8_t)v;
	}
	return SN_OK;
}

/* Returns the values of a feature that the forms of a class (or, with inherent, its lexemes) name. */
static uint32_t attested(const sn_class *c, int feature, bool inherent)
{
	uint32_t values = 0;
	for (int i = 0; i < c->n; i++) {
		int v = c->lexeme[i].inherent.value[feature];
		if (inherent && v >= 0) values |= 1u << v;
		for (int k = 0; k < c->lexeme[i].n_form && !inherent; k++) {
			v = c->lexeme[i].form[k].cell.value[feature];
			if (v >= 0) values |= 1u << v;
		}
	}
	return values;
}

static sn_status read_vary(const sn_reading *r, json_t *object, sn_slot *slot)
{
	json_t *list, *value;
	size_t i;
	SN_TRY(sn_json_array_or(r->doc, object, "vary", &list));
	json_array_foreach(list, i, value) {
		int f;
		SN_TRY(read_feature_name(r, value, &f));
		uint32_t values = attested(&r->p->classes[slot->class_index], f, false);
		if (sn_slot_vary(slot, f) >= 0 || slot->fixed.value[f] >= 0)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
								"this feature is fixed or varied already; name it once");
		if ((values & (values - 1)) == 0)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "the forms of class %s do not vary in it",
								r->p->classes[slot->class_index].name);
		slot->vary[slot->n_vary++] = (sn_vary){ f, values };
	}
	return SN_OK;
}

static sn_status read_agree(const sn_reading *r, json_t *object, sn_slot *slot, int number)
{
	json_t *agree, *value;
	const char *name;
	SN_TRY(sn_json_object_or(r->doc, object, "agree", &agree));
	json_object_foreach(agree, name, value) {
		sn_agree *a = &slot->agree[slot->n_agree];
		const char *text;
		a->feature = sn_feature_find(r->p->feature, r->p->n_feature, name, strlen(name));
		if (a->feature < 0)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
								"\"%.60s\" is no feature; declare it under \"features\"", name);
		if (sn_slot_vary(slot, a->feature) >= 0 || slot->fixed.value[a->feature] >= 0)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
								"this feature is fixed or varied already; name it once");
		SN_TRY(sn_read_text(r, value, &text));
		sn_status status = sn_agree_parse(&a->slot, &a->only_if, r->ctx, &r->scope, text, r->arena);
		if (status != SN_OK) return sn_read_expr_failed(r, value, status);
		if (a->slot == number) return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "a slot cannot agree with itself");
		if (a->only_if && (sn_expr_slots(a->only_if) != 1u << a->slot || sn_expr_reads_words(a->only_if)))
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "the condition may test features of slot %s only",
								r->p->slot[a->slot].name);
		slot->n_agree++;
	}
	return SN_OK;
}

static sn_status read_distinct(const sn_reading *r, json_t *object, sn_slot *slot)
{
	json_t *value = json_object_get(object, "distinct");
	slot->distinct = -1;
	if (!value) return SN_OK;
	sn_ref ref;
	SN_TRY(sn_read_ref(r, value, &ref));
	if (ref.feature >= 0) return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected SLOT.lemma");
	slot->distinct = ref.slot;
	return SN_OK;
}

static sn_status read_slot(sn_reading *r, json_t *object, int number)
{
	static const char *const key[] = { "from", "vary", "agree", "distinct" };
	sn_slot *slot = &r->p->slot[number];
	if (!json_is_object(object))
		return sn_json_fail(r->doc, object, NULL, SN_EPARSE, "expected an object, found %s", sn_json_type_name(object));
	SN_TRY(sn_read_keys(r, object, key, SN_COUNT(key), true));
	SN_TRY(read_class_name(r, object, slot));
	SN_TRY(read_fixed(r, object, slot));
	SN_TRY(read_vary(r, object, slot));
	SN_TRY(read_agree(r, object, slot, number));
	return read_distinct(r, object, slot);
}

sn_status sn_read_slots(sn_reading *r)
{
	json_t *object, *value;
	const char *name;
	sn_phenomenon *p = r->p;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "slots", &object));
	json_object_foreach(object, name, value) {
		SN_TRY(sn_read_name(r, value, name));
		if (p->n_slot == SN_MAX_SLOT)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "more than %d slots", SN_MAX_SLOT);
		r->slot_name[p->n_slot] = p->slot[p->n_slot].name = sn_arena_string(r->arena, name);
		if (!p->slot[p->n_slot++].name) return SN_ENOMEM;
	}
	r->scope.n_slot = p->n_slot;
	int number = 0;
	json_object_foreach(object, name, value) SN_TRY(read_slot(r, value, number++));
	for (int s = 0; s < p->n_slot; s++)
		for (int a = 0; a < p->slot[s].n_agree; a++)
			if (p->slot[p->slot[s].agree[a].slot].n_agree > 0)
				return sn_json_fail(
					r->doc, object, p->slot[s].name, SN_EPARSE,
					"slot %s agrees with a slot that itself agrees with another; name the last one directly",
					p->slot[s].name);
	return SN_OK;
}

/* ---- using ---- */

int sn_slot_vary(const sn_slot *slot, int feature)
{
	for (int i = 0; i < slot->n_vary; i++)
		if (slot->vary[i].feature == feature) return i;
	return -1;
}

bool sn_slot_takes(const sn_slot *slot, const sn_lexeme *lexeme)
{
	for (int f = 0; f < SN_MAX_FEATURE; f++) {
		int fixed = slot->fixed.value[f], inherent = lexeme->inherent.value[f];
		if (fixed >= 0 && inherent >= 0 && fixed != inherent) return false;
	}
	return true;
}

uint32_t sn_slot_values(const sn_phenomenon *p, int slot, int feature)
{
	int v = sn_slot_vary(&p->slot[slot], feature);
	uint32_t values = v >= 0 ? p->slot[slot].vary[v].values : attested(sn_slot_class(p, slot), feature, true);
	for (int i = 0; i < p->n_label; i++)
		if (p->label[i].slot == slot && p->label[i].feature == feature)
			values &= 1u << p->label[i].value[0] | 1u << p->label[i].value[1];
	return values;
}

bool sn_slot_inflect(const sn_phenomenon *p, int s, sn_fill *fill)
{
	const sn_slot *slot = &p->slot[s];
	sn_values asked = slot->fixed;
	for (int i = 0; i < slot->n_vary; i++)
		asked.value[slot->vary[i].feature] = fill[s].values.value[slot->vary[i].feature];
	for (int i = 0; i < slot->n_agree; i++) {
		const sn_agree *a = &slot->agree[i];
		if (!fill[a->slot].lexeme || (a->only_if && !sn_expr_holds(a->only_if, fill))) continue;
		if (!sn_lexeme_knows(fill[s].lexeme, a->feature)) continue;
		asked.value[a->feature] = fill[a->slot].values.value[a->feature];
	}
	fill[s].values = asked;
	for (int f = 0; f < SN_MAX_FEATURE; f++)
		if (asked.value[f] < 0) fill[s].values.value[f] = fill[s].lexeme->inherent.value[f];
	return sn_lexeme_form(fill[s].lexeme, &asked, &fill[s].form) == 1;
}

bool sn_slot_next_values(const sn_phenomenon *p, int s, sn_values *values)
{
	for (int i = 0; i < p->slot[s].n_vary; i++) {
		int f = p->slot[s].vary[i].feature, v = values->value[f];
		uint32_t all = sn_slot_values(p, s, f);
		for (v++; v < SN_MAX_VALUE && !(all >> v & 1); v++) {
		}
		if (v < SN_MAX_VALUE) {
			values->value[f] = (int8_t)v;
			return true;
		}
		values->value[f] = (int8_t)__builtin_ctz(all);
	}
	return false;
}

sn_values sn_slot_first_values(const sn_phenomenon *p, int s)
{
	sn_values values = sn_values_none();
	for (int i = 0; i < p->slot[s].n_vary; i++)
		values.value[p->slot[s].vary[i].feature] =
			(int8_t)__builtin_ctz(sn_slot_values(p, s, p->slot[s].vary[i].feature));
	return values;
}

/* ---- checking ---- */

static sn_status no_form(const sn_reading *r, int s, const sn_fill *fill)
{
	const sn_phenomenon *p = r->p;
	char asked[300];
	sn_values want = fill[s].values;
	for (int f = 0; f < SN_MAX_FEATURE; f++)
		if (fill[s].lexeme->inherent.value[f] >= 0) want.value[f] = -1;
	sn_values_format(p->feature, p->n_feature, &want, asked, sizeof asked);
	json_t *lexicon = json_object_get(r->doc->root, "lexicon");
	json_t *list = json_object_get(lexicon, sn_slot_class(p, s)->name);
	json_t *at = json_array_get(list, (size_t)(fill[s].lexeme - sn_slot_class(p, s)->lexeme));
	return sn_json_fail(r->doc, at, "forms", SN_EPARSE,
						"\"%.60s\" needs exactly one form for slot %s with %s, found %s", fill[s].lexeme->lemma,
						p->slot[s].name, asked, fill[s].form ? "several" : "none");
}

/* A list of alternatives is scored, it cannot be shown. */
static sn_status check_alternatives(const sn_reading *r, int s)
{
	const sn_class *c = sn_slot_class(r->p, s);
	for (int i = 0; i < c->n && s != r->p->choice; i++)
		for (int f = 0; f < c->lexeme[i].n_form; f++)
			if (strchr(c->lexeme[i].form[f].text, '+'))
				return sn_json_fail(r->doc, json_object_get(r->doc->root, "slots"), r->p->slot[s].name, SN_EPARSE,
									"only the choice may have alternatives; \"%.60s\" has", c->lexeme[i].lemma);
	return SN_OK;
}

static sn_status check_lexemes(const sn_reading *r, int s, sn_fill *fill)
{
	const sn_class *c = sn_slot_class(r->p, s);
	bool any = false;
	for (int i = 0; i < c->n; i++) {
		if (!sn_slot_takes(&r->p->slot[s], &c->lexeme[i])) continue;
		any = true;
		sn_values values = sn_slot_first_values(r->p, s);
		do {
			fill[s] = (sn_fill){ &c->lexeme[i], values, NULL };
			if (!sn_slot_inflect(r->p, s, fill)) return no_form(r, s, fill);
		} while (sn_slot_next_values(r->p, s, &values));
	}
	if (any) return SN_OK;
	return sn_json_fail(r->doc, json_object_get(r->doc->root, "slots"), r->p->slot[s].name, SN_EPARSE,
						"no lexeme of class %s has the inherent features that this slot fixes", c->name);
}

/* Once for each different set of values that the slots it agrees with can have; only the controller has many. */
static sn_status check_agreeing(const sn_reading *r, int s, sn_fill *fill)
{
	const sn_phenomenon *p = r->p;
	int source = p->slot[s].agree[0].slot;
	const sn_class *c = sn_slot_class(p, source);
	uint64_t seen = 0; /* groups below 64 */
	for (int a = 1; a < p->slot[s].n_agree; a++)
		if (p->slot[s].agree[a].slot != source)
			return sn_json_fail(r->doc, json_object_get(r->doc->root, "slots"), p->slot[s].name, SN_EPARSE,
								"a slot agrees with one other slot only");
	for (int i = 0; i < c->n; i++) {
		if (!sn_slot_takes(&p->slot[source], &c->lexeme[i])) continue;
		if (c->lexeme[i].group < 64 && (seen >> c->lexeme[i].group & 1)) continue;
		if (c->lexeme[i].group < 64) seen |= 1ull << c->lexeme[i].group;
		sn_values values = sn_slot_first_values(p, source);
		do {
			fill[source] = (sn_fill){ &c->lexeme[i], values, NULL };
			if (!sn_slot_inflect(p, source, fill)) return no_form(r, source, fill);
			SN_TRY(check_lexemes(r, s, fill));
		} while (sn_slot_next_values(p, source, &values));
	}
	return SN_OK;
}

sn_status sn_check_forms(sn_reading *r)
{
	sn_fill fill[SN_MAX_SLOT] = { 0 };
	for (int s = 0; s < r->p->n_slot; s++) SN_TRY(check_alternatives(r, s));
	for (int s = 0; s < r->p->n_slot; s++)
		SN_TRY(r->p->slot[s].n_agree == 0 ? check_lexemes(r, s, fill) : check_agreeing(r, s, fill));
	return SN_OK;
}
