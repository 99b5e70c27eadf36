/* Small tokenizers of every common make against the `tokenizers` package (tests/golden/tokenizer/zoo): ids, character
 * offsets and decoded text of the treebanks' sentences, of hard texts, and of 100,000 random strings. */
#include "common/test.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "text/align.h"
#include "text/spm_file.h"
#include "text/tokenizer.h"

#define ZOO SN_TESTS "/golden/tokenizer/zoo/"

/* Random strings take a while where every access is checked. */
#ifdef __SANITIZE_ADDRESS__
enum { EVERY_BLOCK = 10 };
#else
enum { EVERY_BLOCK = 1 };
#endif

static const char *const names[] = {
	"bert-cased", "bert-uncased", "bert-russian", "roberta",  "clip", "llama3", "qwen",          "deepseek",
	"llama2",     "mistral",      "wordlevel",    "prefixed", "t5",   "xlmr",   "unigram-bytes",
};

/* What the tests share: hard texts and what random strings are made of. */
typedef struct zoo {
	sn_ctx *ctx;
	json_t *about, *golden;
	sn_tokenizer *t;
	sn_arena *arena;
	const char *name;
} zoo;

typedef struct sum {
	int64_t n;
	uint64_t hash;
} sum;

static json_t *load(const char *name, const char *suffix)
{
	char path[512];
	json_error_t error;
	sn_format(path, sizeof path, ZOO "%s%s", name, suffix);
	json_t *value = json_load_file(path, JSON_ALLOW_NUL, &error);
	if (!value) fail_msg("%s: %s", path, error.text);
	return value;
}

/* A large table stands once among the SentencePiece models, not in base64 in a document too. */
static char *base64_map(zoo *z)
{
	sn_spm_spec spec;
	sn_slice bytes;
	char *data;
	static const char path[] = SN_TESTS "/golden/sentencepiece/unigram-nfkc-cf.model";
	assert_ok(z->ctx, sn_read_file(z->ctx, path, 1 << 24, z->arena, &data, &bytes.size));
	bytes.data = data;
	assert_ok(z->ctx, sn_spm_parse(&spec, z->ctx, z->arena, bytes, path));
	char *text = sn_arena_take(z->arena, 4 * (spec.charsmap.size / 3 + 2));
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)spec.charsmap.data, (int)spec.charsmap.size);
	return text;
}

static void open_tokenizer(zoo *z, const char *path)
{
	static const char name[] = "@unigram-nfkc-cf";
	char *text;
	size_t size;
	assert_ok(z->ctx, sn_read_file(z->ctx, path, 1 << 24, z->arena, &text, &size));
	const char *map = strstr(text, name);
	if (map) text = sn_arena_format(z->arena, "%.*s%s%s", (int)(map - text), text, base64_map(z), map + strlen(name));
	assert_ok(z->ctx, sn_tokenizer_parse_json(&z->t, z->ctx, (sn_slice){ text, strlen(text) }, path));
}

static zoo enter(sn_ctx *ctx, const char *name)
{
	char path[512];
	zoo z = { .ctx = ctx, .about = load("texts", ".json"), .golden = load(name, ".golden"), .name = name };
	sn_format(path, sizeof path, ZOO "%s.json", name);
	assert_ok(ctx, sn_arena_open(&z.arena, ctx));
	open_tokenizer(&z, path);
	return z;
}

static void leave(zoo *z)
{
	sn_arena_close(z->arena);
	sn_tokenizer_close(z->t);
	json_decref(z->about);
	json_decref(z->golden);
}

static void add_number(sum *s, int64_t value) { s->hash = sn_fnv1a(s->hash, &(int32_t){ (int32_t)value }, 4); }

