/* GPT-2's alphabet: each of the 256 bytes written as one printable character, so that vocabularies are text. */
#ifndef SN_TEXT_BYTE_LEVEL_H
#define SN_TEXT_BYTE_LEVEL_H

#include "base/base.h"
#include "io/bytes.h"

enum { SN_BYTE_CHARS = 0x144 }; /* every character of the alphabet lies below */

/* byte_of[c]: the byte that character c stands for; -1: c stands for none. */
typedef struct sn_byte_alphabet {
	int16_t byte_of[SN_BYTE_CHARS];
} sn_byte_alphabet;

void sn_byte_alphabet_init(sn_byte_alphabet *alphabet);
/* Writes the bytes that text stands for into out (room: size bytes) and returns how many they are; -1 if a character of
 * text is not in the alphabet. out may be text itself. */
int64_t sn_byte_decode(const sn_byte_alphabet *alphabet, const char *text, size_t size, char *out);

/* Returns the character of the alphabet that a byte is written as. */
uint32_t sn_byte_char(unsigned char byte);
/* Appends bytes written in the alphabet. */
void sn_byte_encode(const char *bytes, size_t size, sn_buf *out);

enum { SN_BYTE_TOKEN_SIZE = 6 };
/* Writes "<0xD0>" and a NUL: how SentencePiece's vocabularies name the token of a single byte. */
void sn_byte_token_name(unsigned char byte, char out[8]);
/* Returns the byte that a token's text names so, or -1. Lower-case digits count too, as `tokenizers` reads them. */
int sn_byte_token(sn_slice text);

#endif
