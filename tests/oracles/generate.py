"""What transformers' generate writes: greedy, with a repetition penalty, and by beam search, on the tiny random models of
every architecture that generates (tiny_arch.py), and on SmolLM2.

usage: tests/oracles/run.sh generate.py        tests/golden/generate
       SONDE_VARIANTS=gpt2,bart tests/oracles/run.sh generate.py      says whether the file agrees
"""
import copy
import json
import os
import zlib

import torch
import transformers
from transformers import GenerationConfig

import arch_decoders
import arch_encdec
import smollm2
from common import GOLDEN, SMOLLM2, versions, write_json
from tiny_arch import ENCODER_ROWS, ROWS, draw_rows, random_model

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
OUT = GOLDEN / "generate"
ABOUT = dict(made_by="tests/oracles/generate.py", dtype="float32", versions=versions("torch", "transformers"))
GREEDY_TOKENS, BEAM_TOKENS, WIDTH = 16, 12, 4
CASES = [("greedy", dict(max_new_tokens=GREEDY_TOKENS)),
         ("penalty", dict(max_new_tokens=GREEDY_TOKENS, repetition_penalty=1.3))]
CASES += [(f"beam-{penalty}-{early}".lower(),
           dict(max_new_tokens=BEAM_TOKENS, num_beams=WIDTH, length_penalty=penalty, early_stopping=early,
                num_return_sequences=WIDTH if early is False else 1))
          for penalty in (1.0, 0.6) for early in (False, True, "never")]
FORCED = ("forced", dict(max_new_tokens=6, num_beams=WIDTH, forced_bos_token_id=9, forced_eos_token_id=11))
# Their angles depend on the row's length; a cache keeps keys that were rotated for another one, and the model itself
# remembers the longest row.
NO_CACHE = {"llama-dynamic", "phi3-longrope"}
LONGEST = {"llama-dynamic": 12}   # rows that the configuration allows; transformers would go on
SDPA = {"falcon-rw"}   # its eager attention adds ALiBi elsewhere; what transformers takes by itself is this one


def continuations(output, skip, eos):
    """New tokens of each sequence, up to the end token, without what pads it; and the beams' scores."""
    found = []
    for ids in output.sequences[:, skip:].tolist():
        found.append(ids[:ids.index(eos) + 1] if eos in ids else ids)
    return found, getattr(output, "sequences_scores", None)


@torch.no_grad()
def generate(model, row, encoder_row, eos, cache, options, longest=None):
    if longest:
        options = options | {"max_new_tokens": min(options["max_new_tokens"], longest - len(row))}
    model = model if cache else copy.deepcopy(model)
    model.generation_config = GenerationConfig(eos_token_id=eos, pad_token_id=0, use_cache=cache)
    if encoder_row:
        inputs, skip = dict(input_ids=torch.tensor([encoder_row]), decoder_start_token_id=row[0]), 1
    else:
        inputs, skip = dict(input_ids=torch.tensor([row])), len(row)
    output = model.generate(**inputs, **options, do_sample=False, return_dict_in_generate=True, output_scores=True)
    ids, scores = continuations(output, skip, eos if eos is not None else -1)
    record = {"ids": ids}
    if scores is not None:
        record["scores"] = [round(float(score), 6) for score in scores]
    return record


def end_token(ids):
    """One that greedy decoding comes to after some tokens, so that texts end at different lengths."""
    return next((token for i, token in enumerate(ids) if i >= 4 and token not in ids[:i]), ids[-1])


def variant(family, name, kind, config):
    seed = zlib.crc32(name.encode())
    model, rows = random_model(kind, config, seed), draw_rows(config, seed, ROWS)
    encoder_rows = [None] * len(rows)
    if family is arch_encdec:
        arch_encdec.untied(model, seed)
        encoder_rows = draw_rows(config, seed + 1, ENCODER_ROWS)
    cache = name not in NO_CACHE
    if name in SDPA:
        model.config._attn_implementation = "sdpa"
    longest = LONGEST.get(name)
    eos = end_token(generate(model, rows[0], encoder_rows[0], None, cache, CASES[0][1], longest)["ids"][0])
    record = {"eos": eos, "rows": []}
    for row, encoder_row in zip(rows, encoder_rows):
        start = {"prompt": row[:1], "source": encoder_row} if encoder_row else {"prompt": row}
        cases = {case: generate(model, row, encoder_row, eos, cache, options, longest)
                 for case, options in CASES + ([FORCED] if encoder_row else [])}
        record["rows"].append({**start, **cases})
    return record


def tiny(wanted):
    return {name: variant(family, name, kind, config)
            for family in (arch_decoders, arch_encdec)
            for name, (kind, config) in family.variants().items() if not wanted or name in wanted}


def real():
    """SmolLM2 with its own end token."""
    model, tokenizer = smollm2.load()
    text, cases = "The capital of France is", {}
    row, eos = tokenizer.encode(text).ids, model.config.eos_token_id
    for case, options in (("greedy", dict(max_new_tokens=64)),
                          ("penalty", dict(max_new_tokens=32, repetition_penalty=1.3)),
                          ("beam-1.0-false", dict(max_new_tokens=32, num_beams=4, num_return_sequences=4)),
                          ("beam-0.6-true", dict(max_new_tokens=24, num_beams=4, length_penalty=0.6,
                                                 early_stopping=True))):
        cases[case] = generate(model, row, None, eos, True, options)
    return {"text": text, "eos": eos, "prompt": row, **cases}


def main():
    wanted = [name for name in os.environ.get("SONDE_VARIANTS", "").split(",") if name]
    models = tiny(wanted)
    if wanted:
        committed = json.loads((OUT / "tiny.json").read_text())["models"]
        print({name: committed[name] == models[name] for name in models})
        return
    write_json(OUT / "tiny.json", {**ABOUT, "cases": dict(CASES + [FORCED]), "models": models})
    write_json(OUT / "smollm2.json", {**ABOUT, "model": SMOLLM2.name, **real()})


if __name__ == "__main__":
    main()
