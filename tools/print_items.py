#!/usr/bin/env python3
"""Prints 50 random items of each suite into docs/items/ for reading: does a native speaker say this?

usage: tools/print_items.py SONDE [SUITE...]     SONDE: the program; suites: all of suites/ where none is named
"""
import json
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COUNT = 50


def items(sonde, suite):
    made = subprocess.run([sonde, "data", "make", str(ROOT / "suites" / (suite + ".json")), "--quiet"], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in made.stdout.splitlines()]


def line(item, draw):
    right, wrong = draw.choice(item["choices"].split("|")).split("/")
    if item["n"] < 0:
        right, wrong = wrong, right
    right, wrong = right.replace("+", ", "), wrong.replace("+", ", ")
    return f"| {item['text']} | {right} | {wrong} | {item['frame']} | {item['condition'] or ''} |"


def print_suite(sonde, suite):
    draw = random.Random(suite)
    chosen = draw.sample(items(sonde, suite), COUNT)
    head = [f"# {suite}: {COUNT} items at random", "", "Made by `tools/print_items.py`; with each prefix one pair of its choice words.", "",
            "| prefix | right | wrong | frame | condition |", "|---|---|---|---|---|"]
    path = ROOT / "docs" / "items" / (suite.replace("/", "-") + ".md")
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(head + [line(item, draw) for item in chosen]) + "\n", encoding="utf-8")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    suites = sys.argv[2:] or sorted(f"{p.parent.name}/{p.stem}" for p in (ROOT / "suites").glob("*/*.json"))
    for suite in suites:
        print_suite(sys.argv[1], suite)


main()
