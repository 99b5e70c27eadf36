/* What the attribution methods share: texts with the word whose choice is explained, runs of many copies of a row, and
 * the result: item x site x token signed scores with the gap that completeness leaves. */
#ifndef SN_METHODS_ATTRIBUTION_H
#define SN_METHODS_ATTRIBUTION_H

#include "data/result.h"

/* First member of every parameter struct of the family. */
typedef struct sn_attribution_param {
	const char *sites, *column, *source, *target, *foil, *metric, *against, *level, *by;
	int64_t limit;
} sn_attribution_param;

/* Rows of those whose scores are of tokens. */
#define SN_ATTRIBUTION_PARAMS(struct_type)                                                                             \
	SN_ATTRIBUTION_PARAMS_AT(struct_type, "hook_embed, in encoder-decoders of both sides"),                            \
	{ "level", NULL, "whose scores are shown: tokens', or their sums over words, or over the roles of items",          \
	  "token", "token|word|role", SN_TYPE_TEXT, offsetof(struct_type, common.level), 0, 0, false },                    \
	{ "by", NULL, "groups of the means over all texts: the items' roles, a treebank's parts of speech, or how far "    \
	  "before the prediction; auto: the first of these that the data has", "auto", "auto|role|upos|position",          \
	  SN_TYPE_TEXT, offsetof(struct_type, common.by), 0, 0, false }
/* Without them. automatic: which sites auto means. */
#define SN_ATTRIBUTION_PARAMS_AT(struct_type, automatic)                                                               \
	{ "sites", NULL, "where scores are taken, comma-separated, * for blocks; auto: " automatic, "auto", NULL,          \
	  SN_TYPE_TEXT, offsetof(struct_type, common.sites), 0, 0, false },                                                \
	{ "column", NULL, "column of the text; auto: text, prefix, sentence or sentence_good", "auto", NULL, SN_TYPE_TEXT, \
	  offsetof(struct_type, common.column), 0, 0, false },                                                             \
	{ "source", NULL, "encoder-decoders: column of what the encoder reads; auto: source, or that of the text", "auto", \
	  NULL, SN_TYPE_TEXT, offsetof(struct_type, common.source), 0, 0, false },                                         \
	{ "target", NULL, "what is predicted after the text (masked models: at its masks; encoder-decoders: first): a "    \
	  "column, or the text itself; auto: column target if there is one, else the most probable token", "auto", NULL,   \
	  SN_TYPE_TEXT, offsetof(struct_type, common.target), 0, 0, false },                                               \
	{ "foil", NULL, "what it is compared with (metric logit-diff): a column, or the text itself; auto: column foil if "\
	  "there is one", "auto", NULL, SN_TYPE_TEXT, offsetof(struct_type, common.foil), 0, 0, false },                   \
	{ "against", NULL, "in the place of a prediction: another text (a column, or the text itself; auto: column "       \
	  "against if there is one), with whose vector the text's has the dot product that is explained", "auto", NULL,    \
	  SN_TYPE_TEXT, offsetof(struct_type, common.against), 0, 0, false },                                              \
	{ "metric", NULL, "what is explained: auto: logit-diff with a foil, otherwise logprob", "auto",                    \
	  "auto|logprob|logit|logit-diff", SN_TYPE_TEXT, offsetof(struct_type, common.metric), 0, 0, false },              \
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT,                              \
	  offsetof(struct_type, common.limit), 0, 1e15, false }
/* The row of the parameter that sn_attribution_ends reads. */
#define SN_ATTRIBUTION_BASELINE(struct_type, what)                                                                     \
	{ "baseline", NULL, what ": the mean of the text's own vectors, zero, a token's vector (a text of one token, "     \
	  "such as <pad>), or another sentence of as many tokens", "mean", NULL, SN_TYPE_TEXT,                             \
	  offsetof(struct_type, baseline), 0, 0, false }

/* Tokens of one side of the model. */
typedef struct sn_attribution_tokens {
	int32_t n, *token;
	int64_t (*span)[2];      /* [n] byte offsets into text; {-1, -1}: of no text */
} sn_attribution_tokens;

/* One text ready to be run. Several target tokens stand in the row, all but the last, and are scored together. */
typedef struct sn_attribution_item {
	int64_t number;          /* row of the data, from 1 */
	const char *text, *target, *foil;
	sn_attribution_tokens row, source;   /* source: what an encoder-decoder's encoder reads; otherwise n is 0 */
	int32_t n_place, *place, *want, *unwanted;   /* positions that are scored; unwanted NULL: no foil */
	sn_metric metric;
	const sn_tensor *against;            /* SN_DOT: the other text's vector, of length 1; target is that text */
	sn_site end;                         /* SN_DOT: where the vectors are, the mean of all places */
} sn_attribution_item;

