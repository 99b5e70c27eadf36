"""TransformerLens (its bridge to transformers) on the bench's work; timed without loading.

usage: lens.py forward FOLDER CONLLU N resid_post|everything     run_with_cache, sorted by length, 16 a batch
       lens.py grid FOLDER PAIRS N OUT        get_act_patch_resid_pre: a forward pass for each layer and position
       lens.py batched FOLDER PAIRS N OUT     the same cells with transformers and a hook, 64 cells a batch: what one would write by hand
       lens.py agree PEER OURS TOLERANCE [OURS TOLERANCE]...
A cell: the residual stream of the bad sentence at (layer, position) is replaced by the good one's; its value is the logit of the good
sentence's last token at the position before, less that of the bad sentence's first token that differs. OUT: {"pair": .., "value": [layers][positions]}.
Only pairs of equally many tokens count; grids take the first N pairs that are.
"""
import json
import sys

from common import agreed, batches, load, np, padded, pairs_of, say, texts_of, Timer, tokenizer_of, torch

BATCH = 64


def bridge(folder):
    from transformer_lens.model_bridge import TransformerBridge
    return TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32), tokenizer_of(folder)


def forward(folder, conllu, n, which):
    model, tokenizer = bridge(folder)
    rows = [tokenizer(text)["input_ids"] for text in texts_of(conllu, int(n))]
    tokens = sum(map(len, rows))
    keep = {"names_filter": lambda name: name.endswith("hook_resid_post")} if which == "resid_post" else {}
    timer = Timer()
    with torch.no_grad():
        for batch in batches(rows, 16):
            model.run_with_cache(padded(tokenizer, [rows[i] for i in batch])["input_ids"], **keep)
    seconds = timer.read()
    say(what="TransformerLens forward", kept=which, tokens=tokens, tok_s=round(tokens / seconds["s"], 1), **seconds)


def equal_pairs(tokenizer, path, n):
    """(number, good ids, bad ids, wanted, foil)"""
    found = []
    for number, pair in enumerate(pairs_of(path, 10 * n)):
        good, bad = (tokenizer(text)["input_ids"] for text in pair)
        if len(good) == len(bad) and len(found) < n:
            first = next((i for i in range(len(bad)) if good[i] != bad[i]), len(bad) - 1)
            found.append((number, torch.tensor([good]), torch.tensor([bad]), good[-1], bad[first]))
    return found


def write(out, grids, timer, name):
    seconds = timer.read()
    cells = sum(grid.numel() for _, grid in grids)
    with open(out, "w", encoding="utf8") as file:
        file.writelines(json.dumps({"pair": number, "value": grid.tolist()}) + "\n" for number, grid in grids)
    say(what=name, pairs=len(grids), cells=cells, cells_s=round(cells / seconds["s"], 1), **seconds)


def grid(folder, path, n, out):
    from transformer_lens import patching
    model, tokenizer = bridge(folder)
    pairs, grids = equal_pairs(tokenizer, path, int(n)), []
    timer = Timer()
    with torch.no_grad():
        for number, good, bad, wanted, foil in pairs:
            _, cache = model.run_with_cache(good, names_filter=lambda name: name.endswith("hook_resid_pre"))
            metric = lambda logits, wanted=wanted, foil=foil: logits[0, -2, wanted] - logits[0, -2, foil]
            grids.append((number, patching.get_act_patch_resid_pre(model, bad, cache, metric)))
    write(out, grids, timer, "TransformerLens patching grid")


class Patcher:
    """Hooks on every block: row r of the batch gets the source's stream at its own (layer, position)."""

    def __init__(self, model):
        self.layer = self.position = self.source = None
        for number, block in enumerate(model.model.layers):
            block.register_forward_pre_hook(lambda _, args, kwargs, number=number: self.patch(number, args, kwargs), with_kwargs=True)

    def patch(self, number, args, kwargs):
        rows = (self.layer == number).nonzero()[:, 0]
        if len(rows):
            h = args[0].clone()
            h[rows, self.position[rows]] = self.source[number][self.position[rows]]
            args = (h, *args[1:])
        return args, kwargs


def batched(folder, path, n, out):
    model, tokenizer = load(folder)
    pairs, grids = equal_pairs(tokenizer, path, int(n)), []
    patcher, layers = Patcher(model), model.config.num_hidden_layers
    none = torch.full((1,), -1)
    timer = Timer()
    with torch.no_grad():
        for number, good, bad, wanted, foil in pairs:
            patcher.layer = none
            source = [h[0] for h in model.model(good, output_hidden_states=True).hidden_states]
            size = good.shape[1]
            cells = torch.cartesian_prod(torch.arange(layers), torch.arange(size))
            value = []
            for part in cells.split(BATCH):
                patcher.layer, patcher.position, patcher.source = part[:, 0], part[:, 1], source
                h = model.model(bad.expand(len(part), -1), use_cache=False).last_hidden_state[:, -2]
                value.append(h @ (model.lm_head.weight[wanted] - model.lm_head.weight[foil]))
            grids.append((number, torch.cat(value).reshape(layers, size)))
    write(out, grids, timer, "transformers patching grid")


def agree(peer, *ours):
    with open(peer, encoding="utf8") as file:
        want = {r["pair"]: np.array(r["value"]) for r in map(json.loads, file)}
    texts, ok = [], True
    for path, tolerance in zip(ours[::2], ours[1::2]):
        with open(path, encoding="utf8") as file:
            found = {r["pair"]: np.array(r["value"]) for r in map(json.loads, file)}
        both = sorted(want.keys() & found.keys())
        worst = max(np.abs(found[k] - want[k]).max() for k in both) if both else np.inf
        ok &= bool(worst <= float(tolerance))
        texts.append(f"{path.rsplit('/', 1)[-1]}: {worst:.1e} (at most {float(tolerance):g}) on {len(both)} pairs")
    agreed(ok, "largest difference of a cell's logit difference, nats: " + "; ".join(texts))


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    {"forward": forward, "grid": grid, "batched": batched, "agree": agree}[what](*args)
