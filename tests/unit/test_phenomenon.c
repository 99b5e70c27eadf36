/* Phenomenon files: a good one is understood, every kind of mistake is named with its place. */
#include "common/test.h"

#include <string.h>

#include "data/items.h"
#include "data/phenomenon.h"
#include "io/json.h"

/* The Russian example of the format: gender agrees in the singular only, one attractor form is syncretic. */
static const char russian[] =
	"{\"id\": \"ru/number-agreement\", \"lang\": \"ru\", \"polarity\": {\"S.number\": [\"sg\", \"pl\"]},\n"
	" \"lexicon\": {\n"
	"  \"N\": [{\"lemma\": \"сестра\", \"gender\": \"f\", \"anim\": true, \"forms\": {\"nom.sg\": \"сестра\", "
	"\"nom.pl\": "
	"\"сёстры\", \"gen.sg\": \"сестры\", \"gen.pl\": \"сестёр\"}},\n"
	"   {\"lemma\": \"стол\", \"gender\": \"m\", \"anim\": false, \"forms\": {\"nom.sg\": \"стол\", \"nom.pl\": "
	"\"столы\", \"gen.sg\": \"стола\", \"gen.pl\": \"столов\"}}],\n"
	"  \"V\": [{\"lemma\": \"прийти\", \"forms\": {\"past.sg.m\": \"пришёл\", \"past.sg.f\": \"пришла\", "
	"\"past.sg.n\": "
	"\"пришло\", \"past.pl\": \"пришли\"}}],\n"
	"  \"J\": [{\"lemma\": \"новый\", \"forms\": {\"nom.sg.m\": \"новый\", \"nom.sg.f\": \"новая\", \"nom.sg.n\": "
	"\"новое\", \"nom.pl\": "
	"\"новые\"}}]},\n"
	" \"slots\": {\"S\": {\"from\": \"N\", \"case\": \"nom\", \"vary\": [\"number\"]},\n"
	"           \"A\": {\"from\": \"N\", \"case\": \"gen\", \"vary\": [\"number\"], \"distinct\": \"S.lemma\"},\n"
	"           \"T\": {\"from\": \"V\", \"tense\": \"past\", \"agree\": {\"number\": \"S\", \"gender\": \"S if "
	"sg\"}},\n"
	"           \"J\": {\"from\": \"J\", \"case\": \"nom\", \"agree\": {\"number\": \"S\", \"gender\": \"S if "
	"sg\"}}},\n"
	" \"lead_ins\": {\"train\": [\"Вчера\"], \"test\": [\"Наконец\"]},\n"
	" \"frames\": [{\"id\": \"gen\", \"order\": \"SV\", \"text\": \"{lead} {S} {A} уже | {T}\",\n"
	"   \"conditions\": {\"match\": \"A.number==S.number\", \"mismatch\": \"A.number!=S.number\"}}],\n"
	" \"roles\": {\"subject\": \"S\", \"attractor\": \"A\", \"last\": \"before:T\"},"
	" \"labels\": {\"number\": \"S.number\", \"attractor\": \"A.number\"},\n"
	" \"choice\": {\"slot\": \"T\", \"foil\": {\"flip\": \"number\"}},\n"
	" \"interchange\": [{\"id\": \"main\", \"flip\": \"S.number\"}, {\"id\": \"attractor\", \"flip\": \"A.number\"},"
	" {\"id\": \"placebo\", \"swap\": \"S.lemma\", \"hold\": [\"number\", \"gender\", \"anim\"]}],\n"
	" \"balance\": [\"S.number\", \"A.number\", \"frame\", \"S.gender\"],"
	" \"split\": {\"unseen\": [\"S.lemma\", \"A.lemma\"], \"folds\": 5},\n"
	" \"reject\": [\"ambiguous(S.number)\", \"foil==good\", \"roles_overlap\"], \"yo\": [\"keep\", \"fold\"]}\n";

static sn_status parse(void **state, const char *text, size_t size, const sn_phenomenon **out, sn_arena **arena)
{
	assert_ok(test_ctx(state), sn_arena_open(arena, test_ctx(state)));
	return sn_phenomenon_parse(out, test_ctx(state), "test.json", text, size, *arena);
}

static void fill_slot(const sn_phenomenon *p, sn_fill *fill, int slot, int lexeme, int number)
{
	fill[slot] = (sn_fill){ &sn_slot_class(p, slot)->lexeme[lexeme], sn_values_none(), NULL };
	fill[slot].values.value[0] = (int8_t)number;
	assert_true(sn_slot_inflect(p, slot, fill));
}

