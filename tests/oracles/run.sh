#!/usr/bin/env bash
# Remakes every file under tests/golden/ with independent tools (`make oracles`); `git diff` then says what moved.
# usage: tests/oracles/run.sh [SCRIPT ...]     e.g. tests/oracles/run.sh stats.py
# SONDE_ORACLE_PYTHON   a Python that has requirements.txt already (default: a virtual environment in build/oracles)
# SONDE_MODELS          folder with the SmolLM2 GGUF (default: models/, see tools/models.sh)
# SONDE_SHARED          folder with data/ (default: ../shared)
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${SONDE_ORACLE_PYTHON:-build/oracles/bin/python}
if [ -z "${SONDE_ORACLE_PYTHON:-}" ] && ! cmp -s tests/oracles/requirements.txt build/oracles/requirements.txt; then
	python3 -m venv build/oracles
	build/oracles/bin/pip install --quiet -r tests/oracles/requirements.txt
	cp tests/oracles/requirements.txt build/oracles/requirements.txt
fi

export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TQDM_DISABLE=1
scripts=("$@")
[ $# -gt 0 ] || scripts=(tiny_llama.py tiny_arch.py real_models.py gguf_dequant.py gguf_split.py torch_files.py tokenizer.py tokenizer_stages.py
	unicode_newer.py tokenizer_zoo.py tokenizer_variants.py tokenizer_folders.py
	sentencepiece_models.py sentencepiece_folders.py gemma_tokenizer.py gguf_pre.py stats.py probes.py smollm2.py interchange.py generate.py
	attention.py readout.py
	estimates.py gradients.py lrp.py attribution_captum.py attribution_deeplift.py attribution_ablation.py
	frequency.py paradigms.py hub.py surprisal.py lens.py)
for script in "${scripts[@]}"; do
	echo "$script"
	"$python" "tests/oracles/$script"
done
