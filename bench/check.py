"""Checks of the benchmark that need neither model nor peers (a fast test): rows name sides and sizes that exist, scripts compile, and
the table says what its records say.

usage: check.py
"""
import json
import pathlib
import sys
import tempfile

import bench
import plot
import table

HERE = pathlib.Path(__file__).resolve().parent
KEYS = {"title", "work", "size", "prepare", "value", "unit", "better", "side", "compare", "limit", "agree", "cleanup", "name"}


def check_row(path, smoke):
    row, known = bench.load_row(path, smoke), bench.names(smoke, sys.executable)
    assert set(row) <= KEYS, f"{path.name}: unknown keys {set(row) - KEYS}"
    for text in [row["work"], *row.get("prepare", []), *row.get("cleanup", []), *(x["run"] for x in row.get("side", []) + row.get("agree", []))]:
        filled = bench.fill(text, row, known)   # a KeyError names what is missing
        for word in filled.split():
            if word.startswith(str(HERE)) and word.endswith(".py"):
                assert pathlib.Path(word).exists(), f"{path.name}: no {word}"
    sides = [side["name"] for side in row.get("side", [])]
    assert len(set(sides)) == len(sides), f"{path.name}: two sides of one name"
    for named in [x[k] for x in row.get("compare", []) for k in ("ours", "theirs")] + [x["side"] for x in row.get("limit", [])]:
        assert named in sides, f"{path.name}: no side {named}"


def check_table():
    row = {"name": "r", "title": "T", "work": "W", "value": "tok_s", "unit": "tokens/s", "better": "higher",
           "side": [{"name": "a", "history": "a_tok_s"}, {"name": "b"}],
           "compare": [{"ours": "a", "theirs": "b", "reach": 3, "history": "ratio"},
                       {"ours": "a", "theirs": "b", "value": "rss_gb", "better": "lower"}]}
    records = [{"row": "r", "kind": "side", "side": side, "exit": 0, "tok_s": speed, "s": 2.0, "cpu_s": cpu, "wall_s": 3.0, "rss_gb": gb}
               for side, speed, cpu, gb in (("a", 90, 4, 1), ("a", 100, 4, 1), ("a", 400, 4, 1), ("b", 50, 2, 2.5))]
    assert table.ratio(row, records, row["compare"][0]) == 2, "medians: 100 / 50"
    assert table.ratio(row, records, row["compare"][1]) == 2.5, "memory: the less the better"
    assert table.processor_ratio(row, records, row["compare"][0]) == 1, "50 a processor second on both sides"
    text = table.markdown([row], records, {"when": "now", "commit": "c", "processor": "p", "processors": 2, "load": 0.1})
    assert "a / b: **2.00** (by processor time 1.00); to reach 3: missed" in text and "100 [90, 400]" in text, text
    with tempfile.TemporaryDirectory() as folder:
        history = pathlib.Path(folder) / "history.tsv"
        history.write_text("commit\told\n1\t7\n", encoding="utf8")
        table.add_line(history, {"commit": "2", "processor": "p"}, [row], records)
        assert history.read_text(encoding="utf8") == "commit\told\tprocessor\ta_tok_s\tratio\n1\t7\t-\t-\t-\n2\t-\tp\t100\t2\n"
        plot.plot(pathlib.Path(folder) / "plot.svg", "t", "x", "y", {"<line>": [(1, 2), (3, 4)]})
        assert "&lt;line&gt;" in (pathlib.Path(folder) / "plot.svg").read_text(encoding="utf8")


def check_measured():
    found = bench.measured(f"{sys.executable} -c 'print(1); print(\"{{\\\"s\\\": 2}}\")'")
    assert found["exit"] == 0 and found["s"] == 2 and found["rss_gb"] > 0, json.dumps(found)
    assert bench.measured(f"{sys.executable} -c 'raise SystemExit(3)'")["exit"] == 3


rows = sorted((HERE / "rows").glob("*.toml"))
assert rows, "no rows"
for path in rows:
    for smoke in (0, 1):
        check_row(path, smoke)
for script in [*HERE.glob("*.py"), *(HERE / "peers").glob("*.py")]:
    compile(script.read_text(encoding="utf8"), str(script), "exec")
check_table()
check_measured()
print(f"{len(rows)} rows, in order")
