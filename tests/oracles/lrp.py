"""The modified gradients of CP-LRP (Ali et al. 2022) and AttnLRP (Achtibat et al. 2024) on tiny models of
tests/golden/arch: transformers' models whose norms, activations, gates and attentions are replaced by ones that stop
gradients; times a site's value they are its relevance.

usage: tests/oracles/run.sh lrp.py
"""
import torch
import transformers

from arch_capture import epsilon, modelling
from common import GOLDEN, versions, write_safetensors
from gradients import FAMILIES, WANT, open_model, rows_of, run, sample, named
from safetensors.numpy import load_file

MADE_BY = "tests/oracles/lrp.py"
VERSIONS = versions("torch", "transformers", "numpy")
NAMES = ("llama", "llama-bias", "qwen3", "gemma3", "gpt2", "gpt_neox", "bert", "roberta")
SITES = ("hook_embed", "hook_resid_pre", "hook_z", "hook_q", "hook_k", "hook_v", "mlp.hook_pre", "mlp.hook_pre_linear",
         "mlp.hook_post")


def half(x):
    """Half the gradient: each of two factors has half the product's relevance."""
    return (x + x.detach()) / 2


def chord(act):
    """The identity rule: f(x) = x (f(x) / x), with the bracket a constant."""
    return lambda x: x * (act(x) / x).detach()


def norm(module):
    """The scale is a constant."""
    gain, bias = module.weight, getattr(module, "bias", None)
    gain = gain + 1 if "Gemma" in type(module).__name__ else gain

    def forward(x):
        if isinstance(module, torch.nn.LayerNorm):
            x = x - x.mean(-1, keepdim=True)
        x = x * (x.square().mean(-1, keepdim=True) + epsilon(module)).rsqrt().detach() * gain
        return x if bias is None else x + bias
    return forward


def gated(module, rule):
    act = chord(module.act_fn)

    def forward(x):
        gate, up = act(module.gate_proj(x)), module.up_proj(x)
        return module.down_proj(gate.detach() * up if rule == "cp-lrp" else half(gate * up))
    return forward


def attention(eager, rule):
    def forward(module, query, key, value, *args, **kwargs):
        if rule == "cp-lrp":
            return eager(module, query.detach(), key.detach(), value, *args, **kwargs)
        output, pattern = eager(module, half(query), half(key), value, *args, **kwargs)
        return half(output), pattern
    return forward


def replace(model, rule):
    """Everything in place; the attention is the module's, so it is put back by the caller."""
    for module in model.modules():
        kind = type(module).__name__
        if kind.endswith("Norm"):
            module.forward = norm(module)
        elif hasattr(module, "gate_proj"):
            module.forward = gated(module, rule)
        for key in ("act", "intermediate_act_fn", "transform_act_fn"):
            if hasattr(module, key):
                setattr(module, key, Act(chord(getattr(module, key))))
    if type(model).__name__ == "RobertaForMaskedLM":
        head = model.lm_head
        head.forward = lambda x: head.decoder(head.layer_norm(chord(torch.nn.functional.gelu)(head.dense(x))))


class Act(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def relevance(watcher, name, model, ids, rule):
    module = modelling(model)
    eager = module.eager_attention_forward
    module.eager_attention_forward = attention(eager, rule)
    probe, blocks, logits = run(watcher, name, model, {"input_ids": ids})
    module.eager_attention_forward = eager
    names = list(probe.leaf)
    grads = torch.autograd.grad(logits[-1, WANT], [probe.leaf[n] for n in names], allow_unused=True)
    return named(probe, blocks, dict(zip(names, grads)), 1), logits


def make(family, watcher, name, kind, config):
    folder, tensors = GOLDEN / "arch" / name, {}
    values = load_file(folder / "sites.safetensors")
    for rule in ("cp-lrp", "attn-lrp"):
        model = open_model(family, name, kind, config, folder)
        replace(model, rule)
        for r, ids in enumerate(rows_of(values)):
            site, logits = relevance(watcher, name, model, ids, rule)
            error = (logits.detach() - torch.tensor(values[f"row{r}/logits"])).norm() / logits.norm()
            assert error < 1e-5, f"{name}: {rule} changes the logits by {error}"
            tensors |= {f"{rule}/row{r}/{key}": sample(x) for key, x in site.items()
                        if key.endswith(SITES) and (r == 0 or "resid" in key)}
    write_safetensors(folder / "lrp.safetensors", tensors, made_by=MADE_BY, versions=VERSIONS)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for family, watcher in FAMILIES:
        for name, (kind, config) in family.variants().items():
            if name in NAMES:
                make(family, watcher, name, kind, config)


if __name__ == "__main__":
    main()
