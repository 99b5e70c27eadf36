/* A classifier of texts with additive attention over their tokens' vectors (Bahdanau et al. 2015, as Wiegreffe & Pinter
 * 2019 have it): f_t = x_t, or tanh(W x_t + b) of each token by itself; alpha = softmax(v' tanh(A f_t + a)) over the
 * text's tokens, or weights that are given; softmax(U sum alpha_t f_t + c). In double; sees arrays only. Serial:
 * callers train many at once. */
#ifndef SN_STATS_READOUT_H
#define SN_STATS_READOUT_H

#include "base/base.h"

/* Ragged texts: the vectors of text i are x[start[i]] .. x[start[i + 1] - 1], at least one. */
typedef struct sn_readout_texts {
	int64_t n, d;
	const float *x;         /* [tokens, d] */
	const int64_t *start;   /* [n + 1] */
	const int32_t *y;       /* [n] classes, all in 0 .. n_class - 1 */
} sn_readout_texts;

/* theta: W [hidden, d], b [hidden]; A [attention, f], a [attention], v [attention]; U [n_class, f], c [n_class], one
 * behind the other, f being hidden or, without, d. */
typedef struct sn_readout {
	int64_t d, size;
	int hidden, attention, n_class;   /* hidden 0: vectors as they are; attention 0: weights are given */
	double *theta;
} sn_readout;

/* What is minimised, the mean over texts: the cross-entropy of y (nats); or, where p is given, the adversary's total
 * variation(p, own p) - lambda KL(alpha || own alpha) (Wiegreffe & Pinter 2019, 4.1). */
typedef struct sn_readout_aim {
	const double *alpha;    /* [tokens] weights given, or the adversary's opponent's; NULL: neither */
	const double *p;        /* [n, n_class] the opponent's predictions; NULL: cross-entropy */
	double lambda;
} sn_readout_aim;

/* Takes theta from the arena and draws it as PyTorch's Linear does: uniform in ±1 / sqrt(columns), biases too. SN_EARG
 * for d below 1 or fewer than two classes. */
SN_CHECKED sn_status sn_readout_make(sn_readout *out, sn_arena *arena, int64_t d, int hidden, int attention,
                                     int n_class, uint64_t seed, uint64_t key);
/* Doubles of scratch for n texts of so many tokens together. */
size_t sn_readout_scratch(const sn_readout *m, int64_t n, int64_t tokens);
/* Returns the mean loss of texts row[0..n) (NULL: 0 .. n - 1), and its gradient by theta into grad [size] (NULL: not
 * wanted). */
double sn_readout_loss(const sn_readout *m, const sn_readout_texts *texts, const sn_readout_aim *aim,
                       const int64_t *row, int64_t n, double *grad, double *scratch);
/* Writes each text's weights alpha [tokens] (NULL: not wanted) and probabilities p [n, n_class]; given: the weights of
 * a readout without attention. scratch: for one text, the longest. */
void sn_readout_predict(const sn_readout *m, const sn_readout_texts *texts, const double *given, double *alpha,
                        double *p, double *scratch);

/* Adam for so many epochs on batches of texts row[0..n_row), whose order (seed, key) draw anew in every epoch. */
typedef struct sn_readout_training {
	const sn_readout_texts *texts;
	sn_readout_aim aim;
	const int64_t *row;
	int64_t n_row;
	int batch, epochs;
	double rate;
	uint64_t seed, key;
	double *work;           /* sn_readout_work doubles */
	int64_t *order;         /* [2 n_row] */
	double loss;            /* how it went: mean over the last epoch's batches */
} sn_readout_training;
/* Doubles of work for batches of size texts. */
size_t sn_readout_work(const sn_readout *m, const sn_readout_texts *texts, int size);
/* Trains from where theta stands. */
void sn_readout_train(sn_readout *m, sn_readout_training *t);

#endif
