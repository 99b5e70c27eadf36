/* Bytes of tokens for people. */
#ifndef SN_BASE_READABLE_H
#define SN_BASE_READABLE_H

#include "base/base.h"

/* Returns bytes as valid UTF-8 from arena: what is none as \xNN, line ends and the tab by their names (\n). NULL: no
 * memory. */
const char *sn_readable(sn_arena *arena, const char *bytes, size_t size);

#endif
