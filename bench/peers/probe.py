"""The peer's side of the probe benchmark: scikit-learn's logistic regression on the arrays that bench/probe.c fits.

usage: probe.py prepare CAPTURE.safetensors CONLLU N OUT    last-piece vectors of the words of N sentences (`sonde capture` of their texts),
                                                            four fifths of them, with UPOS and control labels
       probe.py texts CONLLU N OUT                          the texts of N sentences, a line each: what to capture
       probe.py fit ARRAYS OUT EVERY                        task and control at five strengths, warm-started along the path, at every n-th
                                                            site; the sweep is scaled to all of them
       probe.py agree ARRAYS SONDE PEER                     objectives of the two, in double; both at their own tolerance
"""
import json, random, resource, sys, time
import numpy as np
from safetensors.numpy import load_file, save_file

STRENGTHS = (1e-3, 1e-2, 1e-1, 1, 10)


def sentences(path, n):
    """[(text, [(form, upos, span)])]: byte spans; the words of a multi-word token share its span."""
    out, text, words, pos, until, span = [], None, [], 0, 0, None
    for line in open(path, encoding="utf8"):
        line = line.rstrip("\n")
        if line.startswith("# text = "):
            text, words, pos, until = line[9:].encode(), [], 0, 0
        elif line and line[0] != "#":
            column = line.split("\t")
            if "." in column[0]:
                continue
            first, _, last = column[0].partition("-")
            if int(first) > until:
                start = text.index(column[1].encode(), pos)
                span = (start, start + len(column[1].encode()))
                pos = span[1]
            if last:
                until = int(last)
            else:
                words.append((column[1], column[3], span))
        elif not line and text is not None:
            out.append((text, words))
            if len(out) == n:
                break
    return out


def texts(conllu, n, out):
    with open(out, "w", encoding="utf8") as file:
        file.writelines(text.decode() + "\n" for text, _ in sentences(conllu, n))


def prepare(capture, conllu, n, out):
    file, rows, tags, forms = load_file(capture), [], [], []
    start, offsets = file["start"], file["offsets"]
    for b, (_, words) in enumerate(sentences(conllu, n)):
        span = offsets[start[b]:start[b + 1]]
        for form, tag, (first, end) in words:
            tokens = np.flatnonzero((span[:, 0] < end) & (span[:, 1] > first))
            if len(tokens):
                rows.append(start[b] + tokens[-1]), tags.append(tag), forms.append(form)
    train, names, draw, control = int(len(tags) * 0.8), sorted(set(tags)), random.Random(1), {}
    for form in forms:
        control.setdefault(form, draw.choice(tags))
    arrays = {"y": np.array([names.index(t) for t in tags[:train]], np.int32),
              "control": np.array([names.index(control[f]) for f in forms[:train]], np.int32)}
    sites = [k for k in file if k.startswith("blocks.")]
    order = sorted(sites, key=lambda k: (int(k.split(".")[1]), k.endswith("post")))
    for i, name in enumerate(order):
        arrays[f"x.{i}"] = np.ascontiguousarray(file[name][rows[:train]])
    save_file(arrays, out)


def standardised(x):
    mean, sd = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    return ((x - mean) / np.where(sd > 0, sd, 1)).astype(np.float32)


def fit(path, out, every):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    import warnings
    warnings.simplefilter("ignore", ConvergenceWarning)
    arrays, result, fits, stopped = load_file(path), {}, 0, 0
    sites = [site for site in range(len(arrays)) if f"x.{site}" in arrays]
    start, busy = time.time(), time.process_time()
    for site in sites[::every]:
        x = standardised(arrays[f"x.{site}"])
        for label in ("y", "control"):
            model = LogisticRegression(max_iter=1000, warm_start=True)  # tol: 1e-4, largest derivative of the mean loss
            for strength in STRENGTHS:
                model.set_params(C=strength).fit(x, arrays[label])
                fits, stopped = fits + 1, stopped + int(model.n_iter_[0] >= 1000)
                if label == "y":
                    result[f"coef.{site}.{strength:g}"] = np.ascontiguousarray(
                        np.concatenate([model.coef_, model.intercept_[:, None]], 1), np.float64)
    seconds, busy = time.time() - start, time.process_time() - busy
    whole = len(sites) * 2 * len(STRENGTHS)
    save_file(result, out)
    print(json.dumps({"what": "scikit-learn probes", "fits": fits, "rows": len(arrays["y"]), "s": round(seconds, 3), "cpu_s": round(busy, 3),
                      "ms_fit": round(1e3 * seconds / fits, 2), "share": fits / whole, "sweep_s": round(seconds / fits * whole, 1),
                      "unconverged": stopped, "rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3)}))


def objective(x, y, coef, strength):
    score = x.astype(np.float64) @ coef[:, :-1].T + coef[:, -1]
    top = score.max(1)
    loss = np.log(np.exp(score - top[:, None]).sum(1)) + top - score[np.arange(len(y)), y]
    return loss.sum() + (coef[:, :-1] ** 2).sum() / 2 / strength, score.argmax(1)


def agree(path, sonde, peer):
    arrays, a, b = load_file(path), load_file(sonde), load_file(peer)
    better, ratios, same = 0, [], []
    for name in b:
        _, site, strength = name.split(".", 2)
        x, y = standardised(arrays[f"x.{site}"]), arrays["y"]
        (ours, guess), (theirs, other) = objective(x, y, a[name], float(strength)), objective(x, y, b[name], float(strength))
        better += ours <= theirs * (1 + 1e-6)
        ratios.append(ours / theirs)
        same.append((guess == other).mean())
    text = (f"the objective of Sonde's coefficients over scikit-learn's {min(ratios):.4f} to {max(ratios):.4f} (middle {np.median(ratios):.4f}), "
            f"not above in {better} of {len(b)} fits; the same class for {100 * np.mean(same):.2f} % of words")
    print(json.dumps({"what": "probe agreement", "ok": bool(max(ratios) < 1.01 and np.mean(same) > 0.98), "agreement": text}))


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    {"texts": lambda c, n, o: texts(c, int(n), o), "prepare": lambda c, t, n, o: prepare(c, t, int(n), o),
     "fit": lambda a, o, e: fit(a, o, int(e)), "agree": agree}[what](*args)
