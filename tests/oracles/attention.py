"""Attention as transformers (eager) yields it, and what numpy, networkx and scipy make of it.

attention/maps.json      patterns between words, traits of heads, rollout (the matrix product), flow (networkx), of the tiny
                         Llama and BERT; alignment error rates of the tiny T5's cross-attention
attention/heads.json     of the tiny Llama: z . dL/dz by torch autograd, losses without some heads, weights on repeated tokens,
                         heads against dependency relations
attention/pairs.json     of the tiny T5, mBART and Marian: the same products and losses, for the heads of encoder, decoder and
                         cross-attention, and confidences
attention/explain.json   of the tiny Llama: predictions without a token, under uniform attention and with keys erased, gradients
                         of the embeddings, Kendall's tau of them with attention
attention/explain_pairs.json   of the tiny T5, mBART and Marian: the same for the encoder's attention (all its places), the
                         decoder's and cross-attention, and predictions under attention permuted as given
attention/kendall.json   Kendall's tau-b and its p-value, by scipy
"""
import json
import math
import sys
import warnings

import networkx as nx
import numpy as np
import scipy.stats
import torch
import transformers
from transformers import (AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer,
                          PreTrainedTokenizerFast)

from common import GOLDEN, versions, write_json

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
warnings.filterwarnings("ignore")
OUT = GOLDEN / "attention"
ABOUT = dict(made_by="tests/oracles/attention.py",
             versions=versions("torch", "transformers", "numpy", "scipy", "networkx"))


def rounded(x, digits=7):
    return np.round(np.asarray(x, dtype=np.float64), digits).tolist()


def word_spans(text):
    spans, start = [], None
    for i, c in enumerate(text + " "):
        if c.isspace() and start is not None:
            spans.append((start, i))
            start = None
        elif not c.isspace() and start is None:
            start = i
    return spans


def word_numbers(text, offsets):
    """For each token the word in which it begins, white space before not counted; -1: none."""
    found = []
    for a, b in offsets:
        a += len(text[a:b]) - len(text[a:b].lstrip())
        found.append(next((w for w, (s, e) in enumerate(word_spans(text)) if s <= a < e and a < b), -1))
    return found


def groups(words):
    """Units: neighbouring tokens of one word; a token of no word alone."""
    out = []
    for t, w in enumerate(words):
        if out and w >= 0 and words[out[-1][-1]] == w:
            out[-1].append(t)
        else:
            out.append([t])
    return out


def between(a, query, key, shift=0):
    """[queries' tokens, keys' tokens] -> units: keys summed, queries averaged. Units before the first row are NaN."""
    summed = np.stack([a[:, k].sum(1) for k in key], 1)
    return np.stack([summed[[t - shift for t in q]].mean(0) if min(q) >= shift else np.full(len(key), np.nan)
                     for q in query])


def traits(a, skip):
    rows = [q for q in range(len(a)) if q not in skip]
    safe = np.where(a > 0, a, 1)
    at = np.arange(a.shape[1])
    return [float(np.mean([f(q) for q in rows])) for f in (
        lambda q: a[q].max(), lambda q: -(safe[q] * np.log2(safe[q]))[a[q] > 0].sum(),
        lambda q: (a[q] * np.abs(at - q)).sum(), lambda q: a[q, q], lambda q: a[q, 0])]


def rollout(mixed):
    out = [mixed[0]]
    for a in mixed[1:]:
        out.append(a @ out[-1])
    return out


def flow(mixed, top, query):
    graph = nx.DiGraph()
    n = len(mixed[0])
    for layer, a in enumerate(mixed[:top + 1]):
        for i in range(n):
            for j in range(n):
                if a[i, j] > 0:
                    graph.add_edge((layer + 1, i), (layer, j), capacity=float(a[i, j]))
    return [nx.maximum_flow_value(graph, (top + 1, query), (0, j)) if (0, j) in graph and
            nx.has_path(graph, (top + 1, query), (0, j)) else 0.0 for j in range(n)]


@torch.no_grad()
def attentions(model, ids):
    return np.stack([a[0].double().numpy() for a in model(torch.tensor([ids]), output_attentions=True).attentions])


