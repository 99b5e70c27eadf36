/* Every allocation of every reader fails once: the answer is SN_ENOMEM, and nothing leaks (the asan preset sees it). */
#include "common/test.h"

#include <string.h>
#include <unistd.h>

#include "data/dataset.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/npy.h"
#include "io/safetensors.h"

#define TINY SN_TESTS "/golden/tiny/gqa-tied/"
#define TORCH SN_TESTS "/golden/torch/"

typedef struct faulty {
	int64_t left; /* allocations until one fails; negative: none does */
	int64_t live;
} faulty;

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

/* Calls use with the 1st, 2nd, ... allocation failing until it succeeds, which it must after at most 1,000. */
static void fail_each(sn_status (*use)(sn_ctx *))
{
	for (int64_t n = 0; n < 1000; n++) {
		faulty f = { .left = -1 };
		sn_ctx *ctx;
		sn_options options = {
			.size = sizeof options, .threads = 1, .alloc = faulty_alloc, .dealloc = faulty_free, .alloc_payload = &f
		};
		assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
		int64_t live = f.live;
		f.left = n;
		sn_status status = use(ctx);
		bool reached = f.left < 0;
		f.left = -1;
		if (status != SN_OK) assert_non_null(strstr(sn_error(ctx), "memory"));
		assert_int_equal(f.live, live);
		sn_ctx_close(ctx);
		if (!reached) {
			assert_int_equal(status, SN_OK);
			return;
		}
		assert_int_equal(status, SN_ENOMEM);
	}
	fail_msg("more than 1,000 allocations");
}

static sn_status use_gguf(sn_ctx *ctx)
{
	sn_gguf *file;
	SN_TRY(sn_gguf_open(&file, ctx, TINY "model.gguf"));
	sn_gguf_close(file);
	return SN_OK;
}

static sn_status use_split(sn_ctx *ctx)
{
	sn_gguf *file;
	SN_TRY(sn_gguf_open(&file, ctx, SN_TESTS "/golden/gguf_split/model-00002-of-00003.gguf"));
	sn_gguf_close(file);
	return SN_OK;
}

static sn_status use_safetensors(sn_ctx *ctx)
{
	sn_tensor_file *file;
	SN_TRY(sn_tensor_file_open(&file, ctx, TINY "model.safetensors"));
	sn_tensor_file_close(file);
	return SN_OK;
}

static sn_status use_tensors(sn_ctx *ctx, const char *path)
{
	sn_tensor_file *file;
	SN_TRY(sn_tensor_file_open(&file, ctx, path));
	sn_tensor_file_close(file);
	return SN_OK;
}

static sn_status use_torch(sn_ctx *ctx) { return use_tensors(ctx, TORCH "module.bin"); }
static sn_status use_torch_legacy(sn_ctx *ctx) { return use_tensors(ctx, TORCH "module-legacy.bin"); }

static sn_status use_folder(sn_ctx *ctx)
{
	sn_tensor_file *file;
	SN_TRY(sn_tensor_file_open_folder(&file, ctx, TORCH "sharded"));
	sn_tensor_file_close(file);
	return SN_OK;
}

static sn_status write_rows(sn_safetensors_writer *w)
{
	int fixed, grows;
	SN_TRY(sn_safetensors_put_meta(w, "a", "b"));
	SN_TRY(sn_safetensors_declare(w, "fixed", SN_F32, 1, (int64_t[]){ 1 }, &fixed));
	SN_TRY(sn_safetensors_declare(w, "grows", SN_F32, 1, (int64_t[]){ -1 }, &grows));
	SN_TRY(sn_safetensors_append(w, grows, (float[]){ 1, 2 }, 2));
	SN_TRY(sn_safetensors_append(w, fixed, (float[]){ 1 }, 1));
	return sn_safetensors_commit(w);
}

static sn_status use_writer(sn_ctx *ctx)
{
	char path[] = "/tmp/sonde_faults_XXXXXX";
	close(mkstemp(path));
	sn_safetensors_writer *w;
	sn_status status = sn_safetensors_create(&w, ctx, path);
	if (status == SN_OK) {
		status = write_rows(w);
		sn_safetensors_writer_close(w);
	}
	unlink(path);
	return status;
}

static sn_status use_json(sn_ctx *ctx)
{
	sn_json *doc;
	SN_TRY(sn_json_load(&doc, ctx, TINY "config.json", 0));
	sn_json_close(doc);
	return SN_OK;
}

static sn_status use_npy(sn_ctx *ctx)
{
	char path[] = "/tmp/sonde_faults_XXXXXX";
	close(mkstemp(path));
	sn_npy array;
	sn_status status = sn_npy_write(ctx, path, SN_F32, 1, (int64_t[]){ 2 }, (float[]){ 1, 2 });
	if (status == SN_OK) status = sn_npy_open(&array, ctx, path);
	if (status == SN_OK) sn_npy_close(ctx, &array);
	unlink(path);
	return status;
}

static sn_status use_format(sn_ctx *ctx, sn_data_format format, const char *text)
{
	sn_dataset *data;
	SN_TRY(sn_dataset_parse(&data, ctx, "t", format, text, strlen(text)));
	sn_dataset_close(data);
	return SN_OK;
}

static sn_status use_jsonl(sn_ctx *ctx)
{
	return use_format(ctx, SN_DATA_JSONL,
					  "{\"a\": {\"b\": [1, 2]}, \"c\": [\"x\"], \"d\": 1}\n{\"d\": \"y\", \"e\": true}\n");
}

static sn_status use_csv(sn_ctx *ctx) { return use_format(ctx, SN_DATA_CSV, "a,b,\n1,2.5,\n3,\"x\",true\n"); }

static sn_status use_conllu(sn_ctx *ctx)
{
	return use_format(ctx, SN_DATA_CONLLU, "# sent_id = s\n1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\t_\n\n");
}

#define FAULTS(name)                                                                                                   \
	static void name##_survives_every_failed_allocation(void **state)                                                  \
	{                                                                                                                  \
		(void)state;                                                                                                   \
		fail_each(use_##name);                                                                                         \
	}
FAULTS(gguf)
FAULTS(split)
FAULTS(safetensors)
FAULTS(torch)
FAULTS(torch_legacy)
FAULTS(folder)
FAULTS(writer)
FAULTS(json)
FAULTS(npy)
FAULTS(jsonl)
FAULTS(csv)
FAULTS(conllu)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gguf_survives_every_failed_allocation),
		cmocka_unit_test(split_survives_every_failed_allocation),
		cmocka_unit_test(safetensors_survives_every_failed_allocation),
		cmocka_unit_test(torch_survives_every_failed_allocation),
		cmocka_unit_test(torch_legacy_survives_every_failed_allocation),
		cmocka_unit_test(folder_survives_every_failed_allocation),
		cmocka_unit_test(writer_survives_every_failed_allocation),
		cmocka_unit_test(json_survives_every_failed_allocation),
		cmocka_unit_test(npy_survives_every_failed_allocation),
		cmocka_unit_test(jsonl_survives_every_failed_allocation),
		cmocka_unit_test(csv_survives_every_failed_allocation),
		cmocka_unit_test(conllu_survives_every_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
