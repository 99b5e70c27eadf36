#!/usr/bin/env bash
# usage: tools/test.sh PRESET   – runs all tests of a built preset and closes with `N passed, N failed, N skipped`.
# Under the sanitizers the tests on the real model are left out, and the planted ones take three seeds of noise for ten: the
# tiny ones go through the same code in seconds.
set -uo pipefail
cd "$(dirname "$0")/.."
tools/models.sh smollm2 >/dev/null || echo "no model: tests that need SmolLM2 are skipped" >&2
tools/models.sh minilm >/dev/null || echo "no MiniLM: tests that need it are skipped" >&2
log=build/$1/ctest.log
choice=()
[ "$1" = asan ] && choice=(--label-exclude model) && export SN_PLANTED_SEEDS="${SN_PLANTED_SEEDS:-3}"
ctest --test-dir "build/$1" -j2 --output-on-failure "${choice[@]}" 2>&1 | tee "$log" | grep -vE '^(Internal ctest|Test project)'
count() { grep -cE "^ *[0-9]+/[0-9]+ Test $1" "$log"; }
total=$(count '') passed=$(count '.* Passed ') skipped=$(count '.*\*\*\*Skipped ')
failed=$((total - passed - skipped))
grep -E '^ *[0-9]+/[0-9]+ Test .*\*\*\*Skipped ' "$log" | sed -E 's/.*: ([a-z0-9_]+) .*/skipped: \1/'
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
