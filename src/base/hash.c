/* SHA-256 of bytes and files (OpenSSL), FNV-1a. */
#include "base/base.h"

#include <openssl/evp.h>

static void to_hex(const uint8_t *digest, char hex[65])
{
	static const char digit[] = "0123456789abcdef";
	for (int i = 0; i < 32; i++) {
		hex[2 * i] = digit[digest[i] >> 4];
		hex[2 * i + 1] = digit[digest[i] & 15];
	}
	hex[64] = '\0';
}

sn_status sn_hash_bytes(sn_ctx *ctx, const void *bytes, size_t size, char hex[65])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	if (EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL) != 1)
		return sn_fail(ctx, SN_EINTERNAL, "SHA-256 failed in OpenSSL");
	to_hex(digest, hex);
	return SN_OK;
}

sn_status sn_hash_file(sn_ctx *ctx, const char *path, char hex[65])
{
	sn_map_file map;
	SN_TRY(sn_map_open(&map, ctx, path));
	sn_status status = sn_hash_bytes(ctx, map.data, map.size, hex);
	sn_map_close(ctx, &map);
	return status;
}

uint64_t sn_fnv1a(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
	return hash;
}
