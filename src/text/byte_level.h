/* GPT-2's alphabet: each of the 256 bytes written as one printable character, so that vocabularies are text. */
#ifndef SN_TEXT_BYTE_LEVEL_H
#define SN_TEXT_BYTE_LEVEL_H

#include "base/base.h"

enum { SN_BYTE_CHARS = 0x144 }; /* every character of the alphabet lies below */

/* byte_of[c]: the byte that character c stands for; -1: c stands for none. */
typedef struct sn_byte_alphabet {
	int16_t byte_of[SN_BYTE_CHARS];
} sn_byte_alphabet;

void sn_byte_alphabet_init(sn_byte_alphabet *alphabet);
/* Writes the bytes that text stands for into out (room: size bytes) and returns how many they are; -1 if a character of
 * text is not in the alphabet. out may be text itself. */
int64_t sn_byte_decode(const sn_byte_alphabet *alphabet, const char *text, size_t size, char *out);

#endif
