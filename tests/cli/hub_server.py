"""A small Hugging Face hub on the loopback interface, for tests: one model, files by git SHA-1 or (LFS) by SHA-256 behind a
redirect to another server, ranges, and faults on demand. Standard library only."""
import hashlib
import http.server
import json
import os
import pathlib
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = pathlib.Path(__file__).resolve().parents[1] / "golden" / "tiny" / "gqa-tied"
LFS_FROM = 1000  # bytes: larger files are LFS, as weights are


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def tiny_model():
    """A repository with the tiny golden model in it, and much that nobody needs."""
    files = {name: (TINY / name).read_bytes() for name in ("config.json", "tokenizer.json", "tokenizer_config.json",
                                                           "model.safetensors")}
    return files | {"README.md": b"not needed", "model.fp16.safetensors": b"x" * 2000, "pytorch_model.bin": b"y" * 2000,
                    "onnx/model.onnx": b"z", "special_tokens_map.json": b"", "sub/vocab.txt": b"a"}


def tree(cache):
    """{path below the cache: "-> target" of a link, the text of a reference, the size of a blob}, locks and what the package
    keeps for itself aside."""
    found = {}
    for folder, folders, names in os.walk(cache):
        folders[:] = [f for f in folders if f not in (".locks", "trees", ".no_exist")]
        for name in names:
            path = pathlib.Path(folder, name)
            key = path.relative_to(cache).as_posix()
            if path.is_symlink():
                found[key] = "-> " + os.readlink(path)
            elif "/refs/" in key:
                found[key] = path.read_text()
            elif name != "CACHEDIR.TAG":
                found[key] = path.stat().st_size
    return dict(sorted(found.items()))


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Hub:
    """Serves files = {name: bytes} as ORG/NAME. Two servers: the hub, and the "CDN" that holds large files.
    faults: {name: [fault, ...]}, each used once: "500", "cut" (half the body, then closed), "flip" (a wrong byte), "hold" (half
    the body, then nothing until release()), "whole" (the range is ignored), "long" (one byte too many)."""

    def __init__(self, repo, files):
        self.repo, self.files, self.faults, self.token = repo, files, {}, None
        self.listing = None      # overrides the JSON that describes the model
        self.gate = None         # (code, X-Error-Code) for everything
        self.log = []            # (server, method, path, headers)
        self.held = threading.Event()
        self.lock = threading.Lock()
        self.servers = []
        self.start()

    def start(self, ports=(0, 0)):
        self.servers = [Quiet(("127.0.0.1", port), self.handler(which)) for port, which in zip(ports, ("hub", "cdn"))]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        # another name of the same machine, so that the redirect leads to another host
        self.endpoint = "http://127.0.0.1:%d" % self.servers[0].server_port
        self.cdn = "http://localhost:%d" % self.servers[1].server_port

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def release(self):
        self.held.set()

    def bytes_sent(self, name):
        """How many GET requests there were for a file's bytes."""
        return sum(method == "GET" and path.endswith("/" + name) and server == ("cdn" if self.is_lfs(name) else "hub")
                   for server, method, path, _ in self.log)

    def is_lfs(self, name):
        return len(self.files[name]) >= LFS_FROM

    def etag(self, name):
        data = self.files[name]
        return hashlib.sha256(data).hexdigest() if self.is_lfs(name) else git_sha1(data)

    def next_fault(self, name):
        with self.lock:
            waiting = self.faults.get(name)
            return waiting.pop(0) if waiting else None

    def handler(self, which):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, code, body=b"", **headers):
                self.send_response(code)
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                path = urllib.parse.unquote(self.path)
                hub.log.append((which, self.command, path, dict(self.headers)))
                if which == "cdn":
                    return self.send_bytes(path.lstrip("/"))
                if hub.gate:
                    return self.answer(hub.gate[0], X_Error_Code=hub.gate[1])
                if hub.token and self.headers.get("Authorization") != "Bearer " + hub.token:
                    return self.answer(401, X_Error_Code="GatedRepo")
                if path.startswith("/api/models/"):
                    return self.describe(path)
                return self.resolve(path)

            def describe(self, path):
                repo, _, revision = path.removeprefix("/api/models/").partition("/revision/")
                if repo != hub.repo:
                    return self.answer(404, X_Error_Code="RepoNotFound")
                if revision not in ("main", "v1", "refs/pr/1", COMMIT):
                    return self.answer(404, X_Error_Code="RevisionNotFound")
                if fault := hub.next_fault("/api"):
                    return self.answer(int(fault), Retry_After="1")
                text = hub.listing or json.dumps({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": n} for n in hub.files]})
                self.answer(200, text.encode(), Content_Type="application/json")

            def resolve(self, path):
                repo, _, rest = path.lstrip("/").partition("/resolve/")
                commit, _, name = rest.partition("/")
                if repo != hub.repo or commit not in (COMMIT, "main") or name not in hub.files:
                    return self.answer(404, X_Error_Code="EntryNotFound")
                if not hub.is_lfs(name):
                    return self.send_bytes(name)
                self.answer(302, b"Found", Location=hub.cdn + "/" + urllib.parse.quote(name), X_Repo_Commit=COMMIT,
                            X_Linked_Etag='"%s"' % hub.etag(name), X_Linked_Size=str(len(hub.files[name])),
                            ETag='"not-the-hash"')

            def send_bytes(self, name):
                data, first = hub.files[name], 0
                fault = hub.next_fault(name) if self.command == "GET" else None
                if fault == "500":
                    return self.answer(500)
                asked = self.headers.get("Range")
                if asked and fault != "whole":
                    first = int(asked.removeprefix("bytes=").rstrip("-"))
                    if first >= len(data):
                        return self.answer(416, Content_Range="bytes */%d" % len(data))
                self.send_response(206 if first else 200)
                if first:
                    self.send_header("Content-Range", "bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
                body = data[first:]
                if fault == "flip":
                    body = body[:-1] + bytes([body[-1] ^ 1])
                if fault == "long":
                    body += b"!"
                self.send_header("ETag", '"%s"' % hub.etag(name))
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if fault in ("cut", "hold"):
                    self.wfile.write(body[:len(body) // 2])
                    self.wfile.flush()
                    if fault == "hold":
                        hub.held.wait(60)
                    self.close_connection = True
                    return
                self.wfile.write(body)

        return Handler
