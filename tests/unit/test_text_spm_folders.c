/* Folders with a SentencePiece model against transformers' classes (tests/golden/sentencepiece/folders.jsonl). */
#include "common/test.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text/tokenizer.h"

typedef struct fixture {
	sn_ctx *ctx;
	sn_arena *arena;
	char folder[64];
	const json_t *head, *record;
	sn_tokenizer *t;
} fixture;

static const char *path_of(const fixture *f, const char *name)
{
	return sn_arena_format(f->arena, "%s/%s", f->folder, name);
}

static const char *text_of(const json_t *record, const char *key)
{
	return json_string_value(json_object_get(record, key));
}

static void write_text(const fixture *f, const char *name, const char *text)
{
	assert_ok(f->ctx, sn_write_file(f->ctx, path_of(f, name), text, strlen(text)));
}

static void copy_model(const fixture *f, const char *model, const char *name)
{
	char *data;
	size_t size;
	const char *path = sn_arena_format(f->arena, SN_TESTS "/golden/sentencepiece/%s.model", model);
	assert_ok(f->ctx, sn_read_file(f->ctx, path, 1 << 24, f->arena, &data, &size));
	assert_ok(f->ctx, sn_write_file(f->ctx, path_of(f, name), data, size));
}

static const char *const files[] = { "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "source.spm",
									 "vocab.json",   "config.json",     "tokenizer_config.json" };

static fixture enter(void **state)
{
	fixture f = { .ctx = test_ctx(state), .folder = "/tmp/sonde_spm_XXXXXX" };
	assert_ok(f.ctx, sn_arena_open(&f.arena, f.ctx));
	assert_non_null(mkdtemp(f.folder));
	return f;
}

static void leave(fixture *f)
{
	sn_tokenizer_close(f->t);
	for (int i = 0; i < SN_COUNT(files); i++) unlink(path_of(f, files[i]));
	assert_int_equal(rmdir(f->folder), 0);
	sn_arena_close(f->arena);
}

static void make_folder(const fixture *f)
{
	const json_t *table = json_object_get(f->record, "table");
	json_t *config = json_deep_copy(json_object_get(f->record, "config"));
	json_object_set(config, "tokenizer_class", json_object_get(f->record, "class"));
	char *text = json_dumps(config, 0), *list = table ? json_dumps(table, 0) : NULL;
	write_text(f, "tokenizer_config.json", text);
	if (list) write_text(f, "vocab.json", list);
	copy_model(f, text_of(f->record, "model"), text_of(f->record, "file"));
	json_decref(config);
	free(text);
	free(list);
}

static void check_ids(const fixture *f, const sn_tokens *tokens, const json_t *ids, const char *what)
{
	bool same = (size_t)tokens->n == json_array_size(ids);
	for (int64_t i = 0; i < tokens->n && same; i++)
		same = tokens->id[i] == json_integer_value(json_array_get(ids, (size_t)i));
	if (same) return;
	for (int64_t i = 0; i < tokens->n; i++) print_error(" %d", tokens->id[i]);
	char *expected = json_dumps(ids, JSON_COMPACT);
	fail_msg("%s, %s: expected %s", text_of(f->record, "class"), what, expected);
}

static sn_tokens tokenize(const fixture *f, const char *text)
{
	sn_tokens tokens;
	assert_ok(f->ctx,
			  sn_tokenize(f->ctx, f->t, text, strlen(text), SN_ADD_SPECIAL | SN_PARSE_SPECIAL, f->arena, &tokens));
	return tokens;
}

static void check_special(const fixture *f)
{
	const json_t *texts = json_object_get(f->head, "pair");
	const char *const pair[2] = { json_string_value(json_array_get(texts, 0)),
								  json_string_value(json_array_get(texts, 1)) };
	const size_t size[2] = { strlen(pair[0]), strlen(pair[1]) };
	sn_tokens tokens = tokenize(f, text_of(f->head, "special"));
	check_ids(f, &tokens, json_object_get(f->record, "special"), "special tokens");
	assert_ok(f->ctx, sn_tokenize_pair(f->ctx, f->t, pair, size, SN_ADD_SPECIAL, f->arena, &tokens));
	check_ids(f, &tokens, json_object_get(f->record, "pair"), "a pair");
	assert_int_equal(sn_tokenizer_size(f->t), json_integer_value(json_object_get(f->record, "size")));
}

