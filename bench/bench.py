"""Runs rows of the benchmark: Sonde and its peers on the same work, interleaved; prints a table and keeps a line a commit.

usage: bench.py [--smoke] [--resume] [--size NAME=NUMBER]... [--python PEERS_PYTHON] REPETITIONS [ROW...]
       --resume keeps what an interrupted run of the same commit has in build/bench/*/runs.jsonl

A row is a file rows/NAME.toml:
  title, work     what is measured, and on what, in words; {names} are filled in
  [size]          name = [full, smoke]: numbers that commands mention as {name}
  prepare         commands that run once before
  value, unit     the key of the JSON line that a side prints, and its unit; better = "higher" | "lower"
  side            name, run (a command); value: another key; runs: at most so many repetitions; smoke = false: not with --smoke
  compare         ours, theirs (names of sides), reach (the ratio wanted); value, better: of another key
  limit           side, value, unit, at_most
  agree           run: a command that prints {"agreement": TEXT, "ok": BOOL} (label: what it is called); a fast wrong answer is no result
  cleanup         commands that run at the end
  history, history_rss    of sides and comparisons: columns of history.tsv
Every program prints its result as one JSON line, the last line of its standard output. Of each the harness adds wall_s, cpu_s and
rss_gb of the whole process, unless the program measured them itself.
"""
import argparse
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import time
import tomllib

