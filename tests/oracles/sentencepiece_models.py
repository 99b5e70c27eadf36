"""SentencePiece models of every kind, trained here on the treebanks, and what the `sentencepiece` package makes of texts with
them: tokens of hard texts, hashes for blocks of treebank sentences and of random strings."""
import io

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb

from common import GOLDEN, fnv1a, versions, write_jsonl
from random_text import random_text
from tokenizer import TORTURE, TREEBANKS, sentences

OUT = GOLDEN / "sentencepiece"
VERSIONS = versions("sentencepiece")
RANDOM, BLOCK, SENTENCES = 100_000, 1000, 20  # strings, strings a hash, sentences a hash
MORE = [
    "▁", "▁▁", " ▁ ", "a▁b", "▁a", "a▁", "<unk>", "<s>", "</s>", "<pad>", "<s>a</s>", "<0x0A>", "[MASK] [MASK]", "x[MASK]y", "<user><user>",
    "the▁the", "ﬁﬀﬃ ① ㍿ Å Å ǅ ß ẞ İ ı ſ", "ЁЖ ёж Йй", "\t\ta\n\nb\r\nc", "a\u00a0\u00a0b", "\u200b\u200ba\ufeffb", "한국어 각",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "thethethethethe", " " * 40 + "a" + " " * 40, "½ % ‰ … ‥", "the[MASK", "цена 100 000 рублей", "ﷺ",
]
RULES = [("ab", "X"), ("abc", "yz"), ("É", "e"), ("—", " - "), ("\u00ad", ""), ("ё", "е"), ("\t", " "), ("\u3000", "  "), ("ĳ", "ij"), ("№", "No ")]


def corpus():
    return [line for treebank in TREEBANKS if treebank.endswith("dev") for line in sentences(treebank)]


def rules_file():
    """Rules of our own, in the form that the trainer reads: code points in hexadecimal, tab between the two sides."""
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    path = OUT / "rules.tsv"
    path.write_text("".join(f"{code(a)}\t{code(b)}\n" for a, b in RULES), encoding="utf-8")
    return path


def train(**options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus()), model_writer=out, num_threads=1, minloglevel=2, **options)
    model = pb.ModelProto.FromString(out.getvalue())
    model.normalizer_spec.normalization_rule_tsv = ""  # a path
    return model


def with_unused(model, every):
    """Every so many pieces of several characters may not be used."""
    pieces = [p for p in model.pieces if p.type == p.NORMAL and len(p.piece) > 1]
    for piece in pieces[::every]:
        piece.type = piece.UNUSED
    return model


def models():
    user = ["[MASK]", "<user>", "the▁the", "№ 5"]
    rules = rules_file()
    rule = {"normalization_rule_tsv": str(rules)}
    yield "unigram-nfkc-cf", train(model_type="unigram", vocab_size=900, normalization_rule_name="nmt_nfkc_cf", pad_id=3)
    yield "unigram-bytes", train(model_type="unigram", vocab_size=1000, normalization_rule_name="identity", byte_fallback=True,
                                 user_defined_symbols=user, remove_extra_whitespaces=False, character_coverage=0.99)
    yield "unigram-suffix", with_unused(train(model_type="unigram", vocab_size=600, treat_whitespace_as_suffix=True,
                                              user_defined_symbols=user, **rule), 7)
    yield "unigram-bare", train(model_type="unigram", vocab_size=600, normalization_rule_name="identity", add_dummy_prefix=False)
    yield "bpe-bytes", train(model_type="bpe", vocab_size=1200, normalization_rule_name="identity", byte_fallback=True, split_digits=True,
                             user_defined_symbols=user, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
                             character_coverage=0.99)
    yield "bpe-rules", with_unused(train(model_type="bpe", vocab_size=700, character_coverage=0.98, **rule), 3)
    yield "char", train(model_type="char", vocab_size=150, normalization_rule_name="identity", user_defined_symbols=user, control_symbols=["<mask>"])
    rules.unlink()


def encode(processor, text):
    """Ids and spans in bytes. A byte stands for the whole character that it is part of; SentencePiece gives the place to
    the last byte alone."""
    proto = processor.encode(text, return_type="proto")
    pieces = [(p.id, p.begin, p.end) for p in proto.pieces]
    byte = lambda i: processor.is_byte(pieces[i][0])
    for i in range(len(pieces) - 2, -1, -1):
        if byte(i) and byte(i + 1) and pieces[i][1] == pieces[i][2]:
            pieces[i] = (pieces[i][0], pieces[i][1], pieces[i + 1][2])
    return [p[0] for p in pieces], [list(p[1:]) for p in pieces]


def digests(texts, one, block):
    """One hash a block of texts: of each text the number of tokens, ids, spans."""
    out, flat = [], []
    for number, text in enumerate(texts, 1):
        ids, spans = one(text)
        flat += [len(ids), *ids, *(end for span in spans for end in span)]
        if number % block == 0:
            out.append(fnv1a(flat))
            flat = []
    return out + [fnv1a(flat)] if flat else out


def write_model(name, model):
    data = model.SerializeToString()
    (OUT / f"{name}.model").write_bytes(data)
    processor = sentencepiece.SentencePieceProcessor(model_proto=data)
    one = lambda text: encode(processor, text)
    head = {"made_by": "tests/oracles/sentencepiece_models.py", "versions": VERSIONS, "model": name, "pieces": len(model.pieces)}
    texts = [{"text": text, "ids": ids, "spans": spans} for text in TORTURE + MORE if "\0" not in text for ids, spans in [one(text)]]
    treebanks = [{"treebank": treebank, "block": SENTENCES, "hashes": digests(sentences(treebank), one, SENTENCES)} for treebank in TREEBANKS]
    random = {"random": RANDOM, "block": BLOCK, "hashes": digests(map(random_text, range(RANDOM)), one, BLOCK)}
    write_jsonl(OUT / f"{name}.jsonl", [head, *texts, *treebanks, random])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, model in models():
        print(name, len(model.pieces), len(model.SerializeToString()))
        write_model(name, model)


if __name__ == "__main__":
    main()
