"""transformers: hidden states of all layers of N sentences, in batches of 32; timed without loading.

usage: forward.py run FOLDER CONLLU N ORDER KEEP PRECISION
           ORDER file | sorted (by length: less padding); KEEP hold (in memory) | FILE (streamed there)
           PRECISION f32 | autocast (bfloat16 products) | bf16 (bfloat16 weights and streams)
       forward.py agree FOLDER CONLLU N TOLERANCE CAPTURE...   largest relative difference of captured streams from transformers' float32
"""
import contextlib
import sys

from common import agreed, batches, load, np, padded, read_safetensors, say, texts_of, Timer, torch

SIZE = 32


def hidden_states(model, tokenizer, rows):
    batch = padded(tokenizer, rows)
    return batch["attention_mask"].bool(), model.model(**batch, output_hidden_states=True).hidden_states


def run(folder, conllu, n, order, keep, precision):
    model, tokenizer = load(folder, torch.bfloat16 if precision == "bf16" else torch.float32)
    cast = torch.autocast("cpu", dtype=torch.bfloat16) if precision == "autocast" else contextlib.nullcontext()
    rows = [tokenizer(text)["input_ids"] for text in texts_of(conllu, int(n))]
    tokens, held = sum(map(len, rows)), []
    file = open(keep, "wb") if keep != "hold" else None
    timer = Timer()
    with torch.no_grad(), cast:
        for which in batches(rows, SIZE, order == "sorted"):
            mask, states = hidden_states(model, tokenizer, [rows[i] for i in which])
            for h in states:
                if file:
                    h[mask].float().numpy().tofile(file)
                else:
                    held.append(h[mask])
    seconds = timer.read()
    say(what="transformers forward", order=order, precision=precision, tokens=tokens, tok_s=round(tokens / seconds["s"], 1), **seconds)


def difference(file, names, states, first, end):
    worst = 0.0
    for name, h in zip(names, states):
        want = h[0].numpy()
        worst = max(worst, float(np.linalg.norm(file[name][first:end] - want) / np.linalg.norm(want)))
    return worst


def agree(folder, conllu, n, tolerances, captures):
    model, tokenizer = load(folder)
    files = [read_safetensors(path) for path in captures]
    worst, same = [0.0] * len(files), True
    layers = model.config.num_hidden_layers   # the last hidden state of transformers is behind the final norm
    names = ["blocks.0.hook_resid_pre"] + [f"blocks.{l}.hook_resid_post" for l in range(layers - 1)]
    with torch.no_grad():
        for b, text in enumerate(texts_of(conllu, int(n))):
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            states = model.model(ids, output_hidden_states=True).hidden_states
            for i, file in enumerate(files):
                first, end = file["start"][b:b + 2]
                same &= ids[0].tolist() == file["tokens"][first:end].tolist()
                worst[i] = max(worst[i], difference(file, names, states, first, end))
    limits = [float(t) for t in tolerances.split(",")]
    text = ", ".join(f"{w:.1e} (at most {t:g})" for w, t in zip(worst, limits))
    agreed(same and all(w <= t for w, t in zip(worst, limits)),
           f"largest relative difference of a sentence's residual stream from transformers' float32: {text}; "
           f"{'the same' if same else 'OTHER'} token ids")


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    run(*args) if what == "run" else agree(*args[:4], args[4:])
