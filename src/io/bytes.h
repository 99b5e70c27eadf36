/* Bytes as they stand in files: little-endian numbers at any address, and views of text that is not NUL-terminated. */
#ifndef SN_IO_BYTES_H
#define SN_IO_BYTES_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and read in place");

/* size bytes of somebody else's memory; no NUL behind them. */
typedef struct sn_slice {
	const char *data;
	size_t size;
} sn_slice;

static inline uint16_t sn_load_u16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint32_t sn_load_u32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint64_t sn_load_u64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* Returns the float with these bits. */
static inline float sn_float_of(uint32_t bits)
{
	float v;
	memcpy(&v, &bits, sizeof v);
	return v;
}

/* Returns the value of a bfloat16; exact. */
static inline float sn_bf16(uint16_t bits) { return sn_float_of((uint32_t)bits << 16); }

/* Returns the value of a half-precision number; exact, subnormals, infinities and NaN payloads included. Masks instead
 * of branches, so that loops over it become vector code. */
static inline float sn_f16(uint16_t bits)
{
	int32_t magnitude = (bits & 0x7fff) << 13; /* the float32 of exponent - 112 */
	int32_t is_small = -(magnitude < 1 << 23), is_infinite = -(magnitude >= 31 << 23);
	int32_t large = magnitude + (112 << 23) + (is_infinite & 112 << 23), small_bits;
	float small = (float)(bits & 0x7fff) * 0x1p-24f; /* zero and subnormals */
	memcpy(&small_bits, &small, sizeof small_bits);
	int32_t size = large ^ ((large ^ small_bits) & is_small);
	return sn_float_of((uint32_t)size | (uint32_t)(bits & 0x8000) << 16);
}

#endif