def self_maps(model, text, encoded, causal, unit):
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    a = attentions(model, ids)
    added = [s == e for s, e in offsets]
    words = [-1 if x else w for x, w in zip(added, word_numbers(text, offsets))]
    cut = groups(words) if unit == "word" else [[t] for t in range(len(ids))]
    skip = {u for u, tokens in enumerate(cut) if added[tokens[0]]} | ({0} if causal else set())
    mixed = [(m + np.eye(len(m))) / 2 for m in a.mean(1)]
    query = max(u for u, tokens in enumerate(cut) if not added[tokens[0]]) if causal else 0
    by_flow = []
    for layer in range(len(a)):
        f = np.sum([flow(mixed, layer, t) for t in cut[query]], 0)
        f = np.array([f[k].sum() for k in cut])
        by_flow.append(f / f.sum())
    return dict(text=text, unit=unit, traits=[[rounded(traits(between(h, cut, cut), skip)) for h in l] for l in a],
                last_mean=rounded(between(a[-1].mean(0), cut, cut)),
                last_head1=rounded(between(a[-1][1], cut, cut)),
                raw=rounded([between(m, cut, cut)[query] for m in a.mean(1)]),
                rollout=rounded([between(m, cut, cut)[query] for m in rollout(mixed)]), flow=rounded(by_flow))


def read_links(text):
    links = []
    for link in text.split():
        kind = next(c for c in "-?p" if c in link)
        i, j = link.split(kind)
        links.append((int(i), int(j), kind == "-"))
    return links


def aer(guess, given):
    sure = {(i, j) for i, j, s in given if s}
    possible = {(i, j) for i, j, _ in given}
    return len(guess & sure), len(guess & possible), len(guess), len(sure)


@torch.no_grad()
def cross(model, tokenizer, rows, when):
    shift = int(when == "predicted")
    counts, entropy, words = {}, {}, 0
    for source, target, links in rows:
        s, t = (tokenizer(x, return_offsets_mapping=True) for x in (source, target))
        out = model(input_ids=torch.tensor([s["input_ids"]]), decoder_input_ids=torch.tensor([[0] + t["input_ids"]]),
                    output_attentions=True)
        a = np.stack([x[0].double().numpy() for x in out.cross_attentions])
        mine = [-1] + [-1 if x == y else w for (x, y), w in zip(t["offset_mapping"], word_numbers(target, t["offset_mapping"]))]
        theirs = [-1 if x == y else w for (x, y), w in zip(s["offset_mapping"], word_numbers(source, s["offset_mapping"]))]
        q, k = groups(mine), groups(theirs)
        key_words = [theirs[u[0]] for u in k]
        for layer, heads in enumerate(a):
            for name, h in [(str(i), h) for i, h in enumerate(heads)] + [("mean", heads.mean(0))]:
                m = between(h, q, k, shift)
                guess = set()
                for u, tokens in enumerate(q):
                    if mine[tokens[0]] < 0:
                        continue
                    real = [x for x, w in enumerate(key_words) if w >= 0]
                    guess.add((key_words[max(real, key=lambda x: m[u, x])], mine[tokens[0]]))
                    entropy[layer, name] = entropy.get((layer, name), 0) - float((m[u] * np.log2(m[u])).sum())
                c = aer(guess, read_links(links))
                counts[layer, name] = [x + y for x, y in zip(counts.get((layer, name), [0] * 4), c)]
        words += len(word_spans(target))
    return [dict(layer=layer, head=name, aer=1 - (c[0] + c[1]) / (c[2] + c[3]), precision=c[1] / c[2], recall=c[0] / c[3],
                 entropy=entropy[layer, name] / words) for (layer, name), c in counts.items()]


