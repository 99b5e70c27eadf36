/* Requests through libcurl's easy interface, redirects by hand. */
#include "io/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REDIRECTS = 8, CONNECT_SECONDS = 20, STALL_SECONDS = 60, LONGEST_URL = 8192 };

struct sn_http {
	sn_ctx *ctx;
	CURL *curl;
	struct curl_slist *open_headers, *own_headers; /* for other servers; for the origin, with the token */
	char *origin;
	char message[CURL_ERROR_SIZE];
	const sn_http_request *request; /* of the transfer at work */
	sn_http_reply *reply;
	sn_status taken;
	bool answered; /* reply is filled */
};

/* ---- URLs ---- */

static char *url_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	return curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK ? text : NULL;
}

bool sn_http_same_origin(const char *a, const char *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
	CURLU *u = curl_url(), *v = curl_url();
	bool same = u && v && curl_url_set(u, CURLUPART_URL, a, 0) == CURLUE_OK &&
				curl_url_set(v, CURLUPART_URL, b, 0) == CURLUE_OK;
	for (int i = 0; i < SN_COUNT(parts) && same; i++) {
		char *x = url_part(u, parts[i]), *y = url_part(v, parts[i]);
		same = x && y && curl_strequal(x, y);
		curl_free(x);
		curl_free(y);
	}
	curl_url_cleanup(u);
	curl_url_cleanup(v);
	return same;
}

char *sn_http_escape(sn_arena *arena, const char *text, bool slash)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~",
					  hex[] = "0123456789ABCDEF";
	char *out = SN_TAKE(arena, char, 3 * strlen(text) + 1), *p = out;
	for (; out && *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (strchr(plain, c) || (c == '/' && slash)) {
			*p++ = (char)c;
		} else {
			*p++ = '%';
			*p++ = hex[c >> 4];
			*p++ = hex[c & 15];
		}
	}
	return out;
}

/* ---- answers ---- */

static const char *header(sn_http *h, const char *name)
{
	struct curl_header *found;
	return curl_easy_header(h->curl, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : "";
}

static void copy_header(sn_http *h, const char *name, char *out, size_t size)
{
	const char *value = header(h, name);
	if (strlen(value) < size) memcpy(out, value, strlen(value) + 1);
}

/* "bytes 100-199/200" begins at 100. */
static int64_t first_byte(const char *range)
{
	char number[24] = "";
	int64_t first = -1;
	size_t n = strncmp(range, "bytes ", 6) == 0 ? strspn(range + 6, "0123456789") : 0;
	if (n > 0 && n < sizeof number && range[6 + n] == '-') memcpy(number, range + 6, n);
	return sn_parse_i64(number, &first) ? first : -1;
}

static void read_answer(sn_http *h)
{
	sn_http_reply *r = h->reply;
	curl_off_t size = -1, wait = 0;
	*r = (sn_http_reply){ .size = -1, .linked_size = -1 };
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &r->code);
	if (curl_easy_getinfo(h->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size) == CURLE_OK) r->size = size;
	if (curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK) r->retry_after = wait;
	if (r->code == 206) r->first = first_byte(header(h, "Content-Range"));
	if (!sn_parse_i64(header(h, "X-Linked-Size"), &r->linked_size) || r->linked_size < 0) r->linked_size = -1;
	copy_header(h, "ETag", r->etag, sizeof r->etag);
	copy_header(h, "X-Linked-Etag", r->linked_etag, sizeof r->linked_etag);
	copy_header(h, "X-Repo-Commit", r->commit, sizeof r->commit);
	copy_header(h, "X-Error-Code", r->error, sizeof r->error);
	h->answered = true;
}

static size_t on_body(char *bytes, size_t one, size_t size, void *arg)
{
	sn_http *h = arg;
	(void)one;
	if (!h->answered) read_answer(h);
	if (!h->request->take || (h->reply->code != 200 && h->reply->code != 206)) return size;
	h->taken = h->request->take(h->request->arg, h->reply, bytes, size);
	return h->taken == SN_OK ? size : CURL_WRITEFUNC_ERROR;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	const sn_http *h = arg;
	(void)total, (void)now, (void)up_total, (void)up_now;
	return sn_poll(h->ctx) != SN_OK;
}

/* ---- requests ---- */

static sn_status transfer_failed(sn_http *h, CURLcode code, const char *url)
{
	if (h->taken != SN_OK) return h->taken;
	if (code == CURLE_ABORTED_BY_CALLBACK) return sn_poll(h->ctx);
	h->reply->broken = true;
	if (code == CURLE_OUT_OF_MEMORY) return sn_fail(h->ctx, SN_ENOMEM, "out of memory in libcurl");
	return sn_fail(h->ctx, SN_EIO, "%.200s: %s", url, h->message[0] ? h->message : curl_easy_strerror(code));
}

