"""What transformers' classes make of a folder with a SentencePiece model and no tokenizer.json: ids with special tokens of treebank
sentences, of a text with special tokens in it, and of a pair. transformers 5 normalises by grapheme clusters where SentencePiece (and the
classes of transformers 4) take the longest rule; sentences in which that makes a difference have no hash."""
import json
import shutil
import tempfile
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer, MarianTokenizer

from common import GOLDEN, fnv1a, versions, write_jsonl
from tokenizer import sentences

MODELS = GOLDEN / "sentencepiece"
OUT = MODELS / "folders.jsonl"
TEXTS = sentences("en_ewt-ud-dev")[:300] + sentences("ru_gsd-ud-dev")[:200]
SPECIAL = "The keys <mask> are</s> on the table."
PAIR = ["The keys to the cabinet", "are on the table."]
# class, model, name of the file, more of tokenizer_config.json
FOLDERS = [
    ("T5Tokenizer", "t5", "spiece.model", {}),
    ("T5Tokenizer", "t5", "spiece.model", {"extra_ids": 3}),
    ("XLMRobertaTokenizer", "unigram-nfkc-cf", "sentencepiece.bpe.model", {}),
    ("CamembertTokenizer", "unigram-nfkc-cf", "sentencepiece.bpe.model", {}),
    ("MBartTokenizer", "fairseq", "sentencepiece.bpe.model", {"src_lang": "ru_RU"}),
    ("MBart50Tokenizer", "fairseq", "sentencepiece.bpe.model", {"src_lang": "pl_PL"}),
    ("LlamaTokenizer", "bpe-bytes", "tokenizer.model", {"add_bos_token": False}),
    ("LlamaTokenizer", "bpe-bytes", "tokenizer.model", {"add_bos_token": True, "add_eos_token": True}),
    ("MarianTokenizer", "unigram-nfkc-cf", "source.spm", {}),
]


def write_models():
    """One without rules, and one in T5's order, which its class takes for granted: <pad>, </s>, <unk>."""
    from sentencepiece import sentencepiece_model_pb2 as pb
    model = pb.ModelProto.FromString((MODELS / "unigram-bare.model").read_bytes())
    model.normalizer_spec.add_dummy_prefix = True
    (MODELS / "fairseq.model").write_bytes(model.SerializeToString())
    unk, _, end, *rest = model.pieces
    pad = pb.ModelProto.SentencePiece(piece="<pad>", type=pb.ModelProto.SentencePiece.CONTROL)
    pieces = [pad, *(pb.ModelProto.SentencePiece.FromString(p.SerializeToString()) for p in (end, unk, *rest))]
    del model.pieces[:]
    model.pieces.extend(pieces)
    spec = model.trainer_spec
    spec.unk_id, spec.bos_id, spec.eos_id, spec.pad_id = 2, -1, 1, 0
    (MODELS / "t5.model").write_bytes(model.SerializeToString())


def make(folder, class_, model, name, config):
    shutil.copy(MODELS / f"{model}.model", folder / name)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": class_} | config))
    if class_ == "MarianTokenizer":   # its table: some pieces are missing, all have other numbers
        processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
        table = {"</s>": 0, "<unk>": 1} | {p: 2 + i for i, p in enumerate(reversed([p for p in pieces[4:] if p != "ing"]))}
        table["<pad>"] = len(table)
        (folder / "vocab.json").write_text(json.dumps(table))
        shutil.copy(folder / name, folder / "target.spm")
        return table
    return None


def record(class_, model, name, config):
    with tempfile.TemporaryDirectory() as path:
        table = make(Path(path), class_, model, name, config)
        t = (MarianTokenizer if table else AutoTokenizer).from_pretrained(path)
        ids = [t(text)["input_ids"] for text in TEXTS]
        processor = sentencepiece.SentencePieceProcessor(model_file=f"{path}/{name}")
        same = [len(t(text, add_special_tokens=False)["input_ids"]) == len(processor.encode(text)) for text in TEXTS]
        assert sum(same) > 0.97 * len(TEXTS), (class_, sum(same))
        out = {"class": class_, "model": model, "file": name, "config": config, "size": len(t), "hashes": [fnv1a(i)[:8] if ok else None for i, ok in zip(ids, same)], "first": ids[0],
               "special": t(SPECIAL)["input_ids"], "pair": t(*PAIR)["input_ids"]}
        return out | ({"table": table} if table else {})


def main():
    write_models()
    head = {"made_by": "tests/oracles/sentencepiece_folders.py", "versions": versions("sentencepiece", "tokenizers", "transformers"), "special": SPECIAL, "pair": PAIR}
    write_jsonl(OUT, [head] + [record(*folder) for folder in FOLDERS])


if __name__ == "__main__":
    main()
