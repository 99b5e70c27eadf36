/* Vectors of words at many sites from one forward pass, read back a site at a time: in memory where they fit, otherwise
 * in a nameless scratch file. */
#ifndef SN_MODEL_WORDS_H
#define SN_MODEL_WORDS_H

#include "base/base.h"

/* Which of a word's tokens stand for it. A causal model has seen the whole word at the last one only. */
typedef enum sn_pieces { SN_PIECES_LAST, SN_PIECES_FIRST, SN_PIECES_MEAN } sn_pieces;

typedef struct sn_words sn_words;

/* Runs the model on the batch (tokens alone: no forks, no segments) once and keeps what site [n_site] hold for n words:
 * word w is tokens [token[w][0], token[w][1]) of row[w]; words come row by row, in order. Sites whose width is no
 * number of columns are SN_EARG. */
SN_CHECKED sn_status sn_words_run(sn_words **out, sn_ctx *ctx, sn_model *model, const sn_batch *batch, int64_t n,
								  const int32_t *row, const int32_t (*token)[2], sn_pieces pieces, const sn_site *site,
								  int n_site);
/* Writes the words' vectors at site number s: float32 [n, width], some at a time, which are done with for their home,
 * the arena that x is from (NULL: any). */
SN_CHECKED sn_status sn_words_read(sn_words *words, int s, sn_arena *home, float *x);
/* Returns the width of site s. */
int64_t sn_words_width(const sn_words *words, int s);
/* NULL is allowed. */
void sn_words_close(sn_words *words);

#endif
