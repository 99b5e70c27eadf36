/* The Hugging Face hub and its cache on disk, which is shared with the Python package huggingface_hub: what one has
 * fetched the other finds. Layout of the cache, below $HF_HUB_CACHE:
 *   models--ORG--NAME/blobs/ETAG                 the files' bytes; ETAG is their SHA-256, or SHA-1 as git counts it
 *   models--ORG--NAME/blobs/ETAG.incomplete      what has arrived of one
 *   models--ORG--NAME/snapshots/COMMIT/FILE      a link to ../../blobs/ETAG
 *   models--ORG--NAME/refs/REVISION              the commit that a branch or tag meant when it was last asked for
 *   .locks/models--ORG--NAME/ETAG.lock           held (flock) while the blob is fetched */
#ifndef SN_IO_HUB_H
#define SN_IO_HUB_H

#include "base/base.h"

/* ---- names ---- */

/* ORG/NAME[@REVISION][/FILE], or NAME[@REVISION] of the hub's first models ("gpt2"). A revision is a branch, a tag, a
 * commit, or refs/pr/7. */
typedef struct sn_hub_name {
	const char *repo, *revision; /* "main" where none was named */
	const char *file;            /* NULL: the whole model */
} sn_hub_name;

/* Reads a name; texts from arena. SN_EARG says what a name looks like. */
SN_CHECKED sn_status sn_hub_name_read(sn_ctx *ctx, sn_arena *arena, const char *text, sn_hub_name *out);
/* Returns whether a server's file name can be a path below a folder: relative, UTF-8, no control characters or
 * backslashes, no empty part, "." or "..". */
bool sn_hub_file_name_ok(const char *name);

/* What the environment says, read as huggingface_hub does: cache from HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME,
 * XDG_CACHE_HOME or HOME; endpoint from HF_ENDPOINT; token (NULL: none) from HF_TOKEN, HF_TOKEN_PATH or
 * $HF_HOME/token; offline from HF_HUB_OFFLINE. */
typedef struct sn_hub_settings {
	const char *cache, *endpoint, *token;
	bool offline;
} sn_hub_settings;
SN_CHECKED sn_status sn_hub_settings_read(sn_ctx *ctx, sn_arena *arena, sn_hub_settings *out);

/* Returns CACHE/models--ORG--NAME, or NULL when memory is short. */
const char *sn_hub_folder(sn_arena *arena, const char *cache, const char *repo);

/* ---- the cache ---- */

/* Turns what a user wrote for a model into a path: of an existing file or folder its own, otherwise that of the cached
 * model with this name – a folder with config.json and weights, its one GGUF file, or the file named. Touches no
 * network. *name: "ORG/NAME" if it came from the cache, otherwise NULL; all from arena. SN_EIO says what is missing
 * and which command fetches it. */
SN_CHECKED sn_status sn_hub_locate(sn_ctx *ctx, sn_arena *arena, const char *text, const char **path,
								   const char **name);

/* ---- what a model's repository holds ---- */

typedef struct sn_hub_listing {
	const char *commit; /* 40 hex digits */
	const char **file;  /* [n] */
	int n;
} sn_hub_listing;

enum { SN_HUB_MOST_LISTING = 32 << 20 }; /* bytes */

/* Reads the hub's description of a model at a revision (JSON: sha, siblings[].rfilename); source: for messages.
 * SN_EPARSE also for a file name that would lead out of the cache. */
SN_CHECKED sn_status sn_hub_listing_read(sn_ctx *ctx, sn_arena *arena, const char *source, const char *text,
										 size_t size, sn_hub_listing *out);
/* Chooses what Sonde needs of it: config.json, the tokenizer's files, and the weights in the first form there is of
 * safetensors, PyTorch, and a single GGUF file (or the parts of one); with a pattern (as a shell's, '*' also for '/')
 * the files that match instead. *file: names, from arena. SN_ENOTFOUND says what there is. */
SN_CHECKED sn_status sn_hub_choose(sn_ctx *ctx, sn_arena *arena, const char *repo, const sn_hub_listing *listing,
								   const char *pattern, const char ***file, int *n);

/* ---- fetching ---- */

typedef enum sn_hub_origin { SN_HUB_CACHED, SN_HUB_FETCHED, SN_HUB_RESUMED } sn_hub_origin;
typedef struct sn_hub_file {
	const char *name;
	int64_t size; /* bytes */
	sn_hub_origin origin;
} sn_hub_file;
typedef struct sn_hub_pulled {
	const char *name; /* what the model is now called: "ORG/NAME", "ORG/NAME@REVISION", with /FILE for one GGUF file */
	const char *commit, *folder;
	sn_hub_file *file; /* [n] */
	int n;
} sn_hub_pulled;

/* Brings a model's files into the cache (see sn_hub_choose), every one checked by size and hash. A partial download is
 * resumed, also after SN_ECANCEL and any failure; broken transfers are taken up again four times, waiting longer each
 * time. All texts from arena.
 * SN_ENOTFOUND no such model, revision or file; SN_EIO no network, no access (the text says which); SN_EPARSE an answer
 * that does not fit, or a wrong checksum; SN_EDISK. */
SN_CHECKED sn_status sn_hub_pull(sn_ctx *ctx, sn_arena *arena, const char *name, const char *pattern,
								 sn_hub_pulled *out);

#endif
