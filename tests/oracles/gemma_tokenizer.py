"""Gemma 3's tokenizer as transformers opens its GGUF file: one hash a treebank sentence, tokens of hard texts."""
import transformers

from common import GOLDEN, SMOLLM2, fnv1a, versions, write_jsonl
from tokenizer import TORTURE, TREEBANKS, sentences

MODEL = SMOLLM2.parent / "gemma-3-270m-q4_k_m.gguf"
OUT = GOLDEN / "tokenizer" / "gemma3.jsonl"
MORE = ["▁", "a▁b", "▁▁▁", "<bos>x<eos>", "<start_of_turn>user\nHi<end_of_turn>\n", "<h1>Title</h1> <b> x", "[multimodal]", "<0x0A>", "\t\t\tx", "\n\n\n\n\n", "a  b   c    d",
        "ﬁ ½ №", "𐎀𐎁", "ꙮ ⱷ \U000e0001 \ue000", "aaaaaaaaaaaaaaaaaaaa"]

# The file calls its tokens of two to 31 spaces USER_DEFINED: of a longer run SentencePiece and llama.cpp take 31 first. transformers joins
# them by merges that it infers, and cuts such runs otherwise; so no text has one.
LONG_RUN = " " * 32


def main():
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL.parent, gguf_file=MODEL.name)._tokenizer
    one = lambda text: tokenizer.encode(text, add_special_tokens=False)
    head = {"made_by": "tests/oracles/gemma_tokenizer.py", "versions": versions("tokenizers", "transformers"), "model": MODEL.name}
    texts = [{"text": text, "ids": e.ids, "offsets": [list(span) for span in e.offsets]} for text in TORTURE + MORE if LONG_RUN not in text
             for e in [one(text)]]
    digest = lambda e: fnv1a([len(e.ids), *e.ids, *(end for span in e.offsets for end in span)])
    treebanks = [{"treebank": treebank, "sentences": [digest(one(text)) for text in sentences(treebank)]} for treebank in TREEBANKS]
    write_jsonl(OUT, [head, *texts, *treebanks])


if __name__ == "__main__":
    main()
