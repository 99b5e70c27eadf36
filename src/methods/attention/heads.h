/* The parts of `attention heads`. */
#ifndef SN_METHODS_ATTENTION_HEADS_H
#define SN_METHODS_ATTENTION_HEADS_H

#include "methods/attention/attention.h"

/* What heads do on sequences that repeat: weight on the token before; on the same token, one repetition earlier; on
 * what followed it there (induction). */
typedef enum sn_copying { SN_COPY_PREVIOUS, SN_COPY_DUPLICATE, SN_COPY_INDUCTION, SN_COPIES } sn_copying;

/* Sequences of begin (-1: none), then length tokens twice. Writes the mean weights over the second repetition
 * (previous: over all tokens that have one before) into out [n_layer][n_head][SN_COPIES][n_sequence]. */
SN_CHECKED sn_status sn_copying_scores(sn_ctx *ctx, sn_model *model, const int32_t *token, int n_sequence,
									   int32_t length, int32_t begin, double *out);
/* Draws such tokens, [n_sequence][length], uniform among the vocabulary but for the special tokens. */
void sn_copying_draw(sn_ctx *ctx, const sn_model *model, int n_sequence, int32_t length, int32_t *token);

/* Adds a row a dependency relation and direction to the table: the head whose words look most often from the one to
 * the other, chosen on half of the sentences and scored on the others, beside the best fixed offset. The scores of all
 * heads go into the table after it. */
SN_CHECKED sn_status sn_head_relations(sn_ctx *ctx, sn_model *model, const sn_dataset *data, int64_t limit,
									   int64_t least, sn_result *out, int table);
enum { SN_RELATION_COLUMNS = 16 };
extern const sn_col sn_relation_columns[SN_RELATION_COLUMNS];
enum { SN_RELATION_HEAD_COLUMNS = 8 };
extern const sn_col sn_relation_head_columns[SN_RELATION_HEAD_COLUMNS];

#endif
