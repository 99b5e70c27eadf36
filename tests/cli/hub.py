"""usage: hub.py SONDE – `sonde model pull` against a small hub on the loopback interface: what is fetched, how the cache looks,
what is resumed, what is refused."""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from hub_server import COMMIT, TINY, Hub, tiny_model, tree  # noqa: E402

SONDE = os.path.abspath(sys.argv[1])
GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
REPO = "org/tiny.model"
WEIGHTS = "model.safetensors"
NEEDED = {"config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS, "special_tokens_map.json"}


class World:
    """A hub and an empty cache."""

    def __init__(self, files=None):
        self.hub = Hub(REPO, files or tiny_model())
        self.folder = tempfile.TemporaryDirectory()
        self.home = pathlib.Path(self.folder.name)
        self.cache = self.home / "hub" / "models--org--tiny.model"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hub.release()
        self.hub.stop()
        self.folder.cleanup()

    def environment(self, **more):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "SONDE_", "TRANSFORMERS_")) and
                not k.lower().endswith("_proxy")}
        return keep | {"HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.endpoint} | more

    def start(self, *words, **more):
        return subprocess.Popen([SONDE, *words], env=self.environment(**more), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words, **more):
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def pull(self, *words, code=0, says="", name=REPO, **more):
        """Returns {file: where it came from}."""
        got, out, err = self.run("model", "pull", name, *words, "--format", "json", **more)
        assert got == code, (got, err)
        assert re.search(says, err), (says, err)
        if code:
            assert err.count("\n") == 1, err
            return {}
        return {row["file"]: row["from"] for row in json.loads(out)}

    def blob(self, name):
        return self.cache / "blobs" / self.hub.etag(name)

    def partial(self, name):
        return self.cache / "blobs" / (self.hub.etag(name) + ".incomplete")

    def has(self, name):
        path = self.cache / "snapshots" / COMMIT / name
        return path.is_symlink() and path.read_bytes() == self.hub.files[name]


def whole_model():
    with World() as w:
        got, _, err = w.run("model", "info", REPO)
        assert got == 2 and f"`sonde model pull {REPO}` fetches it" in err, err
        assert w.pull() == dict.fromkeys(NEEDED, "hub")
        assert all(w.has(name) for name in NEEDED)
        assert os.readlink(w.cache / "snapshots" / COMMIT / WEIGHTS) == "../../blobs/" + w.hub.etag(WEIGHTS)
        assert (w.cache / "refs" / "main").read_text() == COMMIT
        assert {p.name for p in (w.cache / "blobs").iterdir()} == {w.hub.etag(n) for n in NEEDED}
        assert w.pull() == dict.fromkeys(NEEDED, "cache")
        assert w.hub.bytes_sent(WEIGHTS) == 1
        for words in (["model", "info"], ["model", "sites"], ["tokenize", "the key", "--model"]):
            for name in (REPO, REPO + "@main", REPO + "@" + COMMIT):
                assert w.run(*words, name, HF_HUB_OFFLINE="1")[0] == 0, (words, name)
        code, out, _ = w.run("model", "info", REPO, "--format", "json")
        assert json.loads(out)["name"] == REPO
        w.pull(code=2, says="HF_HUB_OFFLINE is set", HF_HUB_OFFLINE="1")
        os.unlink(w.blob(WEIGHTS))
        assert "only a part of it" in w.run("model", "info", REPO)[2]


def layout_of_the_package():
    """The cache looks as huggingface_hub leaves it (tests/oracles/hub.py)."""
    golden = json.loads((GOLDEN / "hub" / "layout.json").read_text())["tree"]
    with World() as w:
        w.pull()
        w.pull("--file", "sub/*")
        assert tree(w.home / "hub") == golden, (tree(w.home / "hub"), golden)


def revisions_and_places():
    with World() as w:
        assert w.pull(name=REPO + "@v1", HF_HUB_CACHE=str(w.home / "else"))[WEIGHTS] == "hub"
        assert (w.home / "else/models--org--tiny.model/refs/v1").read_text() == COMMIT
        assert w.pull(name=REPO + "@refs/pr/1")[WEIGHTS] == "hub"
        assert (w.cache / "refs/refs/pr/1").read_text() == COMMIT
        assert w.run("model", "info", REPO + "@refs/pr/1")[0] == 0
        assert w.run("model", "info", REPO)[0] == 2
        w.pull(name=REPO + "@" + COMMIT)
        assert sorted(p.name for p in (w.cache / "refs").iterdir()) == ["refs"]
        w.pull(name=REPO + "@v2", code=2, says="has no revision v2")
        w.pull(name="org/other", code=2, says="not found .404.")
        for bad in ("../x", "org/../x", "a--b/c", "org/name@", "org/name@../../x", "/etc", "org/name/../../x"):
            w.pull(name=bad, code=2, says="no name of a model")


def gguf_repository():
    data = (TINY / "model.gguf").read_bytes()
    files = {"a-Q4.gguf": data, "b/tiny-Q8.gguf": data + b"\0" * 32, "a-F16.gguf": data + b"\0" * 64, "README.md": b""}
    with World(files) as w:
        w.pull(code=2, says="several GGUF files; choose with --file: a-Q4.gguf, b/tiny-Q8.gguf, a-F16.gguf")
        w.pull("--file", "*Q5*", code=2, says=r"no file matches \*Q5\*")
        assert w.pull("--file", "*Q8*") == {"b/tiny-Q8.gguf": "hub"}
        assert os.readlink(w.cache / "snapshots" / COMMIT / "b/tiny-Q8.gguf").startswith("../../../blobs/")
        assert w.run("model", "info", REPO + "/b/tiny-Q8.gguf")[0] == 0
        assert w.pull(name=REPO + "/a-Q4.gguf") == {"a-Q4.gguf": "hub"}
        assert w.run("tokenize", "--model", REPO, "the key")[0] == 0  # the only one in the top folder
        w.pull("--file", "a-F16.gguf")
        assert "name one, as in org/tiny.model/a-F16.gguf" in w.run("model", "info", REPO)[2]
        assert "no such file of this model" in w.run("model", "info", REPO + "/none.gguf")[2]
        w.pull("--file", "x", name=REPO + "/a-Q4.gguf", code=2, says="leave --file out")
    with World({"a-00001-of-00002.gguf": data, "a-00002-of-00002.gguf": b"1" * 2000}) as w:
        assert len(w.pull()) == 2
        assert w.run("model", "info", REPO)[0] == 0
    with World({"tf_model.h5": b"", "config.json": b"{}"}) as w:
        w.pull(code=2, says="no weights that Sonde reads .*: tf_model.h5, config.json")


def shards():
    files = {"config.json": b"{}", "model.safetensors.index.json": b"{}", "model-00001-of-00002.safetensors": b"1" * 1500,
             "model-00002-of-00002.safetensors": b"2" * 1500, "consolidated.safetensors": b"3", "merges.txt": b"#"}
    with World(files) as w:
        assert set(w.pull()) == set(files) - {"consolidated.safetensors"}


def broken_transfers():
    with World() as w:
        w.hub.faults = {WEIGHTS: ["cut", "500", "cut"], "config.json": ["500"], "/api": ["503"]}
        assert w.pull()[WEIGHTS] == "hub"
        assert w.has(WEIGHTS) and w.hub.bytes_sent(WEIGHTS) == 4
        ranges = [h.get("Range") for s, m, p, h in w.hub.log if s == "cdn" and p == "/" + WEIGHTS]
        half = len(w.hub.files[WEIGHTS]) // 2
        assert ranges[:3] == [None, f"bytes={half}-", f"bytes={half}-"], ranges
    with World() as w:
        w.hub.faults = {WEIGHTS: ["500"] * 5}
        w.pull(code=2, says="the server answers with code 500")
        assert w.hub.bytes_sent(WEIGHTS) == 5
        assert w.pull()["config.json"] == "cache"
    with World() as w:  # a beginning that is there is not asked for again – whoever left it
        data = w.hub.files[WEIGHTS]
        w.partial(WEIGHTS).parent.mkdir(parents=True)
        w.partial(WEIGHTS).write_bytes(data[:700])
        assert w.pull()[WEIGHTS] == "hub, resumed"
        assert w.has(WEIGHTS) and not w.partial(WEIGHTS).exists()
    for begun in (lambda d: b"#" * 700, lambda d: d + b"too long", lambda d: d):
        with World() as w:
            w.partial(WEIGHTS).parent.mkdir(parents=True)
            w.partial(WEIGHTS).write_bytes(begun(w.hub.files[WEIGHTS]))
            w.pull()
            assert w.has(WEIGHTS)
    with World() as w:  # a server that ignores the range
        w.hub.faults = {WEIGHTS: ["cut", "whole"]}
        w.pull()
        assert w.has(WEIGHTS)


def wrong_bytes():
    with World() as w:
        for name, kind in (("config.json", "git SHA-1"), (WEIGHTS, "SHA-256")):
            w.hub.faults = {name: ["flip"]}
            w.pull(code=2, says=f"{name}: the {kind} of what arrived is")
            assert not w.blob(name).exists()
        w.hub.faults = {WEIGHTS: ["long"]}
        w.pull(code=2, says="sends more than")
        w.pull()
        assert w.has(WEIGHTS)


def interrupted():
    with World() as w:
        w.hub.faults = {WEIGHTS: ["hold"]}
        process = w.start("model", "pull", REPO)
        limit = time.time() + 60
        while not (w.partial(WEIGHTS).exists() and w.partial(WEIGHTS).stat().st_size > 0):
            assert time.time() < limit and process.poll() is None
            time.sleep(0.02)
        other = w.start("model", "pull", REPO)  # waits for the first, and takes up what it leaves
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
        _, err = other.communicate(timeout=60)
        assert other.returncode == 0 and "waiting for another process" in err, err
        assert w.has(WEIGHTS) and w.hub.bytes_sent(WEIGHTS) == 2


def dead_server():
    with World() as w:
        ports = [s.server_port for s in w.hub.servers]
        w.hub.faults = {WEIGHTS: ["hold"]}
        process = w.start("model", "pull", REPO)
        limit = time.time() + 60
        while not (w.partial(WEIGHTS).exists() and w.partial(WEIGHTS).stat().st_size > 0):
            assert time.time() < limit and process.poll() is None
            time.sleep(0.02)
        w.hub.stop()
        w.hub.release()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2 and "onnect" in err, err
        size = w.partial(WEIGHTS).stat().st_size
        assert 0 < size < len(w.hub.files[WEIGHTS])
        started = time.time()
        w.pull(code=2, says="onnect")  # nobody there from the beginning: no waiting
        assert time.time() - started < 5
        w.hub.start(ports)
        assert w.pull()[WEIGHTS] == "hub, resumed" and w.has(WEIGHTS)


def access_and_tokens():
    with World() as w:
        w.hub.token = "hf_secret"
        w.pull(code=2, says="is gated .401.: accept its conditions")
        w.pull(code=2, says="gated", HF_TOKEN="hf_wrong")
        (w.home / "token").write_text(" hf_secret\n")
        w.pull(code=2, says="gated", HF_TOKEN="hf_wrong")
        assert w.pull()[WEIGHTS] == "hub"
        assert any(s == "hub" and "Authorization" in h for s, _, _, h in w.hub.log)
        assert not any(s == "cdn" and "Authorization" in h for s, _, _, h in w.hub.log)  # never to another host
        w.pull(code=2, says="token of HF_TOKEN", HF_TOKEN="two\nlines")
        w.hub.gate = (403, "")
        w.pull(code=2, says="refuses the token .403.")
        (w.home / "token").unlink()
        w.hub.gate = (401, "RepoNotFound")
        w.pull(code=2, says="has no public model of this name")


def hostile_server():
    with World() as w:
        for name in ("../../evil", "/tmp/evil", "a/../../evil", "a//b", ".", "a\\b", "", "a\nb"):
            w.hub.listing = json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "config.json"}, {"rfilename": name}]})
            w.pull(code=2, says="no name of a file below a folder")
        for text in ("[]", "{", '{"sha": "../..", "siblings": []}', '{"sha": "%s", "siblings": [1]}' % COMMIT,
                     '{"sha": "%s"}' % COMMIT):
            w.hub.listing = text
            w.pull(code=2)
        assert not w.cache.exists()
        w.hub.listing = None
        w.hub.etag = lambda name: "../../../evil"
        w.pull(code=2, says="names no SHA-256 or git SHA-1")
        w.pull(code=2, says="begins with https", HF_ENDPOINT="file:///etc")


