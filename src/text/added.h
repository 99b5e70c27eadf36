/* Added tokens: words found in the text as they are written, before anything else happens to it ("<|im_end|>"). */
#ifndef SN_TEXT_ADDED_H
#define SN_TEXT_ADDED_H

#include "text/piece.h"
#include "text/tokenizer.h"

typedef struct sn_added {
	sn_slice text;
	int32_t id;
	bool special;        /* found only if SN_PARSE_SPECIAL asks */
	bool normalized;     /* looked for in the normalised text, not in the user's */
	bool single_word;    /* not inside a longer word */
	bool lstrip, rstrip; /* takes the white space before, after it along */
} sn_added;

/* Sorted for search; one set for the user's text, one for the normalised. */
typedef struct sn_added_set {
	int32_t n;
	sn_added *token;    /* [n] by first byte, longer before shorter */
	int32_t first[257]; /* tokens beginning with byte b are first[b] .. first[b + 1] - 1 */
} sn_added_set;

/* Sorts set->token[0..n) in place and indexes it. Texts must not be empty. */
void sn_added_index(sn_added_set *set);

/* Cuts a piece at the added tokens in it, leftmost first, the longest of those that begin there; calls found for each
 * of them and rest for the text between. special false: special tokens stay text. */
SN_CHECKED sn_status sn_added_split(const sn_added_set *set, sn_piece piece, bool special,
									sn_status (*found)(void *payload, const sn_added *token, sn_piece piece),
									sn_piece_fn *rest, void *payload);

#endif
