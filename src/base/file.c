/* Files: mapped for reading, read whole, written under a temporary name and renamed. */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sn_file {
	sn_ctx *ctx;
	FILE *stream;
	char *path, *temporary;   /* temporary: NULL when reading */
	bool stays;               /* the temporary file outlives a close without a commit */
};

sn_status sn_fail_errno(sn_ctx *ctx, const char *path, const char *what)
{
	int e = errno;
	if (e == ENOSPC || e == EDQUOT)
		return sn_fail(ctx, SN_EDISK, "%s: no space left on the device; free some and run again", path);
	if (e == ENOMEM) return sn_fail(ctx, SN_ENOMEM, "%s: out of memory to %s it", path, what);
	return sn_fail(ctx, SN_EIO, "%s: cannot %s: %s", path, what, strerror(e));
}

static char *copy_path(sn_ctx *ctx, const char *path, const char *suffix)
{
	size_t n = strlen(path), k = strlen(suffix);
	char *copy = sn_alloc(ctx, n + k + 1);
	if (!copy) return NULL;
	memcpy(copy, path, n);
	memcpy(copy + n, suffix, k);
	return copy;
}

/* ---- mapped ---- */

static sn_status map_descriptor(sn_map_file *out, sn_ctx *ctx, int fd, const char *path)
{
	struct stat st;
	if (fstat(fd, &st) != 0) return sn_fail_errno(ctx, path, "examine");
	if (!S_ISREG(st.st_mode)) return sn_fail(ctx, SN_EIO, "%s: expected a file, found a directory or device", path);
	if (st.st_size == 0) return sn_fail(ctx, SN_EPARSE, "%s: the file is empty", path);
	void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) return sn_fail_errno(ctx, path, "map");
	*out = (sn_map_file){ data, (size_t)st.st_size, copy_path(ctx, path, "") };
	if (out->path) return SN_OK;
	munmap(data, (size_t)st.st_size);
	return SN_ENOMEM;
}

sn_status sn_map_open(sn_map_file *out, sn_ctx *ctx, const char *path)
{
	*out = (sn_map_file){ 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return sn_fail_errno(ctx, path, "open");
	sn_status status = map_descriptor(out, ctx, fd, path);
	close(fd);
	return status;
}

void sn_map_close(sn_ctx *ctx, sn_map_file *map)
{
	if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
	sn_free(ctx, map->path);
	*map = (sn_map_file){ 0 };
}

/* ---- read whole ---- */

static sn_status read_stream(sn_ctx *ctx, FILE *f, const char *path, size_t limit, sn_buf *buf)
{
	char chunk[65536];
	for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) {
		if (n > limit - SN_MIN(limit, buf->size))
			return sn_fail(ctx, SN_EPARSE, "%s: longer than the %zu bytes allowed here", path, limit);
		sn_buf_add(buf, chunk, n);
		if (buf->failed) return SN_ENOMEM;
	}
	return ferror(f) ? sn_fail_errno(ctx, path, "read") : SN_OK;
}

sn_status sn_read_file(sn_ctx *ctx, const char *path, size_t limit, sn_arena *arena, char **data, size_t *size)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "rbe");
	if (!f) return sn_fail_errno(ctx, path, "open");
	sn_buf buf = { .ctx = ctx };
	sn_status status = read_stream(ctx, f, standard ? "standard input" : path, limit, &buf);
	if (!standard) fclose(f);
	if (status == SN_OK) {
		*data = sn_arena_copy(arena, buf.data ? buf.data : "", buf.size);
		*size = buf.size;
		if (!*data) status = SN_ENOMEM;
	}
	sn_buf_free(&buf);
	return status;
}

/* ---- streams ---- */

typedef enum open_mode { READ, CREATE, SCRATCH } open_mode;

static sn_status open_stream(sn_file *file, const char *path, open_mode mode)
{
	static const char *const stream_mode[] = { "rb", "wb", "w+b" };
	bool write = mode != READ;
	sn_ctx *ctx = file->ctx;
	file->path = copy_path(ctx, path, "");
	file->temporary = write ? copy_path(ctx, path, ".XXXXXX") : NULL;
	if (!file->path || (write && !file->temporary)) return SN_ENOMEM;
	int fd = write ? mkostemp(file->temporary, O_CLOEXEC) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && write) fchmod(fd, 0644);
	file->stream = fd < 0 ? NULL : fdopen(fd, stream_mode[mode]);
	if (file->stream) return SN_OK;
	sn_status status = sn_fail_errno(ctx, path, write ? "create" : "open");
	if (fd >= 0) close(fd);
	else if (write) file->temporary[0] = '\0';
	return status;
}

