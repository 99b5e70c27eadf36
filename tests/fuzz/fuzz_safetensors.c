/* Safetensors: every tensor lies inside the file and can be converted. */
#include "fuzz.h"

#include <stdlib.h>

#include "io/dequant.h"
#include "io/safetensors.h"

static void convert(const sn_safetensor *t)
{
	float *out = malloc((size_t)t->count * sizeof *out + 1);
	fuzz_require(out != NULL);
	fuzz_require(sn_dtype_to_f32(t->dtype, t->data, out, t->count) == (t->dtype != SN_DTYPE_NONE));
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_safetensors *file;
	if (!fuzz_ok(sn_safetensors_open_bytes(&file, fuzz_ctx(), "input", bytes, size))) return 0;
	size_t sum = 0;
	for (int64_t i = 0; i < sn_safetensors_count(file); i++) {
		const sn_safetensor *t = sn_safetensors_at(file, i);
		fuzz_require(sn_safetensors_find(file, t->name) == t);
		fuzz_require(t->data >= bytes && t->data + t->size <= bytes + size);
		if (t->size) convert(t);
		sum += t->size;
	}
	fuzz_require(sum + 8 <= size);
	(void)sn_safetensors_meta(file, "format");
	sn_safetensors_close(file);
	return 0;
}
