/* GGUF's tokenizers: the families of tokenizer.ggml.pre against the `tokenizers` package with their expressions, over
 * the vocabulary of small-gpt2.json (tests/golden/tokenizer/gguf_pre.json). */
#include "common/random_text.h"
#include "common/test.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "text/align.h"
#include "text/tokenizer.h"

#define GOLDEN SN_TESTS "/golden/tokenizer/"

typedef struct fixture {
	sn_ctx *ctx;
	sn_arena *arena;
	json_t *golden, *base;
	sn_tokenizer_spec spec;
	sn_tokenizer *t; /* of the family at hand */
	const char *name;
} fixture;

/* Token texts by id, and merges as "left right". */
static void read_base(fixture *f)
{
	const json_t *model = json_object_get(f->base, "model"), *merges = json_object_get(model, "merges");
	json_t *vocab = json_object_get(model, "vocab"), *id, *pair;
	const char *text;
	size_t i;
	f->spec = (sn_tokenizer_spec){ .source = "small", .model = "gpt2", .n_token = (int64_t)json_object_size(vocab) };
	f->spec.n_merge = (int64_t)json_array_size(merges);
	sn_slice *token = SN_TAKE(f->arena, sn_slice, f->spec.n_token),
			 *merge = SN_TAKE(f->arena, sn_slice, f->spec.n_merge);
	int32_t *type = SN_TAKE(f->arena, int32_t, f->spec.n_token);
	json_object_foreach(vocab, text, id) {
		token[json_integer_value(id)] = (sn_slice){ text, strlen(text) };
		type[json_integer_value(id)] = json_integer_value(id) < 3 ? SN_TOKEN_CONTROL : SN_TOKEN_NORMAL;
	}
	json_array_foreach(merges, i, pair) {
		const char *both = sn_arena_format(f->arena, "%s %s", json_string_value(json_array_get(pair, 0)),
										   json_string_value(json_array_get(pair, 1)));
		merge[i] = (sn_slice){ both, strlen(both) };
	}
	f->spec.token = token;
	f->spec.type = type;
	f->spec.merge = merge;
}

static fixture enter(void **state)
{
	fixture f = { .ctx = test_ctx(state) };
	assert_ok(f.ctx, sn_arena_open(&f.arena, f.ctx));
	f.golden = json_load_file(GOLDEN "gguf_pre.json", JSON_ALLOW_NUL, NULL);
	f.base = json_load_file(GOLDEN "small-gpt2.json", 0, NULL);
	assert_non_null(f.golden);
	assert_non_null(f.base);
	read_base(&f);
	return f;
}

static void leave(fixture *f)
{
	json_decref(f->golden);
	json_decref(f->base);
	sn_arena_close(f->arena);
}

static uint64_t hash_int32(uint64_t hash, int64_t value) { return sn_fnv1a(hash, &(int32_t){ (int32_t)value }, 4); }

static uint64_t hash_text(fixture *f, uint64_t hash, const char *text, size_t size)
{
	sn_tokens tokens;
	sn_mark mark = sn_arena_mark(f->arena);
	assert_ok(f->ctx, sn_tokenize(f->ctx, f->t, text, size, SN_PARSE_SPECIAL, f->arena, &tokens));
	sn_code_point_spans(text, tokens.n, (const int64_t(*)[2])tokens.span, tokens.span);
	hash = hash_int32(hash, tokens.n);
	for (int64_t i = 0; i < tokens.n; i++) hash = hash_int32(hash, tokens.id[i]);
	for (int64_t i = 0; i < 2 * tokens.n; i++) hash = hash_int32(hash, tokens.span[i / 2][i % 2]);
	sn_arena_reset(f->arena, mark);
	return hash;
}

static void check(const fixture *f, const json_t *expected, uint64_t hash, const char *what, size_t number)
{
	char text[17];
	sn_format(text, sizeof text, "%016llx", (unsigned long long)hash);
	if (!json_is_string(expected) || strcmp(text, json_string_value(expected)) != 0)
		fail_msg("%s, %s %zu: %s, expected %s", f->name, what, number, text, json_string_value(expected));
}

static void check_texts(fixture *f, const json_t *family)
{
	json_t *text;
	size_t i;
	json_array_foreach(json_object_get(f->golden, "texts"), i, text) {
		uint64_t hash = hash_text(f, SN_FNV_START, json_string_value(text), json_string_length(text));
		check(f, json_array_get(json_object_get(family, "texts"), i), hash, "text", i);
	}
}

static void check_random(fixture *f, const json_t *family)
{
	json_int_t n = json_integer_value(json_object_get(f->golden, "random"));
	uint64_t hash = SN_FNV_START;
	for (json_int_t i = 0; i < n; i++) {
		char text[RANDOM_TEXT_ROOM];
		size_t size = random_text((uint64_t)i, text);
		hash = hash_text(f, hash, text, size);
	}
	assert_true(n >= 20000);
	check(f, json_object_get(family, "random"), hash, "random strings", (size_t)n);
}

static void check_treebank(fixture *f, const char *name, const json_t *expected)
{
	char *data, *line;
	size_t size, n = 0;
	uint64_t hash = SN_FNV_START;
	sn_mark mark = sn_arena_mark(f->arena);
	const char *path = sn_arena_format(f->arena, SN_DATA "/ud/%s.conllu", name);
	if (access(path, R_OK) == 0) {
		assert_ok(f->ctx, sn_read_file(f->ctx, path, 1 << 28, f->arena, &data, &size));
		while ((line = strtok_r(data, "\n", &data)))
			if (strncmp(line, "# text = ", 9) == 0) hash = hash_text(f, hash, line + 9, strlen(line + 9)), n++;
		check(f, expected, hash, name, n);
	}
	sn_arena_reset(f->arena, mark);
}

