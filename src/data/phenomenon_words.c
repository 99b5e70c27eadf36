/* Reads "features" and "lexicon". */
#include "data/phenomenon_read.h"

#include <string.h>

/* ---- features ---- */

/* The features every phenomenon knows; a Boolean feature's first value is false. */
static const sn_feature known_feature[] = {
	{ "number", 2, { "sg", "pl" } },    { "case", 7, { "nom", "gen", "dat", "acc", "ins", "loc", "voc" } },
	{ "gender", 3, { "m", "f", "n" } }, { "anim", 2, { "inan", "anim" } },
	{ "person", 3, { "1", "2", "3" } }, { "tense", 3, { "past", "pres", "fut" } },
};

static sn_status read_values(sn_reading *r, json_t *list, sn_feature *feature)
{
	json_t *value;
	size_t i;
	if (!json_is_array(list) || json_array_size(list) < 2 || json_array_size(list) > SN_MAX_VALUE)
		return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "expected a list of 2 to %d names", SN_MAX_VALUE);
	feature->n_value = 0;
	json_array_foreach(list, i, value) {
		const char *name;
		int f, v;
		SN_TRY(sn_read_text(r, value, &name));
		SN_TRY(sn_read_name(r, value, name));
		if (sn_value_find(r->p->feature, r->p->n_feature, name, strlen(name), &f, &v))
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
								"\"%.40s\" is already a value of %s; choose another name", name, r->p->feature[f].name);
		feature->value[feature->n_value++] = name;
	}
	return SN_OK;
}

/* What a lexeme may say of itself beside its inherent features. */
static const char *const lexeme_key[] = { "lemma", "forms", "frequency" };

static bool is_key(const char *name)
{
	for (int i = 0; i < SN_COUNT(lexeme_key); i++)
		if (strcmp(lexeme_key[i], name) == 0) return true;
	return false;
}

sn_status sn_read_features(sn_reading *r)
{
	sn_phenomenon *p = r->p;
	memcpy(p->feature, known_feature, sizeof known_feature);
	p->n_feature = SN_COUNT(known_feature);
	json_t *object, *list;
	const char *name;
	SN_TRY(sn_json_object_or(r->doc, r->doc->root, "features", &object));
	json_object_foreach(object, name, list) {
		SN_TRY(sn_read_name(r, list, name));
		if (is_key(name))
			return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "\"%s\" is a key of lexemes; choose another name", name);
		int f = sn_feature_find(p->feature, p->n_feature, name, strlen(name));
		if (f < 0 && p->n_feature == SN_MAX_FEATURE)
			return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "more than %d features", SN_MAX_FEATURE);
		if (f < 0) f = p->n_feature++;
		p->feature[f] = (sn_feature){ .name = sn_arena_string(r->arena, name) };
		if (!p->feature[f].name) return SN_ENOMEM;
		SN_TRY(read_values(r, list, &p->feature[f]));
	}
	r->scope = (sn_scope){ p->feature, p->n_feature, r->slot_name, 0 };
	return SN_OK;
}

/* ---- forms ---- */

static sn_status read_form_key(const sn_reading *r, json_t *at, const char *key, sn_values *cell)
{
	*cell = sn_values_none();
	for (const char *from = key; *key;) {
		size_t n = strcspn(from, ".");
		int f, v;
		if (!sn_value_find(r->p->feature, r->p->n_feature, from, n, &f, &v))
			return sn_json_fail(
				r->doc, at, NULL, SN_EPARSE,
				"\"%.*s\" is no value of a feature; forms are keyed by values joined with dots (\"nom.sg\"), new "
				"features are declared under \"features\"",
				(int)SN_MIN(n, 40u), from);
		if (cell->value[f] >= 0)
			return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "the key names two values of %s", r->p->feature[f].name);
		cell->value[f] = (int8_t)v;
		if (!from[n]) break;
		from += n + 1;
	}
	return SN_OK;
}

/* Returns text with ё (U+0451, in UTF-8 d1 91) as е (d0 b5) and Ё (d0 81) as Е (d0 95), or NULL without memory. */
static const char *fold_yo(sn_arena *arena, const char *text)
{
	char *folded = sn_arena_string(arena, text);
	for (char *c = folded; c && *c; c++) {
		if (memcmp(c, "\xd1\x91", 2) == 0) memcpy(c, "\xd0\xb5", 2);
		if (memcmp(c, "\xd0\x81", 2) == 0) memcpy(c, "\xd0\x95", 2);
	}
	return folded;
}