typedef struct sn_attribution_items { int32_t n; sn_attribution_item *item; } sn_attribution_items;

/* Reads the data's texts and finds their targets; from arena. Errors name the row. */
SN_CHECKED sn_status sn_attribution_read(sn_attribution_items *out, sn_ctx *ctx, const sn_input *in,
                                         const sn_attribution_param *p, sn_arena *arena);

/* Returns the tokens at which a site has its vectors. */
const sn_attribution_tokens *sn_attribution_at(const sn_attribution_item *item, const sn_site *site);

/* Reads item's other text: its vector (from arena), and at which places of the item's row the vector is made. Vectors
 * are means over tokens of what the last block leaves, or the first token's where the model's folder says so
 * (1_Pooling/config.json, as sentence-transformers writes it). before: an item whose vector serves if its text is the
 * same, or NULL. */
SN_CHECKED sn_status sn_attribution_compare(sn_attribution_item *item, sn_ctx *ctx, sn_model *model, const char *text,
                                            const sn_attribution_item *before, sn_arena *arena);

/* The goal of n rows, row b explaining of[b] (NULL: it is not scored), its places at start[b] + place. From arena. */
SN_CHECKED sn_status sn_attribution_goal(sn_goal *out, const sn_attribution_item *const *of, const int64_t *start,
                                         int32_t n, sn_arena *arena);

/* Returns how many of the n items, from the first on, are run together, each as so many copies: what a step of the
 * context takes, of one metric; at least 1. */
int32_t sn_attribution_together(sn_ctx *ctx, const sn_attribution_item *item, int32_t n, int64_t copies);

/* A batch of copies of n items' rows, item by item, with their goal; forked: an item's later copies are forks of its
 * first, equal but for edits. At a site of the encoder every copy has a source of its own, otherwise those of an item
 * share one. start: [n * copies + 1] of the copies' rows at the site. Everything from arena; stays where it is while
 * the batch is used. */
typedef struct sn_attribution_rows { sn_batch batch, enc; sn_goal goal; const int64_t *start; } sn_attribution_rows;
SN_CHECKED sn_status sn_attribution_copy(sn_attribution_rows *out, const sn_attribution_item *item, int32_t n,
                                         const sn_site *site, int32_t copies, bool forked, sn_arena *arena);

/* Finds an item's vectors at a site, x, and those of its baseline, x0 (see SN_ATTRIBUTION_BASELINE): [tokens there,
 * width], from arena. */
SN_CHECKED sn_status sn_attribution_ends(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item,
                                         const sn_site *site, const char *baseline, sn_arena *arena, const float **x,
                                         const float **x0);

enum { SN_ATTRIBUTION_TOKENS, SN_ATTRIBUTION_ITEMS, SN_ATTRIBUTION_GROUPS, SN_ATTRIBUTION_TABLES };
extern const sn_table sn_attribution_tables[SN_ATTRIBUTION_TABLES];

/* What an item's scores sum to, and what they should. NAN: the method promises no sum. */
typedef struct sn_attribution_sum { double value, baseline; int64_t evaluations; } sn_attribution_sum;

/* What a method explains at once: n items at n_site sites. score[i * n_site + s]: [tokens of item i at site s], to be
 * filled, and sum alike. arena: for the run alone. */
typedef struct sn_attribution_task {
	sn_ctx *ctx;
	sn_model *model;
	const sn_attribution_item *item;
	const sn_site *site;
	const void *param;
	sn_arena *arena;
	double **score;
	sn_attribution_sum *sum;
	int32_t n;
	int n_site;
} sn_attribution_task;

typedef sn_status sn_attribution_run(const sn_attribution_task *task);

/* A method that explains one item at one site; sn_attribution_each runs it for all of a task. */
typedef sn_status sn_attribution_one(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                                     const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum);
SN_CHECKED sn_status sn_attribution_each(const sn_attribution_task *task, sn_attribution_one *one);

/* Explains all items at all sites, and adds the rows: one a unit of --level, one an item, one a group of --by. copies:
 * how often a text stands in the method's batches; 0: it takes one text at a time. */
SN_CHECKED sn_status sn_attribution_all(sn_ctx *ctx, const sn_input *in, const void *param, const char *method,
                                        sn_attribution_run *run, int64_t copies, sn_result *out);

#endif
