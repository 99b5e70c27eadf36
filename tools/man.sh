#!/usr/bin/env bash
# usage: tools/man.sh SONDE FOLDER   – writes sonde.1 and one page a command, from the rows of the commands and methods.
set -euo pipefail
sonde=$1 folder=$2
mkdir -p "$folder"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$(dirname "$0")" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
"$sonde" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+( [a-z]+)?)  .*/\1/p' | while read -r command; do
	# shellcheck disable=SC2086
	"$sonde" --man $command >"$folder/sonde-${command/ /-}.1"
done
"$sonde" --man >"$folder/sonde.1"
