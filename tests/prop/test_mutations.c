/* Damaged files: thousands of seeded mutations of every committed valid file (cut, flipped, overwritten with lengths
 * that lie, spliced, swapped) are opened and, where they still open, read. Nothing may crash or hang, a failure must
 * have a text, and memory stays below a constant and twice the file's size, or what the sound file takes where that is
 * more (a JSON tree is larger than its text). SONDE_MUTATIONS: how many a file. */
#define _GNU_SOURCE
#include "common/test.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/gguf.h"
#include "io/json.h"
#include "io/tensor_file.h"
#include "text/tokenizer.h"

#define GOLDEN SN_TESTS "/golden/"
#define TINY GOLDEN "tiny/gqa-tied/"

#ifdef __SANITIZE_ADDRESS__
enum { MUTATIONS = 1000 };
#else
enum { MUTATIONS = 10000 };
#endif
enum { CONSTANT = 256 << 10, MAX_SECONDS = 2, MAX_NUMBERS = 1 << 16, MAX_SIZE = 1 << 20 };

/* ---- memory, counted ---- */

typedef struct counter {
	size_t live, peak;
} counter;

enum { HEAD = 64 }; /* the size stands before each block */

static void *counted_alloc(void *payload, size_t size)
{
	counter *c = payload;
	char *p = aligned_alloc(64, HEAD + size);
	if (!p) return NULL;
	memcpy(p, &size, sizeof size);
	c->live += size;
	c->peak = SN_MAX(c->peak, c->live);
	return p + HEAD;
}

static void counted_free(void *payload, void *p)
{
	size_t size;
	memcpy(&size, (char *)p - HEAD, sizeof size);
	((counter *)payload)->live -= size;
	free((char *)p - HEAD);
}

/* Jansson's blocks count too. */
static counter *json_counter;
static void *json_alloc(size_t size) { return counted_alloc(json_counter, (size + 63) / 64 * 64); }
static void json_free(void *p)
{
	if (p) counted_free(json_counter, p);
}

/* ---- mutations ---- */

typedef struct bytes {
	uint8_t *data;
	size_t size;
} bytes;

/* A place: anywhere, or near the beginning or the end, where headers and directories are. */
static size_t place(sn_rng *rng, size_t size)
{
	size_t near = SN_MIN(size, (size_t)1024);
	switch (sn_rng_below(rng, 4)) {
	case 0:
	case 1:
		return sn_rng_below(rng, near);
	case 2:
		return size - 1 - sn_rng_below(rng, near);
	default:
		return sn_rng_below(rng, size);
	}
}

/* From 1 to room, mostly short. */
static size_t length(sn_rng *rng, size_t room)
{
	size_t most = (size_t)1 << sn_rng_below(rng, 9);
	return 1 + sn_rng_below(rng, SN_MIN(room, most));
}

static void flip(sn_rng *rng, bytes *b)
{
	for (uint64_t n = 1 + sn_rng_below(rng, 8); n > 0; n--)
		b->data[place(rng, b->size)] ^= (uint8_t)(1 << sn_rng_below(rng, 8));
}

/* A number of 1 to 8 bytes becomes one that lengths and offsets should not be. */
static void lie(sn_rng *rng, bytes *b)
{
	const uint64_t known[] = {
		0,          1,          2,          b->size,    b->size - 1, b->size + 1,  0x7f,
		0xff,       0xffff,     0x7fffffff, 0x80000000, 0xffffffff,  1ull << 32,   INT64_MAX,
		1ull << 63, UINT64_MAX, 10000,      1ull << 24, 1ull << 62,  0x2000000000, UINT64_MAX - 63,
		'0',        '9',        '-',        ']'
	};
	size_t at = place(rng, b->size), width = 1ull << sn_rng_below(rng, 4);
	uint64_t value = known[sn_rng_below(rng, SN_COUNT(known))];
	memcpy(b->data + at, &value, SN_MIN(width, b->size - at));
}

