"""Every site's value from a transformers model in eager mode, under TransformerLens's names, with hooks on its modules.

What a module receives and returns is taken as it is; attention scores and patterns are the true input and output of the
softmax. What no module returns (residual sums, results of single heads) is computed and held against what one does.
"""
import sys

import torch
from torch.overrides import TorchFunctionMode

PARTS = ("attn", "q", "k", "v", "qkv", "o", "ln1", "ln1_post", "ln2", "ln2_post", "gate", "up", "gate_up", "in", "down",
         "act")
SOFTMAX = {torch.nn.functional.softmax, torch.softmax, torch.Tensor.softmax}
TOLERANCE = 2e-6


def row(x):
    """Drops the batch axis of one row and keeps a copy: some models add in place."""
    return (x[0] if x.dim() == 3 else x).detach().clone()


def heads(x):
    """[1, heads, n, d_head] -> [n, heads, d_head]."""
    return x[0].transpose(0, 1).detach().clone()


def same(a, b, what, tolerance=TOLERANCE):
    a, b = a.double(), b.double()
    error = float((a - b).norm() / b.norm().clamp_min(1e-30))
    assert a.shape == b.shape and error <= tolerance, f"{what}: {tuple(a.shape)} {tuple(b.shape)} error {error:.1e}"


def weight(module):
    """[out, in] of a Linear or a GPT-2 Conv1D."""
    return module.weight.T if type(module).__name__ == "Conv1D" else module.weight


def bias(module):
    return 0 if getattr(module, "bias", None) is None else module.bias


def epsilon(module):
    return module.eps if hasattr(module, "eps") else module.variance_epsilon


class Capture(TorchFunctionMode):
    """with Capture(modelling module) as site: watch(...); model(...). Names may be lists: one a call of the module, for
    weights that several blocks share; calls past the list's end are not captured."""

    def __init__(self, modelling):
        super().__init__()
        self.value, self.hooks, self.calls, self.centred = {}, [], {}, set()
        self.modelling, self.attention, self.patched = modelling, None, {}

    def __enter__(self):
        for name, wrapper in (("eager_attention_forward", self.eager), ("apply_rotary_pos_emb", self.rotary)):
            if hasattr(self.modelling, name):
                self.patched[name] = getattr(self.modelling, name)
                setattr(self.modelling, name, wrapper(self.patched[name]))
        return super().__enter__()

    def __exit__(self, *error):
        for name, function in self.patched.items():
            setattr(self.modelling, name, function)
        for hook in self.hooks:
            hook.remove()
        return super().__exit__(*error)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in SOFTMAX and self.attention:
            scores = args[0][0].detach().clone()
            self.put(f"{self.attention}.hook_attn_scores", scores.masked_fill(scores < -1e30, -torch.inf))
            self.put(f"{self.attention}.hook_pattern", result[0].detach().clone())
        return result

    def eager(self, function):
        def wrapper(module, query, key, value, *args, **kwargs):
            self.put(f"{self.attention}.rotated", (heads(query), heads(key)))
            return function(module, query, key, value, *args, **kwargs)
        return wrapper

    def rotary(self, function):
        def wrapper(*args, **kwargs):
            result = function(*args, **kwargs)
            self.value.setdefault(f"{self.attention}.rotary", []).append((args, result))
            return result
        return wrapper

    def put(self, name, value):
        assert name not in self.value, f"{name} is captured twice"
        self.value[name] = value
        return value

    def __getitem__(self, name):
        return self.value[name]

    def name_of(self, module, names, what):
        """The name for this call of the module."""
        if isinstance(names, str):
            names = [names]
        call = self.calls.get((module, what), 0)
        self.calls[module, what] = call + 1
        return names[call] if call < len(names) else None

    def before(self, module, names, what, take):
        def hook(module, args, kwargs):
            name = self.name_of(module, names, what)
            if name:
                take(name, args[0] if args else kwargs["hidden_states"])
        self.hooks.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(self, module, names, what, take):
        def hook(module, args, kwargs, result):
            name = self.name_of(module, names, what)
            if name:
                take(name, args[0] if args else kwargs["hidden_states"],
                     result[0] if isinstance(result, tuple) else result)
        self.hooks.append(module.register_forward_hook(hook, with_kwargs=True))

    def into(self, module, names):
        self.before(module, names, ("in", str(names)), lambda name, x: self.put(name, row(x)))

    def out_of(self, module, names):
        self.after(module, names, ("out", str(names)), lambda name, x, y: self.put(name, row(y)))

    def norm(self, module, names):
        """hook_scale = sqrt(variance or mean square + eps), hook_normalized = (x - mean or x) / scale; both before the
        module's weight and bias, with which they must give its output."""
        def take(name, x, y):
            x, y = row(x), row(y)
            if isinstance(module, torch.nn.LayerNorm):
                self.centred.add(name)
                x = x - x.mean(-1, keepdim=True)
            scale = self.put(f"{name}.hook_scale", (x.square().mean(-1, keepdim=True) + epsilon(module)).sqrt())
            normalized = self.put(f"{name}.hook_normalized", x / scale)
            gain = 1 if module.weight is None else module.weight + ("Gemma" in type(module).__name__)
            same(normalized * gain + bias(module), y, name)
            self.put(f"{name}.out", y)
        self.after(module, names, ("norm", str(names)), take)

    def within(self, module, names):
        """Softmaxes and rotations inside this module are this attention's."""
        def enter(name, x):
            self.attention = name

        def leave(name, x, y):
            self.attention = None
        self.before(module, names, ("enter", str(names)), enter)
        self.after(module, names, ("leave", str(names)), leave)


