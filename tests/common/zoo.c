#include "common/zoo.h"

#include <openssl/evp.h>
#include <string.h>

#include "text/align.h"
#include "text/spm_file.h"

json_t *zoo_load(const char *name, const char *suffix)
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

zoo zoo_enter(sn_ctx *ctx, const char *name)
{
	char path[512];
	zoo z = { .ctx = ctx, .about = zoo_load("texts", ".json"), .golden = zoo_load(name, ".golden"), .name = name };
	sn_format(path, sizeof path, ZOO "%s.json", name);
	assert_ok(ctx, sn_arena_open(&z.arena, ctx));
	open_tokenizer(&z, path);
	return z;
}

void zoo_leave(zoo *z)
{
	sn_arena_close(z->arena);
	sn_tokenizer_close(z->t);
	json_decref(z->about);
	json_decref(z->golden);
}

static void add_number(sum *s, int64_t value) { s->hash = sn_fnv1a(s->hash, &(int32_t){ (int32_t)value }, 4); }

void zoo_add(zoo *z, const char *text, size_t size, sum *s)
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
void zoo_check(const zoo *z, const sum *s, const json_t *expected, const char *what, size_t number)
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

void zoo_pairs(zoo *z, const json_t *expected, size_t number)
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
	zoo_check(z, &s, expected, "pairs", number);
}

/* The sums of a record over blocks of the hard texts, and of their pairs. */
void zoo_sums(zoo *z, const json_t *record, size_t per_block, size_t number)
{
	const json_t *texts = json_object_get(z->about, "texts"), *sums = json_object_get(record, "sums");
	for (size_t block = 0, i = 0; block < json_array_size(sums); block++) {
		sum s = { 0, SN_FNV_START };
		for (size_t end = i + per_block; i < end && i < json_array_size(texts); i++)
			zoo_add(z, json_string_value(json_array_get(texts, i)), json_string_length(json_array_get(texts, i)), &s);
		zoo_check(z, &s, json_array_get(sums, block), "block", block);
	}
	zoo_pairs(z, json_object_get(record, "pairs"), number);
}

void zoo_treebank(zoo *z, const char *name, const json_t *golden)
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
			zoo_check(z, &s, json_array_get(golden, n / per_block - 1), name, n / per_block - 1);
			s = (sum){ 0, SN_FNV_START };
		}
		zoo_add(z, line + 9, strlen(line + 9), &s);
		n++;
	}
	zoo_check(z, &s, json_array_get(golden, (n - 1) / per_block), name, (n - 1) / per_block);
	assert_int_equal(json_array_size(golden), (n - 1) / per_block + 1);
	sn_arena_reset(z->arena, mark);
}

static void add_char(sn_buf *out, uint64_t code)
{
	char bytes[4];
	sn_buf_add(out, bytes, (size_t)sn_utf8_put((uint32_t)code, bytes));
}

/* The string of a number, as tests/oracles/tokenizer_zoo.py makes it. */
void zoo_string(const json_t *about, uint64_t number, sn_buf *out)
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
