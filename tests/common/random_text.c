/* The twin of tests/oracles/random_text.py. */
#include "common/random_text.h"

static const uint32_t ranges[][2] = {
	{ 0x61, 0x7a },       { 0x20, 0x20 },       { 0x430, 0x44f },   { 0x20, 0x7e },     { 0x41, 0x5a },
	{ 0x410, 0x42f },     { 0x30, 0x39 },       { 0x01, 0x1f },     { 0xa0, 0xff },     { 0x100, 0x24f },
	{ 0x300, 0x36f },     { 0x370, 0x3ff },     { 0x400, 0x52f },   { 0x590, 0x6ff },   { 0x900, 0x97f },
	{ 0xe00, 0xe7f },     { 0x1100, 0x11ff },   { 0x1e00, 0x1fff }, { 0x2000, 0x206f }, { 0x2070, 0x218f },
	{ 0x2460, 0x24ff },   { 0x2581, 0x2581 },   { 0x3000, 0x30ff }, { 0x3200, 0x33ff }, { 0x4e00, 0x4eff },
	{ 0xac00, 0xacff },   { 0xfb00, 0xfb4f },   { 0xfe00, 0xfe0f }, { 0xff00, 0xffef }, { 0x1d400, 0x1d4ff },
	{ 0x1f300, 0x1f64f }, { 0x20000, 0x200ff },
};

static uint32_t below(uint64_t *state, uint32_t n)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) >> 33) % n;
}

static uint32_t character(uint64_t *state)
{
	const uint32_t *range = ranges[below(state, 1 + below(state, SN_COUNT(ranges)))];
	return range[0] + below(state, range[1] - range[0] + 1);
}

size_t random_text(uint64_t number, char out[RANDOM_TEXT_ROOM])
{
	uint64_t state = number;
	size_t size = 0;
	for (uint32_t left = below(&state, 33); left > 0; left--) {
		uint32_t code = character(&state);
		uint32_t times = below(&state, 8) == 0 ? 2 + below(&state, 7) : 1;
		for (; times > 0; times--) size += (size_t)sn_utf8_put(code, out + size);
	}
	return size;
}