static void noise(sn_rng *rng, bytes *b)
{
	size_t at = place(rng, b->size), n = length(rng, b->size - at);
	for (size_t i = 0; i < n; i++) b->data[at + i] = (uint8_t)sn_rng_next(rng);
}

static void cut(sn_rng *rng, bytes *b) { b->size = place(rng, b->size); }

static void swap_ranges(sn_rng *rng, bytes *b)
{
	size_t x = place(rng, b->size), y = place(rng, b->size), n = length(rng, b->size - SN_MAX(x, y));
	for (size_t i = 0; i < n; i++) {
		uint8_t old = b->data[x + i];
		b->data[x + i] = b->data[y + i];
		b->data[y + i] = old;
	}
}

static void copy_range(sn_rng *rng, bytes *b)
{
	size_t from = place(rng, b->size), to = place(rng, b->size), n = length(rng, b->size - SN_MAX(from, to));
	memmove(b->data + to, b->data + from, n);
}

static void delete_range(sn_rng *rng, bytes *b)
{
	size_t at = place(rng, b->size), n = length(rng, b->size - at);
	memmove(b->data + at, b->data + at + n, b->size - at - n);
	b->size -= n;
}

/* A range once more, right behind itself; the buffer has room for one file more. */
static void repeat_range(sn_rng *rng, bytes *b)
{
	size_t at = place(rng, b->size), n = length(rng, b->size - at);
	memmove(b->data + at + n, b->data + at, b->size - at);
	b->size += n;
}

/* A copy with one to three mutations, in memory of exactly its size. */
static bytes mutate(const bytes *file, sn_rng *rng, uint8_t *room)
{
	static void (*const kinds[])(sn_rng *, bytes *) = { flip,        lie,        lie,          noise,       cut,
														swap_ranges, copy_range, delete_range, repeat_range };
	bytes work = { room, file->size };
	memcpy(room, file->data, file->size);
	for (uint64_t n = 1 + sn_rng_below(rng, 3); n > 0 && work.size > 0; n--)
		kinds[sn_rng_below(rng, SN_COUNT(kinds))](rng, &work);
	bytes exact = { malloc(work.size + !work.size), work.size };
	assert_non_null(exact.data);
	memcpy(exact.data, room, work.size);
	return exact;
}

/* ---- readers ---- */

typedef sn_status use_bytes(sn_ctx *ctx, const char *folder, const bytes *b);

static void read_stored(const sn_stored *t)
{
	int64_t rows = t->ndim ? t->dim[0] : 1, width = rows ? t->count / rows : 0;
	if (!t->type->to_f32 || t->count == 0 || width > MAX_NUMBERS) return;
	float *out = malloc((size_t)width * sizeof *out);
	assert_non_null(out);
	for (int64_t i = 0; i < rows && i * width < MAX_NUMBERS; i++) sn_stored_rows(t, i, 1, out);
	sn_stored_rows(t, rows - 1, 1, out);
	free(out);
}

static void read_all(sn_tensor_file *file)
{
	for (int64_t i = 0; i < sn_tensor_file_count(file); i++) read_stored(sn_tensor_file_at(file, i));
	sn_tensor_file_close(file);
}

static sn_status use_tensors(sn_ctx *ctx, const char *folder, const bytes *b)
{
	sn_tensor_file *file;
	(void)folder;
	SN_TRY(sn_tensor_file_open_bytes(&file, ctx, "mutated", b->data, b->size));
	read_all(file);
	return SN_OK;
}

/* A tokenizer that still opens must cope with text. */
static void try_tokenizer(sn_ctx *ctx, sn_tokenizer *tokenizer)
{
	static const char text[] =
		"The keys\tare 12,345 \xd0\xb7\xd0\xb4\xd0\xb5\xd1\x81\xd1\x8c <s>\xf0\x9f\x98\x80 don't\n";
	sn_arena *arena;
	sn_tokens tokens;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_status status =
		sn_tokenize(ctx, tokenizer, text, sizeof text - 1, SN_ADD_SPECIAL | SN_PARSE_SPECIAL, arena, &tokens);
	if (status != SN_OK) assert_int_equal(sn_status_exit_code(status), 2);
	sn_arena_close(arena);
	sn_tokenizer_close(tokenizer);
}

