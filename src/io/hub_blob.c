/* One file on its way into the cache: asked for, locked, fetched or taken up where it broke off, checked, linked. */
#define _GNU_SOURCE
#include "io/hub_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const int64_t most_unsaid = 64 << 20;        /* bytes of a file whose size the server did not say */
static const int64_t most_bytes = (int64_t)1 << 44; /* of any file */

typedef struct blob {
	sn_hub *hub;
	const char *name, *label; /* of the file; for progress */
	const char *url, *etag, *path, *partial;
	int64_t size, have; /* size -1: not said */
	int fd;
	bool begun; /* an answer's body has begun */
} blob;

/* ---- what the server says about it ---- */

/* The hash in `W/"…"` or `"…"`; NULL if it is none that we can check. */
static const char *hash_of(sn_arena *arena, const char *etag)
{
	if (strncmp(etag, "W/", 2) == 0) etag += 2;
	if (*etag == '"') etag++;
	size_t n = strspn(etag, "0123456789abcdef");
	return (n == 40 || n == 64) && (etag[n] == '"' || !etag[n]) ? sn_arena_copy(arena, etag, n) : NULL;
}

static sn_status ask(blob *b)
{
	sn_hub *hub = b->hub;
	sn_http_request request = { .url = b->url, .head = true };
	sn_http_reply r;
	SN_TRY(sn_hub_send(hub, &request, &r, NULL));
	b->etag = hash_of(hub->arena, r.linked_etag[0] ? r.linked_etag : r.etag);
	b->size = r.linked_size >= 0 ? r.linked_size : r.code < 300 ? r.size : -1;
	if (!b->etag)
		return sn_fail(hub->ctx, SN_EPARSE,
					   "%.300s: the server names no SHA-256 or git SHA-1 (ETag \"%.80s\"), so the file "
					   "could not be checked; is %s a Hugging Face hub?",
					   b->url, r.etag, hub->settings.endpoint);
	if (b->size > most_bytes)
		return sn_fail(hub->ctx, SN_EPARSE, "%.300s: the server says it has %lld bytes; expected at most %lld", b->url,
					   (long long)b->size, (long long)most_bytes);
	return SN_OK;
}

/* ---- the lock ---- */

/* The package removes lock files when it is done: one that is no longer where it was says nothing. */
static bool still_there(int fd, const char *path)
{
	struct stat ours, there;
	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
		   ours.st_dev == there.st_dev;
}

static sn_status wait_for_lock(sn_ctx *ctx, int fd, const char *name)
{
	for (bool told = false; flock(fd, LOCK_EX | LOCK_NB) != 0; told = true) {
		if (errno != EWOULDBLOCK && errno != EINTR) return SN_OK; /* a file system without locks */
		if (!told) sn_note(ctx, "%s: waiting for another process that is fetching it", name);
		SN_TRY(sn_poll(ctx));
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	return SN_OK;
}

static sn_status lock(const blob *b, int *fd)
{
	sn_ctx *ctx = b->hub->ctx;
	const char *path = sn_arena_format(b->hub->arena, "%s/%s.lock", b->hub->locks, b->etag);
	if (!path) return SN_ENOMEM;
	for (;;) {
		SN_TRY(sn_hub_make_way(ctx, path));
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
		if (*fd < 0) return sn_fail_errno(ctx, path, "create");
		sn_status status = wait_for_lock(ctx, *fd, b->name);
		if (status == SN_OK && still_there(*fd, path)) return SN_OK;
		close(*fd);
		if (status != SN_OK) return status;
	}
}

/* ---- the bytes ---- */

static sn_status put(blob *b, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(b->fd, bytes, size);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return sn_fail_errno(b->hub->ctx, b->partial, "write");
		bytes += n;
		size -= (size_t)n;
		b->have += n;
	}
	return SN_OK;
}

static sn_status cut(blob *b, int64_t size)
{
	if (ftruncate(b->fd, size) != 0) return sn_fail_errno(b->hub->ctx, b->partial, "write");
	b->have = size;
	return SN_OK;
}