def suffixed(names, suffix):
    return names + suffix if isinstance(names, str) else [name + suffix for name in names]


def part_of(layer, family, n_head, n_kv):
    """{what: module} of one block: block, attn (the softmax is inside), q, k, v or qkv and split, o, the norms, the
    MLP's gate and up, gate_up or in, down, act. family: {what: path inside the block}; an Identity is no part."""
    part = {key: layer.get_submodule(family[key]) for key in PARTS if key in family}
    part = {key: module for key, module in part.items() if not isinstance(module, torch.nn.Identity)}
    part["block"] = layer
    for key in ("rotated", "q_norm", "q_scale"):
        if key in family:
            part[key] = family[key]
    if "split" in family:
        part["split"] = lambda x: family["split"](x, n_head, n_kv)
    return part


def watch(site, name, part):
    """Hooks on one block's modules; a list of names: one block after the other with the same weights."""
    site.into(part["block"], suffixed(name, ".hook_resid_pre"))
    site.out_of(part["block"], suffixed(name, ".out"))
    watch_attention(site, suffixed(name, ".attn"), part)
    if "cross" in part:
        watch_attention(site, f"{name}.cross_attn", part["cross"])
        site.into(part["cross"]["k"], f"{name}.cross_attn.k.hook_in")
        site.norm(part["ln_cross"], f"{name}.ln_cross")
    for norm in ("ln1", "ln1_post", "ln2", "ln2_post"):
        if norm in part:
            site.norm(part[norm], suffixed(name, f".{norm}"))
    mlp = suffixed(name, ".mlp")
    first = part.get("gate") or part.get("gate_up") or part["in"]
    site.into(first, suffixed(mlp, ".in.hook_in"))
    site.out_of(first, suffixed(mlp, ".first"))
    if "up" in part:
        site.out_of(part["up"], suffixed(mlp, ".hook_pre_linear"))
    site.into(part["down"], suffixed(mlp, ".post"))
    site.out_of(part["down"], suffixed(mlp, ".hook_out"))


def watch_attention(site, name, part):
    site.within(part["attn"], name)
    first = part.get("qkv") or part["q"]
    site.into(first, suffixed(name, ".q.hook_in"))
    if "qkv" in part:
        site.out_of(part["qkv"], suffixed(name, ".qkv"))
    else:
        for m in "qkv":
            site.out_of(part[m], suffixed(name, f".{m}.out"))
    site.into(part["o"], suffixed(name, ".z"))
    site.out_of(part["o"], suffixed(name, ".o.hook_out"))


