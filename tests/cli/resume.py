"""usage: resume.py SONDE MODEL   – each command killed 50 times at random moments, taken up with --resume, compared with a run that
nobody disturbed: what is printed and every file, byte for byte (but for the time and the seconds of a run). Then what goes wrong:
another command's checkpoint, two at once, a full disk, a folder that cannot be written."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

SONDE, MODEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "toy.json")
KILLS = int(os.environ.get("KILLS", 50))
WORDS = "the key keys are is dog dogs bark barks cabinet on table near".split()
draw = random.Random(7)


def write_text(path, rows):
    with open(path, "w") as file:
        for _ in range(rows):
            file.write(" ".join(draw.choices(WORDS, k=draw.randint(3, 14))) + "\n")


def write_pairs(path, rows):
    with open(path, "w") as file:
        file.write("good\tbad\tcondition\n")
        for _ in range(rows):
            good = draw.choices(WORDS, k=draw.randint(4, 12))
            bad = good[:-2] + [draw.choice(WORDS), good[-1]]
            file.write(f"{' '.join(good)}\t{' '.join(bad)}\t{draw.choice('ab')}\n")


def write_treebank(path, sentences):
    with open(path, "w") as file:
        for _ in range(sentences):
            for i in range(1, 7):
                k = draw.randrange(len(WORDS))
                file.write(f"{i}\t{WORDS[k]}\t_\t{('NOUN', 'VERB', 'DET')[k % 3]}\t_\t_\t{i - 1}\tdep\t_\t_\n")
            file.write("\n")


def start(folder, args, resume=False):
    env = os.environ | {"OMP_WAIT_POLICY": "passive", "XDG_STATE_HOME": os.path.join(folder, "state")}
    env.pop("SONDE_STORE", None)
    return subprocess.Popen([SONDE, *args, "--threads", "1", *(["--resume"] if resume else [])], cwd=folder, env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def run(folder, args, resume=False, code=0):
    process = start(folder, args, resume)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, (args, process.returncode, err.decode())
    return out, err.decode()


def plain(name, data):
    """A file without what differs between any two runs."""
    if name.endswith(".json"):
        made = json.loads(data)
        for key in ("time", "seconds"):
            made["provenance"].pop(key)
        return json.dumps(made).encode()
    return data


def files(folder):
    """{path: bytes} of all that a run leaves, but for the store and the page, which hold its time."""
    found = {}
    for top, _, names in os.walk(folder):
        for name in names:
            if name in ("runs.sqlite", "report.html"):
                continue
            path = os.path.join(top, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = plain(name, file.read())
    return found


def untimed(out):
    """What is printed, but for the seconds that stages of localize took."""
    return b"".join(line for line in out.splitlines(True) if not line.startswith(b"times,"))


def clean(folder, inputs):
    for name in os.listdir(folder):
        if name not in inputs:
            path = os.path.join(folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def kill_often(folder, inputs, args, kills=KILLS):
    """Kills and takes up again until a run ends, as often as makes `kills` kills; each end is compared."""
    began = time.monotonic()
    out, _ = run(folder, args)
    length = time.monotonic() - began
    want = files(folder)
    assert not [name for name in want if "checkpoint" in name or "partial" in name], want.keys()
    clean(folder, inputs)
    killed = ended = taken_up = 0
    whole = False
    while killed < kills or not whole:
        whole = False
        process = start(folder, args, resume=killed > 0)
        try:
            got, err = process.communicate(timeout=draw.uniform(0, 1.2 * length) if killed < kills else 300)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
            continue
        assert process.returncode == 0, (args, process.returncode, err.decode())
        taken_up += b"going on from" in err
        ended, whole = ended + 1, True
        assert untimed(got) == untimed(out), (args, "printed", got[:2000].decode(), out[:2000].decode())
        now = files(folder)
        assert now.keys() == want.keys(), (args, now.keys(), want.keys())
        for name in want:
            assert now[name] == want[name], (args, name)
        clean(folder, inputs)
    assert taken_up > 0, (args, "no run was taken up", ended, length)
    print(f"ok: {' '.join(args[:2])}: {killed} kills, {ended} ends, {taken_up} taken up, {length:.2f} s a run")


def interrupt(folder, args):
    """Kills a run after its first finished part; returns how the checkpoint is called."""
    path = os.path.join(folder, args[args.index("--out") + 1] + ".checkpoint")
    for _ in range(20):
        process = start(folder, args)
        while process.poll() is None and not os.path.exists(path):
            time.sleep(0.0005)
        process.kill()
        process.communicate()
        if os.path.exists(path):
            return path
    raise AssertionError((args, "always ended before it was killed"))


def check_mistakes(folder, inputs):
    args = ["capture", "--model", MODEL, "--data", "text.txt", "--out", "a.safetensors"]
    path = interrupt(folder, args)
    _, err = run(folder, args + ["--limit", "7"], resume=True, code=2)
    assert err.count("\n") == 1 and "--limit" in err and "start over" in err, err
    assert os.path.exists(path), "a mistaken --resume must not cost the finished work"
    os.rename(os.path.join(folder, "text.txt"), os.path.join(folder, "kept.txt"))
    write_text(os.path.join(folder, "text.txt"), 10)
    _, err = run(folder, args, resume=True, code=2)
    assert "data" in err and err.count("\n") == 1, err
    os.replace(os.path.join(folder, "kept.txt"), os.path.join(folder, "text.txt"))
    _, err = run(folder, args)
    assert "--resume would have continued it" in err, err
    _, err = run(folder, args, resume=True)
    assert "nothing to go on from" in err, err
    with open(path, "w") as file:
        file.write("no checkpoint")
    _, err = run(folder, args, resume=True, code=2)
    assert "no checkpoint of sonde" in err, err
    clean(folder, inputs)
    print("ok: mistakes")


def check_two(folder, inputs):
    args = ["capture", "--model", MODEL, "--data", "text.txt", "--out", "a.safetensors"]
    interrupt(folder, args)
    first = start(folder, args, resume=True)
    while b"going on" not in first.stderr.readline():
        pass
    first.send_signal(19)   # stopped: it holds the checkpoint
    try:
        _, err = run(folder, args, resume=True, code=2)
        assert "another process" in err, err
    finally:
        first.kill()
        first.communicate()
    clean(folder, inputs)
    print("ok: two at once")


def check_full_disk(folder, inputs):
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode != 0:
        print("skipped: a full disk: mounting one needs the right to")
        return
    args = ["capture", "--model", MODEL, "--data", "text.txt", "--out", "disk/a.safetensors"]
    try:
        want = os.path.join(folder, "want.safetensors")
        run(folder, args[:-1] + [want])
        _, err = run(folder, args, code=3)
        assert "no space left" in err and "--resume" in err and err.count("\n") == 1, err
        assert not os.path.exists(os.path.join(disk, "a.safetensors"))
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        run(folder, args, resume=True)
        with open(want, "rb") as a, open(os.path.join(disk, "a.safetensors"), "rb") as b:
            assert a.read() == b.read()
        assert os.listdir(disk) == ["a.safetensors"], os.listdir(disk)
    finally:
        subprocess.run(["umount", disk], check=True)
    clean(folder, inputs)
    print("ok: a full disk")


def check_unwritable(folder, inputs):
    for out in ("text.txt/a.safetensors", "/proc/a.safetensors"):
        _, err = run(folder, ["capture", "--model", MODEL, "--data", "text.txt", "--out", out], code=2)
        assert err.count("\n") == 1 and "cannot" in err, err
    _, err = run(folder, ["behaviour", "pairs", "--model", MODEL, "--data", "pairs.tsv", "--out", "text.txt/report"], code=2)
    assert err.count("\n") == 1 and "cannot" in err, err
    clean(folder, inputs)
    print("ok: folders that cannot be written")


memory = "/dev/shm"   # where a disk that others write to makes nobody wait
with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as work:
    write_text(os.path.join(work, "text.txt"), 2500)
    write_pairs(os.path.join(work, "pairs.tsv"), 2000)
    write_treebank(os.path.join(work, "bank.conllu"), 150)
    given = os.listdir(work)
    kill_often(work, given, ["capture", "--model", MODEL, "--data", "text.txt", "--out", "a.safetensors", "--sites",
                             "blocks.*.hook_resid_post,blocks.1.attn.hook_pattern"])
    kill_often(work, given, ["behaviour", "pairs", "--model", MODEL, "--data", "pairs.tsv"])
    kill_often(work, given, ["behaviour", "pairs", "--model", MODEL, "--data", "pairs.tsv", "--out", "report"], kills=10)
    kill_often(work, given, ["probe", "linear", "--model", MODEL, "--data", "bank.conllu", "--label", "upos,head", "--rank", "8",
                             "--random-models", "2", "--resamples", "100", "--format", "csv"], kills=KILLS)
    kill_often(work, given, ["localize", "--model", MODEL, "--phenomenon", TOY, "--effort", "standard", "--resamples", "100",
                             "--format", "csv"], kills=min(KILLS, 10))
    check_mistakes(work, given)
    check_two(work, given)
    check_full_disk(work, given)
    check_unwritable(work, given)
