/* HTTP with libcurl: one request at a time over a connection that is kept. Redirects are followed here, so that the
 * token goes to the server it was given for and to no other. */
#ifndef SN_IO_HTTP_H
#define SN_IO_HTTP_H

#include "base/base.h"

typedef struct sn_http sn_http;

/* What a server answered. Texts are "" where it said nothing (or more than fits). */
typedef struct sn_http_reply {
	long code;           /* 200, 404 …; 0: no answer came */
	bool broken;         /* no connection, or it broke off: another try may do better */
	int64_t size, first; /* bytes of this body, -1: unknown; offset of its first byte in the whole (Content-Range) */
	int64_t linked_size; /* X-Linked-Size, -1: not said */
	int64_t retry_after; /* seconds; 0: not said */
	char etag[192], linked_etag[192], commit[64], error[64]; /* ETag, X-Linked-Etag, X-Repo-Commit, X-Error-Code */
} sn_http_reply;

/* Receives a piece of the body of an answer 200 or 206; other bodies are dropped. A failure ends the request. */
typedef sn_status sn_http_take(void *arg, const sn_http_reply *reply, const char *bytes, size_t size);

typedef struct sn_http_request {
	const char *url;
	bool head;          /* headers only; a redirect to another server is then the answer */
	int64_t from;       /* ask for the bytes from here on; 0: all */
	sn_http_take *take; /* NULL with head */
	void *arg;
} sn_http_request;

/* Opens a client of the server that origin (a URL) names; token: sent as bearer to that server only, or NULL. SN_EARG
 * for a URL that is not http or https, or a token that no header can hold. */
SN_CHECKED sn_status sn_http_open(sn_http **out, sn_ctx *ctx, const char *origin, const char *token);
void sn_http_close(sn_http *http);
/* Sends a request, following at most 8 redirects. SN_OK: an answer with any code arrived whole. SN_EIO: none did, or it
 * broke off (broken is set; code says whether it had begun). SN_ECANCEL; or what take returned. */
SN_CHECKED sn_status sn_http_send(sn_http *http, const sn_http_request *request, sn_http_reply *reply);
/* Returns true if two URLs name the same scheme, host and port. */
bool sn_http_same_origin(const char *a, const char *b);
/* Returns text with everything but letters, digits and -._~ percent-encoded ('/' stays if slash), from arena, or
 * NULL. */
char *sn_http_escape(sn_arena *arena, const char *text, bool slash);

#endif
