#!/usr/bin/env bash
# The fast tests under ThreadSanitizer (clang, libomp; Archer tells it what OpenMP synchronises). Libraries that were not
# built with it (oneDNN, OpenBLAS) are not looked into.
set -euo pipefail
cd "$(dirname "$0")/.."
for need in clang-14 /usr/lib/llvm-14/lib/libarcher.so; do
	command -v "$need" >/dev/null || [ -e "$need" ] || { echo "needs: apt-get install clang-14 libomp-14-dev" >&2; exit 2; }
done
cmake --preset tsan >/dev/null && ninja -C build/tsan --quiet
TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66" ctest --test-dir build/tsan -L fast -j2 --output-on-failure
