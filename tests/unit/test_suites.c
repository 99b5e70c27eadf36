/* Every suite that comes with Sonde: it parses, its items are balanced and split exactly, its lexicon is what
 * docs/phenomena.md promises. */
#include "common/items_check.h"

#include <dirent.h>
#include <string.h>

#include "data/dataset.h"
#include "io/json.h"

enum { MOST = 64 };

typedef struct made {
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_items *items;
} made;

static made make(sn_ctx *ctx, const char *name)
{
	made m = { 0 };
	sn_items_size size = sn_items_preset(SN_EFFORT_QUICK);
	assert_ok(ctx, sn_arena_open(&m.arena, ctx));
	assert_ok(ctx, sn_phenomenon_open(&m.p, ctx, name, m.arena));
	assert_string_equal(m.p->id, name);
	assert_ok(ctx, sn_items_make(&m.items, ctx, m.p, NULL, &size, 1, m.arena));
	return m;
}

/* Lists the suites of suites/ as "ru/case"; the names are kept in list. */
static int list_suites(char list[MOST][64])
{
	static const char *const lang[] = { "en", "ru" };
	int n = 0;
	for (int l = 0; l < SN_COUNT(lang); l++) {
		char path[1024];
		sn_format(path, sizeof path, "%s/suites/%s", SN_ROOT, lang[l]);
		DIR *dir = opendir(path);
		assert_non_null(dir);
		for (const struct dirent *e = readdir(dir); e && n < MOST; e = readdir(dir))
			if (sn_ends_with(e->d_name, ".json"))
				sn_format(list[n++], sizeof *list, "%s/%.*s", lang[l], (int)strlen(e->d_name) - 5, e->d_name);
		closedir(dir);
	}
	return n;
}

/* What is made together: probe prefixes, or one kind of pairs. */
static int kind_of(const sn_items *items, int64_t i)
{
	return i < items->n_probe ? SN_PAIR_KINDS : (int)items->pair[i - items->n_probe].kind;
}

/* In every frame the two values are equally often, whatever the attractor's; frames that have the same slots too. */
static void check_cells(const sn_items *items)
{
	int64_t cell[SN_PAIR_KINDS + 1][SN_MAX_FRAME][3][2] = { 0 };
	for (int64_t i = 0; i < items->n; i++) {
		const sn_item *q = &items->item[i];
		cell[kind_of(items, i)][q->frame][q->attractor_n + 1][q->n > 0]++;
	}
	for (int k = 0; k <= SN_PAIR_KINDS; k++)
		for (int f = 0; f < items->n_frame; f++) {
			for (int a = 0; a < 3; a++) assert_int_equal(cell[k][f][a][0], cell[k][f][a][1]);
			assert_int_equal(cell[k][f][0][0], cell[k][f][2][0]);
		}
}

static void check_folds(const sn_items *items)
{
	int *fold = test_malloc(sizeof *fold * (size_t)items->n_lemma);
	for (int i = 0; i < items->n_lemma; i++) fold[i] = -1;
	for (int64_t i = 0; i < items->n; i++) {
		const sn_item *q = &items->item[i];
		const int32_t both[] = { q->lemma, q->attractor };
		assert_true(q->lemma != q->attractor);
		for (int k = 0; k < 2; k++) {
			if (both[k] < 0) continue;
			if (fold[both[k]] >= 0 && fold[both[k]] != q->fold)
				fail_msg("%s: \"%s\" stands in two blocks", items->id, items->lemma[both[k]]);
			fold[both[k]] = q->fold;
		}
	}
	test_free(fold);
}

static void check_text(const sn_items *items, int64_t i)
{
	const char *text = items->item[i].text;
	const int64_t(*bytes)[2] = &items->bytes[i * items->n_role];
	size_t size = (size_t)(bytes[0][1] - bytes[0][0]);
	if (strstr(text, "  ") || strpbrk(text, "{}|")) fail_msg("%s", text);
	assert_memory_equal(text + bytes[0][0], items->form[items->item[i].form], size);
	assert_int_equal(bytes[items->n_role - 1][1], strlen(text));
}

/* Members differ in the label that the pair flips, and in no other. */
static void check_pairs(const sn_items *items)
{
	for (int64_t i = 0; i < items->n_pair; i++) {
		const sn_item *a = &items->item[items->pair[i].base], *b = &items->item[items->pair[i].source];
		sn_pair_kind kind = items->pair[i].kind;
		assert_true(a->frame == b->frame && a->fold == b->fold && a->lead == b->lead && a->test_lead);
		assert_int_equal(a->n * b->n, kind == SN_PAIR_MAIN ? -1 : 1);
		assert_int_equal(a->attractor_n * b->attractor_n,
						 a->attractor < 0 ? 0 : kind == SN_PAIR_ATTRACTOR ? -1 : 1);
		assert_true(kind != SN_PAIR_PLACEBO || a->lemma != b->lemma);
		assert_string_not_equal(a->text, b->text);
	}
}