static sn_status use_gguf(sn_ctx *ctx, const char *folder, const bytes *b)
{
	sn_gguf *file;
	(void)folder;
	SN_TRY(sn_gguf_open_bytes(&file, ctx, "mutated", b->data, b->size));
	for (int64_t i = 0; i < sn_gguf_tensor_count(file); i++) {
		const sn_gguf_tensor *t = sn_gguf_tensor_at(file, i);
		if (!t->type->to_f32 || t->count > MAX_NUMBERS) continue;
		float *out = malloc((size_t)t->count * sizeof *out);
		t->type->to_f32(t->data, out, t->count);
		free(out);
	}
	sn_tokenizer *tokenizer;
	sn_status status = sn_tokenizer_open_gguf(&tokenizer, ctx, file);
	if (status == SN_OK) try_tokenizer(ctx, tokenizer);
	sn_gguf_close(file);
	return status;
}

static const char *write_to(sn_ctx *ctx, const char *folder, const char *name, const bytes *b)
{
	static char path[256];
	(void)ctx;
	sn_format(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b->data, 1, b->size, f), b->size);
	assert_int_equal(fclose(f), 0);
	return path;
}

static sn_status use_index(sn_ctx *ctx, const char *folder, const bytes *b)
{
	sn_tensor_file *file;
	SN_TRY(sn_tensor_file_open(&file, ctx, write_to(ctx, folder, "pytorch_model.bin.index.json", b)));
	read_all(file);
	return SN_OK;
}

static sn_status use_split(sn_ctx *ctx, const char *folder, const bytes *b)
{
	sn_gguf *file;
	SN_TRY(sn_gguf_open(&file, ctx, write_to(ctx, folder, "model-00003-of-00003.gguf", b)));
	sn_gguf_close(file);
	return SN_OK;
}

static sn_status use_model(sn_ctx *ctx, const char *folder, const char *name, const bytes *b)
{
	sn_model *model;
	(void)write_to(ctx, folder, name, b);
	SN_TRY(sn_model_open(&model, ctx, folder));
	sn_model_close(model);
	return SN_OK;
}

static sn_status use_config(sn_ctx *ctx, const char *folder, const bytes *b)
{
	return use_model(ctx, folder, "config.json", b);
}

static sn_status use_tokenizer(sn_ctx *ctx, const char *folder, const bytes *b)
{
	sn_tokenizer *tokenizer;
	(void)write_to(ctx, folder, "tokenizer.json", b);
	SN_TRY(sn_tokenizer_open_json(&tokenizer, ctx, folder));
	try_tokenizer(ctx, tokenizer);
	return SN_OK;
}

static sn_status use_sentencepiece(sn_ctx *ctx, const char *folder, const bytes *b)
{
	sn_tokenizer *tokenizer;
	(void)folder;
	SN_TRY(sn_tokenizer_parse_sentencepiece(&tokenizer, ctx, (sn_slice){ (const char *)b->data, b->size }, "mutated"));
	try_tokenizer(ctx, tokenizer);
	return SN_OK;
}

/* ---- the files ---- */

/* A file, how it is read, and the other files that must lie beside it (NULL behind the last). */
typedef struct subject {
	const char *path;
	use_bytes *use;
	const char *beside[4];
} subject;

