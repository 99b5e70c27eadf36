/* The table of architectures. */
#include "model/arch.h"

#include "base/base.h"

#include <string.h>

#define SITE(kind) (UINT64_C(1) << SN_SITE_##kind)
#define ALL_SITES (((UINT64_C(1) << SN_SITE_COUNT) - 1) & ~UINT64_C(1))

static const sn_arch table[] = {
	{
		.gguf_name = "llama", .model_type = "llama",
		.norm = SN_NORM_RMS, .position = SN_POSITION_ROTARY_HALF, .mlp = SN_MLP_SILU_GATED,
		.gguf_interleaved = true,
		.gguf = {
			[SN_PART_EMBED] = "token_embd.weight", [SN_PART_ATTN_NORM] = "blk.%d.attn_norm.weight",
			[SN_PART_Q] = "blk.%d.attn_q.weight", [SN_PART_K] = "blk.%d.attn_k.weight",
			[SN_PART_V] = "blk.%d.attn_v.weight", [SN_PART_O] = "blk.%d.attn_output.weight",
			[SN_PART_MLP_NORM] = "blk.%d.ffn_norm.weight", [SN_PART_GATE] = "blk.%d.ffn_gate.weight",
			[SN_PART_UP] = "blk.%d.ffn_up.weight", [SN_PART_DOWN] = "blk.%d.ffn_down.weight",
			[SN_PART_FINAL_NORM] = "output_norm.weight", [SN_PART_UNEMBED] = "output.weight",
		},
		.hf = {
			[SN_PART_EMBED] = "model.embed_tokens.weight",
			[SN_PART_ATTN_NORM] = "model.layers.%d.input_layernorm.weight",
			[SN_PART_Q] = "model.layers.%d.self_attn.q_proj.weight",
			[SN_PART_K] = "model.layers.%d.self_attn.k_proj.weight",
			[SN_PART_V] = "model.layers.%d.self_attn.v_proj.weight",
			[SN_PART_O] = "model.layers.%d.self_attn.o_proj.weight",
			[SN_PART_MLP_NORM] = "model.layers.%d.post_attention_layernorm.weight",
			[SN_PART_GATE] = "model.layers.%d.mlp.gate_proj.weight",
			[SN_PART_UP] = "model.layers.%d.mlp.up_proj.weight",
			[SN_PART_DOWN] = "model.layers.%d.mlp.down_proj.weight", [SN_PART_FINAL_NORM] = "model.norm.weight",
			[SN_PART_UNEMBED] = "lm_head.weight",
		},
		.sites = ALL_SITES & ~SITE(POS_EMBED),
	},
};

const sn_arch *sn_arch_at(int i) { return i >= 0 && i < SN_COUNT(table) ? &table[i] : NULL; }

static sn_status unknown(sn_ctx *ctx, const char *where, const char *key, const char *name, size_t field)
{
	char known[512];
	int used = 0;
	for (int i = 0; i < SN_COUNT(table) && used < (int)sizeof known - 32; i++)
		used += sn_format(known + used, sizeof known - (size_t)used, "%s%s", i ? ", " : "",
		                  *(const char *const *)((const char *)&table[i] + field));
	return sn_fail(ctx, SN_EUNKNOWN, "%s: %s is \"%s\", which this version does not know; it knows: %s", where, key,
	               name, known);
}

sn_status sn_arch_find_gguf(sn_ctx *ctx, const char *where, const char *name, const sn_arch **out)
{
	for (int i = 0; i < SN_COUNT(table); i++)
		if (strcmp(table[i].gguf_name, name) == 0) return *out = &table[i], SN_OK;
	return unknown(ctx, where, "general.architecture", name, offsetof(sn_arch, gguf_name));
}

sn_status sn_arch_find_hf(sn_ctx *ctx, const char *where, const char *model_type, const sn_arch **out)
{
	for (int i = 0; i < SN_COUNT(table); i++)
		if (strcmp(table[i].model_type, model_type) == 0) return *out = &table[i], SN_OK;
	return unknown(ctx, where, "model_type", model_type, offsetof(sn_arch, model_type));
}
