#!/usr/bin/env bash
# House style, as far as a script sees it. C: lines of at most 120 columns (a tab is 4), functions of at most 60 lines.
# All: files of at most 800 lines, no blanks at line ends. The library: no output, exit, hidden state, locale, unbounded copy.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
mapfile -t code < <(find src include tests examples bench -name '*.[ch]')
mapfile -t script < <(find tools tests bench .ci \( -name '*.sh' -o -name '*.py' -o -name CMakeLists.txt -o -name run \) -type f)
mapfile -t library < <(find src -name '*.[ch]' -not -path 'src/cli/*')
bad=0
report() { [ -z "$1" ] || { printf '%s\n' "$1"; bad=1; }; }

report "$(awk '
	/[ \t]$/ { print FILENAME ":" FNR ": blanks at the end of the line" }
	FNR == 801 { print FILENAME ":801: a file of more than 800 lines" }' "${code[@]}" "${script[@]}" Makefile CMakeLists.txt)"

# columns are characters: the bytes \200-\277, which continue one, are taken out
report "$(awk '
	length($0) > 90 {
		line = $0; gsub(/[\200-\277]/, "", line); n = 0
		for (i = 1; i <= length(line); i++) n += substr(line, i, 1) == "\t" ? 4 - n % 4 : 1
		if (n > 120) print FILENAME ":" FNR ": " n " columns, at most 120"
	}' "${code[@]}")"

# a function: a line that begins with a letter and holds "(", then "{" at the left edge, up to "}" at the left edge
report "$(awk '
	FNR == 1 { start = 0 }
	/^\{/ { start = FNR; name = head }
	/^[a-zA-Z_].*\(/ { head = $0; sub(/\(.*/, "", head); sub(/.*[ *]/, "", head) }
	/^}/ && start {
		if (FNR - start > 61) print FILENAME ":" start ": " name " has " FNR - start - 1 " lines, at most 60"
		start = 0
	}' "${code[@]}")"

calls='printf|vprintf|puts|putchar|perror|exit|_exit|quick_exit|abort|strtok|strcpy|strcat|sprintf|vsprintf|gets|alloca'
calls+='|atoi|atol|atoll|atof|strtod|strtof|scanf|sscanf|fscanf|setlocale|rand|srand|random|drand48|system|popen|tmpnam|mktemp'
calls+='|asctime|ctime|localtime|gmtime'
report "$(grep -nE "(^|[^a-zA-Z0-9_.>])($calls)\(|fprintf\(std|fput[sc]\(.*std(out|err)" "${library[@]}" |
	grep -vE '^src/base/(ctx|text)\.c:|^[^:]+:[0-9]+:[[:space:]]*(/?\*|//)' | sed 's/$/   <- not in the library/' || true)"
report "$(grep -nE '(^|[[:space:]"(])-(ffast-math|Ofast|funsafe-math-optimizations)' CMakeLists.txt CMakePresets.json Makefile \
	tests/CMakeLists.txt || true)"
exit $bad
