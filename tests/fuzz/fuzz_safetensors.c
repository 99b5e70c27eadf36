/* Safetensors: every tensor lies inside the file and can be converted. */
#include "fuzz.h"

#include <stdlib.h>

#include "io/tensor_file.h"

static void convert(const sn_stored *t)
{
	float *out = malloc((size_t)t->count * sizeof *out + 1);
	fuzz_require(out != NULL && sn_stored_dense(t));
	if (t->type->to_f32) sn_stored_rows(t, 0, t->ndim ? t->dim[0] : 1, out);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_tensor_file *file;
	if (!fuzz_ok(sn_tensor_file_open_bytes(&file, fuzz_ctx(), "input", bytes, size))) return 0;
	size_t sum = 0;
	for (int64_t i = 0; i < sn_tensor_file_count(file); i++) {
		const sn_stored *t = sn_tensor_file_at(file, i);
		fuzz_require(sn_tensor_file_find(file, t->name) == t);
		fuzz_require(t->data >= bytes && t->data + t->size <= bytes + size);
		if (t->size) convert(t);
		sum += t->size;
	}
	fuzz_require(sum + 8 <= size);
	(void)sn_tensor_file_meta(file, "format");
	sn_tensor_file_close(file);
	return 0;
}
