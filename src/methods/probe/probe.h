/* Inside `sonde probe`: rows with classes, blocks and positions, and held-out scores. */
#ifndef SN_METHODS_PROBE_H
#define SN_METHODS_PROBE_H

#include "base/base.h"
#include "stats/bootstrap.h"
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

/* Held-out scores of rows: log2 p of the own class, 1 where the own class is the likeliest (ties share), and the
 * likeliest class. */
typedef struct sn_probe_scores {
	float *bits, *right;
	int32_t *guess;
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

/* ---- what comes out, for rows and for words of treebanks ---- */

/* One label's held-out scores at all sites. */
typedef struct sn_probe_outcome {
	sn_probe_rows rows;            /* the rows that were scored */
	bool classes;                  /* false: edges, whose classes are places */
	int n_site;
	const sn_site *site;
	float *gain, *right, *random_gain;   /* [n, n_site] bits over the null; 1 where right; gain in random models */
	int32_t *guess;                /* [n, n_site] */
	const float *null;             /* [n] log2 p of what is known without x */
	double majority;               /* accuracy of the best constant guess */
	double *strength, *task, *control;   /* [n_site]; NaN: no control */
	double seen;                   /* share of scored rows whose word form is in the training rows; NaN: not known */
	int n_unconverged;
} sn_probe_outcome;

/* Takes the arrays of an outcome from arena. */
SN_CHECKED sn_status sn_probe_outcome_open(sn_probe_outcome *out, sn_arena *arena, int64_t n, const sn_site *site,
                                           int n_site);

typedef struct sn_linear_param {
	const char *label, *sites, *at, *column, *group;
	int64_t folds, controls, random_models, resamples, limit;
	const char *pieces, *test;
	int64_t rank; /* of edges */
} sn_linear_param;

/* The tables of the probes, in the order of the methods' rows. */
enum { SN_PROBE_TABLE, SN_PROBE_CLASSES, SN_PROBE_CUMULATIVE, SN_PROBE_LAYERS, SN_PROBE_TABLES };
extern const sn_table sn_probe_tables[SN_PROBE_TABLES];

/* Intervals of an outcome at its sites, groups resampled. */
typedef struct sn_probe_bands {
	sn_band *gain, *right, *balanced, *f1, *random; /* [n_site]; NULL: not applicable */
} sn_probe_bands;
/* words: many groups, so that accuracies are resampled too (Wilson's otherwise). */
SN_CHECKED sn_status sn_probe_measure(sn_probe_bands *b, sn_arena *arena, const sn_probe_outcome *o,
									  const sn_boot *boot, bool random, bool words);
/* Returns "hook_resid_post" for blocks.3.hook_resid_post, the whole name outside the blocks; written into buf. */
const char *sn_probe_site_name(const sn_site *site, char *buf, size_t size);

/* Adds an outcome's rows and sentences to a result: intervals over groups, F1 by class, layers. */
SN_CHECKED sn_status sn_probe_report(const sn_probe_outcome *o, const sn_linear_param *param, sn_result *out);

/* Layers of an outcome whose sites are the residual stream at several boundaries: what mixtures of their predictions
 * gain, and where. Adds nothing for other sites. boot: draws of the outcome's groups. */

SN_CHECKED sn_status sn_probe_layers(const sn_probe_outcome *o, const sn_boot *boot, sn_arena *scratch, uint64_t seed,
									 sn_result *out);

/* The whole of `probe linear` on a treebank. */
SN_CHECKED sn_status sn_probe_treebank(sn_ctx *ctx, sn_model *model, const sn_dataset *data,
                                       const sn_linear_param *param,
                                       const sn_site *site, int n_site, sn_result *out);

/* ---- words of treebanks ---- */

/* What is asked of the words: labels as classes, each with its controls, and who trains. */
typedef struct sn_question {
	const char *name;
	int n_class;
	const char **class_name;
	int32_t *y;                    /* [n] -1: not part of it */
	int n_control;
	int32_t **control;             /* [n_control] -> [n] a class for each word form */
} sn_question;

typedef struct sn_split {
	int64_t n_train, n_fit, n_test;
	int64_t *train, *test;         /* words; the first n_fit of train choose no strength, the others judge */
} sn_split;

/* Scores of one question's words at one site, by words: bits NaN where not tested. */
typedef struct sn_word_scores {
	float *bits, *right;           /* [n] */
	int32_t *guess;                /* [n] */
	double strength;               /* most chosen */
	double control;                /* accuracy on control labels over tested words; NaN without */
	int n_unconverged;
} sn_word_scores;

/* Makes scores of n words, bits NaN. */
SN_CHECKED sn_status sn_word_scores_make(sn_word_scores *out, sn_arena *arena, int64_t n);
/* log2 of a probability mixed with one row of each class beside n, so that no class is impossible: as the null's. */
double sn_probe_smooth_bits(double logp, int64_t n, int n_class);

/* Fits and tests all questions on x [n, d] in every split: one standardisation, basis and set of products for all. */
SN_CHECKED sn_status sn_probe_sweep(sn_word_scores *score, sn_arena *arena, const float *x, int64_t n, int64_t d,
                                    const sn_question *question, int n_question, const sn_split *split, int n_split,
                                    bool controls);

/* How perceptrons are trained: sizes of the hidden layer, Adam's batches, first rate, L2 penalty. */
typedef struct sn_mlp_settings {
	const int *size;
	int n_size, epochs, batch;
	double rate, decay;
} sn_mlp_settings;
/* The same questions to perceptrons of every size: score [n_question, n_size]. A network a thread; the bits do not
 * depend on their number. */
SN_CHECKED sn_status sn_probe_perceptrons(sn_word_scores *score, sn_arena *arena, const float *x, int64_t n, int64_t d,
                                          const sn_question *question, int n_question, const sn_split *split,
                                          int n_split, const sn_mlp_settings *settings);

#endif
