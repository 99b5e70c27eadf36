/* Tests that train anew: small classifiers with attention over a model's vectors (Wiegreffe & Pinter 2019). */
#ifndef SN_METHODS_ATTENTION_EXPLAIN_READOUT_H
#define SN_METHODS_ATTENTION_EXPLAIN_READOUT_H

#include "methods/attention/explain.h"
#include "stats/readout.h"

enum { SN_READOUT_COLUMNS = 12, SN_ADVERSARY_COLUMNS = 14, SN_GUIDE_COLUMNS = 10 };
extern const sn_col sn_readout_columns[SN_READOUT_COLUMNS], sn_adversary_columns[SN_ADVERSARY_COLUMNS],
	sn_guide_columns[SN_GUIDE_COLUMNS];

/* Labelled texts as readouts take them. */
typedef struct sn_labelled {
	int layer, n_class;
	int64_t tokens;
	sn_readout_texts deep, bare;  /* vectors that a layer leaves; embeddings, which know of no neighbours */
	double *uniform, *heads;      /* [tokens] weights: equal; the model's own, mean of the layer's heads */
	int64_t *row, n_fit;          /* row[0..n_fit) train, row[n_fit..n) judge */
} sn_labelled;

/* The column of the classes: the one named, or of "auto" the column label; NULL, with SN_OK, where "auto" finds none or
 * "none" is said. SN_ENOTFOUND, SN_EARG for a column that is no class. */
SN_CHECKED sn_status sn_labelled_column(sn_ctx *ctx, const sn_dataset *data, const char *name, const sn_column **out);
/* Reads the labelled texts and runs the model on them; from arena. An encoder-decoder's are what its encoder reads.
 * Vectors are scaled to length sqrt(d), then columns to mean 0 and variance 1 over the tokens of training texts.
 * Memory: two vectors a token. SN_EPARSE for fewer than ten texts or two classes. */
SN_CHECKED sn_status sn_labelled_read(sn_labelled *out, sn_ctx *ctx, sn_model *model, const sn_dataset *data,
                                      const sn_column *label, const sn_explain_param *p, sn_arena *arena);
/* What divergence of weights counts against total variation, one adversary each. */
enum { SN_LAMBDAS = 32 };
typedef struct sn_lambdas { int n; double x[SN_LAMBDAS]; } sn_lambdas;
/* Reads numbers with commas between them. SN_EARG. */
SN_CHECKED sn_status sn_lambdas_read(sn_ctx *ctx, const char *text, sn_lambdas *out);
/* Trains and adds to three tables, from `table` on: readouts, adversaries, guides; and sentences. */
SN_CHECKED sn_status sn_explain_readouts(sn_ctx *ctx, const sn_labelled *texts, const sn_lambdas *lambdas,
                                         const sn_explain_param *p, const char *label, sn_result *out, int table,
                                         sn_arena *arena);

#endif
