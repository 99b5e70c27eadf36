/* Tokens, characters and words. */
#include "common/test.h"

#include <string.h>

#include "text/align.h"
#include "text/tokenizer.h"

/* A tokenizer, its arena, and one text's tokens. */
typedef struct fixture {
	sn_ctx *ctx;
	sn_tokenizer *t;
	sn_arena *arena;
} fixture;

static fixture setup(void **state)
{
	fixture f = { .ctx = test_ctx(state) };
	assert_ok(f.ctx, sn_tokenizer_open_json(&f.t, f.ctx, SN_TESTS "/golden/tiny/gqa-tied"));
	assert_ok(f.ctx, sn_arena_open(&f.arena, f.ctx));
	return f;
}

static void teardown(fixture *f)
{
	sn_arena_close(f->arena);
	sn_tokenizer_close(f->t);
}

static sn_tokens tokens_of(const fixture *f, const char *text, int flags)
{
	sn_tokens tokens;
	assert_ok(f->ctx, sn_tokenize(f->ctx, f->t, text, strlen(text), flags, f->arena, &tokens));
	return tokens;
}

static void a_word_has_the_token_with_its_leading_space(void **state)
{
	fixture f = setup(state);
	const char *text = " the keys 12\n"; /* " the", " keys", " ", "1", "2", "\n" */
	sn_tokens tokens = tokens_of(&f, text, 0);
	const int64_t word[][2] = { { 10, 12 }, { 1, 4 }, { 5, 9 } }; /* in any order */
	int32_t range[3][2];
	assert_int_equal(tokens.n, 6);
	assert_ok(f.ctx, sn_align_words(f.ctx, text, 13, &tokens, 3, word, range, NULL));
	assert_int_equal(range[0][0], 3);
	assert_int_equal(range[0][1], 5);
	assert_int_equal(range[1][0], 0);
	assert_int_equal(range[1][1], 1);
	assert_int_equal(range[2][0], 1);
	assert_int_equal(range[2][1], 2);
	teardown(&f);
}

static void what_cannot_be_aligned_is_said(void **state)
{
	fixture f = setup(state);
	const char *text = "the table"; /* "t", "he", " table" */
	sn_tokens tokens = tokens_of(&f, text, 0);
	const int64_t shared[][2] = { { 0, 2 }, { 2, 3 }, { 4, 9 } }, outside[][2] = { { 5, 10 } };
	int32_t range[3][2];
	sn_align_report report;
	assert_ok(f.ctx, sn_align_words(f.ctx, text, 9, &tokens, 3, shared, range, &report));
	assert_int_equal(report.missing, 0);
	assert_int_equal(report.first_missing, -1);
	assert_int_equal(report.shared, 2);
	assert_int_equal(range[0][1], 2);
	assert_int_equal(range[1][0], 1);
	tokens.n = 2; /* as if " table" had no token */
	assert_ok(f.ctx, sn_align_words(f.ctx, text, 9, &tokens, 3, shared, range, &report));
	assert_int_equal(report.missing, 1);
	assert_int_equal(report.first_missing, 2);
	assert_int_equal(range[2][0], -1);
	assert_int_equal(range[2][1], -1);
	assert_int_equal(sn_align_words(f.ctx, text, 9, &tokens, 3, shared, range, NULL), SN_ECHECK);
	assert_non_null(strstr(sn_error(f.ctx), "word 2, 'table'"));
	assert_int_equal(sn_align_words(f.ctx, text, 9, &tokens, 1, outside, range, &report), SN_EARG);
	teardown(&f);
}

static void added_ids_belong_to_no_word(void **state)
{
	fixture f = setup(state);
	sn_tokens tokens = tokens_of(&f, "a b", 0);
	int64_t span[][2] = { { 0, 0 }, { 0, 1 }, { 1, 3 }, { 3, 3 } };
	int32_t id[] = { 1, tokens.id[0], tokens.id[1], 2 }, range[2][2];
	const int64_t word[][2] = { { 0, 1 }, { 2, 3 } };
	sn_tokens around = { .n = 4, .id = id, .span = span };
	assert_ok(f.ctx, sn_align_words(f.ctx, "a b", 3, &around, 2, word, range, NULL));
	assert_int_equal(range[0][0], 1);
	assert_int_equal(range[0][1], 2);
	assert_int_equal(range[1][0], 2);
	assert_int_equal(range[1][1], 3);
	teardown(&f);
}

static void offsets_count_code_points(void **state)
{
	(void)state;
	const char *text = "aй👍b";
	int64_t span[][2] = { { 0, 1 }, { 1, 3 }, { 3, 7 }, { 3, 7 }, { 7, 8 }, { 1, 7 } };
	const int64_t expected[][2] = { { 0, 1 }, { 1, 2 }, { 2, 3 }, { 2, 3 }, { 3, 4 }, { 1, 3 } };
	assert_int_equal(sn_code_point_offset(text, 0), 0);
	assert_int_equal(sn_code_point_offset(text, 7), 3);
	assert_int_equal(sn_code_point_offset(text, 8), 4);
	sn_code_point_spans(text, 6, (const int64_t(*)[2])span, span);
	assert_memory_equal(span, expected, sizeof expected);
}

/* On any text: tokens put together are the text, and every span holds its token's bytes. */
static void tokens_put_together_are_the_text(void **state)
{
	fixture f = setup(state);
	sn_rng rng = sn_rng_make(3, 1);
	sn_mark mark = sn_arena_mark(f.arena);
	for (int round = 0; round < 2000; round++) {
		char text[400];
		size_t size = 0, at = 0;
		while (size < 300 && sn_rng_below(&rng, 40)) {
			uint32_t code = (uint32_t)sn_rng_below(&rng, sn_rng_below(&rng, 3) ? 0x80 : 0x11000);
			if (code < 0xd800 || code >= 0xe000) size += (size_t)sn_utf8_put(code, text + size);
		}
		sn_tokens tokens;
		assert_ok(f.ctx, sn_tokenize(f.ctx, f.t, text, size, SN_PARSE_SPECIAL, f.arena, &tokens));
		for (int64_t i = 0; i < tokens.n; i++) {
			size_t n;
			const char *bytes = sn_token_text(f.ctx, f.t, tokens.id[i], f.arena, &n);
			assert_true(at + n <= size);
			assert_memory_equal(bytes, text + at, n);
			assert_true(tokens.span[i][0] <= (int64_t)at && (int64_t)(at + n) <= tokens.span[i][1]);
			assert_true(sn_utf8_check(text + tokens.span[i][0], (size_t)(tokens.span[i][1] - tokens.span[i][0])) < 0);
			at += n;
		}
		assert_int_equal(at, size);
		sn_arena_reset(f.arena, mark);
	}
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_has_the_token_with_its_leading_space),
		cmocka_unit_test(what_cannot_be_aligned_is_said),
		cmocka_unit_test(added_ids_belong_to_no_word),
		cmocka_unit_test(offsets_count_code_points),
		cmocka_unit_test(tokens_put_together_are_the_text),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
