#include "data/phenomenon_lexicon.h"

#include <string.h>

static const char *const frequency_name[SN_FREQUENCIES] = { "high", "mid", "low" };

const char *sn_frequency_name(int frequency) { return frequency < 0 ? NULL : frequency_name[frequency]; }

int sn_frequency_find(const char *name)
{
	for (int f = 0; f < SN_FREQUENCIES; f++)
		if (strcmp(frequency_name[f], name) == 0) return f;
	return -1;
}

sn_values sn_values_none(void)
{
	sn_values none;
	memset(&none, -1, sizeof none);
	return none;
}

static bool same(const char *name, const char *text, size_t size)
{
	return strlen(name) == size && memcmp(name, text, size) == 0;
}

int sn_feature_find(const sn_feature *feature, int n, const char *name, size_t size)
{
	for (int f = 0; f < n; f++)
		if (same(feature[f].name, name, size)) return f;
	return -1;
}

int sn_feature_value(const sn_feature *feature, const char *name, size_t size)
{
	for (int v = 0; v < feature->n_value; v++)
		if (same(feature->value[v], name, size)) return v;
	return -1;
}

bool sn_value_find(const sn_feature *feature, int n, const char *name, size_t size, int *out_feature, int *out_value)
{
	for (int f = 0; f < n; f++) {
		int v = sn_feature_value(&feature[f], name, size);
		if (v < 0) continue;
		*out_feature = f;
		*out_value = v;
		return true;
	}
	return false;
}

void sn_values_format(const sn_feature *feature, int n, const sn_values *values, char *buf, size_t size)
{
	size_t used = 0;
	sn_format(buf, size, "nothing");
	for (int f = 0; f < n; f++) {
		int v = values->value[f];
		if (v < 0 || used >= size) continue;
		int wrote =
			sn_format(buf + used, size - used, "%s%s %s", used ? ", " : "", feature[f].name, feature[f].value[v]);
		used += wrote > 0 ? (size_t)wrote : 0;
	}
}

static bool fits(const sn_lexeme *lexeme, const sn_form *form, const sn_values *asked)
{
	for (int f = 0; f < SN_MAX_FEATURE; f++) {
		int has = form->cell.value[f], inherent = lexeme->inherent.value[f], want = asked->value[f];
		if (has < 0) has = inherent;
		if (want >= 0 && has != want) return false;
		if (want < 0 && form->cell.value[f] >= 0 && form->cell.value[f] != inherent) return false;
	}
	return true;
}

int sn_lexeme_form(const sn_lexeme *lexeme, const sn_values *asked, const sn_form **out)
{
	int n = 0;
	*out = NULL;
	for (int i = 0; i < lexeme->n_form; i++) {
		if (!fits(lexeme, &lexeme->form[i], asked)) continue;
		if (n++ == 0) *out = &lexeme->form[i];
	}
	return n;
}

bool sn_form_looks(const sn_lexeme *lexeme, const sn_form *form, const sn_values *cell)
{
	for (int i = 0; i < lexeme->n_form; i++) {
		const sn_form *other = &lexeme->form[i];
		bool has = other != form && strcmp(other->folded, form->folded) == 0;
		for (int f = 0; f < SN_MAX_FEATURE && has; f++)
			has = cell->value[f] < 0 || other->cell.value[f] == cell->value[f];
		if (has) return true;
	}
	return false;
}

bool sn_lexeme_knows(const sn_lexeme *lexeme, int feature)
{
	if (lexeme->inherent.value[feature] >= 0) return true;
	for (int i = 0; i < lexeme->n_form; i++)
		if (lexeme->form[i].cell.value[feature] >= 0) return true;
	return false;
}

bool sn_form_ambiguous(const sn_lexeme *lexeme, const sn_form *form, int feature)
{
	for (int i = 0; i < lexeme->n_form; i++) {
		const sn_form *other = &lexeme->form[i];
		if (other == form || strcmp(other->folded, form->folded) != 0) continue;
		if (feature < 0 || other->cell.value[feature] != form->cell.value[feature]) return true;
	}
	return false;
}
