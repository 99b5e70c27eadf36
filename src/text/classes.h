/* Classes of characters, by Unicode's tables, and reading characters backwards. */
#ifndef SN_TEXT_CLASSES_H
#define SN_TEXT_CLASSES_H

#include "base/base.h"

bool sn_is_space(uint32_t code);  /* White_Space */
bool sn_is_number(uint32_t code); /* Nd, Nl, No */
bool sn_is_word(uint32_t code);   /* letters, marks, decimal and letter numbers, connectors, joiners */
/* Decodes the character of valid UTF-8 that ends before *pos > 0 and moves *pos to its beginning. */
uint32_t sn_utf8_before(const char *text, size_t *pos);

#endif