static void every_suite_is_balanced_and_split(void **state)
{
	char list[MOST][64];
	int n = list_suites(list);
	assert_true(n >= 6);
	for (int s = 0; s < n; s++) {
		made m = make(test_ctx(state), list[s]);
		const sn_items *t = m.items;
		assert_true(t->n_probe >= 480 && t->n_pair >= 96);
		assert_true(m.p->n_lead[0] >= 8 && m.p->n_lead[1] >= 8);
		assert_int_equal(t->n_fold, 5);
		assert_int_equal(t->n_generated, t->n + t->n_dropped);
		check_cells(t);
		check_folds(t);
		check_pairs(t);
		for (int64_t i = 0; i < t->n; i++) check_text(t, i);
		sn_arena_close(m.arena);
	}
}

/* What `sonde data make` writes is read back as it was. */
static void every_suite_survives_writing(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char list[MOST][64];
	int n = list_suites(list);
	for (int s = 0; s < n; s++) {
		made m = make(ctx, list[s]);
		sn_buf text = { .ctx = ctx };
		sn_dataset *data;
		sn_items *back;
		sn_items_jsonl(&text, m.items);
		assert_false(text.failed);
		assert_ok(ctx, sn_dataset_parse(&data, ctx, list[s], SN_DATA_JSONL, text.data, text.size));
		assert_ok(ctx, sn_items_read(&back, ctx, data, NULL, false, m.arena));
		check_same_items(m.items, back);
		assert_int_equal(back->least_choice, m.items->least_choice);
		sn_dataset_close(data);
		sn_buf_free(&text);
		sn_arena_close(m.arena);
	}
}

/* English reflexives have no number of their own: one choice, two alternatives, and no other phenomenon has so few. */
static void reflexives_are_one_choice_with_alternatives(void **state)
{
	made m = make(test_ctx(state), "en/reflexive-number");
	assert_int_equal(m.items->least_choice, 1);
	assert_int_equal(m.items->n_choice, 1);
	assert_string_equal(m.items->choice[0].text[0], "themselves");
	assert_string_equal(m.items->choice[0].text[1], "himself+herself");
	assert_int_equal(m.items->choice[0].n_more[0], 0);
	assert_int_equal(m.items->choice[0].n_more[1], 1);
	sn_arena_close(m.arena);
}

/* Licensors of both kinds are chosen between with words that fit their place: "ever" never follows an adverb. */
static void npis_fit_the_place_of_their_licensor(void **state)
{
	made m = make(test_ctx(state), "en/npi");
	const sn_items *t = m.items;
	int adverbs = 0;
	for (int64_t i = 0; i < t->n; i++) {
		bool adverb = strcmp(t->frame[t->item[i].frame], "adverb") == 0;
		const sn_choice *choice = &t->choice[t->item[i].choice_set * t->n_choice];
		adverbs += adverb;
		assert_string_equal(choice->text[0], adverb ? "any" : "ever");
		assert_int_equal(strstr(t->group[t->item[i].group], "/adverb") != NULL, adverb);
	}
	assert_true(adverbs > 100);
	sn_arena_close(m.arena);
}

static int count_inherent(const sn_phenomenon *p, const sn_class *c, const char *feature, const char *value)
{
	int f = sn_feature_find(p->feature, p->n_feature, feature, strlen(feature)), n = 0;
	assert_true(f >= 0);
	int v = sn_feature_value(&p->feature[f], value, strlen(value));
	for (int i = 0; i < c->n; i++) n += c->lexeme[i].inherent.value[f] == v;
	return n;
}

/* 60 nouns and more with all twelve cells, gender, animacy, declension and frequency; 20 verbs and more. */
static void russian_paradigms_are_whole(void **state)
{
	static const char *const suite[] = { "ru/number-agreement", "ru/attractor", "ru/gender-agreement" };
	for (int s = 0; s < SN_COUNT(suite); s++) {
		made m = make(test_ctx(state), suite[s]);
		const sn_class *noun = sn_slot_class(m.p, m.p->label[0].slot);
		assert_true(noun->n >= 60);
		assert_true(sn_slot_class(m.p, m.p->choice)->n >= 20);
		for (int i = 0; i < noun->n; i++) {
			if (noun->lexeme[i].n_form != 12) fail_msg("%s", noun->lexeme[i].lemma);
			assert_true(noun->lexeme[i].frequency >= 0);
		}
		assert_int_equal(count_inherent(m.p, noun, "anim", "anim") + count_inherent(m.p, noun, "anim", "inan"),
						 noun->n);
		assert_int_equal(count_inherent(m.p, noun, "declension", "first") +
							 count_inherent(m.p, noun, "declension", "second") +
							 count_inherent(m.p, noun, "declension", "third"),
						 noun->n);
		for (int g = 0; g < 2; g++) assert_true(count_inherent(m.p, noun, "gender", g ? "f" : "m") >= 20);
		sn_arena_close(m.arena);
	}
}

