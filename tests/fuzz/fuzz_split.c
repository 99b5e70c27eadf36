/* The third of three GGUF files of a model, beside two sound ones. */
#include "fuzz.h"

#include <unistd.h>

#include "io/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const name[] = { "model-00001-of-00003.gguf", "model-00002-of-00003.gguf" };
	static bool linked;
	sn_gguf *file;
	for (int i = 0; i < SN_COUNT(name) && !linked; i++) {
		char target[512];
		sn_format(target, sizeof target, "%s/golden/gguf_split/%s", SN_TESTS, name[i]);
		fuzz_require(symlink(target, fuzz_path(name[i])) == 0);
	}
	linked = true;
	fuzz_write("model-00003-of-00003.gguf", bytes, size);
	if (!fuzz_ok(sn_gguf_open(&file, fuzz_ctx(), fuzz_path("model-00003-of-00003.gguf")))) return 0;
	for (int64_t i = 0; i < sn_gguf_tensor_count(file); i++) {
		const sn_gguf_tensor *t = sn_gguf_tensor_at(file, i);
		fuzz_require(sn_gguf_tensor_find(file, t->name) == t);
	}
	sn_gguf_close(file);
	return 0;
}
