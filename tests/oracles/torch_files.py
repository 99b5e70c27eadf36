"""State dictionaries as torch.save writes them in each of its forms, and the same tensors as safetensors."""
import io
import json
import os
import warnings
from collections import OrderedDict

import torch
from safetensors.torch import save_file

from common import GOLDEN, versions, write_json

FOLDER = GOLDEN / "torch"
TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
         torch.uint8, torch.bool]
NEW_TYPES = [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu]


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def bits(generator, shape, dtype):
    """Any bits that are numbers of the type; floats are drawn, so that none is NaN."""
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.randint(0, 100, shape, generator=generator).to(dtype)


def plain(generator):
    """Every type that torch.save has a storage class for; a scalar and an empty tensor."""
    state = OrderedDict((name_of(t), bits(generator, (3, 5), t)) for t in TYPES)
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.zeros(0, 4)
    return state


def all_bytes():
    """Types whose storages have no class of their own. The eight-bit ones hold each of the 256 bit patterns."""
    byte = torch.arange(256, dtype=torch.uint8)
    return {name_of(t): byte.view(t) if t.itemsize == 1 else (byte.long() + 60_000).to(t) for t in NEW_TYPES}


def views(generator):
    """Views that are not dense, and tensors that share a storage."""
    base = torch.randn(6, 8, generator=generator)
    deep = torch.randn(2, 3, 4, 5, generator=generator)
    return {"base": base, "transposed": base.T, "rows": base[2:5], "columns": base[:, 3:5], "every_other": base[::2, ::3],
            "last": base[-1], "number": base[4, 7], "same": base, "expanded": torch.arange(3.0).reshape(3, 1).expand(3, 4),
            "permuted": deep.permute(3, 1, 0, 2), "inner": deep[:, :, 1:3, :], "thin": deep[:, 1:2].transpose(0, 3)}


def module(generator):
    """A module's own state: parameters, a buffer, attributes of the dictionary, tied weights."""
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 4))
    tied = torch.nn.ModuleDict({"a": net, "b": net[0]})
    state = tied.state_dict(keep_vars=True)
    assert isinstance(state["a.0.weight"], torch.nn.Parameter) and state._metadata
    return state


def attributes():
    """A parameter with Python attributes, and a subclass of Tensor saved by its own rule."""
    parameter = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    parameter.note = "kept beside the numbers"
    buffer = torch.nn.Buffer(torch.arange(4.0))
    tensor = torch.arange(5.0)
    tensor.note = 7
    return {"parameter": parameter, "buffer": buffer, "tensor": tensor, "step": 12, "lr": 0.5, "tag": "x", "none": None,
            "list": [1, [2]], "size": torch.Size([1, 2])}


def tensors(state):
    """Dense copies, so that safetensors can hold them, and NAME/f32, what PyTorch converts them to."""
    dense = {k: v.detach().contiguous().clone() for k, v in state.items() if isinstance(v, torch.Tensor)}
    return dense | {f"{k}/f32": v.float() for k, v in dense.items() if v.dtype is not torch.float32}


def save(name, state, **how):
    torch.save(state, FOLDER / f"{name}.bin", **how)


def save_legacy(name, state, **how):
    """Storages are named by their addresses there and stand in that order, so these files differ from run to run."""
    save(name, state, _use_new_zipfile_serialization=False, **how)


def save_shards(state):
    """Two files and an index, as transformers 4 wrote models above max_shard_size (transformers 5 writes only safetensors)."""
    names, weight_map = list(state), {}
    for part, keys in enumerate((names[:3], names[3:]), 1):
        shard = f"pytorch_model-{part:05d}-of-00002.bin"
        torch.save({k: state[k] for k in keys}, FOLDER / "sharded" / shard)
        weight_map |= dict.fromkeys(keys, shard)
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": weight_map}
    (FOLDER / "sharded" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def write_expected(name, state):
    path = FOLDER / f"{name}.safetensors"
    save_file(tensors(state), path)
    path.chmod(0o644)


def main():
    warnings.filterwarnings("ignore", category=UserWarning)
    generator = torch.Generator().manual_seed(11)
    (FOLDER / "sharded").mkdir(parents=True, exist_ok=True)
    states = {"plain": plain(generator), "new": all_bytes(), "views": views(generator), "module": module(generator),
              "attributes": attributes()}
    for name, state in states.items():
        save(name, state)
        write_expected(name, state)
    for protocol in (3, 4, 5):
        save(f"views-protocol{protocol}", states["views"], pickle_protocol=protocol)
    for name in ("plain", "views", "module", "new", "attributes"):
        save_legacy(f"{name}-legacy", states[name])
    save_legacy("views-legacy-protocol4", states["views"], pickle_protocol=4)
    save_shards({k: v for k, v in states["plain"].items()})
    (FOLDER / "refused-system.bin").write_bytes(refused_call())
    write_json(FOLDER / "made.json",
               {"made_by": "tests/oracles/torch_files.py", "versions": versions("torch", "safetensors")})


class Call:
    """What an attacker pickles: unpickled by Python, it would run a command."""

    def __reduce__(self):
        return os.system, ("true",)


def refused_call():
    out = io.BytesIO()
    torch.save({"weight": torch.zeros(2), "trap": Call()}, out)
    return out.getvalue()


if __name__ == "__main__":
    main()