static void add_text(zoo *z, const char *text, size_t size, sum *s)
{
	sn_tokens tokens;
	const char *back;
	size_t n;
	sn_mark mark = sn_arena_mark(z->arena);
	assert_ok(z->ctx, sn_tokenize(z->ctx, z->t, text, size, SN_PARSE_SPECIAL, z->arena, &tokens));
	sn_code_point_spans(text, tokens.n, (const int64_t(*)[2])tokens.span, tokens.span);
	for (int64_t i = 0; i < tokens.n; i++) add_number(s, tokens.id[i]);
	for (int64_t i = 0; i < 2 * tokens.n; i++) add_number(s, tokens.span[i / 2][i % 2]);
	assert_ok(z->ctx, sn_detokenize(z->ctx, z->t, tokens.n, tokens.id, SN_SKIP_SPECIAL, z->arena, &back, &n));
	s->hash = sn_fnv1a(s->hash, back, n);
	s->n += tokens.n;
	sn_arena_reset(z->arena, mark);
}

/* Compares with [tokens, hash]. */
static void check(const zoo *z, const sum *s, const json_t *expected, const char *what, size_t number)
{
	char hash[24];
	sn_format(hash, sizeof hash, "%016llx", (unsigned long long)s->hash);
	const char *wanted = json_string_value(json_array_get(expected, 1));
	int64_t n = json_integer_value(json_array_get(expected, 0));
	assert_non_null(wanted);
	if (s->n != n || strcmp(hash, wanted) != 0)
		fail_msg("%s, %s %zu: %d tokens (expected %d), hash %s (%s)", z->name, what, number, (int)s->n, (int)n, hash,
				 wanted);
}

static void hard_texts_agree(void **state)
{
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = enter(test_ctx(state), names[k]);
		const json_t *texts = json_object_get(z.about, "texts"), *golden = json_object_get(z.golden, "texts");
		json_t *text;
		size_t i;
		assert_true(json_array_size(texts) > 100 && json_array_size(texts) == json_array_size(golden));
		json_array_foreach(texts, i, text) {
			sum s = { 0, SN_FNV_START };
			add_text(&z, json_string_value(text), json_string_length(text), &s);
			check(&z, &s, json_array_get(golden, i), "text", i);
		}
		leave(&z);
	}
}

static void check_pairs(zoo *z, const json_t *expected, size_t number)
{
	const json_t *texts = json_object_get(z->about, "texts");
	sum s = { 0, SN_FNV_START };
	for (size_t i = 1; i < json_array_size(texts); i++) {
		const json_t *a = json_array_get(texts, i - 1), *b = json_array_get(texts, i);
		const char *const text[2] = { json_string_value(a), json_string_value(b) };
		const size_t size[2] = { json_string_length(a), json_string_length(b) };
		sn_tokens tokens;
		sn_mark mark = sn_arena_mark(z->arena);
		assert_ok(z->ctx,
				  sn_tokenize_pair(z->ctx, z->t, text, size, SN_PARSE_SPECIAL | SN_ADD_SPECIAL, z->arena, &tokens));
		for (int64_t j = 0; j < tokens.n; j++) add_number(&s, tokens.id[j]);
		s.hash = sn_fnv1a(s.hash, tokens.type, (size_t)tokens.n);
		s.n += tokens.n;
		sn_arena_reset(z->arena, mark);
	}
	check(z, &s, expected, "pairs", number);
}

static void pairs_agree(void **state)
{
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = enter(test_ctx(state), names[k]);
		check_pairs(&z, json_object_get(z.golden, "pairs"), 0);
		leave(&z);
	}
}

/* The sums of a record over blocks of the hard texts, and of their pairs. */
static void check_sums(zoo *z, const json_t *record, size_t per_block, size_t number)
{
	const json_t *texts = json_object_get(z->about, "texts"), *sums = json_object_get(record, "sums");
	for (size_t block = 0, i = 0; block < json_array_size(sums); block++) {
		sum s = { 0, SN_FNV_START };
		for (size_t end = i + per_block; i < end && i < json_array_size(texts); i++)
			add_text(z, json_string_value(json_array_get(texts, i)), json_string_length(json_array_get(texts, i)), &s);
		check(z, &s, json_array_get(sums, block), "block", block);
	}
	check_pairs(z, json_object_get(record, "pairs"), number);
}

