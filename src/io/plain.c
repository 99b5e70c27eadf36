/* Plain numbers to float32. The loops have neither branches nor calls, so that they become vector code. */
#include "io/plain.h"

#include "io/bytes.h"

/* A conversion: name, what one number x (of this many bytes, loaded by load) is as a float. */
#define CONVERSION(name, bytes, load, value)                                                                           \
	void name(const void *src, float *dst, int64_t n)                                                                  \
	{                                                                                                                  \
		const uint8_t *at = src;                                                                                       \
		for (int64_t i = 0; i < n; i++, at += bytes) {                                                                 \
			load;                                                                                                      \
			dst[i] = (float)(value);                                                                                   \
		}                                                                                                              \
	}

static inline double load_f64(const uint8_t *p)
{
	double v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* Sign, 4 bits of exponent (bias 7), 3 bits; no infinity, and NaN only where all exponent and fraction bits are set
 * (the "fn" variant). Shifted into place it is a half-precision number 2^8 too small. Micikevicius et al. 2022, FP8
 * Formats for Deep Learning. */
static inline float f8_e4m3(uint8_t x)
{
	float size = sn_f16((uint16_t)((x & 0x80) << 8 | (x & 0x7f) << 7)) * 256.0f;
	return (x & 0x7f) == 0x7f ? sn_float_of(0x7fc00000u | (uint32_t)(x & 0x80) << 24) : size;
}

/* A power of two, 2^(x - 127); 255 is NaN. OCP Microscaling Formats 1.0. */
static inline float f8_e8m0(uint8_t x)
{
	uint32_t bits = x == 0 ? 0x00400000u : (uint32_t)x << 23;
	return sn_float_of(x == 255 ? 0x7fc00000u : bits);
}

void sn_f32_to_f32(const void *src, float *dst, int64_t n) { memcpy(dst, src, (size_t)n * sizeof *dst); }
CONVERSION(sn_f16_to_f32, 2, uint16_t x = sn_load_u16(at), sn_f16(x))
CONVERSION(sn_bf16_to_f32, 2, uint16_t x = sn_load_u16(at), sn_bf16(x))
CONVERSION(sn_f64_to_f32, 8, double x = load_f64(at), x)
CONVERSION(sn_i64_to_f32, 8, uint64_t x = sn_load_u64(at), (int64_t)x)
CONVERSION(sn_i32_to_f32, 4, uint32_t x = sn_load_u32(at), (int32_t)x)
CONVERSION(sn_i16_to_f32, 2, uint16_t x = sn_load_u16(at), (int16_t)x)
CONVERSION(sn_i8_to_f32, 1, uint8_t x = *at, (int8_t)x)
static CONVERSION(u64_to_f32, 8, uint64_t x = sn_load_u64(at), x)
static CONVERSION(u32_to_f32, 4, uint32_t x = sn_load_u32(at), x)
static CONVERSION(u16_to_f32, 2, uint16_t x = sn_load_u16(at), x)
static CONVERSION(u8_to_f32, 1, uint8_t x = *at, x)
static CONVERSION(e4m3_to_f32, 1, uint8_t x = *at, f8_e4m3(x))
static CONVERSION(e5m2_to_f32, 1, uint8_t x = *at, sn_f16((uint16_t)(x << 8)))
static CONVERSION(e8m0_to_f32, 1, uint8_t x = *at, f8_e8m0(x))

static const sn_plain_type types[] = {
	{ "F32", "float32", SN_F32, 4, sn_f32_to_f32 },
	{ "F16", "float16", SN_F16, 2, sn_f16_to_f32 },
	{ "BF16", "bfloat16", SN_BF16, 2, sn_bf16_to_f32 },
	{ "F64", "float64", SN_F64, 8, sn_f64_to_f32 },
	{ "I64", "int64", SN_I64, 8, sn_i64_to_f32 },
	{ "I32", "int32", SN_I32, 4, sn_i32_to_f32 },
	{ "U8", "uint8", SN_U8, 1, u8_to_f32 },
	{ "BOOL", "bool", SN_U8, 1, u8_to_f32 },
	{ "I8", "int8", SN_DTYPE_NONE, 1, sn_i8_to_f32 },
	{ "I16", "int16", SN_DTYPE_NONE, 2, sn_i16_to_f32 },
	{ "U16", "uint16", SN_DTYPE_NONE, 2, u16_to_f32 },
	{ "U32", "uint32", SN_DTYPE_NONE, 4, u32_to_f32 },
	{ "U64", "uint64", SN_DTYPE_NONE, 8, u64_to_f32 },
	{ "F8_E4M3", "float8_e4m3fn", SN_DTYPE_NONE, 1, e4m3_to_f32 },
	{ "F8_E5M2", "float8_e5m2", SN_DTYPE_NONE, 1, e5m2_to_f32 },
	{ "F8_E8M0", "float8_e8m0fnu", SN_DTYPE_NONE, 1, e8m0_to_f32 },
	{ "C64", "complex64", SN_DTYPE_NONE, 8, NULL },
};

enum { TYPES = sizeof types / sizeof types[0] };

const sn_plain_type *sn_plain_type_find(const char *name)
{
	for (int i = 0; i < TYPES; i++)
		if (strcmp(types[i].name, name) == 0) return &types[i];
	return NULL;
}

const sn_plain_type *sn_plain_type_find_torch(const char *name)
{
	for (int i = 0; i < TYPES; i++)
		if (strcmp(types[i].torch, name) == 0) return &types[i];
	return NULL;
}

const sn_plain_type *sn_plain_type_of(sn_dtype dtype)
{
	for (int i = 0; i < TYPES; i++)
		if (types[i].dtype == dtype && dtype != SN_DTYPE_NONE) return &types[i];
	return NULL;
}
