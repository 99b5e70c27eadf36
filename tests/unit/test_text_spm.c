/* SentencePiece's models against the `sentencepiece` package (tests/golden/sentencepiece): ids and places of hard
 * texts, of the treebanks, and of 100,000 random strings. */
#include "common/random_text.h"
#include "common/test.h"

#include <jansson.h>
#include <string.h>

#include "text/spm_file.h"

static const char *const models[] = { "unigram-nfkc-cf", "unigram-bytes", "unigram-suffix", "unigram-bare", "bpe-bytes",
									  "bpe-rules",       "char" };

/* A model, and what it made of the last text. */
typedef struct fixture {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_spm spm;
	sn_spm_work work;
	sn_parts parts;
	int64_t (*span)[2];
	json_t *golden; /* array of records */
	const char *name;
} fixture;

static void open_fixture(fixture *f, sn_ctx *ctx, const char *name)
{
	sn_spm_spec spec;
	sn_slice bytes;
	char *data;
	*f = (fixture){ .ctx = ctx, .name = name, .golden = json_array() };
	assert_ok(ctx, sn_arena_open(&f->arena, ctx));
	const char *path = sn_arena_format(f->arena, SN_TESTS "/golden/sentencepiece/%s.model", name);
	assert_ok(ctx, sn_read_file(ctx, path, 1 << 24, f->arena, &data, &bytes.size));
	bytes.data = data;
	assert_ok(ctx, sn_spm_parse(&spec, ctx, f->arena, bytes, path));
	assert_ok(ctx, sn_spm_build(&f->spm, f->arena, &spec));
	path = sn_arena_format(f->arena, SN_TESTS "/golden/sentencepiece/%s.jsonl", name);
	assert_ok(ctx, sn_read_file(ctx, path, 1 << 24, f->arena, &data, &bytes.size));
	for (char *line; (line = strtok_r(data, "\n", &data));)
		assert_int_equal(json_array_append_new(f->golden, json_loads(line, 0, NULL)), 0);
	f->span = calloc(1 << 16, sizeof *f->span);
}

static void close_fixture(fixture *f)
{
	json_decref(f->golden);
	free(f->span);
	sn_parts_free(&f->parts, f->ctx);
	sn_spm_work_free(&f->work, f->ctx);
	sn_arena_close(f->arena);
}

static sn_status encode(void *payload, sn_piece piece)
{
	fixture *f = payload;
	SN_TRY(sn_spm_encode(&f->spm, f->ctx, &f->work, piece.text, piece.size, &f->parts));
	for (size_t i = 0; i < f->parts.n; i++)
		sn_piece_span(&piece, f->parts.part[i].from, f->parts.part[i].to, f->span[i]);
	return SN_OK;
}

static void tokenize(fixture *f, const char *text, size_t size)
{
	f->parts.n = 0;
	assert_ok(f->ctx, sn_spm_normalize(f->ctx, &f->spm, (sn_piece){ .text = text, .size = size }, encode, f));
	assert_true(f->parts.n < 1 << 16);
}

static void check_text(fixture *f, const json_t *record)
{
	const json_t *text = json_object_get(record, "text"), *ids = json_object_get(record, "ids");
	tokenize(f, json_string_value(text), json_string_length(text));
	bool same = f->parts.n == json_array_size(ids);
	for (size_t i = 0; i < f->parts.n && same; i++) {
		const json_t *span = json_array_get(json_object_get(record, "spans"), i);
		same = f->parts.part[i].id == json_integer_value(json_array_get(ids, i));
		for (size_t end = 0; end < 2; end++) same &= f->span[i][end] == json_integer_value(json_array_get(span, end));
	}
	if (same) return;
	for (size_t i = 0; i < f->parts.n; i++)
		print_error(" %d[%d,%d)", f->parts.part[i].id, (int)f->span[i][0], (int)f->span[i][1]);
	char *expected = json_dumps(record, JSON_COMPACT);
	fail_msg("%s: expected %s", f->name, expected);
}

static void hard_texts_agree(void **state)
{
	for (int m = 0; m < SN_COUNT(models); m++) {
		fixture f;
		size_t i;
		json_t *record;
		int n = 0;
		open_fixture(&f, test_ctx(state), models[m]);
		json_array_foreach(f.golden, i, record)
			if (json_object_get(record, "text")) check_text(&f, record), n++;
		assert_true(n > 80);
		close_fixture(&f);
	}
}

/* ---- hashes ---- */

static uint64_t hash_int32(uint64_t hash, int64_t value) { return sn_fnv1a(hash, &(int32_t){ (int32_t)value }, 4); }