/* ---- variants ---- */

/* The base document with a record's change: members replaced, options of the model one by one. */
static json_t *document_of(const json_t *record)
{
	json_t *document = load(json_string_value(json_object_get(record, "base")), ".json"), *value;
	const char *key;
	json_object_foreach(json_object_get(record, "change"), key, value) {
		if (strcmp(key, "model") == 0)
			json_object_update(json_object_get(document, key), value);
		else
			json_object_set(document, key, value);
	}
	return document;
}

static void check_variant(zoo *z, const json_t *record, size_t per_block, size_t number)
{
	json_t *document = document_of(record);
	char *json = json_dumps(document, JSON_COMPACT),
		 *change = json_dumps(json_object_get(record, "change"), JSON_COMPACT);
	z->name = change;
	assert_ok(z->ctx, sn_tokenizer_parse_json(&z->t, z->ctx, (sn_slice){ json, strlen(json) }, change));
	check_sums(z, record, per_block, number);
	sn_tokenizer_close(z->t);
	free(json);
	free(change);
	json_decref(document);
}

static void every_option_of_every_stage_agrees(void **state)
{
	zoo z = { .ctx = test_ctx(state), .about = load("texts", ".json") };
	char *data, *line;
	size_t size, n = 0, per_block = 0;
	sn_arena *lines;
	assert_ok(z.ctx, sn_arena_open(&z.arena, z.ctx));
	assert_ok(z.ctx, sn_arena_open(&lines, z.ctx));
	assert_ok(z.ctx, sn_read_file(z.ctx, ZOO "variants.jsonl", 1 << 24, lines, &data, &size));
	for (; (line = strtok_r(data, "\n", &data)); n++) {
		json_t *record = json_loads(line, 0, NULL);
		if (n == 0)
			per_block = (size_t)json_integer_value(json_object_get(record, "block"));
		else
			check_variant(&z, record, per_block, n);
		json_decref(record);
	}
	assert_true(n > 130);
	sn_arena_close(lines);
	sn_arena_close(z.arena);
	json_decref(z.about);
}

/* ---- folders ---- */

static void folders_without_tokenizer_json_agree(void **state)
{
	zoo z = { .ctx = test_ctx(state), .about = load("texts", ".json"), .golden = load("../folders/golden", ".json") };
	size_t per_block = (size_t)json_integer_value(json_object_get(z.golden, "block")), n = 0;
	json_t *record;
	assert_ok(z.ctx, sn_arena_open(&z.arena, z.ctx));
	json_object_foreach(json_object_get(z.golden, "folders"), z.name, record) {
		char path[512];
		sn_format(path, sizeof path, SN_TESTS "/golden/tokenizer/folders/%s", z.name);
		assert_ok(z.ctx, sn_tokenizer_open_path(&z.t, z.ctx, path));
		check_sums(&z, record, per_block, n++);
		sn_tokenizer_close(z.t);
	}
	assert_int_equal(n, 8);
	sn_arena_close(z.arena);
	json_decref(z.about);
	json_decref(z.golden);
}

/* ---- treebanks ---- */