def finish_attention(site, name, part, n_head, n_kv, rotary, softcap=None, scale=None):
    """Heads get an axis of their own; checks the pattern, z and the heads' results. part["split"]: fused -> q, k, v."""
    value = site.value
    fused = value.pop(f"{name}.qkv", None)
    q, k, v = part["split"](fused) if fused is not None else (value.pop(f"{name}.{m}.out") for m in "qkv")
    q, k, v = (site.put(f"{name}.hook_{m}", x.reshape(x.shape[0], n, -1).contiguous())
               for m, x, n in (("q", q, n_head), ("k", k, n_kv), ("v", v, n_kv)))
    pattern, scores = value[f"{name}.hook_pattern"], value[f"{name}.hook_attn_scores"]
    z = site.put(f"{name}.hook_z", value.pop(f"{name}.z").reshape(q.shape[0], n_head, -1))
    same(torch.einsum("hqk,khd->qhd", pattern, v.repeat_interleave(n_head // n_kv, 1)), z, f"{name}.hook_z")
    same(pattern.sum(-1), torch.ones_like(pattern.sum(-1)), f"{name}: rows of the pattern")
    entered = finish_rotary(site, name, q, k, rotary, part)
    if scale:
        k = entered[1].repeat_interleave(n_head // n_kv, 1)
        product = torch.einsum("qhd,khd->hqk", entered[0], k) * scale
        product = softcap * (product / softcap).tanh() if softcap else product
        product = product + part["bias"] if "bias" in part else product
        seen = scores > -torch.inf
        same(product[seen], scores[seen], f"{name}.hook_attn_scores")
    matrix = weight(part["o"]).detach()
    result = site.put(f"{name}.hook_result", torch.einsum("nhd,mhd->nhm", z, matrix.reshape(len(matrix), n_head, -1)))
    same(result.sum(1) + bias(part["o"]), value[f"{name}.o.hook_out"], f"{name}.hook_result")


def finish_rotary(site, name, q, k, rotary, part):
    """What enters the scores: q and k after their norms and the rotation. Without these it must be q and k."""
    rotated, calls = site.value.pop(f"{name}.rotated", None), site.value.pop(f"{name}.rotary", [])
    if rotary and rotated is None:
        rotated = part["rotated"](q, k, calls)
    if rotated is None:
        return q, k
    if not rotary:
        same(rotated[0], q * part.get("q_scale", 1), f"{name}.hook_q")
        same(rotated[1], k, f"{name}.hook_k")
        return q, k
    if calls and "q_norm" not in part and "rotated" not in part:
        for taken, whole in zip(calls[0][0], (q, k)):
            same(heads(taken), whole[..., :taken.shape[-1]], f"{name}: what is rotated")
    for m, x, before in (("q", rotated[0], q), ("k", rotated[1], k)):
        site.put(f"{name}.hook_rot_{m}", x.contiguous())
        assert x.shape == before.shape
    return rotated


def finish_mlp(site, name, part):
    value = site.value
    first, post = value.pop(f"{name}.first"), value.pop(f"{name}.post")
    if "gate_up" in part:
        first, up = part.get("split_mlp", lambda x: x.chunk(2, -1))(first)
        value[f"{name}.hook_pre_linear"] = up.contiguous()
    pre, post = site.put(f"{name}.hook_pre", first.contiguous()), site.put(f"{name}.hook_post", post)
    active = part["act"](pre)
    same(active * value[f"{name}.hook_pre_linear"] if f"{name}.hook_pre_linear" in value else active, post, name)


def finish_block(site, name, part, form):
    """form: serial (norm, branch, add), parallel (both branches read resid_pre) or post (branch, add, norm). With a
    cross-attention between the two branches."""
    value = site.value
    pre, out = value[f"{name}.hook_resid_pre"], value.pop(f"{name}.out")
    attn = value[f"{name}.ln1_post.out"] if "ln1_post" in part else value[f"{name}.attn.o.hook_out"]
    mlp = value[f"{name}.ln2_post.out"] if "ln2_post" in part else value[f"{name}.mlp.hook_out"]
    value[f"{name}.mlp.out.hook_out"] = value.pop(f"{name}.mlp.hook_out")
    site.put(f"{name}.hook_attn_out", attn)
    site.put(f"{name}.hook_mlp_out", mlp)
    if form == "parallel":
        same(site.put(f"{name}.hook_resid_post", pre + attn + mlp), out, f"{name}.hook_resid_post")
        return
    finish = finish_post if form == "post" else finish_serial
    stream = finish(site, f"{name}.ln1", site.put(f"{name}.hook_resid_mid", pre + attn))
    if "cross" in part:
        read = finish_read(site, f"{name}.ln_cross", stream, form)
        same(read, value[f"{name}.cross_attn.q.hook_in"], f"{name}.cross_attn.q.hook_in")
        cross = site.put(f"{name}.hook_cross_attn_out", value[f"{name}.cross_attn.o.hook_out"])
        stream = finish(site, f"{name}.ln_cross", site.put(f"{name}.hook_resid_mid_cross", stream + cross))
    same(finish_read(site, f"{name}.ln2", stream, form), value[f"{name}.mlp.in.hook_in"], f"{name}.mlp.in.hook_in")
    stream = finish(site, f"{name}.ln2", site.put(f"{name}.hook_resid_post", stream + mlp))
    same(stream, out, f"{name}: output")
    if form == "post":
        site.put(f"{name}.hook_normalized_resid_post", stream)


def finish_serial(site, norm, stream):
    """The stream goes on as it is."""
    return stream


def finish_post(site, norm, stream):
    """The stream goes on through the norm."""
    check_norm(site, norm, stream)
    return site[f"{norm}.out"]


def finish_read(site, norm, stream, form):
    """What a branch reads: the stream, through its norm in a serial block that has one (OLMo 2 has none)."""
    if form == "post" or f"{norm}.out" not in site.value:
        return stream
    check_norm(site, norm, stream)
    return site[f"{norm}.out"]


def check_norm(site, name, x):
    """The norm's input was x."""
    centred = x - x.mean(-1, keepdim=True) if name in site.centred else x
    same(centred, site[f"{name}.hook_normalized"] * site[f"{name}.hook_scale"], name)


def modelling(model):
    return sys.modules[type(model).__module__]


def sites_of(site):
    """The named values without what only the checks needed, in a fixed order."""
    return {name: value for name, value in site.value.items() if "hook_" in name or name == "logits"}