static uint64_t hash_text(fixture *f, uint64_t hash, const char *text, size_t size)
{
	tokenize(f, text, size);
	hash = hash_int32(hash, (int64_t)f->parts.n);
	for (size_t i = 0; i < f->parts.n; i++) hash = hash_int32(hash, f->parts.part[i].id);
	for (size_t i = 0; i < f->parts.n; i++) hash = hash_int32(hash_int32(hash, f->span[i][0]), f->span[i][1]);
	return hash;
}

static const json_t *record_with(const fixture *f, const char *member, const char *value)
{
	size_t i;
	json_t *record;
	json_array_foreach(f->golden, i, record) {
		const json_t *found = json_object_get(record, member);
		if (found && (!value || strcmp(json_string_value(found), value) == 0)) return record;
	}
	fail_msg("%s: no record with %s", f->name, member);
	return NULL;
}

static void check_hash(const fixture *f, const json_t *record, size_t block, uint64_t hash)
{
	char text[17];
	const char *expected = json_string_value(json_array_get(json_object_get(record, "hashes"), block));
	sn_format(text, sizeof text, "%016llx", (unsigned long long)hash);
	if (!expected || strcmp(text, expected) != 0)
		fail_msg("%s, block %zu: %s, expected %s", f->name, block, text, expected ? expected : "none");
}

static void random_strings_agree(void **state)
{
	for (int m = 0; m < SN_COUNT(models); m++) {
		fixture f;
		open_fixture(&f, test_ctx(state), models[m]);
		const json_t *record = record_with(&f, "random", NULL);
		json_int_t n = json_integer_value(json_object_get(record, "random"));
		json_int_t block = json_integer_value(json_object_get(record, "block"));
		uint64_t hash = SN_FNV_START;
		for (json_int_t i = 0; i < n; i++) {
			char text[RANDOM_TEXT_ROOM];
			size_t size = random_text((uint64_t)i, text);
			hash = hash_text(&f, hash, text, size);
			if ((i + 1) % block) continue;
			check_hash(&f, record, (size_t)(i / block), hash);
			hash = SN_FNV_START;
		}
		assert_int_equal(n, 100000);
		close_fixture(&f);
	}
}

static void check_treebank(fixture *f, const char *treebank)
{
	const json_t *record = record_with(f, "treebank", treebank);
	json_int_t block = json_integer_value(json_object_get(record, "block")), n = 0;
	const char *path = sn_arena_format(f->arena, SN_DATA "/ud/%s.conllu", treebank);
	uint64_t hash = SN_FNV_START;
	char *data, *line;
	size_t size;
	assert_ok(f->ctx, sn_read_file(f->ctx, path, 1 << 28, f->arena, &data, &size));
	while ((line = strtok_r(data, "\n", &data))) {
		if (strncmp(line, "# text = ", 9) != 0) continue;
		hash = hash_text(f, hash, line + 9, strlen(line + 9));
		if (++n % block) continue;
		check_hash(f, record, (size_t)(n / block - 1), hash);
		hash = SN_FNV_START;
	}
	if (n % block) check_hash(f, record, (size_t)(n / block), hash);
	assert_int_equal(json_array_size(json_object_get(record, "hashes")), (n + block - 1) / block);
}

static void treebanks_agree(void **state)
{
	FILE *data = fopen(SN_DATA "/ud/en_ewt-ud-dev.conllu", "rb");
	if (!data) skip();
	fclose(data);
	for (int m = 0; m < SN_COUNT(models); m++) {
		fixture f;
		open_fixture(&f, test_ctx(state), models[m]);
		check_treebank(&f, "en_ewt-ud-dev");
		check_treebank(&f, "en_ewt-ud-test");
		check_treebank(&f, "ru_gsd-ud-dev");
		check_treebank(&f, "ru_gsd-ud-test");
		close_fixture(&f);
	}
}

/* ---- the same from elsewhere ---- */