static void the_russian_example_is_understood(void **state)
{
	sn_arena *arena;
	const sn_phenomenon *p;
	assert_ok(test_ctx(state), parse(state, russian, sizeof russian - 1, &p, &arena));
	assert_int_equal(p->n_frame, 1);
	assert_int_equal(p->frame[0].n_piece, 6);
	assert_int_equal(p->n_fold, 5);
	assert_string_equal(p->classes[0].group[0], "f/anim");
	assert_string_equal(p->classes[0].group[1], "m/inan");
	assert_string_equal(p->frame[0].order, "SV");
	assert_true(p->fold_yo && !p->write_folded);
	enum { S, A, T, SG = 0, PL = 1 };
	sn_fill fill[3] = { 0 };
	fill_slot(p, fill, S, 0, PL);
	fill_slot(p, fill, A, 1, SG);
	assert_string_equal(fill[S].form->text, "сёстры");
	assert_string_equal(fill[A].form->text, "стола");
	fill_slot(p, fill, T, 0, 0);
	assert_string_equal(fill[T].form->text, "пришли");
	assert_true(sn_expr_holds(p->reject[0].when, fill)); /* gen.sg after folding */
	assert_false(sn_expr_holds(p->frame[0].condition[0].when, fill));
	assert_true(sn_expr_holds(p->frame[0].condition[1].when, fill));
	fill_slot(p, fill, S, 1, SG);
	fill_slot(p, fill, T, 0, 0);
	assert_string_equal(fill[T].form->text, "пришёл");
	assert_false(sn_expr_holds(p->reject[0].when, fill));
	sn_arena_close(arena);
}

/* Replaces the first occurrence of from; the result is the arena's. */
static char *edited(sn_arena *arena, const char *from, const char *to)
{
	const char *at = strstr(russian, from);
	if (!at) fail_msg("the example has no %s", from);
	return sn_arena_format(arena, "%.*s%s%s", (int)(at - russian), russian, to, at + strlen(from));
}

