/* Opening a model by path or by its name in the hub's cache: a file is GGUF, a folder is Hugging Face's. */
#define _GNU_SOURCE
#include "io/hub.h"
#include "model/load.h"
#include "model/model.h"

#include <sys/stat.h>

static sn_status open_path(sn_model **out, sn_ctx *ctx, const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0) return sn_fail_errno(ctx, path, "examine");
	return S_ISDIR(st.st_mode) ? sn_load_hf(out, ctx, path) : sn_load_gguf(out, ctx, path);
}

/* The files of a cached model lie in a folder that is called by its commit: the name says more. */
static sn_status open_named(sn_model **out, sn_ctx *ctx, sn_arena *arena, const char *text)
{
	const char *path, *name;
	SN_TRY(sn_hub_locate(ctx, arena, text, &path, &name));
	SN_TRY(open_path(out, ctx, path));
	if (name && !((*out)->info.name = sn_arena_string((*out)->arena, name))) return SN_ENOMEM;
	return SN_OK;
}

sn_status sn_model_open(sn_model **out, sn_ctx *ctx, const char *path)
{
	sn_arena *arena;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = open_named(out, ctx, arena, path);
	if (status != SN_OK) {
		sn_model_close(*out);
		*out = NULL;
	}
	sn_arena_close(arena);
	return status;
}
