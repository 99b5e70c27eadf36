/* Random strings over much of Unicode, the same as tests/oracles/random_text.py makes: nothing needs to be stored. */
#ifndef SN_TEST_RANDOM_TEXT_H
#define SN_TEST_RANDOM_TEXT_H

#include "base/base.h"

enum { RANDOM_TEXT_ROOM = 2048 };

/* Writes string `number` (from 0) as UTF-8 and returns its size in bytes. */
size_t random_text(uint64_t number, char out[RANDOM_TEXT_ROOM]);

#endif
