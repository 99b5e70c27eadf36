#!/usr/bin/env bash
# usage: tools/deps.sh [PACKAGE...]
# Debian packages that Sonde builds with, listed once, and those a tool needs besides. Installs what is missing as root;
# otherwise prints the command.
set -euo pipefail
packages=(gcc g++ make cmake ninja-build pkg-config ca-certificates python3 python3-pip
	libdnnl-dev libopenblas-openmp-dev liblapacke-dev libonig-dev libutf8proc-dev libjansson-dev libsqlite3-dev libssl-dev
	libcurl4-openssl-dev libcmocka-dev libopenmpi-dev openmpi-bin mandoc "$@")
missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ]; then
	echo "installing: ${missing[*]}" >&2
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
	echo "Sonde needs packages that are not installed. Run this once, then again what you ran:" >&2
	echo "  sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
	exit 2
fi
