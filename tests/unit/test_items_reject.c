/* Every reason to reject can happen, is counted, and leaves the rest as balanced as before. */
#define _GNU_SOURCE
#include "common/items_check.h"
#include "common/word_tokenizer.h"

#include <string.h>
#include <unistd.h>

#include "data/items_rows.h"

/* A small suite: %s are more nouns, more verbs, rejections, blocks. */
static const char suite[] =
	"{\"id\": \"test/fake\", \"lang\": \"en\", \"features\": {\"kind\": [\"a\", \"b\"]}, \"polarity\": {\"S.number\": "
	"[\"sg\", \"pl\"]},"
	"\"lexicon\": {\"N\": ["
	"{\"lemma\": \"cat\", \"kind\": \"a\", \"forms\": {\"sg\": \"cat\", \"pl\": \"cats\"}},"
	"{\"lemma\": \"dog\", \"kind\": \"a\", \"forms\": {\"sg\": \"dog\", \"pl\": \"dogs\"}},"
	"{\"lemma\": \"cow\", \"kind\": \"a\", \"forms\": {\"sg\": \"cow\", \"pl\": \"cows\"}},"
	"{\"lemma\": \"pig\", \"kind\": \"a\", \"forms\": {\"sg\": \"pig\", \"pl\": \"pigs\"}},"
	"{\"lemma\": \"hen\", \"kind\": \"a\", \"forms\": {\"sg\": \"hen\", \"pl\": \"hens\"}},"
	"{\"lemma\": \"ant\", \"kind\": \"a\", \"forms\": {\"sg\": \"ant\", \"pl\": \"ants\"}},"
	"{\"lemma\": \"bee\", \"kind\": \"a\", \"forms\": {\"sg\": \"bee\", \"pl\": \"bees\"}},"
	"{\"lemma\": \"bat\", \"kind\": \"a\", \"forms\": {\"sg\": \"bat\", \"pl\": \"bats\"}},"
	"{\"lemma\": \"fox\", \"kind\": \"a\", \"forms\": {\"sg\": \"fox\", \"pl\": \"foxes\"}},"
	"{\"lemma\": \"rat\", \"kind\": \"a\", \"forms\": {\"sg\": \"rat\", \"pl\": \"rats\"}},"
	"{\"lemma\": \"elk\", \"kind\": \"a\", \"forms\": {\"sg\": \"elk\", \"pl\": \"elks\"}},"
	"{\"lemma\": \"owl\", \"kind\": \"a\", \"forms\": {\"sg\": \"owl\", \"pl\": \"owls\"}}%s],"
	"\"V\": ["
	"{\"lemma\": \"be\", \"forms\": {\"sg\": \"is\", \"pl\": \"are\"}}, {\"lemma\": \"was\", \"forms\": {\"sg\": "
	"\"was\", \"pl\": \"were\"}},"
	"{\"lemma\": \"have\", \"forms\": {\"sg\": \"has\", \"pl\": \"have\"}}, {\"lemma\": \"do\", \"forms\": {\"sg\": "
	"\"does\", \"pl\": \"do\"}},"
	"{\"lemma\": \"go\", \"forms\": {\"sg\": \"goes\", \"pl\": \"go\"}}, {\"lemma\": \"see\", \"forms\": {\"sg\": "
	"\"sees\", \"pl\": \"see\"}}%s],"
	"\"D\": [\"often\", \"still\", \"never\"], \"E\": [\"'s friend\", \"ish\"]},"
	"\"slots\": {\"S\": {\"from\": \"N\", \"vary\": [\"number\"]},"
	"\"A\": {\"from\": \"N\", \"vary\": [\"number\"], \"distinct\": \"S.lemma\"},"
	"\"D\": {\"from\": \"D\"}, \"E\": {\"from\": \"E\"}, \"T\": {\"from\": \"V\", \"agree\": {\"number\": \"S\"}}},"
	"\"lead_ins\": {\"train\": [\"Now\", \"So\", \"And\", \"Once\"], \"test\": [\"Then\", \"Here\", \"But\", \"Or\"]},"
	"\"frames\": [{\"id\": \"near\", \"text\": \"{lead} the {S} near the {A} {D} | {T}\","
	"\"conditions\": {\"match\": \"A.number==S.number\", \"mismatch\": \"A.number!=S.number\"}},"
	"{\"id\": \"end\", \"text\": \"{lead} the {S}{E} | {T}\"}],"
	"\"roles\": {\"subject\": \"S\", \"attractor\": \"A\", \"last\": \"before:T\"},"
	"\"labels\": {\"number\": \"S.number\", \"attractor\": \"A.number\"},"
	"\"choice\": {\"slot\": \"T\", \"foil\": {\"flip\": \"number\"}},"
	"\"interchange\": [{\"id\": \"main\", \"flip\": \"S.number\"}, {\"id\": \"attractor\", \"flip\": \"A.number\"},"
	"{\"id\": \"placebo\", \"swap\": \"S.lemma\", \"hold\": [\"kind\"]}],"
	"\"balance\": [\"frame\", \"S.number\", \"A.number\"],"
	"\"split\": {\"unseen\": [\"S.lemma\", \"A.lemma\"], \"folds\": %s}, \"reject\": [%s]}";

