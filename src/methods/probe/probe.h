/* Inside `sonde probe`: rows with classes, blocks and positions, and held-out scores. */
#ifndef SN_METHODS_PROBE_H
#define SN_METHODS_PROBE_H

#include "base/base.h"
#include "stats/cov.h"

enum { SN_MOST_CLASSES = 200 };

/* What a user asks of the data. NULL or "": chosen by the column names. */
typedef struct sn_probe_query {
	const char *text, *label, *at, *group;
	int64_t limit;
	int n_fold;
} sn_probe_query;

/* Tokenized rows that have a text, a label and the position asked for. */
typedef struct sn_probe_rows {
	int64_t n, n_skipped;
	sn_batch batch;              /* span 0 of each row: the tokens asked for */
	bool mean;                   /* the mean over the row's tokens instead of span 0's last */
	const char *text_name, *label_name, *group_name;   /* columns used; group_name NULL: none */
	int n_class;
	const char **name;           /* [n_class] in order of first appearance */
	int32_t *y;                  /* [n] */
	int n_group, n_type;
	int32_t *group;              /* [n] rows of a group are never on both sides of a split */
	int32_t *fold;               /* [n] block of the group */
	int32_t *item_fold;          /* [n] blocks drawn by row, for control tasks */
	int32_t *type;               /* [n] the word form asked for, as a number; -1: none (means) */
} sn_probe_rows;

/* Reads rows from a data set. SN_ENOTFOUND lists the columns when one is missing; SN_EARG for fewer than two classes,
 * more than SN_MOST_CLASSES, or fewer groups than folds. Everything comes from arena. */
SN_CHECKED sn_status sn_probe_read(sn_probe_rows *out, sn_ctx *ctx, const sn_tokenizer *tokenizer,
                                   const sn_dataset *data, const sn_probe_query *query, sn_arena *arena);
/* Runs the model and keeps one vector a row at each site: x[s] is float32 [n, width(s)], from arena. */
SN_CHECKED sn_status sn_probe_gather(float **x, sn_ctx *ctx, sn_model *model, const sn_probe_rows *rows,
                                     const sn_site *site, int n_site, sn_arena *arena);

/* Held-out scores of rows: log2 p of the own class, and 1 where the own class is the likeliest (ties share). */
typedef struct sn_probe_scores {
	float *bits, *right;
	double strength;      /* the C that most blocks chose */
	int n_unconverged;
} sn_probe_scores;

/* Cross-validates one probe of classes y over blocks fold on x [n, d]. strength 0: chosen for each block on training
 * rows alone (two classes: all inner folds; more: one inner block); otherwise that C. Arrays come from arena. */
SN_CHECKED sn_status sn_probe_score(sn_probe_scores *out, sn_arena *arena, const float *x, int64_t n, int64_t d,
                                    const int32_t *y, int n_class, const int32_t *fold, int n_fold, double strength);
/* log2 of the class's share among the rows outside the row's block: what is known without x. */
SN_CHECKED sn_status sn_probe_null(float **bits, sn_arena *arena, const sn_probe_rows *rows);
/* A class for each type, drawn from the rows' labels (Hewitt & Liang 2019): y [n]. Not for means, which have no
 * types. */
SN_CHECKED sn_status sn_probe_control(int32_t **y, sn_arena *arena, const sn_probe_rows *rows, uint64_t seed,
                                      uint64_t key);

#endif
