/* Loading models: what a wrong file is told, that both formats of a model give the same numbers whatever their layouts,
 * that rows read in pieces are the rows read at once, and that a failed allocation leaks nothing. */
#define _GNU_SOURCE
#include "common/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"

#define ARCH SN_TESTS "/golden/arch/"

/* ---- wrong configs ---- */

typedef struct mistake {
	const char *variant, *find, *put;   /* find: a piece of its config.json; "": put comes first in the object */
	sn_status status;
	const char *text;                   /* what the error must say */
} mistake;

static const mistake mistakes[] = {
	{ "llama", "\"model_type\": \"llama\"", "\"model_type\": \"lama\"", SN_EUNKNOWN, "nearest: llama" },
	{ "llama", "\"model_type\": \"llama\"", "\"model_type\": \"qwen_3\"", SN_EUNKNOWN, "nearest: qwen3" },
	{ "llama", "\"model_type\": \"llama\"", "\"model_type\": 3", SN_EPARSE, "model_type: expected a string" },
	{ "llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", SN_ENOTFOUND, "layers.2" },
	{ "llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000", SN_ESHAPE, "blocks" },
	{ "llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 5000", SN_ESHAPE, "expected 1 to 4096" },
	{ "llama", "\"intermediate_size\": 24", "\"intermediate_size\": 25", SN_ESHAPE, "expected [25, 16]" },
	{ "llama", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", SN_ESHAPE, "evenly" },
	{ "llama", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 5", SN_ESHAPE, "num_key_value_heads" },
	{ "llama", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\"", SN_EUNKNOWN,
	  "hidden_act: \"mish\"; known: gelu" },
	{ "llama", "", "\"quantization_config\": { \"bits\": 4 },", SN_EUNKNOWN, "quantization_config" },
	{ "llama", "", "\"num_local_experts\": 8,", SN_EUNKNOWN, "experts" },
	{ "llama", "\"rms_norm_eps\": 0.002", "\"rms_norm_eps\": 2", SN_ESHAPE, "rms_norm_eps: 2; expected 0 to 1" },
	{ "llama-linear", "\"type\": \"linear\"", "\"type\": \"mrope\"", SN_EUNKNOWN, "mrope" },
	{ "llama-linear", "\"factor\"", "\"fctor\"", SN_ENOTFOUND, "factor: missing" },
	{ "llama3-rope", "\"high_freq_factor\": 4", "\"high_freq_factor\": 1", SN_ESHAPE, "high_freq_factor" },
	{ "phi3-longrope", "\"short_factor\": [", "\"short_factor\": [ 1.0, ", SN_ESHAPE, "short_factor" },
	{ "gpt_neox", "\"rotary_pct\": 0.25", "\"rotary_pct\": 3", SN_ESHAPE, "rotary_pct" },
	{ "gptj", "\"rotary_dim\": 4", "\"rotary_dim\": 3", SN_ESHAPE, "rotary_dim: 3" },
	{ "gpt2", "\"scale_attn_by_inverse_layer_idx\": false", "\"scale_attn_by_inverse_layer_idx\": true", SN_EUNKNOWN,
	  "scale_attn_by_inverse_layer_idx" },
	{ "gpt_neo", "\"local\"\n      ]", "\"linear\"\n      ]", SN_EUNKNOWN, "attention_types: \"linear\"" },
	{ "phi", "\"qk_layernorm\": false", "\"qk_layernorm\": true", SN_EUNKNOWN, "qk_layernorm: true" },
	{ "bloom", "\"apply_residual_connection_post_layernorm\": false",
	  "\"apply_residual_connection_post_layernorm\": true", SN_EUNKNOWN, "apply_residual" },
	{ "falcon-40b", "\"num_ln_in_parallel_attn\": 2", "\"num_ln_in_parallel_attn\": 3", SN_ESHAPE, "num_ln" },
	{ "qwen2-window", "\"full_attention\"", "\"chunked_attention\"", SN_EUNKNOWN,
	  "layer_types: \"chunked_attention\"" },
	{ "gemma2", "\"query_pre_attn_scalar\": 9", "\"query_pre_attn_scalar\": -9", SN_ESHAPE, "query_pre_attn_scalar" },
	{ "bert", "", "\"position_embedding_type\": \"relative_key\",", SN_EUNKNOWN, "relative_key" },
	{ "bert", "\"is_decoder\": false", "\"is_decoder\": true", SN_EUNKNOWN, "is_decoder: true" },
	{ "albert", "\"inner_group_num\": 1", "\"inner_group_num\": 2", SN_EUNKNOWN, "inner_group_num: 2" },
	{ "deberta-v2", "", "\"conv_kernel_size\": 3,", SN_EUNKNOWN, "conv_kernel_size: 3" },
	{ "deberta-v2", "\"p2c|c2p\"", "\"p2p|c2p\"", SN_EUNKNOWN, "pos_att_type: \"p2p\"" },
	{ "t5", "\"feed_forward_proj\": \"relu\"", "\"feed_forward_proj\": \"swiglu\"", SN_EUNKNOWN, "\"swiglu\"" },
	{ "bart", "\"encoder_layers\": 2", "\"encoder_layers\": 3", SN_ENOTFOUND, "encoder.layers.2" },
	{ "bart", "\"decoder_ffn_dim\": 24", "\"decoder_ffn_dim\": 20", SN_ESHAPE, "decoder.layers.0.fc1" },
};

static char *read_text(const char *path, long *size)
{
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*size = ftell(f);
	rewind(f);
	char *text = calloc((size_t)*size + 1, 1);
	assert_int_equal(fread(text, 1, (size_t)*size, f), *size);
	fclose(f);
	return text;
}

static void write_text(const char *path, const char *a, long n_a, const char *put, const char *b, long n_b)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fwrite(a, 1, (size_t)n_a, f);
	fwrite(put, 1, strlen(put), f);
	fwrite(b, 1, (size_t)n_b, f);
	assert_int_equal(fclose(f), 0);
}

/* Writes the variant's config with the mistake into folder, beside a link to its weights. */
static void make_folder(const mistake *m, const char *folder)
{
	char path[512], weights[512];
	long size;
	snprintf(path, sizeof path, ARCH "%s/config.json", m->variant);
	char *text = read_text(path, &size);
	char *at = *m->find ? strstr(text, m->find) : strchr(text, '{') + 1;
	if (!at) fail_msg("%s: %s does not stand in the config", m->variant, m->find);
	long before = at - text, after = before + (long)strlen(m->find);
	snprintf(path, sizeof path, "%s/config.json", folder);
	write_text(path, text, before, m->put, text + after, size - after);
	snprintf(path, sizeof path, ARCH "%s/model.safetensors", m->variant);
	snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
	unlink(weights);
	assert_int_equal(symlink(path, weights), 0);
	free(text);
}

static void expect(sn_ctx *ctx, const char *what, const char *path, sn_status status, const char *text)
{
	sn_model *model;
	sn_status found = sn_model_open(&model, ctx, path);
	if (found == SN_OK) fail_msg("%s: opens", what);
	if (found != status || !strstr(sn_error(ctx), text))
		fail_msg("%s: status %d, \"%s\"; expected %d, \"%s\"", what, found, sn_error(ctx), status, text);
	assert_null(model);
}

static void remove_folder(const char *folder)
{
	static const char *const file[] = { "config.json", "model.safetensors", "model.gguf" };
	char path[512];
	for (int i = 0; i < SN_COUNT(file); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, file[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(folder), 0);
}

static void wrong_configs_are_named(void **state)
{
	char folder[] = "/tmp/sonde-load-XXXXXX";
	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < SN_COUNT(mistakes); i++) {
		make_folder(&mistakes[i], folder);
		expect(test_ctx(state), mistakes[i].put, folder, mistakes[i].status, mistakes[i].text);
	}
	remove_folder(folder);
}

/* ---- wrong GGUF keys ---- */

/* The bytes behind a key's name are changed: kind (u32), then the value. */
typedef struct wrong_key {
	const char *variant, *key;
	int at, n;             /* bytes behind the name, how many */
	uint8_t put[8];
	sn_status status;
	const char *text;
} wrong_key;

static const wrong_key wrong_keys[] = {
	{ "llama", "general.architecture", 12, 1, { 'x' }, SN_EUNKNOWN, "nearest: llama" },
	{ "llama", "llama.block_count", 4, 1, { 3 }, SN_ENOTFOUND, "blk.2" },
	{ "llama", "llama.block_count", 4, 4, { 0 }, SN_ESHAPE, "block_count is 0" },
	{ "llama", "llama.feed_forward_length", 4, 1, { 25 }, SN_ESHAPE, "expected [25, 16]" },
	{ "llama", "llama.attention.head_count_kv", 4, 1, { 9 }, SN_ESHAPE, "head_count_kv is 9" },
	{ "llama-linear", "llama.rope.scaling.type", 12, 1, { 'x' }, SN_EUNKNOWN, "known: none, linear, yarn" },
	{ "gemma", "gemma.attention.value_length", 4, 1, { 4 }, SN_EUNKNOWN, "values of 4 columns" },
	{ "bert-base-only", "bert.attention.causal", 4, 1, { 1 }, SN_EUNKNOWN, "bert.attention.causal is true" },
};

static void put_bytes(const wrong_key *w, const char *to)
{
	char path[512];
	long size;
	snprintf(path, sizeof path, ARCH "%s/model.gguf", w->variant);
	char *bytes = read_text(path, &size), *at = memmem(bytes, (size_t)size, w->key, strlen(w->key));
	if (!at) fail_msg("%s has no key %s", w->variant, w->key);
	memcpy(at + strlen(w->key) + w->at, w->put, (size_t)w->n);
	write_text(to, bytes, size, "", "", 0);
	free(bytes);
}

static void wrong_gguf_keys_are_named(void **state)
{
	char folder[] = "/tmp/sonde-load-XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/model.gguf", folder);
	for (int i = 0; i < SN_COUNT(wrong_keys); i++) {
		put_bytes(&wrong_keys[i], path);
		expect(test_ctx(state), wrong_keys[i].key, path, wrong_keys[i].status, wrong_keys[i].text);
	}
	remove_folder(folder);
}