static const char words[] = "cat cats dog dogs cow cows pig pigs hen hens owl owls ant ants bee bees bat bats fox "
							"foxes rat rats elk elks sheep yak yaks is are was were has have does do goes "
							"go sees see put gnu near the often still never friend";

typedef struct fake {
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_tokenizer *tokenizer;
	sn_items *items;
	sn_status status;
} fake;

static fake make(sn_ctx *ctx, const char *nouns, const char *verbs, const char *folds, const char *reject,
				 sn_items_size size)
{
	fake f = { 0 };
	assert_ok(ctx, sn_arena_open(&f.arena, ctx));
	const char *text = sn_arena_format(f.arena, suite, nouns, verbs, folds, reject);
	assert_ok(ctx, sn_phenomenon_parse(&f.p, ctx, "fake.json", text, strlen(text), f.arena));
	f.tokenizer = word_tokenizer(ctx, words);
	f.status = sn_items_make(&f.items, ctx, f.p, f.tokenizer, &size, 1, f.arena);
	return f;
}

static void done(fake *f)
{
	sn_tokenizer_close(f->tokenizer);
	sn_arena_close(f->arena);
}

static const sn_items_size few = { .probe = 24, .pair = { 24, 8, 30 } };

#define SHEEP ", {\"lemma\": \"sheep\", \"kind\": \"a\", \"forms\": {\"sg\": \"sheep\", \"pl\": \"sheep\"}}"
#define YAK ", {\"lemma\": \"yak\", \"kind\": \"b\", \"forms\": {\"sg\": \"yak\", \"pl\": \"yaks\"}}"
#define GNU ", {\"lemma\": \"gnu\", \"kind\": \"a\", \"forms\": {\"sg\": \"gnu\", \"pl\": \"gnuses\"}}"
#define PUT ", {\"lemma\": \"put\", \"forms\": {\"sg\": \"put\", \"pl\": \"put\"}}"
#define ASK ", {\"lemma\": \"ask\", \"forms\": {\"sg\": \"asks\", \"pl\": \"ask\"}}"

