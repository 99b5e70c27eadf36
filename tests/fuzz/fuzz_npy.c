/* .npy: the numbers end where the file ends. */
#include "fuzz.h"

#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_npy array;
	if (!fuzz_ok(sn_npy_open_bytes(&array, fuzz_ctx(), "input", bytes, size))) return 0;
	fuzz_require(array.data + (size_t)array.count * sn_dtype_size(array.dtype) == bytes + size);
	fuzz_require(array.ndim >= 0 && array.ndim <= SN_NPY_NDIM);
	sn_npy_close(fuzz_ctx(), &array);
	return 0;
}
