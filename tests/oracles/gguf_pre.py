"""tokenizer.ggml.pre: what the `tokenizers` package makes of texts with each family's expressions, over the vocabulary of small-gpt2.json.
The expressions are written here as transformers and llama.cpp have them, apart from those in src/text/gguf_pre.c."""
import json

from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS as HF

from common import GOLDEN, fnv1a, versions, write_json
from random_text import random_text
from tokenizer import TORTURE, TREEBANKS, sentences

OUT = GOLDEN / "tokenizer" / "gguf_pre.json"
BASE = json.loads((GOLDEN / "tokenizer" / "small-gpt2.json").read_text(encoding="utf-8"))
RANDOM = 20_000
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
DEEPSEEK = (r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌῐ-\x{1FD3}ῖ-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼ"
            r"ℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^" "\r\n" r"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[" "\r\n" r"]*|\s*[" "\r\n"
             r"]+|\s+(?!\S)|\s+")
CJK = "[一-龥ࠀ-一가-퟿]+"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
BAILING = r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
SEED = (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+")
# name: (expressions, a word that is a token stays one)
FAMILIES = {
    "gpt-2": ([GPT2], False),
    "default": ([r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], False),
    "starcoder": ([r"\p{N}", GPT2], False),
    "falcon": ([r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"], False),
    "llama-bpe": ([HF["llama-bpe"]], True),
    "smaug-bpe": ([HF["smaug-bpe"]], False),
    "qwen2": ([HF["qwen2"]], False),
    "qwen35": ([HF["qwen35"]], False),
    "tekken": ([HF["tekken"]], True),
    "gpt-4o": ([HF["gpt-4o"]], False),
    "deepseek-llm": (["[\r\n]", DEEPSEEK, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+\z", CJK, r"\p{N}+"], False),
    "deepseek-coder": (["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"], False),
    "deepseek-v3": ([r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3], False),
    "bloom": ([BLOOM], False),
    "viking": ([BLOOM, r"\p{N}"], False),
    "superbpe": ([r"\p{N}+", r"(?=(\d{3})+(?!\d))"], False),
    "bailingmoe": ([BAILING], False),
    "seed-coder": ([SEED], False),
}


def tokenizer(patterns, ignore_merges):
    t = Tokenizer.from_str(json.dumps(BASE | {"model": BASE["model"] | {"ignore_merges": ignore_merges}}))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    t.pre_tokenizer = pre_tokenizers.Sequence(splits + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return t


def digest(t, texts):
    flat = []
    for text in texts:
        e = t.encode(text, add_special_tokens=False)
        flat += [len(e.ids), *e.ids, *(end for span in e.offsets for end in span)]
    return fnv1a(flat)


def main():
    treebanks = {name: sentences(name) for name in TREEBANKS}
    strings = [random_text(i) for i in range(RANDOM)]
    hashes = {}
    for name, (patterns, ignore_merges) in FAMILIES.items():
        t = tokenizer(patterns, ignore_merges)
        hashes[name] = {"texts": [digest(t, [text]) for text in TORTURE], "random": digest(t, strings),
                        "treebanks": {name: digest(t, texts) for name, texts in treebanks.items()}}
    write_json(OUT, {"made_by": "tests/oracles/gguf_pre.py", "versions": versions("tokenizers", "transformers"), "random": RANDOM,
                     "texts": TORTURE, "families": hashes})


if __name__ == "__main__":
    main()