static void each_reason_happens_and_is_counted(void **state)
{
	static const struct {
		const char *nouns, *verbs, *reject, *reason;
	} test[] = {
		{ SHEEP, "", "\"ambiguous(S.number)\", \"ambiguous(A.number)\"", "ambiguous(S.number)" },
		{ SHEEP, "", "\"ambiguous(S.number)\", \"ambiguous(A.number)\"", "ambiguous(A.number)" },
		{ SHEEP, "", "", "members are the same" },
		{ "", "", "", "roles_overlap" },
		{ "", "", "\"roles_overlap\", \"foil==good\"", "roles_overlap" },
		{ GNU, "", "", "token count" },
		{ YAK, "", "", "no partner lemma" },
		{ YAK, "", "\"S.kind==b and A.number==pl\"", "S.kind==b and A.number==pl" },
		{ "", PUT, "", "choice: foil==good" },
		{ "", ASK, "", "choice: more than one token" },
	};
	for (int i = 0; i < SN_COUNT(test); i++) {
		fake f = make(test_ctx(state), test[i].nouns, test[i].verbs, "2", test[i].reject, few);
		test_ok(test_ctx(state), f.status, test[i].reason, __FILE__, __LINE__);
		if (count_dropped(f.items, test[i].reason) == 0) fail_msg("\"%s\" did not happen", test[i].reason);
		check_items(test_ctx(state), f.items, f.p, f.tokenizer);
		check_balance(f.items, 0, f.items->n_probe);
		assert_int_equal(f.items->n_generated, f.items->n + f.items->n_dropped);
		assert_int_equal(f.items->n_choice, 6);
		done(&f);
	}
}

static void duplicates_are_drawn_again(void **state)
{
	fake f = make(test_ctx(state), "", "", "2", "", (sn_items_size){ .probe = 168 });
	assert_ok(test_ctx(state), f.status);
	assert_true(count_dropped(f.items, "duplicate") > 0);
	for (int64_t i = 0; i < f.items->n; i++)
		for (int64_t k = 0; k < i; k++) assert_string_not_equal(f.items->item[i].text, f.items->item[k].text);
	check_items(test_ctx(state), f.items, f.p, f.tokenizer);
	done(&f);
}

static void what_cannot_be_filled_is_named(void **state)
{
	static const struct {
		const char *folds, *reject;
		sn_items_size size;
		const char *error;
	} test[] = {
		{ "2", "\"S.number==pl\"", { .probe = 24 }, "frame near, S.number pl, A.number sg: cannot be filled" },
		{ "2", "\"S.number==pl\"", { .probe = 24 }, "mostly for \"S.number==pl\"" },
		{ "20", "", { .probe = 240 }, "has no lexeme for slot" },
		{ "2", "", { .probe = 4000 }, "add lexemes, ask for fewer items" },
	};
	for (int i = 0; i < SN_COUNT(test); i++) {
		fake f = make(test_ctx(state), "", "", test[i].folds, test[i].reject, test[i].size);
		assert_int_equal(f.status, SN_EARG);
		if (!strstr(sn_error(test_ctx(state)), test[i].error))
			fail_msg("expected \"%s\", found \"%s\"", test[i].error, sn_error(test_ctx(state)));
		assert_null(f.items);
		done(&f);
	}
}

/* ---- rows that no frame can make ---- */

static const char *reason_of(sn_ctx *ctx, const sn_tokenizer *tokenizer, const char *text, int64_t from, int64_t to,
							 int64_t other_from, int64_t other_to)
{
	sn_arena *arena;
	const char *reason;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_item_rows rows = { .ctx = ctx, .arena = arena, .tokenizer = tokenizer, .n_role = 3 };
	int64_t size = (int64_t)strlen(text);
	sn_item_row row = { .text = text, .bytes = { { from, to }, { other_from, other_to }, { size - 1, size } } };
	assert_ok(ctx, sn_item_row_fit(&rows, &row, "is", &reason));
	sn_arena_close(arena);
	return reason ? reason : "none";
}

static void tokens_can_reject_a_row(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *t = word_tokenizer(ctx, words);
	assert_string_equal(reason_of(ctx, t, "So cats near dogs often", 3, 7, 13, 17), "none");
	assert_string_equal(reason_of(ctx, t, "S cats often", 0, 1, -1, -1), "role at the first token");
	assert_string_equal(reason_of(ctx, t, "So cats often", 3, 5, 5, 7), "roles_overlap");
	assert_string_equal(reason_of(ctx, t, "So cats", 3, 7, -1, -1), "roles_overlap");
	sn_tokenizer_close(t);
}

