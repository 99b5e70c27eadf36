"""Random blocks of every GGUF tensor type Sonde reads or will read, and what the gguf package dequantises them to."""
import gguf
import numpy as np

from common import GOLDEN, versions, write_safetensors

TYPE = gguf.GGMLQuantizationType
# half-precision fields of a block, as byte offsets; everything else in it may be any bits
SCALES = {TYPE.Q4_0: [0], TYPE.Q4_1: [0, 2], TYPE.Q5_0: [0], TYPE.Q5_1: [0, 2], TYPE.Q8_0: [0], TYPE.Q2_K: [80, 82],
          TYPE.Q3_K: [108], TYPE.Q4_K: [0, 2], TYPE.Q5_K: [0, 2], TYPE.Q6_K: [208], TYPE.IQ4_NL: [0], TYPE.IQ4_XS: [0]}
SPECIAL_F16 = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x3C00, 0x3555]
SPECIAL_BF16 = [0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x0080, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x3F80, 0x3EAB]


def float_blocks(rng, kind):
    """64 numbers a block: zeros, subnormals, largest, infinities, then ordinary ones; no NaN, whose payload is free."""
    if kind is TYPE.F16:
        ordinary = rng.standard_normal(116).astype(np.float16).view(np.uint16)
    else:
        ordinary = (rng.standard_normal(116).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    special = np.array(SPECIAL_F16 if kind is TYPE.F16 else SPECIAL_BF16, np.uint16)
    return np.concatenate([special, ordinary]).view(np.uint8).reshape(2, 128)


def quantised_blocks(rng, kind):
    """Random bits with finite scales of both signs; the last block's are subnormal half-precision numbers."""
    size, width = gguf.GGML_QUANT_SIZES[kind]
    count = 4 if size == 256 else 8
    blocks = rng.integers(0, 256, (count, width), dtype=np.uint8)
    for offset in SCALES[kind]:
        scale = (rng.standard_normal(count) * 0.1).astype(np.float16)
        scale[-1] = np.float16(3e-6)
        blocks[:, offset:offset + 2] = scale.view(np.uint8).reshape(count, 2)
    return blocks


def main():
    rng, tensors = np.random.default_rng(7), {}
    for kind in [TYPE.F16, TYPE.BF16, *SCALES]:
        blocks = quantised_blocks(rng, kind) if kind in SCALES else float_blocks(rng, kind)
        values = gguf.quants.dequantize(blocks, kind)
        assert values.dtype == np.float32 and not np.isnan(values).any()
        tensors |= {f"{kind.name}/blocks": blocks, f"{kind.name}/values": values.reshape(len(blocks), -1)}
    write_safetensors(GOLDEN / "gguf_dequant.safetensors", tensors, made_by="tests/oracles/gguf_dequant.py",
                      versions=versions("gguf", "numpy", "safetensors"))


if __name__ == "__main__":
    main()
