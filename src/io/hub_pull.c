/* Pulling a model: ask the hub what there is, choose, fetch each file, note the revision. */
#define _GNU_SOURCE
#include "io/hub_fetch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_TRIES = 5, FIRST_WAIT_MS = 500, MOST_WAIT_MS = 60000 };

/* ---- errors ---- */

static sn_status no_access(sn_hub *hub, const sn_http_reply *r)
{
	const char *repo = hub->name.repo, *endpoint = hub->settings.endpoint;
	if (strcmp(r->error, "GatedRepo") == 0)
		return sn_fail(hub->ctx, SN_EIO,
					   "%s is gated (%ld): accept its conditions at %s/%s, make a token there, and set "
					   "HF_TOKEN to it",
					   repo, r->code, endpoint, repo);
	if (hub->settings.token)
		return sn_fail(hub->ctx, SN_EIO,
					   "%s: %s refuses the token (%ld); is it valid, and may it read this model? It comes "
					   "from HF_TOKEN or the file token in HF_HOME",
					   repo, endpoint, r->code);
	return sn_fail(hub->ctx, SN_EIO,
				   "%s: %s has no public model of this name (%ld); check the spelling, or set HF_TOKEN if "
				   "it is private",
				   repo, endpoint, r->code);
}

static sn_status refused(sn_hub *hub, const sn_http_request *request, const sn_http_reply *r)
{
	if (r->code == 401 || r->code == 403) return no_access(hub, r);
	if (r->code == 404 && strcmp(r->error, "RevisionNotFound") == 0)
		return sn_fail(hub->ctx, SN_ENOTFOUND, "%s has no revision %s at %s (404)", hub->name.repo, hub->name.revision,
					   hub->settings.endpoint);
	if (r->code == 404) return sn_fail(hub->ctx, SN_ENOTFOUND, "%.300s: not found (404); check the name", request->url);
	return sn_fail(hub->ctx, SN_EIO, "%.300s: the server answers with code %ld; try again later", request->url,
				   r->code);
}

/* ---- trying again ---- */

/* Sleeps in short pieces, so that Ctrl-C is heard. */
static sn_status wait_ms(sn_ctx *ctx, int64_t ms)
{
	for (; ms > 0; ms -= 50) {
		SN_TRY(sn_poll(ctx));
		nanosleep(&(struct timespec){ .tv_nsec = SN_MIN(ms, 50) * 1000000 }, NULL);
	}
	return sn_poll(ctx);
}

static bool is_answer(const sn_http_reply *r) { return (r->code >= 200 && r->code < 400) || r->code == 416; }

static bool worth_another(const sn_hub *hub, sn_status status, const sn_http_reply *r)
{
	if (r->broken) return r->code != 0 || hub->reached;
	return status == SN_OK && (r->code == 408 || r->code == 429 || r->code >= 500);
}

sn_status sn_hub_send(sn_hub *hub, sn_http_request *request, sn_http_reply *reply, int64_t (*again)(void *arg))
{
	int64_t wait = FIRST_WAIT_MS;
	for (int tries = 1;; tries++) {
		sn_status status = sn_http_send(hub->http, request, reply);
		hub->reached |= reply->code != 0;
		if (status == SN_OK && is_answer(reply)) return SN_OK;
		int64_t from = again ? again(request->arg) : 0;
		if (from > request->from) { /* it got further: not stuck */
			tries = 1;
			wait = FIRST_WAIT_MS;
		}
		request->from = from;
		if (!worth_another(hub, status, reply) || tries >= MOST_TRIES)
			return status == SN_OK ? refused(hub, request, reply) : status;
		SN_TRY(wait_ms(hub->ctx, SN_MAX(wait, SN_MIN(reply->retry_after * 1000, MOST_WAIT_MS))));
		wait *= 2;
	}
}

/* ---- the listing ---- */

static sn_status take_text(void *arg, const sn_http_reply *reply, const char *bytes, size_t size)
{
	sn_buf *buf = arg;
	(void)reply;
	if (size > SN_HUB_MOST_LISTING - SN_MIN(buf->size, (size_t)SN_HUB_MOST_LISTING))
		return sn_fail(buf->ctx, SN_EPARSE, "the hub's description of the model is longer than %d bytes",
					   SN_HUB_MOST_LISTING);
	sn_buf_add(buf, bytes, size);
	return buf->failed ? SN_ENOMEM : SN_OK;
}

/* A description that broke off is asked for anew from its beginning. */
static int64_t from_the_beginning(void *arg)
{
	sn_buf *buf = arg;
	buf->size = 0;
	return 0;
}