static sn_status set_form(const sn_reading *r, json_t *at, sn_form *form, const char *text)
{
	if (strpbrk(text, "/|{}"))
		return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "a form cannot contain '/', '|', '{' or '}'");
	form->text = form->folded = text;
	if (r->p->fold_yo && !(form->folded = fold_yo(r->arena, text))) return SN_ENOMEM;
	if (r->p->write_folded) form->text = form->folded;
	return SN_OK;
}

static sn_status no_plus(const sn_reading *r, json_t *at, const char *text)
{
	if (!strchr(text, '+')) return SN_OK;
	return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "a form cannot contain '+'; write alternatives as a list");
}

/* A form, or a list of alternatives: ["himself", "herself"], which count together and are written joined by '+'. */
static sn_status read_form(const sn_reading *r, json_t *value, const char **out)
{
	if (!json_is_array(value)) {
		SN_TRY(sn_read_text(r, value, out));
		return no_plus(r, value, *out);
	}
	size_t n = json_array_size(value), i;
	json_t *one;
	if (n < 2 || n > 1 + SN_MAX_MORE)
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected 2 to %d alternatives, found %zu",
							1 + SN_MAX_MORE, n);
	*out = "";
	json_array_foreach(value, i, one) {
		const char *text;
		SN_TRY(sn_read_text(r, one, &text));
		SN_TRY(no_plus(r, one, text));
		*out = i == 0 ? text : sn_arena_format(r->arena, "%s+%s", *out, text);
		if (!*out) return SN_ENOMEM;
	}
	return SN_OK;
}

static sn_status read_forms(const sn_reading *r, json_t *object, sn_lexeme *lexeme)
{
	size_t n = json_object_size(object);
	if (n == 0 || n > SN_MAX_FORM)
		return sn_json_fail(r->doc, object, NULL, SN_EPARSE, "expected 1 to %d forms, found %zu", SN_MAX_FORM, n);
	sn_form *form;
	SN_NEW(form, r->arena, sn_form, n);
	lexeme->form = form;
	const char *key, *text;
	json_t *value;
	json_object_foreach(object, key, value) {
		sn_form *f = &form[lexeme->n_form];
		SN_TRY(read_form(r, value, &text));
		SN_TRY(read_form_key(r, value, key, &f->cell));
		SN_TRY(set_form(r, value, f, text));
		for (int i = 0; i < lexeme->n_form; i++)
			if (memcmp(&form[i].cell, &f->cell, sizeof f->cell) == 0)
				return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
									"this cell of the paradigm stands twice; remove one");
		lexeme->n_form++;
	}
	return SN_OK;
}

/* ---- lexemes ---- */

static sn_status read_inherent(const sn_reading *r, json_t *object, sn_lexeme *lexeme)
{
	SN_TRY(sn_read_keys(r, object, lexeme_key, SN_COUNT(lexeme_key), true));
	for (int f = 0; f < r->p->n_feature; f++) {
		const sn_feature *feature = &r->p->feature[f];
		json_t *value = json_object_get(object, feature->name);
		if (!value) continue;
		int v = -1;
		if (json_is_boolean(value) && feature->n_value == 2) v = json_is_true(value);
		if (json_is_string(value)) v = sn_feature_value(feature, json_string_value(value), json_string_length(value));
		if (v < 0)
			return sn_json_fail(r->doc, object, feature->name, SN_EPARSE, "expected a value of %s (%s, %s%s)",
								feature->name, feature->value[0], feature->value[1],
								feature->n_value > 2 ? ", ..." : " or true, false");
		lexeme->inherent.value[f] = (int8_t)v;
	}
	return SN_OK;
}

static sn_status read_frequency(const sn_reading *r, json_t *object, sn_lexeme *lexeme)
{
	const char *name;
	SN_TRY(sn_json_string_or(r->doc, object, "frequency", NULL, &name));
	lexeme->frequency = (int8_t)(name ? sn_frequency_find(name) : -1);
	if (!name || lexeme->frequency >= 0) return SN_OK;
	return sn_json_fail(r->doc, object, "frequency", SN_EPARSE, "expected high, mid or low");
}

