#!/usr/bin/env bash
# usage: bench/run.sh [--smoke] [--resume] [REPETITIONS] [ROW...]   – Sonde and its peers on the same work in the same run, interleaved
#        bench/run.sh                  all rows (bench/rows/*.toml), five repetitions: an hour or more on an idle machine
#        bench/run.sh 1 forward grid   these rows once
#        bench/run.sh --smoke          tiny sizes, once: does everything run?
#        bench/run.sh --resume         goes on with an interrupted run of this commit
#        bench/run.sh --size pairs=200 1 blimp      another size than bench/rows/blimp.toml says
# SONDE_BENCH_PYTHON: a Python that has bench/requirements.txt; otherwise one is made in build/bench/venv (3 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/bench; mkdir -p "$out"
options=() repetitions=5
while :; do
	case "${1-}" in
	--smoke) options+=(--smoke) repetitions=1; shift ;;
	--resume) options+=(--resume); shift ;;
	--size) options+=(--size "$2"); shift 2 ;;
	*) break ;;
	esac
done
[[ "${1-}" =~ ^[0-9]+$ ]] && { repetitions=$1; shift; }
model=$(tools/models.sh smollm2)
[ -d ../shared/data/ud ] || { echo "the benchmark needs ../shared/data" >&2; exit 2; }
python=${SONDE_BENCH_PYTHON:-$out/venv/bin/python}
if [ -z "${SONDE_BENCH_PYTHON-}" ] && ! cmp -s bench/requirements.txt "$out/requirements.txt"; then
	python3 -m venv "$out/venv"
	"$out/venv/bin/pip" install -q -r bench/requirements.txt
	cp bench/requirements.txt "$out/requirements.txt"
fi
ninja -C build/release --quiet bench
# all sides: two threads; waiting threads of one side never run beside the other, for sides run one after the other
export OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 PYTHONDONTWRITEBYTECODE=1
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TOKENIZERS_PARALLELISM=false TQDM_DISABLE=1 WANDB_MODE=disabled
[ -f "$out/hf/config.json" ] || "$python" bench/peers/convert.py "$model" "$out/hf"
exec python3 bench/bench.py "${options[@]}" --python "$python" "$repetitions" "$@"
