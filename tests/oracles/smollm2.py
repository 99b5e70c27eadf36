"""Reference numbers of SmolLM2-135M-Instruct: transformers opens the GGUF file (dequantised, float32)."""
import json

import torch
import transformers
from transformers import AutoModelForCausalLM

import bpe
from common import GOLDEN, SHARED, SMOLLM2, versions, write_json
from llama import Llama, token_loss

torch.set_num_threads(1)
OUT = GOLDEN / "smollm2"
ABOUT = dict(made_by="tests/oracles/smollm2.py", model=SMOLLM2.name, dtype="float32",
             versions=versions("transformers", "torch", "gguf", "tokenizers"))
PARADIGMS = ["regular_plural_subject_verb_agreement_1", "anaphor_gender_agreement",
             "distractor_agreement_relational_noun"]
TEXTS = ["The keys to the cabinet are on the table.", "Ключи от шкафа лежат на столе.",
         "In 2026, 3 keys were lost; nobody found them.\n\nA",
         "The farmer near the clerks knows many people who walk to work every day, and although it rains often "
         "in this part of the country, the roads between the old villages and the new railway station are seldom "
         "closed for longer than a few hours."]
SITES = ["blocks.0.hook_resid_pre", "blocks.0.hook_resid_mid", "blocks.0.hook_resid_post", "blocks.1.hook_resid_post",
         "blocks.7.hook_attn_out", "blocks.7.mlp.hook_post", "blocks.14.hook_resid_post", "blocks.15.attn.hook_z",
         "blocks.22.hook_resid_mid", "blocks.29.hook_mlp_out", "blocks.29.hook_resid_post",
         "unembed.hook_in", "unembed.hook_out"]


def load():
    transformers.logging.set_verbosity_error()
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2.parent, gguf_file=SMOLLM2.name, dtype=torch.float32)
    return model.eval(), bpe.from_gguf(SMOLLM2)


def plain(model, dtype=torch.float64):
    return Llama({k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}, model.config, dtype)


@torch.no_grad()
def text_record(model, tokenizer, text):
    ids = tokenizer.encode(text).ids
    logits = model(torch.tensor([ids])).logits[0]
    loss = token_loss(logits, ids)
    top = logits[-1].log_softmax(-1).topk(5)
    return {"text": text, "ids": ids, "mean_loss": float(loss.double().mean()),
            "loss": [round(v, 6) for v in loss.tolist()],
            "top5": [{"id": i, "text": tokenizer.decode([i], skip_special_tokens=False), "logprob": round(v, 6)}
                     for i, v in zip(top.indices.tolist(), top.values.tolist())]}


@torch.no_grad()
def sum_logprobs(model, rows):
    """Summed log-probability of all tokens but the first, a row. A batch holds rows of one length: no padding."""
    total, order = [0.0] * len(rows), sorted(range(len(rows)), key=lambda r: len(rows[r]))
    while order:
        n = len(rows[order[0]])
        batch = [r for r in order[:32] if len(rows[r]) == n]
        order = order[len(batch):]
        for r, logits in zip(batch, model(torch.tensor([rows[r] for r in batch])).logits):
            total[r] = -float(token_loss(logits, rows[r]).double().sum())
    return total


def paradigm(model, tokenizer, name):
    lines = (SHARED / "data" / "blimp" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    rows = [tokenizer.encode(pair[f"sentence_{side}"]).ids for pair in pairs for side in ("good", "bad")]
    score = sum_logprobs(model, rows)
    good, bad = score[0::2], score[1::2]
    return {"pairs": len(pairs), "accuracy": sum(g > b for g, b in zip(good, bad)) / len(pairs),
            "mean_margin": sum(g - b for g, b in zip(good, bad)) / len(pairs), "tokens": sum(map(len, rows)),
            "good_first20": [round(v, 5) for v in good[:20]], "bad_first20": [round(v, 5) for v in bad[:20]]}


def sites(model, tokenizer, text):
    """Norm of every row and first eight values of the last one, computed plainly in float64."""
    ids = tokenizer.encode(text).ids
    values = plain(model).run(ids)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    assert (logits - values["unembed.hook_out"]).norm() < 1e-5 * logits.norm()
    flat = {name: values[name].reshape(len(ids), -1) for name in SITES}
    return {"text": text, "dtype": "float64", "mean_loss": float(token_loss(values["unembed.hook_out"], ids).mean()),
            "sites": {name: {"width": v.shape[1], "norm": v.norm(dim=-1).tolist(), "last_first8": v[-1, :8].tolist()}
                      for name, v in flat.items()}}


@torch.no_grad()
def greedy(model, tokenizer, text, count):
    ids = tokenizer.encode(text).ids
    out = model.generate(torch.tensor([ids]), max_new_tokens=count, do_sample=False)[0, len(ids):].tolist()
    return {"text": text, "ids": out, "generated": tokenizer.decode(out, skip_special_tokens=False)}


def main():
    model, tokenizer = load()
    write_json(OUT / "reference.json", {
        **ABOUT, "texts": [text_record(model, tokenizer, text) for text in TEXTS],
        "greedy": greedy(model, tokenizer, "The capital of France is", 64),
        "activations": sites(model, tokenizer, TEXTS[0]),
        "blimp": {name: paradigm(model, tokenizer, name) for name in PARADIGMS}})


if __name__ == "__main__":
    main()