static sn_status file_open(sn_file **out, sn_ctx *ctx, const char *path, open_mode mode)
{
	sn_file *file = sn_alloc(ctx, sizeof *file);
	*out = NULL;
	if (!file) return SN_ENOMEM;
	file->ctx = ctx;
	sn_status status = open_stream(file, path, mode);
	if (status == SN_OK) *out = file;
	else sn_file_close(file);
	return status;
}

sn_status sn_file_create(sn_file **out, sn_ctx *ctx, const char *path) { return file_open(out, ctx, path, CREATE); }
sn_status sn_file_open_read(sn_file **out, sn_ctx *ctx, const char *path) { return file_open(out, ctx, path, READ); }

sn_status sn_file_scratch(sn_file **out, sn_ctx *ctx, const char *path)
{
	SN_TRY(file_open(out, ctx, path, SCRATCH));
	unlink((*out)->temporary);
	(*out)->temporary[0] = '\0';
	return SN_OK;
}

static sn_status resume_stream(sn_file *file, const char *path, const char *partial, bool keep)
{
	file->path = copy_path(file->ctx, path, "");
	file->temporary = copy_path(file->ctx, partial, "");
	file->stays = true;
	if (!file->path || !file->temporary) return SN_ENOMEM;
	int fd = open(partial, O_WRONLY | O_CREAT | O_CLOEXEC | (keep ? 0 : O_TRUNC), 0644);
	file->stream = fd < 0 ? NULL : fdopen(fd, "wb");
	if (file->stream) return SN_OK;
	sn_status status = sn_fail_errno(file->ctx, path, "create");
	if (fd >= 0) close(fd);
	return status;
}

sn_status sn_file_resume(sn_file **out, sn_ctx *ctx, const char *path, const char *partial, bool keep)
{
	sn_file *file = sn_alloc(ctx, sizeof *file);
	*out = NULL;
	if (!file) return SN_ENOMEM;
	file->ctx = ctx;
	sn_status status = resume_stream(file, path, partial, keep);
	if (status == SN_OK) *out = file;
	else sn_file_close(file);
	return status;
}

sn_status sn_file_sync(sn_file *file, bool to_disk)
{
	if (fflush(file->stream) == 0 && (!to_disk || fdatasync(fileno(file->stream)) == 0)) return SN_OK;
	return sn_fail_errno(file->ctx, file->path, "write");
}

sn_status sn_file_write(sn_file *file, const void *bytes, size_t size)
{
	if (size == 0 || fwrite(bytes, 1, size, file->stream) == size) return SN_OK;
	return sn_fail_errno(file->ctx, file->path, "write");
}

sn_status sn_file_read(sn_file *file, void *bytes, size_t size)
{
	if (size == 0 || fread(bytes, 1, size, file->stream) == size) return SN_OK;
	if (ferror(file->stream)) return sn_fail_errno(file->ctx, file->path, "read");
	return sn_fail(file->ctx, SN_EPARSE, "%s: the file ends too early at byte %ld: %zu more bytes expected", file->path,
	               ftell(file->stream), size);
}

sn_status sn_file_seek(sn_file *file, uint64_t offset)
{
	if (offset <= INT64_MAX && fseeko(file->stream, (off_t)offset, SEEK_SET) == 0) return SN_OK;
	return sn_fail_errno(file->ctx, file->path, "seek in");
}

sn_status sn_file_commit(sn_file *file)
{
	SN_ASSERT(file->temporary);
	int failed = fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0;
	if (failed || rename(file->temporary, file->path) != 0) return sn_fail_errno(file->ctx, file->path, "write");
	file->temporary[0] = '\0';
	return SN_OK;
}

void sn_file_close(sn_file *file)
{
	if (!file) return;
	if (file->stream) fclose(file->stream);
	if (file->temporary && file->temporary[0] && !file->stays) unlink(file->temporary);
	sn_free(file->ctx, file->path);
	sn_free(file->ctx, file->temporary);
	sn_free(file->ctx, file);
}

sn_status sn_write_file(sn_ctx *ctx, const char *path, const void *bytes, size_t size)
{
	sn_file *file;
	SN_TRY(sn_file_create(&file, ctx, path));
	sn_status status = sn_file_write(file, bytes, size);
	if (status == SN_OK) status = sn_file_commit(file);
	sn_file_close(file);
	return status;
}