/* Changes to the example, and what the error must say. */
static const struct {
	const char *from, *to, *error;
} mistake[] = {
	{ "\"lang\": \"ru\",", "\"lang\": \"ru\"", "test.json: line 1" },
	{ "\"lang\": \"ru\",", "", "found nothing; add it" },
	{ "\"lang\": \"ru\"", "\"lang\": 3", "found an integer" },
	{ "\"lang\": \"ru\"", "\"lang\": \"\"", "lang: expected 1 to 256 bytes" },
	{ "\"lang\": \"ru\"", "\"lang\": \"r\\u0001\"", "lang: expected text without control characters" },
	{ "\"lang\": \"ru\"", "\"language\": \"ru\"", "unknown key \"language\"" },
	{ "\"lang\": \"ru\"", "\"lang\": \"ru\", \"lang\": \"ru\"", "duplicate" },
	{ "\"lang\": \"ru\"", "\"lang\": \"ru\", \"features\": {\"degree\": [\"pos\"]}",
	  "features.degree: expected a list of 2" },
	{ "\"lang\": \"ru\"", "\"lang\": \"ru\", \"features\": {\"x\": [\"sg\", \"y\"]}", "already a value of number" },
	{ "\"lang\": \"ru\"", "\"lang\": \"ru\", \"features\": {\"from\": [\"a\", \"b\"]}", "cannot be a name" },
	{ "\"keep\"", "\"kep\"", "yo[0]: expected \"keep\" or \"fold\"" },
	{ "\"gender\": \"f\"", "\"gendre\": \"f\"", "lexicon.N[0]: unknown key \"gendre\"" },
	{ "\"gender\": \"f\"", "\"gender\": \"x\"", "lexicon.N[0].gender: expected a value of gender" },
	{ "\"gender\": \"f\"", "\"gender\": \"f\", \"frequency\": \"rare\"",
	  "lexicon.N[0].frequency: expected high, mid or low" },
	{ "\"gender\": \"f\"", "\"gender\": \"f\", \"frequency\": 1", "lexicon.N[0].frequency: expected a string" },
	{ "\"lang\": \"ru\"", "\"lang\": \"ru\", \"features\": {\"frequency\": [\"a\", \"b\"]}",
	  "features.frequency: \"frequency\" is a key of lexemes" },
	{ "\"nom.sg\": \"сестра\"", "\"nm.sg\": \"сестра\"", "lexicon.N[0].forms.nm.sg: \"nm\" is no value" },
	{ "\"nom.sg\": \"сестра\"", "\"nom.gen\": \"сестра\"", "names two values of case" },
	{ "\"nom.sg\": \"сестра\"", "\"sg.nom\": \"сестра\", \"nom.sg\": \"сестра\"", "stands twice" },
	{ "\"gen.pl\": \"столов\"", "\"dat.pl\": \"столам\"",
	  "lexicon.N[1].forms: \"стол\" needs exactly one form for slot A" },
	{ "\"lemma\": \"стол\"", "\"lemma\": \"сестра\"", "lexicon.N[1]: the lemma \"сестра\" stands twice" },
	{ "\"past.sg.f\": \"пришла\", ", "", "lexicon.V[0].forms: \"прийти\" needs exactly one form for slot T" },
	{ "\"from\": \"V\"", "\"from\": \"W\"", "slots.T.from: the lexicon has no class \"W\"" },
	{ "\"from\": \"V\",", "\"from\": \"V\", \"distnct\": \"S.lemma\",", "slots.T: unknown key \"distnct\"" },
	{ "\"vary\": [\"number\"]}", "\"vary\": [\"numbr\"]}", "slots.S.vary[0]: \"numbr\" is no feature" },
	{ "\"vary\": [\"number\"]}", "\"vary\": [\"person\"]}", "do not vary" },
	{ "\"vary\": [\"number\"]}", "\"vary\": [\"case\"]}", "fixed or varied already" },
	{ "\"S.lemma\"}", "\"S.number\"}", "slots.A.distinct: expected SLOT.lemma" },
	{ "\"S if sg\"", "\"S if sng\"",
	  "slots.T.agree.gender: character 6 of \"S if sng\": expected the value of a feature" },
	{ "\"S if sg\"", "\"S if S.lemma!=A.lemma\"", "the condition may test features of slot S only" },
	{ "\"S if sg\"", "\"S if not ambiguous(S)\"", "the condition may test features of slot S only" },
	{ "{lead} {S} {A}", "{lead} {A} {J}", "{J} agrees with {S}, which is missing" },
	{ "\"S if sg\"", "\"T if sg\"", "cannot agree with itself" },
	{ "\"S if sg\"", "\"S if sg and\"", "found the end" },
	{ "\"S.number\": [\"sg\", \"pl\"]", "\"S.number\": [\"sg\"]", "polarity.S.number: expected two values" },
	{ "\"S.number\": [\"sg\", \"pl\"]", "\"S.number\": [\"sg\", \"sg\"]", "the two values are the same" },
	{ "\"S.number\": [\"sg\", \"pl\"]", "\"X.number\": [\"sg\", \"pl\"]",
	  "expected the name of a slot, found 'X.number'" },
	{ "{\"S.number\": [\"sg\", \"pl\"]}", "{}", "polarity: expected the controller's feature" },
	{ "{\"number\": \"S.number\"", "{\"number\": \"A.number\"", "labels.number: the first label" },
	{ "\"A.number\"},\n \"choice\"", "\"A.gender\"},\n \"choice\"", "no polarity is given for gender" },
	{ "[\"Наконец\"]", "[\"Вчера\"]", "lead_ins.test[0]: \"Вчера\" stands twice" },
	{ "[\"Наконец\"]", "[]", "lead_ins.test: expected 1 to 256 lead-ins" },
	{ "{\"slot\": \"T\"", "{\"slot\": \"A\"", "choice.foil.flip: slot A must agree with S" },
	{ "{\"flip\": \"number\"}", "{\"flip\": \"gender\"}", "must agree with S in number" },
	{ "{lead} {S}", "{S}", "frames[0].text: a frame starts with its only {lead}" },
	{ "{lead} {S}", "{lead} {lead} {S}", "a frame starts with its only {lead}" },
	{ "{lead} {S} {A}", "{lead} {A}", "the controller {S} is missing" },
	{ "{lead} {S} {A}", "{lead} {S} {S}", "{S} stands twice" },
	{ "{lead} {S} {A}", "{lead} {S} {B}", "\"B\" is no slot" },
	{ "{lead} {S} {A}", "{lead} {S} {A", "brace without its partner" },
	{ "уже | {T}", "уже {T}", "expected the text to end with \" | {T}\"" },
	{ "{lead} {S} {A}", "{lead} {S}", "frames[0].conditions.match: speaks of a slot" },
	{ "\"A.number==S.number\"", "\"A.number=S.number\"",
	  "character 9 of \"A.number=S.number\": expected == or !=" },
	{ "\"A.number==S.number\"", "\"A.number==S.gender\"", "the same feature on both sides" },
	{ "\"A.number==S.number\"", "\"A.number==gen\"", "expected a value of that feature" },
	{ "\"A.number==S.number\"", "\"(A.number==sg\"", "expected ')'" },
	{ "{\"subject\": \"S\",", "{\"subject\": \"A\", \"s\": \"S\",",
	  "roles: expected the controller's slot S first" },
	{ "\"before:T\"", "\"before:A\"", "roles.last: expected a slot of the prefix" },
	{ "\"id\": \"main\"", "\"id\": \"mian\"", "interchange[0].id: expected main, attractor or placebo" },
	{ "\"flip\": \"A.number\"", "\"flip\": \"A.gender\"", "inherent in a lemma" },
	{ "\"flip\": \"A.number\"", "\"flip\": \"S.number\"", "attractor flips a feature of another slot, a label" },
	{ "{\"id\": \"main\", \"flip\": \"S.number\"}, ", "", "interchange: expected an entry with \"id\": \"main\"" },
	{ "\"hold\": [\"number\"", "\"hold\": [\"nmber\"", "interchange[2].hold[0]: \"nmber\" is no feature" },
	{ "\"balance\": [\"S.number\", ", "\"balance\": [", "balance: the controller's feature must be balanced" },
	{ "\"balance\": [\"S.number\", ", "\"balance\": [\"S.number\", \"S.number\", ", "balance[1]: stands twice" },
	{ "\"folds\": 5", "\"folds\": 1", "split.folds: expected 2 to 20" },
	{ "\"unseen\": [\"S.lemma\", ", "\"unseen\": [", "split.unseen: the controller's lemma" },
	{ "ambiguous(S.number)", "ambigous(S.number)", "reject[0]: character 1" },
	{ "\"past.pl\": \"пришли\"", "\"past.pl\": [\"пришли\"]", "forms.past.pl: expected 2 to 4 alternatives, found 1" },
	{ "\"past.pl\": \"пришли\"", "\"past.pl\": [\"при\", 1]", "expected a string, found an integer" },
	{ "\"past.pl\": \"пришли\"", "\"past.pl\": \"при+шли\"", "a form cannot contain '+'" },
	{ "\"nom.pl\": \"столы\"", "\"nom.pl\": [\"столы\", \"стола\"]", "only the choice may have alternatives" },
	{ "{\"slot\": \"T\",", "{\"slot\": \"T\", \"least\": 7,", "choice.least: expected 1 to 6, found 7" },
	{ "ambiguous(S.number)", "ambiguous(S, nom.plu)", "expected values of a cell, such as nom.pl, found 'plu)'" },
	{ "ambiguous(S.number)", "ambiguous(S, nom.gen)", "expected one value of each feature" },
	{ "ambiguous(S.number)", "ambiguous(S, nom", "expected ')'" },
	{ "уже | {T}\",", "уже | {T}\", \"with\": {\"S.number\": \"sg\"},",
	  "frames[0].with.S.number: expected SLOT.FEATURE" },
	{ "уже | {T}\",", "уже | {T}\", \"with\": {\"J.number\": \"sg\"},", "expected SLOT.FEATURE of a slot of this" },
	{ "уже | {T}\",", "уже | {T}\", \"with\": {\"A.number\": \"f\"},", "expected a value of number that slot A can" },
	{ "уже | {T}\",", "уже | {T}\", \"with\": {\"A.lemma\": \"f\"},", "expected SLOT.FEATURE of a slot of this" },
};

