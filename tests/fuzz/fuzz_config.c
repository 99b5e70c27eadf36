/* config.json of a Hugging Face folder whose other files are sound. */
#include "fuzz.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool linked;
	sn_model *model;
	if (!linked) {
		fuzz_require(symlink(SN_TESTS "/golden/tiny/gqa-tied/model.safetensors", fuzz_path("model.safetensors")) == 0);
		fuzz_require(symlink(SN_TESTS "/golden/tiny/gqa-tied/tokenizer.json", fuzz_path("tokenizer.json")) == 0);
		linked = true;
	}
	fuzz_write("config.json", bytes, size);
	if (fuzz_ok(sn_model_open(&model, fuzz_ctx(), fuzz_path(NULL)))) sn_model_close(model);
	return 0;
}
