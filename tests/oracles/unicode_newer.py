"""Writes src/text/newer.c: characters that the tables of the `tokenizers` package do not know, as against utf8proc's."""
import ctypes

from tokenizers import normalizers, pre_tokenizers

from common import ROOT, versions

LIB = ctypes.CDLL("libutf8proc.so.2")
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co".split()
LIB.utf8proc_version.restype = ctypes.c_char_p
CHARACTERS = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]

HEAD = """/* Characters younger than the tables of the `tokenizers` package, which BERT's rules (Unicode 8) and the normalization
 * forms (Unicode 9) go by: their models were trained with these characters unassigned. Written by
 * tests/oracles/unicode_newer.py (tokenizers %s, utf8proc %s). */
#include "text/classes.h"

/* clang-format off */
/* First, last, and up to which version they were unassigned: 9, or 8 (only punctuation, marks, format characters). */
static const struct {
	uint32_t first, last;
	int unicode;
} newer[] = {
"""
TAIL = """};
/* clang-format on */

int sn_newer(uint32_t code)
{
	int low = 0, high = SN_COUNT(newer);
	while (code >= newer[0].first && low < high) {
		int middle = (low + high) / 2;
		if (code > newer[middle].last)
			low = middle + 1;
		else if (code < newer[middle].first)
			high = middle;
		else
			return newer[middle].unicode;
	}
	return 0;
}
"""


def category(c):
    return CATEGORIES[LIB.utf8proc_category(c)]


def form(text, options):
    out = ctypes.c_void_p()
    data = text.encode()
    n = LIB.utf8proc_map(data, ctypes.c_ssize_t(len(data)), ctypes.byref(out), options | 2)
    return ctypes.string_at(out, n).decode()


def unknown_to_bert():
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    strip = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    punctuation = pre_tokenizers.Punctuation("isolated")
    for c in CHARACTERS:
        kind = category(c)
        if kind == "Cf" and clean.normalize_str(f"a{chr(c)}") != "a":
            yield c
        if kind[0] == "P" and len(punctuation.pre_tokenize_str(f"a{chr(c)}")) == 1:
            yield c
        if kind == "Mn" and strip.normalize_str(chr(c)):
            yield c


def unknown_to_scripts():
    """The scripts are Unicode 9's too: what is unknown there belongs to any script, as nothing else but the space does."""
    scripts = pre_tokenizers.UnicodeScripts()
    for c in CHARACTERS:
        if c != 0x20 and category(c) not in ("Cn", "Co") and all(
                len(scripts.pre_tokenize_str(f"{other}{chr(c)}{other}")) == 1 for other in "aб"):
            yield c


def unknown_to_forms():
    decompose, compat, marks = normalizers.NFD(), normalizers.NFKD(), normalizers.StripAccents()
    for c in CHARACTERS:
        if category(c) == "Cn":
            continue
        if compat.normalize_str(chr(c)) != form(chr(c), 1 << 2 | 1 << 4):
            yield c
        if category(c)[0] != "M":
            continue
        mixed = (f"a{chr(c)}\u0334", f"a\u0345{chr(c)}")   # classes 1 and 240
        if marks.normalize_str(chr(c)) or any(decompose.normalize_str(s) != form(s, 1 << 4) for s in mixed):
            yield c


def main():
    scripts, forms = set(unknown_to_scripts()), set(unknown_to_forms())
    assert forms - scripts == {0x111c9}   # punctuation that became a mark: an exception in classes.c
    level = dict.fromkeys(unknown_to_bert(), 8) | dict.fromkeys(scripts, 9)
    ranges = []
    for c in sorted(level):
        between = range(ranges[-1][1] + 1, c) if ranges else []
        if ranges and ranges[-1][2] == level[c] and all(category(other) == "Cn" for other in between):
            ranges[-1][1] = c
        else:
            ranges.append([c, c, level[c]])
    cells = [f"{{ 0x{first:x}, 0x{last:x}, {unicode} }}," for first, last, unicode in ranges]
    rows = ["\t" + " ".join(cells[i:i + 4]) + "\n" for i in range(0, len(cells), 4)]
    head = HEAD % (versions("tokenizers")["tokenizers"], LIB.utf8proc_version().decode())
    (ROOT / "src" / "text" / "newer.c").write_text(head + "".join(rows) + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
