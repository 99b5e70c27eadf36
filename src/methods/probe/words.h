/* What `probe linear` and `probe mlp` share about treebanks. Everything comes from the arena given. */
#ifndef SN_METHODS_PROBE_WORDS_H
#define SN_METHODS_PROBE_WORDS_H

#include "data/treebank.h"
#include "methods/probe/probe.h"
#include "model/words.h"

/* Reads the words of data and of the file path ("" or NULL: none), which *test then holds (close it last; NULL
 * without); notes its hash in the result. */
SN_CHECKED sn_status sn_word_read(sn_treebank *out, sn_dataset **test, sn_ctx *ctx, const sn_model *model,
								  const sn_dataset *data, const char *path, int64_t limit, sn_result *result);
/* Runs the model once and keeps the words' vectors at all sites; pieces: "last", "first" or "mean". */
SN_CHECKED sn_status sn_word_vectors(sn_words **out, sn_ctx *ctx, sn_model *model, const sn_treebank *bank,
									 const char *pieces, const sn_site *site, int n_site);
/* Splits a list at its commas. */
SN_CHECKED sn_status sn_word_labels(const char ***label, int *n, const char *list, sn_arena *arena);
/* One split that tests the second file, or folds of sentences. Of each split's training sentences a fifth, drawn by
 * the seed, comes last: it chooses strengths. SN_EARG for too few sentences. */
SN_CHECKED sn_status sn_word_splits(sn_split **out, int *n, sn_ctx *ctx, const sn_treebank *bank, bool two_files,
									int folds, sn_arena *arena);
/* A label's classes and its control labels: one drawn for each word form as often as the classes occur (Hewitt & Liang
 * 2019). */
SN_CHECKED sn_status sn_word_question(sn_question *out, sn_ctx *ctx, const sn_treebank *bank, const char *label,
									  int n_control, sn_arena *arena);
/* Opens the outcome of a question: its rows are the tested words that have the label, in order; row_of [words] says
 * which (-1: none). With the null of each split's training words, the constant guess, the share of seen forms. */
SN_CHECKED sn_status sn_word_outcome(sn_probe_outcome *o, int64_t *row_of, sn_ctx *ctx, const sn_treebank *bank,
									 const sn_question *q, const sn_split *split, int n_split, const sn_site *site,
									 int n_site, sn_arena *arena);
/* Takes one site's scores of the n words into the outcome; random: of one of so many
 * random models (0: of the model itself). */
void sn_word_take(sn_probe_outcome *o, const int64_t *row_of, int64_t n, int s, const sn_word_scores *score,
				  int random);
/* Says what of the treebank was left out, and (provenance) how many tokens its words have. */
SN_CHECKED sn_status sn_word_limits(const sn_treebank *bank, sn_result *out);

#endif