static void families_agree_with_their_expressions(void **state)
{
	fixture f = enter(state);
	json_t *family, *treebank;
	const char *name, *bank;
	int n = 0;
	json_object_foreach(json_object_get(f.golden, "families"), name, family) {
		f.name = f.spec.pre = name;
		assert_ok(f.ctx, sn_tokenizer_open(&f.t, f.ctx, &f.spec));
		check_texts(&f, family);
		check_random(&f, family);
		json_object_foreach(json_object_get(family, "treebanks"), bank, treebank) check_treebank(&f, bank, treebank);
		sn_tokenizer_close(f.t);
		n++;
	}
	assert_int_equal(n, 18);
	leave(&f);
}

/* The names that are not among the families above. */
static const char names[] =
	"gpt2 phi-2 mpt olmo jais trillion granite-docling exaone4 modern-bert jina-es jina-de jina-v2-es "
	"jina-v2-de jina-v1-en jina-v2-code roberta-bpe gigachat a.x-4.0 mellum smollm refact command-r codeshell "
	"exaone minerva-7b mellum2 llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx "
	"chatglm-bpe glm4 stablelm2 hunyuan megrez deepseek-r1-qwen kormo f2llmv2 solar-open grok-2 llama4 kanana2 "
	"talkie minimax-m2 granite-embed-multi-97m tiny_aya cohere2moe hunyuan-dense joyai-llm hy_v4 poro-chat "
	"gpt3-finnish bailingmoe2 llada-moe ufakzeka laguna exaone-moe youtu jais-2 minicpm5";

/* Every name opens, so every expression compiles. */
static void every_name_opens(void **state)
{
	fixture f = enter(state);
	char *rest = sn_arena_string(f.arena, names), *name;
	int n = 0;
	for (; (name = strtok_r(rest, " ", &rest)); n++) {
		f.spec.pre = f.name = name;
		assert_ok(f.ctx, sn_tokenizer_open(&f.t, f.ctx, &f.spec));
		(void)hash_text(&f, 0, "It's 12345 \xd1\x91\xe4\xb8\xad!\n\n  x", 22);
		sn_tokenizer_close(f.t);
	}
	assert_true(n > 60);
	leave(&f);
}

/* ---- bert ---- */

/* Spells a token of vocab.txt as GGUF files do: "the" as U+2581 "the", "##s" as "s", "[CLS]" as it is. */
static sn_slice spelled(sn_arena *arena, const char *text)
{
	size_t size = strlen(text);
	bool inside = strncmp(text, "##", 2) == 0, whole = size > 1 && text[0] == '[' && text[size - 1] == ']';
	const char *out = inside || whole ? sn_arena_string(arena, text + (inside ? 2 : 0))
									  : sn_arena_format(arena, "\xe2\x96\x81%s", text);
	return (sn_slice){ out, strlen(out) };
}

/* The same tokenizer from tokenizer.json, which agrees with its package, and as a GGUF file would have it. */
static void bert_agrees_with_its_document(void **state)
{
	static const char path[] = GOLDEN "zoo/bert-uncased.json";
	fixture f = enter(state);
	sn_tokenizer *document;
	json_t *root = json_load_file(path, 0, NULL), *vocab = json_object_get(json_object_get(root, "model"), "vocab"),
		   *id;
	const char *text;
	f.spec = (sn_tokenizer_spec){ .source = "bert", .model = "bert", .n_token = (int64_t)json_object_size(vocab) };
	sn_slice *token = SN_TAKE(f.arena, sn_slice, f.spec.n_token);
	int32_t *type = SN_TAKE(f.arena, int32_t, f.spec.n_token);
	json_object_foreach(vocab, text, id) {
		token[json_integer_value(id)] = spelled(f.arena, text);
		type[json_integer_value(id)] = text[0] == '[' && text[1] ? SN_TOKEN_CONTROL : SN_TOKEN_NORMAL;
	}
	f.spec.token = token;
	f.spec.type = type;
	f.spec.unk = 1;
	f.spec.bos = 2;
	f.spec.eos = 3;
	f.spec.add_bos = f.spec.add_eos = true;
	assert_ok(f.ctx, sn_tokenizer_open_json(&document, f.ctx, path));
	for (uint64_t i = 0; i < 20000; i++) {
		char string[RANDOM_TEXT_ROOM];
		size_t size = random_text(i, string);
		if (i == 0) assert_ok(f.ctx, sn_tokenizer_open(&f.t, f.ctx, &f.spec));
		sn_tokenizer *bert = f.t;
		uint64_t ours = hash_text(&f, SN_FNV_START, string, size);
		f.t = document;
		if (ours != hash_text(&f, SN_FNV_START, string, size)) fail_msg("string %d", (int)i);
		f.t = bert;
	}
	assert_string_equal(sn_tokenizer_kind(f.t), "WordPiece, 1000 tokens, lower case");
	sn_tokenizer_close(document);
	sn_tokenizer_close(f.t);
	json_decref(root);
	leave(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_agree_with_their_expressions),
		cmocka_unit_test(every_name_opens),
		cmocka_unit_test(bert_agrees_with_its_document),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