/* A server may ignore the range asked for and send all. */
static sn_status begin(blob *b, const sn_http_reply *reply)
{
	b->begun = true;
	if (reply->code == 200 && b->have > 0) return cut(b, 0);
	if (reply->code == 206 && reply->first != b->have)
		return sn_fail(b->hub->ctx, SN_EPARSE, "%.300s: asked for the bytes from %lld on, got them from %lld", b->url,
					   (long long)b->have, (long long)reply->first);
	return SN_OK;
}

static sn_status take(void *arg, const sn_http_reply *reply, const char *bytes, size_t size)
{
	blob *b = arg;
	if (!b->begun) SN_TRY(begin(b, reply));
	int64_t most = b->size >= 0 ? b->size : most_unsaid;
	if ((int64_t)size > most - b->have)
		return sn_fail(b->hub->ctx, SN_EPARSE, "%.300s: the server sends more than the %lld bytes expected", b->url,
					   (long long)most);
	SN_TRY(put(b, bytes, size));
	sn_progress(b->hub->ctx, b->label, b->have / 1000000, b->size / 1000000);
	return SN_OK;
}

static int64_t go_on(void *arg)
{
	blob *b = arg;
	b->begun = false;
	return b->have;
}

/* Free space for what is still to come; a file system that cannot say is taken at its word when it is full. */
static sn_status check_room(const blob *b)
{
	struct statvfs fs;
	if (b->size < 0 || fstatvfs(b->fd, &fs) != 0) return SN_OK;
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize, need = (uint64_t)(b->size - b->have);
	if (need <= free_bytes) return SN_OK;
	return sn_fail(b->hub->ctx, SN_EDISK,
				   "%s: %.1f MB are still to come, but %s has room for %.1f MB; free some, or set "
				   "HF_HUB_CACHE to a folder on another disk",
				   b->name, (double)need / 1e6, b->hub->settings.cache, (double)free_bytes / 1e6);
}

/* Fetches what is missing of the open partial file. */
static sn_status fill(blob *b)
{
	if (b->size >= 0 && b->have > b->size) SN_TRY(cut(b, 0));
	SN_TRY(check_room(b));
	if (b->have == b->size) return SN_OK;
	sn_http_request request = { .url = b->url, .from = go_on(b), .take = take, .arg = b };
	sn_http_reply r;
	SN_TRY(sn_hub_send(b->hub, &request, &r, go_on));
	if (r.code == 416) { /* what we have cannot be its beginning */
		SN_TRY(cut(b, 0));
		request.from = go_on(b);
		SN_TRY(sn_hub_send(b->hub, &request, &r, go_on));
	}
	if (b->size < 0 || b->have == b->size) return SN_OK;
	return sn_fail(b->hub->ctx, SN_EPARSE, "%.300s: %lld bytes arrived, expected %lld; run the command again", b->url,
				   (long long)b->have, (long long)b->size);
}

/* ---- the check ---- */

/* SN_EPARSE, and the partial file emptied, if the bytes are others than the server promised. */
static sn_status check(blob *b)
{
	char hex[65];
	bool git = strlen(b->etag) == 40;
	SN_TRY(git ? sn_hash_git_blob(b->hub->ctx, b->partial, hex) : sn_hash_file(b->hub->ctx, b->partial, hex));
	if (strcmp(hex, b->etag) == 0) return SN_OK;
	SN_TRY(cut(b, 0));
	return sn_fail(b->hub->ctx, SN_EPARSE,
				   "%.300s: the %s of what arrived is %s, the hub says %s; what arrived was thrown "
				   "away, run the command again",
				   b->url, git ? "git SHA-1" : "SHA-256", hex, b->etag);
}

