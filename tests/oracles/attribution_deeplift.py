"""DeepLIFT's shares on tiny models, by the rules that include/sonde.h states, written for torch.

Row 0 of a batch is the input, row 1 its baseline; every operation that is not linear in what depends on the input is
replaced by an autograd function whose backward pass applies the rule to row 0. captum's DeepLift (rescale alone) agrees
where a model has activations only, which this script asserts. Computed in float64.

usage: tests/oracles/run.sh attribution_deeplift.py
"""
import warnings
from contextlib import ExitStack
from unittest import mock

import torch
import transformers
from captum.attr import DeepLift
from torch.overrides import TorchFunctionMode

from attribution_captum import BASELINE, GOLDEN, Bert, Llama, T5, token, versions, write_json


def pair(x):
    return x[0:1], x[1:2]


def first(g):
    """The rule's multipliers are those of row 0; row 1 gets none."""
    return torch.cat([g, torch.zeros_like(g)])


class Elementwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return y.clone()

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        (a, b), (fa, fb) = pair(x), pair(y)
        assert ((a - b).abs() > 1e-9).logical_or(a == b).all()
        return first(g[0:1] * torch.where(a == b, torch.zeros_like(a), (fa - fb) / torch.where(a == b, 1.0, a - b))), None


class Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x @ y

    @staticmethod
    def backward(ctx, g):
        x, y = (t.mean(0, keepdim=True) for t in ctx.saved_tensors)
        g = g[0:1]
        return first(g @ y.transpose(-1, -2)), first(x.transpose(-1, -2) @ g)


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, g):
        x, y = (t.mean(0, keepdim=True) for t in ctx.saved_tensors)
        return first(g[0:1] * y), first(g[0:1] * x)


def log_means(x):
    """Logarithmic means of both rows' probabilities: (p - q) / (log p - log q)."""
    a, b = pair(x.log_softmax(-1))
    near = (a - b).abs() < 1e-7
    return torch.where(near, (0.5 * (a + b)).exp(), (a.exp() - b.exp()) / torch.where(near, 1.0, a - b))


class Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.softmax(-1)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        seen = torch.isfinite(x[0:1]) & (x[0:1] > -1e30)
        mean = torch.where(seen, log_means(torch.where(seen, x, torch.finfo(x.dtype).min)), 0.0)
        g = g[0:1]
        return first(mean * (g - (mean * g).sum(-1, keepdim=True) / mean.sum(-1, keepdim=True)))


class LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.log_softmax(-1)

    @staticmethod
    def backward(ctx, g):
        mean = log_means(ctx.saved_tensors[0])
        return first(g[0:1] - g[0:1].sum(-1, keepdim=True) * mean / mean.sum(-1, keepdim=True))


class Normalize(torch.autograd.Function):
    """c / sqrt(mean c^2 + eps)"""
    @staticmethod
    def forward(ctx, c, eps):
        scale = (c.pow(2).mean(-1, keepdim=True) + eps).sqrt()
        ctx.save_for_backward(c, scale)
        return c / scale

    @staticmethod
    def backward(ctx, g):
        c, scale = ctx.saved_tensors
        g, middle, n = g[0:1], scale.mean(0, keepdim=True), (c / scale).mean(0, keepdim=True)
        of_scale = -(g * n).sum(-1, keepdim=True) / middle
        return first(g / middle + of_scale * c.mean(0, keepdim=True) / (c.shape[-1] * middle)), None


def rms_forward(self, x):
    return self.weight * Normalize.apply(x, getattr(self, "variance_epsilon", None))


def both_depend(x, y):
    return all(isinstance(t, torch.Tensor) and t.requires_grad for t in (x, y))


