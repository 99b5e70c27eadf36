/* Which files hold a model's weights, told from the one that was named. */
#include "io/parts.h"

#include <stdlib.h>
#include <string.h>

#include "io/gguf_file.h"
#include "io/tensor_file_impl.h"

typedef struct parts {
	const char **path;
	int64_t n;
} parts;

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static sn_status add(parts *p, sn_arena *arena, const char *path)
{
	p->path[p->n] = sn_arena_string(arena, path);
	return p->path[p->n++] ? SN_OK : SN_ENOMEM;
}

static sn_status parts_of_index(parts *out, sn_arena *arena, const char *path)
{
	sn_tensor_file *file;
	SN_TRY(sn_tensor_file_open(&file, sn_arena_ctx(arena), path));
	out->path = SN_TAKE(arena, const char *, file->n_map);
	sn_status status = out->path ? SN_OK : SN_ENOMEM;
	for (int64_t i = 0; i < file->n_map && status == SN_OK; i++) status = add(out, arena, file->map[i].path);
	sn_tensor_file_close(file);
	return status;
}

static sn_status parts_of_gguf(parts *out, sn_arena *arena, const char *path)
{
	sn_gguf *file;
	int64_t n = 0;
	SN_TRY(sn_gguf_open(&file, sn_arena_ctx(arena), path));
	for (const sn_gguf *part = file; part; part = part->next) n++;
	out->path = SN_TAKE(arena, const char *, n);
	sn_status status = out->path ? SN_OK : SN_ENOMEM;
	for (const sn_gguf *part = file; part && status == SN_OK; part = part->next)
		status = add(out, arena, part->map.path);
	sn_gguf_close(file);
	return status;
}

static sn_status hash_parts(sn_ctx *ctx, const parts *p, char hex[65])
{
	sn_buf list = { .ctx = ctx };
	sn_status status = SN_OK;
	for (int64_t i = 0; i < p->n && status == SN_OK; i++) {
		status = sn_hash_file(ctx, p->path[i], hex);
		sn_buf_format(&list, "%s\n", hex);
	}
	if (status == SN_OK && list.failed) status = SN_ENOMEM;
	if (status == SN_OK) status = sn_hash_bytes(ctx, list.data, list.size, hex);
	sn_buf_free(&list);
	return status;
}

static sn_status hash(sn_ctx *ctx, sn_arena *arena, const char *path, char hex[65])
{
	parts p = { 0 };
	if (sn_ends_with(path, ".json")) SN_TRY(parts_of_index(&p, arena, path));
	if (sn_ends_with(path, ".gguf")) SN_TRY(parts_of_gguf(&p, arena, path));
	if (p.n > 1) qsort(p.path, (size_t)p.n, sizeof *p.path, compare_paths);
	return p.n > 1 ? hash_parts(ctx, &p, hex) : sn_hash_file(ctx, p.n ? p.path[0] : path, hex);
}

sn_status sn_parts_hash(sn_ctx *ctx, const char *path, char hex[65])
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = hash(ctx, arena, path, hex);
	sn_arena_close(arena);
	return status;
}