import table

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def names(smoke, python):
    data = ROOT.parent / "shared" / "data"
    model = os.environ.get("SONDE_BENCH_MODEL", str(ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"))
    out = ROOT / "build" / "bench"
    return {"model": model, "folder": str(out / "hf"), "out": str(out / ("smoke" if smoke else "full")), "python": python,
            "self": sys.executable, "peers": str(HERE / "peers"), "here": str(HERE), "root": str(ROOT), "smoke": int(smoke),
            "bench": str(ROOT / "build" / "release" / "bench"), "sonde": str(ROOT / "build" / "release" / "sonde"),
            "tests": str(ROOT / "build" / "release" / "tests"), "zoo": str(ROOT / "tests" / "golden" / "tokenizer" / "zoo"),
            "corpus": str(data / "ud" / "en_ewt-ud-dev.conllu"),
            "blimp": str(data / "blimp" / "regular_plural_subject_verb_agreement_1.jsonl")}


def measured(command):
    """Runs a command; returns the JSON of its last line with wall_s, cpu_s, rss_gb of the process."""
    start = time.time()
    child = subprocess.Popen(shlex.split(command), stdout=subprocess.PIPE, text=True, cwd=ROOT)
    text = child.stdout.read()
    _, status, use = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        found = json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:   # a command that prints a whole document
        found = {}
    whole = {"wall_s": round(time.time() - start, 3), "cpu_s": round(use.ru_utime + use.ru_stime, 2),
             "rss_gb": round(use.ru_maxrss / 1e6, 3), "exit": child.returncode}
    return whole | found


def load_row(path, smoke, sizes=()):
    row = tomllib.loads(path.read_text(encoding="utf8"))
    row["name"] = path.stem
    row["size"] = {name: value[smoke] for name, value in row.get("size", {}).items()}
    for kind in ("side", "agree"):   # what would take minutes even at tiny sizes
        row[kind] = [entry for entry in row.get(kind, []) if entry.get("smoke", True) or not smoke]
    present = {side["name"] for side in row["side"]}
    row["compare"] = [c for c in row.get("compare", []) if {c["ours"], c["theirs"]} <= present]
    row["size"] |= {name: value for name, value in sizes if name in row["size"]}
    return row


def fill(text, row, known):
    return text.format_map(known | row["size"])


class Run:
    def __init__(self, known, repetitions, path, head, kept):
        self.known, self.repetitions, self.records, self.failed = known, repetitions, [], []
        self.kept = {(record["row"], record["side"], record["repetition"]): record for record in kept}
        self.file = open(path, "w", encoding="utf8")
        for line in [head, *kept]:
            print(json.dumps(line), file=self.file, flush=True)

    def missing(self, row):
        """Whether anything of a row is still to be measured."""
        wanted = [(side["name"], k) for side in row.get("side", []) for k in range(min(self.repetitions, side.get("runs", self.repetitions)))]
        wanted += [(label_of(check), number) for number, check in enumerate(row.get("agree", []))]
        return any((row["name"], *key) not in self.kept for key in wanted)

    def keep(self, row, kind, name, repetition, found):
        record = {"row": row["name"], "kind": kind, "side": name, "repetition": repetition} | found
        self.records.append(record)
        if found is not self.kept.get((row["name"], name, repetition)):
            print(json.dumps(record), file=self.file, flush=True)
        if found["exit"] != 0 or found.get("ok") is False:
            self.failed.append(f"{row['name']}: {name}")
        return record

    def found(self, row, name, repetition, command):
        """What the run that is continued has measured, or a measurement."""
        return self.kept.get((row["name"], name, repetition)) or measured(fill(command, row, self.known))

    def side(self, row, side, repetition):
        say(f"{row['name']} {repetition + 1}: {side['name']}")
        found = self.found(row, side["name"], repetition, side["run"])
        record = self.keep(row, "side", side["name"], repetition, found)
        value = record.get(side.get("value", row.get("value", "wall_s")))
        say(f"    {value} {row.get('unit', 's')}; {record['cpu_s']} processor seconds, {record['rss_gb']} GB"
            + (f"; EXIT {record['exit']}" if record["exit"] else ""))

    def row(self, row):
        for command in row.get("prepare", []) if self.missing(row) else []:
            subprocess.run(shlex.split(fill(command, row, self.known)), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        for repetition in range(self.repetitions):
            for side in row.get("side", []):
                if repetition < side.get("runs", self.repetitions):
                    self.side(row, side, repetition)
        for number, check in enumerate(row.get("agree", [])):
            label = label_of(check)
            record = self.keep(row, "agree", label, number, self.found(row, label, number, check["run"]))
            say(f"    {record.get('agreement', 'no agreement was printed')}")
        for command in row.get("cleanup", []):
            subprocess.run(shlex.split(fill(command, row, self.known)), check=True, cwd=ROOT)


def label_of(check):
    return check.get("label", "agreement")


def kept(path, commit, sizes):
    """The head and the records of an interrupted run of this commit and these sizes; rows in which something failed are measured anew."""
    lines = path.read_text(encoding="utf8").splitlines() if path.exists() else []
    head, *records = [json.loads(line) for line in lines if line.endswith("}")] or [{}]
    again = {record["row"] for record in records if record["exit"] != 0 or record.get("ok") is False}
    if (head.get("commit"), head.get("size")) != (commit, sizes):
        return {}, []
    return head, [record for record in records if record["row"] not in again]


def say(text):
    print(text, file=sys.stderr, flush=True)


def processor():
    with open("/proc/cpuinfo", encoding="utf8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description="Sonde beside its peers")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--resume", action="store_true", help="keep what an interrupted run of this commit has measured")
    parser.add_argument("--size", action="append", default=[], help="NAME=VALUE: another size than the row's")
    parser.add_argument("--python", default=sys.executable, help="a Python that has bench/requirements.txt")
    parser.add_argument("repetitions", type=int)
    parser.add_argument("rows", nargs="*")
    given = parser.parse_args()
    paths = sorted((HERE / "rows").glob("*.toml"))
    unknown = set(given.rows) - {path.stem for path in paths}
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are: {', '.join(path.stem for path in paths)}")
    sizes = [size.split("=", 1) for size in given.size]
    rows = [load_row(path, given.smoke, sizes) for path in paths if not given.rows or path.stem in given.rows]
    known = names(given.smoke, given.python)
    os.makedirs(known["out"], exist_ok=True)
    head = {"commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip(),
            "processor": processor(), "processors": os.cpu_count(), "load": round(os.getloadavg()[0], 2),
            "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "size": given.size}
    path = pathlib.Path(known["out"]) / "runs.jsonl"
    before, records = kept(path, head["commit"], given.size) if given.resume else ({}, [])
    head |= before   # the load is that from before the run, not its own
    run = Run(known, given.repetitions, path, head, records)
    for row in rows:
        row["work"] = fill(row.get("work", ""), row, known)
        run.row(row)
    text = table.markdown(rows, run.records, head)
    (pathlib.Path(known["out"]) / "table.md").write_text(text, encoding="utf8")
    print(text)
    if not given.smoke and not given.size and not given.rows and not run.failed:
        (ROOT / "docs" / "performance" / "measured.md").write_text("# The last full run of `make bench`\n\n" + text, encoding="utf8")
        table.add_line(HERE / "history.tsv", head, rows, run.records)
    if run.failed:
        say("failed: " + "; ".join(run.failed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
