"""How cost grows: with tokens, length of rows, blocks, items and threads. Draws FOLDER/*.svg, keeps the numbers in FOLDER/curves.tsv.

usage: curves.py BENCH SONDE MODEL CONLLU BLIMP FOLDER ROUNDS SCALE     each point is the least of so many rounds; SCALE: so much less work
Cost is processor seconds, of all threads together: it is what a busy machine stretches least. Only the curve over threads is by the clock.
"""
import json
import os
import subprocess
import sys
import tempfile

from plot import plot

bench, sonde, model, conllu, blimp, folder = sys.argv[1:7]
rounds, scale = int(sys.argv[7]), int(sys.argv[8])
scratch = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)   # a disk would be measured otherwise
lines = [("curve", "series", "x", "y")]
PRECISIONS = ("f32", "bf16")
PASSIVE = {"OMP_WAIT_POLICY": "passive"}   # waiting is not work


def sizes(*full):
    return sorted({max(2, n // scale) for n in full})


def forward(data, n, precision="f32", threads=2, blocks=30, best="cpu_s"):
    """The JSON of bench_forward's cheapest round."""
    out = os.path.join(scratch, "streams.safetensors")
    command = [f"{bench}/bench_forward", model, data, str(n), out, precision, str(threads), str(blocks)]
    env = os.environ | PASSIVE | {"OMP_NUM_THREADS": str(threads)}
    found = [json.loads(subprocess.run(command, capture_output=True, check=True, env=env, text=True).stdout) for _ in range(rounds)]
    os.remove(out)
    return min(found, key=lambda r: r[best])


def processor_seconds(command):
    best = float("inf")
    for _ in range(rounds):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | PASSIVE)
        _, status, use = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"exit code {child.returncode}: {' '.join(command)}")
        best = min(best, use.ru_utime + use.ru_stime)
    return best


def draw(name, title, x_label, y_label, series):
    plot(os.path.join(folder, f"{name}.svg"), title, x_label, y_label, series)
    lines.extend((name, key, f"{x:g}", f"{y:.5g}") for key, line in series.items() for x, y in line)


def tokens():
    series = {p: [(r["tokens"], r["cpu_s"]) for r in (forward(conllu, n, p) for n in sizes(64, 256, 512, 1024, 2000))] for p in PRECISIONS}
    draw("tokens", "Forward pass, all residual streams to a file", "tokens", "processor seconds", series)


def lengths():
    """The same text cut into rows of other lengths."""
    with open(conllu, encoding="utf8") as file:
        words = " ".join(line[9:].rstrip("\n") for line in file if line.startswith("# text = ")).split()
    words = words[:max(200, 6000 // scale)]
    series = {p: [] for p in PRECISIONS}
    for size in (10, 30, 100, 300, 1000, 1500):
        if size > len(words):
            continue
        path = os.path.join(scratch, "rows.txt")
        with open(path, "w", encoding="utf8") as file:
            file.writelines(" ".join(words[i:i + size]) + "\n" for i in range(0, len(words), size))
        for precision in PRECISIONS:
            found = forward(path, len(words), precision)
            series[precision].append((found["tokens"] / found["texts"], 1e3 * found["cpu_s"] / found["tokens"]))
    draw("lengths", "Cost of a token by the length of its row", "tokens a row", "processor milliseconds a token", series)


def blocks():
    n = max(2, 256 // scale)
    series = {p: [(b, forward(conllu, n, p, blocks=b)["cpu_s"]) for b in (1, 5, 10, 15, 20, 25, 30)] for p in PRECISIONS}
    draw("blocks", f"Residual streams of {n} sentences up to a block", "blocks", "processor seconds", series)


def items():
    pairs = [sonde, "behaviour", "pairs", "--model", model, "--data", blimp, "--threads", "2", "--quiet", "--limit"]
    cells = os.path.join(scratch, "items.jsonl")
    subprocess.run([sonde, "data", "make", "en/number-agreement", "--model", model, "--quiet", "--out", cells], check=True)
    patch = [sonde, "causal", "patch", "--model", model, "--data", cells, "--threads", "2", "--quiet", "--every", "3", "--pairs"]
    series = {"sonde behaviour pairs: minimal pairs": [(n, processor_seconds(pairs + [str(n)])) for n in sizes(50, 100, 250, 500, 1000)],
              "sonde causal patch --every 3: directed pairs": [(n, processor_seconds(patch + [str(n)])) for n in sizes(40, 80, 160, 240)]}
    draw("items", "Whole commands by the number of items", "items", "processor seconds", series)


def threads():
    n, most = max(2, 256 // scale), os.cpu_count()
    counts = sorted({1, *[2 ** k for k in range(1, 8) if 2 ** k <= most], most})
    series = {p: [(t, forward(conllu, n, p, threads=t, best="s")["tok_s"]) for t in counts] for p in PRECISIONS}
    draw("threads", "Forward pass by threads", "threads", "tokens a second", series)


os.makedirs(folder, exist_ok=True)
for curve in (tokens, lengths, blocks, items, threads):
    curve()
    print(curve.__name__, file=sys.stderr, flush=True)
with open(os.path.join(folder, "curves.tsv"), "w", encoding="utf8") as file:
    file.writelines("\t".join(line) + "\n" for line in lines)
for name in os.listdir(scratch):
    os.remove(os.path.join(scratch, name))
os.rmdir(scratch)
print(json.dumps({"what": "curves", "points": len(lines) - 1}))
