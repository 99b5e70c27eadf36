#!/usr/bin/env bash
# usage: install.sh BUILD_FOLDER CC   – what `make install` leaves: the program runs, a program compiles against it with pkg-config
# alone and links, shared and static libraries are there, and the manual pages have no mistake.
set -euo pipefail
build=$1 cc=$2
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/usr" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$work/usr" -name sonde.pc)")
export PKG_CONFIG_PATH LD_LIBRARY_PATH=$work/usr/lib

[ "$(pkg-config --modversion sonde)" = "$("$work/usr/bin/sonde" --version | cut -d' ' -f2)" ] || { echo "versions differ"; exit 1; }
# shellcheck disable=SC2046
"$cc" -std=c11 "$root/examples/patch.c" -o "$work/patch" $(pkg-config --cflags --libs sonde) -lm
"$work/patch" "$work/none" 2>"$work/err" && { echo "the example opened a model that is not there"; exit 1; }
grep -q 'no such model' "$work/err" || { cat "$work/err"; exit 1; }
[ -e "$work/usr/lib/libsonde.a" ] && [ -e "$work/usr/share/sonde/en/number-agreement.json" ]
pkg-config --static --libs sonde | grep -q -- -ldnnl

pages=("$work"/usr/share/man/man1/*.1)
for command in localize model-pull model-check; do
	[ -s "$work/usr/share/man/man1/sonde-$command.1" ] || { echo "no page sonde-$command.1"; exit 1; }
done
checked=no
if command -v mandoc >/dev/null; then mandoc -Tlint -W warning "${pages[@]}"; checked=mandoc; fi
if command -v groff >/dev/null; then
	for page in "${pages[@]}"; do groff -ww -man -Tascii "$page" 2>&1 >/dev/null | { ! grep .; }; done
	checked="$checked groff"
fi
echo "${#pages[@]} pages checked by: $checked"
[ "$checked" != no ]