class Rules(TorchFunctionMode):
    """Replaces the functions that the models call."""
    ACTIVATIONS = {torch.nn.functional.silu, torch.nn.functional.gelu, torch.nn.functional.relu, torch.relu, torch.tanh}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        with torch._C.DisableTorchFunctionSubclass():
            if func in self.ACTIVATIONS and args[0].requires_grad:
                return Elementwise.apply(args[0], func(*args, **kwargs).detach())
            if name == "matmul" and both_depend(*args[:2]) and args[0].shape[0] == 2:
                return Matmul.apply(*args[:2])
            if name in ("mul", "__mul__") and both_depend(*args[:2]) and args[0].shape == args[1].shape:
                return Product.apply(*args[:2])
            if name == "softmax" and args[0].requires_grad:
                return Softmax.apply(args[0])
            if name == "log_softmax":
                return LogSoftmax.apply(args[0])
            if name == "layer_norm":
                x, _, weight, bias, eps = (list(args) + [None] * 5)[:5]
                weight, bias, eps = kwargs.get("weight", weight), kwargs.get("bias", bias), kwargs.get("eps", eps)
                return Normalize.apply(x - x.mean(-1, keepdim=True), eps) * weight + bias
            return func(*args, **kwargs)


def patched():
    stack = ExitStack()
    for cls in (transformers.models.llama.modeling_llama.LlamaRMSNorm, transformers.models.t5.modeling_t5.T5LayerNorm):
        stack.enter_context(mock.patch.object(cls, "forward", rms_forward))
    stack.enter_context(Rules())
    return stack


def metric(subject, ids, want, foil, kind):
    def f(x):
        logits, places = subject.call(ids, inputs_embeds=x), subject.places(ids)
        if kind == "logit-diff":
            return logits[:, places[0], want[0]] - logits[:, places[0], foil]
        logits = torch.log_softmax(logits, -1)
        return sum(logits[:, place, word] for place, word in zip(places, want))
    return f


def baseline_of(subject, embeds, name):
    found = {"zero": torch.zeros_like(embeds), "mean": embeds.mean(1, keepdim=True).expand_as(embeds)}
    return found[name] if name in found else subject.embed(torch.full(embeds.shape[:2], token(subject, name)))


def shares(subject, options, text, target, foil):
    ids = subject.tokenizer.encode(text, add_special_tokens=subject.add).ids
    want = [token(subject, subject.space + word) for word in target.split()]
    f = metric(subject, ids, want, token(subject, subject.space + foil) if foil else None, options["metric"])
    x = subject.embed(torch.tensor([ids])).detach()
    both = torch.cat([x, baseline_of(subject, x, options["baseline"]).detach()]).requires_grad_()
    plain = f(both)
    with patched():
        value = f(both)
        value[0].backward()
    assert torch.allclose(plain, value)
    found = (both.grad[0] * (both[0] - both[1])).sum(-1).detach()
    rise = (value[0] - value[1]).item()
    assert abs(found.sum().item() - rise) < 1e-9 * (1 + found.abs().sum().item()), (subject.kind, found.sum().item(), rise)
    return value[0].item(), found


def case(subject, options):
    rows, options = [], options | subject.site
    for text, target, foil in subject.rows:
        value, found = shares(subject, options, text, target, foil)
        rows.append({"text": text, "target": target, "foil": foil, "value": value,
                     "score": [float(f"{x:.8g}") for x in found.tolist()]})
    return {"model": subject.kind, "method": "deeplift", "options": options, "rows": rows}


def check_against_captum():
    """Where a model has activations only, the rules are captum's."""
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x, base = torch.randn(1, 5).double(), torch.randn(1, 5).double()
    theirs = DeepLift(net).attribute(x, base)[0]
    both = torch.cat([x, base]).requires_grad_()
    with patched():
        net(both)[0, 0].backward()
    assert torch.allclose(theirs, both.grad[0] * (x - base)[0]), (theirs, both.grad)


def main():
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    check_against_captum()
    cases = []
    for kind in (Llama, Bert, T5):
        subject = kind()
        subject.model = subject.model.double().eval()
        cases += [case(subject, {"baseline": b, "metric": m}) for b in ("mean", "zero", BASELINE) for m in ("logprob", "logit-diff")]
    write_json(GOLDEN / "attribution" / "deeplift.json", {
        "made_by": "tests/oracles/attribution_deeplift.py", "versions": versions("captum", "torch", "transformers", "tokenizers"),
        "cases": cases})


if __name__ == "__main__":
    main()
