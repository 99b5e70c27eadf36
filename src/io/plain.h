/* Plain numbers as files store them: each on its own, little-endian, at any alignment. Safetensors, PyTorch files and
 * the unquantised types of GGUF share them. */
#ifndef SN_IO_PLAIN_H
#define SN_IO_PLAIN_H

#include "sonde.h"

/* Writes n numbers from src, at any alignment, to dst, rounding to nearest where float32 has fewer digits. Pure, so
 * ranges may be converted in parallel. */
typedef void sn_to_f32(const void *src, float *dst, int64_t n);

/* A kind of plain number. */
typedef struct sn_plain_type {
	const char *name;  /* as safetensors spells it: "BF16" */
	const char *torch; /* as PyTorch does: "bfloat16" */
	sn_dtype dtype;    /* the same in memory (SN_U8 for BOOL too), or SN_DTYPE_NONE */
	size_t bytes;      /* of one number */
	sn_to_f32 *to_f32; /* NULL: it can be named and measured, but not read (complex numbers) */
} sn_plain_type;

/* Returns the type of that safetensors or PyTorch name, or NULL. */
const sn_plain_type *sn_plain_type_find(const char *name);
const sn_plain_type *sn_plain_type_find_torch(const char *name);
/* Returns the type with that representation in memory; NULL for SN_DTYPE_NONE. */
const sn_plain_type *sn_plain_type_of(sn_dtype dtype);

/* The conversions, named by what stands in the file. */
sn_to_f32 sn_f32_to_f32, sn_f16_to_f32, sn_bf16_to_f32, sn_f64_to_f32, sn_i64_to_f32, sn_i32_to_f32, sn_i16_to_f32,
	sn_i8_to_f32;

#endif
