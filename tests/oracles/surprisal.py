"""Surprisal, pseudo-log-likelihood and target given source, as minicons and transformers compute them.

behaviour/causal.json       the tiny Llama: minicons' token scores, with and without the correction, added up by white-space words
behaviour/smollm2.json      SmolLM2 on 200 sentences of UD English EWT's test part, the same
behaviour/masked.json       the tiny BERT under the tokenizer behaviour/tokenizer.json: minicons' two pseudo-log-likelihoods
behaviour/seq2seq.json      the tiny T5 under the same tokenizer: log p(target | source), by transformers alone
All in bits of surprisal but seq2seq (nats). Of a space that ends a word: minicons' set is the tokens that begin with one; `end`
adds the end-of-sequence token, and is computed here from transformers' logits."""
import json
import math
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from minicons import scorer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, decoders
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerFast

from common import GOLDEN, ROOT, SHARED, SMOLLM2, versions, write_json

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
warnings.filterwarnings("ignore")
OUT = GOLDEN / "behaviour"
PACKAGES = ("minicons", "transformers", "torch", "tokenizers")
transformers.PreTrainedTokenizerFast.batch_encode_plus = transformers.PreTrainedTokenizerFast.__call__   # gone in transformers 5
SET = "the tokens that begin with a space"


def rounded(values):
    return [None if v is None else float(f"{v:.8g}") for v in values]


def words_of(text):
    """Spans of white-space words."""
    spans, start = [], None
    for i, c in enumerate(text + " "):
        if c.isspace() and start is not None:
            spans.append((start, i))
            start = None
        elif not c.isspace() and start is None:
            start = i
    return spans


def by_word(text, offsets, scores):
    """Sums of scores (None: missing) by the word in which a token begins, white space before not counted."""
    spans, sums = words_of(text), []
    for first, end in spans:
        mine = [s for (a, b), s in zip(offsets, scores)
                if first <= a + (len(text[a:b]) - len(text[a:b].lstrip())) < end]
        sums.append(None if not mine or None in mine else sum(mine))
    return sums


@torch.no_grad()
def end_corrected(model, tokenizer, ids, offsets, text, bow):
    """Pimentel & Meister's set: the tokens that begin a word and the end of the text. ids begin with BOS."""
    logp = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    allowed = sorted(set(bow) | {tokenizer.eos_token_id})
    edge = (torch.logsumexp(logp[:, allowed], -1) / -math.log(2)).tolist()     # of what follows each id
    token = [-float(logp[i, ids[i + 1]]) / math.log(2) for i in range(len(ids) - 1)]
    spans, out = words_of(text), []
    for w, (first, end) in enumerate(spans):
        mine = [i for i, (a, b) in enumerate(offsets) if first <= a + (len(text[a:b]) - len(text[a:b].lstrip())) < end]
        out.append(sum(token[i] for i in mine) + edge[mine[-1] + 1] - (edge[mine[0]] if w else 0))
    return out