/* The model as the metadata of a GGUF file would have it. */
static sn_tokenizer *open_as_gguf(fixture *f, const char *path, const char *model)
{
	sn_spm_spec spm;
	sn_slice bytes;
	char *data;
	sn_tokenizer *t;
	assert_ok(f->ctx, sn_read_file(f->ctx, path, 1 << 24, f->arena, &data, &bytes.size));
	bytes.data = data;
	assert_ok(f->ctx, sn_spm_parse(&spm, f->ctx, f->arena, bytes, path));
	sn_slice *token = SN_TAKE(f->arena, sn_slice, spm.n);
	float *score = SN_TAKE(f->arena, float, spm.n);
	int32_t *type = SN_TAKE(f->arena, int32_t, spm.n);
	for (int64_t i = 0; i < spm.n; i++) {
		token[i] = spm.piece[i].text;
		score[i] = spm.piece[i].score;
		type[i] = spm.piece[i].type;
	}
	const sn_tokenizer_spec spec = { .source = "gguf",
									 .model = model,
									 .n_token = spm.n,
									 .token = token,
									 .score = score,
									 .type = type,
									 .unk = (int32_t)spm.unk,
									 .add_space_prefix = spm.add_dummy_prefix,
									 .remove_extra_whitespaces = spm.remove_extra_whitespaces,
									 .charsmap = spm.charsmap };
	assert_ok(f->ctx, sn_tokenizer_open(&t, f->ctx, &spec));
	return t;
}

static void gguf_metadata_say_the_same(void **state)
{
	static const char *const same[][2] = { { "unigram-nfkc-cf", "t5" }, { "bpe-bytes", "llama" } };
	for (int m = 0; m < SN_COUNT(same); m++) {
		fixture f;
		sn_tokenizer *file;
		open_fixture(&f, test_ctx(state), same[m][0]);
		const char *path = sn_arena_format(f.arena, SN_TESTS "/golden/sentencepiece/%s.model", same[m][0]);
		sn_tokenizer *gguf = open_as_gguf(&f, path, same[m][1]);
		assert_ok(f.ctx, sn_tokenizer_open_sentencepiece(&file, f.ctx, path));
		for (uint64_t i = 0; i < 20000; i++) {
			char text[RANDOM_TEXT_ROOM];
			size_t size = random_text(i, text);
			sn_mark mark = sn_arena_mark(f.arena);
			sn_tokens a, b;
			assert_ok(f.ctx, sn_tokenize(f.ctx, gguf, text, size, 0, f.arena, &a));
			assert_ok(f.ctx, sn_tokenize(f.ctx, file, text, size, 0, f.arena, &b));
			assert_int_equal(a.n, b.n);
			assert_memory_equal(a.id, b.id, (size_t)a.n * sizeof *a.id);
			assert_memory_equal(a.span, b.span, (size_t)a.n * sizeof *a.span);
			sn_arena_reset(f.arena, mark);
		}
		sn_tokenizer_close(file);
		sn_tokenizer_close(gguf);
		close_fixture(&f);
	}
}

/* ---- memory ---- */

static void *scarce_alloc(void *payload, size_t size)
{
	int *left = payload;
	return (*left)-- > 0 ? aligned_alloc(64, size) : NULL;
}

static void scarce_free(void *payload, void *p)
{
	(void)payload;
	free(p);
}

/* Opens and tokenizes with so many allocations granted. */
static sn_status work_within(int allocations, const char *path)
{
	static const char text[] =
		"  The keys [MASK] \xd1\x91\xe2\x80\x94 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \xf0\x9f\x98\x80 <s>";
	sn_options options = { .size = sizeof options,
						   .threads = 1,
						   .alloc = scarce_alloc,
						   .dealloc = scarce_free,
						   .alloc_payload = &allocations };
	sn_ctx *ctx;
	sn_tokenizer *t = NULL;
	sn_arena *arena = NULL;
	sn_tokens out;
	if (sn_ctx_open(&ctx, &options) != SN_OK) return SN_ENOMEM;
	sn_status status = sn_arena_open(&arena, ctx);
	if (status == SN_OK) status = sn_tokenizer_open_sentencepiece(&t, ctx, path);
	if (status == SN_OK) status = sn_tokenize(ctx, t, text, sizeof text - 1, SN_PARSE_SPECIAL, arena, &out);
	sn_tokenizer_close(t);
	sn_arena_close(arena);
	sn_ctx_close(ctx);
	return status;
}

static void any_allocation_may_fail(void **state)
{
	(void)state;
	for (int m = 0; m < SN_COUNT(models); m++) {
		char path[512];
		int n = 0;
		sn_format(path, sizeof path, SN_TESTS "/golden/sentencepiece/%s.model", models[m]);
		for (; n < 10000; n++) {
			sn_status status = work_within(n, path);
			if (status == SN_OK) break;
			assert_int_equal(status, SN_ENOMEM);
		}
		assert_true(n > 20 && n < 10000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hard_texts_agree),        cmocka_unit_test(random_strings_agree),
		cmocka_unit_test(treebanks_agree),         cmocka_unit_test(gguf_metadata_say_the_same),
		cmocka_unit_test(any_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
