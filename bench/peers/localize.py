"""What `sonde localize` does, as one would write it with PyTorch, transformers, scikit-learn and concept-erasure: the same items, probes
with baselines and controls, interchange in full and through LEACE's projection, erasure with its controls and gate, bootstrap over lemmas.

usage: localize.py run FOLDER ITEMS.jsonl EFFORT OUT [PART]    ITEMS: `sonde data make --effort EFFORT --model …`
           PART (default 1): every how many layers, random models, draws and refits are really done; the rest is scaled by counts
       localize.py agree OUT RESULT.json         against the folder's result.json of `sonde localize --out`

As is usual, rows of equal length run together, patched rows start at the patched layer from the kept stream of the base, and only the
choice words' logits are computed; what cannot change (a role before the first token that differs) is not run.
"""
import json
import sys
import time
import warnings

from common import agreed, np, say, Timer, torch
from joblib import delayed
from localize_model import CHUNK, Items, Runner
from localize_stats import (bands, control_labels, controls, in_parallel, leace, one_hot, probe, probes, refits, Resamples)

warnings.filterwarnings("ignore", "Mean of empty slice")   # of layers that were left out
EFFORTS = {"quick": {"random": 1, "erase_step": 0, "members": 64, "wide_step": 0, "refits": 0},
           "standard": {"random": 2, "erase_step": 3, "members": 64, "wide_step": 0, "refits": 0},
           "thorough": {"random": 5, "erase_step": 1, "members": 64, "wide_step": 6, "refits": 200}}
CONTROLS, DRAWS, WIDE_DRAWS, SCRUB, DELTA, BOOT = 10, 20, 5, 256, 0.10, 2000


class Clock:
    """Seconds of each stage, and what they would be if all of it had been done."""

    def __init__(self):
        self.stages, self.last = {}, time.perf_counter()

    def lap(self, name, done=1, whole=1):
        now = time.perf_counter()
        seconds, scaled = self.stages.get(name, (0, 0))
        self.stages[name] = (seconds + now - self.last, scaled + (now - self.last) * whole / max(done, 1))
        self.last = now
        print(f"{name}: {self.stages[name][0]:.1f} s, {done} of {whole}", file=sys.stderr, flush=True)