static const subject subjects[] = {
	{ TINY "model.gguf", use_gguf, { NULL } },
	{ GOLDEN "tiny/quantised/model.gguf", use_gguf, { NULL } },
	{ GOLDEN "gguf_split/model-00003-of-00003.gguf",
	  use_split,
	  { GOLDEN "gguf_split/model-00001-of-00003.gguf", GOLDEN "gguf_split/model-00002-of-00003.gguf", NULL } },
	{ GOLDEN "tiny/mha-untied/model.safetensors", use_tensors, { NULL } },
	{ GOLDEN "torch/plain.safetensors", use_tensors, { NULL } },
	{ GOLDEN "torch/plain.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/new.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/views.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/views-protocol4.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/module.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/attributes.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/views-legacy.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/module-legacy.bin", use_tensors, { NULL } },
	{ GOLDEN "torch/sharded/pytorch_model.bin.index.json",
	  use_index,
	  { GOLDEN "torch/sharded/pytorch_model-00001-of-00002.bin",
		GOLDEN "torch/sharded/pytorch_model-00002-of-00002.bin", NULL } },
	{ TINY "config.json", use_config, { TINY "model.safetensors", NULL } },
	{ TINY "tokenizer.json", use_tokenizer, { NULL } },
	{ GOLDEN "tokenizer/zoo/bert-cased.json", use_tokenizer, { NULL } },
	{ GOLDEN "tokenizer/zoo/unigram-bytes.json", use_tokenizer, { NULL } },
	{ GOLDEN "tokenizer/zoo/llama2.json", use_tokenizer, { NULL } },
	{ GOLDEN "sentencepiece/t5.model", use_sentencepiece, { NULL } },
	{ GOLDEN "sentencepiece/bpe-bytes.model", use_sentencepiece, { NULL } },
	{ GOLDEN "sentencepiece/unigram-bytes.model", use_sentencepiece, { NULL } },
};

static void link_beside(const subject *s, const char *folder, bool there)
{
	for (int i = 0; s->beside[i]; i++) {
		char path[256];
		sn_format(path, sizeof path, "%s%s", folder, strrchr(s->beside[i], '/'));
		assert_int_equal(there ? symlink(s->beside[i], path) : unlink(path), 0);
	}
}

typedef struct outcome {
	int64_t opened, refused;
	size_t sound; /* memory that the sound file takes */
	size_t most;  /* memory beyond that, or beyond twice the size, whichever is more */
	double slowest;
} outcome;

static void try_one(const subject *s, const char *folder, sn_ctx *ctx, counter *memory, const bytes *b, outcome *out)
{
	size_t before = memory->live;
	memory->peak = before;
	clock_t start = clock();
	sn_status status = s->use(ctx, folder, b);
	double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
	assert_int_equal(memory->live, before);
	if (status != SN_OK) {
		assert_int_equal(sn_status_exit_code(status), 2);
		assert_true(strlen(sn_error(ctx)) > 0);
	}
	size_t taken = memory->peak - before;
	out->opened += status == SN_OK;
	out->refused += status != SN_OK;
	size_t allowed = SN_MAX(2 * b->size, out->sound);
	out->most = SN_MAX(out->most, taken - SN_MIN(taken, allowed));
	out->slowest = SN_MAX(out->slowest, seconds);
}

static void try_all(const subject *s, const char *folder, sn_ctx *ctx, counter *memory, int64_t n)
{
	sn_map_file map;
	assert_ok(ctx, sn_map_open(&map, ctx, s->path));
	assert_true(map.size <= MAX_SIZE);
	bytes file = { (uint8_t *)(uintptr_t)map.data, map.size };
	uint8_t *room = malloc(8 * map.size + 4096);
	outcome out = { 0 };
	memory->peak = memory->live;
	size_t before = memory->live;
	assert_ok(ctx, s->use(ctx, folder, &file));
	out.sound = memory->peak - before;
	for (int64_t i = 0; i < n; i++) {
		sn_rng rng = sn_rng_make(20, sn_fnv1a(SN_FNV_START, &i, sizeof i));
		bytes b = mutate(&file, &rng, room);
		try_one(s, folder, ctx, memory, &b, &out);
		free(b.data);
	}
	print_message(
		"%-40s %5lld opened, %5lld refused; %3zu KiB, sound %4zu KiB, damaged at most %3zu KiB more; %.3f s\n",
		s->path + strlen(GOLDEN), (long long)out.opened, (long long)out.refused, file.size >> 10, out.sound >> 10,
		out.most >> 10, out.slowest);
	assert_true(out.refused > n / 4);
	assert_true(out.most <= CONSTANT);
	assert_true(out.slowest < MAX_SECONDS);
	free(room);
	sn_map_close(ctx, &map);
}