def causal(name, folder, texts, plain):
    """plain: of so many texts also without a beginning-of-sequence token."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    s = scorer.IncrementalLMScorer(model, device="cpu", tokenizer=tokenizer)
    assert s.is_bow_tokenizer
    rows = []
    for text in texts:
        encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        offsets, row = encoded["offset_mapping"], {"text": text, "tokens": len(encoded["input_ids"])}
        for key, bos, bow in (("plain", False, False), ("bos", True, False), ("space", True, True)):
            if not bos and len(rows) >= plain:
                continue
            found = s.token_score([text], surprisal=True, base_two=True, bos_token=bos, bow_correction=bow)[0]
            values = [v for _, v in found][1 if bos else 0:]
            assert len(values) == len(offsets), (text, found)
            if not bos:
                values[0] = None       # minicons says 0
            row[key] = rounded(by_word(text, offsets, values))
        row["end"] = rounded(end_corrected(model, tokenizer, [tokenizer.bos_token_id] + encoded["input_ids"], offsets, text,
                                           s.bow_subword_idx))
        rows.append(row)
    write_json(OUT / f"{name}.json", dict(made_by="tests/oracles/surprisal.py", versions=versions(*PACKAGES), unit="bits",
                                          set=SET, texts=rows))


# ---- masked and encoder-decoder: forty tokens, some of them pieces ----

VOCABULARY = ("[PAD] [UNK] [CLS] [SEP] [MASK] the a cat dog key table run sleep near is are were on in and not un ##s ##ing ##ly ##er "
              "##ed ##house green ##ish old ##est boat light ##ful do ' t . ,").split()


def make_tokenizer():
    assert len(VOCABULARY) == 40
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(VOCABULARY[:5])
    OUT.mkdir(parents=True, exist_ok=True)
    t.save(str(OUT / "tokenizer.json"))
    return PreTrainedTokenizerFast(tokenizer_object=t, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                                   sep_token="[SEP]", mask_token="[MASK]")


MASKED = ["the old boathouse are lighted", "a cat sleeps near the table", "the keys are not greenish.", "the dogs don't run",
          "unlightful boats are oldest in the lighthouse", "the cats and the dog were sleeping on a boat, not running."]


def masked(tokenizer):
    model = AutoModelForMaskedLM.from_pretrained(GOLDEN / "arch" / "bert", dtype=torch.float32, attn_implementation="eager").eval()
    s = scorer.MaskedLMScorer(model, device="cpu", tokenizer=tokenizer)
    rows = []
    for text in MASKED:
        row = {"text": text}
        for metric in ("original", "within_word_l2r"):
            row[metric] = rounded(v for _, v in s.token_score([text], surprisal=True, base_two=True, PLL_metric=metric)[0])
        rows.append(row)
    # minicons' cloze of one word, both ways, and the distribution of a masked place by transformers
    clozes = []
    for text, word in (("the old cat sleeps", "cat"), ("the old boathouse are lighted", "boathouse"),
                       ("a greenish table is near", "greenish")):
        ids = tokenizer(text.replace(word, "[MASK]"))["input_ids"]
        with torch.no_grad():
            logp = model(torch.tensor([ids])).logits[0, ids.index(4)].double().log_softmax(-1)
        clozes.append({"text": text.replace(word, "___"), "word": word,
                       "within_word_l2r": s.cloze([(text, word)], PLL_metric="within_word_l2r")[0],
                       "original": s.cloze([(text, word)], PLL_metric="original")[0],
                       "entropy": -float((logp.exp() * logp).sum()) / math.log(2),
                       "top": [VOCABULARY[i] for i in logp.topk(3).indices.tolist()],
                       "top_p": rounded(logp.topk(3).values.exp().tolist())})
    write_json(OUT / "masked.json", dict(made_by="tests/oracles/surprisal.py", versions=versions(*PACKAGES),
                                         unit="bits; clozes: nats, their entropies bits", texts=rows, clozes=clozes))


@torch.no_grad()
def seq2seq(tokenizer):
    model = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / "arch" / "t5", dtype=torch.float32).eval()
    rows = []
    for source, target in (("the cat sleeps", "a dog runs"), ("keys on the table", "the old boathouse"), ("", "the cats are near")):
        labels = torch.tensor([tokenizer(target)["input_ids"]])
        logp = model(input_ids=torch.tensor([tokenizer(source)["input_ids"]]), labels=labels).logits[0].double().log_softmax(-1)
        each = [float(logp[i, t]) for i, t in enumerate(labels[0].tolist())]
        rows.append({"source": source, "target": target, "each": rounded(each), "sum": sum(each)})
    write_json(OUT / "seq2seq.json", dict(made_by="tests/oracles/surprisal.py", versions=versions("transformers", "torch"),
                                          unit="nats", rows=rows))


def sentences(n):
    path = SHARED / "data" / "ud" / "en_ewt-ud-test.conllu"
    lines = [line[9:].rstrip("\n") for line in open(path, encoding="utf8") if line.startswith("# text = ")]
    return [t for t in lines if len(t.split()) > 3 and "  " not in t and "\u00a0" not in t][:n]


tokenizer = make_tokenizer()
masked(tokenizer)
seq2seq(tokenizer)
causal("causal", GOLDEN / "tiny" / "gqa-tied", ["The keys to the cabinet are on the table.", "A cat, it seems, doesn't run; they do.",
                                                "Ключи лежат на столе.", "one", "Is the end near? No!"], 5)
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.executable, ROOT / "bench" / "peers" / "convert.py", SMOLLM2, folder], check=True)
    causal("smollm2", folder, sentences(200), 20)
