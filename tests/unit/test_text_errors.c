/* What is wrong with a tokenizer file or a text is said in one line with its place; short memory is survived. */
#include "common/test.h"

#include <math.h>
#include <string.h>

#include "text/regex.h"
#include "text/tokenizer.h"

/* ---- tokenizer.json ---- */

/* Documents are written with ' for ". */
#define BPE(rest) "{'model':{'type':'BPE'" rest "}}"
#define TEN "1234567890"
#define LONG TEN TEN TEN TEN TEN TEN TEN TEN
#define A "{'Sequence':{'id':'A','type_id':0}}"
#define UNIGRAM(vocab, rest) "{'model':{'type':'Unigram','vocab':" vocab rest "}}"
#define MODEL(inside, after) "{'model':{'type':'BPE','vocab':{'a':0,'b':1,'ab':2},'merges':['a b']" inside "}" after "}"

static const struct {
	const char *json;
	sn_status status;
	const char *text;
} bad_document[] = {
	{ "{", SN_EPARSE, "line 1" },
	{ "[]", SN_EPARSE, "expected an object, found an array" },
	{ "{}", SN_ENOTFOUND, "model: expected an object" },
	{ "{'model':{'type':'Morphemes'}}", SN_EUNKNOWN, "model.type: 'Morphemes'; known: BPE" },
	{ UNIGRAM("[]", ""), SN_EPARSE, "0 tokens" },
	{ UNIGRAM("[['a']]", ""), SN_EPARSE, "model.vocab[0]: expected [text, score]" },
	{ UNIGRAM("[['',0]]", ""), SN_EPARSE, "model.vocab: no tokens" },
	{ UNIGRAM("[['a',0]]", ",'unk_id':1"), SN_EPARSE, "model.unk_id: 1; the vocabulary has ids from 0 to 0" },
	{ MODEL("", ",'normalizer':{'type':'Precompiled','precompiled_charsmap':'#'}"), SN_EPARSE, "not base64" },
	{ MODEL("", ",'normalizer':{'type':'Precompiled','precompiled_charsmap':'AAAAAAAA'}"), SN_EPARSE,
	  "precompiled_charsmap: a trie of 0 bytes" },
	{ BPE(""), SN_ENOTFOUND, "model.vocab" },
	{ BPE(",'vocab':{},'merges':[]"), SN_EPARSE, "0 tokens" },
	{ BPE(",'vocab':{'a':-1},'merges':[]"), SN_EPARSE, "model.vocab.a: expected an id" },
	{ BPE(",'vocab':{'a':1000000000},'merges':[]"), SN_EPARSE, "expected an id from 0 to 1025" },
	{ BPE(",'vocab':{'a':0,'b':0},'merges':[]"), SN_EPARSE, "the id 0, which 'a' has too" },
	{ BPE(",'vocab':{'a':0},'merges':['a b']"), SN_EPARSE, "merge 0, 'a' + 'b'" },
	{ BPE(",'vocab':{'a':0},'merges':['aa']"), SN_EPARSE, "model.merges[0]" },
	{ BPE(",'vocab':{'a':0},'merges':[['a']]"), SN_EPARSE, "model.merges[0]" },
	{ MODEL(",'unk_token':'u'", ""), SN_EPARSE, "model.unk_token: 'u' is not in the vocabulary" },
	{ MODEL(",'dropout':0.1", ""), SN_EUNKNOWN, "model.dropout: 0.1" },
	{ MODEL(",'end_of_word_suffix':'" LONG "'", ""), SN_EPARSE, "model.end_of_word_suffix: 80 bytes" },
	{ MODEL(",'byte_fallback':1", ""), SN_EPARSE, "model.byte_fallback" },
	{ MODEL("", ",'normalizer':{'type':'NFX'}"), SN_EUNKNOWN, "normalizer.type: 'NFX'; known: BertNormalizer" },
	{ MODEL("", ",'normalizer':{'type':'Replace','pattern':{'Regex':'['},'content':''}"), SN_EPARSE,
	  "not a regular expression" },
	{ MODEL("", ",'normalizer':{'type':'Prepend'}"), SN_ENOTFOUND, "normalizer.prepend" },
	{ MODEL("", ",'pre_tokenizer':{'type':'Space'}"), SN_EUNKNOWN,
	  "pre_tokenizer.type: 'Space'; known: BertPreTokenizer, ByteLevel" },
	{ MODEL("", ",'pre_tokenizer':{'type':'Metaspace','replacement':'ab'}"), SN_EPARSE,
	  "pre_tokenizer.replacement: 'ab'; expected one character" },
	{ MODEL("", ",'pre_tokenizer':{'type':'Metaspace','prepend_scheme':'last'}"), SN_EUNKNOWN,
	  "'last'; known: never, always, first" },
	{ MODEL("", ",'pre_tokenizer':{'type':'FixedLength','length':0}"), SN_EPARSE, "pre_tokenizer.length: 0" },
	{ MODEL("", ",'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Melt'}]}"), SN_EUNKNOWN,
	  "decoder.decoders[1].type: 'Melt'; known: BPEDecoder" },
	{ MODEL("", ",'decoder':{'type':'Strip','content':''}"), SN_EPARSE, "decoder.content" },
	{ MODEL("", ",'pre_tokenizer':{'type':'Split','behavior':'Gone','pattern':{'Regex':'a'}}"), SN_EUNKNOWN,
	  "'Gone'; known: Removed" },
	{ MODEL("", ",'pre_tokenizer':{'type':'Split','behavior':'Isolated','pattern':{'Regex':'(a'}}"), SN_EPARSE,
	  "not a regular expression" },
	{ MODEL("", ",'pre_tokenizer':{'type':'Split','behavior':'Isolated','pattern':{}}"), SN_EPARSE,
	  "pre_tokenizer.pattern" },
	{ MODEL("", ",'post_processor':{'type':'Other'}"), SN_EUNKNOWN,
	  "post_processor.type: 'Other'; known: BertProcessing" },
	{ MODEL("", ",'post_processor':{'type':'BertProcessing','cls':['x',9],'sep':['x',9]}"), SN_EPARSE,
	  "9 is no token" },
	{ MODEL("", ",'post_processor':{'type':'TemplateProcessing','single':[]}"), SN_EPARSE, "post_processor.single" },
	{ MODEL("", ",'post_processor':{'type':'TemplateProcessing','single':[" A "," A "]}"), SN_EPARSE, "'A' once more" },
	{ MODEL("", ",'post_processor':{'type':'TemplateProcessing','single':[" A "],'pair':[" A "]}"), SN_EPARSE,
	  "post_processor.pair: 1 texts" },
	{ MODEL("", ",'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'C'}}]}"), SN_EPARSE,
	  "'C'; expected A" },
	{ MODEL("", ",'added_tokens':[{'id':0,'content':'<x>'}]"), SN_EPARSE, "added_tokens[0].id: 0 for '<x>'" },
	{ MODEL("", ",'added_tokens':[{'id':5,'content':'a'}]"), SN_EPARSE, "the vocabulary gives 'a' the id 0" },
	{ MODEL("", ",'added_tokens':[{'id':5,'content':''}]"), SN_EPARSE, "added_tokens[0].content" },
	{ MODEL("", ",'added_tokens':[{'id':50000,'content':'<x>'}]"), SN_EPARSE, "added_tokens[0].id: 50000" },
};

