/* Dequantisation, one function a type. A block's integers are first unpacked into bytes, then scaled in one loop: both
 * loops become vector code. Layouts: ggml's block structs; order of operations: gguf/quants.py. */
#include "io/dequant.h"

#include "io/bytes.h"

enum { SUPER = 256 }; /* numbers in a block of the K family */

/* ---- unpacking ---- */

/* n bytes to 2 n numbers: the low halves, then the high halves. */
static inline void unpack4(const uint8_t *x, int8_t *q, int n)
{
	for (int i = 0; i < n; i++) {
		q[i] = (int8_t)(x[i] & 15);
		q[i + n] = (int8_t)(x[i] >> 4);
	}
}

/* 32 bytes to 128 numbers: bits 0-1 of each byte, then bits 2-3, ... */
static inline void unpack2(const uint8_t *x, int8_t *q)
{
	for (int k = 0; k < 4; k++)
		for (int i = 0; i < 32; i++) q[32 * k + i] = (int8_t)(x[i] >> 2 * k & 3);
}

/* Adds bit i of a 32-bit word, times 16, to number i. */
static inline void add_fifth_bit(uint32_t bits, int8_t *q)
{
	for (int i = 0; i < 32; i++) q[i] = (int8_t)(q[i] | (bits >> i & 1) << 4);
}

static inline void scale(const int8_t *q, float d, float *y, int n)
{
	for (int i = 0; i < n; i++) y[i] = d * (float)q[i];
}

/* ---- blocks of 32 ---- */

static void q4_0_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= 32, x += 18, dst += 32) {
		int8_t q[32];
		unpack4(x + 2, q, 16);
		for (int i = 0; i < 32; i++) q[i] = (int8_t)(q[i] - 8);
		scale(q, sn_f16(sn_load_u16(x)), dst, 32);
	}
}

static void q4_1_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= 32, x += 20, dst += 32) {
		float d = sn_f16(sn_load_u16(x)), m = sn_f16(sn_load_u16(x + 2));
		int8_t q[32];
		unpack4(x + 4, q, 16);
		for (int i = 0; i < 32; i++) dst[i] = d * (float)q[i] + m;
	}
}

static void q5_0_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= 32, x += 22, dst += 32) {
		int8_t q[32];
		unpack4(x + 6, q, 16);
		add_fifth_bit(sn_load_u32(x + 2), q);
		for (int i = 0; i < 32; i++) q[i] = (int8_t)(q[i] - 16);
		scale(q, sn_f16(sn_load_u16(x)), dst, 32);
	}
}

static void q5_1_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= 32, x += 24, dst += 32) {
		float d = sn_f16(sn_load_u16(x)), m = sn_f16(sn_load_u16(x + 2));
		int8_t q[32];
		unpack4(x + 8, q, 16);
		add_fifth_bit(sn_load_u32(x + 4), q);
		for (int i = 0; i < 32; i++) dst[i] = d * (float)q[i] + m;
	}
}

static void q8_0_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= 32, x += 34, dst += 32)
		scale((const int8_t *)(x + 2), sn_f16(sn_load_u16(x)), dst, 32);
}

/* The 16 levels of the non-linear 4-bit types. */
static const int8_t nonlinear[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

static inline void unpack_nonlinear(const uint8_t *x, int8_t *q)
{
	unpack4(x, q, 16);
	for (int i = 0; i < 32; i++) q[i] = nonlinear[q[i]];
}

static void iq4_nl_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= 32, x += 18, dst += 32) {
		int8_t q[32];
		unpack_nonlinear(x + 2, q);
		scale(q, sn_f16(sn_load_u16(x)), dst, 32);
	}
}

/* ---- blocks of 256 ---- */

/* Fields: scales and minima (4 bits each) [16], q [64], d, dmin. */
static void q2_k_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= SUPER, x += 84, dst += SUPER) {
		float d = sn_f16(sn_load_u16(x + 80)), dmin = sn_f16(sn_load_u16(x + 82));
		int8_t q[SUPER];
		unpack2(x + 16, q);
		unpack2(x + 48, q + 128);
		for (int j = 0; j < 16; j++) {
			float dl = d * (float)(x[j] & 15), ml = dmin * (float)(x[j] >> 4);
			for (int i = 16 * j; i < 16 * j + 16; i++) dst[i] = dl * (float)q[i] - ml;
		}
	}
}

/* Fields: third bits [32], low bits [64], scales (6 bits) [12], d. A third bit that is not set takes 4 away. */
static void q3_k_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= SUPER, x += 110, dst += SUPER) {
		const uint8_t *s = x + 96;
		float d = sn_f16(sn_load_u16(x + 108));
		int8_t q[SUPER];
		unpack2(x + 32, q);
		unpack2(x + 64, q + 128);
		for (int k = 0; k < 8; k++)
			for (int i = 0; i < 32; i++) q[32 * k + i] = (int8_t)(q[32 * k + i] - (~x[i] >> k & 1) * 4);
		for (int j = 0; j < 16; j++) {
			int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4, high = s[8 + j % 4] >> 2 * (j / 4) & 3;
			scale(q + 16 * j, d * (float)((low | high << 4) - 32), dst + 16 * j, 16);
		}
	}
}

/* Eight 6-bit scales and minima from 12 bytes; j in 0 .. 7. */
static inline int packed_scale(const uint8_t *s, int j)
{
	return j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 2 & 0x30);
}

static inline int packed_min(const uint8_t *s, int j)
{
	return j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 2 & 0x30);
}