static void mistakes_are_named_with_their_place(void **state)
{
	int bad = 0;
	for (int i = 0; i < SN_COUNT(mistake); i++) {
		sn_arena *arena;
		const sn_phenomenon *p;
		assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
		const char *text = edited(arena, mistake[i].from, mistake[i].to);
		sn_status status = sn_phenomenon_parse(&p, test_ctx(state), "test.json", text, strlen(text), arena);
		if (status == SN_OK || !strstr(sn_error(test_ctx(state)), mistake[i].error)) {
			print_error("expected \"%s\", found \"%s\"\n", mistake[i].error,
						status ? sn_error(test_ctx(state)) : "success");
			bad++;
		} else {
			assert_int_equal(sn_status_exit_code(status), 2);
			assert_null(p);
		}
		assert_int_equal(strncmp(sn_error(test_ctx(state)), "test.json:", 10), 0);
		sn_arena_close(arena);
	}
	assert_int_equal(bad, 0);
}

/* A genitive singular looks like a nominative plural, ё or no ё; nothing looks like itself. */
static void syncretism_is_seen_over_all_cells(void **state)
{
	sn_arena *arena;
	const sn_phenomenon *p;
	assert_ok(test_ctx(state), parse(state, russian, sizeof russian - 1, &p, &arena));
	static const char *const slot[] = { "S", "A", "T" };
	static const struct {
		const char *text;
		int lexeme, number;
		bool holds;
	} test[] = {
		{ "ambiguous(A, nom.pl)", 0, 0, true },  { "ambiguous(A, pl)", 0, 0, true },
		{ "ambiguous(A, nom)", 0, 0, true },     { "ambiguous(A, nom.sg)", 0, 0, false },
		{ "ambiguous(A, gen.sg)", 0, 0, false }, { "ambiguous(A, nom.pl)", 0, 1, false },
		{ "ambiguous(A, nom.pl)", 1, 0, false }, { "ambiguous(A, nom.pl) or A.number==pl", 1, 1, true },
	};
	sn_scope scope = { p->feature, p->n_feature, slot, 3 };
	for (int i = 0; i < SN_COUNT(test); i++) {
		const sn_expr *e;
		sn_fill fill[3] = { 0 };
		fill_slot(p, fill, 1, test[i].lexeme, test[i].number);
		assert_ok(test_ctx(state), sn_expr_parse(&e, test_ctx(state), &scope, test[i].text, -1, arena));
		if (sn_expr_holds(e, fill) != test[i].holds) fail_msg("%d: %s", i, test[i].text);
		assert_true(sn_expr_reads_words(e));
		assert_int_equal(sn_expr_slots(e), 1u << 1);
	}
	sn_arena_close(arena);
}

