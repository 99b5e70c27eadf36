"""What the peers share: the model as transformers opens it, texts, batches, a timer, the JSON line."""
import json
import os
import resource
import struct
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
import numpy as np
import torch

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def tokenizer_of(folder):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def load(folder, dtype=torch.float32):
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(), tokenizer_of(folder)


def texts_of(conllu, n):
    with open(conllu, encoding="utf8") as lines:
        return [line[9:].rstrip("\n") for line in lines if line.startswith("# text = ")][:n]


def pairs_of(jsonl, n):
    with open(jsonl, encoding="utf8") as lines:
        rows = [json.loads(line) for line in lines][:n]
    return [(row["sentence_good"], row["sentence_bad"]) for row in rows]


def batches(rows, size, by_length=True):
    """Lists of numbers of rows, at most size in each, of about one length if by_length."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i])) if by_length else list(range(len(rows)))
    return [order[i:i + size] for i in range(0, len(order), size)]


def padded(tokenizer, rows):
    return tokenizer.pad({"input_ids": rows}, return_tensors="pt")


class Timer:
    """Seconds and processor seconds (of all threads) since it was made."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self):
        return {"s": round(time.perf_counter() - self.wall, 3), "cpu_s": round(time.process_time() - self.cpu, 3)}


def say(**fields):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"rss_gb": round(peak, 3)} | fields), flush=True)


def agreed(ok, text):
    print(json.dumps({"ok": bool(ok), "agreement": text}), flush=True)


def read_safetensors(path):
    """The tensors of a file as views of its mapping."""
    data = np.memmap(path, mode="r")
    size = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8:8 + size].tobytes())
    kinds = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}
    return {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]].view(kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}
