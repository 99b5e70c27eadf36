/* Opening model files. A loader turns a file's keys into shapes and gives a function that finds tensors; what is common
 * is here: names and shapes of all tensors are checked before a number is read, and numbers are read row by row from
 * where they lie. */
#ifndef SN_MODEL_LOAD_H
#define SN_MODEL_LOAD_H

#include "io/stored.h"
#include "model/arch.h"

SN_CHECKED sn_status sn_load_gguf(sn_model **out, sn_ctx *ctx, const char *path);
/* folder holds config.json, the weights (safetensors or PyTorch, whole or in shards) and tokenizer.json. */
SN_CHECKED sn_status sn_load_hf(sn_model **out, sn_ctx *ctx, const char *folder);

/* ---- tensors of a file ---- */

/* A tensor as it lies in a file, the format aside: plain numbers with strides, or rows of whole blocks. */
typedef struct sn_file_tensor {
	const uint8_t *data;
	sn_to_f32 *to_f32;           /* NULL: cannot be read */
	const char *type;            /* "BF16", "Q4_K" */
	int block, block_bytes;      /* numbers and bytes of a block; plain: 1 and the size of a number */
	int ndim;
	int64_t dim[SN_STORED_NDIM], stride[SN_STORED_NDIM];   /* slowest dimension first; strides in numbers */
} sn_file_tensor;

/* Makes a view of ndim 2, [rows, columns], in place; columns 1: of a vector, whose numbers may stand in any shape that
 * has rows of them. false if it does not fit. */
bool sn_file_tensor_fit(sn_file_tensor *view, int64_t rows, int64_t columns, bool vector);
/* Turns a view of two dimensions on its side. */
void sn_file_tensor_transpose(sn_file_tensor *view);
/* Writes rows [row0, row0 + n_row) of a view of two dimensions as float32, dense. Pure. */
void sn_file_tensor_rows(const sn_file_tensor *view, int64_t row0, int64_t n_row, float *out);
/* Returns whether two views hold the same bytes in the same shape. Cost: reading both, up to the first difference. */
bool sn_file_tensor_equal(const sn_file_tensor *a, const sn_file_tensor *b);

/* ---- weights: a file's tensors, and the stacks of blocks made of them ---- */

typedef struct sn_placed sn_placed;

/* An open file with everything that a model keeps of it. An encoder and a decoder share one; the last to be closed
 * closes it. */
typedef struct sn_weights {
	sn_arena *arena;
	const char *path;
	bool hugging_face;           /* names and layouts are those of arch->hf */
	bool headless;               /* a missing UNEMBED means no logits */
	void *file;
	int64_t n_tensor;
	bool (*find)(const void *file, const char *name, sn_file_tensor *out);   /* false: the file has none of that name */
	void (*close)(void *file);
	int users;                   /* open models; 0 while loading */
	sn_shape shape[2];           /* of the model (a decoder); of its encoder */
	sn_placed *stack[2];
} sn_weights;

/* Opens empty weights; the loader fills path … close. */
SN_CHECKED sn_status sn_weights_open(sn_weights **out, sn_ctx *ctx);
/* Frees a weights without models. NULL is allowed. */
void sn_weights_close(sn_weights *weights);
/* Finds and checks the tensors of weights->shape[i], whose form, numbers and has (all parts that there may be) are set:
 * completes has, tied and the sizes that only tensors tell (vocabulary, positions, token types, head). SN_ENOTFOUND
 * for a missing tensor, SN_ESHAPE for a wrong one, SN_EUNKNOWN for a type that cannot be read. */
SN_CHECKED sn_status sn_weights_place(sn_ctx *ctx, sn_weights *weights, int i);
/* Returns whether the file has the HEAD of a row. */
bool sn_weights_has_head(const sn_weights *weights, const sn_arch *arch);
/* Finds the tensor of a part placed before; layer: block or group. */
const sn_file_tensor *sn_weights_tensor(const sn_weights *weights, sn_part part, int layer);
/* Makes the model of a weights whose shapes are placed (and its encoder, if there is a stack for one). Owns weights and
 * tokenizer from then on, also on failure. */
SN_CHECKED sn_status sn_weights_model(sn_model **out, sn_ctx *ctx, sn_weights *weights, sn_tokenizer *tokenizer,
                                    const sn_model_info *info);

#endif
