"""Every option of every stage of tokenizer.json, as a change of one of the zoo's tokenizers: hashes over the hard texts."""
import copy
import json

from tokenizers import Tokenizer

from common import GOLDEN, versions, write_jsonl
from tokenizer_zoo import blocks, pairs, summary

ZOO = GOLDEN / "tokenizer" / "zoo"
TEXTS = json.loads((ZOO / "texts.json").read_text(encoding="utf-8"))["texts"]
BASE = {name: json.loads((ZOO / f"{name}.json").read_text(encoding="utf-8")) for name in ("llama2", "llama3", "bert-cased", "clip")}
BLOCK = 20
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
NO_PREFIX = BYTE_LEVEL | {"add_prefix_space": False}
PREPEND = BASE["llama2"]["normalizer"]


def sequence(key, *stages):
    return {"type": "Sequence", key: list(stages)}


def plain(kind, **options):
    return {"type": kind} | options


def metaspace(scheme, split):
    return plain("Metaspace", replacement="▁", prepend_scheme=scheme, split=split)


def normalizers():
    for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"):
        yield plain(kind)
    for left, right in ((False, True), (True, False), (True, True)):
        yield plain("Strip", strip_left=left, strip_right=right)
    for mask in range(8):
        for accents in (None, False, True):
            yield plain("BertNormalizer", clean_text=bool(mask & 1), handle_chinese_chars=bool(mask & 2), strip_accents=accents, lowercase=bool(mask & 4))
    yield plain("Prepend", prepend="▁x")
    for pattern, content in (({"String": "e"}, "abc"), ({"Regex": "\\s+"}, " "), ({"Regex": "[aeiouаеио]+"}, ""), ({"Regex": "x*"}, "-")):
        yield plain("Replace", pattern=pattern, content=content)
    yield sequence("normalizers", plain("Prepend", prepend="▁x"), plain("NFD"), plain("Lowercase"), plain("StripAccents"))
    yield sequence("normalizers", plain("NFKD"), plain("Replace", pattern={"Regex": "[^a-zа-я ]"}, content="▁▁"), plain("Strip", strip_left=True, strip_right=True), plain("NFC"))


def pre_tokenizers():
    for kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts"):
        yield plain(kind)
    for scheme in ("always", "never", "first"):
        for split in (True, False):
            yield metaspace(scheme, split)
            yield sequence("pretokenizers", plain("Punctuation", behavior="MergedWithNext"), metaspace(scheme, split))
    for behavior in BEHAVIORS:
        yield plain("Punctuation", behavior=behavior)
        for pattern in ({"String": "e"}, {"Regex": "[a-zа-я]+"}, {"Regex": "x*"}, {"Regex": "\\s"}):
            for invert in (False, True):
                yield plain("Split", pattern=pattern, behavior=behavior, invert=invert)
    yield from (plain("Digits", individual_digits=individual) for individual in (False, True))
    yield from (plain("CharDelimiterSplit", delimiter=delimiter) for delimiter in "eо")
    yield from (plain("FixedLength", length=length) for length in (1, 2, 5))
    yield sequence("pretokenizers", plain("WhitespaceSplit"), plain("UnicodeScripts"))


def decoders():
    yield None
    yield plain("WordPiece", prefix="▁", cleanup=True)
    yield plain("WordPiece", prefix="t", cleanup=False)
    yield plain("BPEDecoder", suffix="▁")
    yield plain("ByteFallback")
    yield plain("Fuse")
    yield plain("Strip", content="▁", start=1, stop=0)
    yield plain("Strip", content="e", start=0, stop=1)
    yield plain("Replace", pattern={"String": "e"}, content="EE")
    yield plain("Replace", pattern={"Regex": "[aeiou]+"}, content="")
    yield plain("Replace", pattern={"Regex": "x*"}, content="-")
    yield plain("CTC", pad_token="<pad>", word_delimiter_token="▁", cleanup=True)
    yield plain("CTC", pad_token="▁", word_delimiter_token="|", cleanup=False)
    yield BYTE_LEVEL
    yield metaspace("always", True)
    yield metaspace("never", True)
    yield sequence("decoders", plain("Replace", pattern={"String": "▁"}, content=" "), plain("ByteFallback"), BYTE_LEVEL)


