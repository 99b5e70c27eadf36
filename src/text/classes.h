/* Classes of characters, by Unicode's tables, and reading characters backwards. */
#ifndef SN_TEXT_CLASSES_H
#define SN_TEXT_CLASSES_H

#include "base/base.h"

/* What white space, numbers, words, letters and marks are. */
bool sn_is_space(uint32_t code);  /* White_Space */
bool sn_is_number(uint32_t code); /* Nd, Nl, No */
bool sn_is_word(uint32_t code);   /* \w of UTS 18: Alphabetic, marks, decimal numbers, connectors, joiners */
uint32_t sn_lower(uint32_t code); /* simple lower case */

/* What BERT's normalizer and pre-tokenizer go by: Unicode 8. */
bool sn_is_control(uint32_t code);         /* Cc, Cf, Co */
bool sn_is_punctuation(uint32_t code);     /* P, and ASCII's other symbols */
bool sn_is_nonspacing_mark(uint32_t code); /* Mn */

/* What the normalization forms go by: Unicode 9. */
bool sn_is_mark(uint32_t code); /* Mn, Mc, Me */
int32_t sn_combining_class(uint32_t code);

/* Returns 9 for a character that came after Unicode 9; 8 for punctuation, marks and format characters that came with
 * it; otherwise 0. */
int sn_newer(uint32_t code);

/* Decodes the character of valid UTF-8 that ends before *pos > 0 and moves *pos to its beginning. */
uint32_t sn_utf8_before(const char *text, size_t *pos);

#endif
