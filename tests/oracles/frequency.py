"""How frequent the nouns of a suite are: occurrences a million words of all forms together, from wordfreq (R. Speer,
2022, doi:10.5281/zenodo.7199437). The suites give bands only; tests/unit/test_phenomenon.c compares them with this."""
import json

import wordfreq

from common import GOLDEN, ROOT, versions, write_json

SUITES = {"en/number-agreement": ["N"], "ru/number-agreement": ["N"], "ru/attractor": ["N", "Person"],
          "ru/gender-agreement": ["N", "Person"], "ru/case": ["N"], "ru/numeral": ["N"],
          "ru/number-agreement-vs": ["N", "Person"]}

for suite, classes in SUITES.items():
    file = json.loads((ROOT / "suites" / (suite + ".json")).read_text())
    per_million = {}
    for name in classes:
        for lexeme in file["lexicon"][name]:
            forms = set(lexeme["forms"].values())
            forms |= {form.replace("ё", "е") for form in forms}  # most texts write е
            per_million[lexeme["lemma"]] = round(1e6 * sum(wordfreq.word_frequency(f, file["lang"]) for f in forms), 2)
    write_json(GOLDEN / "frequency" / (suite.replace("/", "-") + ".json"),
               {"made_by": "tests/oracles/frequency.py", "versions": versions("wordfreq"), "suite": suite, "per_million": per_million})