static sn_json *open_golden(sn_ctx *ctx, const char *name, const char *member, json_t **object)
{
	char path[1024];
	sn_json *golden;
	sn_format(path, sizeof path, "%s/golden/%s.json", SN_TESTS, name);
	assert_ok(ctx, sn_json_load(&golden, ctx, path, 0));
	assert_ok(ctx, sn_json_object(golden, golden->root, member, object));
	return golden;
}

/* Writes "nom.sg=" as the suites write their cells: case, tense, number, gender. */
static void write_cell(const sn_phenomenon *p, const sn_values *cell, char *out, size_t size)
{
	static const char *const order[] = { "case", "tense", "number", "gender" };
	size_t used = 0;
	for (int i = 0; i < SN_COUNT(order); i++) {
		int f = sn_feature_find(p->feature, p->n_feature, order[i], strlen(order[i])), v = cell->value[f];
		if (v >= 0) used += (size_t)sn_format(out + used, size - used, "%s%s", used ? "." : "", p->feature[f].value[v]);
	}
	sn_format(out + used, size - used, "=");
}

/* Whether cell=form, or form as one of several variants, stands in "nom.sg=дом gen.sg=дома/дому ...". */
static bool has_form(const char *paradigm, const char *cell, const char *form)
{
	const char *at = strstr(paradigm, cell);
	if (!at || (at != paradigm && at[-1] != ' ')) return false;
	size_t size = strlen(form);
	for (at += strlen(cell); *at && *at != ' '; at += strcspn(at, "/ "), at += *at == '/')
		if (strncmp(at, form, size) == 0 && strchr("/ ", at[size])) return true;
	return false;
}

static int check_lexeme(const sn_phenomenon *p, const sn_lexeme *lexeme, json_t *forms)
{
	const char *paradigm = json_string_value(json_object_get(forms, lexeme->lemma));
	if (!paradigm) return 0;
	for (int f = 0; f < lexeme->n_form; f++) {
		char cell[80];
		write_cell(p, &lexeme->form[f].cell, cell, sizeof cell);
		if (!has_form(paradigm, cell, lexeme->form[f].text))
			fail_msg("%s %s%s: the dictionary has %s", lexeme->lemma, cell, lexeme->form[f].text, paradigm);
	}
	return 1;
}

/* All cells of all Russian nouns, verbs and short adjectives against pymorphy3. */
static void russian_paradigms_are_the_dictionarys(void **state)
{
	char list[MOST][64];
	json_t *forms;
	sn_json *golden = open_golden(test_ctx(state), "paradigms/ru", "forms", &forms);
	int n = list_suites(list), lexemes = 0;
	for (int s = 0; s < n; s++) {
		if (strncmp(list[s], "ru/", 3) != 0) continue;
		made m = make(test_ctx(state), list[s]);
		for (int c = 0; c < m.p->n_class; c++)
			for (int i = 0; i < m.p->classes[c].n; i++)
				lexemes += check_lexeme(m.p, &m.p->classes[c].lexeme[i], forms);
		sn_arena_close(m.arena);
	}
	assert_true(lexemes >= (int)json_object_size(forms) && lexemes > 400);
	sn_json_close(golden);
}

/* The bands of docs/phenomena.md: 100 and 10 occurrences a million words. */
static void check_bands(const sn_class *c, json_t *counts, int *seen)
{
	for (int i = 0; i < c->n; i++) {
		json_t *count = json_object_get(counts, c->lexeme[i].lemma);
		if (c->lexeme[i].frequency < 0 && !count) continue;
		assert_non_null(count);
		double x = json_number_value(count);
		int expected = x >= 100 ? SN_FREQUENCY_HIGH : x >= 10 ? SN_FREQUENCY_MID : SN_FREQUENCY_LOW;
		if (c->lexeme[i].frequency != expected) fail_msg("%s", c->lexeme[i].lemma);
		seen[expected]++;
	}
}

