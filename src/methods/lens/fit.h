/* Fitting a tuned lens' translators: by least squares to what the last block leaves, then by gradient steps on
 * KL(final || lens). */
#ifndef SN_METHODS_LENS_FIT_H
#define SN_METHODS_LENS_FIT_H

#include "methods/lens/lens.h"
#include "model/translators.h"

/* The streams of n positions at all boundaries: x [n, layers + 1, d], the last boundary last. */
typedef struct sn_lens_streams { int64_t n; int n_layer; int64_t d; float *x; } sn_lens_streams;

/* Sums that the least-squares fit of each layer needs. */
typedef struct sn_lens_moments { int n; int64_t d; double *xx, *xy; double count; } sn_lens_moments;
SN_CHECKED sn_status sn_lens_moments_make(sn_lens_moments *out, int n, int64_t d, sn_arena *arena);
/* Adds positions, each weighted by one over its last boundary's mean square, since the final norm divides by its root.
 * About 4 d^2 multiplications a position and layer. */
SN_CHECKED sn_status sn_lens_moments_add(sn_ctx *ctx, sn_lens_moments *moments, const sn_lens_streams *streams,
                                         sn_arena *arena);
/* Solves for all layers: x_last - x = weight x + bias, ridge times the mean diagonal added to x x'. Loses the moments.
 * SN_ENUMERIC for fewer positions than make the sums positive definite. */
SN_CHECKED sn_status sn_lens_moments_solve(sn_ctx *ctx, sn_lens_moments *moments, double ridge, sn_translators *out);

/* Adam's state (Kingma & Ba 2015), and how far it is. */
typedef struct sn_lens_adam {
	float *first, *second;     /* [n * (d * d + d)] */
	double rate;
	int64_t step, steps;
	struct sn_packed **unembed_back;   /* [chunks] the unembedding, packed for derivatives */
} sn_lens_adam;
/* Begins at step 0 of steps. Close it also where this fails. */
SN_CHECKED sn_status sn_lens_adam_open(sn_lens_adam *adam, sn_ctx *ctx, sn_model *model, const sn_translators *t,
                                       double rate, int64_t steps, sn_arena *arena);
void sn_lens_adam_close(sn_lens_adam *adam, sn_model *model);
/* One step down mean KL(final || lens), nats, over the positions, of all layers side by side; the rate falls evenly to
 * 0 over the steps. loss: [n] the layers' before the step. Three products with the unembedding a position and layer. */
SN_CHECKED sn_status sn_lens_step(sn_ctx *ctx, sn_model *model, sn_translators *t, const sn_lens_streams *streams,
                                  sn_lens_adam *adam, double *loss, sn_arena *arena);

#endif
