/* Every known stage of tokenizer.json against the `tokenizers` package (tests/golden/tokenizer/stages.jsonl). */
#include "common/test.h"

#include <jansson.h>
#include <string.h>

#include "text/align.h"
#include "text/tokenizer.h"

/* The document that a record describes: the small tokenizer with its change. */
static json_t *document_of(const json_t *record)
{
	json_t *document = json_load_file(SN_TESTS "/golden/tokenizer/small-gpt2.json", 0, NULL);
	assert_non_null(document);
	if (json_is_true(json_object_get(record, "replaces_model"))) json_object_set_new(document, "model", json_object());
	assert_int_equal(json_object_update_recursive(document, json_object_get(record, "change")), 0);
	return document;
}

static sn_tokenizer *open_record(sn_ctx *ctx, const json_t *record)
{
	json_t *document = document_of(record);
	char *text = json_dumps(document, JSON_COMPACT);
	sn_tokenizer *t;
	assert_ok(ctx, sn_tokenizer_parse_json(&t, ctx, (sn_slice){ text, strlen(text) },
										   json_string_value(json_object_get(record, "name"))));
	free(text);
	json_decref(document);
	return t;
}

static bool same_ids(const sn_tokens *tokens, const json_t *ids)
{
	if ((size_t)tokens->n != json_array_size(ids)) return false;
	for (int64_t i = 0; i < tokens->n; i++)
		if (tokens->id[i] != json_integer_value(json_array_get(ids, (size_t)i))) return false;
	return true;
}

static bool same_offsets(const sn_tokens *tokens, const json_t *offsets)
{
	for (int64_t i = 0; i < tokens->n; i++)
		for (size_t end = 0; end < 2; end++)
			if (tokens->span[i][end] != json_integer_value(json_array_get(json_array_get(offsets, (size_t)i), end)))
				return false;
	return true;
}

static void print_tokens(const sn_tokens *tokens)
{
	for (int64_t i = 0; i < tokens->n; i++)
		print_error(" %d[%d,%d)", tokens->id[i], (int)tokens->span[i][0], (int)tokens->span[i][1]);
	print_error("\n");
}

static void check_case(sn_ctx *ctx, const sn_tokenizer *t, const json_t *one, const char *name, sn_arena *arena)
{
	static const struct {
		const char *member;
		int flags;
	} asked[] = {
		{ "ids", SN_PARSE_SPECIAL },
		{ "with_special", SN_PARSE_SPECIAL | SN_ADD_SPECIAL },
		{ "plain", 0 },
	};
	const json_t *text = json_object_get(one, "text");
	for (int i = 0; i < SN_COUNT(asked); i++) {
		sn_tokens tokens;
		const char *bytes = json_string_value(text);
		assert_ok(ctx, sn_tokenize(ctx, t, bytes, json_string_length(text), asked[i].flags, arena, &tokens));
		sn_code_point_spans(bytes, tokens.n, (const int64_t(*)[2])tokens.span, tokens.span);
		bool same = same_ids(&tokens, json_object_get(one, asked[i].member));
		if (same && i == 0) same = same_offsets(&tokens, json_object_get(one, "offsets"));
		if (same) continue;
		print_tokens(&tokens);
		char *expected = json_dumps(one, JSON_COMPACT);
		fail_msg("%s, %s: expected %s", name, asked[i].member, expected);
	}
}

static void every_stage_agrees_with_the_golden_file(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	char *data, *line;
	size_t size;
	int n = 0;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_read_file(ctx, SN_TESTS "/golden/tokenizer/stages.jsonl", 1 << 24, arena, &data, &size));
	assert_non_null(strtok_r(data, "\n", &data)); /* versions */
	while ((line = strtok_r(data, "\n", &data))) {
		json_t *record = json_loads(line, JSON_ALLOW_NUL, NULL), *one;
		size_t i;
		sn_tokenizer *t = open_record(ctx, record);
		json_array_foreach(json_object_get(record, "texts"), i, one)
			check_case(ctx, t, one, json_string_value(json_object_get(record, "name")), arena), n++;
		sn_tokenizer_close(t);
		json_decref(record);
	}
	assert_true(n > 500);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_stage_agrees_with_the_golden_file),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
