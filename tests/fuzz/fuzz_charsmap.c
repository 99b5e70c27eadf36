/* Tables of rules (precompiled_charsmap): what they make of a text is UTF-8 from inside the table. */
#include "fuzz.h"

#include <string.h>

#include "text/charsmap.h"

static void rewrite(const sn_charsmap *map, sn_charsmap_rule rule, const char *text, size_t size)
{
	for (size_t at = 0; at < size; at++) {
		sn_slice to;
		size_t n = sn_charsmap_find(map, rule, text + at, size - at, &to);
		fuzz_require(n <= size - at);
		if (n == 0) continue;
		fuzz_require(to.data >= map->text && to.data + to.size < map->text + map->size);
		fuzz_require(sn_utf8_check(to.data, to.size) < 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_charsmap map;
	if (!fuzz_ok(sn_charsmap_open(&map, fuzz_ctx(), (sn_slice){ (const char *)bytes, size }, "input"))) return 0;
	static const char text[] = "abc \t\0\xc3\x89\xe2\x80\x94\xd1\x91\xe3\x80\x80\xc4\xb3\xe2\x84\x96 ABC";
	for (int rule = 0; rule < 2; rule++) {
		rewrite(&map, (sn_charsmap_rule)rule, text, sizeof text - 1);
		rewrite(&map, (sn_charsmap_rule)rule, (const char *)bytes, SN_MIN(size, 64));
	}
	return 0;
}
