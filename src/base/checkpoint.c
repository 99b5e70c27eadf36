#define _GNU_SOURCE
#include "base/checkpoint.h"
#include "base/ctx.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char magic[8] = "SNCKPT01";
enum { RECORD_MARK = 0x52434e53, MOST_PARTIAL = 4 };

typedef enum kind { IDENTITY = 1, UNIT, FILE_MARK } kind;

typedef struct head {
	uint32_t mark, kind;
	uint64_t key, number, size, sum;
} head;

/* Where a record's bytes are. */
typedef struct place {
	uint32_t kind;
	uint64_t key, number, size, offset;
} place;

/* A file's units stand behind which boot of the machine, or on the disk. */
typedef struct mark {
	char boot[40];
	uint8_t on_disk;
} mark;

struct sn_checkpoint {
	sn_ctx *ctx;
	char *path;
	int fd; /* -1: not made yet */
	uint64_t end;
	place *place;
	int64_t n, room, n_unit;
	bool asked, resumed; /* to resume; there was something to resume */
	bool kept;           /* a partial file that the resumed run left is there */
	sn_buf pending; /* identity, before there is a file */
	char *partial[MOST_PARTIAL];
	int n_partial;
	double synced; /* when a growing file was last brought to the disk */
	char boot[40];
};

/* ---- records ---- */

static uint64_t checksum(const head *h, const void *bytes)
{
	uint64_t sum = sn_fnv1a(SN_FNV_START, h, offsetof(head, sum));
	return h->size ? sn_fnv1a(sum, bytes, h->size) : sum;
}

static sn_status remember(sn_checkpoint *c, const head *h, uint64_t offset)
{
	if (c->n == c->room) {
		int64_t room = SN_MAX(2 * c->room, 64);
		place *all = sn_alloc(c->ctx, sn_size3((size_t)room, sizeof *all, 1));
		if (!all) return SN_ENOMEM;
		if (c->n) memcpy(all, c->place, (size_t)c->n * sizeof *all);
		sn_free(c->ctx, c->place);
		c->place = all;
		c->room = room;
	}
	c->place[c->n++] = (place){ h->kind, h->key, h->number, h->size, offset };
	return SN_OK;
}

static const place *find(const sn_checkpoint *c, uint32_t record_kind, uint64_t key, uint64_t number)
{
	for (int64_t i = c->n - 1; i >= 0; i--) {
		const place *p = &c->place[i];
		if (p->kind == record_kind && p->key == key && p->number == number) return p;
	}
	return NULL;
}

/* Finds the whole records; returns the end of the last one. */
static sn_status scan(sn_checkpoint *c, const uint8_t *data, size_t size, uint64_t *end)
{
	uint64_t at = sizeof magic;
	head h;
	for (; size - at >= sizeof h; at += sizeof h + h.size) {
		memcpy(&h, data + at, sizeof h);
		if (h.mark != RECORD_MARK || h.size > size - at - sizeof h) break;
		if (checksum(&h, data + at + sizeof h) != h.sum) break;
		SN_TRY(remember(c, &h, at + sizeof h));
		c->n_unit += h.kind == UNIT || h.kind == FILE_MARK;
	}
	*end = at;
	return SN_OK;
}

static sn_status write_at(sn_checkpoint *c, uint64_t offset, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(c->fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) {
			sn_status status = sn_fail_errno(c->ctx, c->path, "write");
			(void)!ftruncate(c->fd, (off_t)c->end); /* the next run cuts a torn record off, too */
			return status;
		}
		done += (size_t)n;
	}
	return SN_OK;
}

/* ---- opening ---- */

static sn_status lock(sn_checkpoint *c)
{
	if (flock(c->fd, LOCK_EX | LOCK_NB) == 0) return SN_OK;
	return sn_fail(c->ctx, SN_EIO, "%s: another process is at this work; wait for it, or name another output",
	               c->path);
}

/* Makes the file with what identifies the run, in one step. */
static sn_status make_file(sn_checkpoint *c)
{
	sn_buf text = { .ctx = c->ctx };
	sn_buf_add(&text, magic, sizeof magic);
	if (c->pending.size) sn_buf_add(&text, c->pending.data, c->pending.size);
	sn_status status = text.failed || c->pending.failed ? SN_ENOMEM
	                   : sn_write_file(c->ctx, c->path, text.data, text.size);
	c->end = text.size;
	sn_buf_free(&text);
	sn_buf_free(&c->pending);
	SN_TRY(status);
	c->fd = open(c->path, O_RDWR | O_CLOEXEC);
	return c->fd < 0 ? sn_fail_errno(c->ctx, c->path, "open") : lock(c);
}

