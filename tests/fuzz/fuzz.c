#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

enum { MAX_ALLOCATION = 32 << 20, MAX_FILES = 8 };

void fuzz_require(bool promise)
{
	if (!promise) abort();
}

static void *limited_alloc(void *payload, size_t size)
{
	(void)payload;
	fuzz_require(size <= MAX_ALLOCATION);
	return aligned_alloc(64, size);
}

static void limited_free(void *payload, void *p)
{
	(void)payload;
	free(p);
}

sn_ctx *fuzz_ctx(void)
{
	static sn_ctx *ctx;
	if (ctx) return ctx;
	sn_options options = { .size = sizeof options, .threads = 1, .alloc = limited_alloc, .dealloc = limited_free };
	fuzz_require(sn_ctx_open(&ctx, &options) == SN_OK);
	return ctx;
}

bool fuzz_ok(sn_status status)
{
	if (status == SN_OK) return true;
	fuzz_require(status != SN_EINTERNAL && status != SN_ENOMEM && status != SN_ECANCEL);
	fuzz_require(sn_error(fuzz_ctx())[0] != '\0');
	return false;
}

/* ---- files ---- */

static struct {
	char folder[32], name[MAX_FILES][64];
	int n;
} files;

static void remove_files(void)
{
	for (int i = 0; i < files.n; i++) {
		char path[128];
		sn_format(path, sizeof path, "%s/%s", files.folder, files.name[i]);
		unlink(path);
	}
	rmdir(files.folder);
}

const char *fuzz_path(const char *name)
{
	static char path[128];
	if (!files.folder[0]) {
		strcpy(files.folder, "/tmp/sonde_fuzz_XXXXXX");
		fuzz_require(mkdtemp(files.folder) != NULL);
		atexit(remove_files);
	}
	if (!name) return files.folder;
	int i = 0;
	while (i < files.n && strcmp(files.name[i], name) != 0) i++;
	fuzz_require(i < MAX_FILES);
	if (i == files.n) sn_format(files.name[files.n++], sizeof files.name[0], "%s", name);
	sn_format(path, sizeof path, "%s/%s", files.folder, name);
	return path;
}

void fuzz_write(const char *name, const void *bytes, size_t size)
{
	FILE *f = fopen(fuzz_path(name), "wb");
	fuzz_require(f && fwrite(bytes, 1, size, f) == size);
	fuzz_require(fclose(f) == 0);
}

const sn_tokenizer *fuzz_tokenizer(void)
{
	static sn_tokenizer *tokenizer;
	if (!tokenizer)
		fuzz_require(sn_tokenizer_open_json(&tokenizer, fuzz_ctx(), SN_TESTS "/golden/tiny/gqa-tied") == SN_OK);
	return tokenizer;
}
