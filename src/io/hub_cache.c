/* Finding models in the cache. */
#define _GNU_SOURCE
#include "io/hub.h"

#include <dirent.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

/* ---- the snapshot of a revision ---- */

static bool is_commit(const char *text) { return strspn(text, "0123456789abcdef") == 40 && text[40] == '\0'; }

/* The commit that a revision means here; NULL in *out if the cache does not know it. */
static sn_status find_commit(sn_ctx *ctx, sn_arena *arena, const char *folder, const char *revision, const char **out)
{
	char *text, *path = sn_arena_format(arena, "%s/refs/%s", folder, revision);
	size_t size;
	*out = is_commit(revision) ? revision : NULL;
	if (!path) return SN_ENOMEM;
	if (*out || access(path, R_OK) != 0) return SN_OK;
	SN_TRY(sn_read_file(ctx, path, 64, arena, &text, &size));
	text[strcspn(text, "\r\n ")] = '\0';
	if (!is_commit(text)) return sn_fail(ctx, SN_EPARSE, "%s: expected the 40 hex digits of a commit", path);
	*out = text;
	return SN_OK;
}

/* ---- what a snapshot holds ---- */

static bool is_weights(const char *name)
{
	return sn_ends_with(name, ".safetensors") ||
		   (strncmp(name, "pytorch_model", 13) == 0 && sn_ends_with(name, ".bin"));
}

/* Of a GGUF model in parts the first stands for all. */
static bool is_later_part(const char *name)
{
	return fnmatch("*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].gguf", name, 0) == 0 &&
		   fnmatch("*-00001-of-*", name, 0) != 0;
}

typedef struct contents {
	bool config, weights;
	int n_gguf;
	const char *gguf; /* the first by name */
} contents;

/* A link whose blob is gone does not count. */
static sn_status note_entry(sn_arena *arena, const char *folder, const char *name, contents *out)
{
	char *path = sn_arena_format(arena, "%s/%s", folder, name);
	if (!path) return SN_ENOMEM;
	if (access(path, R_OK) != 0) return SN_OK;
	out->config |= strcmp(name, "config.json") == 0;
	out->weights |= is_weights(name);
	if (!sn_ends_with(name, ".gguf") || is_later_part(name)) return SN_OK;
	out->n_gguf++;
	if (!out->gguf || strcmp(name, out->gguf) < 0) out->gguf = sn_arena_string(arena, name);
	return out->gguf ? SN_OK : SN_ENOMEM;
}

static sn_status look_into(sn_arena *arena, const char *folder, contents *out)
{
	DIR *dir = opendir(folder);
	sn_status status = SN_OK;
	*out = (contents){ 0 };
	for (const struct dirent *e; status == SN_OK && dir && (e = readdir(dir));)
		if (e->d_name[0] != '.') status = note_entry(arena, folder, e->d_name, out);
	if (dir) closedir(dir);
	return status;
}

/* ---- locating ---- */

static sn_status not_cached(sn_ctx *ctx, const char *text, const char *cache, const char *what, const char *command)
{
	return sn_fail(ctx, SN_EIO,
				   "%.200s: no such model: no file or folder of that name, and %s in the cache %s; "
				   "`sonde model pull %.200s` fetches it",
				   text, what, cache, command);
}

static sn_status in_snapshot(sn_ctx *ctx, sn_arena *arena, const char *text, const char *folder,
							 const sn_hub_settings *settings, const char **path)
{
	contents c;
	SN_TRY(look_into(arena, folder, &c));
	*path = folder;
	if (c.config && c.weights) return SN_OK;
	if (c.n_gguf == 1) return (*path = sn_arena_format(arena, "%s/%s", folder, c.gguf)) ? SN_OK : SN_ENOMEM;
	if (c.n_gguf > 1)
		return sn_fail(ctx, SN_EARG, "%.200s: %d GGUF files of it are in the cache; name one, as in %.200s/%.200s",
					   text, c.n_gguf, text, c.gguf);
	return not_cached(ctx, text, settings->cache, "only a part of it", text);
}

static sn_status in_cache(sn_ctx *ctx, sn_arena *arena, const char *text, const sn_hub_name *name, const char **path)
{
	sn_hub_settings settings;
	const char *commit, *folder;
	SN_TRY(sn_hub_settings_read(ctx, arena, &settings));
	if (!(folder = sn_hub_folder(arena, settings.cache, name->repo))) return SN_ENOMEM;
	SN_TRY(find_commit(ctx, arena, folder, name->revision, &commit));
	if (commit && !(folder = sn_arena_format(arena, "%s/snapshots/%s", folder, commit))) return SN_ENOMEM;
	if (!commit || access(folder, R_OK | X_OK) != 0) return not_cached(ctx, text, settings.cache, "none", text);
	if (!name->file) return in_snapshot(ctx, arena, text, folder, &settings, path);
	if (!(*path = sn_arena_format(arena, "%s/%s", folder, name->file))) return SN_ENOMEM;
	return access(*path, R_OK) == 0 ? SN_OK : not_cached(ctx, text, settings.cache, "no such file of this model", text);
}

sn_status sn_hub_locate(sn_ctx *ctx, sn_arena *arena, const char *text, const char **path, const char **name)
{
	sn_hub_name hub;
	*path = text;
	*name = NULL;
	if (access(text, F_OK) == 0) return SN_OK;
	sn_status status = sn_ends_with(text, "/") ? SN_EARG : sn_hub_name_read(ctx, arena, text, &hub);
	if (status == SN_EARG)
		return sn_fail(ctx, SN_EIO,
					   "%s: no such model; expected a GGUF file, a Hugging Face folder, or the name ORG/NAME of "
					   "a model that `sonde model pull` has fetched",
					   text);
	if (status == SN_OK) status = in_cache(ctx, arena, text, &hub, path);
	*name = hub.repo;
	return status;
}
