/* A vocabulary: the bytes of every token, and the token of given bytes. */
#ifndef SN_TEXT_VOCAB_H
#define SN_TEXT_VOCAB_H

#include "text/byte_level.h"
#include "text/tokenizer.h"

typedef struct sn_vocab_slot {
	uint32_t hash;
	int32_t id;
} sn_vocab_slot; /* id + 1; 0: empty */

typedef struct sn_vocab {
	int32_t n;
	const char *pool;
	const uint32_t *start;     /* [n + 1]: token i is pool[start[i]] .. pool[start[i + 1] - 1] */
	const sn_vocab_slot *slot; /* [mask + 1], open addressing */
	uint32_t mask;
} sn_vocab;

/* A token as a file gives it. data NULL: no token has this id. */
typedef struct sn_vocab_entry {
	sn_slice text;
	bool literal; /* an added token: its text stands for itself, not for bytes in the alphabet */
	bool hidden;  /* the model does not know it: it is never found */
} sn_vocab_entry;

/* Fills vocab from n entries, copying their bytes. With an alphabet, texts are decoded to the bytes they stand for; one
 * that cannot be decoded keeps its text and is never found. Of equal tokens the last is found. SN_EPARSE if there are
 * more than INT32_MAX - 1 tokens or 4 GiB of text; source is for that error. */
SN_CHECKED sn_status sn_vocab_build(sn_vocab *vocab, sn_arena *arena, int64_t n, const sn_vocab_entry *entry,
									const sn_byte_alphabet *alphabet, const char *source);
/* Returns the id of the token with these bytes, or -1. */
int32_t sn_vocab_find(const sn_vocab *vocab, const char *bytes, size_t size);
/* Returns a token's bytes; data NULL if there is no such id. */
sn_slice sn_vocab_token(const sn_vocab *vocab, int32_t id);

#endif
