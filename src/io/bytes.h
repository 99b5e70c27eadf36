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

/* Returns the value of a half-precision number; exact, subnormals, infinities and NaN payloads included. No branch, so that
 * loops over it become vector code. */
static inline float sn_f16(uint16_t bits)
{
	uint32_t magnitude = (uint32_t)(bits & 0x7fff) << 13, sign = (uint32_t)(bits & 0x8000) << 16;
	float small = sn_float_of(magnitude + (113u << 23)) - 0x1p-14f;   /* zero and subnormals: 2^-14 (1 + m) - 2^-14 */
	uint32_t small_bits;
	memcpy(&small_bits, &small, sizeof small_bits);
	uint32_t large = magnitude + (magnitude >= 31u << 23 ? 224u << 23 : 112u << 23);
	return sn_float_of((magnitude < 1u << 23 ? small_bits : large) | sign);
}

#endif
