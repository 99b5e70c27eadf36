#!/usr/bin/env bash
# usage: tools/lint.sh [FILE ...]   – clang-tidy with the short list of .clang-tidy on the sources; fails on any finding.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/deps.sh clang-14 clang-tidy-14 libomp-14-dev
cmake --preset clang >/dev/null
files=("$@")
[ $# -gt 0 ] || mapfile -t files < <(git ls-files 'src/*.c')
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 8 clang-tidy-14 -p build/clang --quiet 2>/dev/null
