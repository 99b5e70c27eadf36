#!/usr/bin/env bash
# usage: example.sh PATCH_EXAMPLE   – the example runs on SmolLM2 and its curves begin and end where they must in any causal
# model: at layer 0 the whole choice stands in the subject's token, in the last layers in the last word's.
set -uo pipefail
model=$(dirname "$0")/../models/SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$model" ] || { echo "skipped: $model is absent"; exit 77; }
out=$("$1" "$model") || { echo "exit code $?"; exit 1; }
echo "$out"
awk 'NR == 1 && !(/singular -[0-9.]+, plural [0-9.]+ nats/) { print "no agreement"; bad = 1 }
	NR == 3 && !($1 == 0 && $2 == 1 && $3 == 0) { print "layer 0: expected 1 and 0"; bad = 1 }
	NR > 2 { layers++; subject = $2; last = $3 }
	END {
		if (layers != 30) { print layers " layers, expected 30"; bad = 1 }
		if (subject > 0.2 || last < 0.8) { print "last layer: expected about 0 and 1"; bad = 1 }
		exit bad
	}' <<<"$out"