static sn_status read_old(sn_checkpoint *c)
{
	sn_map_file map;
	SN_TRY(sn_map_open(&map, c->ctx, c->path));
	bool ours = map.size >= sizeof magic && memcmp(map.data, magic, sizeof magic) == 0;
	sn_status status = ours ? scan(c, map.data, map.size, &c->end)
	                   : sn_fail(c->ctx, SN_EPARSE, "%s: this is no checkpoint of sonde; leave out --resume to write "
	                             "one there", c->path);
	bool torn = ours && c->end < map.size;
	sn_map_close(c->ctx, &map);
	if (status == SN_OK && torn && ftruncate(c->fd, (off_t)c->end) != 0)
		status = sn_fail_errno(c->ctx, c->path, "shorten");
	return status;
}

static sn_status open_old(sn_checkpoint *c, bool resume)
{
	c->fd = open(c->path, O_RDWR | O_CLOEXEC);
	if (c->fd < 0) return errno == ENOENT ? SN_OK : sn_fail_errno(c->ctx, c->path, "open");
	SN_TRY(lock(c));
	if (resume) return c->resumed = true, read_old(c);
	sn_note(c->ctx, "%s: the finished work of an interrupted run is overwritten; --resume would have continued it",
	        c->path);
	close(c->fd);
	c->fd = -1;
	return SN_OK;
}

static void read_boot(char boot[40])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (f && !fgets(boot, 40, f)) boot[0] = '\0';
	if (f) fclose(f);
	boot[strcspn(boot, "\n")] = '\0';
}

static char *join(sn_ctx *ctx, const char *path, const char *suffix)
{
	size_t n = strlen(path), k = strlen(suffix);
	char *all = sn_alloc(ctx, n + k + 1);
	if (!all) return NULL;
	memcpy(all, path, n);
	memcpy(all + n, suffix, k);
	return all;
}

sn_status sn_checkpoint_attach(sn_ctx *ctx, const char *path, bool resume)
{
	SN_ASSERT(!ctx->checkpoint);
	sn_checkpoint *c = sn_alloc(ctx, sizeof *c);
	if (!c) return SN_ENOMEM;
	*c = (sn_checkpoint){ .ctx = ctx, .fd = -1, .asked = resume, .pending = { .ctx = ctx } };
	c->path = join(ctx, path, "");
	read_boot(c->boot);
	sn_status status = c->path ? open_old(c, resume) : SN_ENOMEM;
	ctx->checkpoint = c;
	if (status != SN_OK) sn_checkpoint_close(ctx);
	return status;
}

void sn_checkpoint_close(sn_ctx *ctx)
{
	sn_checkpoint *c = ctx->checkpoint;
	if (!c) return;
	if (c->fd >= 0) close(c->fd);
	for (int i = 0; i < c->n_partial; i++) sn_free(ctx, c->partial[i]);
	sn_buf_free(&c->pending);
	sn_free(ctx, c->place);
	sn_free(ctx, c->path);
	sn_free(ctx, c);
	ctx->checkpoint = NULL;
}

void sn_checkpoint_remove(sn_ctx *ctx)
{
	sn_checkpoint *c = ctx->checkpoint;
	if (!c) return;
	for (int i = 0; i < c->n_partial; i++) unlink(c->partial[i]);
	if (c->fd >= 0) unlink(c->path);
	sn_checkpoint_close(ctx);
}

bool sn_checkpoint_attached(const sn_ctx *ctx) { return ctx->checkpoint != NULL; }
bool sn_checkpoint_written(const sn_ctx *ctx) { return ctx->checkpoint && ctx->checkpoint->fd >= 0; }

/* ---- reading and adding ---- */

static sn_status read_place(sn_checkpoint *c, const place *p, void *bytes)
{
	for (size_t done = 0; done < p->size;) {
		ssize_t n = pread(c->fd, (char *)bytes + done, p->size - done, (off_t)(p->offset + done));
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return sn_fail_errno(c->ctx, c->path, "read");
		done += (size_t)n;
	}
	return SN_OK;
}

