#!/usr/bin/env bash
# Fails on an include against the arrows of the design: each folder may include itself and what stands behind its colon.
set -euo pipefail
cd "$(dirname "$0")/.."
declare -A may=(
	[base]="" [tensor]="base" [io]="base" [text]="io base" [data]="text io tensor base" [stats]="tensor base"
	[model]="data text io tensor base" [methods]="model stats data tensor base" [store]="data base"
	[report]="store data base" [cli]="report store methods model stats data text io tensor base"
)
bad=0
while IFS=: read -r file line text; do
	from=${file#src/}; from=${from%%/*}
	to=$(sed -E 's/.*"([a-z_]+)\/.*/\1/' <<<"$text")
	[ "$from" = "$to" ] || [[ " ${may[$from]-} " == *" $to "* ]] || { echo "$file:$line: $from may not include $to/"; bad=1; }
done < <(grep -nE '^#include "[a-z_]+/' -r src --include='*.[ch]')
# a method never includes another family's or another method's header
while IFS=: read -r file line text; do
	family=$(cut -d/ -f3 <<<"$file"); other=$(sed -E 's/.*"methods\/([a-z_]+)\/.*/\1/' <<<"$text")
	[ "$family" = "$other" ] || { echo "$file:$line: methods/$family may not include methods/$other"; bad=1; }
done < <(grep -nE '^#include "methods/[a-z_]+/' -r src/methods --include='*.[ch]' || true)
exit $bad