/* Fills and checks; a beginning of unknown origin that proves wrong is given up once. */
static sn_status fill_and_check(blob *b, sn_hub_origin *origin)
{
	*origin = b->have > 0 ? SN_HUB_RESUMED : SN_HUB_FETCHED;
	SN_TRY(fill(b));
	sn_status status = check(b);
	if (status != SN_EPARSE || *origin == SN_HUB_FETCHED) return status;
	*origin = SN_HUB_FETCHED;
	SN_TRY(fill(b));
	return check(b);
}

static sn_status fetch_bytes(blob *b, sn_hub_origin *origin)
{
	struct stat st;
	sn_ctx *ctx = b->hub->ctx;
	b->fd = open(b->partial, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (b->fd < 0) return sn_fail_errno(ctx, b->partial, "create");
	sn_status status = fstat(b->fd, &st) == 0 ? SN_OK : sn_fail_errno(ctx, b->partial, "examine");
	b->have = status == SN_OK ? st.st_size : 0;
	if (status == SN_OK) status = fill_and_check(b, origin);
	if (status == SN_OK && fsync(b->fd) != 0) status = sn_fail_errno(ctx, b->partial, "write");
	if (status == SN_OK && rename(b->partial, b->path) != 0) status = sn_fail_errno(ctx, b->path, "create");
	close(b->fd);
	return status;
}

/* ---- into the cache ---- */

/* snapshots/COMMIT/a/b is a link to ../../../blobs/ETAG: one step up for each folder. */
static sn_status link_into(const blob *b, const char *commit)
{
	sn_ctx *ctx = b->hub->ctx;
	sn_buf target = { .ctx = ctx };
	const char *path = sn_arena_format(b->hub->arena, "%s/snapshots/%s/%s", b->hub->folder, commit, b->name),
			   *fresh = sn_arena_format(b->hub->arena, "%s.%ld.tmp", path ? path : "", (long)getpid());
	sn_buf_puts(&target, "../../");
	for (const char *c = b->name; (c = strchr(c, '/')); c++) sn_buf_puts(&target, "../");
	sn_buf_format(&target, "blobs/%s", b->etag);
	sn_status status = path && fresh && !target.failed ? sn_hub_make_way(ctx, path) : SN_ENOMEM;
	if (status == SN_OK) unlink(fresh); /* of a process that died */
	if (status == SN_OK && (symlink(target.data, fresh) != 0 || rename(fresh, path) != 0))
		status = sn_fail_errno(ctx, path, "link");
	sn_buf_free(&target);
	return status;
}

/* Under the lock: another process may have fetched it while we waited. */
static sn_status fetch_once(blob *b, sn_hub_origin *origin)
{
	struct stat st;
	int fd;
	SN_TRY(sn_hub_make_way(b->hub->ctx, b->path));
	SN_TRY(lock(b, &fd));
	sn_status status = SN_OK;
	if (stat(b->path, &st) == 0 && (b->size < 0 || st.st_size == b->size))
		*origin = SN_HUB_CACHED;
	else
		status = fetch_bytes(b, origin);
	if (status == SN_OK && stat(b->path, &st) == 0) b->size = st.st_size;
	close(fd);
	return status;
}

sn_status sn_hub_fetch(sn_hub *hub, const char *commit, sn_hub_file *file)
{
	const char *name = sn_http_escape(hub->arena, file->name, true);
	blob b = { .hub = hub, .name = file->name };
	if (!name) return SN_ENOMEM;
	b.url = sn_arena_format(hub->arena, "%s/%s/resolve/%s/%s", hub->settings.endpoint, hub->name.repo, commit, name);
	b.label = sn_arena_format(hub->arena, "%s, MB", file->name);
	if (!b.url || !b.label) return SN_ENOMEM;
	SN_TRY(ask(&b));
	b.path = sn_arena_format(hub->arena, "%s/blobs/%s", hub->folder, b.etag);
	b.partial = sn_arena_format(hub->arena, "%s/blobs/%s.incomplete", hub->folder, b.etag);
	if (!b.path || !b.partial) return SN_ENOMEM;
	SN_TRY(fetch_once(&b, &file->origin));
	file->size = b.size;
	return link_into(&b, commit);
}