/* A tokenizer that knows five letters, drops the rest, and joins "o" with a space. */
static void other_tokenizers_reject_more(void **state)
{
	static const char json[] =
		"{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\", \"vocab\": {\"S\": 0, \"o\": 1, \"c\": 2, "
		"\"i\": 3, \"s\": 4, \" \": 5, \"o \": 6}, \"merges\": [[\"o\", \" \"]]}}";
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *t;
	char path[] = "/tmp/sonde_test_tokenizer_XXXXXX.json";
	int file = mkstemps(path, 5);
	assert_true(file >= 0);
	close(file);
	assert_ok(ctx, sn_write_file(ctx, path, json, sizeof json - 1));
	assert_ok(ctx, sn_tokenizer_open_json(&t, ctx, path));
	assert_string_equal(reason_of(ctx, t, "So xx oc", 6, 7, -1, -1), "none");
	assert_string_equal(reason_of(ctx, t, "So xx co", 6, 7, -1, -1), "choice changes the tokens before it");
	assert_string_equal(reason_of(ctx, t, "So xx co", 3, 5, -1, -1), "role without a token");
	sn_tokenizer_close(t);
	unlink(path);
}

/* ---- inherent features ---- */

static const char gender[] =
	"{\"id\": \"test/gender\", \"lang\": \"ru\", \"polarity\": {\"S.gender\": [\"m\", \"f\"]}, \"lexicon\": {\"N\": ["
	"{\"lemma\": \"брат\", \"gender\": \"m\", \"anim\": true, \"forms\": {\"sg\": \"брат\", \"pl\": \"братья\"}},"
	"{\"lemma\": \"сосед\", \"gender\": \"m\", \"anim\": true, \"forms\": {\"sg\": \"сосед\", \"pl\": \"соседи\"}},"
	"{\"lemma\": \"стол\", \"gender\": \"m\", \"anim\": false, \"forms\": {\"sg\": \"стол\", \"pl\": \"столы\"}},"
	"{\"lemma\": \"дом\", \"gender\": \"m\", \"anim\": false, \"forms\": {\"sg\": \"дом\", \"pl\": \"дома\"}},"
	"{\"lemma\": \"сестра\", \"gender\": \"f\", \"anim\": true, \"forms\": {\"sg\": \"сестра\", \"pl\": \"сёстры\"}},"
	"{\"lemma\": \"подруга\", \"gender\": \"f\", \"anim\": true, \"forms\": {\"sg\": \"подруга\", \"pl\": "
	"\"подруги\"}},"
	"{\"lemma\": \"лампа\", \"gender\": \"f\", \"anim\": false, \"forms\": {\"sg\": \"лампа\", \"pl\": \"лампы\"}},"
	"{\"lemma\": \"книга\", \"gender\": \"f\", \"anim\": false, \"forms\": {\"sg\": \"книга\", \"pl\": \"книги\"}},"
	"{\"lemma\": \"окно\", \"gender\": \"n\", \"anim\": false, \"forms\": {\"sg\": \"окно\", \"pl\": \"окна\"}}],"
	"\"V\": [{\"lemma\": \"упасть\", \"forms\": {\"sg.m\": \"упал\", \"sg.f\": \"упала\", \"sg.n\": \"упало\", \"pl\": "
	"\"упали\"}},"
	"{\"lemma\": \"быть\", \"forms\": {\"sg.m\": \"был\", \"sg.f\": \"была\", \"sg.n\": \"было\", \"pl\": \"были\"}}],"
	"\"D\": [\"уже\", \"ещё\", \"тут\"]},"
	"\"slots\": {\"S\": {\"from\": \"N\", \"number\": \"sg\"}, \"D\": {\"from\": \"D\"},"
	"\"T\": {\"from\": \"V\", \"agree\": {\"number\": \"S\", \"gender\": \"S if sg\"}}},"
	"\"lead_ins\": {\"train\": [\"Вчера\"], \"test\": [\"Сегодня\"]},"
	"\"frames\": [{\"id\": \"bare\", \"text\": \"{lead} {S} {D} | {T}\"}], \"roles\": {\"subject\": \"S\", \"last\": "
	"\"before:T\"},"
	"\"labels\": {\"gender\": \"S.gender\"}, \"choice\": {\"slot\": \"T\", \"foil\": {\"flip\": \"gender\"}},"
	"\"interchange\": [{\"id\": \"main\", \"flip\": \"S.gender\", \"swap\": \"S.lemma\", \"hold\": [\"anim\"]}],"
	"\"balance\": [\"S.gender\", \"S.anim\"], \"split\": {\"unseen\": [\"S.lemma\"], \"folds\": 2}, \"yo\": "
	"[\"fold\"]}";

