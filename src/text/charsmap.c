/* Walking somebody else's double array. A unit is: bit 31, set for a value; bit 8, there is a value below; bits 0-7,
 * the byte that leads here; bits 10-30, where the children are, times 256 if bit 9 is set. */
#include "text/charsmap.h"

#include <string.h>

static const uint32_t IS_VALUE = 1u << 31, HAS_VALUE = 1u << 8;

static uint32_t unit_at(const sn_charsmap *map, uint32_t i)
{
	return i < map->n ? sn_load_u32(map->unit + 4 * (size_t)i) : IS_VALUE; /* which no byte leads to */
}

static uint32_t children_of(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

sn_status sn_charsmap_open(sn_charsmap *out, sn_ctx *ctx, sn_slice bytes, const char *source)
{
	*out = (sn_charsmap){ 0 };
	if (bytes.size == 0) return SN_OK;
	uint32_t trie = bytes.size >= 4 ? sn_load_u32(bytes.data) : 0;
	if (trie == 0 || trie % 4 || trie >= bytes.size - 4)
		return sn_fail(ctx, SN_EPARSE,
					   "%s: precompiled_charsmap: a trie of %u bytes in %zu bytes; expected a multiple of 4 and texts "
					   "behind it",
					   source, trie, bytes.size);
	if (bytes.data[bytes.size - 1] != '\0')
		return sn_fail(ctx, SN_EPARSE, "%s: precompiled_charsmap: the last of its texts does not end with a NUL",
					   source);
	*out = (sn_charsmap){ bytes.data + 4, trie / 4, bytes.data + 4 + trie, bytes.size - 4 - trie };
	return SN_OK;
}

size_t sn_charsmap_find(const sn_charsmap *map, sn_charsmap_rule rule, const char *text, size_t size, sn_slice *to)
{
	size_t found = 0;
	uint32_t value = 0, at = children_of(unit_at(map, 0));
	for (size_t i = 0; i < size && map->n; i++) {
		unsigned char byte = (unsigned char)text[i];
		if (byte == 0 && rule == SN_CHARSMAP_FIRST) break;
		at ^= byte;
		uint32_t unit = unit_at(map, at);
		if ((unit & (IS_VALUE | 0xff)) != byte) break;
		at ^= children_of(unit);
		bool inside = i + 1 < size && ((unsigned char)text[i + 1] & 0xc0) == 0x80; /* a character */
		if (!(unit & HAS_VALUE) || inside) continue;
		value = unit_at(map, at) & ~IS_VALUE;
		found = i + 1;
		if (rule == SN_CHARSMAP_FIRST) break;
	}
	if (found == 0 || value >= map->size) return 0;
	*to = (sn_slice){ map->text + value, strlen(map->text + value) };
	return sn_utf8_check(to->data, to->size) < 0 ? found : 0;
}
