/* A perceptron with one hidden layer as a probe: softmax(W2 relu(W1 x + b1) + b2), as Hewitt & Liang 2019 (MLP-1). In
 * double, by Adam on mini-batches; sees arrays only. Serial: callers train many at once. */
#ifndef SN_STATS_MLP_H
#define SN_STATS_MLP_H

#include "base/base.h"

/* theta: W1 [hidden, d], b1 [hidden], W2 [n_class, hidden], b2 [n_class], one behind the other. */
typedef struct sn_mlp {
	int64_t d, size;
	int hidden, n_class;
	double *theta;
} sn_mlp;

/* Takes theta from the arena and draws it as PyTorch's Linear does: uniform in ±1 / sqrt(columns), biases too. SN_EARG
 * for a size below 1 or fewer than two classes. */
SN_CHECKED sn_status sn_mlp_make(sn_mlp *out, sn_arena *arena, int64_t d, int hidden, int n_class, uint64_t seed,
								 uint64_t key);

/* Doubles of scratch for batches of n rows. */
size_t sn_mlp_scratch(const sn_mlp *m, int64_t n);
/* Returns the mean loss (nats) of rows x [n, d] with classes y [n] (all in 0 .. n_class - 1), and its gradient by theta
 * into grad [size] (NULL: not wanted). row: numbers of the rows to take, or NULL: 0 .. n - 1. */
double sn_mlp_loss(const sn_mlp *m, const float *x, const int32_t *y, const int64_t *row, int64_t n, double *grad,
				   double *scratch);
/* Writes natural log-probabilities [n, n_class]. */
void sn_mlp_logp(const sn_mlp *m, const float *x, int64_t n, float *logp, double *scratch);

/* Adam (Kingma & Ba 2015): step 1, 2, … ; first, second [size] moments, zero before the first step. decay: L2 penalty
 * times theta, added to the gradient, as PyTorch's weight_decay. */
typedef struct sn_adam {
	double rate, decay;
	int64_t step;
	double *first, *second;
} sn_adam;
void sn_adam_step(sn_adam *adam, int64_t size, const double *grad, double *theta);

/* Rows [0, n_fit) train, [n_fit, n) judge (loss of their classes); rows with y < 0 are left out. Every epoch their
 * loss is taken: when it makes no new minimum the rate is halved, after patience such epochs in a row training stops;
 * theta is then what had the least loss (Hewitt & Liang 2019). Without judges: all epochs. Order of rows: by key. */
typedef struct sn_mlp_training {
	const float *x;
	const int32_t *y;
	int64_t n, n_fit;
	int batch, epochs, patience;
	double rate, decay;
	uint64_t seed, key;
	double *work;   /* sn_mlp_training_work doubles */
	int64_t *order; /* [n] */
	/* how it went */
	int n_epoch;
	double best; /* least loss of the judges, nats a row; NaN without */
} sn_mlp_training;
size_t sn_mlp_training_work(const sn_mlp *m, int batch);
/* Trains from where theta stands. */
void sn_mlp_train(sn_mlp *m, sn_mlp_training *t);

#endif
