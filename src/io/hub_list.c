/* What a repository holds, and which of it a model needs. */
#include "io/hub.h"

#include "io/json.h"

#include <fnmatch.h>
#include <string.h>

/* ---- reading ---- */

static sn_status read_files(const sn_json *doc, sn_arena *arena, sn_hub_listing *out)
{
	json_t *siblings;
	SN_TRY(sn_json_array(doc, doc->root, "siblings", &siblings));
	SN_NEW(out->file, arena, const char *, json_array_size(siblings));
	for (size_t i = 0; i < json_array_size(siblings); i++) {
		const char *name;
		json_t *entry = json_array_get(siblings, i);
		SN_TRY(sn_json_string(doc, entry, "rfilename", &name));
		if (!sn_hub_file_name_ok(name))
			return sn_json_fail(doc, entry, "rfilename", SN_EPARSE,
								"\"%.200s\" is no name of a file below a folder; nothing was fetched", name);
		if (!(out->file[out->n++] = sn_arena_string(arena, name))) return SN_ENOMEM;
	}
	return SN_OK;
}

static sn_status read_listing(const sn_json *doc, sn_arena *arena, sn_hub_listing *out)
{
	const char *commit;
	SN_TRY(sn_json_string(doc, doc->root, "sha", &commit));
	if (strspn(commit, "0123456789abcdef") != 40 || commit[40])
		return sn_json_fail(doc, doc->root, "sha", SN_EPARSE, "expected the 40 hex digits of a commit");
	if (!(out->commit = sn_arena_string(arena, commit))) return SN_ENOMEM;
	return read_files(doc, arena, out);
}

sn_status sn_hub_listing_read(sn_ctx *ctx, sn_arena *arena, const char *source, const char *text, size_t size,
							  sn_hub_listing *out)
{
	sn_json *doc;
	*out = (sn_hub_listing){ 0 };
	SN_TRY(sn_json_parse(&doc, ctx, source, text, size));
	sn_status status = read_listing(doc, arena, out);
	sn_json_close(doc);
	return status;
}

/* ---- choosing ---- */

#define PART "[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]"

static const char *const settings_files[] = {
	"config.json",
	"tokenizer.json",
	"tokenizer_config.json",
	"special_tokens_map.json",
	"added_tokens.json",
	"vocab.json",
	"merges.txt",
	"vocab.txt",
	"*.spm",
	"tokenizer.model",
	"spiece.model",
	"sentencepiece.bpe.model",
};
/* Forms of weights, best first; all files of the first form whose first pattern matches are taken. */
static const char *const weight_files[][3] = {
	{ "model.safetensors" },
	{ "model.safetensors.index.json", "model[-_]" PART ".safetensors" },
	{ "pytorch_model.bin" },
	{ "pytorch_model.bin.index.json", "pytorch_model[-_]" PART ".bin" },
};

static bool matches(const char *pattern, const char *name) { return fnmatch(pattern, name, FNM_PATHNAME) == 0; }

typedef struct choice {
	const sn_hub_listing *listing;
	const char **file;
	int n;
} choice;

/* Returns how many files of the top folder match. */
static int take(choice *c, const char *pattern)
{
	int n = 0;
	for (int i = 0; i < c->listing->n; i++) {
		if (!matches(pattern, c->listing->file[i])) continue;
		c->file[c->n++] = c->listing->file[i];
		n++;
	}
	return n;
}

static bool take_weights(choice *c)
{
	for (int form = 0; form < SN_COUNT(weight_files); form++) {
		int n = 0;
		for (int i = 0; i < 3 && weight_files[form][i]; i++) {
			if (!(n = take(c, weight_files[form][i])) && i == 0) break;
		}
		if (n > 0) return true;
	}
	return false;
}

/* "-00002-of-00003.gguf" or ".gguf" is the end of a name; what stands before names the model. */
static size_t stem_length(const char *name)
{
	size_t n = strlen(name), tail = sizeof "-00001-of-00001.gguf" - 1;
	return matches("*-" PART ".gguf", name) && n > tail ? n - tail : n;
}

/* The one GGUF model of the top folder, in parts perhaps; 0 files if there are several. */
static int take_gguf(choice *c)
{
	const char *one = NULL;
	int before = c->n, n = take(c, "*.gguf");
	for (int i = before; i < c->n; i++) {
		if (!one) one = c->file[i];
		if (stem_length(one) != stem_length(c->file[i]) || strncmp(one, c->file[i], stem_length(one)) != 0) n = 0;
	}
	if (n == 0) c->n = before;
	return n;
}

/* What is there instead, for the error text: names of files that hold weights of any kind. */
static void describe(const sn_hub_listing *listing, const char *pattern, sn_buf *buf)
{
	enum { MOST_NAMES = 12 };
	int n = 0;
	for (int i = 0; i < listing->n; i++) {
		if (fnmatch(pattern, listing->file[i], 0) != 0) continue;
		if (n++ < MOST_NAMES) sn_buf_format(buf, "%s%.100s", n > 1 ? ", " : "", listing->file[i]);
	}
	if (n > MOST_NAMES) sn_buf_format(buf, " and %d more", n - MOST_NAMES);
	if (n == 0) sn_buf_puts(buf, "none");
}

static sn_status nothing_found(sn_ctx *ctx, const char *repo, const sn_hub_listing *listing, const char *pattern)
{
	sn_buf gguf = { .ctx = ctx }, all = { .ctx = ctx };
	sn_status status;
	describe(listing, "*.gguf", &gguf);
	describe(listing, "*", &all);
	if (gguf.failed || all.failed)
		status = SN_ENOMEM;
	else if (pattern)
		status = sn_fail(ctx, SN_ENOTFOUND, "%s: no file matches %.200s; it has: %s", repo, pattern, all.data);
	else if (strcmp(gguf.data, "none") != 0)
		status = sn_fail(ctx, SN_ENOTFOUND, "%s: several GGUF files; choose with --file: %s", repo, gguf.data);
	else
		status = sn_fail(ctx, SN_ENOTFOUND,
						 "%s: no weights that Sonde reads (safetensors, pytorch_model.bin, GGUF); it has: %s", repo,
						 all.data);
	sn_buf_free(&gguf);
	sn_buf_free(&all);
	return status;
}

static sn_status take_pattern(sn_ctx *ctx, const char *repo, const char *pattern, choice *c)
{
	for (int i = 0; i < c->listing->n; i++)
		if (strcmp(pattern, c->listing->file[i]) == 0 || fnmatch(pattern, c->listing->file[i], 0) == 0)
			c->file[c->n++] = c->listing->file[i];
	return c->n ? SN_OK : nothing_found(ctx, repo, c->listing, pattern);
}

sn_status sn_hub_choose(sn_ctx *ctx, sn_arena *arena, const char *repo, const sn_hub_listing *listing,
						const char *pattern, const char ***file, int *n)
{
	choice c = { .listing = listing };
	SN_NEW(c.file, arena, const char *, listing->n); /* enough: no name matches two of the patterns */
	sn_status status = SN_OK;
	if (pattern) {
		status = take_pattern(ctx, repo, pattern, &c);
	} else {
		for (int i = 0; i < SN_COUNT(settings_files); i++) take(&c, settings_files[i]);
		bool model = c.n > 0 && strcmp(c.file[0], "config.json") == 0 && take_weights(&c);
		if (!model) {
			c.n = 0;
			if (!take_gguf(&c)) status = nothing_found(ctx, repo, listing, NULL);
		}
	}
	*file = c.file;
	*n = c.n;
	return status;
}
