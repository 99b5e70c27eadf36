/* Scripts: Oniguruma has a table for each of them; here they become one list. */
#include "text/scripts.h"

#include <oniguruma.h>
#include <stdlib.h>
#include <string.h>

/* Hiragana and Katakana go with Han. */
static const char *const names[] = {
	"Common",
	"Han",
	"Hiragana",
	"Katakana",
	"Adlam",
	"Ahom",
	"Anatolian_Hieroglyphs",
	"Arabic",
	"Armenian",
	"Avestan",
	"Balinese",
	"Bamum",
	"Bassa_Vah",
	"Batak",
	"Bengali",
	"Bhaiksuki",
	"Bopomofo",
	"Brahmi",
	"Braille",
	"Buginese",
	"Buhid",
	"Canadian_Aboriginal",
	"Carian",
	"Caucasian_Albanian",
	"Chakma",
	"Cham",
	"Cherokee",
	"Coptic",
	"Cuneiform",
	"Cypriot",
	"Cyrillic",
	"Deseret",
	"Devanagari",
	"Duployan",
	"Egyptian_Hieroglyphs",
	"Elbasan",
	"Ethiopic",
	"Georgian",
	"Glagolitic",
	"Gothic",
	"Grantha",
	"Greek",
	"Gujarati",
	"Gurmukhi",
	"Hangul",
	"Hanunoo",
	"Hatran",
	"Hebrew",
	"Imperial_Aramaic",
	"Inherited",
	"Inscriptional_Pahlavi",
	"Inscriptional_Parthian",
	"Javanese",
	"Kaithi",
	"Kannada",
	"Kayah_Li",
	"Kharoshthi",
	"Khmer",
	"Khojki",
	"Khudawadi",
	"Lao",
	"Latin",
	"Lepcha",
	"Limbu",
	"Linear_A",
	"Linear_B",
	"Lisu",
	"Lycian",
	"Lydian",
	"Mahajani",
	"Malayalam",
	"Mandaic",
	"Manichaean",
	"Marchen",
	"Meetei_Mayek",
	"Mende_Kikakui",
	"Meroitic_Cursive",
	"Meroitic_Hieroglyphs",
	"Miao",
	"Modi",
	"Mongolian",
	"Mro",
	"Multani",
	"Myanmar",
	"Nabataean",
	"New_Tai_Lue",
	"Newa",
	"Nko",
	"Ogham",
	"Ol_Chiki",
	"Old_Hungarian",
	"Old_Italic",
	"Old_North_Arabian",
	"Old_Permic",
	"Old_Persian",
	"Old_South_Arabian",
	"Old_Turkic",
	"Oriya",
	"Osage",
	"Osmanya",
	"Pahawh_Hmong",
	"Palmyrene",
	"Pau_Cin_Hau",
	"Phags_Pa",
	"Phoenician",
	"Psalter_Pahlavi",
	"Rejang",
	"Runic",
	"Samaritan",
	"Saurashtra",
	"Sharada",
	"Shavian",
	"Siddham",
	"SignWriting",
	"Sinhala",
	"Sora_Sompeng",
	"Sundanese",
	"Syloti_Nagri",
	"Syriac",
	"Tagalog",
	"Tagbanwa",
	"Tai_Le",
	"Tai_Tham",
	"Tai_Viet",
	"Takri",
	"Tamil",
	"Tangut",
	"Telugu",
	"Thaana",
	"Thai",
	"Tibetan",
	"Tifinagh",
	"Tirhuta",
	"Ugaritic",
	"Vai",
	"Warang_Citi",
	"Yi",
};

static int by_first(const void *a, const void *b)
{
	const sn_script_range *x = a, *y = b;
	return (x->first > y->first) - (x->first < y->first);
}

/* Appends the ranges of script i. */
static void add_script(sn_buf *list, int i)
{
	OnigUChar *name = (OnigUChar *)(uintptr_t)names[i]; /* only read */
	OnigCodePoint out = 0;
	const OnigCodePoint *range = NULL;
	int type = ONIGENC_PROPERTY_NAME_TO_CTYPE(ONIG_ENCODING_UTF8, name, name + strlen(names[i]));
	if (type < 0 || ONIGENC_GET_CTYPE_CODE_RANGE(ONIG_ENCODING_UTF8, type, &out, &range) != 0) return;
	for (OnigCodePoint k = 0; k < range[0]; k++) {
		sn_script_range r = { range[1 + 2 * k], range[2 + 2 * k], i == 2 || i == 3 ? 2 : i + 1 };
		sn_buf_add(list, &r, sizeof r);
	}
}

sn_status sn_script_ranges(sn_arena *arena, const sn_script_range **out, int32_t *n)
{
	sn_buf list = { .ctx = sn_arena_ctx(arena) };
	for (int i = 0; i < SN_COUNT(names); i++) add_script(&list, i);
	*n = (int32_t)(list.size / sizeof **out);
	sn_script_range *range = list.failed ? NULL : sn_arena_take(arena, list.size);
	if (range && list.size) memcpy(range, list.data, list.size);
	if (range && list.size) qsort(range, (size_t)*n, sizeof *range, by_first);
	*out = range;
	sn_buf_free(&list);
	return range ? SN_OK : SN_ENOMEM;
}