/* ---- numbers ---- */

static float *read_part(sn_ctx *ctx, const sn_model *model, sn_part part, int layer, int64_t piece, int64_t *n)
{
	int64_t rows = sn_part_rows(&model->shape, part), columns = sn_part_columns(&model->shape, part);
	float *x = malloc((size_t)(rows * columns) * sizeof *x);
	for (int64_t i = 0; i < rows; i += piece)
		assert_ok(ctx, model->source.read(ctx, model->source.arg, part, layer, i, SN_MIN(piece, rows - i),
		                                  x + i * columns));
	*n = rows * columns;
	return x;
}

static int blocks(const sn_model *model, sn_part part)
{
	const sn_shape *s = &model->shape;
	return !sn_part_per_layer(part) ? 1 : s->n_group ? s->n_group : s->n_layer;
}

/* Calls use with every part of every block that a model has. */
static void each_part(sn_ctx *ctx, const sn_model *a, const sn_model *b,
                      void (*use)(sn_ctx *, const sn_model *, const sn_model *, sn_part, int))
{
	for (int p = 1; p < SN_PART_COUNT; p++)
		for (int l = 0; sn_has(&a->shape, (sn_part)p) && l < blocks(a, (sn_part)p); l++) {
			bool bare = a->shape.form.first_attn_bare && l == 0;
			if (!(bare && (p == SN_PART_ATTN_NORM || p == SN_PART_ATTN_NORM_B))) use(ctx, a, b, (sn_part)p, l);
		}
}