static void damaged_files_do_no_harm(void **state)
{
	const subject *s = *state;
	const char *asked = getenv("SONDE_MUTATIONS"), *name = strrchr(s->path, '/');
	int64_t n = MUTATIONS;
	if (asked) assert_true(sn_parse_i64(asked, &n));
	counter memory = { 0 };
	sn_ctx *ctx;
	sn_options options = {
		.size = sizeof options, .threads = 1, .alloc = counted_alloc, .dealloc = counted_free, .alloc_payload = &memory
	};
	assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
	json_counter = &memory;
	char folder[] = "/tmp/sonde_mutations_XXXXXX", path[256];
	assert_non_null(mkdtemp(folder));
	link_beside(s, folder, true);
	try_all(s, folder, ctx, &memory, n);
	link_beside(s, folder, false);
	sn_format(path, sizeof path, "%s%s", folder, s->use == use_tokenizer ? "/tokenizer.json" : name);
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
	sn_ctx_close(ctx);
}

/* ---- large files whose counts lie ---- */

enum { LARGE = 8 << 20, HEADER = 24 };

static size_t memory_for(const bytes *b, use_bytes *use)
{
	counter memory = { 0 };
	sn_ctx *ctx;
	sn_options options = {
		.size = sizeof options, .threads = 1, .alloc = counted_alloc, .dealloc = counted_free, .alloc_payload = &memory
	};
	assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
	assert_int_equal(use(ctx, NULL, b), SN_EPARSE);
	sn_ctx_close(ctx);
	return memory.peak;
}

/* A GGUF header with as many tensors or keys as bytes can hold at all, and nothing behind it but zeros. */
static void counts_of_gguf(uint8_t *data, uint64_t tensors, uint64_t keys)
{
	memset(data, 0, LARGE);
	memcpy(data, "GGUF\3\0\0\0", 8);
	memcpy(data + 8, &tensors, 8);
	memcpy(data + 16, &keys, 8);
}

/* The old form of PyTorch, whose dictionary is the same opcode over and over. */
static void endless_pickle(uint8_t *data, char opcode)
{
	static const char head[] = "\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3."
							   "\x80\2}(X\r\0\0\0little_endian\x88u.\x80\2N";
	memset(data, opcode, LARGE);
	memcpy(data, head, sizeof head - 1);
}

static void large_lies_take_no_memory(void **state)
{
	bytes b = { malloc(LARGE), LARGE };
	(void)state;
	assert_non_null(b.data);
	counts_of_gguf(b.data, (LARGE - HEADER) / 25, 0);
	assert_true(memory_for(&b, use_gguf) < LARGE);
	counts_of_gguf(b.data, 0, (LARGE - HEADER) / 14);
	assert_true(memory_for(&b, use_gguf) < LARGE);
	for (const char *opcode = "N])}(\x94"; *opcode; opcode++) {
		endless_pickle(b.data, *opcode);
		size_t taken = memory_for(&b, use_tensors);
		assert_true(taken <= 2 * LARGE + CONSTANT);
	}
	free(b.data);
}

int main(void)
{
	struct CMUnitTest tests[SN_COUNT(subjects) + 1];
	json_set_alloc_funcs(json_alloc, json_free);
	for (int i = 0; i < SN_COUNT(subjects); i++)
		tests[i] = (struct CMUnitTest){ subjects[i].path + strlen(GOLDEN), damaged_files_do_no_harm, NULL, NULL,
										(void *)(uintptr_t)&subjects[i] };
	tests[SN_COUNT(subjects)] = (struct CMUnitTest)cmocka_unit_test(large_lies_take_no_memory);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
