/* Comparison with the golden files of the tokenizer. */
#include "common/tokenizer_golden.h"

#include <jansson.h>
#include <string.h>

#include "text/align.h"

static sn_tokens tokens_of(sn_ctx *ctx, const sn_tokenizer *t, const char *text, size_t size, sn_arena *arena)
{
	sn_tokens tokens;
	assert_ok(ctx, sn_tokenize(ctx, t, text, size, SN_PARSE_SPECIAL, arena, &tokens));
	sn_code_point_spans(text, tokens.n, (const int64_t(*)[2])tokens.span, tokens.span);
	return tokens;
}

static void check_text(const sn_tokens *tokens, const json_t *expected, const char *text)
{
	const json_t *ids = json_object_get(expected, "ids"), *offsets = json_object_get(expected, "offsets");
	bool same = json_is_array(ids) && (size_t)tokens->n == json_array_size(ids);
	for (int64_t i = 0; i < tokens->n && same; i++) {
		const json_t *span = json_array_get(offsets, (size_t)i);
		same = tokens->id[i] == json_integer_value(json_array_get(ids, (size_t)i));
		for (size_t end = 0; end < 2; end++)
			same &= tokens->span[i][end] == json_integer_value(json_array_get(span, end));
		if (!same)
			print_error("token %d: %d [%d, %d)\n", (int)i, tokens->id[i], (int)tokens->span[i][0],
						(int)tokens->span[i][1]);
	}
	if (!same) fail_msg("'%.200s': %d tokens, %zu expected", text, (int)tokens->n, json_array_size(ids));
}

int golden_torture(sn_ctx *ctx, const sn_tokenizer *t, const char *name)
{
	sn_arena *arena;
	char *data, *line, *rest;
	size_t size;
	int n = 0;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_read_file(ctx, SN_TESTS "/golden/tokenizer/torture.jsonl", 1 << 24, arena, &data, &size));
	for (rest = data; (line = strtok_r(rest, "\n", &rest));) {
		json_t *record = json_loads(line, JSON_ALLOW_NUL, NULL);
		const json_t *text = json_object_get(record, "text");
		assert_non_null(record);
		if (text) {
			sn_tokens tokens = tokens_of(ctx, t, json_string_value(text), json_string_length(text), arena);
			check_text(&tokens, json_object_get(record, name), json_string_value(text));
			n++;
		}
		json_decref(record);
	}
	sn_arena_close(arena);
	return n;
}

static uint64_t hash_int32(uint64_t hash, int64_t value) { return sn_fnv1a(hash, &(int32_t){ (int32_t)value }, 4); }

static void check_sentence(const sn_tokens *tokens, const char *row, int pre)
{
	long long number, n[2];
	unsigned long long ids[2], offsets[2];
	uint64_t id_hash = SN_FNV_START, offset_hash = SN_FNV_START;
	assert_int_equal(sscanf(row, "%lld %lld %llx %llx %lld %llx %llx", &number, &n[0], &ids[0], &offsets[0], &n[1],
							&ids[1], &offsets[1]),
					 7);
	for (int64_t i = 0; i < tokens->n; i++) {
		id_hash = hash_int32(id_hash, tokens->id[i]);
		for (int end = 0; end < 2; end++) offset_hash = hash_int32(offset_hash, tokens->span[i][end]);
	}
	if (tokens->n != n[pre] || id_hash != ids[pre] || offset_hash != offsets[pre])
		fail_msg("sentence %lld: %lld tokens (%lld expected), ids %016llx (%016llx), offsets %016llx (%016llx)", number,
				 (long long)tokens->n, n[pre], (unsigned long long)id_hash, ids[pre], (unsigned long long)offset_hash,
				 offsets[pre]);
}

int golden_treebank(sn_ctx *ctx, const sn_tokenizer *t, const char *treebank, const char *split, int pre)
{
	sn_arena *arena;
	char *data, *golden, *line, *row;
	size_t size;
	int n = 0;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	const char *path = sn_arena_format(arena, SN_DATA "/ud/%s-ud-%s.conllu", treebank, split);
	const char *golden_path = sn_arena_format(arena, SN_TESTS "/golden/tokenizer/smollm2-%s-%s.tsv", treebank, split);
	assert_ok(ctx, sn_read_file(ctx, path, 1 << 28, arena, &data, &size));
	assert_ok(ctx, sn_read_file(ctx, golden_path, 1 << 28, arena, &golden, &size));
	for (int i = 0; i < 2; i++) assert_non_null(strtok_r(golden, "\n", &golden)); /* versions, names of the columns */
	while ((line = strtok_r(data, "\n", &data))) {
		if (strncmp(line, "# text = ", 9) != 0) continue;
		row = strtok_r(golden, "\n", &golden);
		assert_non_null(row);
		sn_tokens tokens = tokens_of(ctx, t, line + 9, strlen(line + 9), arena);
		check_sentence(&tokens, row, pre);
		n++;
	}
	assert_null(strtok_r(golden, "\n", &golden));
	sn_arena_close(arena);
	return n;
}