static void same_in_both(sn_ctx *ctx, const sn_model *a, const sn_model *b, sn_part part, int layer)
{
	int64_t n, m;
	assert_true(sn_has(&b->shape, part));
	float *x = read_part(ctx, a, part, layer, 5, &n), *y = read_part(ctx, b, part, layer, 7, &m);
	assert_int_equal(n, m);
	if (memcmp(x, y, (size_t)n * sizeof *x) != 0) fail_msg("%s of block %d differs", sn_part_name(part), layer);
	free(x);
	free(y);
}

/* Fused, transposed, grouped and interleaved tensors of one format are plain in the other. */
static void both_formats_hold_the_same_numbers(void **state)
{
	static const char *const variants[] = { "llama",     "llama-bias",        "gpt2",  "gpt_neox",
											"falcon-7b", "falcon-40b",        "bloom", "qwen2",
											"qwen3",     "smollm3",           "olmo2", "phi3",
											"stablelm",  "stablelm-parallel", "gemma", "bert-base-only" };
	sn_ctx *ctx = test_ctx(state);
	for (int i = 0; i < SN_COUNT(variants); i++) {
		sn_model *hf, *gguf;
		char path[512];
		snprintf(path, sizeof path, ARCH "%s", variants[i]);
		assert_ok(ctx, sn_model_open(&hf, ctx, path));
		snprintf(path, sizeof path, ARCH "%s/model.gguf", variants[i]);
		assert_ok(ctx, sn_model_open(&gguf, ctx, path));
		each_part(ctx, hf, gguf, same_in_both);
		assert_true(hf->shape.has == gguf->shape.has && hf->shape.tied == gguf->shape.tied);
		sn_model_close(hf);
		sn_model_close(gguf);
	}
}

