/* Rows that begin alike: what they share is computed once. */
#ifndef SN_MODEL_PREFIX_H
#define SN_MODEL_PREFIX_H

#include "base/base.h"

/* Sets batch->parent and batch->fork: every row forks from the earlier row that shares most first tokens with it, or
 * from an ancestor of that one that shares as many; rows with a first token of their own stand alone. In whatever
 * order, all rows together become one trie of prefixes: each distinct prefix is computed once. For causal decoders, of
 * whose vectors the later tokens say nothing; token types and encoder rows are not looked at. Arrays come from arena.
 * Cost: sorting the rows. */
SN_CHECKED sn_status sn_share_prefixes(sn_batch *batch, sn_arena *arena);

#endif