static void bad_documents_are_refused_by_the_path_of_what_is_wrong(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	for (int i = 0; i < SN_COUNT(bad_document); i++) {
		sn_tokenizer *t = NULL;
		char json[1024];
		sn_format(json, sizeof json, "%s", bad_document[i].json);
		for (char *quote = json; (quote = strchr(quote, '\''));) *quote = '"';
		sn_status status = sn_tokenizer_parse_json(&t, ctx, (sn_slice){ json, strlen(json) }, "tokenizer.json");
		assert_null(t);
		if (status != bad_document[i].status || !strstr(sn_error(ctx), bad_document[i].text) ||
			strncmp(sn_error(ctx), "tokenizer.json: ", 16))
			fail_msg("%s: status %d, '%s'; expected %d, '%s'", json, status, sn_error(ctx), bad_document[i].status,
					 bad_document[i].text);
	}
}

/* ---- GGUF ---- */

#define S(text)                                                                                                        \
	{                                                                                                                  \
		text, sizeof(text) - 1                                                                                         \
	}
static const sn_slice tokens[] = { S("<s>"), S("a"), S("b"), S("ab") };

static const int32_t type[] = { SN_TOKEN_CONTROL, 1, 1, 1 }, control[] = { 3, 3, 3, 3 }, bytes[] = { 1, 6, 1, 1 };
static const float scores[] = { 0, -1, -2, -3 }, infinite[] = { 0, -INFINITY, 0, 0 };
static const sn_slice good[] = { S("a b") }, unknown[] = { S("a c") }, spaces[] = { S("a b c") },
					  damaged[] = { S("\xff"), S("a") };

