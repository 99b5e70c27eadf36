"""The cache that huggingface_hub writes when it fetches the tiny model from the test hub: every path, link and reference. What
`sonde model pull` writes is compared with it (tests/cli/hub.py). Where `sonde` is built (SONDE, build/release/sonde), the package
also reads Sonde's cache, and Sonde the package's, without fetching anything twice."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import GOLDEN, ROOT, versions, write_json

sys.path.insert(0, str(ROOT / "tests" / "cli"))
from hub_server import COMMIT, Hub, tiny_model, tree  # noqa: E402

REPO = "org/tiny.model"
FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "model.safetensors"]


def sonde(home, hub, *words):
    program = os.environ.get("SONDE", ROOT / "build" / "release" / "sonde")
    environment = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
    return subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=True).stdout


def read_by_the_package(home, hub):
    """Sonde has fetched: the package finds every file and fetches nothing."""
    from huggingface_hub import hf_hub_download, scan_cache_dir, try_to_load_from_cache
    sonde(home, hub, "model", "pull", REPO)
    cache, before = home / "hub", len(hub.log)
    info = scan_cache_dir(cache)
    assert not info.warnings and [r.repo_id for r in info.repos] == [REPO], info
    (revision,) = next(iter(info.repos)).revisions
    assert revision.commit_hash == COMMIT and revision.refs == {"main"}, revision
    for name in FILES:
        path = try_to_load_from_cache(REPO, name, cache_dir=cache)
        assert Path(path).read_bytes() == hub.files[name], path
        assert hf_hub_download(REPO, name, cache_dir=cache, endpoint=hub.endpoint) == path
    assert not any(m == "GET" for _, m, _, _ in hub.log[before:]), hub.log[before:]


def main():
    from huggingface_hub import hf_hub_download
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        hub = Hub(REPO, tiny_model())
        for name in [*FILES, "sub/vocab.txt"]:
            hf_hub_download(REPO, name, cache_dir=Path(one, "hub"), endpoint=hub.endpoint)
        write_json(GOLDEN / "hub" / "layout.json", {
            "made_by": "tests/oracles/hub.py", "versions": versions("huggingface_hub"), "tree": tree(Path(one, "hub"))})
        if "SONDE" in os.environ or (ROOT / "build/release/sonde").exists():
            before = len(hub.log)
            assert REPO in sonde(one, hub, "model", "info", REPO)
            pulled = sonde(one, hub, "model", "pull", REPO, "--format", "csv").splitlines()[1:]
            assert len(pulled) == len(FILES) and all(line.endswith(",cache") for line in pulled), pulled
            assert not any(m == "GET" and "/api/" not in path for _, m, path, _ in hub.log[before:])
            read_by_the_package(Path(two), hub)
            print("read by each other: ok")
        hub.stop()


if __name__ == "__main__":
    os.environ.update(HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    main()
