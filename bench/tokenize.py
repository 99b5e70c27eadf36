"""usage: tokenize.py BENCH_TOKENIZE REPETITIONS CONLLU... -- TOKENIZER...   Sonde beside the tokenizers package, one thread each.

Sentences one by one (encode) and in one call (encode_batch); the best of so many rounds; prints the ratios to the faster of the two as
one JSON line."""
import json
import os
import subprocess
import sys
import time

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}

from tokenizers import Tokenizer, __version__


def sentences(paths):
    for path in paths:
        for line in open(path, encoding="utf-8"):
            if line.startswith("# text = "):
                yield line.removeprefix("# text = ").rstrip("\n")


def best(rounds, run):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        n = run()
        times.append(time.perf_counter() - start)
    return min(times), n


def main():
    split = sys.argv.index("--")
    program, rounds, corpora, paths = sys.argv[1], int(sys.argv[2]), sys.argv[3:split], sys.argv[split + 1:]
    texts = list(sentences(corpora))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    lines, same = [], True
    for path in paths:
        ours = json.loads(subprocess.run([program, path, str(rounds), *corpora], check=True, capture_output=True).stdout)
        tokenizer = Tokenizer.from_file(path if path.endswith(".json") else path + "/tokenizer.json")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        single, n = best(rounds, lambda: sum(len(tokenizer.encode(text).ids) for text in texts))
        batch, _ = best(rounds, lambda: sum(len(e.ids) for e in tokenizer.encode_batch(texts)))
        same &= n == ours["tokens"]
        theirs = min(single, batch)
        lines.append(f"{os.path.basename(path).removesuffix('.json')} {ours['mb_s']:.1f} MB/s, tokenizers {__version__} {megabytes / theirs:.1f}: "
                     f"{theirs / ours['seconds']:.2f}")
    print(json.dumps({"ok": same, "agreement": "; ".join(lines) + ("" if same else "; OTHER numbers of tokens")}))


if __name__ == "__main__":
    main()
