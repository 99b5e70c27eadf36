"""The logit lens by hand with transformers: every hidden state of N sentences through the final norm and the unembedding, the ten most
probable tokens, entropy and KL from the final distribution; batches of 16 sorted by length, timed without loading.

usage: logit_lens.py run FOLDER CONLLU N
       logit_lens.py agree FOLDER CONLLU N RESULT     RESULT: `sonde lens logit --details 0 --format json` of the same sentences
"""
import json
import sys

from common import agreed, batches, load, padded, say, texts_of, Timer, torch


def lens(model, states):
    """log-probabilities of every layer's stream; transformers' last hidden state is behind the norm already."""
    for i, h in enumerate(states):
        yield torch.log_softmax(model.lm_head(h if i + 1 == len(states) else model.model.norm(h)), -1)


def run(folder, conllu, n):
    model, tokenizer = load(folder)
    rows = [tokenizer(text)["input_ids"] for text in texts_of(conllu, int(n))]
    tokens, kept = sum(map(len, rows)), 0
    timer = Timer()
    with torch.no_grad():
        for which in batches(rows, 16):
            batch = padded(tokenizer, [rows[i] for i in which])
            mask, states = batch["attention_mask"].bool(), model.model(**batch, output_hidden_states=True).hidden_states
            states = [h[mask] for h in states]
            final = torch.log_softmax(model.lm_head(states[-1]), -1)
            for logp in lens(model, states):
                p = logp.exp()
                kept += sum(x.numel() for x in (logp.topk(10), -(p * logp).sum(-1), (final.exp() * (final - logp)).sum(-1)) if torch.is_tensor(x))
    say(what="logit lens", tokens=tokens, kept=kept, **timer.read())


def agree(folder, conllu, n, result):
    model, tokenizer = load(folder)
    table = next(t for t in json.load(open(result, encoding="utf8"))["tables"] if t["name"] == "cells")
    names = [c["name"] for c in table["columns"]]
    found = {(r["item"], r["layer"], r["position"]): r for r in (dict(zip(names, row)) for row in table["rows"])}
    worst, entropy = 0.0, 0.0
    with torch.no_grad():
        for b, text in enumerate(texts_of(conllu, int(n))):
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            for layer, logp in enumerate(lens(model, model.model(ids, output_hidden_states=True).hidden_states)):
                for position, row in enumerate(logp[0]):
                    ours = found[b + 1, layer, position]
                    worst = max(worst, abs(ours["probability"] - row.max().exp().item()))
                    entropy = max(entropy, abs(ours["entropy"] + (row.exp() * row).sum().item() / torch.log(torch.tensor(2.0)).item()))
    agreed(worst < 1e-3 and entropy < 1e-2, f"largest differences of the first token's probability {worst:.1e}, of the entropy {entropy:.1e} bits")


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    (run if what == "run" else agree)(*args)