/* Present tense: no form knows gender, so the subject's gender asks for nothing. */
static void agreement_asks_only_what_a_lexeme_knows(void **state)
{
	sn_arena *arena;
	const sn_phenomenon *p;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	const char *text = edited(arena, "\"V\": [", "\"V\": [{\"lemma\": \"идти\", \"tense\": \"past\", \"forms\": "
												"{\"sg\": \"идёт\", \"pl\": \"идут\"}}, ");
	assert_ok(test_ctx(state), sn_phenomenon_parse(&p, test_ctx(state), "test.json", text, strlen(text), arena));
	enum { S, A, T };
	sn_fill fill[3] = { 0 };
	for (int number = 0; number < 2; number++) {
		fill_slot(p, fill, S, 0, number);
		fill_slot(p, fill, T, 0, 0);
		assert_string_equal(fill[T].form->text, number ? "идут" : "идёт");
		fill_slot(p, fill, T, 1, 0);
		assert_string_equal(fill[T].form->text, number ? "пришли" : "пришла");
	}
	sn_arena_close(arena);
}

/* What a frame asks of a slot: every prefix has it, and it is no dimension of the balance there. */
static void a_frame_may_narrow_a_slot(void **state)
{
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_items *items;
	sn_items_size size = { .probe = 24, .pair = { 6, 0, 0 } };
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	assert_ok(test_ctx(state), sn_phenomenon_open(&p, test_ctx(state), SN_TESTS "/common/narrow.json", arena));
	assert_ok(test_ctx(state), sn_items_make(&items, test_ctx(state), p, NULL, &size, 1, arena));
	int narrow = 0;
	for (int64_t i = 0; i < items->n; i++) {
		const sn_item *q = &items->item[i];
		const char *text = q->text, *group = items->group[q->group];
		bool mid = strcmp(items->frame[q->frame], "mid") == 0;
		assert_int_equal(strstr(group, "adverb") != NULL, mid);
		assert_true(strstr(text, "the boys ") != NULL || !mid);
		narrow += mid;
	}
	assert_int_equal(2 * narrow, items->n);
	sn_arena_close(arena);
}

static void every_truncation_is_refused(void **state)
{
	for (size_t size = 0; size + 2 < sizeof russian; size += 7) {
		sn_arena *arena;
		const sn_phenomenon *p;
		assert_true(parse(state, russian, size, &p, &arena) != SN_OK);
		sn_arena_close(arena);
	}
}

