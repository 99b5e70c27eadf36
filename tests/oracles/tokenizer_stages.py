"""Every stage of tokenizer.json that Sonde knows, one variant of the small tokenizer a stage: ids and offsets."""
import copy
import json

from tokenizers import Tokenizer

from common import GOLDEN, versions, write_jsonl

OUT = GOLDEN / "tokenizer"
BASE = json.loads((OUT / "small-gpt2.json").read_text(encoding="utf-8"))

TEXTS = [
    "", " ", "The keys to the cabinet, 12 of 345.", "  two  spaces  ", "\n\tThe\n", "the-final--countdown-", "--a-b", "It's 2026, WE'RE İn",
    "Ключи ЙОД й и\u0306", "e\u0301 é a\u0307\u0323 q\u0323\u0307w \u0344 ﬁ ① 한국 \u1112\u1161\u11ab ½", "日本 👍🏽a", "a\x04b\x06\x13 c",
    "<|im_start|>the<|im_end|> <|im_end|>x", "a <mask> b  <mask>  c<mask>d", "the cat, scat cat", "é <é> <É> e\u0301", "[A][AB][ABC][AB",
]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
PLAIN = BYTE_LEVEL | {"use_regex": False}
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = BASE["added_tokens"]


def sequence(*stages, key="pretokenizers"):
    return {"type": "Sequence", key: list(stages)}


def split(pattern, behavior, invert=False):
    return {"pre_tokenizer": sequence({"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}, PLAIN)}


def added(*tokens):
    """(content, flags...) with ids after the vocabulary's."""
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    first = len(BASE["model"]["vocab"])
    return {"added_tokens": SPECIAL + [{"id": first + i, "content": content} | {flag: flag in given for flag in flags}
                                       for i, (content, *given) in enumerate(tokens)]}


def template(before, after):
    part = lambda text: {"SpecialToken": {"id": text, "type_id": 0}}
    single = [part(t) for t in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [part(t) for t in after]
    ids = {t["content"]: {"id": t["content"], "ids": [t["id"]], "tokens": [t["content"]]} for t in SPECIAL}
    return {"type": "TemplateProcessing", "single": single, "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": ids}


def characters(**options):
    """A model over characters, not bytes, that knows few of them; merges as text."""
    tokens = ["<unk>", *"theTkys abcé-", "th", "the", "ke", "key", "ab", "é-"]
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
             "byte_fallback": False, "ignore_merges": False, "vocab": {token: i for i, token in enumerate(tokens)},
             "merges": ["t h", "th e", "k e", "ke y", "a b", "é -"]}
    return {"model": model | options, "added_tokens": [], "pre_tokenizer": None}


def without_bytes(**options):
    """Bytes alone, without 0x04, 0x06 and 0x13."""
    alphabet = [token for token in BASE["model"]["vocab"] if len(token) == 1 and token not in ("Ą", "Ć", "ē")][:253]
    tokens = [t["content"] for t in SPECIAL] + alphabet
    return {"model": BASE["model"] | {"vocab": {token: i for i, token in enumerate(tokens)}, "merges": []} | options}


TRIM = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
CLS_SEP = {"sep": ["<|im_end|>", 2], "cls": ["<|im_start|>", 1]}
VARIANTS = {
    "prefix space": {"pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": True}},
    "prefix space, trimmed": {"pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": True}, "post_processor": TRIM},
    "trimmed": {"post_processor": TRIM | {"add_prefix_space": False}},
    "digits, prefix space": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, BYTE_LEVEL | {"add_prefix_space": True}),
                             "post_processor": TRIM},
    "digits together": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, PLAIN)},
    "whole text": {"pre_tokenizer": PLAIN},
    "llama 3": split({"Regex": LLAMA3}, "Isolated") | {"model": {"ignore_merges": True}, "post_processor": sequence(
        TRIM | {"add_prefix_space": False}, template(["<|im_start|>"], []), key="processors")},
    "inverted": split({"Regex": r"\w+|[^\w\s]+"}, "Removed", True),
    "empty matches": split({"Regex": "-*"}, "Isolated"),
    "template": {"post_processor": template(["<|endoftext|>", "<|im_start|>"], ["<|im_end|>"])},
    "bert": {"post_processor": {"type": "BertProcessing"} | CLS_SEP},
    "roberta": {"post_processor": {"type": "RobertaProcessing", "trim_offsets": True, "add_prefix_space": True} | CLS_SEP,
                "pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": True}},
    "added": added(("<mask>", "lstrip", "special"), ("cat", "single_word"), ("[A]",), ("[AB]", "rstrip"), ("[A", "normalized"), ("<é>", "normalized")),
    "added, stripped both ways": added(("<mask>", "lstrip", "rstrip", "normalized"), ("  ",), ("\n\t",)) | {"post_processor": TRIM},
    "added, normalised": added(("<É>", "normalized"), ("The ke", "normalized")) | {"normalizer": sequence(
        {"type": "Lowercase"}, {"type": "NFD"}, key="normalizers")},
    "no such byte": without_bytes(),
    "unknown byte": without_bytes(unk_token="<|endoftext|>"),
    "unknown bytes": without_bytes(unk_token="<|endoftext|>", fuse_unk=True),
    "unknown character": characters(unk_token="<unk>"),
    "unknown characters": characters(unk_token="<unk>", fuse_unk=True),
}
VARIANTS |= {f"split {behavior}": split({"String": "-"}, behavior)
             for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")}
VARIANTS |= {form: {"normalizer": {"type": form}} for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")}


def merged(base, change):
    """As json_object_update_recursive: objects are merged, all else replaced."""
    out = copy.deepcopy(base)
    for key, value in change.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def record(text, tokenizer):
    tokenizer.encode_special_tokens = False
    e, with_special = tokenizer.encode(text, add_special_tokens=False), tokenizer.encode(text)
    tokenizer.encode_special_tokens = True
    plain = tokenizer.encode(text, add_special_tokens=False)
    return {"text": text, "ids": e.ids, "offsets": [list(o) for o in e.offsets], "with_special": with_special.ids, "plain": plain.ids}


def variant(name, change):
    # "model" is merged only where a variant changes single options: a new vocabulary replaces the old
    base = (BASE | {"model": {}}) if "vocab" in change.get("model", {}) else BASE
    tokenizer = Tokenizer.from_str(json.dumps(merged(base, change)))
    return {"name": name, "change": change, "replaces_model": base is not BASE, "texts": [record(text, tokenizer) for text in TEXTS]}


def main():
    head = {"made_by": "tests/oracles/tokenizer_stages.py", "versions": versions("tokenizers"), "base": "small-gpt2.json"}
    write_jsonl(OUT / "stages.jsonl", [head] + [variant(name, change) for name, change in VARIANTS.items()])


if __name__ == "__main__":
    main()
