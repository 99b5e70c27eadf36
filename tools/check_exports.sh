#!/usr/bin/env bash
# usage: tools/check_exports.sh LIBSONDE.SO   – what the header declares, what tools/sonde.map names and what the shared library
# exports are one list.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# SN_API declarations end in a semicolon, maybe lines later; the name stands before "(", or the names are objects
sed 's,/\*.*\*/,,' include/sonde.h | awk '/^SN_API/ { open = 1; text = "" } open { text = text " " $0 } open && /;/ { print text; open = 0 }' |
	sed -E 's/\(.*//; s/;.*//; s/^.*SN_API (SN_CHECKED )?//; s/^extern const sn_sink //' | tr ',' '\n' |
	grep -oE 'sn_[a-z0-9_]+ *$' | tr -d ' ' | sort >"$work/header"
sed '/local:/d' tools/sonde.map | grep -oE 'sn_[a-z0-9_]+' | sort >"$work/map"
nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/library"
[ -s "$work/header" ] || { echo "no SN_API declaration found in include/sonde.h"; exit 1; }
diff "$work/header" "$work/map" >"$work/diff" || { echo "include/sonde.h (<) and tools/sonde.map (>) differ:"; cat "$work/diff"; exit 1; }
diff "$work/map" "$work/library" >"$work/diff" || { echo "tools/sonde.map (<) and $1 (>) differ:"; cat "$work/diff"; exit 1; }
