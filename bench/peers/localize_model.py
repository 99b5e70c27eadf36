"""The model's side of localize.py: items as tokens, residual streams at layer boundaries, runs from a boundary on, choices."""
import json

from common import load, np, torch

CHUNK = 256   # rows that run together


class Items:
    """Lines of `sonde data make`; the same prefix may stand in several."""

    def __init__(self, path, tokenizer):
        with open(path, encoding="utf8") as lines:
            self.rows = [json.loads(line) for line in lines]
        self.roles = list(self.rows[0]["roles"])
        self.labels = list(self.rows[0]["labels"])
        self.values = {name: tuple(value.split("/")) for name, value in self.rows[0]["values"].items()}
        self.choices = [choice.split("/") for choice in self.rows[0]["choices"].split("|")]
        encoded = tokenizer([row["text"] for row in self.rows], return_offsets_mapping=True)
        self.ids = encoded["input_ids"]
        self.span = [[self.tokens_of(row["text"], row["roles"][role], offsets) for role in self.roles]
                     for row, offsets in zip(self.rows, encoded["offset_mapping"])]
        self.n = np.array([row["n"] for row in self.rows])
        self.fold = np.array([row["fold"] for row in self.rows])
        self.test = np.array([row["lead_set"] == "test" for row in self.rows])
        self.frame = self.numbered([row["frame"] for row in self.rows])
        self.lemma = self.numbered([row["lemma"] for row in self.rows])
        self.attractor = self.numbered([row["attractor_lemma"] for row in self.rows])
        self.form = self.numbered([row["form"] for row in self.rows])
        self.probe = np.array([i for i, row in enumerate(self.rows) if row["use"] == "probe"])

    @staticmethod
    def numbered(names):
        order = {name: i for i, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
        return np.array([order.get(name, -1) for name in names])

    @staticmethod
    def tokens_of(text, place, offsets):
        """Tokens that share a character with bytes [first, end); None for an absent role."""
        if place[0] < 0:
            return None
        first, end = (len(text.encode()[:b].decode()) for b in place)
        inside = [t for t, (a, b) in enumerate(offsets) if a < end and b > first]
        return inside[0], inside[-1] + 1

    def pairs(self, kind):
        """Directed pairs (base, source) of a kind."""
        unit = {}
        for i, row in enumerate(self.rows):
            if row["use"] == kind:
                unit.setdefault(row["unit"], []).append(i)
        return np.array([(a, b) for two in unit.values() for a, b in (two, two[::-1])]).reshape(-1, 2)

    def sign(self, label):
        plus, minus = self.values[label]
        return np.array([{plus: 1, minus: -1}.get(row["labels"][label], 0) for row in self.rows])

    def other(self, i):
        """Positions after the subject that no role holds."""
        held = {t for span in self.span[i] if span for t in range(*span)}
        return [t for t in range(self.span[i][0][1], len(self.ids[i])) if t not in held]

    def place(self, i, role):
        """Positions of a role, by number; len(roles) stands for `other`."""
        if role == len(self.roles):
            return self.other(i)
        return list(range(*self.span[i][role])) if self.span[i][role] else []

    def by_length(self, which, most):
        """Lists of items of equal length, at most so many in each."""
        groups = {}
        for i in which:
            groups.setdefault(len(self.ids[i]), []).append(i)
        return [group[k:k + most] for group in groups.values() for k in range(0, len(group), most)]


class Runner:
    def __init__(self, folder):
        self.model, self.tokenizer = load(folder)
        self.layers = self.model.model.layers
        self.n_boundary, self.d = len(self.layers) + 1, self.model.config.hidden_size

    def random(self, seed):
        """A model of the same shape with weights of N(0, 0.02), embeddings too, gains 1."""
        torch.manual_seed(seed)
        other = Runner.__new__(Runner)
        other.model = type(self.model)(self.model.config).eval()
        for name, weight in other.model.named_parameters():
            torch.nn.init.ones_(weight) if "norm" in name else torch.nn.init.normal_(weight, std=0.02)
        other.tokenizer, other.layers = self.tokenizer, other.model.model.layers
        other.n_boundary, other.d = self.n_boundary, self.d
        return other

    def rotary(self, h):
        return self.model.model.rotary_emb(h, torch.arange(h.shape[1])[None])

    def onward(self, h, first, keep=None, edit=None):
        """Runs blocks first .. on rows h [n, tokens, d] of equal length; keep receives the stream at each boundary; edit(l, h) changes it
        at each boundary from first on. Returns what the last block leaves."""
        angles = self.rotary(h)
        for l in range(first, self.n_boundary):
            if edit:
                h = edit(l, h)
            if keep is not None:
                keep.append(h)
            if l < len(self.layers):
                h = self.layers[l](h, position_embeddings=angles, attention_mask=None)
        return h

    def embed(self, ids):
        return self.model.model.embed_tokens(torch.tensor(ids))

    def streams(self, items, which):
        """{item: [boundaries, tokens, d]} of the items."""
        found = {}
        for group in items.by_length(which, CHUNK):
            keep = []
            self.onward(self.embed([items.ids[i] for i in group]), 0, keep)
            for i, h in zip(group, torch.stack(keep, 1)):
                found[i] = h
        return found

    def gather(self, items, which, layers):
        """{(layer, role): (items, their vectors at the role's last token)}"""
        cells = {(l, r): ([], []) for l in layers for r in range(len(items.roles))}
        for group in items.by_length(which, CHUNK):
            keep = []
            self.onward(self.embed([items.ids[i] for i in group]), 0, keep)
            for row, i in enumerate(group):
                for r, span in enumerate(items.span[i]):
                    for l in layers if span else ():
                        cells[l, r][0].append(i)
                        cells[l, r][1].append(keep[l][row, span[1] - 1])
        return {cell: (np.array(i), torch.stack(x).numpy()) for cell, (i, x) in cells.items() if i}

    def choice_directions(self, items):
        """Rows of the unembedding: first forms less second ones, of the choice words that are single tokens."""
        forms = [[self.tokenizer(" " + form, add_special_tokens=False)["input_ids"] for form in two] for two in items.choices]
        single = [[a[0], b[0]] for a, b in forms if len(a) == len(b) == 1]
        weight = self.model.lm_head.weight
        return torch.stack([weight[a] - weight[b] for a, b in single]).mean(0)

    def choose(self, h, direction):
        """LD at the last position, the mean over choice words."""
        return (self.model.model.norm(h[:, -1]) @ direction).numpy().astype(np.float64)