static sn_status read_listing(sn_hub *hub, sn_hub_listing *out)
{
	sn_buf text = { .ctx = hub->ctx };
	const char *revision = sn_http_escape(hub->arena, hub->name.revision, false);
	const char *url = revision ? sn_arena_format(hub->arena, "%s/api/models/%s/revision/%s", hub->settings.endpoint,
												 hub->name.repo, revision)
							   : NULL;
	if (!url) return SN_ENOMEM;
	sn_http_request request = { .url = url, .take = take_text, .arg = &text };
	sn_http_reply reply;
	sn_status status = sn_hub_send(hub, &request, &reply, from_the_beginning);
	if (status == SN_OK)
		status = sn_hub_listing_read(hub->ctx, hub->arena, url, text.data ? text.data : "", text.size, out);
	sn_buf_free(&text);
	return status;
}

/* ---- what is left in the cache ---- */

sn_status sn_hub_make_way(sn_ctx *ctx, const char *path)
{
	char part[4096];
	size_t n = strlen(path);
	if (n >= sizeof part) return sn_fail(ctx, SN_EARG, "%.200s …: the path is too long", path);
	memcpy(part, path, n + 1);
	for (char *c = part + 1; (c = strchr(c, '/')); *c++ = '/') {
		*c = '\0';
		if (mkdir(part, 0777) != 0 && errno != EEXIST) return sn_fail_errno(ctx, part, "make the folder");
	}
	return SN_OK;
}

/* A branch or tag is noted last, so that it never names a snapshot that is less whole than the one before. */
static sn_status note_revision(sn_hub *hub, const char *commit)
{
	if (strcmp(hub->name.revision, commit) == 0) return SN_OK;
	const char *path = sn_arena_format(hub->arena, "%s/refs/%s", hub->folder, hub->name.revision);
	if (!path) return SN_ENOMEM;
	SN_TRY(sn_hub_make_way(hub->ctx, path));
	return sn_write_file(hub->ctx, path, commit, strlen(commit));
}

/* What the model is called from now on. */
static sn_status name_it(sn_hub *hub, const char *pattern, sn_hub_pulled *out)
{
	bool main = strcmp(hub->name.revision, "main") == 0, one = pattern && out->n == 1;
	out->name = sn_arena_format(hub->arena, "%s%s%s%s%s", hub->name.repo, main ? "" : "@",
								main ? "" : hub->name.revision, one ? "/" : "", one ? out->file[0].name : "");
	out->folder = sn_arena_format(hub->arena, "%s/snapshots/%s", hub->folder, out->commit);
	return out->name && out->folder ? SN_OK : SN_ENOMEM;
}

/* ---- pulling ---- */

static sn_status fetch_all(sn_hub *hub, const char *pattern, sn_hub_pulled *out)
{
	sn_hub_listing listing;
	const char **file;
	SN_TRY(read_listing(hub, &listing));
	SN_TRY(sn_hub_choose(hub->ctx, hub->arena, hub->name.repo, &listing, pattern, &file, &out->n));
	SN_NEW(out->file, hub->arena, sn_hub_file, out->n);
	out->commit = listing.commit;
	for (int i = 0; i < out->n; i++) {
		out->file[i].name = file[i];
		SN_TRY(sn_hub_fetch(hub, listing.commit, &out->file[i]));
	}
	SN_TRY(note_revision(hub, listing.commit));
	return name_it(hub, pattern, out);
}

static sn_status prepare(sn_hub *hub, const char *name)
{
	SN_TRY(sn_hub_name_read(hub->ctx, hub->arena, name, &hub->name));
	SN_TRY(sn_hub_settings_read(hub->ctx, hub->arena, &hub->settings));
	if (hub->settings.offline)
		return sn_fail(hub->ctx, SN_EIO, "%s: HF_HUB_OFFLINE is set, so nothing is fetched; unset it", hub->name.repo);
	hub->folder = sn_hub_folder(hub->arena, hub->settings.cache, hub->name.repo);
	const char *locks = sn_arena_format(hub->arena, "%s/.locks", hub->settings.cache);
	hub->locks = locks ? sn_hub_folder(hub->arena, locks, hub->name.repo) : NULL;
	return hub->folder && hub->locks ? SN_OK : SN_ENOMEM;
}

sn_status sn_hub_pull(sn_ctx *ctx, sn_arena *arena, const char *name, const char *pattern, sn_hub_pulled *out)
{
	sn_hub hub = { .ctx = ctx, .arena = arena };
	*out = (sn_hub_pulled){ 0 };
	SN_TRY(prepare(&hub, name));
	if (hub.name.file && pattern) return sn_fail(ctx, SN_EARG, "%.200s names a file already; leave --file out", name);
	if (hub.name.file) pattern = hub.name.file;
	SN_TRY(sn_http_open(&hub.http, ctx, hub.settings.endpoint, hub.settings.token));
	sn_status status = fetch_all(&hub, pattern, out);
	sn_http_close(hub.http);
	return status;
}
