/* Names of models on the hub, what a repository's description is read as, and what is chosen from it. The traffic is
 * tested from outside (tests/cli/hub.py). */
#include "common/test.h"

#include "io/http.h"
#include "io/hub.h"

#include <string.h>

#define SHA "0123456789abcdef0123456789abcdef01234567"

static sn_arena *arena;

static int open_arena(void **state) { return test_open(state) != 0 || sn_arena_open(&arena, *state) != SN_OK; }

static int close_arena(void **state)
{
	sn_arena_close(arena);
	return test_close(state);
}

static void names_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *repo, *revision, *file;
	} good[] = {
		{ "org/name", "org/name", "main", NULL },
		{ "gpt2", "gpt2", "main", NULL },
		{ "gpt2@v1.0", "gpt2", "v1.0", NULL },
		{ "a.b/c_d-e@refs/pr/12", "a.b/c_d-e", "refs/pr/12", NULL },
		{ "o/n@" SHA "/x.gguf", "o/n", SHA, "x.gguf" },
		{ "o/n/sub/x y.gguf", "o/n", "main", "sub/x y.gguf" },
		{ "o/n@refs/pr/1/sub/x.gguf", "o/n", "refs/pr/1", "sub/x.gguf" },
	};
	for (int i = 0; i < SN_COUNT(good); i++) {
		sn_hub_name name;
		assert_ok(*state, sn_hub_name_read(*state, arena, good[i].text, &name));
		assert_string_equal(name.repo, good[i].repo);
		assert_string_equal(name.revision, good[i].revision);
		if (good[i].file)
			assert_string_equal(name.file, good[i].file);
		else
			assert_null(name.file);
	}
}

static void other_texts_are_no_names(void **state)
{
	static const char *const bad[] = { "",         "/",        "/abs",       "./x",         "../x",   "o/",
									   "o//n",     "o/n/",     "o/n@",       "o/n@/x",      "-o/n",   "o/n--m",
									   "o/n..m",   "o/n.",     "o n/x",      "o/n@a..b/..", "o/n@-x", "o/n@a b",
									   "o/n/../x", "o/n/a//b", "o/\xd0\xb8", "o/n@.." };
	for (int i = 0; i < SN_COUNT(bad); i++) {
		sn_hub_name name;
		if (sn_hub_name_read(*state, arena, bad[i], &name) != SN_EARG) fail_msg("\"%s\" was taken for a name", bad[i]);
	}
}

static sn_hub_listing listing(void **state, const char *const *file, int n)
{
	sn_hub_listing out;
	sn_buf text = { .ctx = *state };
	sn_buf_puts(&text, "{\"sha\": \"" SHA "\", \"siblings\": [");
	for (int i = 0; i < n; i++) sn_buf_format(&text, "%s{\"rfilename\": \"%s\"}", i ? ", " : "", file[i]);
	sn_buf_puts(&text, "]}");
	assert_false(text.failed);
	assert_ok(*state, sn_hub_listing_read(*state, arena, "listing", text.data, text.size, &out));
	sn_buf_free(&text);
	assert_int_equal(out.n, n);
	return out;
}

/* Chosen files joined by blanks, or the error. */
static const char *chosen(void **state, const char *pattern, const char *const *file, int n)
{
	sn_hub_listing all = listing(state, file, n);
	const char **take, *text = "";
	int n_take;
	if (sn_hub_choose(*state, arena, "o/n", &all, pattern, &take, &n_take) != SN_OK) return sn_error(*state);
	for (int i = 0; i < n_take; i++) text = sn_arena_format(arena, "%s%s%s", text, i ? " " : "", take[i]);
	return text;
}
#define CHOSEN(pattern, ...)                                                                                           \
	chosen(state, pattern, (const char *[]){ __VA_ARGS__ }, SN_COUNT(((const char *[]){ __VA_ARGS__ })))

static void what_is_needed_is_chosen(void **state)
{
	assert_string_equal(CHOSEN(NULL, "README.md", "model.safetensors", "config.json", "vocab.txt", "pytorch_model.bin",
							   "generation_config.json", "onnx/config.json", "vocab.json.bak"),
						"config.json vocab.txt model.safetensors");
	assert_string_equal(
		CHOSEN(NULL, "config.json", "pytorch_model.bin.index.json", "pytorch_model_00001-of-00002.bin",
			   "pytorch_model_00002-of-00002.bin", "x.gguf", "source.spm", "target.spm"),
		"config.json source.spm target.spm pytorch_model.bin.index.json pytorch_model_00001-of-00002.bin "
		"pytorch_model_00002-of-00002.bin");
	assert_string_equal(CHOSEN(NULL, "config.json", "pytorch_model.bin", "model.safetensors.index.json"),
						"config.json model.safetensors.index.json pytorch_model.bin");
	assert_string_equal(CHOSEN(NULL, "config.json", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"),
						"m-00001-of-00002.gguf m-00002-of-00002.gguf");
	assert_string_equal(CHOSEN("*q4*", "a.q4.gguf", "b/c.q4_0.gguf", "d.q8.gguf"), "a.q4.gguf b/c.q4_0.gguf");
	assert_string_equal(CHOSEN("[x].gguf", "[x].gguf", "x.gguf"), "[x].gguf x.gguf");
	assert_non_null(strstr(CHOSEN(NULL, "a.gguf", "b.gguf"), "choose with --file: a.gguf, b.gguf"));
	assert_non_null(strstr(CHOSEN(NULL, "m-00001-of-00002.gguf", "n-00002-of-00002.gguf"), "choose with --file"));
	assert_non_null(strstr(CHOSEN(NULL, "config.json"), "no weights"));
	assert_non_null(strstr(CHOSEN(NULL, "model.safetensors"), "it has: model.safetensors"));
}

static void hosts_are_told_apart(void **state)
{
	(void)state;
	assert_true(sn_http_same_origin("https://a.org/x", "https://A.org:443/y?z"));
	assert_false(sn_http_same_origin("https://a.org/x", "http://a.org/x"));
	assert_false(sn_http_same_origin("https://a.org/x", "https://a.org:8443/x"));
	assert_false(sn_http_same_origin("https://a.org/x", "https://b.a.org/x"));
	assert_false(sn_http_same_origin("https://a.org/x", "https://a.org@b.org/x"));
	assert_false(sn_http_same_origin("https://a.org/x", "nonsense:"));
	assert_string_equal(sn_http_escape(arena, "a b/\xd0\xb8?#%", true), "a%20b/%D0%B8%3F%23%25");
	assert_string_equal(sn_http_escape(arena, "refs/pr/1", false), "refs%2Fpr%2F1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_taken_apart),
		cmocka_unit_test(other_texts_are_no_names),
		cmocka_unit_test(what_is_needed_is_chosen),
		cmocka_unit_test(hosts_are_told_apart),
	};
	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