/* The first n sentences of a treebank against the hashes from number `from` on. */
static void check_sentences(const fixture *f, const char *treebank, size_t from, size_t n)
{
	char *data, *line;
	size_t size, i = 0;
	const char *path = sn_arena_format(f->arena, SN_DATA "/ud/%s.conllu", treebank);
	if (access(path, R_OK) != 0) return;
	assert_ok(f->ctx, sn_read_file(f->ctx, path, 1 << 28, f->arena, &data, &size));
	while (i < n && (line = strtok_r(data, "\n", &data))) {
		if (strncmp(line, "# text = ", 9) != 0) continue;
		char text[17];
		uint64_t hash = SN_FNV_START;
		sn_tokens tokens = tokenize(f, line + 9);
		if (from + i == 0) check_ids(f, &tokens, json_object_get(f->record, "first"), "first sentence");
		for (int64_t k = 0; k < tokens.n; k++) hash = sn_fnv1a(hash, &tokens.id[k], 4);
		sn_format(text, sizeof text, "%016llx", (unsigned long long)hash);
		const json_t *hash_text = json_array_get(json_object_get(f->record, "hashes"), from + i++);
		const char *expected = json_string_value(hash_text);
		if (json_is_null(hash_text)) continue; /* transformers is not SentencePiece there */
		if (!expected || strncmp(text, expected, 8) != 0)
			fail_msg("%s, %s, sentence %zu: '%s'", text_of(f->record, "class"), treebank, i, line + 9);
	}
	assert_int_equal(i, n);
}

static void folders_agree_with_their_classes(void **state)
{
	sn_arena *arena;
	char *data, *line;
	size_t size, n = 0;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	assert_ok(test_ctx(state), sn_read_file(test_ctx(state), SN_TESTS "/golden/sentencepiece/folders.jsonl", 1 << 24,
											arena, &data, &size));
	json_t *head = json_loads(strtok_r(data, "\n", &data), 0, NULL);
	while ((line = strtok_r(data, "\n", &data))) {
		fixture f = enter(state);
		json_t *record = json_loads(line, 0, NULL);
		f.head = head;
		f.record = record;
		make_folder(&f);
		assert_ok(f.ctx, sn_tokenizer_open_path(&f.t, f.ctx, f.folder));
		check_special(&f);
		check_sentences(&f, "en_ewt-ud-dev", 0, 300);
		check_sentences(&f, "ru_gsd-ud-dev", 300, 200);
		leave(&f);
		json_decref(record);
		n++;
	}
	assert_true(n >= 9);
	json_decref(head);
	sn_arena_close(arena);
}

static void what_no_folder_says_is_refused(void **state)
{
	static const struct {
		const char *config;
		sn_status status;
		const char *text;
	} bad[] = {
		{ "{\"tokenizer_class\": \"PegasusTokenizer\"}", SN_EUNKNOWN,
		  "in the manner of 'PegasusTokenizer' is not known" },
		{ "{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": -1}", SN_EPARSE, "extra_ids: -1" },
		{ "{\"tokenizer_class\": \"AlbertTokenizer\"}", SN_EPARSE, "special token '[CLS]' is not in the vocabulary" },
		{ "{\"tokenizer_class\": \"T5Tokenizer\", \"added_tokens_decoder\": {\"9999999\": {\"content\": \"<x>\"}}}",
		  SN_EPARSE, "added token '<x>' has the id 9999999" },
		{ "{\"tokenizer_class\": \"MarianTokenizer\"}", SN_EIO, "vocab.json" },
	};
	fixture f = enter(state);
	copy_model(&f, "char", "spiece.model");
	for (int i = 0; i < SN_COUNT(bad); i++) {
		write_text(&f, "tokenizer_config.json", bad[i].config);
		assert_int_equal(sn_tokenizer_open_path(&f.t, f.ctx, f.folder), bad[i].status);
		assert_null(f.t);
		if (!strstr(sn_error(f.ctx), bad[i].text)) fail_msg("'%s' lacks '%s'", sn_error(f.ctx), bad[i].text);
	}
	leave(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_agree_with_their_classes),
		cmocka_unit_test(what_no_folder_says_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
