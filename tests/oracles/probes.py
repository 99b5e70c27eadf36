"""Perceptron probes trained by PyTorch, macro-F1 of scikit-learn, mixtures of predictions by scipy."""
import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.metrics import f1_score

from common import GOLDEN, versions, write_safetensors

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
OUT = GOLDEN / "stats"
N, D, HIDDEN, CLASSES, BATCH, STEPS = 96, 7, 11, 5, 32, 40
RATE, DECAY = 1e-2, 1e-3


def perceptron(rng):
    """Losses before every step, and the parameters at the end, from given weights and a given order of rows."""
    x = rng.standard_normal((N, D)).astype(np.float32)
    y = ((x[:, 0] * x[:, 1] > 0) * 2 + (x[:, 2] > 0.5) + (x[:, 3] > 1.2) * 1).astype(np.int32) % CLASSES
    first, second = torch.nn.Linear(D, HIDDEN), torch.nn.Linear(HIDDEN, CLASSES)
    net = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    start = torch.cat([p.detach().flatten() for p in (first.weight, first.bias, second.weight, second.bias)]).clone()
    order = np.stack([rng.permutation(N)[:BATCH] for _ in range(STEPS)])
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE, weight_decay=DECAY)
    losses, gradient = [], None
    for rows in order:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(x[rows]).double()), torch.from_numpy(y[rows]).long())
        loss.backward()
        if gradient is None:
            gradient = torch.cat([p.grad.flatten() for p in net.parameters()]).clone()
        losses.append(loss.item())
        optimiser.step()
    end = torch.cat([p.detach().flatten() for p in net.parameters()])
    return {"mlp/x": x, "mlp/y": y, "mlp/start": start, "mlp/order": order.astype(np.int64), "mlp/losses": np.array(losses),
            "mlp/gradient": gradient, "mlp/end": end}


def macro_f1(rng):
    """Three guesses of one labelling; class 6 is only guessed, class 7 never occurs."""
    y = rng.integers(0, 6, 200).astype(np.int32)
    guess = np.stack([np.where(rng.random(200) < keep, y, rng.integers(0, 7, 200)) for keep in (0.9, 0.5, 0.1)], 1).astype(np.int32)
    by_class = np.stack([f1_score(y, g, average=None, labels=range(7)) for g in guess.T])
    return {"f1/y": y, "f1/guess": guess, "f1/macro": np.array([f1_score(y, g, average="macro") for g in guess.T]), "f1/by_class": by_class}


def mixture(rng):
    """Weights that maximise the mean log of a mixture: unconstrained over softmax parameters."""
    p = rng.beta(2, 1, (150, 4)).astype(np.float32)
    p[:, 2] *= 0.3
    weight = rng.integers(0, 3, 150).astype(np.float64)

    def loss(a):
        s = np.exp(a - a.max())
        return -(weight * np.log(p @ (s / s.sum()))).sum() / weight.sum()
    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-12, "maxiter": 5000})
    s = np.exp(best.x - best.x.max())
    return {"mixture/p": p, "mixture/weight": weight, "mixture/s": s / s.sum(), "mixture/value": np.array([-best.fun])}


def edges(rng):
    """Bilinear edge probe with a ridge over seven sentences: the optimum by L-BFGS in double."""
    lengths, r, strength = [1, 4, 6, 9, 3, 8, 5], 3, 0.7
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    x = rng.standard_normal((start[-1], r)).astype(np.float32)
    target = np.concatenate([np.where(rng.random(n) < 0.2, -1, rng.integers(0, n, n)) for n in lengths]).astype(np.int32)

    def loss(theta):
        theta = torch.from_numpy(theta).requires_grad_()
        total = (theta ** 2).sum() / 2 / strength
        for first, end in zip(start, start[1:]):
            own, to = torch.from_numpy(x[first:end]).double(), torch.from_numpy(target[first:end]).long()
            score = torch.cat([own, torch.ones(len(own), 1)], 1) @ theta.view(r + 1, r) @ own.T
            total = total + torch.nn.functional.cross_entropy(score, to, ignore_index=-1, reduction="sum") * (to >= 0).any()
        total.backward()
        return total.item(), theta.grad.numpy()

    def safe(theta):
        value, gradient = loss(theta)
        return value, np.nan_to_num(gradient)
    best = minimize(safe, np.zeros((r + 1) * r), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 2000})
    return {"edge/x": x, "edge/start": start, "edge/target": target, "edge/theta": best.x, "edge/objective": np.array([best.fun])}


if __name__ == "__main__":
    torch.manual_seed(3)
    write_safetensors(OUT / "probes.safetensors", perceptron(np.random.default_rng(1)) | macro_f1(np.random.default_rng(2))
                      | mixture(np.random.default_rng(3)) | edges(np.random.default_rng(4)), made_by="tests/oracles/probes.py",
                      versions=versions("torch", "scikit-learn", "scipy", "numpy", "safetensors"))
