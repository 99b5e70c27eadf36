/* SHA-256 of bytes and files, git's SHA-1 of files (OpenSSL), FNV-1a. */
#include "base/base.h"

#include <openssl/evp.h>
#include <sys/stat.h>

enum { PIECE = 16 << 20 }; /* bytes hashed between two looks at whether the user wants to stop */

static void to_hex(const uint8_t *digest, unsigned n, char hex[65])
{
	static const char digit[] = "0123456789abcdef";
	for (unsigned i = 0; i < n; i++) {
		hex[2 * i] = digit[digest[i] >> 4];
		hex[2 * i + 1] = digit[digest[i] & 15];
	}
	hex[2 * n] = '\0';
}

static sn_status hash_failed(sn_ctx *ctx) { return sn_fail(ctx, SN_EINTERNAL, "hashing failed in OpenSSL"); }

static sn_status hash_pieces(sn_ctx *ctx, EVP_MD_CTX *hash, const EVP_MD *kind, const char *head, size_t head_size,
                             const uint8_t *bytes, size_t size, char hex[65])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (EVP_DigestInit_ex(hash, kind, NULL) != 1 || EVP_DigestUpdate(hash, head, head_size) != 1)
		return hash_failed(ctx);
	for (size_t at = 0; at < size; at += PIECE) {
		SN_TRY(sn_poll(ctx));
		if (EVP_DigestUpdate(hash, bytes + at, SN_MIN(size - at, (size_t)PIECE)) != 1) return hash_failed(ctx);
	}
	if (EVP_DigestFinal_ex(hash, digest, &n) != 1 || n > 32) return hash_failed(ctx);
	to_hex(digest, n, hex);
	return SN_OK;
}

/* The hash of head and then bytes. */
static sn_status hash_all(sn_ctx *ctx, const EVP_MD *kind, const char *head, size_t head_size, const void *bytes,
                          size_t size, char hex[65])
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	if (!hash) return sn_fail(ctx, SN_ENOMEM, "out of memory in OpenSSL");
	sn_status status = hash_pieces(ctx, hash, kind, head, head_size, bytes, size, hex);
	EVP_MD_CTX_free(hash);
	return status;
}

sn_status sn_hash_bytes(sn_ctx *ctx, const void *bytes, size_t size, char hex[65])
{
	return hash_all(ctx, EVP_sha256(), "", 0, bytes, size, hex);
}

sn_status sn_hash_file(sn_ctx *ctx, const char *path, char hex[65])
{
	sn_map_file map;
	SN_TRY(sn_map_open(&map, ctx, path));
	sn_status status = sn_hash_bytes(ctx, map.data, map.size, hex);
	sn_map_close(ctx, &map);
	return status;
}

sn_status sn_hash_git_blob(sn_ctx *ctx, const char *path, char hex[65])
{
	struct stat st;
	char head[32];
	sn_map_file map = { 0 };
	if (stat(path, &st) != 0) return sn_fail_errno(ctx, path, "examine");
	if (st.st_size > 0) SN_TRY(sn_map_open(&map, ctx, path)); /* an empty file cannot be mapped */
	int n = sn_format(head, sizeof head, "blob %zu", map.size);
	sn_status status = hash_all(ctx, EVP_sha1(), head, (size_t)n + 1, map.data, map.size, hex);
	sn_map_close(ctx, &map);
	return status;
}

uint64_t sn_fnv1a(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
	return hash;
}
