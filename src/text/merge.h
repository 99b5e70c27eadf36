/* What every kind of byte-pair encoding does once it has cut a word into symbols and knows which pairs join: the
 * best-ranked pair is joined first, the leftmost among equals, until no pair is left that joins. */
#ifndef SN_TEXT_MERGE_H
#define SN_TEXT_MERGE_H

#include "base/base.h"

/* Part of a word while it is encoded. */
typedef struct sn_symbol {
	uint32_t rank;      /* of the pair it makes with the next, from 1 on; 0: they do not join */
	int32_t joined;     /* token of that pair */
	int32_t id;         /* its own token; negative: what the model means by it */
	uint32_t from, to;  /* bytes of the word */
	int32_t prev, next; /* index; -1: none */
} sn_symbol;

/* A word's symbols and room to work in, grown as needed. Zero-initialise; sn_symbols_free at the end. */
typedef struct sn_symbols {
	sn_symbol *symbol; /* [room] */
	uint64_t *heap;
	size_t room, heap_room, heap_size;
} sn_symbols;

/* Sets rank and joined of a, whose next symbol is b. */
typedef void sn_pair_fn(const void *model, sn_symbol *a, const sn_symbol *b);

/* Makes room for n symbols; what was there is lost. SN_ENOMEM. */
SN_CHECKED sn_status sn_symbols_reserve(sn_symbols *s, sn_ctx *ctx, size_t n);
/* Joins symbol[0..n), which have id, from and to, in order; *left are left, from symbol[0] on. SN_ENOMEM. Cost:
 * quadratic up to 32 symbols, n log n beyond. */
SN_CHECKED sn_status sn_symbols_merge(sn_symbols *s, sn_ctx *ctx, int32_t n, sn_pair_fn *pair, const void *model,
									  int32_t *left);
void sn_symbols_free(sn_symbols *s, sn_ctx *ctx);

#endif
