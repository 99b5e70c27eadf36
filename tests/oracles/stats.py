"""LEACE (concept-erasure), logistic regression and metrics (scikit-learn), quantiles and intervals (scipy)."""
import warnings

import numpy as np
import torch
from concept_erasure import LeaceFitter
from concept_erasure.shrinkage import optimal_linear_shrinkage
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from common import GOLDEN, versions, write_json, write_safetensors

torch.set_num_threads(1)
OUT = GOLDEN / "stats"
ABOUT = dict(made_by="tests/oracles/stats.py",
             versions=versions("concept-erasure", "scikit-learn", "scipy", "torch", "numpy", "safetensors"))
LEACE = {"n200_d8_k1": (200, 8, 1), "n60_d24_k3": (60, 24, 3),
         "n20_d32_k1": (20, 32, 1), "n90_d16_onehot4": (90, 16, 4)}
LOGISTIC = {"n150_d10_c2": (150, 10, 2), "n40_d60_c2": (40, 60, 2),
            "n120_d6_c3": (120, 6, 3), "n160_d12_c5": (160, 12, 5)}
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


def float32(array):
    """Values a float32 holds exactly, as float64: both sides then start from the same numbers."""
    return array.astype(np.float32).astype(np.float64)


def leace_data(rng, n, d, k, onehot):
    """Correlated coordinates of unequal scale, a mean away from 0, and labels that show in some directions."""
    if onehot:
        z = np.eye(k)[rng.integers(0, k, n)]
    else:
        z = float32(rng.standard_normal((n, k)) if k > 1 else rng.choice([-1.0, 1.0], (n, k)))
    mixing = rng.standard_normal((d, d)) * np.geomspace(3, 0.1, d)
    x = rng.standard_normal((n, d)) @ mixing + z @ rng.standard_normal((k, d)) + 5 * rng.standard_normal(d)
    return float32(x), z


def projection(x, z, shrinkage):
    """(fitter, Q) with erased x = x - Q (x - mean_x); no trace constraint, nothing truncated but exact zeros."""
    fitter = LeaceFitter.fit(torch.from_numpy(x), torch.from_numpy(z), shrinkage=shrinkage,
                             constrain_cov_trace=False, svd_tol=1e-10)
    return fitter, (fitter.eraser.proj_left @ fitter.eraser.proj_right).numpy()


def check_projection(fitter, q):
    """The closed form of the design: Q = Sxz (Sxz' S^-1 Sxz)^+ Sxz' S^-1, by pseudo-inverse where S is singular."""
    sigma, cross = fitter.sigma_xx.numpy(), fitter.sigma_xz.numpy()
    inverse = np.linalg.pinv(sigma, rcond=1e-12, hermitian=True)
    closed = cross @ np.linalg.pinv(cross.T @ inverse @ cross, rcond=1e-10) @ cross.T @ inverse
    assert np.allclose(q, closed, rtol=0, atol=1e-7 * np.abs(q).max()), np.abs(q - closed).max()


def leace():
    rng, out = np.random.default_rng(11), {}
    for name, (n, d, k) in LEACE.items():
        x, z = leace_data(rng, n, d, k, "onehot" in name)
        centred = torch.from_numpy(x - x.mean(0))
        sample = centred.T @ centred / n
        out |= {f"{name}/x": x, f"{name}/z": z, f"{name}/mean_x": x.mean(0), f"{name}/mean_z": z.mean(0),
                f"{name}/cov": sample, f"{name}/cov_shrunk": optimal_linear_shrinkage(sample, n)}
        for label, shrinkage in (("shrunk", True), ("plain", False)):
            fitter, q = projection(x, z, shrinkage)
            check_projection(fitter, q)
            erased = fitter.eraser(torch.from_numpy(x)).numpy()
            assert np.abs((erased - erased.mean(0)).T @ (z - z.mean(0))).max() < 1e-8 * n * np.abs(x).max()
            out |= {f"{name}/q_{label}": q, f"{name}/erased_{label}": erased[:4]}
    write_safetensors(OUT / "leace.safetensors", out, **ABOUT)


