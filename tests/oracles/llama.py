"""Llama in plain torch, with every site's value under TransformerLens's names; held against transformers."""
import math

import torch
import torch.nn.functional as F


class Llama:
    """weights: Hugging Face names to tensors; config: a LlamaConfig. Computes in `dtype`, a row at a time."""

    def __init__(self, weights, config, dtype=torch.float64):
        self.w = {name: tensor.to(dtype) for name, tensor in weights.items()}
        self.n_layer, self.eps, self.dtype = config.num_hidden_layers, config.rms_norm_eps, dtype
        self.n_head, self.n_kv = config.num_attention_heads, config.num_key_value_heads
        self.d_head = getattr(config, "head_dim", None) or config.hidden_size // self.n_head
        self.theta = config.rope_parameters["rope_theta"]
        self.unembed = self.w.get("lm_head.weight", self.w["model.embed_tokens.weight"])

    def rotate(self, x):
        """x [n, heads, d_head]; half-split pairs (i, i + d_head/2), angle position * theta^(-2i/d_head)."""
        half = self.d_head // 2
        frequency = self.theta ** (-torch.arange(half, dtype=torch.float64) * 2 / self.d_head)
        angle = torch.arange(x.shape[0], dtype=torch.float64)[:, None] * frequency
        cos, sin = angle.cos().to(x)[:, None], angle.sin().to(x)[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def norm(self, x, weight, name, put):
        """RMSNorm: hook_scale = sqrt(mean(x^2) + eps), hook_normalized = x / scale, before the weight."""
        scale = put(f"{name}.hook_scale", (x.square().mean(-1, keepdim=True) + self.eps).sqrt())
        return put(f"{name}.hook_normalized", x / scale) * self.w[weight]

    def matrix(self, x, weight, name, put):
        """One weight matrix with its true input and output."""
        put(f"{name}.hook_in", x)
        return put(f"{name}.hook_out", x @ self.w[weight].T)

    def attention(self, x, i, put):
        hf, name, n = f"model.layers.{i}.self_attn", f"blocks.{i}.attn", x.shape[0]
        q, k, v = (put(f"{name}.hook_{m}", self.matrix(x, f"{hf}.{m}_proj.weight", f"{name}.{m}", put)
                       .reshape(n, -1, self.d_head)) for m in "qkv")
        q, k = put(f"{name}.hook_rot_q", self.rotate(q)), put(f"{name}.hook_rot_k", self.rotate(k))
        k, v = (t.repeat_interleave(self.n_head // self.n_kv, 1) for t in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(self.d_head)
        future = torch.ones(n, n, dtype=torch.bool).triu(1)
        scores = put(f"{name}.hook_attn_scores", scores.masked_fill(future, -math.inf))
        pattern = put(f"{name}.hook_pattern", scores.softmax(-1))
        z = put(f"{name}.hook_z", torch.einsum("hqk,khd->qhd", pattern, v))
        w_o = self.w[f"{hf}.o_proj.weight"].reshape(-1, self.n_head, self.d_head)
        put(f"{name}.hook_result", torch.einsum("nhd,mhd->nhm", z, w_o))
        return self.matrix(z.reshape(n, -1), f"{hf}.o_proj.weight", f"{name}.o", put)

    def mlp(self, x, i, put):
        hf, name = f"model.layers.{i}.mlp", f"blocks.{i}.mlp"
        gate = put(f"{name}.hook_pre", self.matrix(x, f"{hf}.gate_proj.weight", f"{name}.gate", put))
        up = put(f"{name}.hook_pre_linear", self.matrix(x, f"{hf}.up_proj.weight", f"{name}.in", put))
        post = put(f"{name}.hook_post", F.silu(gate) * up)
        return self.matrix(post, f"{hf}.down_proj.weight", f"{name}.out", put)

    def run(self, ids, edit=None):
        """ids: token ids of one row. Returns {site: value}; `edit(site, value)` may return a replacement (or None)."""
        site = {}

        def put(name, value):
            changed = edit(name, value) if edit else None
            site[name] = value if changed is None else changed
            return site[name]

        x = put("hook_embed", self.w["model.embed_tokens.weight"][torch.as_tensor(ids)])
        for i in range(self.n_layer):
            block, hf = f"blocks.{i}", f"model.layers.{i}"
            x = put(f"{block}.hook_resid_pre", x)
            normed = self.norm(x, f"{hf}.input_layernorm.weight", f"{block}.ln1", put)
            x = put(f"{block}.hook_resid_mid", x + put(f"{block}.hook_attn_out", self.attention(normed, i, put)))
            normed = self.norm(x, f"{hf}.post_attention_layernorm.weight", f"{block}.ln2", put)
            x = put(f"{block}.hook_resid_post", x + put(f"{block}.hook_mlp_out", self.mlp(normed, i, put)))
        x = put("unembed.hook_in", self.norm(x, "model.norm.weight", "ln_final", put))
        put("unembed.hook_out", x @ self.unembed.T)
        return site


def token_loss(logits, ids):
    """-log p(next token) at every position but the last, [n - 1]."""
    return -logits[:-1].log_softmax(-1)[torch.arange(len(ids) - 1), torch.as_tensor(ids[1:], dtype=torch.long)]