static void russian_bands_are_those_of_the_counts(void **state)
{
	static const char *const suite[] = { "number-agreement", "attractor", "gender-agreement", "case", "numeral",
										 "number-agreement-vs" };
	int seen[SN_FREQUENCIES] = { 0 };
	for (int s = 0; s < SN_COUNT(suite); s++) {
		char name[64];
		json_t *counts;
		sn_format(name, sizeof name, "frequency/ru-%s", suite[s]);
		sn_json *golden = open_golden(test_ctx(state), name, "per_million", &counts);
		sn_format(name, sizeof name, "ru/%s", suite[s]);
		made m = make(test_ctx(state), name);
		for (int c = 0; c < m.p->n_class; c++) check_bands(&m.p->classes[c], counts, seen);
		sn_json_close(golden);
		sn_arena_close(m.arena);
	}
	for (int f = 0; f < SN_FREQUENCIES; f++) assert_true(seen[f] >= 20);
}

/* Returns the form of a lemma's cell, ё as е. */
static const char *folded_form(const sn_phenomenon *p, const sn_class *c, const char *lemma, const char *cell_case,
							   const char *number)
{
	int f = sn_feature_find(p->feature, p->n_feature, "case", 4);
	int g = sn_feature_find(p->feature, p->n_feature, "number", 6);
	for (int i = 0; i < c->n; i++) {
		if (strcmp(c->lexeme[i].lemma, lemma) != 0) continue;
		sn_values want = c->lexeme[i].inherent;
		const sn_form *form;
		want.value[f] = (int8_t)sn_feature_value(&p->feature[f], cell_case, 3);
		want.value[g] = (int8_t)sn_feature_value(&p->feature[g], number, 2);
		assert_int_equal(sn_lexeme_form(&c->lexeme[i], &want, &form), 1);
		return form->folded;
	}
	fail_msg("%s", lemma);
	return NULL;
}

/* An attractor counts as syncretic exactly if its genitive is spelt like its nominative plural, ё or no ё. */
static void syncretic_attractors_are_a_condition(void **state)
{
	static const char *const suite[] = { "ru/number-agreement", "ru/attractor" };
	for (int s = 0; s < SN_COUNT(suite); s++) {
		made m = make(test_ctx(state), suite[s]);
		const sn_items *t = m.items;
		const sn_class *c = sn_slot_class(m.p, m.p->attractor);
		int n_syncretic = 0, n_yo = 0;
		for (int64_t i = 0; i < t->n; i++) {
			const sn_item *q = &t->item[i];
			if (q->attractor < 0) continue;
			const char *lemma = t->lemma[q->attractor];
			bool same = strcmp(folded_form(m.p, c, lemma, "gen", q->attractor_n > 0 ? "pl" : "sg"),
							   folded_form(m.p, c, lemma, "nom", "pl")) == 0;
			assert_true(q->condition >= 0);
			const char *condition = t->condition[q->condition];
			if (same != (strstr(condition, "-syncretic") != NULL)) fail_msg("%s: %s", condition, q->text);
			assert_int_equal(strncmp(condition, "match", 5) == 0, q->n == q->attractor_n);
			n_syncretic += same;
			n_yo += same && strcmp(lemma, "сестра") == 0;
		}
		assert_true(n_syncretic > 40 && n_yo > 0);
		sn_arena_close(m.arena);
	}
}

/* Gender is flipped by another lemma of the same animacy and kind of ending; opaque endings are a condition. */
static void gender_is_flipped_by_matched_lemmas(void **state)
{
	made m = make(test_ctx(state), "ru/gender-agreement");
	const sn_items *t = m.items;
	int opaque = 0;
	for (int64_t i = 0; i < t->n_pair; i++) {
		const sn_item *a = &t->item[t->pair[i].base], *b = &t->item[t->pair[i].source];
		const char *x = t->group[a->group], *y = t->group[b->group];
		opaque += strstr(x, "telling") == NULL;
		assert_int_equal(strstr(x, "telling") == NULL, strcmp(t->condition[a->condition], "opaque") == 0);
		if (t->pair[i].kind == SN_PAIR_ATTRACTOR) continue;
		assert_true(a->lemma != b->lemma);
		assert_int_equal(x[0] == y[0], t->pair[i].kind == SN_PAIR_PLACEBO);
		assert_string_equal(strrchr(x, '/'), strrchr(y, '/'));
		assert_int_equal(strstr(x, "/anim") == NULL, strstr(y, "/anim") == NULL);
	}
	assert_true(opaque * 3 == 2 * t->n_pair);
	sn_arena_close(m.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_is_balanced_and_split),
		cmocka_unit_test(every_suite_survives_writing),
		cmocka_unit_test(reflexives_are_one_choice_with_alternatives),
		cmocka_unit_test(npis_fit_the_place_of_their_licensor),
		cmocka_unit_test(russian_paradigms_are_whole),
		cmocka_unit_test(russian_paradigms_are_the_dictionarys),
		cmocka_unit_test(russian_bands_are_those_of_the_counts),
		cmocka_unit_test(syncretic_attractors_are_a_condition),
		cmocka_unit_test(gender_is_flipped_by_matched_lemmas),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