def tokenizer_of_forty():
    return PreTrainedTokenizerFast(tokenizer_file=str(GOLDEN / "behaviour" / "tokenizer.json"), unk_token="[UNK]",
                                   pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")


PAIRS = [("the cat sleeps", "a dog runs", "0-0 1-1 2-2 1?2"),
         ("keys on the table", "the old boathouse is near", "0p2 2-0 3-1 3-4"),
         ("the cats are near", "not greenish", "0?0 1-1")]
TEXTS = ["The keys to the cabinet are on the table.", "A cat, it seems, doesn't run; they do."]
MASKED = ["the old boathouse are lighted", "unlightful boats are oldest in the lighthouse"]


def maps():
    folder = GOLDEN / "tiny" / "gqa-tied"
    llama = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    fast = AutoTokenizer.from_pretrained(folder)
    bert = AutoModelForMaskedLM.from_pretrained(GOLDEN / "arch" / "bert", dtype=torch.float32,
                                                attn_implementation="eager").eval()
    forty = tokenizer_of_forty()
    t5 = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / "arch" / "t5", dtype=torch.float32,
                                               attn_implementation="eager").eval()
    causal = [self_maps(llama, t, fast(t, return_offsets_mapping=True, add_special_tokens=False), True, unit)
              for unit in ("token", "word") for t in TEXTS]
    masked = [self_maps(bert, t, forty(t, return_offsets_mapping=True), False, unit)
              for unit in ("token", "word") for t in MASKED]
    write_json(OUT / "maps.json", dict(
        **ABOUT, traits=["confidence", "entropy", "distance", "self", "first"], causal=causal, masked=masked,
        pairs=[dict(source=s, target=t, alignment=l) for s, t, l in PAIRS],
        predicted=cross(t5, forty, PAIRS, "predicted"), read=cross(t5, forty, PAIRS, "read")))


# ---- heads ----

TREE = """# text = The old dog saw the small cats near a table
1	The	the	DET	_	_	3	det	_	_
2	old	old	ADJ	_	_	3	amod	_	_
3	dog	dog	NOUN	_	_	4	nsubj	_	_
4	saw	see	VERB	_	_	0	root	_	_
5	the	the	DET	_	_	7	det	_	_
6	small	small	ADJ	_	_	7	amod	_	_
7	cats	cat	NOUN	_	_	4	obj	_	_
8	near	near	ADP	_	_	10	case	_	_
9	a	a	DET	_	_	10	det	_	_
10	table	table	NOUN	_	_	7	nmod	_	_
"""


