/* Word alignments of a text and its translation, as annotators write them, and how well guessed links agree. */
#ifndef SN_DATA_ALIGNMENT_H
#define SN_DATA_ALIGNMENT_H

#include "base/base.h"

/* A link between word i of the source and word j of the target, from 0. */
typedef struct sn_link { int32_t source, target; bool sure; } sn_link;
typedef struct sn_alignment { int64_t n; sn_link *link; } sn_alignment;

/* Reads "0-0 1-2 3?2": i-j is sure, i?j and ipj are possible (Pharaoh's format as word-alignment data sets extend it).
 * Arrays come from arena. SN_EPARSE, beginning with where: what is no link, or a word outside n_source, n_target. */
SN_CHECKED sn_status sn_alignment_read(sn_alignment *out, sn_ctx *ctx, const char *where, const char *text,
                                       int32_t n_source, int32_t n_target, sn_arena *arena);

/* Counts of links; sure links are possible ones too (Och & Ney 2003). */
typedef struct sn_alignment_counts { double guessed, sure, guessed_sure, guessed_possible; } sn_alignment_counts;

/* Compares links source[k] - target[k], k < n, which differ from one another, with given ones. */
sn_alignment_counts sn_alignment_compare(const sn_alignment *given, const int32_t *source, const int32_t *target,
                                         int64_t n);

#endif