static void bad_metadata_is_refused(void **state)
{
	const struct {
		sn_tokenizer_spec spec;
		sn_status status;
		const char *text;
	} bad[] = {
		{ { 0 }, SN_EUNKNOWN, "tokenizer.ggml.model" },
		{ { .model = "rwkv" }, SN_EUNKNOWN, "'rwkv'; known: gpt2, llama, t5, bert" },
		{ { .model = "llama" }, SN_EPARSE, "no tokens" },
		{ { .model = "llama", .n_token = 4, .token = tokens }, SN_EPARSE, "no scores" },
		{ { .model = "t5", .n_token = 4, .token = tokens, .score = infinite },
		  SN_EPARSE,
		  "piece 1, 'a', has no finite score" },
		{ { .model = "t5", .n_token = 4, .token = tokens, .score = scores, .type = control },
		  SN_EPARSE,
		  "can be used" },
		{ { .model = "t5", .n_token = 4, .token = tokens, .score = scores, .type = bytes },
		  SN_EPARSE,
		  "piece 1, 'a', is no byte" },
		{ { .model = "t5", .n_token = 4, .token = tokens, .score = scores, .charsmap = { "abc", 3 } },
		  SN_EPARSE,
		  "precompiled_charsmap: a trie of 0 bytes in 3" },
		{ { .model = "llama", .n_token = 2, .token = damaged, .score = scores }, SN_EPARSE, "is not UTF-8" },
		{ { .model = "gpt2" }, SN_EPARSE, "no tokens" },
		{ { .model = "gpt2", .n_token = 4, .token = tokens, .pre = "none" },
		  SN_EUNKNOWN,
		  "'none'; known: gpt-2 gpt2 phi-2" },
		{ { .model = "gpt2", .n_token = 4, .token = tokens, .pre = "gpt-2 gpt2" }, SN_EUNKNOWN, "'gpt-2 gpt2'; known" },
		{ { .model = "gpt2", .n_token = 4, .token = tokens, .pre = "" }, SN_EUNKNOWN, "''; known" },
		{ { .model = "gpt2", .n_token = 4, .token = tokens, .n_merge = 1, .merge = unknown },
		  SN_EPARSE,
		  "merge 0, 'a' + 'c'" },
		{ { .model = "gpt2", .n_token = 4, .token = tokens, .n_merge = 1, .merge = spaces },
		  SN_EPARSE,
		  "merge 0, 'a b c'" },
		{ { .model = "gpt2", .n_token = 4, .token = tokens, .add_bos = true, .bos = 4 },
		  SN_EPARSE,
		  "bos_token_id is 4" },
		{ { .model = "gpt2", .n_token = 4, .token = tokens, .add_eos = true, .eos = -1 },
		  SN_EPARSE,
		  "eos_token_id is -1" },
		{ { .model = "gpt2", .n_token = 2, .token = damaged, .type = type },
		  SN_EPARSE,
		  "token 0 is to be found in texts, but is not UTF-8" },
	};
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *t;
	for (int i = 0; i < SN_COUNT(bad); i++) {
		assert_int_equal(sn_tokenizer_open(&t, ctx, &bad[i].spec), bad[i].status);
		assert_null(t);
		if (!strstr(sn_error(ctx), bad[i].text)) fail_msg("'%s' lacks '%s'", sn_error(ctx), bad[i].text);
	}
}

static void what_a_file_adds_is_asked_for(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *t;
	sn_tokenizer_spec spec = {
		.model = "gpt2", .n_token = 4, .token = tokens, .type = type, .n_merge = 1, .merge = good, .add_bos = true
	};
	int n;
	assert_ok(ctx, sn_tokenizer_open(&t, ctx, &spec));
	assert_int_equal(sn_tokenizer_added(t, false, &n)[0], 0);
	assert_int_equal(n, 1);
	(void)sn_tokenizer_added(t, true, &n);
	assert_int_equal(n, 0);
	sn_tokenizer_close(t);
}

/* ---- texts ---- */