static sn_status add(sn_checkpoint *c, uint32_t record_kind, uint64_t key, uint64_t number, const void *bytes,
                     size_t size)
{
	head h = { .mark = RECORD_MARK, .kind = record_kind, .key = key, .number = number, .size = size };
	h.sum = checksum(&h, bytes);
	if (c->fd < 0 && record_kind == IDENTITY) {
		sn_buf_add(&c->pending, &h, sizeof h);
		if (size) sn_buf_add(&c->pending, bytes, size);
		return c->pending.failed ? SN_ENOMEM : SN_OK;
	}
	if (c->fd < 0) SN_TRY(make_file(c));
	SN_TRY(write_at(c, c->end, &h, sizeof h));
	SN_TRY(write_at(c, c->end + sizeof h, bytes, size));
	SN_TRY(remember(c, &h, c->end + sizeof h));
	c->end += sizeof h + size;
	return SN_OK;
}

bool sn_checkpoint_has(const sn_ctx *ctx, uint64_t key, uint64_t number, size_t size)
{
	const place *p = ctx->checkpoint ? find(ctx->checkpoint, UNIT, key, number) : NULL;
	return p && p->size == size;
}

sn_status sn_checkpoint_read(sn_ctx *ctx, uint64_t key, uint64_t number, void *bytes, size_t size)
{
	const place *p = find(ctx->checkpoint, UNIT, key, number);
	SN_ASSERT(p && p->size == size);
	return read_place(ctx->checkpoint, p, bytes);
}

sn_status sn_checkpoint_add(sn_ctx *ctx, uint64_t key, uint64_t number, const void *bytes, size_t size)
{
	return ctx->checkpoint ? add(ctx->checkpoint, UNIT, key, number, bytes, size) : SN_OK;
}

/* ---- what the run is ---- */

sn_status sn_checkpoint_identify(sn_ctx *ctx, const char *name, const char *value)
{
	sn_checkpoint *c = ctx->checkpoint;
	if (!c) return SN_OK;
	uint64_t key = sn_fnv1a(SN_FNV_START, name, strlen(name));
	const place *p = find(c, IDENTITY, key, 0);
	if (!p) return add(c, IDENTITY, key, 0, value, strlen(value));
	char *old = sn_alloc(ctx, (size_t)p->size + 1);
	if (!old) return SN_ENOMEM;
	sn_status status = read_place(c, p, old);
	if (status == SN_OK && (p->size != strlen(value) || memcmp(old, value, p->size) != 0))
		status = sn_fail(ctx, SN_EARG, "%s: the interrupted run was another one: its %s is \"%.200s\", here it "
		                 "is \"%.200s\"; repeat the command as it was, or leave out --resume to start over", c->path,
		                 name, old, value);
	sn_free(ctx, old);
	return status;
}

void sn_checkpoint_announce(sn_ctx *ctx)
{
	const sn_checkpoint *c = ctx->checkpoint;
	if (!c || !c->asked) return;
	if (c->resumed) sn_note(ctx, "going on from %s: %lld finished parts", c->path, (long long)c->n_unit);
	else sn_note(ctx, "%s: nothing to go on from; beginning at the start", c->path);
}

/* ---- files that grow in place ---- */

sn_status sn_checkpoint_partial(sn_file **out, sn_ctx *ctx, const char *path)
{
	sn_checkpoint *c = ctx->checkpoint;
	SN_ASSERT(c && c->n_partial < MOST_PARTIAL);
	char *partial = join(ctx, path, ".partial");
	if (!partial) return SN_ENOMEM;
	c->partial[c->n_partial++] = partial;
	c->kept = c->resumed && access(partial, F_OK) == 0; /* not if it was renamed just before the kill */
	return sn_file_resume(out, ctx, path, partial, c->kept);
}

sn_status sn_checkpoint_mark(sn_ctx *ctx, uint64_t key, uint64_t number, sn_file *file)
{
	enum { SECONDS_BETWEEN = 60 };
	sn_checkpoint *c = ctx->checkpoint;
	if (!c) return SN_OK;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
	mark m = { .on_disk = now - c->synced >= SECONDS_BETWEEN };
	memcpy(m.boot, c->boot, sizeof m.boot);
	SN_TRY(sn_file_sync(file, m.on_disk));
	if (m.on_disk) c->synced = now;
	return add(c, FILE_MARK, key, number, &m, sizeof m);
}

uint64_t sn_checkpoint_marked(sn_ctx *ctx, uint64_t key)
{
	sn_checkpoint *c = ctx->checkpoint;
	for (int64_t i = c && c->kept ? c->n - 1 : -1; i >= 0; i--) {
		const place *p = &c->place[i];
		mark m;
		if (p->kind != FILE_MARK || p->key != key || p->size != sizeof m || read_place(c, p, &m) != SN_OK) continue;
		if (m.on_disk || (c->boot[0] && memcmp(m.boot, c->boot, sizeof m.boot) == 0)) return p->number + 1;
	}
	return 0;
}
