"""Attributions by captum on tiny models: saliency, gradient x input, integrated gradients at equal steps, the same of a layer.

attribution/captum.json: per case the method and options as `sonde attribute` takes them, and per row text, target, foil and
each token's score. Llama (tiny/gqa-tied); BERT and T5 (arch/) under the tokenizer of behaviour/. Computed in float64.
attribution/minilm.json: the same of all-MiniLM-L6-v2, pairs of sentences compared.

usage: tests/oracles/run.sh attribution_captum.py
"""
import warnings

import torch
import transformers
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients, LayerIntegratedGradients, Saliency
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from common import GOLDEN, ROOT, versions, write_json

STEPS = 20
RULES = {"gauss-legendre": "gausslegendre", "midpoint": "riemann_middle"}
BASELINE = "a"   # one token in each vocabulary
CAUSAL = [("The keys to the cabinet", "are", "is"), ("A key", "is", "are"), ("The door of the keys", "is", "a")]
MASKED = [("the old key [MASK] near the table", "is", "are"), ("the key and the boat [MASK] green", "are", "is")]
TWO_MASKS = [("the old [MASK] [MASK] near the table", "key is", None)]
ALIKE = [("the old key is near the table", "a boat", None), ("the key", "the boat is green", None)]
PAIRS = [("the old key is near the table", "the", "a"), ("a boat", "is", "are")]


class Llama:
    kind, folder, rows, add, space = "llama", "tiny/gqa-tied", CAUSAL, False, "Ġ"
    site = {}

    def __init__(self):
        self.model = AutoModelForCausalLM.from_pretrained(GOLDEN / self.folder, attn_implementation="eager")
        self.tokenizer = Tokenizer.from_file(str(GOLDEN / self.folder / "tokenizer.json"))
        self.embed, self.layer = self.model.model.embed_tokens, self.model.model.layers[1]

    def places(self, ids):
        return [len(ids) - 1]

    def call(self, ids, **inputs):
        return self.model(**inputs).logits


class Bert(Llama):
    kind, folder, rows, add, space = "bert", "arch/bert", MASKED, True, ""

    def __init__(self):
        self.model = AutoModelForMaskedLM.from_pretrained(GOLDEN / self.folder, attn_implementation="eager")
        self.tokenizer = Tokenizer.from_file(str(GOLDEN / "behaviour" / "tokenizer.json"))
        self.embed, self.layer = self.model.bert.embeddings.word_embeddings, self.model.bert.encoder.layer[1]

    def places(self, ids):
        return [i for i, token in enumerate(ids) if token == self.tokenizer.token_to_id("[MASK]")]


class Encoder(Bert):
    """Without a head: how alike two texts are, the dot product of their mean vectors, the other's of length 1."""
    kind, folder, rows = "bert-base-only", "arch/bert-base-only", ALIKE

    def __init__(self):
        self.model = AutoModel.from_pretrained(GOLDEN / self.folder, attn_implementation="eager")
        self.tokenizer = Tokenizer.from_file(str(GOLDEN / "behaviour" / "tokenizer.json"))
        self.embed, self.layer = self.model.embeddings.word_embeddings, self.model.encoder.layer[1]

    def alike(self, other):
        def vector(**inputs):
            return self.model(**inputs).last_hidden_state.mean(1)
        u = vector(input_ids=torch.tensor([self.tokenizer.encode(other, add_special_tokens=True).ids]))[0].detach()
        return lambda x: vector(**({"inputs_embeds": x} if x.is_floating_point() else {"input_ids": x})) @ (u / u.norm())


