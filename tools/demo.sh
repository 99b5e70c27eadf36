#!/usr/bin/env bash
# What `make demo` runs: SmolLM2, English number agreement, about a minute and a half on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
out=out/demo
model=$(tools/models.sh smollm2)
mkdir -p "$out"
set -x
build/release/sonde localize --model "$model" --phenomenon en/number-agreement --effort quick --out "$out" >"$out/terminal.txt"
{ set +x; } 2>/dev/null
sed '/^$/q' "$out/terminal.txt"   # the summary stands above the first blank line
echo "Tables: $out/terminal.txt, $out/rows.csv, $out/result.json; the run is kept in $out/runs.sqlite"
echo "Report: $PWD/$out/report.html"