def byte_levels():
    yield {"pre_tokenizer": sequence("pretokenizers", BYTE_LEVEL, plain("Digits", individual_digits=True))}
    yield {"normalizer": plain("ByteLevel"), "pre_tokenizer": plain("Split", pattern={"Regex": "Ġ"}, behavior="MergedWithNext", invert=False)}
    yield {"pre_tokenizer": BYTE_LEVEL, "post_processor": BYTE_LEVEL}
    yield {"pre_tokenizer": NO_PREFIX, "post_processor": NO_PREFIX}
    yield {"pre_tokenizer": sequence("pretokenizers", plain("WhitespaceSplit"), BYTE_LEVEL), "post_processor": BYTE_LEVEL}
    yield {"normalizer": plain("NFD"), "pre_tokenizer": BYTE_LEVEL, "post_processor": BYTE_LEVEL}


def post_processors():
    special = lambda text, type_id=0: {"SpecialToken": {"id": text, "type_id": type_id}}
    text = lambda name, type_id: {"Sequence": {"id": name, "type_id": type_id}}
    ids = {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [2, 1], "tokens": ["</s>", "<s>"]}}
    template = {"type": "TemplateProcessing", "single": [special("<s>", 3), special("</s>"), text("A", 2), special("</s>", 1)],
                "pair": [special("<s>"), text("B", 5), special("</s>", 2), text("A", 1), special("<s>", 7)], "special_tokens": ids}
    around = {"cls": ["<s>", 1], "sep": ["</s>", 2]}
    yield None
    yield template
    yield sequence("processors", BYTE_LEVEL, template)
    yield plain("BertProcessing", **around)
    yield plain("RobertaProcessing", trim_offsets=True, add_prefix_space=True, **around)
    yield plain("RobertaProcessing", trim_offsets=False, add_prefix_space=True, **around)
    yield NO_PREFIX


def added(*tokens):
    """(content, flags): w single word, l and r strip, n normalized, s special. Ids after the vocabulary's, where it lacks them."""
    base, out = BASE["llama2"], []
    new = len(base["model"]["vocab"])
    for content, flags in tokens:
        id_ = base["model"]["vocab"].get(content, new)
        new += id_ == new
        out.append({"id": id_, "content": content, "single_word": "w" in flags, "lstrip": "l" in flags, "rstrip": "r" in flags,
                    "normalized": "n" in flags, "special": "s" in flags})
    return base["added_tokens"] + out


def changes():
    bare = {"normalizer": None, "pre_tokenizer": None, "post_processor": None}
    for stage in normalizers():
        yield "llama2", bare | {"normalizer": stage}
    for stage in pre_tokenizers():
        yield "llama2", bare | {"pre_tokenizer": stage}
    for stage in decoders():
        yield "llama2", {"decoder": stage}
    for stage in post_processors():
        yield "llama2", {"post_processor": stage}
    for change in byte_levels():
        yield "llama3", change
    tokens = added(("[MASK]", "ls"), ("Café", "wn"), ("ing", "n"), ("  ", ""), ("<mask>", "lr"), ("the", "wlr"), ("中", "n"), ("<think>", "rs"), ("He", "ns"))
    bert = plain("BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    for normalizer in (None, plain("Lowercase"), PREPEND, plain("NFD"), bert):
        yield "llama2", bare | {"normalizer": normalizer, "added_tokens": tokens}
    for options in ({"byte_fallback": False}, {"byte_fallback": False, "fuse_unk": False}, {"ignore_merges": True}):
        yield "llama2", bare | {"pre_tokenizer": plain("Whitespace"), "model": options}
    yield "llama2", bare | {"pre_tokenizer": plain("Whitespace"), "model": {"byte_fallback": False, "end_of_word_suffix": "e"}}
    for options in ({"max_input_chars_per_word": 1}, {"max_input_chars_per_word": 5}, {"continuing_subword_prefix": ""}):
        yield "bert-cased", {"model": options}
    yield "clip", {"decoder": plain("BPEDecoder", suffix="</w>")}


def variant(base, change):
    document = copy.deepcopy(BASE[base])
    for key, value in change.items():
        document[key] = document[key] | value if key == "model" else value
    tokenizer = Tokenizer.from_str(json.dumps(document))
    return {"base": base, "change": change, "sums": [summary(tokenizer, block) for block in blocks(TEXTS, BLOCK)], "pairs": pairs(tokenizer, TEXTS)}


def main():
    head = {"made_by": "tests/oracles/tokenizer_variants.py", "versions": versions("tokenizers"), "block": BLOCK}
    write_jsonl(ZOO / "variants.jsonl", [head] + [variant(*change) for change in changes()])


if __name__ == "__main__":
    main()
