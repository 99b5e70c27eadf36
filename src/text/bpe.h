/* Byte-pair encoding (Sennrich et al. 2016) of one word at a time: neighbouring symbols are joined, best-ranked pair
 * first, until no pair is left that has a rank. */
#ifndef SN_TEXT_BPE_H
#define SN_TEXT_BPE_H

#include "text/merge.h"
#include "text/model.h"
#include "text/vocab.h"

typedef struct sn_merge {
	uint64_t pair; /* left id << 32 | right id */
	uint32_t rank; /* rank + 1; 0: an empty slot */
	int32_t id;    /* of the joined token */
} sn_merge;

typedef struct sn_bpe {
	const sn_vocab *vocab;
	bool byte_level;          /* a word's first symbols are its bytes; otherwise its characters */
	sn_slice prefix;          /* what a symbol that does not begin the word is written with ("##"); or empty */
	sn_slice suffix;          /* what the symbol that ends the word is written with ("</w>"); or empty */
	bool byte_fallback;       /* a character that is no token becomes its bytes ("<0xD0>"), if all of them are tokens */
	bool ignore_merges;       /* a word that is a token as a whole stays one */
	bool fuse_unk;            /* neighbouring unknown symbols become one token */
	int32_t unk;              /* stands for a symbol that is no token; -1: such a symbol yields nothing */
	int32_t byte_id[256];     /* token of each single byte, or -1 */
	int32_t fallback_id[256]; /* token "<0x..>" of each byte, or -1 */
	sn_merge *merge;          /* [mask + 1], open addressing */
	uint32_t mask;
} sn_bpe;

enum { SN_LONGEST_AFFIX = 64 }; /* of a prefix or suffix, in bytes */

/* Makes room for n_merge merges and looks up the single bytes; the other members are the caller's. */
SN_CHECKED sn_status sn_bpe_init(sn_bpe *bpe, sn_arena *arena, const sn_vocab *vocab, int64_t n_merge);
/* Adds the merge of two tokens (bytes as in the vocabulary) into the third, which is the two put together without the
 * right one's prefix. Returns false if one of the three is no token. A later merge of the same pair replaces an earlier
 * one. scratch: room to work in, reused from call to call. */
bool sn_bpe_add_merge(sn_bpe *bpe, uint32_t rank, sn_slice left, sn_slice right, sn_buf *scratch);

/* Appends the tokens of a word (valid UTF-8 unless byte-level; size < 2^31) to out, what has no token included (id -1).
 * SN_ENOMEM. Cost: as sn_symbols_merge. */
SN_CHECKED sn_status sn_bpe_encode(const sn_bpe *bpe, sn_ctx *ctx, sn_symbols *work, const char *word, size_t size,
								   sn_parts *out);

#endif