class Heads:
    """The inputs of the o projections: z; heads in `gone` put out zeros."""

    def __init__(self, model):
        self.model, self.gone, self.z = model, [], {}
        self.n, self.d = model.config.num_attention_heads, model.config.hidden_size // model.config.num_attention_heads
        for layer, block in enumerate(model.model.layers):
            block.self_attn.o_proj.register_forward_pre_hook(lambda m, args, layer=layer: self.hook(layer, args[0]))

    def hook(self, layer, z):
        keep = torch.ones(self.n * self.d)
        for l, h in self.gone:
            if l == layer:
                keep[h * self.d:(h + 1) * self.d] = 0
        z = z * keep
        if z.requires_grad:
            z.retain_grad()
        self.z[layer] = z
        return (z,)

    def loss(self, ids):
        logp = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return -logp[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum()

    def products(self, ids):
        (self.loss(ids) / (len(ids) - 1)).backward()
        return np.stack([(self.z[l] * self.z[l].grad)[0].detach().double().view(len(ids), self.n, self.d).sum(-1).numpy()
                         for l in range(len(self.z))])          # [layers, positions, heads]


def copying(model, length, sequences):
    rng = np.random.default_rng(11)
    token = rng.integers(10, model.config.vocab_size, size=(sequences, length)).tolist()
    found = []
    for row in token:
        a = attentions(model, row + row)
        second = range(length, 2 * length)
        found.append([[[np.mean([h[i, i - 1] for i in range(1, 2 * length)]), np.mean([h[i, i - length] for i in second]),
                        np.mean([h[i, i - length + 1] for i in second])] for h in layer] for layer in a])
    return dict(length=length, token=token, scores=rounded(np.transpose(found, (1, 2, 3, 0))))


def relations(model, tokenizer):
    """Of one sentence: share of pairs that each head finds; the best head, the first of equals."""
    text = TREE.splitlines()[0][9:]
    rows = [line.split("\t") for line in TREE.splitlines()[1:]]
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    words = word_numbers(text, encoded["offset_mapping"])
    cut = [[t for t, w in enumerate(words) if w == k] for k in range(len(rows))]
    assert all(cut) and max(words) == len(rows) - 1
    a, out = attentions(model, encoded["input_ids"]), []
    for relation in dict.fromkeys(r[7] for r in rows):
        for direction in ("dependent to head", "head to dependent"):
            pairs = [(int(r[0]) - 1, int(r[6]) - 1) for r in rows if r[7] == relation and r[6] != "0"]
            pairs = [p if direction == "dependent to head" else p[::-1] for p in pairs]
            pairs = [(q, t) for q, t in pairs if t < q]
            if not pairs:
                continue
            hits = []
            for layer in a:
                for h in layer:
                    m = between(h, cut, cut)
                    np.fill_diagonal(m, 0)
                    hits.append(sum(int(m[q].argmax()) == t for q, t in pairs))
            offsets = [t - q for q, t in pairs]
            best = int(np.argmax(hits))
            common = max(offsets.count(o) for o in offsets)
            out.append(dict(relation=relation, direction=direction, pairs=len(pairs), head=best,
                            accuracy=hits[best] / len(pairs), offset_accuracy=common / len(pairs)))
    return out


def heads():
    folder = GOLDEN / "tiny" / "gqa-tied"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    fast, of = AutoTokenizer.from_pretrained(folder), Heads(model)
    rows = [fast(t, add_special_tokens=False)["input_ids"] for t in TEXTS]
    products = [of.products(ids) for ids in rows]
    layers, n = len(of.z), of.n
    gone, losses = [], []
    with torch.no_grad():
        for step in ([], [(0, 1)], [(0, 1), (1, 0)], [(l, h) for l in range(layers) for h in range(n)]):
            of.gone = step
            gone.append(step)
            losses.append([float(of.loss(ids)) for ids in rows])
        of.gone = []
    write_json(OUT / "heads.json", dict(
        **ABOUT, texts=TEXTS, dot=rounded([p.sum(1) for p in products]), each=rounded([np.abs(p).sum(1) for p in products]),
        gone=gone, losses=rounded(losses), copying=copying(model, 7, 3), tree=TREE, relations=relations(model, fast)))


# ---- heads of encoder-decoders ----

PLACES = {"t5": ("{}.block.{}.layer.0.SelfAttention.o", "{}.block.{}.layer.1.EncDecAttention.o")} | {
    name: ("model.{}.layers.{}.self_attn.out_proj", "model.{}.layers.{}.encoder_attn.out_proj") for name in ("mbart", "marian")}


class PairHeads:
    """The inputs of the output projections, in this order: encoder, decoder, cross; each layer by layer."""

    def __init__(self, name):
        self.model = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / "arch" / name, dtype=torch.float32,
                                                           attn_implementation="eager").eval()
        own, cross = PLACES[name]
        layers = range(2)
        paths = [p.format(side, i) for side, p in (("encoder", own), ("decoder", own), ("decoder", cross)) for i in layers]
        self.n, self.gone, self.z = 4, [], {}
        for k, path in enumerate(paths):
            self.model.get_submodule(path).register_forward_pre_hook(lambda m, args, k=k: self.hook(k, args[0]))

    def hook(self, k, z):
        keep = torch.ones(z.shape[-1])
        for head in self.gone:
            if head // self.n == k:
                keep.view(self.n, -1)[head % self.n] = 0
        z = z * keep
        if z.requires_grad:
            z.retain_grad()
        self.z[k] = z
        return (z,)

    def run(self, source, target):
        ids = [self.model.config.decoder_start_token_id] + target
        return self.model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([ids]), output_attentions=True)

    def loss(self, source, target):
        logp = self.run(source, target).logits[0].log_softmax(-1)
        return -logp[torch.arange(len(target)), torch.tensor(target)].sum()

    def products(self, source, target):
        (self.loss(source, target) / len(target)).backward()
        return [(self.z[k] * self.z[k].grad)[0].detach().double().view(-1, self.n, self.z[k].shape[-1] // self.n).sum(-1)
                for k in range(len(self.z))]

    @torch.no_grad()
    def confidence(self, source, target, special):
        """Sums over queries that are the text's own and have a choice, and how many those are; by stack."""
        out = self.run(source, target)
        rows = [[i for i, x in enumerate(s) if x not in special] for s in (source, [-1] + target)]
        rows = [rows[0], [i for i in rows[1] if i > 0], [i for i in rows[1] if i > 0]]
        return [[[float(h[r].max(-1).values.sum()) for h in layer[0]] + [len(r)] for layer in a]
                for a, r in zip((out.encoder_attentions, out.decoder_attentions, out.cross_attentions), rows)]


def pairs():
    forty, models = tokenizer_of_forty(), {}
    special = set(forty.all_special_ids) - {forty.unk_token_id}
    rows = [[forty(x)["input_ids"] for x in (s, t)] for s, t, _ in PAIRS]
    for name in PLACES:
        of = PairHeads(name)
        products = [of.products(*r) for r in rows]
        gone, losses = [[], [1], [10, 21], list(range(24))], []
        with torch.no_grad():
            for of.gone in gone:
                losses.append([float(of.loss(*r)) for r in rows])
        of.gone = []
        models[name] = dict(dot=[rounded(torch.cat([z.sum(0) for z in p])) for p in products],
                            each=[rounded(torch.cat([z.abs().sum(0) for z in p])) for p in products], losses=rounded(losses),
                            confidence=[[[rounded(layer) for layer in a] for a in of.confidence(*r, special)] for r in rows])
    write_json(OUT / "pairs.json", dict(**ABOUT, stacks=["encoder", "decoder", "cross"], gone=gone, models=models,
                                        pairs=[dict(source=s, target=t) for s, t, _ in PAIRS]))


# ---- is attention explanation? ----

def jensen_shannon(p, q):
    m = (p + q) / 2
    return float(((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2)


class Imposed:
    """Attention of one layer's last position replaced: its o projection reads a @ values instead."""

    def __init__(self, model):
        self.model, self.layer, self.z, self.seen, self.value = model, None, None, {}, {}
        for layer, block in enumerate(model.model.layers):
            block.self_attn.o_proj.register_forward_pre_hook(lambda m, args, layer=layer: self.hook(layer, args[0]))
            block.self_attn.v_proj.register_forward_hook(lambda m, args, out, layer=layer: self.value.__setitem__(layer, out[0]))

    def hook(self, layer, z):
        if layer == self.layer:
            z = torch.cat([z[:, :-1], self.z.view(1, 1, -1)], 1)
        if z.requires_grad:
            z.retain_grad()
        self.seen[layer] = z
        return (z,)

    def logits(self, ids):
        return self.model(torch.tensor([ids])).logits[0, -1].double()


def last_mixed(config, value, a):
    """a [heads, keys] -> z of the last position."""
    d, group = config.hidden_size // config.num_attention_heads, config.num_attention_heads // config.num_key_value_heads
    v = value.view(len(value), config.num_key_value_heads, d)
    return torch.stack([torch.tensor(a[h], dtype=torch.float32) @ v[:, h // group] for h in range(len(a))]).reshape(-1)


def explain_text(of, ids):
    config, layers = of.model.config, len(of.model.model.layers)
    a = attentions(of.model, ids)[:, :, -1]                    # [layers, heads, keys]
    embedding = of.model.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_(True)
    logp = of.model(inputs_embeds=embedding).logits[0, -1].log_softmax(-1)
    top = int(logp.argmax())
    logp[top].backward()
    gradient = (embedding * embedding.grad).sum(-1)[0].detach().abs().double()
    slopes = [of.seen[l].grad[0, -1] for l in range(layers)]
    with torch.no_grad():
        base, values = of.logits(ids).softmax(-1), dict(of.value)

        def without(i):
            return of.logits(ids[:i] + ids[i + 1:]).softmax(-1)

        def imposed(layer, weights):
            of.layer, of.z = layer, last_mixed(config, values[layer], weights)
            out = of.logits(ids).softmax(-1)
            of.layer = None
            return out
        players = list(range(len(ids) - 1))
        loo = [float((without(i) - base).abs().sum() / 2) for i in players]
        found = []
        for l in range(layers):
            mean = a[l].mean(0)
            slope = np.array([sum(float(slopes[l].view(-1, config.hidden_size // config.num_attention_heads)[h] @
                                        last_mixed(config, values[l], np.eye(1, len(ids), k).repeat(len(a[l]), 0)).view(len(a[l]), -1)[h])
                                  for h in range(len(a[l]))) for k in range(len(ids))])
            uniform = imposed(l, np.full_like(a[l], 1 / len(ids)))
            removed = []
            for value in (mean, slope, mean * slope):
                order, share = np.argsort(-value, kind="stable"), 1.0
                for n in range(1, len(ids)):
                    w = a[l].copy()
                    w[:, order[:n]] = 0
                    w = w / w.sum(1, keepdims=True)
                    if int(imposed(l, w).argmax()) != top:
                        share = n / len(ids)
                        break
                removed.append(share)
            tau = [float(scipy.stats.kendalltau(mean[:-1], y).statistic) for y in (loo, gradient[:-1].numpy())]
            found.append(dict(most=float(mean.max()), uniform=float((uniform - base).abs().sum() / 2),
                              uniform_js=jensen_shannon(base, uniform), removed=removed, tau=tau))
    return dict(loo=rounded(loo), gradient=rounded(gradient[:-1]), layers=found, top=top,
                control=float(scipy.stats.kendalltau(gradient[:-1].numpy(), loo).statistic))


def explain():
    folder = GOLDEN / "tiny" / "gqa-tied"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    fast, of = AutoTokenizer.from_pretrained(folder), Imposed(model)
    texts = [t.split(".")[0] for t in TEXTS]
    write_json(OUT / "explain.json", dict(**ABOUT, texts=[
        dict(text=t, **explain_text(of, fast(t, add_special_tokens=False)["input_ids"])) for t in texts]))


# ---- the same of encoder-decoders ----

class ImposedPairs:
    """Attention of one layer replaced: its output projection reads a @ values instead, at the decoder's last place or at all
    of the encoder's. Stacks in this order: encoder, decoder, cross; each layer by layer."""

    def __init__(self, name):
        self.model = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / "arch" / name, dtype=torch.float32,
                                                           attn_implementation="eager").eval()
        own, cross = PLACES[name]
        paths = [p.format(side, i) for side, p in (("encoder", own), ("decoder", own), ("decoder", cross)) for i in range(2)]
        self.n, self.at, self.z, self.seen, self.value = 4, None, None, {}, {}
        for k, path in enumerate(paths):
            values = path[:-1] + "v" if name == "t5" else path.replace("out_proj", "v_proj")
            self.model.get_submodule(path).register_forward_pre_hook(lambda m, args, k=k: self.hook(k, args[0]))
            self.model.get_submodule(values).register_forward_hook(
                lambda m, args, out, k=k: self.value.__setitem__(k, out[0].detach()))

    def hook(self, k, z):
        if k == self.at:
            z = self.z[None] if k < 2 else torch.cat([z[:, :-1], self.z[None]], 1)
        if z.requires_grad:
            z.retain_grad()
        self.seen[k] = z
        return (z,)

    def run(self, source, target, **more):
        ids = [self.model.config.decoder_start_token_id] + target
        return self.model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([ids]), **more)

    def predicted(self, source, target):
        return self.run(source, target).logits[0, -1].double().softmax(-1)

    def mixed(self, value, a):
        """a [heads, queries, keys] -> z [queries, heads * d]."""
        v = value.view(len(value), self.n, -1)
        return torch.cat([torch.tensor(a[h], dtype=torch.float32) @ v[:, h] for h in range(self.n)], 1)

    def imposed(self, k, value, a, source, target):
        self.at, self.z = k, self.mixed(value, a)
        out = self.predicted(source, target)
        self.at = None
        return out


def pair_gradients(of, source, target):
    """The most probable token, |x . d log p / dx| of both sides' embeddings, d log p / dz of all stacks' layers."""
    embed, seen = of.model.get_input_embeddings(), []

    def keep(module, args, out):
        out.retain_grad()
        seen.append(out)
    handles = [m.register_forward_hook(keep) for m in of.model.modules() if isinstance(m, type(embed)) and
               m.weight.shape == embed.weight.shape]
    logp = of.run(source, target).logits[0, -1].log_softmax(-1)
    for h in handles:
        h.remove()
    logp.max().backward()
    sides = [(x * x.grad).sum(-1)[0].detach().abs().double().numpy() for x in seen]
    assert len(sides) == 2 and len(sides[0]) == len(source) and len(sides[1]) == len(target) + 1
    slopes = [of.seen[k].grad[0].detach() for k in range(6)]
    return int(logp.argmax()), sides, [s if k < 2 else s[-1:] for k, s in enumerate(slopes)]


def tau_or_none(x, y):
    found = float(scipy.stats.kendalltau(x, y).statistic)
    return None if math.isnan(found) else found


def erased(of, k, value, a, order, top, row):
    for n in range(1, a.shape[-1]):
        w = a.copy()
        w[:, :, order[:n]] = 0
        w = w / w.sum(-1, keepdims=True)
        if int(of.imposed(k, value, w, *row).argmax()) != top:
            return n / a.shape[-1]
    return 1.0


def explain_pair(of, source, target, special, rng):
    top, gradient, slopes = pair_gradients(of, source, target)
    own = [i for i, x in enumerate(source) if x not in special]
    players = [own, [i for i, x in enumerate([-1] + target) if x not in special | {-1}][:-1]]   # the last is the place
    with torch.no_grad():
        base = of.predicted(source, target)
        values = dict(of.value)
        out = of.run(source, target, output_attentions=True)
        a = [x[0].double().numpy() for x in out.encoder_attentions] + \
            [x[0, :, -1:].double().numpy() for x in out.decoder_attentions + out.cross_attentions]
        loo = [[float((of.predicted(source[:i] + source[i + 1:], target) - base).abs().sum() / 2) for i in players[0]],
               [float((of.predicted(source, target[:i - 1] + target[i:]) - base).abs().sum() / 2) for i in players[1]]]
        gradient = [g[p] for g, p in zip(gradient, players)]
        layers = []
        for k in range(6):
            side = int(k // 2 == 1)
            mean = a[k].mean((0, 1))
            eye = np.eye(a[k].shape[-1])
            slope = np.array([float((slopes[k] * of.mixed(values[k], np.broadcast_to(e, a[k].shape).copy())).sum())
                              for e in eye])
            order = rng.permutation(a[k].shape[-1])
            tvd = [float((of.imposed(k, values[k], w, source, target) - base).abs().sum() / 2)
                   for w in (np.full_like(a[k], 1 / a[k].shape[-1]), a[k][:, :, order])]
            layers.append(dict(
                most=float(mean.max()), uniform=tvd[0], order=order.tolist(), permuted=tvd[1], slope=rounded(slope),
                removed=[erased(of, k, values[k], a[k], np.argsort(-v, kind="stable"), top, (source, target))
                         for v in (mean, slope, mean * slope)],
                tau=[tau_or_none(mean[players[side]], y) for y in (loo[side], gradient[side])]))
    return dict(top=top, loo=[rounded(x) for x in loo], gradient=[rounded(x) for x in gradient], layers=layers,
                control=[tau_or_none(g, l) for g, l in zip(gradient, loo)])


def explain_pairs():
    forty, models = tokenizer_of_forty(), {}
    special, rng = set(forty.all_special_ids) - {forty.unk_token_id}, np.random.default_rng(7)
    for name in PLACES:
        of, rows = ImposedPairs(name), []
        for source, target, _ in PAIRS:
            ids = [forty(x)["input_ids"] for x in (source, target)]
            while ids[1] and ids[1][-1] in special:     # the place is the last token of the target's own
                ids[1].pop()
            rows.append(explain_pair(of, *ids, special, rng))
        models[name] = rows
    write_json(OUT / "explain_pairs.json", dict(**ABOUT, stacks=["encoder", "decoder", "cross"], models=models,
                                                pairs=[dict(source=s, target=t) for s, t, _ in PAIRS]))


def kendall():
    rng = np.random.default_rng(5)
    cases = []
    for n in (2, 3, 5, 8, 12, 20, 33, 40):
        for ties in (False, True):
            x = rng.permutation(n).astype(float)
            y = 0.5 * x + rng.normal(size=n) * n / 3
            if ties:
                x, y = np.floor(x / 2), np.round(y)
            found = scipy.stats.kendalltau(x, y)
            cases.append(dict(x=x.tolist(), y=rounded(y), tau=None if math.isnan(found.statistic) else float(found.statistic),
                              p=None if math.isnan(found.pvalue) else float(found.pvalue)))
    write_json(OUT / "kendall.json", dict(**ABOUT, cases=cases))


PARTS = dict(maps=maps, heads=heads, pairs=pairs, explain=explain, explain_pairs=explain_pairs, kendall=kendall)
for part in sys.argv[1:] or PARTS:
    PARTS[part]()
