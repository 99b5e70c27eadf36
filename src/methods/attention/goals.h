/* Rows that a model is judged on: texts by their loss, minimal pairs by their margin, or prefixes of a phenomenon by
 * the choice that follows. */
#ifndef SN_METHODS_ATTENTION_GOALS_H
#define SN_METHODS_ATTENTION_GOALS_H

#include "data/items.h"
#include "methods/attention/attention.h"

/* One row. Texts: want[i] is scored at place[i]; prefixes: item. */
typedef struct sn_attn_row {
	int32_t n, n_place, n_source;
	const int32_t *token, *place, *want;
	const int32_t *source;  /* encoder-decoders: what the encoder reads */
	int64_t item, number;   /* number: of the data's row, from 1 */
} sn_attn_row;

typedef struct sn_attn_goals {
	sn_ctx *ctx;
	sn_model *model;
	const sn_items *items;   /* NULL: texts */
	bool pairs;              /* of texts: rows 2 k and 2 k + 1 are a good sentence and its bad one */
	int32_t n;
	sn_attn_row *row;
	sn_attn_stacks stacks;
} sn_attn_goals;

/* What is judged, for readers: "loss (nats a token)", "choice (nats)" or "margin (nats a pair)". */
const char *sn_attn_goal_name(const sn_attn_goals *goals);
/* Whether more is better, and a value above 0 is right: of choices and pairs. */
static inline bool sn_attn_goal_decides(const sn_attn_goals *goals) { return goals->items || goals->pairs; }
/* What is judged one by one: rows, or pairs of them. */
static inline int32_t sn_attn_goal_units(const sn_attn_goals *goals) { return goals->pairs ? goals->n / 2 : goals->n; }
/* The column of the texts, or of the good sentences where there are pairs (columns sentence_good and sentence_bad). */
const char *sn_attn_goal_column(const sn_dataset *data, const char *column);

/* Whether the data are a phenomenon's items, as `data make` writes them. */
bool sn_attn_has_items(const sn_dataset *data);
/* Reads the data: items as `data make` writes them are judged by their choice (the members of main pairs, or where
 * there are none all); minimal pairs (causal models) by log p(good) - log p(bad); anything else by its texts' loss: of
 * each token after the first (encoder-decoders: of the target under its source), in masked models of a drawn 15 % of
 * the tokens, which are hidden. Texts with nothing to score are left out. From arena. SN_EARG where the model has no
 * head over a vocabulary. */
SN_CHECKED sn_status sn_attn_goals_read(sn_attn_goals *out, sn_ctx *ctx, sn_model *model, const sn_dataset *data,
                                        const sn_attn_query *query, sn_arena *arena);
/* The same of items at hand. */
SN_CHECKED sn_status sn_attn_goals_of_items(sn_attn_goals *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
                                            int64_t limit, sn_arena *arena);
/* Puts half of the rows, drawn by the context's seed (pairs stay whole), into out[0], the others into out[1]; a single
 * row is in both. */
SN_CHECKED sn_status sn_attn_goals_halves(const sn_attn_goals *goals, sn_attn_goals out[2], sn_arena *arena);

/* Rows [first, first + n) as a batch with its goals; spans are the items' roles. */
typedef struct sn_attn_batch { sn_batch batch; int n_goal; sn_goal *goal; } sn_attn_batch;
SN_CHECKED sn_status sn_attn_goals_batch(const sn_attn_goals *goals, int32_t first, int32_t n, sn_arena *arena,
                                         sn_attn_batch *out);

/* Runs all rows under edits. value [n]: the loss of a row's places, summed, or its LD, the mean over choice words
 * (model/choice.h); nats. */
SN_CHECKED sn_status sn_attn_goals_run(const sn_attn_goals *goals, const sn_edit *edit, int n_edit, double *value);
/* A unit's value as it counts, of the values of all rows: loss a token; a pair's margin; n * LD, positive where the
 * choice is right. Its weight in means is the tokens of a text's loss, otherwise 1. */
double sn_attn_goal_value(const sn_attn_goals *goals, int32_t unit, const double *value, double *weight);

/* What heads matter, for each unit: [n][heads of all stacks], with room for all rows. dot: z . dL/dz summed
 * over positions, whose absolute value's mean is Michel et al.'s I_h; each: absolute values summed. L: mean loss,
 * margin, or LD. Either may be NULL. With a rule: z's relevance, for the logits of the most probable tokens (of pairs,
 * in the good sentence), or LD. Cost: one forward and one backward pass. */
SN_CHECKED sn_status sn_attn_head_products(const sn_attn_goals *goals, sn_rule rule, double *dot, double *each);

#endif
