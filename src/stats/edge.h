/* Edge probes: which word of the sentence is the head of this one (Hewitt & Liang 2019's dependency task). Scores are
 * bilinear, s_ij = x_i' A x_j + a' x_j over the words j of the sentence, normalised by softmax: convex in (A, a), so it
 * is solved, not trained. Sees arrays only. */
#ifndef SN_STATS_EDGE_H
#define SN_STATS_EDGE_H

#include "base/base.h"

/* Sentences are words [start[s], start[s + 1]) of x [n, r]; target[i]: number of the head within the sentence, -1: the
 * word has none, or does not count. */
typedef struct sn_edges {
	const float *x;
	int64_t n, r;
	int64_t n_sentence;
	const int64_t *start;  /* [n_sentence + 1] */
	const int32_t *target; /* [n] */
} sn_edges;

/* theta: A [r, r], then a [r]: rows of one (r + 1) x r matrix. */
typedef struct sn_edge_probe {
	int64_t r;
	double *theta;
	double objective, gap; /* nats; see ncg.h */
	int iterations;
	bool converged;
} sn_edge_probe;

/* Makes a probe of r columns, theta 0. */
SN_CHECKED sn_status sn_edge_make(sn_edge_probe *out, sn_arena *arena, int64_t r);
/* Minimises Σ_i loss_i + |theta|² / (2 c) from where theta stands, to within about tol nats a word (0: 1e-5). In
 * double; uses the context's threads, the same bits for any number of them. mean squares of x's columns should be those
 * of principal components. SN_EARG for c <= 0, SN_ENOMEM, SN_ECANCEL. About 4 n r² multiplications a pass. */
SN_CHECKED sn_status sn_edge_fit(sn_edge_probe *p, sn_arena *scratch, const sn_edges *edges, double c, double tol);
/* Writes log-probabilities [words, words] of one sentence x [words, r]: row i over the candidates for i's head. */
SN_CHECKED sn_status sn_edge_logp(const sn_edge_probe *p, sn_arena *scratch, const float *x, int64_t words,
								  double *logp);

#endif
