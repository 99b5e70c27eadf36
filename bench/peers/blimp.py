"""transformers: log-probabilities of both sentences of BLiMP pairs, sorted by length, 64 a batch; timed without loading.

usage: blimp.py run FOLDER PAIRS N OUT PRECISION     OUT: [good, bad] a line, nats; PRECISION f32 | autocast
       blimp.py agree PEER OURS TOLERANCE [OURS TOLERANCE]...   OURS as OUT, or the JSON of `sonde behaviour pairs`
"""
import contextlib
import json
import sys

from common import agreed, batches, load, np, padded, pairs_of, say, Timer, torch

SIZE = 64


def run(folder, path, n, out, precision):
    model, tokenizer = load(folder)
    cast = torch.autocast("cpu", dtype=torch.bfloat16) if precision == "autocast" else contextlib.nullcontext()
    sentences = [text for pair in pairs_of(path, int(n)) for text in pair]
    timer = Timer()
    rows = [tokenizer(text)["input_ids"] for text in sentences]
    score = np.zeros(len(rows))
    with torch.no_grad(), cast:
        for which in batches(rows, SIZE):
            batch = padded(tokenizer, [rows[i] for i in which])
            wanted = batch["input_ids"][:, 1:, None]
            logits = model(**batch).logits[:, :-1].float()
            found = logits.gather(-1, wanted)[..., 0] - logits.logsumexp(-1)   # the whole table of log-probabilities is not needed
            score[which] = (found * batch["attention_mask"][:, 1:]).sum(-1).numpy()
    seconds = timer.read()
    pairs = score.reshape(-1, 2)
    with open(out, "w", encoding="utf8") as file:
        file.writelines(f"[{good:.9g}, {bad:.9g}]\n" for good, bad in pairs)
    say(what="transformers BLiMP pairs", precision=precision, pairs=len(pairs), accuracy=round(float((pairs[:, 0] > pairs[:, 1]).mean()), 4),
        tokens=sum(map(len, rows)), **seconds)


def read(path):
    with open(path, encoding="utf8") as file:
        return np.array([json.loads(line) for line in file])


def agree(peer, *ours):
    want, texts, ok = read(peer), [], True
    accuracy = (want[:, 0] > want[:, 1]).mean()
    for path, tolerance in zip(ours[::2], ours[1::2]):
        found = read(path)
        worst = np.abs(found - want).max()
        ok &= bool(worst <= float(tolerance))
        texts.append(f"{path.rsplit('/', 1)[-1]}: {worst:.1e} nats (at most {float(tolerance):g}), accuracy {(found[:, 0] > found[:, 1]).mean():.3f}")
    agreed(ok, f"largest difference of a sentence's log-probability from transformers' (accuracy {accuracy:.3f}): " + "; ".join(texts))


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    {"run": run, "agree": agree}[what](*args)