class MiniLM(Encoder):
    kind, folder = "minilm", "models/all-MiniLM-L6-v2"
    rows = [("A man is playing a guitar on the stage.", "Someone performs music for an audience.", None),
            ("The cat sleeps on the unbelievably soft sofa.", "A kitten is resting.", None)]

    def __init__(self):
        self.model = AutoModel.from_pretrained(ROOT / self.folder, attn_implementation="eager")
        self.tokenizer = Tokenizer.from_file(str(ROOT / self.folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.embed = self.model.embeddings.word_embeddings


class T5(Bert):
    """The target's first token, after the decoder's start."""
    kind, folder, rows = "t5", "arch/t5", PAIRS
    site = {"sites": "encoder.hook_embed"}

    def __init__(self):
        self.model = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / self.folder, attn_implementation="eager")
        self.tokenizer = Tokenizer.from_file(str(GOLDEN / "behaviour" / "tokenizer.json"))
        self.embed, self.layer = self.model.encoder.embed_tokens, self.model.encoder.block[1]

    def places(self, ids):
        return [0]

    def call(self, ids, **inputs):
        n = len(next(iter(inputs.values())))
        start = torch.full((n, 1), self.model.config.decoder_start_token_id)
        return self.model(decoder_input_ids=start, **inputs).logits


def metric(subject, ids, want, foil, kind):
    """f of a batch of embeddings, or of ids; log-probabilities of several masks' tokens are added."""
    def f(x):
        inputs = {"inputs_embeds": x} if x.is_floating_point() else {"input_ids": x}
        logits, places = subject.call(ids, **inputs), subject.places(ids)
        if kind == "logit-diff":
            return logits[:, places[0], want[0]] - logits[:, places[0], foil]
        logits = logits if kind == "logit" else logits.log_softmax(-1)
        return sum(logits[:, place, token] for place, token in zip(places, want))
    return f


def integrated(subject, f, ids, embeds, baseline, rule):
    zero = {"zero": torch.zeros_like(embeds), "mean": embeds.mean(1, keepdim=True).expand_as(embeds)}
    base = zero[baseline] if baseline in zero else subject.embed(torch.full_like(ids, token(subject, baseline)))
    return IntegratedGradients(f).attribute(embeds, base.detach(), n_steps=STEPS, method=RULES[rule])


def token(subject, word):
    found = subject.tokenizer.token_to_id(word)
    assert found is not None, f"{subject.kind}: {word} is no token"
    return found


def scores(subject, name, options, text, target, foil):
    ids = subject.tokenizer.encode(text, add_special_tokens=subject.add).ids
    if "against" in options:
        f = subject.alike(target)
    else:
        want = [token(subject, subject.space + word) for word in target.split()]
        f = metric(subject, ids, want, token(subject, subject.space + foil) if foil else None, options["metric"])
    tensor = torch.tensor([ids])
    embeds = subject.embed(tensor).detach()
    if name == "saliency":
        signed = options["norm"] == "signed"
        gradient = Saliency(f).attribute(embeds, abs=not signed)
        return ids, f, (gradient.norm(dim=-1) if options["norm"] == "l2" else gradient.sum(-1))[0]
    if name == "smoothgrad":   # without noise: the gradient
        return ids, f, Saliency(f).attribute(embeds).norm(dim=-1)[0]
    if name == "occlusion":
        base = embeds.mean(1, keepdim=True).expand_as(embeds) if options["with"] == "mean" else torch.zeros_like(embeds)
        mask = torch.arange(len(ids))[None, :, None].expand_as(embeds)
        return ids, f, FeatureAblation(f).attribute(embeds, base, feature_mask=mask)[0, :, 0]
    if name == "leave-one-out":
        return ids, f, torch.stack([f(tensor)[0] - f(torch.tensor([ids[:i] + ids[i + 1:]]))[0] for i in range(len(ids))])
    if name == "gradient-x-input":
        return ids, f, InputXGradient(f).attribute(embeds).sum(-1)[0]
    if options.get("sites", "").startswith("blocks."):
        layer = LayerIntegratedGradients(f, subject.layer)
        base = torch.full_like(tensor, token(subject, options["baseline"]))
        found = layer.attribute(tensor, base, n_steps=STEPS, method=RULES[options["rule"]], attribute_to_layer_input=True)
        return ids, f, (found[0] if isinstance(found, tuple) else found).sum(-1)[0]
    return ids, f, integrated(subject, f, tensor, embeds, options["baseline"], options["rule"]).sum(-1)[0]


def cases(subject):
    """BERT norms its embeddings: their gradient sums to 0. A layer's baseline is the same at all positions only where
    positions are not added to the embeddings."""
    if isinstance(subject, Encoder):
        yield "occlusion", {"with": "zero", "against": "target"}
        yield "occlusion", {"with": "mean", "against": "target"}
        yield "leave-one-out", {"against": "target"}
        yield "smoothgrad", {"noise": "0", "samples": "2", "against": "target"}
        yield "saliency", {"norm": "l2", "against": "target"}
        yield "gradient-x-input", {"against": "target"}
        for baseline in ("zero", BASELINE):
            yield "integrated-gradients", {"rule": "midpoint", "baseline": baseline, "against": "target", "steps": str(STEPS)}
        return
    yield "saliency", {"norm": "l1", "metric": "logprob"}
    yield "saliency", {"norm": "l2", "metric": "logit-diff"}
    if subject.kind != "bert":
        yield "saliency", {"norm": "signed", "metric": "logit"}
    yield "gradient-x-input", {"metric": "logit-diff"}
    yield "gradient-x-input", {"metric": "logprob"}
    for rule in RULES:
        for baseline in ("mean", "zero", BASELINE):
            yield "integrated-gradients", {"rule": rule, "baseline": baseline, "metric": "logprob", "steps": str(STEPS)}
    if subject.kind == "llama":
        yield "integrated-gradients", {"rule": "gauss-legendre", "baseline": BASELINE, "metric": "logit-diff",
                                       "steps": str(STEPS), "sites": "blocks.1.hook_resid_pre"}


def case(subject, name, options, texts=None):
    rows, options = [], options | subject.site
    for text, target, foil in texts or subject.rows:
        ids, f, found = scores(subject, name, options, text, target, foil)
        rows.append({"text": text, "target": target, "foil": foil, "value": f(torch.tensor([ids])).item(),
                     "score": [float(f"{x:.8g}") for x in found.tolist()]})
    return {"model": subject.kind, "method": name, "options": options, "rows": rows}


def main():
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")   # captum asks for gradients by itself, and says so
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    write("captum", Llama, Bert, T5, Encoder)
    if (ROOT / MiniLM.folder).exists():
        write("minilm", MiniLM)


def write(name, *kinds):
    all_cases = []
    for kind in kinds:
        subject = kind()
        subject.model = subject.model.double().eval()
        all_cases += [case(subject, name, options) for name, options in cases(subject)]
        if subject.kind == "bert":
            all_cases.append(case(subject, "saliency", {"norm": "l2", "metric": "logprob"}, TWO_MASKS))
    write_json(GOLDEN / "attribution" / f"{name}.json", {
        "made_by": "tests/oracles/attribution_captum.py", "versions": versions("captum", "torch", "transformers", "tokenizers"),
        "cases": all_cases})


if __name__ == "__main__":
    main()