static void invalid_text_is_refused_by_its_byte(void **state)
{
	static const struct {
		sn_slice text;
		const char *place;
	} bad[] = {
		{ S("\x80"), "byte 0 (0x80)" },
		{ S("ab\xc3"), "byte 2 (0xc3)" },
		{ S("\xd0\xb6\xed\xa0\x80"), "byte 2 (0xed)" },
		{ S("a\xf5z"), "byte 1" },
	};
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_tokenizer *t;
	sn_tokens out;
	size_t size;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_tokenizer_open_json(&t, ctx, SN_TESTS "/golden/tokenizer/small-smollm.json"));
	for (int i = 0; i < SN_COUNT(bad); i++) {
		assert_int_equal(sn_tokenize(ctx, t, bad[i].text.data, bad[i].text.size, 0, arena, &out), SN_EPARSE);
		assert_non_null(strstr(sn_error(ctx), bad[i].place));
	}
	assert_null(sn_token_text(ctx, t, -1, arena, &size));
	assert_null(sn_token_text(ctx, t, sn_tokenizer_size(t), arena, &size));
	assert_non_null(strstr(sn_error(ctx), "ids from 0 to 1058"));
	sn_tokenizer_close(t);
	sn_arena_close(arena);
}

static void a_runaway_expression_gives_up(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_regex *regex;
	sn_matcher matcher = { 0 };
	static const char pattern[] = "(?:x*)*(?:x+x+)+y";
	char text[4000];
	bool found;
	size_t match[2];
	memset(text, 'x', sizeof text);
	assert_ok(ctx, sn_regex_open(&regex, ctx, pattern, strlen(pattern), false, "test"));
	assert_int_equal(sn_regex_find(regex, ctx, &matcher, text, sizeof text, 0, &found, match), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "test: the regular expression fails"));
	sn_matcher_free(&matcher);
	sn_regex_close(ctx, regex);
}

/* ---- memory ---- */

typedef struct budget {
	int left;
} budget;

static void *scarce_alloc(void *payload, size_t size)
{
	budget *b = payload;
	return b->left-- > 0 ? aligned_alloc(64, size) : NULL;
}

static void scarce_free(void *payload, void *p)
{
	(void)payload;
	free(p);
}

/* Text to tokens and back. */
static sn_status round_trip(sn_ctx *ctx, const sn_tokenizer *t, sn_arena *arena)
{
	static const char text[] =
		"<|im_end|> the keys \xff caf\xc3\xa9 \xe4\xb8\xad aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 12";
	const char *back;
	size_t size;
	sn_tokens out;
	int flags = SN_PARSE_SPECIAL | SN_ADD_SPECIAL | SN_REPLACE_INVALID;
	sn_status status = sn_tokenize(ctx, t, text, sizeof text - 1, flags, arena, &out);
	return status == SN_OK ? sn_detokenize(ctx, t, out.n, out.id, 0, arena, &back, &size) : status;
}

/* Opens and tokenizes with so many allocations granted. */
static sn_status work_within(const char *path, int allocations)
{
	budget b = { allocations };
	sn_options options = {
		.size = sizeof options, .threads = 1, .alloc = scarce_alloc, .dealloc = scarce_free, .alloc_payload = &b
	};
	sn_ctx *ctx;
	sn_tokenizer *t = NULL;
	sn_arena *arena = NULL;
	if (sn_ctx_open(&ctx, &options) != SN_OK) return SN_ENOMEM;
	sn_status status = sn_arena_open(&arena, ctx);
	if (status == SN_OK) status = sn_tokenizer_open_folder(&t, ctx, path);
	if (status == SN_OK) status = round_trip(ctx, t, arena);
	sn_tokenizer_close(t);
	sn_arena_close(arena);
	sn_ctx_close(ctx);
	return status;
}

static void any_allocation_may_fail(void **state)
{
	static const char *const paths[] = {
		"tiny/gqa-tied",
		"tokenizer/zoo/bert-uncased.json",
		"tokenizer/zoo/clip.json",
		"tokenizer/zoo/llama2.json",
		"tokenizer/zoo/mistral.json",
		"tokenizer/zoo/prefixed.json",
		"tokenizer/folders/roberta",
		"tokenizer/folders/bert-russian",
	};
	(void)state;
	for (int i = 0; i < SN_COUNT(paths); i++) {
		char path[512];
		sn_format(path, sizeof path, SN_TESTS "/golden/%s", paths[i]);
		int n = 0;
		while (n < 10000) {
			sn_status status = work_within(path, n++);
			if (status == SN_OK) break;
			assert_int_equal(status, SN_ENOMEM);
		}
		assert_true(n > 20 && n < 10000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_documents_are_refused_by_the_path_of_what_is_wrong),
		cmocka_unit_test(bad_metadata_is_refused),
		cmocka_unit_test(what_a_file_adds_is_asked_for),
		cmocka_unit_test(invalid_text_is_refused_by_its_byte),
		cmocka_unit_test(a_runaway_expression_gives_up),
		cmocka_unit_test(any_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
