/* Edge probes on treebanks: the head of each word. Roots, and words whose head was left out, do not count. */
#ifndef SN_METHODS_PROBE_EDGES_H
#define SN_METHODS_PROBE_EDGES_H

#include "methods/probe/words.h"

/* Opens the outcome of label "head", as sn_word_outcome. Its null is the share of the head's distance among the
 * distances that the sentence offers; the constant guess is the likeliest distance. */
SN_CHECKED sn_status sn_edge_outcome(sn_probe_outcome *o, int64_t *row_of, const sn_treebank *bank,
									 const sn_split *split, int n_split, const sn_site *site, int n_site,
									 sn_arena *arena);
/* Fits and tests in every split on vectors x [words, d]: the probe sees the first rank principal components; strength
 * chosen on the training sentences that judge. Controls: each word form attaches to itself, the first or the last word
 * (Hewitt & Liang 2019). guess: number within the sentence. */
SN_CHECKED sn_status sn_edge_sweep(sn_word_scores *score, sn_arena *arena, const float *x, int64_t d,
								   const sn_treebank *bank, const sn_split *split, int n_split, int64_t rank,
								   int n_control);

#endif
