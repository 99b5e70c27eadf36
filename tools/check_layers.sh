#!/usr/bin/env bash
# Fails on an include against the arrows of the design: each folder may include itself and what stands behind its colon.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -nE '^#include "[a-z_]+/' -r src --include='*.[ch]' | awk -F: '
	BEGIN {
		may["base"] = ""; may["tensor"] = "base"; may["io"] = "base"; may["text"] = "io base"
		may["data"] = "text io tensor base"; may["stats"] = "tensor base"; may["model"] = "data text io tensor base"
		may["methods"] = "model stats data tensor base"; may["store"] = "data base"; may["report"] = "store data base"
		may["cli"] = "report store methods model stats data text io tensor base"
	}
	{
		split($1, path, "/"); split($3, word, "\""); split(word[2], to, "/")
		if (path[2] != to[1] && index(" " may[path[2]] " ", " " to[1] " ") == 0) {
			print $1 ":" $2 ": " path[2] " may not include " to[1] "/"; bad = 1
		}
		# a method never includes another family or another method
		if (path[2] == "methods" && to[1] == "methods" && path[3] != to[2]) {
			print $1 ":" $2 ": methods/" path[3] " may not include methods/" to[2]; bad = 1
		}
	}
	END { exit bad }'
