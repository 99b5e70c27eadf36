/* The vector kernels: one table a processor level, all with the same meaning. Every row is computed by the same
 * sequence of operations whatever stands beside it, so a row alone and the same row among many agree bit for bit (on
 * one level). */
#ifndef SN_TENSOR_KERNELS_H
#define SN_TENSOR_KERNELS_H

#include "sonde.h"

/* Activations: x / (1 + exp(-x)); x (1 + erf(x / sqrt 2)) / 2 (Hendrycks & Gimpel 2016); its approximation
 * x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2; max(x, 0); x; tanh x. */
typedef enum sn_act { SN_ACT_SILU, SN_ACT_GELU, SN_ACT_GELU_TANH, SN_ACT_RELU, SN_ACT_NONE, SN_ACT_TANH,
                      SN_ACTS } sn_act;

/* Of numbers seen so far, relative to the greatest: sum e^(x - max) and sum e^(x - max) (x - max). Begins as
 * { -INFINITY, 0, 0 }. */
typedef struct sn_spread { float max; double all, moment; } sn_spread;

/* Rows that are multiplied together, and columns that lie together in what they are multiplied with. */
enum { SN_TILE_ROWS = 4, SN_PANEL = 32 };

typedef struct sn_kernels {
	const char *level;   /* "x86_64_v4" */
	/* Returns sum a_i b_i, in 32 partial sums folded in a fixed order. */
	float (*dot)(const float *a, const float *b, int64_t n);
	/* y += x. */
	void (*add)(float *y, const float *x, int64_t n);
	/* Returns sqrt(mean x^2 + eps): the denominator of RMSNorm (Zhang & Sennrich 2019), TransformerLens's
	 * hook_scale. */
	float (*rms_scale)(const float *x, int64_t n, double eps);
	/* y = x / scale. */
	void (*divide)(float *y, const float *x, float scale, int64_t n);
	/* y = x * w, elementwise. */
	void (*multiply)(float *y, const float *x, const float *w, int64_t n);
	/* Rotates one head in place, half-split pairs (i, i + n/2): cos and sin hold n/2 values (Su et al. 2021). */
	void (*rotate)(float *x, const float *cosine, const float *sine, int64_t n);
	/* The same for neighbouring pairs (2i, 2i + 1), as in GPT-J. */
	void (*rotate_pairs)(float *x, const float *cosine, const float *sine, int64_t n);
	/* Returns sqrt(var x + eps) (variance over n, not n - 1) and the mean: LayerNorm's (Ba et al. 2016), summed in
	 * double. */
	float (*layer_scale)(const float *x, int64_t n, double eps, float *mean);
	/* y = (x - mean) / scale. */
	void (*standardise)(float *y, const float *x, float mean, float scale, int64_t n);
	/* y = c tanh(y / c). */
	void (*softcap)(float *y, int64_t n, float c);
	/* y = act(x) * times, or act(x) where times is NULL. y may be x. */
	void (*activate)(float *y, const float *x, const float *times, int64_t n, sn_act act);
	/* The derivative of activate: dx = dy * times * act'(x) and dtimes = dy * act(x) (NULL and NULL: without times). dx
	 * may be x. chord: act(x) / x stands for act'(x). */
	void (*activate_back)(float *dx, float *dtimes, const float *x, const float *times, const float *dy, int64_t n,
	                      sn_act act, bool chord);
	/* A few rows times one matrix: y_r[j] = sum_i a_r[i] b[i][j] for j < n, i < k in this order, on top of what stands
	 * in y with add; n_row <= SN_TILE_ROWS rows. What a row gets does not depend on the rows beside it. b lies in
	 * panels of SN_PANEL columns, line i of a panel ld floats behind the one before: b[i][j] is
	 * b[j / SN_PANEL * panel + i * ld + j % SN_PANEL]. */
	void (*accumulate)(float *const *y, const float *const *a, int n_row, const float *b, int64_t ld, int64_t panel,
	                   int64_t k, int64_t n, bool add);
	/* Lays n keys of d numbers, stride floats apart, down as columns first .. first + n - 1 of such panels (ld
	 * SN_PANEL, panel d * SN_PANEL). */
	void (*turn)(float *panels, int64_t first, const float *k, int64_t stride, int64_t n, int64_t d);
	/* y_j = scale * q . k_j for n keys that lie stride floats apart, in accumulate's order. */
	void (*scores)(float *y, const float *q, const float *k, int64_t stride, int64_t n, int64_t d, float scale);
	/* Softmax in place; a row of -inf only becomes 0. */
	void (*softmax)(float *x, int64_t n);
	/* Takes n more logits into a running (maximum, sum of exp(x - maximum)). */
	void (*logsumexp)(const float *x, int64_t n, float *maximum, double *sum);
	/* Takes n more logits into a spread, from which log-sum-exp and entropy follow; one of -inf has no share. */
	void (*spread)(const float *x, int64_t n, sn_spread *s);
	/* y = exp(x - shift). */
	void (*exp_less)(float *y, const float *x, float shift, int64_t n);
	/* Returns sum p (a - b), in double; terms where p is 0 count nothing. */
	double (*weighted_gap)(const float *p, const float *a, const float *b, int64_t n);
	/* Returns how many of n numbers are above threshold. */
	int64_t (*count_above)(const float *x, int64_t n, float threshold);
	/* Returns the first index from `from` on whose number is above threshold; n if there is none. */
	int64_t (*next_above)(const float *x, int64_t from, int64_t n, float threshold);
	/* Softmax down the columns of x [k, n] (distance ld between its rows), in place; log_sum [n]: log Σ exp. */
	void (*softmax_columns)(float *x, int64_t ld, int64_t k, int64_t n, float *log_sum);
	/* u = p (u - Σ_k p u), column by column: the softmax's derivative at probabilities p times u, both [k, n], rows ld
	 * and ld_p apart. */
	void (*softmax_curve)(float *u, int64_t ld, const float *p, int64_t ld_p, int64_t k, int64_t n);
} sn_kernels;

/* Returns the table of the best level that this processor has. */
const sn_kernels *sn_kernels_get(void);
/* Returns table i of those that this processor can run, best last; NULL past the end. */
const sn_kernels *sn_kernels_at(int i);

#endif
