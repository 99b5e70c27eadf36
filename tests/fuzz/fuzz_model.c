/* A whole GGUF model: shapes, hyperparameters, tokenizer. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_model *model;
	fuzz_write("model.gguf", bytes, size);
	if (fuzz_ok(sn_model_open(&model, fuzz_ctx(), fuzz_path("model.gguf")))) sn_model_close(model);
	return 0;
}
