/* Gemma 3's tokenizer, from its GGUF file, on hard texts and every sentence of the treebanks, against transformers
 * (tests/golden/tokenizer/gemma3.jsonl). */
#include "common/test.h"

#include <jansson.h>
#include <string.h>

#include "text/align.h"
#include "text/tokenizer.h"

#define MODEL SN_MODELS "/gemma-3-270m-q4_k_m.gguf"

typedef struct fixture {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_tokenizer *t;
	json_t *golden; /* array of records */
} fixture;

static fixture enter(void **state)
{
	fixture f = { .ctx = test_ctx(state), .golden = json_array() };
	char *data, *line;
	size_t size;
	assert_ok(f.ctx, sn_arena_open(&f.arena, f.ctx));
	assert_ok(f.ctx, sn_tokenizer_open_path(&f.t, f.ctx, MODEL));
	assert_ok(f.ctx, sn_read_file(f.ctx, SN_TESTS "/golden/tokenizer/gemma3.jsonl", 1 << 24, f.arena, &data, &size));
	while ((line = strtok_r(data, "\n", &data)))
		assert_int_equal(json_array_append_new(f.golden, json_loads(line, JSON_ALLOW_NUL, NULL)), 0);
	return f;
}

static void leave(fixture *f)
{
	json_decref(f->golden);
	sn_tokenizer_close(f->t);
	sn_arena_close(f->arena);
}

static sn_tokens tokenize(const fixture *f, const char *text, size_t size)
{
	sn_tokens tokens;
	assert_ok(f->ctx, sn_tokenize(f->ctx, f->t, text, size, SN_PARSE_SPECIAL, f->arena, &tokens));
	sn_code_point_spans(text, tokens.n, (const int64_t(*)[2])tokens.span, tokens.span);
	return tokens;
}

static void check_text(const fixture *f, const json_t *record)
{
	const json_t *text = json_object_get(record, "text"), *ids = json_object_get(record, "ids");
	sn_tokens tokens = tokenize(f, json_string_value(text), json_string_length(text));
	bool same = (size_t)tokens.n == json_array_size(ids);
	for (size_t i = 0; i < json_array_size(ids) && same; i++) {
		const json_t *span = json_array_get(json_object_get(record, "offsets"), i);
		same = tokens.id[i] == json_integer_value(json_array_get(ids, i));
		for (size_t end = 0; end < 2; end++)
			same &= tokens.span[i][end] == json_integer_value(json_array_get(span, end));
	}
	if (same) return;
	for (int64_t i = 0; i < tokens.n; i++)
		print_error(" %d[%d,%d)", tokens.id[i], (int)tokens.span[i][0], (int)tokens.span[i][1]);
	char *expected = json_dumps(record, JSON_COMPACT);
	fail_msg("expected %s", expected);
}

static void hard_texts_agree(void **state)
{
	fixture f = enter(state);
	json_t *record;
	size_t i, n = 0;
	json_array_foreach(f.golden, i, record)
		if (json_object_get(record, "text")) check_text(&f, record), n++;
	assert_true(n > 80);
	leave(&f);
}

static uint64_t hash_int32(uint64_t hash, int64_t value) { return sn_fnv1a(hash, &(int32_t){ (int32_t)value }, 4); }

static void check_treebank(const fixture *f, const char *name, const json_t *golden)
{
	char *data, *line;
	size_t size, n = 0;
	const char *path = sn_arena_format(f->arena, SN_DATA "/ud/%s.conllu", name);
	assert_ok(f->ctx, sn_read_file(f->ctx, path, 1 << 28, f->arena, &data, &size));
	while ((line = strtok_r(data, "\n", &data))) {
		if (strncmp(line, "# text = ", 9) != 0) continue;
		char text[17];
		sn_tokens tokens = tokenize(f, line + 9, strlen(line + 9));
		uint64_t hash = hash_int32(SN_FNV_START, tokens.n);
		for (int64_t i = 0; i < tokens.n; i++) hash = hash_int32(hash, tokens.id[i]);
		for (int64_t i = 0; i < 2 * tokens.n; i++) hash = hash_int32(hash, tokens.span[i / 2][i % 2]);
		sn_format(text, sizeof text, "%016llx", (unsigned long long)hash);
		const char *expected = json_string_value(json_array_get(golden, n++));
		if (!expected || strcmp(text, expected) != 0) fail_msg("%s, sentence %zu: '%s'", name, n, line + 9);
	}
	assert_int_equal(n, json_array_size(golden));
}

static void every_sentence_of_the_treebanks_agrees(void **state)
{
	fixture f = enter(state);
	json_t *record;
	size_t i, n = 0;
	json_array_foreach(f.golden, i, record) {
		const char *name = json_string_value(json_object_get(record, "treebank"));
		if (name) check_treebank(&f, name, json_object_get(record, "sentences")), n++;
	}
	assert_int_equal(n, 4);
	leave(&f);
}

static void tokens_are_text_again(void **state)
{
	static const char text[] = "The keys  to\tthe cabinet\n\n Ключи \xf0\x90\x8e\x80 <b>";
	fixture f = enter(state);
	sn_tokens tokens;
	const char *back;
	size_t size;
	int n;
	assert_ok(f.ctx, sn_tokenize(f.ctx, f.t, text, strlen(text), SN_ADD_SPECIAL, f.arena, &tokens));
	assert_int_equal(tokens.id[0], 2);
	assert_int_equal(sn_tokenizer_added(f.t, false, &n)[0], 2);
	assert_int_equal(n, 1);
	assert_ok(f.ctx, sn_detokenize(f.ctx, f.t, tokens.n, tokens.id, SN_SKIP_SPECIAL, f.arena, &back, &size));
	assert_string_equal(back, text);
	assert_string_equal(sn_token_text(f.ctx, f.t, 13272, f.arena, &size), " keys");
	assert_string_equal(sn_tokenizer_kind(f.t), "BPE, 262144 tokens, SentencePiece scores");
	leave(&f);
}

int main(void)
{
	test_need_file(MODEL);
	test_need_file(SN_DATA "/ud/en_ewt-ud-dev.conllu");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hard_texts_agree),
		cmocka_unit_test(every_sentence_of_the_treebanks_agrees),
		cmocka_unit_test(tokens_are_text_again),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