/* A word that does not inflect may be written as a string. */
static sn_status read_word(const sn_reading *r, json_t *value, sn_lexeme *lexeme)
{
	sn_form *form;
	SN_NEW(form, r->arena, sn_form, 1);
	SN_TRY(read_form(r, value, &lexeme->lemma));
	SN_TRY(set_form(r, value, form, lexeme->lemma));
	form->cell = sn_values_none();
	lexeme->form = form;
	lexeme->n_form = 1;
	return SN_OK;
}

static sn_status read_lexeme(const sn_reading *r, json_t *value, sn_lexeme *lexeme)
{
	lexeme->inherent = sn_values_none();
	lexeme->frequency = -1;
	if (json_is_string(value)) return read_word(r, value, lexeme);
	if (!json_is_object(value))
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
							"expected a word or an object with lemma and forms, found %s", sn_json_type_name(value));
	SN_TRY(sn_read_member(r, value, "lemma", &lexeme->lemma));
	SN_TRY(read_inherent(r, value, lexeme));
	SN_TRY(read_frequency(r, value, lexeme));
	json_t *forms;
	SN_TRY(sn_json_object(r->doc, value, "forms", &forms));
	return read_forms(r, forms, lexeme);
}

static sn_status refuse_repetition(const sn_reading *r, json_t *list, const sn_lexeme *lexeme, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(lexeme[i].lemma, lexeme[n].lemma) != 0) continue;
		return sn_json_fail(r->doc, json_array_get(list, n), NULL, SN_EPARSE,
							"the lemma \"%.60s\" stands twice in this class; remove one, or name homonyms apart",
							lexeme[n].lemma);
	}
	return SN_OK;
}

/* Numbers the strata: lexemes with the same inherent values share one. */
static sn_status group_lexemes(const sn_reading *r, sn_class *c, sn_lexeme *lexeme)
{
	const char **group;
	SN_NEW(group, r->arena, const char *, c->n);
	for (int i = 0; i < c->n; i++) {
		char name[SN_MAX_FEATURE * 20] = "";
		size_t used = 0;
		for (int f = 0; f < r->p->n_feature && used < sizeof name - 1; f++) {
			int v = lexeme[i].inherent.value[f];
			if (v < 0) continue;
			used += (size_t)SN_MAX(
				0, sn_format(name + used, sizeof name - used, "%s%s", used ? "/" : "", r->p->feature[f].value[v]));
		}
		int g = 0;
		while (g < c->n_group && strcmp(group[g], used ? name : "all") != 0) g++;
		if (g == c->n_group && !(group[c->n_group++] = sn_arena_string(r->arena, used ? name : "all")))
			return SN_ENOMEM;
		lexeme[i].group = g;
	}
	c->group = group;
	return SN_OK;
}

static sn_status read_class(const sn_reading *r, json_t *list, sn_class *c)
{
	size_t n = json_array_size(list), i;
	if (!json_is_array(list) || n == 0 || n > SN_MAX_LEXEME)
		return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "expected a list of 1 to %d words", SN_MAX_LEXEME);
	sn_lexeme *lexeme;
	json_t *value;
	SN_NEW(lexeme, r->arena, sn_lexeme, n);
	json_array_foreach(list, i, value) {
		SN_TRY(read_lexeme(r, value, &lexeme[i]));
		SN_TRY(refuse_repetition(r, list, lexeme, i));
	}
	c->lexeme = lexeme;
	c->n = (int)n;
	return group_lexemes(r, c, lexeme);
}

sn_status sn_read_lexicon(sn_reading *r)
{
	json_t *object, *list;
	const char *name;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "lexicon", &object));
	json_object_foreach(object, name, list) {
		SN_TRY(sn_read_name(r, list, name));
		if (r->p->n_class == SN_MAX_CLASS)
			return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "more than %d word classes", SN_MAX_CLASS);
		sn_class *c = &r->p->classes[r->p->n_class++];
		c->name = sn_arena_string(r->arena, name);
		if (!c->name) return SN_ENOMEM;
		SN_TRY(read_class(r, list, c));
	}
	return SN_OK;
}
