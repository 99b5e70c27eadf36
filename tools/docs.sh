#!/usr/bin/env bash
# usage: tools/docs.sh           – writes docs/commands.md from the help of every command, then checks as below
#        tools/docs.sh --check [SONDE]   – what README.md and docs/ name exists: commands, their options, files
set -euo pipefail
cd "$(dirname "$0")/.."
sonde=${2:-build/release/sonde}
commands() { "$sonde" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+( [a-z-]+)?)  .*/\1/p'; }
# everything but the common options, which are the same everywhere
own_help() { "$sonde" $1 --help | awk '/^Common options:/ { skip = 1; next } /^[A-Z]/ { skip = 0 } !skip' | cat -s; }

if [ "${1-}" != --check ]; then
	{
		echo "# Commands"
		echo
		echo "Written by \`make docs\` from the rows of the commands and methods; edit those. Version: $("$sonde" --version)."
		printf '\n```text\n%s\n```\n' "$("$sonde" --help)"
		commands | while read -r c; do printf '\n## sonde %s\n\n```text\n%s\n```\n' "$c" "$(own_help "$c")"; done
	} >docs/commands.md.new
	mv docs/commands.md.new docs/commands.md
	echo "docs/commands.md: $(grep -c '^## ' docs/commands.md) commands"
fi

bad=0
complain() { echo "$1"; bad=1; }
known=$(commands)
families=$(cut -d' ' -f1 <<<"$known" | sort -u)
declare -A help
for file in README.md CONTRIBUTING.md docs/*.md; do
	[ "$file" != docs/commands.md ] || continue
	# lines in code that call the program; a line that ends in a backslash goes on
	while IFS= read -r line; do
		words=$(sed -E 's/^.*(^|[ `/])sonde //; s/[`#|>].*//' <<<"$line")
		read -r first second _ <<<"$words"
		if grep -qxF -- "$first $second" <<<"$known"; then c="$first $second"
		elif grep -qxF -- "$first" <<<"$known"; then c=$first
		elif grep -qxF -- "$first" <<<"$families" || [[ "$first" == -* || "$first" =~ ^[A-Z…] || -z "$first" ]]; then continue
		else complain "$file: there is no command: sonde $words"; continue; fi
		[ -n "${help[$c]-}" ] || help[$c]=$("$sonde" $c --help)
		for option in $(grep -oE -- '(^| )--[a-z][a-z-]*' <<<"$words" || true); do
			grep -qE -- "^  $option( |$)" <<<"${help[$c]}" || complain "$file: sonde $c has no option $option"
		done
	done < <(sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$file" | grep -oE '(^|`|\$ |build/release/)sonde [^`]*' || true)
	while IFS= read -r link; do
		[[ "$link" == http* || "$link" == \#* ]] || [ -e "$(dirname "$file")/${link%%#*}" ] || complain "$file: no such file: $link"
	done < <(grep -oE '\]\([^) ]+\)' "$file" | sed -E 's/^\]\(//; s/\)$//' || true)
	while IFS= read -r path; do
		[ -e "$path" ] || complain "$file: no such file: $path"
	done < <(grep -oE '`(src|tests|tools|include|suites|docs|examples|bench)/[A-Za-z0-9_./-]+`' "$file" | tr -d '`' | sort -u || true)
done
[ "$bad" -eq 0 ] || exit 1
echo "docs: every command, option and file named exists"