static void an_inherent_feature_is_flipped_by_another_lemma(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_items *items;
	sn_items_size size = { .probe = 16, .pair = { 6, 0, 0 } };
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_phenomenon_parse(&p, ctx, "gender.json", gender, sizeof gender - 1, arena));
	assert_ok(ctx, sn_items_make(&items, ctx, p, NULL, &size, 1, arena));
	assert_int_equal(items->n_choice, 2);
	assert_int_equal(items->n_choice_set, 1);
	assert_string_equal(items->choice[0].text[0], "упала");
	assert_string_equal(items->choice[0].text[1], "упал");
	assert_int_equal(items->n_pair, 12);
	for (int64_t i = 0; i < items->n; i++) {
		assert_string_not_equal(items->lemma[items->item[i].lemma], "окно");
		assert_null(strstr(items->item[i].text, "ё")); /* written as е */
	}
	for (int64_t i = 0; i < items->n_pair; i++) {
		const sn_item *a = &items->item[items->pair[i].base], *b = &items->item[items->pair[i].source];
		assert_int_equal(a->n * b->n, -1);
		assert_true(a->lemma != b->lemma && a->fold == b->fold && a->lead == b->lead);
		bool animate_a = strstr(items->group[a->group], "/anim") != NULL,
			 animate_b = strstr(items->group[b->group], "/anim") != NULL;
		assert_int_equal(animate_a, animate_b);
	}
	sn_arena_close(arena);
}

/* Replaces from by to; both must be in the text. */
static const char *edited(sn_arena *arena, const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	if (!at) fail_msg("no %s", from);
	return sn_arena_format(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

/* Gender shows in the singular only, and an adjective shows it before the choice: plural prefixes cannot be used, and
 * members of a pair differ in the adjective too. */
static void agreement_before_the_choice_follows_the_flip(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_items *items;
	sn_items_size size = { .probe = 16, .pair = { 6, 0, 0 } };
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	const char *text = edited(arena, gender, "\"number\": \"sg\"}",
							  "\"vary\": [\"number\"]}, \"J\": {\"from\": \"J\", "
							  "\"agree\": {\"number\": \"S\", \"gender\": \"S if sg\"}}");
	text = edited(arena, text, "\"D\": [",
				  "\"J\": [{\"lemma\": \"новый\", \"forms\": {\"sg.m\": \"новый\", \"sg.f\": "
				  "\"новая\", \"sg.n\": \"новое\", \"pl\": \"новые\"}}], \"D\": [");
	text = edited(arena, text, "{lead} {S}", "{lead} {J} {S}");
	assert_ok(ctx, sn_phenomenon_parse(&p, ctx, "gender.json", text, strlen(text), arena));
	assert_ok(ctx, sn_items_make(&items, ctx, p, NULL, &size, 1, arena));
	assert_true(count_dropped(items, "foil==good") > 0);
	assert_int_equal(items->n_choice, 2);
	for (int64_t i = 0; i < items->n; i++)
		assert_non_null(strstr(items->item[i].text, items->item[i].n > 0 ? " новая " : " новый "));
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reason_happens_and_is_counted),
		cmocka_unit_test(duplicates_are_drawn_again),
		cmocka_unit_test(what_cannot_be_filled_is_named),
		cmocka_unit_test(tokens_can_reject_a_row),
		cmocka_unit_test(other_tokenizers_reject_more),
		cmocka_unit_test(an_inherent_feature_is_flipped_by_another_lemma),
		cmocka_unit_test(agreement_before_the_choice_follows_the_flip),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
