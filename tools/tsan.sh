#!/usr/bin/env bash
# The fast tests under ThreadSanitizer (clang with libomp; Archer tells it what OpenMP synchronises). Libraries that were not
# built with it (oneDNN, OpenBLAS) are not looked into.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/deps.sh clang-14 libclang-rt-14-dev libomp-14-dev
cmake --preset tsan >/dev/null && ninja -C build/tsan --quiet
TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66" ctest --test-dir build/tsan -L fast -j2 --output-on-failure
