"""Byte-level BPE as the `tokenizers` package does it: hashes for treebank sentences, a list of hard texts."""
import transformers

import bpe
from common import GOLDEN, SHARED, SMOLLM2, fnv1a, versions, write_jsonl

OUT = GOLDEN / "tokenizer"
PRE = ("smollm", "gpt2")
TREEBANKS = ["en_ewt-ud-dev", "en_ewt-ud-test", "ru_gsd-ud-dev", "ru_gsd-ud-test"]
VERSIONS = versions("tokenizers", "transformers", "gguf")
SMALL_MERGES = 800

TORTURE = [
    "", " ", "  ", "\t", "\n", "\r\n", " \n", "\n ", "a", " a", "a ", "  a  ",
    "The keys to the cabinet are on the table.",
    "Hello,world!How are you?I'm fine,you're not;they've gone. It'll do, he'd say, she's'S 'RE",
    "don’t ‘quote’ “this” – or — that…",
    "line one\r\nline two\r\n\r\nline three\n\n\n  indented\n\ttab\t\ttabs \t mixed \n ",
    "many          spaces          here   ", "trailing   \n", "x  1  2   3",
    "1 12 123 1234567890 3.14159 1,000,000 2026-11-22 12:34:56", "a1b2c3 v2.0 x86_64 9a", "½ ¼ ² ³ ① ⑫ Ⅷ ٣٤٥ १२३ 四 五",
    "Ключи от шкафа лежат на столе.", "съёмка Ёлка ёж, чьё-то подъезд № 5 «кавычки»", "e\u0301 и\u0306 е\u0308 й ё é",
    "Z\u0351\u036b\u0343a\u0322\u0321l\u0336g\u0335o\u0334", "नमस्ते दुनिया ক্ষ", "สวัสดีชาวโลก",
    "שלום עולם \u200fabc\u200e مرحبا بالعالم ١٢٣",
    "中文测试，没有空格。日本語のテスト、カタカナ 한국어 시험", "ｆｕｌｌ ｗｉｄｔｈ １２３",
    "😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇷🇺🇬🇧 ❤️‍🔥", "a😀b  😀 c",
    "𝕳𝖊𝖑𝖑𝖔 𝟙𝟚𝟛 𐍈 \U00010348",
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u0085g\u200bh\ufeffi", "\ufeffBOM first",
    "nul\x00byte bell\x07 esc\x1b[0m del\x7f", "a\x04b", "\U00040000x", "\u00ad soft\u00adhyphen \u2060",
    "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n", "a<|im_end|>b", " <|im_end|> ", "<|im_end|><|im_end|>",
    "<|im_end", "<|IM_END|>", "<|im_end|>|>",
    "https://example.org/a_b-c?d=e&f=%20#g user@mail.example",
    "int main(void) { return 0; }  /* x */\n\tfor (;;) ++i;\n",
    "snake_case camelCase SCREAMING_CASE kebab-case", "!!! ??? ... ---- ==== $$$ ~~~ ((())) [[]] {{}}",
    "a.b,c;d:e!f?g", "\\n \\t \\\\ \"quoted\" `code`",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "превысокомногорассмотрительствующий",
    "a" * 700, "ab" * 400, "é" * 200, "Ж" * 150, " " * 300, "\n" * 150,
    "1" * 100, "!" * 200, "the" * 150, " the" * 100, "😀" * 40,
]


def sentences(treebank):
    lines = (SHARED / "data" / "ud" / f"{treebank}.conllu").read_text(encoding="utf-8").split("\n")
    return [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]


def summary(encoding):
    flat = [value for span in encoding.offsets for value in span]
    return f"{len(encoding.ids)}\t{fnv1a(encoding.ids)}\t{fnv1a(flat)}"


def write_treebank(treebank, tokenizers, reference):
    """One line a sentence; transformers' own reading of the GGUF file (gpt2 pre-tokenizer) must give the same ids."""
    columns = "\t".join(f"{pre}_{name}" for pre in PRE for name in ("tokens", "ids", "offsets"))
    made = ", ".join(f"{name} {version}" for name, version in VERSIONS.items())
    lines = [f"# tests/oracles/tokenizer.py; {made}", f"sentence\t{columns}"]
    for number, text in enumerate(sentences(treebank), 1):
        encoded = {pre: tokenizers[pre].encode(text) for pre in PRE}
        assert encoded["gpt2"].ids == reference(text, add_special_tokens=False)["input_ids"], text
        lines.append("\t".join([str(number), *(summary(encoded[pre]) for pre in PRE)]))
    path = OUT / f"smollm2-{treebank.replace('-ud', '')}.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def small_tokenizers():
    """SmolLM2's first merges over all 256 bytes, so that tests without the model have merge ranks to get wrong."""
    from gguf import GGUFReader
    merges = GGUFReader(SMOLLM2).fields["tokenizer.ggml.merges"].contents()[:SMALL_MERGES]
    tokens = bpe.SPECIAL + bpe.byte_characters() + [merge.replace(" ", "") for merge in merges]
    assert len(set(tokens)) == len(tokens)
    return {pre: bpe.build(tokens, merges, bpe.SPECIAL, pre) for pre in PRE}


def torture(tokenizers):
    """tokenizers: {name: tokenizer}. One record a text: ids and offsets under each name."""
    head = {"made_by": "tests/oracles/tokenizer.py", "versions": VERSIONS, "tokenizers": list(tokenizers)}
    records = [head]
    for text in TORTURE:
        encoded = {name: tokenizer.encode(text) for name, tokenizer in tokenizers.items()}
        records.append({"text": text} | {name: {"ids": e.ids, "offsets": [list(o) for o in e.offsets]}
                                         for name, e in encoded.items()})
    write_jsonl(OUT / "torture.jsonl", records)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    small, real = small_tokenizers(), {pre: bpe.from_gguf(SMOLLM2, pre) for pre in PRE}
    for pre, tokenizer in small.items():
        tokenizer.save(str(OUT / f"small-{pre}.json"), pretty=False)
    torture({f"small-{pre}": t for pre, t in small.items()} | {f"smollm2-{pre}": t for pre, t in real.items()})
    reference = transformers.AutoTokenizer.from_pretrained(SMOLLM2.parent, gguf_file=SMOLLM2.name)
    for treebank in TREEBANKS:
        write_treebank(treebank, real, reference)


if __name__ == "__main__":
    main()