static void same_in_pieces(sn_ctx *ctx, const sn_model *a, const sn_model *b, sn_part part, int layer)
{
	int64_t n;
	(void)b;
	float *whole = read_part(ctx, a, part, layer, INT64_MAX / 2, &n);
	for (int64_t piece = 1; piece < 8; piece += 3) {
		float *x = read_part(ctx, a, part, layer, piece, &n);
		if (memcmp(x, whole, (size_t)n * sizeof *x) != 0)
			fail_msg("%s of block %d differs in pieces of %d rows", sn_part_name(part), layer, (int)piece);
		free(x);
	}
	free(whole);
}

static void pieces_make_the_whole(void **state)
{
	static const char *const files[] = { "gpt2", "gpt_neox", "phi3", "stablelm-parallel", "llama/model.gguf",
		"stablelm-parallel/model.gguf", "modernbert", "albert", "t5-v1_1", "gemma3" };
	sn_ctx *ctx = test_ctx(state);
	for (int i = 0; i < SN_COUNT(files); i++) {
		sn_model *model;
		char path[512];
		snprintf(path, sizeof path, ARCH "%s", files[i]);
		assert_ok(ctx, sn_model_open(&model, ctx, path));
		each_part(ctx, model, NULL, same_in_pieces);
		if (model->encoder) each_part(ctx, model->encoder, NULL, same_in_pieces);
		sn_model_close(model);
	}
}

/* ---- the table ---- */

/* Every row can be found by its names, names what every model has, and needs at most one tensor a part. */
static void rows_are_sound(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	const sn_arch *arch, *found;
	int n = 0;
	for (; (arch = sn_arch_at(n)); n++) {
		assert_ok(ctx, sn_arch_find_hf(ctx, "x", arch->model_type, &found));
		assert_ptr_equal(found, arch);
		if (arch->gguf_name) assert_ok(ctx, sn_arch_find_gguf(ctx, "x", arch->gguf_name, &found));
		if (arch->gguf_name) assert_ptr_equal(found, arch);
		uint64_t parts = sn_arch_parts(arch);
		assert_true(parts & SN_PART_BIT(EMBED) && parts & SN_PART_BIT(Q) && parts & SN_PART_BIT(DOWN));
		for (int p = 1; p < SN_PART_COUNT; p++) {
			const char *name = arch->hf[p].name;
			assert_true(!name || (strstr(name, "%d") != NULL) == sn_part_per_layer((sn_part)p));
		}
	}
	assert_true(n >= 35);
	assert_string_equal(sn_arch_at(0)->model_type, "llama");
	assert_null(sn_arch_at(-1));
}

/* ---- memory ---- */

typedef struct faulty { int64_t left, live; } faulty;

static void *faulty_alloc(void *payload, size_t size)
{
	faulty *f = payload;
	if (f->left-- == 0) return NULL;
	f->live++;
	return aligned_alloc(64, size);
}

static void faulty_free(void *payload, void *p)
{
	((faulty *)payload)->live--;
	free(p);
}

/* Opens a model with the nth allocation failing; returns whether there were so many. */
static bool open_short(const char *path, int64_t n)
{
	faulty f = { .left = -1 };
	sn_ctx *ctx;
	sn_model *model;
	sn_options options = { .size = sizeof options, .threads = 1, .alloc = faulty_alloc, .dealloc = faulty_free,
	                       .alloc_payload = &f };
	assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
	int64_t live = f.live;
	f.left = n;
	sn_status status = sn_model_open(&model, ctx, path);
	bool reached = f.left < 0;
	f.left = -1;
	if (status != (reached ? SN_ENOMEM : SN_OK)) fail_msg("%s: status %d, allocation %d", path, status, (int)n);
	sn_model_close(model);
	assert_int_equal(f.live, live);
	sn_ctx_close(ctx);
	return reached;
}

static void no_allocation_may_fail_unseen(void **state)
{
	static const char *const path[] = { ARCH "t5", ARCH "gemma3", ARCH "stablelm-parallel",
										ARCH "phi3-longrope/model.gguf", ARCH "gemma3-gguf/model.gguf" };
	(void)state;
	for (int i = 0; i < SN_COUNT(path); i++) {
		int64_t n = 0;
		while (open_short(path[i], n)) n++;
		assert_true(n > 5 && n < 2000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_configs_are_named),
		cmocka_unit_test(wrong_gguf_keys_are_named),
		cmocka_unit_test(both_formats_hold_the_same_numbers),
		cmocka_unit_test(pieces_make_the_whole),
		cmocka_unit_test(rows_are_sound),
		cmocka_unit_test(no_allocation_may_fail_unseen),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
