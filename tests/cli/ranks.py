"""usage: ranks.py SONDE MODEL   – the same command as 1, 2 and 4 ranks of MPI: the same bytes, said once; a rank that is killed ends the
run, and --resume goes on from what was finished, whatever the number of ranks. Skipped where mpirun is missing."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

SONDE, MODEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
WORDS = "the key keys are is dog dogs bark barks cabinet on table near".split()
draw = random.Random(11)

if not shutil.which("mpirun"):
    print("skipped: ranks: there is no mpirun (Debian: openmpi-bin)")
    sys.exit(77)


def command(ranks, args):
    if ranks == 1:
        return [SONDE, *args]
    return ["mpirun", "--oversubscribe", "--allow-run-as-root", "--quiet", "-n", str(ranks), SONDE, *args]


def start(folder, ranks, args):
    env = os.environ | {"OMP_WAIT_POLICY": "passive", "XDG_STATE_HOME": os.path.join(folder, "state"), "ASAN_OPTIONS":
                        "detect_leaks=0"}   # MPI keeps what it took
    return subprocess.Popen(command(ranks, args), cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def run(folder, ranks, args, code=0):
    process = start(folder, ranks, args)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, (ranks, args, process.returncode, err)
    return "".join(line for line in out.splitlines(True) if not line.startswith("times,")), err   # seconds of localize's stages


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write_inputs(folder):
    with open(os.path.join(folder, "text.txt"), "w") as file:
        for _ in range(1200):
            file.write(" ".join(draw.choices(WORDS, k=draw.randint(3, 14))) + "\n")
    with open(os.path.join(folder, "pairs.tsv"), "w") as file:
        file.write("good\tbad\n")
        for _ in range(1000):
            good = draw.choices(WORDS, k=draw.randint(4, 12))
            file.write(f"{' '.join(good)}\t{' '.join(good[:-2] + [draw.choice(WORDS), good[-1]])}\n")
    with open(os.path.join(folder, "rows.jsonl"), "w") as file:
        for i in range(200):
            number = draw.choice(["key", "keys"])
            file.write(json.dumps({"text": " ".join(draw.choices(WORDS, k=5)) + " " + number, "number": number,
                                   "lemma": f"l{i % 30}"}) + "\n")
    with open(os.path.join(folder, "bank.conllu"), "w") as file:
        for _ in range(60):
            for i in range(1, 7):
                k = draw.randrange(len(WORDS))
                file.write(f"{i}\t{WORDS[k]}\t_\t{('NOUN', 'VERB', 'DET')[k % 3]}\t_\t_\t{i - 1}\tdep\t_\t_\n")
            file.write("\n")


def commands():
    model = ["--model", MODEL, "--format", "csv", "--quiet"]
    yield ["behaviour", "pairs", "--data", "pairs.tsv", *model]
    yield ["capture", "--data", "text.txt", "--out", "a.safetensors", *model]
    yield ["probe", "linear", "--data", "rows.jsonl", "--label", "number", "--random-models", "1", *model]
    yield ["probe", "linear", "--data", "bank.conllu", "--label", "upos,head", "--rank", "8", "--resamples", "100", *model]
    toy = os.path.join(os.path.dirname(os.path.abspath(__file__)), "toy.json")
    yield ["localize", "--phenomenon", toy, "--effort", "standard", "--resamples", "100", *model]
    yield ["localize", "--compare", toy, os.path.join(os.path.dirname(toy), ".", "toy.json"), "--effort", "quick", *model]


def check_same(folder, args):
    made = os.path.join(folder, "a.safetensors")
    out, _ = run(folder, 1, args)
    file = read(made) if os.path.exists(made) else b""
    for ranks in (2, 4):
        again, err = run(folder, ranks, args)
        assert again == out, (ranks, args, again[:1000], out[:1000])
        assert err == "", (ranks, args, err)
        assert not file or read(made) == file, (ranks, args)
    print(f"ok: {' '.join(args[:2])}: 1, 2 and 4 ranks")


def check_mistakes(folder):
    """What is wrong for all is said once."""
    _, err = run(folder, 4, ["behaviour", "pairs", "--model", MODEL, "--data", "none.tsv"], code=2)
    assert err.count("sonde:") == 1 and "none.tsv" in err, err
    _, err = run(folder, 2, ["behaviour", "pairs", "--model", MODEL, "--data", "-"], code=2)
    assert err.count("sonde:") == 1 and "name a file" in err, err
    out, _ = run(folder, 3, ["methods", "--format", "csv"])
    assert out.count("family,name") == 1, out
    print("ok: mistakes are said once")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def check_death(folder):
    args = ["behaviour", "pairs", "--data", "pairs.tsv", "--model", MODEL, "--format", "csv", "--out", "report"]
    want, _ = run(folder, 1, args)
    shutil.rmtree(os.path.join(folder, "report"))
    path, taken_up = os.path.join(folder, "report", "checkpoint"), 0
    for attempt in range(40):
        process = start(folder, 4, args + ["--resume"])
        while process.poll() is None and not os.path.exists(path):
            time.sleep(0.001)
        ranks = children(process.pid) if process.poll() is None else []
        if not ranks:
            process.communicate()
            continue
        try:
            os.kill(draw.choice(ranks), 9)
        except ProcessLookupError:
            pass
        _, err = process.communicate(timeout=120)
        if process.returncode != 0 and os.path.exists(path):
            taken_up += 1
            for again in (1, 2):
                kept = os.path.join(folder, "kept")
                shutil.copytree(os.path.join(folder, "report"), kept)
                out, err = run(folder, again, args + ["--resume"])
                assert out == want and "going on from" in err, (again, err)
                shutil.rmtree(os.path.join(folder, "report"))
                os.rename(kept, os.path.join(folder, "report"))
            break
        shutil.rmtree(os.path.join(folder, "report"), ignore_errors=True)
    assert taken_up > 0, "no run was killed in time"
    print("ok: a rank that dies")


with tempfile.TemporaryDirectory() as work:
    write_inputs(work)
    if "built without MPI" in start(work, 2, ["methods"]).communicate(timeout=300)[1]:
        print("skipped: ranks: sonde is built without MPI")
        sys.exit(77)
    for asked in commands():
        check_same(work, asked)
    check_mistakes(work)
    check_death(work)
