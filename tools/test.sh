#!/usr/bin/env bash
# usage: tools/test.sh PRESET   – runs all tests of a built preset and closes with `N passed, N failed, N skipped`.
set -uo pipefail
cd "$(dirname "$0")/.."
tools/models.sh smollm2 >/dev/null || echo "no model: tests that need SmolLM2 are skipped" >&2
log=build/$1/ctest.log
ctest --test-dir "build/$1" -j2 --output-on-failure 2>&1 | tee "$log" | grep -vE '^(Internal ctest|Test project)'
passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log")
skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*Skipped ' "$log")
total=$(grep -cE '^ *[0-9]+/[0-9]+ Test ' "$log")
failed=$((total - passed - skipped))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
