/* The two halves of a pull: what is asked of the server (hub_pull.c), and one file on its way into the cache
 * (hub_blob.c). */
#ifndef SN_IO_HUB_FETCH_H
#define SN_IO_HUB_FETCH_H

#include "io/http.h"
#include "io/hub.h"

typedef struct sn_hub {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_http *http;
	sn_hub_settings settings;
	sn_hub_name name;
	const char *folder, *locks; /* CACHE/models--ORG--NAME, CACHE/.locks/models--ORG--NAME */
	bool reached;               /* the server has answered once: from then on failures to connect are tried again */
} sn_hub;

/* Sends a request until an answer arrives whole, and turns codes other than 200, 206 and redirects into errors (416
 * too is handed back). Broken transfers and codes 429 and 5xx are tried again, at most four times without progress.
 * again: called before each further try, to say from which byte on; or NULL. */
SN_CHECKED sn_status sn_hub_send(sn_hub *hub, sn_http_request *request, sn_http_reply *reply,
								 int64_t (*again)(void *arg));

/* Brings one file of the commit into the cache and links it into the snapshot; fills size and origin. */
SN_CHECKED sn_status sn_hub_fetch(sn_hub *hub, const char *commit, sn_hub_file *file);

/* Makes the folders that lead to path, as far as they are missing. */
SN_CHECKED sn_status sn_hub_make_way(sn_ctx *ctx, const char *path);

#endif
