#!/usr/bin/env bash
# Every header compiles alone in C11; the public one also in C++ and under -pedantic. The public header stays below 800 lines.
set -euo pipefail
cd "$(dirname "$0")/.."
for h in include/sonde.h $(find src -name '*.h'); do
	printf '#include "%s"\n' "$(sed 's,^\(include\|src\)/,,' <<<"$h")" |
		"${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -Iinclude -Isrc -fsyntax-only -x c - || { echo "$h does not compile alone"; exit 1; }
done
echo '#include "sonde.h"' | "${CC:-cc}" -std=c11 -pedantic -Werror -Iinclude -fsyntax-only -x c -
echo '#include "sonde.h"' | "${CXX:-c++}" -std=c++17 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ -
[ "$(wc -l <include/sonde.h)" -le 800 ] || { echo "include/sonde.h is over 800 lines"; exit 1; }