class Analysis:
    def __init__(self, folder, path, effort, part):
        self.clock, self.option, self.part = Clock(), EFFORTS[effort], part
        self.run = Runner(folder)
        self.items = Items(path, self.run.tokenizer)
        self.rng = np.random.default_rng(1)
        self.n_role, self.n_boundary = len(self.items.roles), self.run.n_boundary
        self.layers = list(range(0, self.n_boundary, part))
        self.share = (len(self.layers), self.n_boundary)
        self.boot = Resamples(self.items, BOOT, self.rng)
        self.lemmas = len(np.unique(self.items.lemma))
        self.direction = self.run.choice_directions(self.items)
        self.clock.lap("loading")

    # ---- chosen ----

    def choose(self):
        items, self.pairs = self.items, {kind: self.items.pairs(kind) for kind in ("main", "attractor", "placebo")}
        members = np.unique(np.concatenate([pairs.ravel() for pairs in self.pairs.values()]))
        self.stream = self.run.streams(items, members)
        self.ld = np.full(len(items.rows), np.nan)
        for i in members:
            self.ld[i] = self.run.choose(self.stream[i][-1][None], self.direction)[0]
        base, source = self.pairs["main"].T
        self.d = items.n[base] * (self.ld[base] - self.ld[source])
        self.accuracy = float(np.mean(np.sign(self.ld[members]) == items.n[members]))
        self.clock.lap("choice")

    # ---- encoded ----

    def info(self, found):
        """I of each cell from probes' bits, with resamples."""
        which = self.items.probe[self.items.test[self.items.probe]]
        slot, x = {i: k for k, i in enumerate(which)}, np.full((len(which), self.n_boundary * self.n_role), np.nan)
        for (l, r), (rows, bits, _) in found.items():
            tested = ~np.isnan(bits)
            x[[slot[i] for i in rows[tested]], l * self.n_role + r] = bits[tested]
        point, replicate = self.boot.mean(which, x)
        return 1 + point, 1 + replicate

    def encode(self):
        items = self.items
        self.cells = self.run.gather(items, items.probe, self.layers)
        self.clock.lap("reading", 1, 1)
        self.number = probes(self.cells, items.n, items)
        self.i, replicate = self.info(self.number)
        for label in items.labels[1:]:
            self.info(probes(self.cells, items.sign(label), items))
        self.clock.lap("probes", *self.share)
        surface = {(0, r): (rows, one_hot(items, rows, r)) for r in range(self.n_role) for rows in [self.cells[0, r][0]]}
        over = np.tile(self.info(probes(surface, items.n, items))[1][:, :self.n_role], self.n_boundary)
        bands(self.i, replicate, self.lemmas)
        bands(self.i - np.nanmean(over, 0), replicate - over, self.lemmas)
        self.clock.lap("surface probes")
        self.randoms(replicate)

    def randoms(self, replicate):
        whole, total = self.option["random"], 0
        done = max(1, whole // self.part)
        for k in range(done):
            cells = self.run.random(k).gather(self.items, self.items.probe, self.layers)
            total = total + self.info(probes(cells, self.items.n, self.items))[1]
        bands(self.i - np.nanmean(total / done, 0), replicate - total / done, self.lemmas)
        self.clock.lap("random models", done * self.share[0], whole * self.share[1])

    def select(self):
        labels = np.concatenate([self.items.n[None], control_labels(self.items, CONTROLS, self.rng)])
        usual = {cell: sorted(found[2].values())[len(found[2]) // 2] for cell, found in self.number.items()}
        self.selectivity = dict(zip(self.cells, in_parallel(
            delayed(controls)(x, labels[:, i], usual[cell], ~self.items.test[i]) for cell, (i, x) in self.cells.items())))
        self.clock.lap("control labels", *self.share)

    def refit(self):
        whole = self.option["refits"]
        if not whole:
            return
        done = max(1, whole // (self.part * self.part))
        items = self.items
        in_parallel(delayed(refits)(x, items.n[i], items.fold[i], ~items.test[i], items.test[i], self.number[cell][2],
                                    self.boot.weights(i)[:done]) for cell, (i, x) in self.cells.items())
        self.clock.lap("refitted probes", done * self.share[0], whole * self.share[1])

    # ---- interchange ----

    def project(self):
        items = self.items
        self.q = {}
        for cell, (i, x) in self.cells.items():
            for fold in np.unique(items.fold[i]):
                rows = ~items.test[i] & (items.fold[i] != fold)
                self.q[cell, fold] = leace(x[rows], items.n[i][rows])
        self.clock.lap("projections", *self.share)

    def same_until(self, pairs, role):
        """Whether base and source have the same tokens up to the end of the role, in all pairs."""
        ends = [(b, s, self.items.span[b][role]) for b, s in pairs]
        return all(span is None or self.items.ids[b][:span[1]] == self.items.ids[s][:span[1]] for b, s, span in ends)

    def patch_rows(self, l, pairs, sub):
        """Rows to run from boundary l: (pair, column, stream)."""
        items, rows = self.items, []
        for k, (b, s) in pairs:
            base, source = self.stream[b][l], self.stream[s][l]
            for c in self.columns:
                at = items.place(b, c)
                if not at:
                    continue
                h = base.clone()
                h[at] = source[at]
                rows.append((k, c, h))
                q = self.q.get(((l, c), items.fold[b])) if sub and c < self.n_role else None
                if q is not None:
                    h = base.clone()
                    h[at] += (source[at] - base[at]) @ q[2].mT @ q[1].mT
                    rows.append((k, self.n_role + 1 + c, h))
        return rows

    def patch(self, kind):
        """LD of each pair [n, boundaries, columns]: roles, `other`, and for main pairs the roles through Q."""
        pairs, items = self.pairs[kind], self.items
        ld = np.full((len(pairs), self.n_boundary, 2 * self.n_role + 1), np.nan)
        for role in range(self.n_role + 1):
            has = np.array([bool(items.place(b, role)) for b, _ in pairs])
            ld[has, :, role] = self.ld[pairs[has, 0], None]
            if role < self.n_role:
                ld[has, :, self.n_role + 1 + role] = self.ld[pairs[has, 0], None]
        self.columns = [c for c in range(self.n_role + 1) if c == self.n_role or not self.same_until(pairs, c)]
        width = 2 * len(self.columns) if kind == "main" else len(self.columns)
        number = {}
        for k, (b, _) in enumerate(pairs):
            number.setdefault(len(items.ids[b]), []).append(k)
        for group in number.values():
            for first in range(0, len(group), CHUNK // width):
                part = [(k, pairs[k]) for k in group[first:first + CHUNK // width]]
                for l in self.layers:
                    rows = self.patch_rows(l, part, kind == "main")
                    if rows:
                        found = self.run.choose(self.run.onward(torch.stack([h for _, _, h in rows]), l), self.direction)
                        ld[[k for k, _, _ in rows], l, [c for _, c, _ in rows]] = found
        return ld

    def interchange(self):
        items, pairs = self.items, self.pairs["main"]
        ld = self.patch("main")
        base, source = pairs.T
        moved = (items.n[base, None, None] * (self.ld[base, None, None] - ld))
        flat = moved.reshape(len(pairs), -1)
        whole = np.where(np.isnan(flat), np.nan, self.d[:, None])
        (top, tops), (below, belows) = self.boot.mean(base, flat), self.boot.mean(base, whole)
        shape = ld.shape[1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            self.share_of_d = (top / below).reshape(shape)
            low, _ = bands(top / below, tops / belows, self.lemmas)
        point, replicate = self.boot.mean(base, self.d[:, None])
        self.d_mean = float(point[0])
        self.e, self.e_sub = self.share_of_d[:, :self.n_role + 1], self.share_of_d[:, self.n_role + 1:]
        self.yes = low.reshape(shape)[:, self.n_role + 1:] > DELTA
        for kind in ("attractor", "placebo"):
            if len(self.pairs[kind]):
                other = self.patch(kind)[:, :, :self.n_role + 1].reshape(len(self.pairs[kind]), -1)
                b = self.pairs[kind][:, 0]
                point, replicate = self.boot.mean(b, (self.ld[b, None] - other) ** 2)
                bands(np.sqrt(point), np.sqrt(replicate), self.lemmas)
        self.clock.lap("interchange", *self.share)

    # ---- erasure ----

    def erase_edit(self, rows, erasers, draws):
        """An edit for Runner.onward: row k is item rows[k][0] under variant rows[k][1]: 0 the feature's eraser, 1 .. draws control labels',
        then shifts as long as the feature's in random directions. erasers: {(l, role, fold, label): (mean, u, v)}"""
        unit = torch.nn.functional.normalize(torch.randn(draws, self.run.d, generator=torch.Generator().manual_seed(1)), dim=1)

        def edit(l, h):
            h = h.clone()
            for k, (i, variant) in enumerate(rows):
                for role in range(self.n_role + 1):
                    label = variant if variant <= draws else 0
                    q, at = erasers.get((l, role, self.items.fold[i], label)), self.items.place(i, role)
                    if q is None or not at:
                        continue
                    step = (h[k, at] - q[0]) @ q[2].mT
                    if variant <= draws:
                        h[k, at] -= step @ q[1].mT
                    else:
                        h[k, at] -= step * q[1].norm() * unit[variant - draws - 1]
            return h
        return edit

    def scored(self, items_of, l, erasers, draws):
        """S of each variant as a share of the unerased one; [1 + 2 draws]"""
        ld = np.full((len(items_of), 1 + 2 * draws), np.nan)
        slot = {i: k for k, i in enumerate(items_of)}
        for group in self.items.by_length(items_of, max(1, CHUNK // (1 + 2 * draws))):
            rows = [(i, v) for i in group for v in range(1 + 2 * draws)]
            h = torch.stack([self.stream[i][l] for i, _ in rows])
            found = self.run.choose(self.run.onward(h, l, edit=self.erase_edit(rows, erasers, draws)), self.direction)
            ld[[slot[i] for i, _ in rows], [v for _, v in rows]] = found
        signed = self.items.n[items_of, None] * ld
        strata = 2 * self.items.frame[items_of] + (self.items.n[items_of] > 0)
        point, replicate = self.boot.mean(items_of, signed, strata)
        whole, wholes = self.boot.mean(items_of, self.items.n[items_of, None] * self.ld[items_of, None], strata)
        bands(1 - point / whole, 1 - replicate / wholes, self.lemmas)
        return 1 - point / whole

    def erased(self, base, members, l, r, erasers, draws):
        """X on all members of pairs, and of the controls on fewer."""
        with_role = [np.array([m for m in which if self.items.span[m][r]]) for which in (base, members)]
        return self.scored(with_role[0], l, erasers, 0), self.scored(with_role[1], l, erasers, draws)[1:]

    def gate(self, cell):
        """Bits that fresh probes find inside the held-out lemmas, erased and not."""
        items, (i, x) = self.items, self.cells[cell]
        i, x = i[items.test[i]], x[items.test[i]]
        erased = np.array([row - ((row - q[0].numpy()) @ q[2].numpy().T) @ q[1].numpy().T
                           for row, q in zip(x, (self.q[cell, items.fold[k]] for k in i))])
        tasks = []
        for rows in (erased, x):
            for fold in np.unique(items.fold[i]):
                own = items.fold[i] == fold
                inner = Items.numbered(list(items.lemma[i[own]])) % 5
                every = np.ones(own.sum(), bool)
                tasks.append(delayed(probe)(rows[own], items.n[i[own]], inner, every, every))
        return tasks

    def scrub(self, l, spots, fold, label):
        """Erasers of spots [(layer, role)] that act together, each fitted on what those before it leave."""
        items = self.items
        fit = self.rng.permutation(items.probe[~items.test[items.probe]])[:SCRUB]
        fit = [i for i in fit if items.fold[i] != fold and label[i] != 0]
        groups, found = items.by_length(fit, CHUNK), {}
        streams = [self.run.embed([items.ids[i] for i in group]) for group in groups]
        for at in range(self.n_boundary):
            for role in sorted(r for layer, r in spots if layer == at):
                # a role is fitted on its last token and erased at all of them; `other` at all of its positions
                places = [[(k, items.place(i, role)) for k, i in enumerate(group)] for group in groups]
                rows = [(g, k, p) for g, group in enumerate(places) for k, at_ in group for p in (at_ if role == self.n_role else at_[-1:])]
                if not rows:
                    continue
                x = torch.stack([streams[g][k, p] for g, k, p in rows])
                q = leace(x.numpy(), np.array([label[groups[g][k]] for g, k, _ in rows]))
                if q is None:
                    continue
                found[at, role] = q
                for g, group in enumerate(places):
                    for k, at_ in group:
                        streams[g][k, at_] -= ((streams[g][k, at_] - q[0]) @ q[2].mT) @ q[1].mT
            if at < len(self.run.layers):
                streams = [self.run.layers[at](h, position_embeddings=self.run.rotary(h), attention_mask=None) for h in streams]
        return found

    def every(self, yes, step):
        """Every step-th of the cells of each role, as far as layers were done; and those of all layers, where one that was not done counts
        as the nearest one that was."""
        cells = [(l, r) for r, layers in enumerate(yes) for l in layers[::max(1, step // self.part)]]
        nearest = [min(self.layers, key=lambda done: abs(done - l)) for l in range(self.n_boundary - 1)]
        likely = [[l for l, done in enumerate(nearest) if done in layers] for layers in yes]
        return cells, [(l, r) for r, layers in enumerate(likely) for l in layers[::step]]

    def blocks(self, cells):
        """What runs of these cells take: the blocks behind them."""
        return sum(self.n_boundary - l for l, _ in cells)

    def erase(self):
        if not self.option["erase_step"]:
            return
        yes = [[l for l in self.layers if self.yes[l, r] and l < self.n_boundary - 1] for r in range(self.n_role)]
        targets, whole = self.every(yes, self.option["erase_step"])
        base = self.pairs["main"][::2].ravel()
        most = self.option["members"]
        members = base if not most else base[np.linspace(0, len(base) - 1, min(most, len(base))).astype(int)]
        labels = control_labels(self.items, DRAWS, self.rng)
        self.x = {}
        for l, r in targets:
            i, x = self.cells[l, r]
            erasers = {}
            for fold in np.unique(self.items.fold[i]):
                rows = ~self.items.test[i] & (self.items.fold[i] != fold)
                erasers[l, r, fold, 0] = self.q[(l, r), fold]
                for k in range(DRAWS):
                    erasers[l, r, fold, 1 + k] = leace(x[rows], labels[k][i][rows])
            self.x[l, r] = self.erased(base, members, l, r, erasers, DRAWS)
        self.clock.lap("erasure", self.blocks(targets), self.blocks(whole))
        in_parallel(task for cell in targets for task in self.gate(cell))
        self.clock.lap("gates", len(targets), len(whole))
        if self.option["wide_step"]:
            self.erase_wide(*self.every(yes, self.option["wide_step"]), base, members, labels)

    def erase_wide(self, wide, whole, base, members, labels):
        """Erasers of the feature and of control labels for each block of lemmas, and what they cost. With PART, one cell in the middle and
        one label and block of its 30 are fitted; it stands for the others, for it costs the same."""
        every = [(fold, number) for fold in range(5) for number in range(1 + WIDE_DRAWS)]
        cells, fits = (wide, every) if self.part == 1 else (wide[len(wide) // 2:][:1], every[:1])
        for l, r in cells:
            for spots in ([(k, r) for k in range(l, self.n_boundary)],
                          [(k, c) for k in range(l, self.n_boundary) for c in range(self.n_role + 1)]):
                found = {(fold, number): self.scrub(l, spots, fold, self.items.n if number == 0 else labels[number - 1])
                         for fold, number in fits}
                self.clock.lap("wide erasers", len(fits) * self.blocks(cells), len(every) * self.blocks(whole))
                erasers = {(k, c, fold, number): q for fold, number in every
                           for (k, c), q in found.get((fold, number), found[0, 0]).items()}
                self.erased(base, members, l, r, erasers, WIDE_DRAWS)
                self.clock.lap("wide erasure", self.blocks(cells), self.blocks(whole))

    def everything(self):
        with torch.no_grad():
            for stage in (self.choose, self.encode, self.select, self.refit, self.project, self.interchange, self.erase):
                stage()

    def report(self, out):
        measured, scaled = (sum(stage[k] for stage in self.clock.stages.values()) for k in (0, 1))
        result = {"roles": self.items.roles, "layers": self.layers, "d": self.d_mean, "accuracy": self.accuracy,
                  "i": self.i.reshape(self.n_boundary, self.n_role).tolist(), "e": self.e.tolist(), "e_sub": self.e_sub.tolist(),
                  "stages": {name: {"s": round(a, 2), "scaled_s": round(b, 2)} for name, (a, b) in self.clock.stages.items()}}
        with open(out, "w", encoding="utf8") as file:
            json.dump(result, file)
        return {"measured_s": round(measured, 1), "s": round(scaled, 1), "share": round(measured / scaled, 4)}


def run(folder, path, effort, out, part="1"):
    timer = Timer()
    analysis = Analysis(folder, path, effort, int(part))
    analysis.everything()
    seconds = analysis.report(out)
    say(what="localize in PyTorch", effort=effort, cpu_s_parent=timer.read()["cpu_s"], **seconds)


def agree(path, result):
    with open(path, encoding="utf8") as file:
        theirs = json.load(file)
    with open(result, encoding="utf8") as file:
        curves = {(row["layer"], row["role"]): row for row in rows_of(json.load(file), "curves")}
    texts, ok = [], True
    for name, key, tolerance in (("E", "e", 1e-4), ("E_sub", "e_sub", 1e-3), ("I", "i", 0.05)):
        gap = [abs(curves[l, role][name] - theirs[key][l][r]) for l in theirs["layers"] for r, role in enumerate(theirs["roles"])
               if (l, role) in curves and curves[l, role].get(name) is not None and np.isfinite(theirs[key][l][r])]
        worst, middle = (max(gap), float(np.median(gap))) if gap else (np.inf, np.inf)
        ok &= worst <= tolerance
        texts.append(f"{name} differs by {middle:.1e} in the middle, at most {worst:.1e} (tolerance {tolerance:g}), on {len(gap)} cells")
    agreed(ok, "; ".join(texts))


def rows_of(document, table):
    found = next(t for t in document["tables"] if t["name"] == table)
    columns = [c["name"] if isinstance(c, dict) else c for c in found["columns"]]
    return [dict(zip(columns, row)) if isinstance(row, list) else row for row in found["rows"]]


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    run(*args) if what == "run" else agree(*args)
