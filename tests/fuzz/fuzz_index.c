/* The index of sharded weights, beside two sound shards. */
#include "fuzz.h"

#include <unistd.h>

#include "io/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const shard[] = { "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin" };
	static bool linked;
	sn_tensor_file *file;
	for (int i = 0; i < SN_COUNT(shard) && !linked; i++) {
		char target[512];
		sn_format(target, sizeof target, "%s/golden/torch/sharded/%s", SN_TESTS, shard[i]);
		fuzz_require(symlink(target, fuzz_path(shard[i])) == 0);
	}
	linked = true;
	fuzz_write("model.index.json", bytes, size);
	if (!fuzz_ok(sn_tensor_file_open(&file, fuzz_ctx(), fuzz_path("model.index.json")))) return 0;
	fuzz_require(sn_tensor_file_count(file) > 0);
	sn_tensor_file_close(file);
	return 0;
}
