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
ninja -C build/release --quiet bench_forward bench_first_logits bench_gemm test_localize_planted
export OMP_NUM_THREADS=2
timed() { /usr/bin/env python3 bench/timed.py "$@"; }

[ -f "$out/hf/config.json" ] || "$python" bench/peer.py prepare "$model" "$out/hf"
build/release/bench/bench_gemm | tee "$out/gemm.jsonl"
: >"$out/runs.jsonl"
for i in $(seq "$repetitions"); do
	build/release/bench/bench_forward "$model" "$corpus" 512 "$out/sonde.safetensors" | tee -a "$out/runs.jsonl"
	"$python" bench/peer.py forward "$out/hf" "$corpus" 512 "$out/peer.bin" | tee -a "$out/runs.jsonl"
	timed "sonde first logits" build/release/bench/bench_first_logits "$model" | tee -a "$out/runs.jsonl"
	timed "transformers first logits" "$python" bench/peer.py first_logits "$out/hf" | tee -a "$out/runs.jsonl"
done
"$python" bench/peer.py agree "$out/hf" "$corpus" 32 "$out/sonde.safetensors" | tee -a "$out/runs.jsonl"
rm -f "$out/sonde.safetensors" "$out/peer.bin"
for effort in quick standard; do
	timed "sonde localize $effort" build/release/sonde localize --model "$model" --phenomenon en/number-agreement --effort $effort \
		--out "$out/localize-$effort" --quiet | tee -a "$out/runs.jsonl"
done
python3 bench/summary.py "$out/runs.jsonl" "$(git rev-parse --short HEAD)" bench/history.tsv
# the planted models under a hundred noise seeds: how many reports hold a false verdict
SN_PLANTED_SEEDS=100 build/release/tests/test_localize_planted | grep 'false verdict' | tee "$out/planted.txt"
