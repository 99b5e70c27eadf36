"""The statistics of localize.py: cross-validated probes (scikit-learn), erasers (concept-erasure), intervals over lemmas (numpy)."""
import warnings

from concept_erasure import LeaceFitter
from joblib import delayed, Parallel
from scipy.stats import norm, t
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from common import np, torch

STRENGTHS = [1e-4, 1e-3, 1e-2, 1e-1, 1, 10]
FLOOR = 1e-12


def in_parallel(tasks):
    """Two processes, a thread each: fits are too small for threads to help."""
    return Parallel(n_jobs=2, batch_size=1)(tasks)


# ---- probes ----

def probe(x, z, fold, fit, test):
    """Held-out log2 probability of each row's own label (NaN: not tested), and the strength of each block. Strengths are chosen by inner
    blocks on log loss."""
    bits, chosen = np.full(len(z), np.nan), {}
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        for block in np.unique(fold[fit & (z != 0)]):
            train, held = fit & (fold != block) & (z != 0), test & (fold == block) & (z != 0)
            if len(np.unique(z[train])) < 2:
                bits[held] = -1   # what an uninformed probe says
                continue
            scale = StandardScaler().fit(x[train])
            inner = [(np.flatnonzero(fold[train] != other), np.flatnonzero(fold[train] == other)) for other in np.unique(fold[train])]
            inner = [split for split in inner if all(len(np.unique(z[train][part])) == 2 for part in split)]
            model = LogisticRegressionCV(Cs=STRENGTHS, cv=inner, scoring="neg_log_loss", max_iter=1000)
            model.fit(scale.transform(x[train]), z[train])
            chosen[block] = float(np.ravel(model.C_)[0])
            bits[held] = own_bits(model, scale.transform(x[held]), z[held])
    return bits, chosen


def own_bits(model, x, z):
    if len(x) == 0:
        return np.zeros(0)
    p = model.predict_proba(x)[:, list(model.classes_).index(1)]
    return np.log2(np.clip(np.where(z > 0, p, 1 - p), FLOOR, 1 - FLOOR))


def probes(cells, label, items):
    """{cell: (rows' items, bits, strengths)} of label signs [items] over {cell: (rows' items, x)}"""
    found = in_parallel(delayed(probe)(x, label[i], items.fold[i], ~items.test[i], items.test[i]) for i, x in cells.values())
    return {cell: (i, *result) for (cell, (i, _)), result in zip(cells.items(), found)}


def controls(x, labels, strength, fit):
    """Balanced accuracies on unseen lead-ins of labels [n_label, n], fitted on training lead-ins."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        scale, found = StandardScaler().fit(x[fit]), []
        for z in labels:
            model = LogisticRegression(C=strength, max_iter=1000).fit(scale.transform(x[fit]), z[fit])
            guess, want = model.predict(scale.transform(x[~fit])), z[~fit]
            found.append(np.mean([(guess[want == sign] == sign).mean() for sign in (-1, 1)]))
    return found


def refits(x, z, fold, fit, test, chosen, weights):
    """Held-out bits of each resample: probes at the blocks' strengths on weighted rows. weights [n_draw, n]."""
    found = []
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        for weight in weights:
            bits = np.full(len(z), np.nan)
            for block, strength in chosen.items():
                train, held = fit & (fold != block) & (z != 0) & (weight > 0), test & (fold == block) & (z != 0)
                scale = StandardScaler().fit(x[train], sample_weight=weight[train])
                model = LogisticRegression(C=strength, max_iter=1000).fit(scale.transform(x[train]), z[train], weight[train])
                bits[held] = own_bits(model, scale.transform(x[held]), z[held])
            found.append(bits)
    return found


def one_hot(items, rows, role):
    """Words at the roles up to this one, and where it stands."""
    features = []
    for i in rows:
        end = items.span[i][role][1]
        features.append([("position", end)] + [(r, tuple(items.ids[i][slice(*span)])) for r, span in enumerate(items.span[i])
                                               if span and span[1] <= end])
    column = {f: k for k, f in enumerate(dict.fromkeys(f for row in features for f in row))}
    x = np.zeros((len(rows), len(column)), np.float32)
    for k, row in enumerate(features):
        x[k, [column[f] for f in row]] = 1
    return x


def control_labels(items, n_draw, rng):
    """[n_draw, items] +1 or -1 by word form, balanced within each number."""
    found = np.zeros((n_draw, len(items.rows)), int)
    number = {items.form[i]: items.n[i] for i in items.probe}
    for k in range(n_draw):
        label = {}
        for sign in (-1, 1):
            forms = rng.permutation([f for f, n in number.items() if n == sign])
            half = (len(forms) + rng.integers(2)) // 2
            label |= {f: 1 if j < half else -1 for j, f in enumerate(forms)}
        found[k] = [label.get(f, 0) for f in items.form]
    return found


# ---- erasers ----

def leace(x, z):
    """(mean, u, v) with Q = u v: the projection that LEACE erases, from rows x and signs z; None where a sign is missing."""
    if len(np.unique(z)) < 2:
        return None
    eraser = LeaceFitter.fit(torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(z, dtype=torch.float64), constrain_cov_trace=False).eraser
    return eraser.bias.float(), eraser.proj_left.float(), eraser.proj_right.float()


# ---- intervals over lemmas ----

class Resamples:
    """Weights of items in B resamples: how often their subject's and their attractor's lemma were drawn."""

    def __init__(self, items, n, rng):
        self.items = items
        self.subject = rng.multinomial(items.lemma.max() + 1, np.full(items.lemma.max() + 1, 1 / (items.lemma.max() + 1)), n)
        some = max(items.attractor.max() + 1, 1)
        self.attractor = np.concatenate([rng.multinomial(some, np.full(some, 1 / some), n), np.ones((n, 1), int)], 1)   # the last: none

    def weights(self, which):
        return (self.subject[:, self.items.lemma[which]] * self.attractor[:, self.items.attractor[which]]).astype(np.float64)

    def mean(self, which, x, strata=None):
        """(estimates, resamples) of x [n, cells]: means of frame means; NaN: no value."""
        strata = self.items.frame[which] if strata is None else strata
        weight = np.concatenate([np.ones((1, len(which))), self.weights(which)])
        total, count = 0, 0
        for stratum in np.unique(strata):
            rows = strata == stratum
            has = ~np.isnan(x[rows])
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = weight[:, rows] @ np.where(has, x[rows], 0) / (weight[:, rows] @ has)
            total, count = total + np.nan_to_num(mean), count + ~np.isnan(mean)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
        return mean[0], mean[1:]


def bands(point, replicate, lemmas, level=0.95):
    """Simultaneous bounds over cells by max |t|, with Student's correction for few lemmas."""
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        se = np.nanstd(replicate, 0, ddof=1) * np.sqrt(lemmas / (lemmas - 1))
        deviation = np.abs(replicate - point) / se
        deviation[:, ~(se > 1e-12)] = np.nan
        q = np.nanquantile(np.nanmax(deviation, 1), level)
    q = t.ppf(norm.cdf(q), lemmas - 1)
    return point - q * se, point + q * se
