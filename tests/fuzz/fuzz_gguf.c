/* GGUF: every key through every getter, every tensor that can be read, and the tokenizer in the metadata. */
#include "fuzz.h"

#include <stdlib.h>

#include "io/gguf.h"
#include "text/tokenizer.h"

static void read_key(const sn_gguf *file, const char *key, sn_arena *arena)
{
	int64_t i, n;
	double d;
	bool b, *bools;
	sn_slice text, *texts;
	const char *string;
	int32_t *ints;
	float *floats;
	(void)fuzz_ok(sn_gguf_i64(file, key, &i));
	(void)fuzz_ok(sn_gguf_f64(file, key, &d));
	(void)fuzz_ok(sn_gguf_bool(file, key, &b));
	(void)fuzz_ok(sn_gguf_text(file, key, &text));
	(void)fuzz_ok(sn_gguf_string(file, key, arena, &string));
	(void)fuzz_ok(sn_gguf_i32s(file, key, arena, &ints, &n));
	(void)fuzz_ok(sn_gguf_f32s(file, key, arena, &floats, &n));
	(void)fuzz_ok(sn_gguf_bools(file, key, arena, &bools, &n));
	size_t bytes = 0;
	if (fuzz_ok(sn_gguf_texts(file, key, arena, &texts, &n)))
		for (i = 0; i < n; i++) bytes += texts[i].size;
	fuzz_require(bytes <= sn_gguf_size(file));
}

static void read_tensors(const sn_gguf *file, const uint8_t *bytes, size_t size)
{
	for (int64_t i = 0; i < sn_gguf_tensor_count(file); i++) {
		const sn_gguf_tensor *t = sn_gguf_tensor_at(file, i);
		fuzz_require(sn_gguf_tensor_find(file, t->name) == t);
		fuzz_require(t->data >= bytes && t->data + t->size <= bytes + size);
		if (!t->type->to_f32) continue;
		float *out = malloc((size_t)t->count * sizeof *out);
		fuzz_require(out != NULL);
		t->type->to_f32(t->data, out, t->count);
		free(out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_ctx *ctx = fuzz_ctx();
	sn_gguf *file;
	sn_arena *arena;
	sn_tokenizer *tokenizer;
	if (!fuzz_ok(sn_gguf_open_bytes(&file, ctx, "input", bytes, size))) return 0;
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	for (int64_t i = 0; i < sn_gguf_key_count(file); i++) {
		sn_slice name = sn_gguf_key_at(file, i);
		const char *key = sn_arena_copy(arena, name.data, name.size);
		fuzz_require(sn_gguf_has(file, key));
		read_key(file, key, arena);
	}
	read_tensors(file, bytes, size);
	if (fuzz_ok(sn_tokenizer_open_gguf(&tokenizer, ctx, file))) sn_tokenizer_close(tokenizer);
	sn_arena_close(arena);
	sn_gguf_close(file);
	return 0;
}
