/* The rows of the table, family by family, and what their definitions share. */
#ifndef SN_MODEL_ARCH_ROWS_H
#define SN_MODEL_ARCH_ROWS_H

#include "model/arch.h"

extern const sn_arch *const sn_arch_llamas[], *const sn_arch_gpts[], *const sn_arch_gemmas[],
	*const sn_arch_encoders[], *const sn_arch_seq2seqs[];
extern const int sn_arch_n_llamas, sn_arch_n_gpts, sn_arch_n_gemmas, sn_arch_n_encoders, sn_arch_n_seq2seqs;

/* [SN_PART_Q] = { "name", SN_PLAIN } */
#define PLAIN(part, text) [SN_PART_##part] = { text, SN_PLAIN }
#define LAID(part, text, layout) [SN_PART_##part] = { text, layout }
/* A matrix below others in one tensor, and its bias. */
#define BELOW(part, text) LAID(part, text ".weight", SN_STACKED), LAID(part##_B, text ".bias", SN_STACKED)
/* A matrix (or norm) and its bias. */
#define BOTH(part, text) PLAIN(part, text ".weight"), PLAIN(part##_B, text ".bias")
/* GGUF's names of what nearly every decoder has. */
#define GGUF_ENDS PLAIN(EMBED, "token_embd.weight"), PLAIN(FINAL_NORM, "output_norm.weight"),                          \
	PLAIN(UNEMBED, "output.weight")
#define GGUF_ATTN BOTH(Q, "blk.%d.attn_q"), BOTH(K, "blk.%d.attn_k"), BOTH(V, "blk.%d.attn_v"),                        \
	BOTH(O, "blk.%d.attn_output")
#define GGUF_FUSED_ATTN BELOW(Q, "blk.%d.attn_qkv"), BELOW(K, "blk.%d.attn_qkv"), BELOW(V, "blk.%d.attn_qkv"),         \
	BOTH(O, "blk.%d.attn_output")
#define GGUF_MLP BOTH(UP, "blk.%d.ffn_up"), BOTH(DOWN, "blk.%d.ffn_down")
#define GGUF_GATED BOTH(GATE, "blk.%d.ffn_gate"), GGUF_MLP
#define GGUF_NORMS PLAIN(ATTN_NORM, "blk.%d.attn_norm.weight"), PLAIN(MLP_NORM, "blk.%d.ffn_norm.weight")
#define GGUF_NORM_BIASES PLAIN(ATTN_NORM_B, "blk.%d.attn_norm.bias"), PLAIN(MLP_NORM_B, "blk.%d.ffn_norm.bias"),       \
	PLAIN(FINAL_NORM_B, "output_norm.bias")
#define GGUF_QK_NORMS PLAIN(Q_NORM, "blk.%d.attn_q_norm.weight"), PLAIN(K_NORM, "blk.%d.attn_k_norm.weight")

#define OPTIONAL(part) SN_PART_BIT(part)
#define QKV_BIASES (OPTIONAL(Q_B) | OPTIONAL(K_B) | OPTIONAL(V_B))
#define ALL_BIASES (QKV_BIASES | OPTIONAL(O_B) | OPTIONAL(GATE_B) | OPTIONAL(UP_B) | OPTIONAL(DOWN_B))

#endif