static void expressions_follow_their_grammar(void **state)
{
	static const struct {
		const char *text;
		bool holds;
	} test[] = {
		{ "S.number==sg", true },
		{ "S.number!=sg", false },
		{ "not S.number==sg", false },
		{ "S.number==pl or S.number==sg and A.number==pl", true },
		{ "(S.number==pl or S.number==sg) and A.number==sg", false },
		{ "not (S.number==pl and A.number==pl)", true },
		{ "S.lemma==A.lemma", false },
		{ "S.lemma!=A.lemma", true },
		{ "S.person==1", false },
		{ "S.person!=1", false },
		{ "ambiguous(S)", false },
		{ "ambiguous(A)", false },
		{ "T.number==sg", false },
	};
	sn_arena *arena;
	const sn_phenomenon *p;
	assert_ok(test_ctx(state), parse(state, russian, sizeof russian - 1, &p, &arena));
	static const char *const slot[] = { "S", "A", "T" };
	sn_scope scope = { p->feature, p->n_feature, slot, 3 };
	sn_fill fill[3] = { 0 };
	fill_slot(p, fill, 0, 0, 0);
	fill_slot(p, fill, 1, 1, 1);
	for (int i = 0; i < SN_COUNT(test); i++) {
		const sn_expr *e;
		assert_ok(test_ctx(state), sn_expr_parse(&e, test_ctx(state), &scope, test[i].text, -1, arena));
		if (sn_expr_holds(e, fill) != test[i].holds) fail_msg("%s", test[i].text);
	}
	char deep[200];
	memset(deep, '(', sizeof deep);
	deep[sizeof deep - 1] = 0;
	const sn_expr *e;
	assert_int_equal(sn_expr_parse(&e, test_ctx(state), &scope, deep, -1, arena), SN_EPARSE);
	assert_non_null(strstr(sn_error(test_ctx(state)), "at most 32 levels"));
	sn_arena_close(arena);
}

static void the_english_suite_has_what_it_promises(void **state)
{
	sn_arena *arena;
	const sn_phenomenon *p;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	assert_ok(test_ctx(state), sn_phenomenon_open(&p, test_ctx(state), "en/number-agreement", arena));
	const sn_class *noun = sn_slot_class(p, p->label[0].slot), *verb = sn_slot_class(p, p->choice);
	int irregular = 0;
	for (int i = 0; i < noun->n; i++) irregular += strcmp(noun->group[noun->lexeme[i].group], "irregular") == 0;
	assert_true(noun->n >= 60);
	assert_true(irregular >= 20);
	assert_true(verb->n >= 20);
	assert_true(p->n_lead[0] >= 8 && p->n_lead[1] >= 8);
	assert_int_equal(p->n_frame, 5);
	assert_int_equal(sn_phenomenon_open(&p, test_ctx(state), "en/none", arena), SN_ENOTFOUND);
	assert_non_null(strstr(sn_error(test_ctx(state)), "en/number-agreement"));
	sn_arena_close(arena);
}

/* The bands of docs/phenomena.md: 100 and 10 occurrences a million words. */
static void the_suites_bands_are_those_of_the_counts(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_json *golden;
	json_t *counts;
	int seen[SN_FREQUENCIES] = { 0 };
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_phenomenon_open(&p, ctx, "en/number-agreement", arena));
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/frequency/en-number-agreement.json", 0));
	assert_ok(ctx, sn_json_object(golden, golden->root, "per_million", &counts));
	const sn_class *noun = sn_slot_class(p, p->label[0].slot);
	for (int i = 0; i < noun->n; i++) {
		double x;
		assert_ok(ctx, sn_json_f64(golden, counts, noun->lexeme[i].lemma, &x));
		int expected = x >= 100 ? SN_FREQUENCY_HIGH : x >= 10 ? SN_FREQUENCY_MID : SN_FREQUENCY_LOW;
		if (noun->lexeme[i].frequency != expected) fail_msg("%s", noun->lexeme[i].lemma);
		seen[expected]++;
	}
	for (int f = 0; f < SN_FREQUENCIES; f++) assert_true(seen[f] >= 10);
	sn_json_close(golden);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_russian_example_is_understood),
		cmocka_unit_test(mistakes_are_named_with_their_place),
		cmocka_unit_test(syncretism_is_seen_over_all_cells),
		cmocka_unit_test(agreement_asks_only_what_a_lexeme_knows),
		cmocka_unit_test(a_frame_may_narrow_a_slot),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(expressions_follow_their_grammar),
		cmocka_unit_test(the_english_suite_has_what_it_promises),
		cmocka_unit_test(the_suites_bands_are_those_of_the_counts),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