static void check_treebank(zoo *z, const char *name, const json_t *golden)
{
	char *data, *line;
	size_t size, n = 0, per_block = (size_t)json_integer_value(json_object_get(z->about, "sentences"));
	sum s = { 0, SN_FNV_START };
	sn_mark mark = sn_arena_mark(z->arena);
	const char *dash = strchr(name, '-');
	const char *path = sn_arena_format(z->arena, SN_DATA "/ud/%.*s-ud%s.conllu", (int)(dash - name), name, dash);
	assert_ok(z->ctx, sn_read_file(z->ctx, path, 1 << 28, z->arena, &data, &size));
	while ((line = strtok_r(data, "\n", &data))) {
		if (strncmp(line, "# text = ", 9) != 0) continue;
		if (n > 0 && n % per_block == 0) {
			check(z, &s, json_array_get(golden, n / per_block - 1), name, n / per_block - 1);
			s = (sum){ 0, SN_FNV_START };
		}
		add_text(z, line + 9, strlen(line + 9), &s);
		n++;
	}
	check(z, &s, json_array_get(golden, (n - 1) / per_block), name, (n - 1) / per_block);
	assert_int_equal(json_array_size(golden), (n - 1) / per_block + 1);
	sn_arena_reset(z->arena, mark);
}

static void every_sentence_of_the_treebanks_agrees(void **state)
{
	if (access(SN_DATA "/ud/en_ewt-ud-dev.conllu", R_OK) != 0) skip();
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = enter(test_ctx(state), names[k]);
		const char *name;
		json_t *blocks;
		json_object_foreach(json_object_get(z.golden, "treebanks"), name, blocks) check_treebank(&z, name, blocks);
		leave(&z);
	}
}

/* ---- random strings ---- */

static void add_char(sn_buf *out, uint64_t code)
{
	char bytes[4];
	sn_buf_add(out, bytes, (size_t)sn_utf8_put((uint32_t)code, bytes));
}

/* The string of a number, as tests/oracles/tokenizer_zoo.py makes it. */
static void make_string(const json_t *about, uint64_t number, sn_buf *out)
{
	const json_t *words = json_object_get(about, "words"), *ranges = json_object_get(about, "ranges");
	sn_rng rng = sn_rng_make(4, number);
	out->size = 0;
	for (uint64_t left = sn_rng_below(&rng, 25); left > 0; left--) {
		uint64_t kind = sn_rng_below(&rng, 16);
		if (kind < 7) {
			add_char(out, 'a' + sn_rng_below(&rng, 26));
		} else if (kind < 9) {
			add_char(out, 0x430 + sn_rng_below(&rng, 32));
		} else if (kind < 12) {
			const json_t *word = json_array_get(words, sn_rng_below(&rng, json_array_size(words)));
			sn_buf_add(out, json_string_value(word), json_string_length(word));
		} else {
			const json_t *range = json_array_get(ranges, sn_rng_below(&rng, json_array_size(ranges)));
			uint64_t first = (uint64_t)json_integer_value(json_array_get(range, 0));
			uint64_t last = (uint64_t)json_integer_value(json_array_get(range, 1));
			add_char(out, first + sn_rng_below(&rng, last - first + 1));
		}
	}
}

static void random_strings_agree(void **state)
{
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = enter(test_ctx(state), names[k]);
		const json_t *golden = json_object_get(z.golden, "random");
		uint64_t per_block = (uint64_t)json_integer_value(json_object_get(z.about, "strings"));
		sn_buf text = { .ctx = z.ctx };
		assert_int_equal(json_array_size(golden) * per_block, 100000);
		for (size_t block = 0; block < json_array_size(golden); block += EVERY_BLOCK) {
			sum s = { 0, SN_FNV_START };
			for (uint64_t i = block * per_block; i < (block + 1) * per_block; i++) {
				make_string(z.about, i, &text);
				add_text(&z, text.size ? text.data : "", text.size, &s);
			}
			check(&z, &s, json_array_get(golden, block), "block", block);
		}
		sn_buf_free(&text);
		leave(&z);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hard_texts_agree),
		cmocka_unit_test(pairs_agree),
		cmocka_unit_test(every_option_of_every_stage_agrees),
		cmocka_unit_test(folders_without_tokenizer_json_agree),
		cmocka_unit_test(every_sentence_of_the_treebanks_agrees),
		cmocka_unit_test(random_strings_agree),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
