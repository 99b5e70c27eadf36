#!/usr/bin/env bash
# usage: bench/run.sh [REPETITIONS]   – Sonde against transformers on the same work in the same run, interleaved.
# SONDE_BENCH_PYTHON: a Python that has bench/requirements.txt; otherwise one is made under build/bench.
set -euo pipefail
cd "$(dirname "$0")/.."
repetitions=${1:-5}
model=$(tools/models.sh smollm2)
corpus=../shared/data/ud/en_ewt-ud-dev.conllu
out=build/bench; mkdir -p "$out"
[ -f "$corpus" ] || { echo "the benchmark needs $corpus" >&2; exit 2; }
python=${SONDE_BENCH_PYTHON:-$out/venv/bin/python}
if [ ! -x "$python" ]; then
	python3 -m venv "$out/venv"
	"$out/venv/bin/pip" install -q -r bench/requirements.txt
fi
ninja -C build/release --quiet bench_forward bench_first_logits bench_gemm bench_tokenize bench_probe test_localize_planted
export OMP_NUM_THREADS=2
timed() { /usr/bin/env python3 bench/timed.py "$@"; }

[ -f "$out/hf/config.json" ] || "$python" bench/peer.py prepare "$model" "$out/hf"
build/release/bench/bench_gemm | tee "$out/gemm.jsonl"
zoo=tests/golden/tokenizer/zoo
"$python" bench/tokenize.py build/release/bench/bench_tokenize 5 "$corpus" -- $zoo/{bert-uncased,roberta,clip,llama2,llama3,t5}.json | tee "$out/tokenize.txt"
: >"$out/runs.jsonl"
for i in $(seq "$repetitions"); do
	build/release/bench/bench_forward "$model" "$corpus" 512 "$out/sonde.safetensors" | tee -a "$out/runs.jsonl"
	"$python" bench/peer.py forward "$out/hf" "$corpus" 512 "$out/peer.bin" | tee -a "$out/runs.jsonl"
	timed "sonde first logits" build/release/bench/bench_first_logits "$model" | tee -a "$out/runs.jsonl"
	timed "transformers first logits" "$python" bench/peer.py first_logits "$out/hf" | tee -a "$out/runs.jsonl"
done
"$python" bench/peer.py agree "$out/hf" "$corpus" 32 "$out/sonde.safetensors" | tee -a "$out/runs.jsonl"
rm -f "$out/sonde.safetensors" "$out/peer.bin"
# probes of eight layers on the same arrays: task and control, five strengths
grep '^# text = ' "$corpus" | head -512 | cut -c10- >"$out/texts.txt"
build/release/sonde capture --model "$model" --data "$out/texts.txt" --out "$out/words.safetensors" --quiet >/dev/null --sites \
	"blocks.0.hook_resid_pre,$(for l in 3 7 11 15 19 23 29; do printf 'blocks.%d.hook_resid_post,' $l; done | sed 's/,$//')"
"$python" bench/peers/probe.py prepare "$out/words.safetensors" "$corpus" 512 "$out/arrays.safetensors"
for i in $(seq "$repetitions"); do
	build/release/bench/bench_probe "$out/arrays.safetensors" "$out/sonde-coef.safetensors" 1e-3 | tee -a "$out/runs.jsonl"
	"$python" bench/peers/probe.py fit "$out/arrays.safetensors" "$out/peer-coef.safetensors" | tee -a "$out/runs.jsonl"
done
"$python" bench/peers/probe.py agree "$out/arrays.safetensors" "$out/sonde-coef.safetensors" "$out/peer-coef.safetensors" | tee -a "$out/runs.jsonl"
for effort in quick standard; do
	timed "sonde localize $effort" build/release/sonde localize --model "$model" --phenomenon en/number-agreement --effort $effort \
		--out "$out/localize-$effort" --quiet | tee -a "$out/runs.jsonl"
done
python3 bench/summary.py "$out/runs.jsonl" "$(git rev-parse --short HEAD)" bench/history.tsv
# the planted models under a hundred noise seeds: how many reports hold a false verdict
SN_PLANTED_SEEDS=100 build/release/tests/test_localize_planted | grep 'false verdict' | tee "$out/planted.txt"
