/* Opening a model by path: a file is GGUF, a folder is Hugging Face's. */
#define _GNU_SOURCE
#include "base/base.h"
#include "model/load.h"

#include <sys/stat.h>

sn_status sn_model_open(sn_model **out, sn_ctx *ctx, const char *path)
{
	struct stat st;
	*out = NULL;
	if (stat(path, &st) != 0)
		return sn_fail(ctx, SN_EIO, "%s: no such model; expected a GGUF file or a Hugging Face folder (tools/models.sh "
		                            "smollm2 fetches one)",
		               path);
	return S_ISDIR(st.st_mode) ? sn_load_hf(out, ctx, path) : sn_load_gguf(out, ctx, path);
}
