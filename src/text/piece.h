/* A piece of text on its way to the model, with the place in the user's text that each of its bytes came from. */
#ifndef SN_TEXT_PIECE_H
#define SN_TEXT_PIECE_H

#include "base/base.h"

typedef struct sn_piece {
	const char *text; /* [size] valid UTF-8, cut at whole characters */
	size_t size;
	const int64_t (
		*origin)[2]; /* [size] for each byte the span of the user's text that its character stands for; NULL: */
	int64_t base;    /* byte i is byte base + i of the user's text, unchanged; otherwise where the piece begins there */
} sn_piece;

/* What receives pieces, one after the other. */
typedef sn_status sn_piece_fn(void *payload, sn_piece piece);

static inline sn_piece sn_piece_part(sn_piece p, size_t from, size_t to)
{
	if (!p.origin) return (sn_piece){ p.text + from, to - from, NULL, p.base + (int64_t)from };
	return (sn_piece){ p.text + from, to - from, p.origin + from, from < to ? p.origin[from][0] : p.base };
}

/* Puts into span the place in the user's text of bytes [from, to), whole characters; from < to. */
static inline void sn_piece_span(const sn_piece *p, size_t from, size_t to, int64_t span[2])
{
	if (p->origin) {
		span[0] = p->origin[from][0];
		span[1] = p->origin[to - 1][1];
		return;
	}
	while (from > 0 && ((unsigned char)p->text[from] & 0xc0) == 0x80) from--;
	while (to < p->size && ((unsigned char)p->text[to] & 0xc0) == 0x80) to++;
	span[0] = p->base + (int64_t)from;
	span[1] = p->base + (int64_t)to;
}

#endif
