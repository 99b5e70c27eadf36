#!/usr/bin/env python3
"""usage: tools/examples.py [--data DIR] [--only WORD] [--list] [README.md]

Runs the commands of the README's console blocks in order and compares what they print with what the README shows: the same words
in the same order, however lines are broken; a line `...` stands for anything. Commands run in an empty folder that has the repository's models/, examples/
and suites/ and the files of --data DIR (treebanks, minimal pairs) by name, with build/release first in PATH. A command whose file is
not there is counted as skipped. Exit code 1 if a command fails or prints something else.
"""
import argparse, os, re, subprocess, sys, tempfile, time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


def commands(text):
    """Yields (command, expected lines) of the console blocks; a backslash goes on in the next line."""
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        parts = re.split(r"^\$ ", re.sub(r"\\\n\s*", "", block), flags=re.M)[1:]
        for part in parts:
            command, _, shown = part.partition("\n")
            yield command, [line.rstrip() for line in shown.split("\n") if line.strip()]


def plain(text):
    """Words alone, rules under table heads as one dash."""
    return re.sub("─+", "─", " ".join(text.split()))


def first_missing(shown, printed):
    """The first shown piece, between lines of dots, that does not follow in the output, or None."""
    rest = plain(printed)
    for piece in re.split(r"^\s*(?:\.\.\.|…)$", "\n".join(shown), flags=re.M):
        _, found, rest = rest.partition(plain(piece)) if piece.strip() else ("", "-", rest)
        if not found:
            return piece
    return None


def fill(place, data):
    for name in ("models", "examples", "suites", "build"):
        os.symlink(TOP / name, place / name)
    for file in Path(data).rglob("*.*") if data else []:
        if not (place / file.name).exists():
            os.symlink(file.resolve(), place / file.name)


def missing_file(command, place):
    for name in re.findall(r"(?:--data|--test|--plan) (\S+)", command):
        if not (place / name).exists():
            return name
    return None


def try_out(command, shown, place, env):
    """Runs one command, says how it went, and returns that in a word."""
    absent = missing_file(command, place)
    begin = time.time()
    ran = None if absent else subprocess.run(["bash", "-c", command], cwd=place, env=env, capture_output=True, text=True,
                                             stdin=subprocess.DEVNULL)
    lost = ran and first_missing(shown, ran.stderr + ran.stdout)
    verdict = "skipped" if absent else "failed" if ran.returncode else "differs" if lost else "ok"
    print(f"{verdict:8} {time.time() - begin:5.0f} s  {command}", flush=True)
    if absent:
        print(f"         no {absent}")
    if verdict in ("failed", "differs"):
        printed = "\n".join("    " + line for line in (ran.stdout + ran.stderr).split("\n")[:60])
        print(f"  shown:   {lost}\n  printed:\n{printed}")
    return verdict


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", help="folder with treebanks and minimal pairs, searched by name")
    ask.add_argument("--only", default="", help="only commands with this in them")
    ask.add_argument("--list", action="store_true", help="list the commands, run nothing")
    ask.add_argument("readme", nargs="?", default=TOP / "README.md", type=Path)
    given = ask.parse_args()
    wanted = [(command, shown) for command, shown in commands(given.readme.read_text()) if given.only in command]
    if given.list:
        print("\n".join(command for command, _ in wanted))
        return
    env = dict(os.environ, PATH=f"{TOP}/build/release:{os.environ['PATH']}", NO_COLOR="1")
    count = {"ok": 0, "differs": 0, "failed": 0, "skipped": 0}
    with tempfile.TemporaryDirectory(prefix="sonde-examples-") as place:
        fill(Path(place), given.data)
        for command, shown in wanted:
            count[try_out(command, shown, Path(place), env)] += 1
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()))
    sys.exit(1 if count["failed"] or count["differs"] else 0)


main()