/* y = d scale q - dmin min, for each of eight runs of 32. head: d, dmin, packed scales [12]. */
static inline void scale_runs(const uint8_t *head, const int8_t *q, float *y)
{
	float d = sn_f16(sn_load_u16(head)), dmin = sn_f16(sn_load_u16(head + 2));
	for (int j = 0; j < 8; j++) {
		float dl = d * (float)packed_scale(head + 4, j), ml = dmin * (float)packed_min(head + 4, j);
		for (int i = 32 * j; i < 32 * j + 32; i++) y[i] = dl * (float)q[i] - ml;
	}
}

/* Fields: d, dmin, packed scales [12], q [128]. */
static void q4_k_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= SUPER, x += 144, dst += SUPER) {
		int8_t q[SUPER];
		for (int g = 0; g < 4; g++) unpack4(x + 16 + 32 * g, q + 64 * g, 32);
		scale_runs(x, q, dst);
	}
}

/* Fields: d, dmin, packed scales [12], fifth bits [32], q [128]. */
static void q5_k_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= SUPER, x += 176, dst += SUPER) {
		int8_t q[SUPER];
		for (int g = 0; g < 4; g++) unpack4(x + 48 + 32 * g, q + 64 * g, 32);
		for (int k = 0; k < 8; k++)
			for (int i = 0; i < 32; i++) q[32 * k + i] = (int8_t)(q[32 * k + i] | (x[16 + i] >> k & 1) << 4);
		scale_runs(x, q, dst);
	}
}

/* Fields: low 4 bits [128], high 2 bits [64], scales (int8) [16], d. */
static void q6_k_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= SUPER, x += 210, dst += SUPER) {
		float d = sn_f16(sn_load_u16(x + 208));
		int8_t q[SUPER], high[SUPER];
		for (int g = 0; g < 2; g++) {
			unpack4(x + 64 * g, q + 128 * g, 64);
			unpack2(x + 128 + 32 * g, high + 128 * g);
		}
		for (int i = 0; i < SUPER; i++) q[i] = (int8_t)((q[i] | high[i] << 4) - 32);
		for (int j = 0; j < 16; j++) scale(q + 16 * j, d * (float)(int8_t)x[192 + j], dst + 16 * j, 16);
	}
}

/* Fields: d, high 2 bits of the scales (16 bits), low 4 bits [4], q [128]. */
static void iq4_xs_to_f32(const void *src, float *dst, int64_t n)
{
	for (const uint8_t *x = src; n > 0; n -= SUPER, x += 136, dst += SUPER) {
		float d = sn_f16(sn_load_u16(x));
		int high = sn_load_u16(x + 2);
		for (int j = 0; j < 8; j++) {
			int bits = (x[4 + j / 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4;
			int8_t q[32];
			unpack_nonlinear(x + 8 + 16 * j, q);
			scale(q, d * (float)(bits - 32), dst + 32 * j, 32);
		}
	}
}

/* ---- tables ---- */

static const sn_ggml_type types[] = {
	{ 0, "F32", 1, 4, sn_f32_to_f32 },       { 1, "F16", 1, 2, sn_f16_to_f32 },
	{ 2, "Q4_0", 32, 18, q4_0_to_f32 },      { 3, "Q4_1", 32, 20, q4_1_to_f32 },
	{ 6, "Q5_0", 32, 22, q5_0_to_f32 },      { 7, "Q5_1", 32, 24, q5_1_to_f32 },
	{ 8, "Q8_0", 32, 34, q8_0_to_f32 },      { 10, "Q2_K", SUPER, 84, q2_k_to_f32 },
	{ 11, "Q3_K", SUPER, 110, q3_k_to_f32 }, { 12, "Q4_K", SUPER, 144, q4_k_to_f32 },
	{ 13, "Q5_K", SUPER, 176, q5_k_to_f32 }, { 14, "Q6_K", SUPER, 210, q6_k_to_f32 },
	{ 16, "IQ2_XXS", SUPER, 66, NULL },      { 17, "IQ2_XS", SUPER, 74, NULL },
	{ 18, "IQ3_XXS", SUPER, 98, NULL },      { 19, "IQ1_S", SUPER, 50, NULL },
	{ 20, "IQ4_NL", 32, 18, iq4_nl_to_f32 }, { 21, "IQ3_S", SUPER, 110, NULL },
	{ 22, "IQ2_S", SUPER, 82, NULL },        { 23, "IQ4_XS", SUPER, 136, iq4_xs_to_f32 },
	{ 24, "I8", 1, 1, sn_i8_to_f32 },        { 25, "I16", 1, 2, sn_i16_to_f32 },
	{ 26, "I32", 1, 4, sn_i32_to_f32 },      { 27, "I64", 1, 8, sn_i64_to_f32 },
	{ 28, "F64", 1, 8, sn_f64_to_f32 },      { 29, "IQ1_M", SUPER, 56, NULL },
	{ 30, "BF16", 1, 2, sn_bf16_to_f32 },    { 34, "TQ1_0", SUPER, 54, NULL },
	{ 35, "TQ2_0", SUPER, 66, NULL },        { 39, "MXFP4", 32, 17, NULL },
};

const sn_ggml_type *sn_ggml_type_at(int i)
{
	return i >= 0 && i < (int)(sizeof types / sizeof types[0]) ? &types[i] : NULL;
}

const sn_ggml_type *sn_ggml_type_find(uint32_t id)
{
	for (int i = 0; sn_ggml_type_at(i); i++)
		if ((uint32_t)types[i].id == id) return &types[i];
	return NULL;
}
