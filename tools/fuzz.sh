#!/usr/bin/env bash
# usage: tools/fuzz.sh [SECONDS] [DRIVER...]   – runs each fuzz driver for SECONDS (300), one after the other, at low priority.
# What it finds that is new goes to build/fuzz/found/DRIVER; an input that breaks a parser to build/fuzz/broken. Exit code 1 if
# there is one: commit it to tests/fuzz/corpus/DRIVER with the fix.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}
shift || true
tools/deps.sh clang-14 libclang-rt-14-dev libomp-14-dev || exit 2
cmake --preset fuzz >/dev/null && ninja -C build/fuzz --quiet fuzzers || exit 1
mkdir -p build/fuzz/broken
drivers=("$@")
[ $# -gt 0 ] || drivers=($(ls tests/fuzz/corpus))
failed=0
for name in "${drivers[@]}"; do
	mkdir -p "build/fuzz/found/$name"
	log=build/fuzz/$name.log
	nice -n 19 "build/fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1024 -max_len=65536 \
		-malloc_limit_mb=256 -artifact_prefix="build/fuzz/broken/$name-" "build/fuzz/found/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1
	status=$?
	echo "$name: $(grep -oE 'Done [0-9]+ runs in [0-9]+ second' "$log" || echo "FAILED, see $log")s, $(grep -oE 'cov: [0-9]+' "$log" | tail -1)"
	[ $status -eq 0 ] || failed=1
done
exit $failed
