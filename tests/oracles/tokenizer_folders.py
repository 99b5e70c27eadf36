"""Folders without tokenizer.json, cut down from the zoo's tokenizers, as transformers reads them: hashes over the hard texts."""
import json

import transformers

from common import GOLDEN, versions, write_json
from tokenizer_zoo import blocks, pairs, summary

ZOO, OUT = GOLDEN / "tokenizer" / "zoo", GOLDEN / "tokenizer" / "folders"
TEXTS = json.loads((ZOO / "texts.json").read_text(encoding="utf-8"))["texts"]
BLOCK = 20
MASK = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False, "special": True}


def model_of(name):
    return json.loads((ZOO / f"{name}.json").read_text(encoding="utf-8"))["model"]


def wordpiece(folder, name, line_end="\n"):
    vocab = model_of(name)["vocab"]
    (folder / "vocab.txt").write_bytes("".join(token + line_end for token in sorted(vocab, key=vocab.get)).encode())


def bpe(folder, name, extra=()):
    model = model_of(name)
    vocab = model["vocab"] | {token: len(model["vocab"]) + i for i, token in enumerate(extra) if token not in model["vocab"]}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


# name: class, writer of the files, tokenizer_config.json (None: there is none), other files
FOLDERS = {
    "bert-plain": ("BertTokenizer", lambda f: wordpiece(f, "bert-uncased"), None, {}),
    "bert-cased": ("BertTokenizer", lambda f: wordpiece(f, "bert-cased", "\r\n"), {"tokenizer_class": "BertTokenizer", "do_lower_case": False}, {}),
    "bert-russian": ("BertTokenizer", lambda f: wordpiece(f, "bert-russian"), {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": False,
                     "tokenize_chinese_chars": False}, {"special_tokens_map.json": {"unk_token": "[UNK]", "mask_token": "[MASK]"}}),
    "gpt2": ("GPT2Tokenizer", lambda f: bpe(f, "llama3", ["<|endoftext|>"]), {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}, {}),
    "gpt2-prefix": ("GPT2Tokenizer", lambda f: bpe(f, "llama3", ["<|endoftext|>"]), {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True,
                    "add_bos_token": True, "added_tokens_decoder": {"1001": {"content": "<think>", "lstrip": True, "rstrip": False, "normalized": False,
                                                                             "single_word": False, "special": False}}}, {}),
    "roberta": ("RobertaTokenizer", lambda f: bpe(f, "roberta", ["<mask>"]), {"tokenizer_class": "RobertaTokenizer", "mask_token": MASK}, {}),
    "clip": ("CLIPTokenizer", lambda f: bpe(f, "clip"), {"tokenizer_class": "CLIPTokenizer"}, {}),
    "qwen2": ("Qwen2Tokenizer", lambda f: bpe(f, "qwen", ["<|endoftext|>"]), {"tokenizer_class": "Qwen2Tokenizer"}, {"added_tokens.json": {"<|im_end|>": 1001}}),
}


def ask(name, kind, write, config, others):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    write(folder)
    files = others if config is None else {"tokenizer_config.json": config} | others
    for file, value in files.items():
        (folder / file).write_text(json.dumps(value, indent=1), encoding="utf-8")
    tokenizer = getattr(transformers, kind).from_pretrained(folder)._tokenizer
    return {"sums": [summary(tokenizer, block) for block in blocks(TEXTS, BLOCK)], "pairs": pairs(tokenizer, TEXTS)}


def main():
    head = {"made_by": "tests/oracles/tokenizer_folders.py", "versions": versions("transformers", "tokenizers"), "block": BLOCK}
    write_json(OUT / "golden.json", head | {"folders": {name: ask(name, *how) for name, how in FOLDERS.items()}})


if __name__ == "__main__":
    main()
