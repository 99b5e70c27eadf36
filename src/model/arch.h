/* Architectures: one row each on the generic block. Nothing outside a row and the block's switches knows what a Llama
 * is. */
#ifndef SN_MODEL_ARCH_H
#define SN_MODEL_ARCH_H

#include "io/gguf.h"
#include "io/json.h"
#include "model/weights.h"

/* How a part lies in the tensor that a file has for it. */
typedef enum sn_layout_kind {
	SN_PLAIN,                /* [rows, columns] */
	SN_TRANSPOSED,           /* [columns, rows]: GPT-2's Conv1D */
	SN_STACKED,              /* one stretch of rows: Q, K, V (or GATE, UP) below one another in one tensor */
	SN_STACKED_TRANSPOSED,   /* the same side by side */
	SN_GROUPED,              /* for each key/value head its query heads, then K, then V: GPT-NeoX, BLOOM, Falcon */
	SN_PER_HEAD              /* a tensor a head, whose number is the name's second %d */
} sn_layout_kind;

/* %d: the block, or the group of blocks. Several names of which files have one stand with | between them. NULL: no such
 * part. */
typedef struct sn_tensor_name { const char *name; sn_layout_kind layout; } sn_tensor_name;

/* Where sn_form says what a file's own keys decide (an activation, a scale), it is what holds without the key. */
struct sn_arch {
	const char *gguf_name;     /* general.architecture; NULL: none */
	const char *model_type;    /* config.json's model_type; NULL: none */
	sn_form form;
	uint64_t optional;         /* parts that a model of this row may lack; every other one named below that the
	                              form has a use for is required */
	const char *prefix;        /* Hugging Face: what names outside heads begin with ("bert."), and files may leave out;
	                              with |: what else may stand in its place */
	sn_tensor_name gguf[SN_PART_COUNT], hf[SN_PART_COUNT];
	bool gguf_interleaved;     /* the GGUF converter stores rows of Q and K in interleaved rotary order */
	bool norm_plus_one;        /* Hugging Face files hold norm weights less one (Gemma); GGUF files do not */
	bool tied;                 /* config.json: tie_word_embeddings where it is not said */
	bool needs_head;           /* there are logits only if the file has HEAD: masked models are often saved without */
	double norm_eps, rope_base, rotary;   /* config.json: what holds without a key; 0: 1e-5, 10000, 1 (share of a
	                                         head) */
	double rope_local;         /* the same of the angles in blocks with a window; 0: they have the same as all */
	int full_every;            /* with a window: the last of so many blocks attends to everything; 0: none does */
	/* Read what only this architecture's files say, after what is common. shape->has holds all parts that the row
	 * names: a part that the file's keys exclude is taken out; whether an optional one is there is seen later. May be
	 * NULL. */
	sn_status (*configure)(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *shape);
	sn_status (*configure_gguf)(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *shape);
	const sn_arch *encoder;    /* the encoder's row, of an encoder-decoder */
	const sn_arch *otherwise;  /* the row to use where the file has that row's HEAD and not this one's (ELECTRA) */
};

/* Returns row i of the table, or NULL past the end; row 0 is "llama". */
const sn_arch *sn_arch_at(int i);
/* Find a row by GGUF or config.json name; SN_EUNKNOWN names the nearest and lists the known ones. where names the
 * file. */
SN_CHECKED sn_status sn_arch_find_gguf(sn_ctx *ctx, const char *where, const char *name, const sn_arch **out);
SN_CHECKED sn_status sn_arch_find_hf(sn_ctx *ctx, const char *where, const char *model_type, const sn_arch **out);
/* Returns the parts that a row names and its form has a use for, less the optional ones: what a shape made by hand
 * has. */
uint64_t sn_arch_parts(const sn_arch *arch);
/* Returns those of a set of parts that a form has a use for: no GATE where nothing is gated, no MLP_NORM where one norm
 * serves both branches. */
uint64_t sn_form_parts(const sn_form *form, uint64_t parts);

#endif
