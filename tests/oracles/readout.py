"""Readouts with additive attention, trained by PyTorch: stats/readout.json.

Texts, weights at the start, the loss of every Adam step on all texts and the last predictions: by cross-entropy with attention, with
weights that are given, with attention over vectors each bent by itself; and an adversary (total variation of the predictions less
lambda KL of the weights) of the first."""
import numpy as np
import torch

from common import GOLDEN, versions, write_json

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
N, D, CLASSES, STEPS, RATE = 6, 5, 3, 12, 0.05


class Readout(torch.nn.Module):
    def __init__(self, hidden, attention):
        super().__init__()
        f = hidden or D
        self.own = torch.nn.Linear(D, hidden) if hidden else None
        self.attend = torch.nn.Linear(f, attention) if attention else None
        self.v = torch.nn.Linear(attention, 1, bias=False) if attention else None
        self.out = torch.nn.Linear(f, CLASSES)

    def parts(self):
        layers = [l for l in (self.own, self.attend, self.v, self.out) if l is not None]
        return torch.cat([p.detach().reshape(-1) for l in layers for p in l.parameters()]).tolist()

    def forward(self, x, given=None):
        f = torch.tanh(self.own(x)) if self.own else x
        a = torch.softmax(self.v(torch.tanh(self.attend(f)))[:, 0], 0) if self.attend else given
        return a, torch.softmax(self.out(a @ f), -1)


def train(model, texts, loss_of):
    start, losses = model.parts(), []
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(STEPS):
        adam.zero_grad()
        loss = sum(loss_of(i, *model(x, given)) for i, (x, given, _) in enumerate(texts)) / len(texts)
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        last = [model(x, given) for x, given, _ in texts]
    return dict(start=start, losses=losses, alpha=torch.cat([a for a, _ in last]).tolist(), p=[p.tolist() for _, p in last])


rng, length = np.random.default_rng(3), [3, 1, 5, 2, 4, 6]
torch.manual_seed(2)
# features are float32 in Sonde: only such values
texts = [(torch.tensor(rng.normal(size=(n, D)).astype(np.float32).astype(np.float64)),
          torch.tensor(rng.dirichlet(np.ones(n))), i % CLASSES) for i, n in enumerate(length)]
cases = []
for hidden, attention in ((0, 4), (3, 0), (3, 4), (0, 0)):
    model = Readout(hidden, attention)
    found = train(model, texts, lambda i, a, p: -torch.log(p[texts[i][2]]))
    cases.append(dict(hidden=hidden, attention=attention, **found))
base = cases[0]
at = np.concatenate([[0], np.cumsum(length)])
for weight in (0.0, 0.3, 2.0):
    def loss(i, a, p):
        of = torch.tensor(base["alpha"][at[i]:at[i + 1]])
        kl = (of * (of.log() - a.log())).sum()
        return (torch.tensor(base["p"][i]) - p).abs().sum() / 2 - weight * kl
    cases.append(dict(hidden=0, attention=4, **{"lambda": weight}, **train(Readout(0, 4), texts, loss)))
write_json(GOLDEN / "stats" / "readout.json", dict(
    made_by="tests/oracles/readout.py", versions=versions("torch", "numpy"), rate=RATE, classes=CLASSES, length=length,
    x=[x.reshape(-1).tolist() for x, _, _ in texts], given=torch.cat([g for _, g, _ in texts]).tolist(),
    y=[y for _, _, y in texts], cases=cases))
