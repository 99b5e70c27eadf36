"""The peer's side of the benchmarks: transformers on the same work, float32, 2 threads.

usage: peer.py prepare MODEL.gguf FOLDER           the model as transformers keeps it, dequantised: what the other verbs open
       peer.py forward FOLDER CONLLU N OUT     forward pass, hidden states of all layers streamed to a file, length-sorted batches of 32
       peer.py first_logits FOLDER                 from process start to the log-probability of a short sentence
       peer.py agree FOLDER CONLLU N SONDE     largest relative difference of `bench_forward`'s file from transformers' hidden states
"""
import json, os, resource, struct, sys, time
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.set_num_threads(2)


def prepare(path, out):
    folder, name = os.path.split(os.path.abspath(path))
    read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    config = read.config
    if hasattr(config, "quantization_config"):   # the weights are float32 by now, but transformers would refuse to save them
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(out)


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "right"
    return model, tokenizer


def sentences(path, n):
    with open(path, encoding="utf8") as lines:
        return [line[9:].rstrip("\n") for line in lines if line.startswith("# text = ")][:n]


def say(**fields):
    print(json.dumps(fields | {"rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3)}), flush=True)


def forward(path, conllu, n, out):
    model, tokenizer = load(path)
    rows = sorted((tokenizer(s)["input_ids"] for s in sentences(conllu, n)), key=len)
    tokens = sum(map(len, rows))
    start = time.time()
    with torch.no_grad(), open(out, "wb") as file:
        for i in range(0, len(rows), 32):
            batch = tokenizer.pad({"input_ids": rows[i:i + 32]}, return_tensors="pt")
            mask = batch["attention_mask"].bool()
            for h in model.model(**batch, output_hidden_states=True).hidden_states:
                h[mask].numpy().tofile(file)
    seconds = time.time() - start
    say(what="transformers forward", tokens=tokens, s=round(seconds, 3), tok_s=round(tokens / seconds, 1))


def first_logits(path):
    model, tokenizer = load(path)
    ids = tokenizer("The keys to the cabinet are on the table.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        loss = model(ids, labels=ids).loss.item()
    say(what="transformers first logits", mean_loss=round(loss, 6))


def read_safetensors(path):
    data = np.memmap(path, mode="r")
    size = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8:8 + size].tobytes())
    kinds = {"F32": np.float32, "I32": np.int32, "I64": np.int64}
    return {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]].view(kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}


def agree(path, conllu, n, sonde):
    model, tokenizer = load(path)
    file, worst, same = read_safetensors(sonde), 0.0, True
    start = file["start"]
    layers = model.config.num_hidden_layers
    names = ["blocks.0.hook_resid_pre"] + [f"blocks.{l}.hook_resid_post" for l in range(layers - 1)]   # the last is normed in transformers
    with torch.no_grad():
        for b, text in enumerate(sentences(conllu, n)):
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            same &= ids[0].tolist() == file["tokens"][start[b]:start[b + 1]].tolist()
            for name, h in zip(names, model.model(ids, output_hidden_states=True).hidden_states):
                x = file[name][start[b]:start[b + 1]]
                worst = max(worst, float(np.linalg.norm(x - h[0].numpy()) / np.linalg.norm(h[0].numpy())))
    say(what="agreement", same_ids=same, largest_relative_difference=worst)


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    {"prepare": prepare, "forward": lambda m, c, n, o: forward(m, c, int(n), o), "first_logits": first_logits,
     "agree": lambda m, c, n, s: agree(m, c, int(n), s)}[what](*args)