def full_disk():
    if "TSAN_OPTIONS" in os.environ:
        return  # its runtime maps files that are longer than the limit below
    with World() as w:
        limited = ["bash", "-c", "trap '' XFSZ; ulimit -f 20; exec \"$@\"", "x"]  # files of at most 20 KiB
        process = subprocess.run([*limited, SONDE, "model", "pull", REPO], env=w.environment(), capture_output=True,
                                 text=True, timeout=120)
        assert process.returncode == 2 and "cannot write: File too large" in process.stderr, process
        assert w.partial(WEIGHTS).stat().st_size == 20 * 1024
        assert w.pull()[WEIGHTS] == "hub, resumed" and w.has(WEIGHTS)


def timed(scenario):
    started = time.time()
    scenario()
    print(f"{scenario.__name__}: ok, {time.time() - started:.1f} s", flush=True)


if __name__ == "__main__":
    scenarios = [broken_transfers, dead_server, whole_model, layout_of_the_package, revisions_and_places, gguf_repository,
                 shards, wrong_bytes, interrupted, access_and_tokens, hostile_server, full_disk]
    wanted = [s for s in scenarios if len(sys.argv) < 3 or s.__name__ in sys.argv[2:]]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:  # mostly waiting, each with its own servers and cache
        list(pool.map(timed, wanted))
    sys.exit(not wanted)