def fit(x, y, strength, weight):
    """Newton's answer; L-BFGS, run to 1e-10, must agree. Several intercepts are centred: only differences matter."""
    solvers = {}
    for solver in ("newton-cholesky", "lbfgs"):
        model = LogisticRegression(C=strength, solver=solver, tol=1e-10, max_iter=100000)
        model.fit(x, y, sample_weight=weight)
        centre = model.intercept_.mean() if len(model.intercept_) > 1 else 0
        solvers[solver] = model, np.column_stack([model.coef_, model.intercept_ - centre])
    newton, other = solvers["newton-cholesky"][1], solvers["lbfgs"][1]
    assert np.abs(newton - other).max() < 1e-5 * max(1, np.abs(newton).max()), (strength, np.abs(newton - other).max())
    return solvers["newton-cholesky"]


def logistic_data(rng, n, d, classes):
    centres = 0.7 * rng.standard_normal((classes, d))
    y = rng.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    x = (centres[y] + rng.standard_normal((n, d))) * np.geomspace(0.1, 20, d) + rng.standard_normal(d)
    return float32(x), y.astype(np.int32), rng.integers(0, 4, n).astype(np.float64)


def logistic():
    rng, out, losses = np.random.default_rng(12), {}, []
    for name, (n, d, classes) in LOGISTIC.items():
        x, y, weight = logistic_data(rng, n, d, classes)
        scaler = StandardScaler().fit(x)
        standard = scaler.transform(x)
        out |= {f"{name}/x": x, f"{name}/y": y, f"{name}/weight": weight,
                f"{name}/mean": scaler.mean_, f"{name}/scale": scaler.scale_}
        for strength in STRENGTHS:
            for label, weights in (("", None), ("_weighted", weight)):
                model, coefficients = fit(standard, y, strength, weights)
                out[f"{name}/coef{label}_C{strength:g}"] = coefficients
                probability = model.predict_proba(standard)
                accuracy = balanced_accuracy_score(y, probability.argmax(1), sample_weight=weights)
                losses.append({"case": name, "C": strength, "weighted": bool(label), "balanced_accuracy": accuracy,
                               "log_loss": log_loss(y, probability, sample_weight=weights)})
    write_safetensors(OUT / "logistic.safetensors", out, **ABOUT)
    return losses


def metric_cases(rng):
    """Scores with ties, unequal classes, and integer weights (a bootstrap's) beside none."""
    cases = []
    for n, share in ((40, 0.5), (75, 0.2), (5, 0.4)):
        y = (np.arange(n) < round(n * share)).astype(int)
        score = np.round(rng.standard_normal(n) + y, 1)
        weight = rng.integers(0, 3, n)
        weight[[0, -1]] = 1
        probability = 1 / (1 + np.exp(-score))
        case = {"y": y.tolist(), "score": score.tolist(), "weight": weight.tolist()}
        for label, w in (("", None), ("_weighted", weight)):
            case |= {f"log_loss{label}": log_loss(y, probability, sample_weight=w),
                     f"balanced_accuracy{label}": balanced_accuracy_score(y, score > 0, sample_weight=w),
                     f"roc_auc{label}": roc_auc_score(y, score, sample_weight=w)}
        cases.append(case)
    return cases


def wilson(k, n, level):
    low, high = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    return {"k": k, "n": n, "level": level, "low": float(low), "high": float(high)}


def metrics(losses):
    rng = np.random.default_rng(13)
    values = float32(rng.standard_normal(37))
    probabilities = [1e-12, 1e-6, 0.001, 0.025, 0.05, 0.2, 0.5, 0.7, 0.95, 0.975, 0.999, 0.999999]
    counts = [(0, 10), (10, 10), (1, 1), (5, 10), (39, 40), (851, 1000), (1, 1000), (500, 1000), (3, 7)]
    write_json(OUT / "metrics.json", {
        **ABOUT,
        "logistic": losses,
        "metrics": metric_cases(rng),
        "wilson": [wilson(k, n, level) for k, n in counts for level in (0.95, 0.99)],
        "normal_quantile": [[p, stats.norm.ppf(p)] for p in probabilities],
        "normal_cdf": [[x, stats.norm.cdf(x)] for x in (-8.0, -3.0, -1.96, -0.5, 0.0, 0.3, 1.0, 2.5, 6.0)],
        "t_quantile": [{"df": df, "p": p, "t": stats.t.ppf(p, df)}
                       for df in (1, 2, 4, 10, 39, 999, 2.5) for p in probabilities[2:11]],
        "quantile": {"values": values.tolist(), "p_value": [[p, float(np.quantile(values, p))]
                                                            for p in (0.0, 0.025, 0.05, 0.25, 0.5, 0.9, 0.975, 1.0)]},
    })


if __name__ == "__main__":
    warnings.filterwarnings("error")
    leace()
    metrics(logistic())
