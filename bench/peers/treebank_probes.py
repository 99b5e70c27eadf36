"""Probes of a treebank beside scikit-learn's on the same vectors: accuracy and macro-F1, label by label.

usage: treebank_probes.py SONDE MODEL TRAIN.conllu TEST.conllu SITE LABEL[,LABEL...]

The vectors are those of `sonde capture`: of each word, its last token. scikit-learn's LogisticRegression gets them standardised by the
training words, with the strength C that `sonde probe linear` chose."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

warnings.filterwarnings("ignore")
KINDS = {"F32": np.float32, "I32": np.int32, "I64": np.int64}


def read(path):
    data = np.memmap(path, mode="r")
    size = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8:8 + size].tobytes())
    return {k: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]].view(KINDS[t["dtype"]]).reshape(t["shape"])
            for k, t in header.items() if k != "__metadata__"}


def treebank(path):
    """[(text, [(first byte, end byte, columns)])]; the words of a multi-word token get the part of it that is theirs, or all of it."""
    sentences, text, words, at, group = [], None, [], 0, None
    for line in open(path, encoding="utf8"):
        line = line.rstrip("\n")
        if line.startswith("# text = "):
            text, words, at, group = line[9:], [], 0, None
        elif not line:
            if text is not None:
                sentences.append((text, words))
            text = None
        elif not line.startswith("#"):
            column = line.split("\t")
            if "." in column[0]:
                continue
            if "-" in column[0]:
                first, last = map(int, column[0].split("-"))
                at = text.index(column[1], at)
                group = [last, at, at + len(column[1]), at, []]
                at += len(column[1])
                continue
            number, form = int(column[0]), column[1]
            if group and number <= group[0]:
                group[4].append((form, column))
                if number == group[0]:
                    forms = [f for f, _ in group[4]]
                    fits = "".join(forms) == text[group[1]:group[2]]
                    place = group[1]
                    for form, column in group[4]:
                        words.append((place, place + len(form), column) if fits else (group[1], group[2], column))
                        place += len(form)
                    group = None
                continue
            at = text.index(form, at)
            words.append((at, at + len(form), column))
            at += len(form)
    return sentences


def label_of(column, name):
    if name.startswith("feats."):
        return dict(f.split("=", 1) for f in column[5].split("|") if "=" in f).get(name[6:])
    value = column[{"upos": 3, "xpos": 4, "deprel": 7}[name]]
    return None if value == "_" else value


def words_of(sonde, model, path, site, folder):
    out = os.path.join(folder, "x.safetensors")
    subprocess.run([sonde, "capture", "--model", model, "--data", path, "--sites", site, "--out", out, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    file = read(out)
    x, start, offsets = next(v for k, v in file.items() if k == site), file["start"], file["offsets"]
    rows, columns = [], []
    for i, (text, words) in enumerate(treebank(path)):
        byte = np.concatenate([[0], np.cumsum([len(c.encode()) for c in text])])
        mine = offsets[start[i]:start[i + 1]]
        for first, end, column in words:
            hits = np.nonzero((mine[:, 0] < byte[end]) & (mine[:, 1] > byte[first]) & (mine[:, 1] > mine[:, 0]))[0]
            if len(hits):
                rows.append(start[i] + hits[-1])
                columns.append(column)
    return np.array(x[rows], dtype=np.float64), columns


def main(sonde, model, train, test, site, labels):
    said = subprocess.run([sonde, "probe", "linear", "--model", model, "--data", train, "--test", test, "--label", labels, "--sites", site,
                           "--controls", "0", "--resamples", "100", "--format", "json", "--quiet"], check=True, stdout=subprocess.PIPE)
    table = next(t for t in json.loads(said.stdout)["tables"] if t["name"] == "probes")
    names = [c["name"] for c in table["columns"]]
    ours = {row[0]: dict(zip(names, row)) for row in table["rows"]}
    with tempfile.TemporaryDirectory() as folder:
        x, a = words_of(sonde, model, train, site, folder)
        z, b = words_of(sonde, model, test, site, folder)
    mean, scale = x.mean(0), x.std(0)
    scale[scale == 0] = 1
    x, z = (x - mean) / scale, (z - mean) / scale
    print(f"{'label':14} {'C':>6} {'rows':>6}  {'sonde':>7} {'sklearn':>7} {'points':>7}   {'F1':>6} {'sklearn':>7}")
    worst = 0
    for name in labels.split(","):
        y, w = [label_of(c, name) for c in a], [label_of(c, name) for c in b]
        i, j = [k for k, v in enumerate(y) if v], [k for k, v in enumerate(w) if v]
        fit = LogisticRegression(C=ours[name]["C"], max_iter=2000, tol=1e-4).fit(x[i], [y[k] for k in i])
        truth, guess = [w[k] for k in j], fit.predict(z[j])
        accuracy = float(np.mean(guess == np.array(truth)))
        f1 = f1_score(truth, guess, average="macro")
        gap = 100 * (ours[name]["accuracy"] - accuracy)
        worst = max(worst, abs(gap))
        print(f"{name:14} {ours[name]['C']:6g} {ours[name]['n']:6d}  {ours[name]['accuracy']:7.4f} {accuracy:7.4f} {gap:+7.2f}   "
              f"{ours[name]['macro_f1']:6.3f} {f1:7.3f}", flush=True)
        assert ours[name]["n"] == len(j), (name, ours[name]["n"], len(j))
    print(f"largest difference of accuracy: {worst:.2f} points")
    return worst > 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
