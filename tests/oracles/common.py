"""What every oracle shares: where files go, how they are written, which versions made them."""
import json
import os
import platform
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(os.environ.get("SONDE_GOLDEN", ROOT / "tests" / "golden"))
SHARED = Path(os.environ.get("SONDE_SHARED", ROOT.parent / "shared"))
SMOLLM2 = Path(os.environ.get("SONDE_MODELS", ROOT / "models")) / "SmolLM2-135M-Instruct.Q4_1.gguf"

FNV_OFFSET, FNV_PRIME, MASK64 = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def versions(*packages):
    """{"python": ..., package: version}: goes into every file an oracle writes."""
    found = {"python": platform.python_version()}
    found.update({name: metadata.version(name) for name in packages})
    return found


def fnv1a(values):
    """64-bit FNV-1a over the little-endian bytes of int32 values, as 16 hexadecimal digits."""
    hash_ = FNV_OFFSET
    for value in values:
        for byte in int(value).to_bytes(4, "little", signed=True):
            hash_ = ((hash_ ^ byte) * FNV_PRIME) & MASK64
    return f"{hash_:016x}"


def write_json(path, value):
    """UTF-8, characters as they are, one space of indentation; lists of numbers stay on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_layout(value, 0) + "\n", encoding="utf-8")


def _layout(value, depth):
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) <= 110 or not isinstance(value, (dict, list)) or _numbers(value):
        return flat
    pad = " " * (depth + 1)
    if isinstance(value, dict):
        items = [f"{json.dumps(k, ensure_ascii=False)}: {_layout(v, depth + 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(pad + item for item in items) + "\n" + " " * depth + "}"
    return "[\n" + ",\n".join(pad + _layout(v, depth + 1) for v in value) + "\n" + " " * depth + "]"


def _numbers(value):
    """A list of numbers, or of short lists of numbers (offsets)."""
    return isinstance(value, list) and all(isinstance(v, (int, float)) or (_numbers(v) and len(v) == 2) for v in value)


def write_jsonl(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_safetensors(path, tensors, **about):
    """Contiguous copies of torch tensors or numpy arrays; `about` goes into the header as JSON under __metadata__.about
    (one key, because the package writes several in random order and the file would never be the same twice)."""
    import numpy as np
    from safetensors.numpy import save_file
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {k: np.ascontiguousarray(v.numpy() if hasattr(v, "numpy") else v) for k, v in tensors.items()}
    save_file(arrays, path, metadata={"about": json.dumps(about, ensure_ascii=False)})
    path.chmod(0o644)
