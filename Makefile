# A thin face on CMake: make demo, test, bench, asan, tsan, lint, fuzz, fmt, docs, oracles, clean.
SONDE = build/release/sonde
.PHONY: all demo test bench asan tsan lint fuzz fmt docs oracles install clean deps

all: deps
	@cmake --preset release >/dev/null && ninja -C build/release --quiet

deps:
	@tools/deps.sh

demo: all
	@tools/demo.sh

test: all
	@tools/test.sh release

asan: deps
	@cmake --preset asan >/dev/null && ninja -C build/asan --quiet && tools/test.sh asan

tsan: deps
	@tools/tsan.sh

lint: deps
	@tools/lint.sh

bench: all
	@bench/run.sh

fuzz: deps
	@tools/fuzz.sh

oracles:
	@tests/oracles/run.sh

fmt:
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

docs: all
	@tools/docs.sh

install: all
	@cmake --install build/release

clean:
	@rm -rf build
