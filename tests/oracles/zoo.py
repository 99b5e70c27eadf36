"""Small tokenizers of every common make, trained on the treebanks: name -> tokenizer. tokenizer_zoo.py saves and asks them."""
import base64
import json
import os
import random

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from common import GOLDEN, SHARED

ENGLISH, RUSSIAN = ("en_ewt-ud-dev", "en_ewt-ud-test"), ("ru_gsd-ud-dev", "ru_gsd-ud-test")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
DEEPSEEK = (r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ]+",
            r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+")
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>"]
LLAMA = ["<unk>", "<s>", "</s>"]


def sentences(treebanks):
    for treebank in treebanks:
        for line in (SHARED / "data" / "ud" / f"{treebank}.conllu").read_text(encoding="utf-8").split("\n"):
            if line.startswith("# text = "):
                yield line.removeprefix("# text = ")


def with_metaspace(text):
    """What a BPE trainer that sees no pre-tokenizer would take for one word: cut before each visible space."""
    return text


def train(tokenizer, trainer, treebanks):
    tokenizer.train_from_iterator(sentences(treebanks), trainer)
    return tokenizer


def bert(treebanks, size, **normalizer):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(**normalizer), pre_tokenizers.BertPreTokenizer()
    train(t, trainers.WordPieceTrainer(vocab_size=size, special_tokens=BERT, limit_alphabet=200, show_progress=False), treebanks)
    t.decoder = decoders.WordPiece()
    t.post_processor = processors.TemplateProcessing("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
                                                     [("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))])
    return t


def byte_level(size, special, treebanks, pre_tokenizer, **model):
    t = Tokenizer(models.BPE(**model))
    t.pre_tokenizer, t.decoder = pre_tokenizer, decoders.ByteLevel()
    suffix = {"end_of_word_suffix": model["end_of_word_suffix"]} if "end_of_word_suffix" in model else {}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False, **suffix)
    return train(t, trainer, treebanks)


def roberta():
    t = byte_level(900, ROBERTA, ENGLISH, pre_tokenizers.ByteLevel(add_prefix_space=False))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return t


def clip():
    special = ["<|startoftext|>", "<|endoftext|>"]
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t = byte_level(1200, special, ENGLISH, pre, unk_token="<|endoftext|>", end_of_word_suffix="</w>", fuse_unk=False)
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False)
    t.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("</w>", " ")])
    return t


def llama3():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t = byte_level(1000, ["<|begin_of_text|>", "<|end_of_text|>"], ENGLISH + RUSSIAN, pre, ignore_merges=True)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        "<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", [("<|begin_of_text|>", 0)])])
    return t


def qwen():
    t = llama3()
    t.normalizer, t.post_processor = normalizers.NFC(), processors.ByteLevel(trim_offsets=False)
    t.add_tokens([AddedToken("<think>", normalized=False), AddedToken("  ", normalized=False), AddedToken("Café", single_word=True)])
    return t


def deepseek():
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in DEEPSEEK]
    pre = pre_tokenizers.Sequence(cuts + [pre_tokenizers.Digits(individual_digits=True),
                                          pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t = byte_level(800, ["<begin>", "<end>"], ENGLISH + RUSSIAN, pre)
    t.post_processor = processors.TemplateProcessing("<begin> $A", "<begin> $A $B:1", [("<begin>", 0)])
    return t


def llama2(treebanks=ENGLISH + RUSSIAN):
    """Trained on words that begin with the visible space, as sentencepiece would; then used without a pre-tokenizer."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    train(t, trainers.BpeTrainer(vocab_size=1100, special_tokens=LLAMA + fallback, limit_alphabet=150, show_progress=False), treebanks)
    state = json.loads(t.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in LLAMA]
    t = Tokenizer.from_str(json.dumps(state))
    t.pre_tokenizer = None
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s>:1 $B:1", [("<s>", 1)])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t


def mistral():
    t = llama2(ENGLISH)
    t.normalizer, t.pre_tokenizer = None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return t


def wordlevel():
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    return train(t, trainers.WordLevelTrainer(vocab_size=900, special_tokens=BERT, show_progress=False), ENGLISH + RUSSIAN)


def prefixed():
    """BPE whose pieces inside words are marked, as in early Chinese and Japanese BERTs."""
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    t.normalizer, t.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous")])
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=BERT, continuing_subword_prefix="##", limit_alphabet=150, show_progress=False)
    train(t, trainer, ENGLISH + RUSSIAN)
    t.decoder, t.post_processor = decoders.WordPiece(cleanup=False), processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return t



def unigram(vocab, unk, decoder, **model):
    t = Tokenizer(models.Unigram(vocab, unk, **model))
    t.decoder = decoder
    return t


def t5():
    """Trained with the tokenizers package, normalised by a few rules of ours (as unigram-suffix.model has them)."""
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap("unigram-suffix")), normalizers.Strip(left=False, right=True)])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    special = ["<pad>", "</s>", "<unk>"]
    train(t, trainers.UnigramTrainer(vocab_size=900, special_tokens=special, unk_token="<unk>", show_progress=False), ENGLISH + RUSSIAN)
    t.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    return t


def model_proto(name):
    from sentencepiece import sentencepiece_model_pb2 as pb
    return pb.ModelProto.FromString((GOLDEN / "sentencepiece" / f"{name}.model").read_bytes())


def charsmap(name):
    return model_proto(name).normalizer_spec.precompiled_charsmap


LARGE_MAP = "@unigram-nfkc-cf"   # stands in saved files for that model's table in base64, which is large


def shrunk(text):
    return text.replace(base64.b64encode(charsmap(LARGE_MAP[1:])).decode(), LARGE_MAP)


def expanded(text):
    return text.replace(LARGE_MAP, base64.b64encode(charsmap(LARGE_MAP[1:])).decode())


def xlmr():
    """As XLM-R's: SentencePiece's pieces and rules (nmt_nfkc_cf), with fairseq's numbers."""
    pieces = [(p.piece, p.score) for p in model_proto("unigram-nfkc-cf").pieces]
    t = unigram([("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces[4:], ("<mask>", 0.0)], 3, decoders.Metaspace())
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap("unigram-nfkc-cf")), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)])
    return t


def unigram_bytes():
    """With byte fallback, the whole text as one word."""
    pieces = [(p.piece, p.score) for p in model_proto("unigram-bytes").pieces]
    decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t = unigram(pieces, 0, decoder, byte_fallback=True)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return t


ZOO = {
    "bert-cased": lambda: bert(ENGLISH, 1000, lowercase=False),
    "bert-uncased": lambda: bert(ENGLISH, 1000, lowercase=True),
    "bert-russian": lambda: bert(RUSSIAN, 1100, lowercase=True, strip_accents=False),
    "roberta": roberta,
    "clip": clip,
    "llama3": llama3,
    "qwen": qwen,
    "deepseek": deepseek,
    "llama2": llama2,
    "mistral": mistral,
    "wordlevel": wordlevel,
    "prefixed": prefixed,
    "t5": t5,
    "xlmr": xlmr,
    "unigram-bytes": unigram_bytes,
}
