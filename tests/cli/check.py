"""usage: check.py SONDE tiny FOLDER | check.py SONDE gguf MODEL.gguf – `sonde model check` on a sound model and on copies of it that
were broken on purpose: every mistake must be found, and called by its name."""
import json
import math
import mmap
import os
import re
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

SONDE, KIND, MODEL = sys.argv[1:]
if not os.path.exists(MODEL):
    print("skipped:", MODEL, "is absent")
    sys.exit(77)
SIZE = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of GGUF's number types
BLOCK = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 8: (32, 34)}        # numbers and bytes of a block: F32 F16 Q4_0 Q4_1 Q8_0


class Gguf:
    """Where the settings and tensors of a GGUF file lie."""

    def __init__(self, data):
        self.data, self.at = data, 8
        n_tensor, n_setting = self.take("<QQ")
        self.setting, tensors = {}, {}
        for _ in range(n_setting):
            key = self.text()
            kind, = self.take("<I")
            self.setting[key] = (self.at, kind)
            self.skip(kind)
        for _ in range(n_tensor):
            name = self.text()
            dims = self.take("<%dQ" % self.take("<I")[0])
            tensors[name] = (dims, *self.take("<IQ"))
        begin = -(-self.at // 32) * 32
        self.tensor = {name: (begin + offset, dims, *BLOCK[kind], kind) for name, (dims, kind, offset) in tensors.items()}

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self):
        n, = self.take("<Q")
        self.at += n
        return bytes(self.data[self.at - n:self.at]).decode()

    def skip(self, kind):
        if kind == 8:
            self.text()
        elif kind == 9:
            item, n = self.take("<IQ")
            for _ in range(n if item in (8, 9) else 0):
                self.skip(item)
            self.at += 0 if item in (8, 9) else n * SIZE[item]
        else:
            self.at += SIZE[kind]

    def number(self, key, form="<I"):
        return struct.unpack_from(form, self.data, self.setting[key][0])[0]


def swap_rotary_halves(data, g):
    """Q's rows in the other rotary order, as a converter that forgets to permute them leaves them."""
    heads = g.number("llama.attention.head_count")
    for name, (at, dims, numbers, size, _) in g.tensor.items():
        if not name.endswith("attn_q.weight"):
            continue
        row, d = dims[0] // numbers * size, dims[1] // heads
        old = bytes(data[at:at + row * dims[1]])
        order = [h * d + (i % 2) * (d // 2) + i // 2 for h in range(heads) for i in range(d)]
        data[at:at + len(old)] = b"".join(old[r * row:(r + 1) * row] for r in order)


def large_epsilon(data, g):
    struct.pack_into("<f", data, g.setting["llama.attention.layer_norm_rms_epsilon"][0], 0.4)


def nan_in_matrix(data, g):
    at, _, _, _, kind = g.tensor["blk.1.ffn_down.weight"]
    struct.pack_into("<f" if kind == 0 else "<e", data, at, math.nan)


def nan_in_norm(data, g):
    struct.pack_into("<f", data, g.tensor["blk.1.ffn_norm.weight"][0], math.nan)


def other_vocabulary(data, g):
    """The embedding's rows moved on by 1,000: another model's tokenizer."""
    at, dims, numbers, size, _ = g.tensor["token_embd.weight"]
    row = dims[0] // numbers * size
    old = bytes(data[at:at + row * dims[1]])
    data[at:at + len(old)] = old[1000 * row:] + old[:1000 * row]


def check(path):
    """Exit code, {check: verdict}, the line on standard error."""
    run = subprocess.run([SONDE, "model", "check", path, "--format", "json", "--quiet", "--threads", "1"], capture_output=True,
                         text=True, timeout=300, env=os.environ | {"OMP_WAIT_POLICY": "passive"})
    rows = next(t["rows"] for t in json.loads(run.stdout)["tables"] if t["name"] == "checks")
    return run.returncode, {row[0]: row[1] for row in rows}, run.stderr


def broken(how):
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        with open(MODEL, "rb") as source:
            file.write(source.read())
        file.flush()
        with mmap.mmap(file.fileno(), 0) as data:
            how(data, Gguf(data))
        return check(file.name)


def expect(how, wrong, says):
    code, verdicts, err = how if isinstance(how, tuple) else broken(how)
    first = next((name for name, verdict in verdicts.items() if verdict == "wrong"), None)
    assert code == 1 and first == wrong, (code, verdicts, err)
    assert re.search(says, err) and err.count("\n") == 1, (says, err)
    print(err.strip())
    return verdicts


def check_tiny():
    """Random weights: everything holds together, and the model knows nothing."""
    for path in (MODEL, MODEL + "/model.gguf"):
        verdicts = expect(check(path), "loss far below chance", "No better than chance: the weights are random")
        assert {k for k, v in verdicts.items() if v == "wrong"} <= {"loss far below chance", "repeated words are found"}, verdicts
        assert len([v for v in verdicts.values() if v == "ok"]) >= 10, verdicts


def check_gguf():
    code, verdicts, err = check(MODEL)
    assert code == 0 and not err and set(verdicts.values()) == {"ok"} and len(verdicts) >= 13, (code, verdicts, err)
    cases = [(nan_in_matrix, "weights are finite", "The first is in MLP out of block 1"),
             (nan_in_norm, "activations and logits are finite", r"The first is at blocks\.1\.ln2|The first is at blocks\.1\.mlp"),
             (large_epsilon, "epsilon of the norms", "A wrong epsilon"),
             (swap_rotary_halves, "loss far below chance", r"the wrong rotary \(RoPE\) permutation of Q and K"),
             (other_vocabulary, "loss far below chance", "Attention works, words are poorly known")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda case: expect(*case), cases))


if __name__ == "__main__":
    check_tiny() if KIND == "tiny" else check_gguf()
