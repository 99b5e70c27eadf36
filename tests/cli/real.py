"""usage: real.py SONDE MODEL   – the commands that a user of the README runs, one after the other, on a real model.

Items are made once; the probe, the patches and the erasure read them. Outputs are JSON; what they must say is known of SmolLM2:
number is encoded at the subject, passes it early and the last position late, and erasing it costs the choice."""
import json
import os
import struct
import subprocess
import sys
import tempfile

SONDE, MODEL = sys.argv[1], os.path.abspath(sys.argv[2])
if not os.path.exists(MODEL):
    print(f"skipped: no {MODEL}")
    sys.exit(77)
ENV = os.environ | {"OMP_WAIT_POLICY": "passive"}


def sonde(*args, code=0):
    run = subprocess.run([SONDE, *args], capture_output=True, text=True, timeout=600, env=ENV)
    assert run.returncode == code, (args, run.returncode, run.stderr)
    return run


def tables(*args):
    """{table: [{column: value}]} of a command's JSON."""
    made = json.loads(sonde(*args, "--model", MODEL, "--format", "json", "--quiet").stdout)
    return {t["name"]: [dict(zip([c["name"] for c in t["columns"]], row)) for row in t["rows"]] for t in made["tables"]}


def safetensors(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


def make_items(folder):
    path = os.path.join(folder, "items.jsonl")
    said = sonde("data", "make", "en/number-agreement", "--items", "300", "--model", MODEL, "--out", path).stderr
    assert "probe prefixes" in said and "pairs of choice words" in said, said
    lines = [json.loads(line) for line in open(path, encoding="utf-8")]
    assert len(lines) > 200 and all("text" in line for line in lines[1:])
    return path


def check_probe(items):
    t = tables("probe", "linear", "--data", items, "--label", "number", "--at", "subject",
               "--sites", "blocks.0.hook_resid_pre,blocks.12.hook_resid_post")
    rows = next(iter(t.values()))
    assert len(rows) == 2, rows
    bits = [row["I"] for row in rows]
    assert 0.9 < bits[1] <= 1.01, rows
    assert all(row["I_low"] <= row["I"] <= row["I_high"] + 1e-9 for row in rows), rows


def check_patch(items):
    cells = tables("causal", "patch", "--data", items, "--places", "subject,last",
                   "--sites", "blocks.0.hook_resid_pre,blocks.12.hook_resid_post,blocks.28.hook_resid_post")["cells"]
    effect = {(row["site"], row["place"]): row["effect"] for row in cells}
    assert abs(effect["blocks.0.hook_resid_pre", "subject"] - 1) < 0.02, effect
    assert effect["blocks.12.hook_resid_post", "subject"] > 0.4, effect
    assert effect["blocks.28.hook_resid_post", "last"] > 0.9, effect
    assert abs(effect["blocks.0.hook_resid_pre", "last"]) < 0.05, effect


def check_erase(items):
    cells = tables("causal", "erase", "--data", items, "--places", "subject", "--sites", "blocks.8.hook_resid_post")["cells"]
    assert len(cells) == 1, cells
    cell = cells[0]
    assert cell["before"] > 0.5 and cell["left"] < 0.2 and cell["control_labels"] < 0.2 and cell["control_random"] < 0.2, cell
    if cell["complete"]:   # otherwise the gate withholds the cost
        assert cell["cost"] > 0.3 and cell["cost"] > max(cell["control_labels"], cell["control_random"]), cell
    else:
        assert cell["cost"] is None and cell["left_high"] >= 0.1, cell


def check_capture(folder):
    text, out = os.path.join(folder, "two.txt"), os.path.join(folder, "two.safetensors")
    with open(text, "w", encoding="utf-8") as file:
        file.write("The keys to the cabinet are on the table.\nКлючи лежат на столе.\n")
    sonde("capture", "--model", MODEL, "--data", text, "--out", out, "--quiet",
          "--sites", "blocks.14.hook_resid_post,blocks.*.attn.hook_z[3]")
    header = safetensors(out)
    n = header["tokens"]["shape"][0]
    assert header["blocks.14.hook_resid_post"]["shape"] == [n, 576] and header["blocks.29.attn.hook_z[3]"]["shape"] == [n, 64], header
    assert header["start"]["shape"] == [3] and header["offsets"]["shape"] == [n, 2], header


def check_mistakes(items, folder):
    err = sonde("probe", "linear", "--model", MODEL, "--data", items, "--label", "nubmer", code=2).stderr
    assert "nubmer" in err and err.count("\n") == 1, err
    err = sonde("capture", "--model", MODEL, "--data", items, "--sites", "blocks.30.hook_resid_post", "--out",
                os.path.join(folder, "x.safetensors"), code=2).stderr
    assert "0 to 29" in err and not os.path.exists(os.path.join(folder, "x.safetensors")), err


with tempfile.TemporaryDirectory() as folder:
    items = make_items(folder)
    check_probe(items)
    check_patch(items)
    check_erase(items)
    check_capture(folder)
    check_mistakes(items, folder)
print("ok")
