/* PyTorch files: every view lies inside the file and can be read row by row. */
#include "fuzz.h"

#include <stdlib.h>

#include "io/tensor_file.h"

enum { MAX_COUNT = 1 << 16 }; /* an expanded view of one number may be of any size: not all of it is read */

static void check(const sn_stored *t, const uint8_t *bytes, size_t size)
{
	fuzz_require(t->data >= bytes && t->data <= bytes + size);
	uint64_t last = 0;
	for (int i = 0; i < t->ndim && t->count; i++) last += (uint64_t)((t->dim[i] - 1) * t->stride[i]);
	if (!t->count) return;
	fuzz_require((last + 1) * t->type->bytes <= (size_t)(bytes + size - t->data));
	int64_t rows = t->ndim ? t->dim[0] : 1, width = t->count / rows;
	if (!t->type->to_f32 || width > MAX_COUNT) return;
	float *out = malloc((size_t)width * sizeof *out);
	fuzz_require(out != NULL);
	for (int64_t i = 0; i < rows && i * width < MAX_COUNT; i++) sn_stored_rows(t, i, 1, out);
	sn_stored_rows(t, rows - 1, 1, out);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_tensor_file *file;
	if (!fuzz_ok(sn_tensor_file_open_bytes(&file, fuzz_ctx(), "input", bytes, size))) return 0;
	for (int64_t i = 0; i < sn_tensor_file_count(file); i++) {
		const sn_stored *t = sn_tensor_file_at(file, i);
		fuzz_require(sn_tensor_file_find(file, t->name) == t);
		check(t, bytes, size);
	}
	sn_tensor_file_close(file);
	return 0;
}
