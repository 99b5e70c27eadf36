"""usage: sentences.py CONLLU N OUT   the first N sentences of a treebank, a line each"""
import sys

path, n, out = sys.argv[1:]
with open(path, encoding="utf8") as lines, open(out, "w", encoding="utf8") as file:
    texts = [line[9:].rstrip("\n") for line in lines if line.startswith("# text = ")][:int(n)]
    file.writelines(text + "\n" for text in texts)
