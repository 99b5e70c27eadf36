"""The paradigms of the Russian suites as pymorphy3 and OpenCorpora's dictionary give them: from lemma, gender and animacy
alone, all cells, with every variant that the dictionary knows. tests/unit/test_suites.c compares the suites with this."""
import json

import pymorphy3

from common import GOLDEN, ROOT, versions, write_json

CASE = {"nom": "nomn", "gen": "gent", "dat": "datv", "acc": "accs", "ins": "ablt", "loc": "loct"}
NAME = {**CASE, "sg": "sing", "pl": "plur", "m": "masc", "f": "femn", "n": "neut", "past": "past"}

morph = pymorphy3.MorphAnalyzer()


def fold(word):
    return word.replace("ё", "е")


def noun_parses(lexeme):
    animacy = "anim" if lexeme["anim"] else "inan"
    return [p for p in morph.parse(lexeme["lemma"])
            if p.tag.POS == "NOUN" and fold(p.normal_form) == fold(lexeme["lemma"]) and p.tag.gender == NAME[lexeme["gender"]]
            and p.tag.animacy == animacy]


def verb_parses(lexeme):
    lemma = lexeme["lemma"].split(" (")[0]
    return [p for p in morph.parse(lemma) if p.tag.POS in ("INFN", "ADJS", "PRTS") and p.word == lemma]


def wanted(key, lexeme):
    tags = {NAME[value] for value in key.split(".")}
    if lexeme.get("tense") == "pres":
        tags |= {"3per"}
    elif "anim" not in lexeme and lexeme.get("tense") != "past":
        tags |= {"PRTS" if any(p.tag.POS == "PRTS" for p in verb_parses(lexeme)) else "ADJS"}
    return tags


def paradigm(lexeme):
    """Each cell of the lexeme as "cell=form", variants joined by a slash."""
    parses = noun_parses(lexeme) if "anim" in lexeme else verb_parses(lexeme)
    cells = []
    for key in lexeme["forms"]:
        tags = wanted(key, lexeme)
        words = {w.word for p in parses for w in p.lexeme if tags <= set(w.tag.grammemes)}
        cells.append(key + "=" + "/".join(sorted(words)))
    return " ".join(cells)


found = {}
for path in sorted((ROOT / "suites" / "ru").glob("*.json")):
    lexicon = json.loads(path.read_text())["lexicon"]
    for words in lexicon.values():
        for lexeme in words:
            if isinstance(lexeme, dict) and len(lexeme["forms"]) > 1 and lexeme["lemma"] != "чей":
                forms = paradigm(lexeme)
                assert found.setdefault(lexeme["lemma"], forms) == forms, lexeme
write_json(GOLDEN / "paradigms" / "ru.json", {"made_by": "tests/oracles/paradigms.py",
                                              "versions": versions("pymorphy3", "pymorphy3-dicts-ru"), "forms": found})
