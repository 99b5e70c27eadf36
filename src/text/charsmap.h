/* precompiled_charsmap: SentencePiece's table of what characters are rewritten to, as it stands in files: the size of a
 * trie (u32), the trie (a double array of u32 units, as Darts-clone writes it), and the texts that its values point to,
 * each ended by a NUL. Nothing in it is trusted. */
#ifndef SN_TEXT_CHARSMAP_H
#define SN_TEXT_CHARSMAP_H

#include "base/base.h"
#include "io/bytes.h"

typedef struct sn_charsmap {
	const char *unit; /* [4 * n] little-endian, at any alignment */
	uint32_t n;       /* 0: nothing is rewritten */
	const char *text; /* [size], the last byte is NUL */
	size_t size;
} sn_charsmap;

/* Which of the rules that apply to a text's beginning counts. */
typedef enum sn_charsmap_rule {
	SN_CHARSMAP_LONGEST, /* SentencePiece */
	SN_CHARSMAP_FIRST    /* the shortest, as the `tokenizers` package does, which also stops at a NUL */
} sn_charsmap_rule;

/* Reads a table from bytes, borrowed as long as it is used. No bytes are an empty table. SN_EPARSE with source in front
 * for sizes that are wrong. */
SN_CHECKED sn_status sn_charsmap_open(sn_charsmap *out, sn_ctx *ctx, sn_slice bytes, const char *source);
/* Returns how many of the first bytes of text a rule rewrites, and to what (*to borrowed from the table, valid UTF-8);
 * 0: none does. What ends inside a character, points nowhere, or to what is not UTF-8, is no rule. Cost: the length of
 * the longest rule.  */
size_t sn_charsmap_find(const sn_charsmap *map, sn_charsmap_rule rule, const char *text, size_t size, sn_slice *to);

#endif
