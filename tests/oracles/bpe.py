"""Byte-level BPE tokenizers of the `tokenizers` library: a tiny one made here, and the one inside a GGUF file."""
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ t", "h e", "Ġt he", "Ġ a", "r e", "Ġa re", "i n", "Ġ i", "Ġi s", "e y", "k ey", "key s", "Ġ keys", "o n",
          "Ġ on", "a b", "l e", "T he", "Ġ c", "Ġc ab", "in e", "ine t", "Ġcab inet", "Ġ Ġ", "Ð º", "Ð ¸", "Ð ¹"]


def byte_characters():
    """GPT-2's printable stand-in for each of the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {b: chr(b) for b in plain}, 256
    for byte in range(256):
        if byte not in table:
            table[byte], extra = chr(extra), extra + 1
    return [table[byte] for byte in range(256)]


def pre_tokenizer(pre):
    """`gpt2`: the ByteLevel regular expression; `smollm`: every digit alone, then the same."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    if pre == "gpt2":
        return byte_level
    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    raise ValueError(f"pre-tokenizer {pre}: expected gpt2 or smollm")


def build(tokens, merges, special, pre):
    """tokens in id order; merges as "left right"; special: the texts found before anything else is split."""
    pairs = [tuple(merge.split(" ")) for merge in merges]
    model = models.BPE({token: i for i, token in enumerate(tokens)}, pairs)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer(pre)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    return tokenizer


def tiny(pre="smollm"):
    """(tokenizer, tokens, merges): three special tokens, 256 bytes, then one token a merge, in the order of MERGES."""
    tokens = SPECIAL + byte_characters() + [merge.replace(" ", "") for merge in MERGES]
    return build(tokens, MERGES, SPECIAL, pre), tokens, MERGES


def from_gguf(path, pre=None):
    """The tokenizer embedded in a GGUF file (tokenizer.ggml.model = gpt2); `pre` overrides its pre-tokenizer."""
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    get = lambda key: fields[f"tokenizer.ggml.{key}"].contents()
    tokens, kinds = get("tokens"), get("token_type")
    special = [token for token, kind in zip(tokens, kinds) if kind == 3]
    return build(tokens, get("merges"), special, pre or get("pre"))
