/* Architectures: one row each on the generic block. Nothing outside a row and the block's switches knows what a Llama
 * is. */
#ifndef SN_MODEL_ARCH_H
#define SN_MODEL_ARCH_H

#include "model/weights.h"

/* The generic block's switches. New kinds are added here, to model/block.c and to no other place. */
typedef enum sn_norm_kind { SN_NORM_RMS } sn_norm_kind;               /* before each branch, and before the
                                                                         unembedding */
typedef enum sn_position_kind { SN_POSITION_ROTARY_HALF } sn_position_kind;
typedef enum sn_mlp_kind { SN_MLP_SILU_GATED } sn_mlp_kind;

struct sn_arch {
	const char *gguf_name;     /* general.architecture */
	const char *model_type;    /* config.json's model_type */
	sn_norm_kind norm;
	sn_position_kind position;
	sn_mlp_kind mlp;
	bool gguf_interleaved;     /* the GGUF converter stores rows of Q and K in interleaved rotary order */
	const char *gguf[SN_PART_COUNT], *hf[SN_PART_COUNT];   /* tensor names; %d is the block number */
	uint64_t sites;            /* bit k: the architecture has site kind k */
};

/* Returns row i of the table, or NULL past the end. */
const sn_arch *sn_arch_at(int i);
/* Find a row by GGUF or config.json name; SN_EUNKNOWN lists the known ones. where names the file. */
SN_CHECKED sn_status sn_arch_find_gguf(sn_ctx *ctx, const char *where, const char *name, const sn_arch **out);
SN_CHECKED sn_status sn_arch_find_hf(sn_ctx *ctx, const char *where, const char *model_type, const sn_arch **out);

#endif
