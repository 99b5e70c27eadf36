/* Names of models on the hub, and what the environment says about it. */
#include "io/hub.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_PART = 96, LONGEST_REVISION = 250, LONGEST_FILE = 1000, LONGEST_FILE_PART = 250, LONGEST_TOKEN = 4096 };

/* ---- names ---- */

/* Whether text[0..n) is an organisation or a model's name. */
static bool part_ok(const char *text, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	if (n == 0 || n > LONGEST_PART || strspn(text, letters) < n) return false;
	if (text[0] == '-' || text[0] == '.' || text[n - 1] == '-' || text[n - 1] == '.') return false;
	for (size_t i = 0; i + 1 < n; i++) /* "--" stands for "/" in the cache */
		if (text[i] == text[i + 1] && (text[i] == '-' || text[i] == '.')) return false;
	return true;
}

bool sn_hub_file_name_ok(const char *name)
{
	size_t size = strlen(name);
	if (size == 0 || size > LONGEST_FILE || sn_utf8_check(name, size) >= 0) return false;
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == '\\' || *c == 0x7f) return false;
	for (const char *part = name;; part++) {
		size_t n = strcspn(part, "/");
		if (n == 0 || n > LONGEST_FILE_PART || (part[0] == '.' && (n == 1 || (n == 2 && part[1] == '.')))) return false;
		part += n;
		if (!*part) return true;
	}
}

static bool revision_ok(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._+/";
	return strlen(text) <= LONGEST_REVISION && strspn(text, letters) == strlen(text) && sn_hub_file_name_ok(text) &&
		   text[0] != '-';
}

/* The length of the revision that text begins with: up to a slash, or refs/KIND/NUMBER. */
static size_t revision_length(const char *text)
{
	size_t n = strcspn(text, "/");
	for (int i = 0; i < 2 && strncmp(text, "refs/", 5) == 0 && text[n]; i++) n += 1 + strcspn(text + n + 1, "/");
	return n;
}

/* The length of ORG/NAME or NAME at the beginning of text, or 0. */
static size_t repo_length(const char *text)
{
	size_t n = strcspn(text, "/@");
	if (!part_ok(text, n)) return 0;
	if (text[n] != '/') return n;
	size_t k = strcspn(text + n + 1, "/@");
	return part_ok(text + n + 1, k) ? n + 1 + k : 0;
}

sn_status sn_hub_name_read(sn_ctx *ctx, sn_arena *arena, const char *text, sn_hub_name *out)
{
	size_t n = repo_length(text), k = 0;
	const char *rest = text + n;
	*out = (sn_hub_name){ .revision = "main" };
	bool fine = n > 0;
	if (fine && *rest == '@') {
		k = revision_length(rest + 1);
		if (!(out->revision = sn_arena_copy(arena, rest + 1, k))) return SN_ENOMEM;
		fine = k > 0 && revision_ok(out->revision);
		rest += 1 + k;
	}
	if (fine && *rest == '/') {
		if (!(out->file = sn_arena_string(arena, rest + 1))) return SN_ENOMEM;
		fine = sn_hub_file_name_ok(out->file);
	}
	if (!fine)
		return sn_fail(ctx, SN_EARG,
					   "%.200s: no name of a model on the hub; expected ORG/NAME, ORG/NAME@REVISION or "
					   "ORG/NAME/FILE",
					   text);
	return (out->repo = sn_arena_copy(arena, text, n)) ? SN_OK : SN_ENOMEM;
}

const char *sn_hub_folder(sn_arena *arena, const char *cache, const char *repo)
{
	const char *slash = strchr(repo, '/');
	if (!slash) return sn_arena_format(arena, "%s/models--%s", cache, repo);
	return sn_arena_format(arena, "%s/models--%.*s--%s", cache, (int)(slash - repo), repo, slash + 1);
}

/* ---- the environment ---- */

static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value && value[0] ? value : NULL;
}

static bool is_true(const char *value)
{
	static const char *const yes[] = { "1", "ON", "YES", "TRUE", "on", "yes", "true", "On", "Yes", "True" };
	for (int i = 0; value && i < SN_COUNT(yes); i++)
		if (strcmp(value, yes[i]) == 0) return true;
	return false;
}

/* A path from the environment: "~" at its beginning is the home folder. */
static const char *expand(sn_arena *arena, const char *path)
{
	const char *home = variable("HOME");
	if (path[0] != '~' || (path[1] && path[1] != '/') || !home) return sn_arena_string(arena, path);
	return sn_arena_format(arena, "%s%s", home, path + 1);
}

static sn_status find_home(sn_ctx *ctx, sn_arena *arena, const char **out)
{
	const char *hub = variable("HF_HOME"), *xdg = variable("XDG_CACHE_HOME"), *home = variable("HOME");
	if (hub)
		*out = expand(arena, hub);
	else if (xdg)
		*out = sn_arena_format(arena, "%s/huggingface", xdg);
	else if (home)
		*out = sn_arena_format(arena, "%s/.cache/huggingface", home);
	else
		return sn_fail(ctx, SN_EARG, "no folder for the cache of models: neither HOME nor HF_HOME is set");
	return *out ? SN_OK : SN_ENOMEM;
}

/* A copy without blanks and line ends around it; NULL in *out if nothing is left. */
static sn_status trim(sn_arena *arena, const char *text, const char **out)
{
	static const char blank[] = " \t\r\n";
	text += strspn(text, blank);
	size_t n = strlen(text);
	while (n > 0 && strchr(blank, text[n - 1])) n--;
	*out = n ? sn_arena_copy(arena, text, n) : NULL;
	return *out || n == 0 ? SN_OK : SN_ENOMEM;
}

static sn_status find_token(sn_ctx *ctx, sn_arena *arena, const char *home, const char **out)
{
	const char *token = variable("HF_TOKEN"), *path = variable("HF_TOKEN_PATH");
	char *text;
	size_t size;
	if (!token) token = variable("HUGGING_FACE_HUB_TOKEN");
	if (token) return trim(arena, token, out);
	path = path ? expand(arena, path) : sn_arena_format(arena, "%s/token", home);
	if (!path) return SN_ENOMEM;
	*out = NULL;
	sn_status status = sn_read_file(ctx, path, LONGEST_TOKEN, arena, &text, &size);
	if (status == SN_EIO) return SN_OK; /* no such file: not logged in */
	return status == SN_OK ? trim(arena, text, out) : status;
}

sn_status sn_hub_settings_read(sn_ctx *ctx, sn_arena *arena, sn_hub_settings *out)
{
	const char *home = NULL, *cache = variable("HF_HUB_CACHE"), *endpoint = variable("HF_ENDPOINT");
	*out = (sn_hub_settings){ 0 };
	SN_TRY(find_home(ctx, arena, &home));
	if (!cache) cache = variable("HUGGINGFACE_HUB_CACHE");
	out->cache = cache ? expand(arena, cache) : sn_arena_format(arena, "%s/hub", home);
	if (!endpoint) endpoint = "https://huggingface.co";
	size_t n = strlen(endpoint);
	while (n > 0 && endpoint[n - 1] == '/') n--;
	out->endpoint = sn_arena_copy(arena, endpoint, n);
	out->offline = is_true(getenv("HF_HUB_OFFLINE")) || is_true(getenv("TRANSFORMERS_OFFLINE"));
	if (!out->cache || !out->endpoint) return SN_ENOMEM;
	return find_token(ctx, arena, home, &out->token);
}
