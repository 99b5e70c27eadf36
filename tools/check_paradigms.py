#!/usr/bin/env python3
"""Which forms of the Russian suites occur in real text: UD Russian GSD (form, lemma and features agree) or RuBLiMP (the
form occurs). Lists those that do not. Exit code 1 if the treebank knows a suite's form of a lemma, but never in that cell,
and the dictionary of tests/golden/paradigms does not vouch for it either (GSD itself tags some genitives as datives).

usage: tools/check_paradigms.py [--list] [DATA]     DATA: folder with ud/ and rublimp/ (default: ../shared/data)
"""
import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FEATS = {"nom": "Case=Nom", "gen": "Case=Gen", "dat": "Case=Dat", "acc": "Case=Acc", "ins": "Case=Ins", "loc": "Case=Loc",
         "sg": "Number=Sing", "pl": "Number=Plur", "m": "Gender=Masc", "f": "Gender=Fem", "n": "Gender=Neut",
         "past": "Tense=Past"}


def fold(word):
    return word.lower().replace("ё", "е")


def read_treebank(paths):
    """(form, lemma) -> the feature sets it has there."""
    cells = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            column = line.split("\t")
            if len(column) == 10 and column[0].isdigit():
                found = cells.setdefault((fold(column[1]), fold(column[2])), set())
                found.add(frozenset(column[5].split("|")))
    return cells


def read_words(paths):
    words = Counter()
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                words.update(fold(word) for word in re.findall(r"[А-Яа-яЁё-]+", row["source_sentence"]))
    return words


def lexemes():
    """(suite, lemma, cell, form) of every word that inflects."""
    for path in sorted((ROOT / "suites" / "ru").glob("*.json")):
        for words in json.loads(path.read_text(encoding="utf-8"))["lexicon"].values():
            for lexeme in words:
                if isinstance(lexeme, dict) and len(lexeme["forms"]) > 1:
                    for cell, form in lexeme["forms"].items():
                        yield path.stem, lexeme["lemma"].split(" (")[0], cell, form


def judge(cells, words, lemma, cell, form):
    """cell: attested in its cell; word: the form occurs; none; wrong: the treebank has it, in other cells only."""
    wanted = {FEATS[value] for value in cell.split(".")}
    found = cells.get((fold(form), fold(lemma)), set())
    if any(wanted <= features for features in found):
        return "cell"
    nominal = [features for features in found if any(f.startswith("Case=") for f in features)]
    if nominal and "past" not in cell and not syncretic(lemma, cell, form):
        return "wrong"
    return "word" if found or fold(form) in words else "none"


def syncretic(lemma, cell, form):
    """Whether another cell of the lemma has the same form: then the treebank may know that one only."""
    return any(fold(f) == fold(form) and c != cell and l == lemma for _, l, c, f in ALL)


ALL = list(lexemes())
DICTIONARY = json.loads((ROOT / "tests" / "golden" / "paradigms" / "ru.json").read_text(encoding="utf-8"))["forms"]


def vouched(lemma, cell, form):
    return f"{cell}={form}" in DICTIONARY.get(lemma, "").split(" ")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--list"]
    data = Path(arguments[0]) if arguments else ROOT.parent / "shared" / "data"
    treebanks, tables = sorted((data / "ud").glob("ru_*.conllu")), sorted((data / "rublimp").glob("*.csv"))
    if not treebanks or not tables:
        sys.exit(f"check_paradigms: {data}: no ud/ru_*.conllu or no rublimp/*.csv there; give the folder that has them")
    cells, words = read_treebank(treebanks), read_words(tables)
    seen, by = set(), {"cell": [], "word": [], "none": [], "wrong": []}
    for _, lemma, cell, form in ALL:
        if (lemma, cell, form) not in seen:
            seen.add((lemma, cell, form))
            by[judge(cells, words, lemma, cell, form)].append(f"{lemma} {cell} {form}")
    print(f"{len(seen)} forms: {len(by['cell'])} attested in their cell, {len(by['word'])} as words only, "
          f"{len(by['none'])} not at all, {len(by['wrong'])} in other cells only")
    for line in by["wrong"]:
        print("other cells only:", line, "" if vouched(*line.split(" ", 2)) else "- and the dictionary does not have it")
    if "--list" in sys.argv:
        for line in by["none"]:
            print("not attested:", line)
    sys.exit(0 if all(vouched(*line.split(" ", 2)) for line in by["wrong"]) else 1)


main()
