/* Texts as numbers. */
#ifndef SN_DATA_NUMBERING_H
#define SN_DATA_NUMBERING_H

#include "base/base.h"

/* Numbers n_row texts in order of first appearance into out [n_row] (NULL texts: -1); *n are distinct, and name [*n],
 * from arena, is what they are (name NULL: not wanted). Room to work in comes from arena too. Cost: n log n. */
SN_CHECKED sn_status sn_number_texts(int32_t *out, int *n, const char ***name, const char *const *text, int64_t n_row,
                                     sn_arena *arena);

#endif
