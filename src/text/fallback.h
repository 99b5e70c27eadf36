/* What stands for text that a vocabulary has no piece for: a token for each of its bytes ("<0xD0>"). */
#ifndef SN_TEXT_FALLBACK_H
#define SN_TEXT_FALLBACK_H

#include "text/model.h"

typedef struct sn_fallback {
	bool on;
	bool escaped;         /* a space of the text stands for U+2581 and is written with that character's bytes */
	int32_t byte_id[256]; /* token of each byte, or -1 */
} sn_fallback;

/* Appends the tokens of bytes [from, to) of a word, each with the place of all of them, where there is room for three a
 * byte. Returns false, having appended nothing, if it is off or a byte has no token. */
bool sn_fallback_put(const sn_fallback *fallback, const char *word, size_t from, size_t to, sn_parts *out);

#endif