static sn_status transfer(sn_http *h, const char *url)
{
	char range[32];
	bool own = sn_http_same_origin(url, h->origin);
	sn_format(range, sizeof range, "%lld-", (long long)h->request->from);
	*h->reply = (sn_http_reply){ .size = -1, .linked_size = -1 };
	h->answered = false;
	h->taken = SN_OK;
	h->message[0] = '\0';
	curl_easy_setopt(h->curl, CURLOPT_URL, url);
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, own ? h->own_headers : h->open_headers);
	if (h->request->head)
		curl_easy_setopt(h->curl, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(h->curl, CURLOPT_RANGE, h->request->from > 0 ? range : NULL);
	CURLcode code = curl_easy_perform(h->curl);
	if (code != CURLE_OK) return transfer_failed(h, code, url);
	if (!h->answered) read_answer(h);
	return SN_OK;
}

/* Copies the address that the answer leads on to into next; "" if the answer is final. */
static sn_status find_next(sn_http *h, char next[LONGEST_URL])
{
	char *to = NULL;
	next[0] = '\0';
	curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &to);
	if (!to || h->reply->code < 300 || h->reply->code > 399) return SN_OK;
	if (h->request->head && !sn_http_same_origin(to, h->origin)) return SN_OK;
	if (strlen(to) >= LONGEST_URL)
		return sn_fail(h->ctx, SN_EIO, "%.200s …: redirected to an address of more than %d characters", to,
					   LONGEST_URL);
	memcpy(next, to, strlen(to) + 1);
	return SN_OK;
}

sn_status sn_http_send(sn_http *h, const sn_http_request *request, sn_http_reply *reply)
{
	char url[LONGEST_URL], next[LONGEST_URL];
	*reply = (sn_http_reply){ .size = -1, .linked_size = -1 };
	if (strlen(request->url) >= sizeof url)
		return sn_fail(h->ctx, SN_EARG, "%.200s …: an address of more than %d characters", request->url, LONGEST_URL);
	memcpy(url, request->url, strlen(request->url) + 1);
	h->request = request;
	h->reply = reply;
	for (int hop = 0; hop <= MOST_REDIRECTS; hop++) {
		SN_TRY(transfer(h, url));
		SN_TRY(find_next(h, next));
		if (!next[0]) return SN_OK;
		memcpy(url, next, strlen(next) + 1);
	}
	return sn_fail(h->ctx, SN_EIO, "%.200s: more than %d redirects", request->url, MOST_REDIRECTS);
}

/* ---- opening ---- */

static bool add(struct curl_slist **list, const char *text)
{
	struct curl_slist *longer = curl_slist_append(*list, text);
	if (longer) *list = longer;
	return longer != NULL;
}

/* Bodies are wanted as they are stored: a compressed one has another length. */
static sn_status make_headers(sn_http *h, const char *token)
{
	static const char as_stored[] = "Accept-Encoding: identity";
	sn_buf line = { .ctx = h->ctx };
	for (const char *c = token ? token : ""; *c; c++)
		if (*c <= ' ' || *c > '~')
			return sn_fail(h->ctx, SN_EARG,
						   "the token of HF_TOKEN or of the token file holds a blank or a character "
						   "that is not ASCII; copy it anew");
	bool done = add(&h->open_headers, as_stored) && add(&h->own_headers, as_stored);
	if (token) {
		sn_buf_format(&line, "Authorization: Bearer %s", token);
		done = done && !line.failed && add(&h->own_headers, line.data);
	}
	sn_buf_free(&line);
	return done ? SN_OK : sn_fail(h->ctx, SN_ENOMEM, "out of memory in libcurl");
}

static sn_status set_options(sn_http *h)
{
	bool secure = strncmp(h->origin, "https://", 8) == 0;
	if (!secure && strncmp(h->origin, "http://", 7) != 0)
		return sn_fail(h->ctx, SN_EARG, "%.200s: expected an address that begins with https:// or http://", h->origin);
	h->curl = curl_easy_init();
	if (!h->curl) return sn_fail(h->ctx, SN_ENOMEM, "out of memory in libcurl");
	curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
	/* a redirect never leaves TLS */
	curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, secure ? "https" : "http,https");
	curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "sonde/" SN_VERSION);
	curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->message);
	curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
	curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, h);
	curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
	return SN_OK;
}

static sn_status prepare(sn_http *h, const char *origin, const char *token)
{
	h->origin = sn_alloc(h->ctx, strlen(origin) + 1);
	if (!h->origin) return SN_ENOMEM;
	memcpy(h->origin, origin, strlen(origin));
	SN_TRY(set_options(h));
	return make_headers(h, token);
}

sn_status sn_http_open(sn_http **out, sn_ctx *ctx, const char *origin, const char *token)
{
	*out = NULL;
	sn_http *h = sn_alloc(ctx, sizeof *h);
	if (!h) return SN_ENOMEM;
	h->ctx = ctx;
	sn_status status = prepare(h, origin, token);
	if (status == SN_OK)
		*out = h;
	else
		sn_http_close(h);
	return status;
}

void sn_http_close(sn_http *h)
{
	if (!h) return;
	if (h->curl) curl_easy_cleanup(h->curl);
	curl_slist_free_all(h->open_headers);
	curl_slist_free_all(h->own_headers);
	sn_free(h->ctx, h->origin);
	sn_free(h->ctx, h);
}
