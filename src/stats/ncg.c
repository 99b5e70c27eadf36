#include "stats/ncg.h"

#include <math.h>
#include <string.h>

enum { MOST_CG = 250, MOST_SLOW = 3 };
/* Rounding of the objective that is forgiven: sums of float32 logarithms, sums of doubles. */
static const double slack_single = 3e-7, slack_exact = 1e-13, loosest = 0.5;
/* What a step should leave of the gradient if the loss is as quadratic as it seems: this share of what is enough. */
static const double promised = 0.7;

static void ask(sn_ncg *p, sn_ask what, const double *at)
{
	p->ask = what;
	p->at = at;
	p->passes += what != SN_ASK_NOTHING;
}

sn_status sn_ncg_start(sn_ncg *p, sn_arena *arena)
{
	double **vector[] = {
		&p->guess,	  &p->answer, &p->trial,	 &p->grad,	&p->step,
		&p->residual, &p->scaled, &p->direction, &p->image, &p->inverse,
	};
	for (int i = 0; i < SN_COUNT(vector); i++) SN_NEW(*vector[i], arena, double, p->size);
	sn_ncg_restart(p);
	return SN_OK;
}

void sn_ncg_restart(sn_ncg *p)
{
	memcpy(p->trial, p->theta, (size_t)p->size * sizeof *p->trial);
	p->objective = INFINITY;
	p->gap = p->first_gap = INFINITY;
	p->iterations = p->passes = p->n_slow = 0;
	p->converged = p->exact = p->rough = false;
	ask(p, SN_ASK_GRADIENT, p->trial);
}

/* share: of what is small enough that the gradient may be. */
static bool flat(const sn_ncg *p, const double *gradient, double share)
{
	return p->flat && p->flat(p->owner, gradient, share);
}

static void stop(sn_ncg *p, bool converged)
{
	p->converged = converged;
	ask(p, SN_ASK_NOTHING, NULL);
}

/* After want of progress: the same point again, with products in float32 if they were rough, with gradients in double
 * if those were not; then nothing is left. */
static void take_care(sn_ncg *p)
{
	if (p->exact) {
		stop(p, false);
		return;
	}
	memcpy(p->trial, p->theta, (size_t)p->size * sizeof *p->trial);
	p->objective = INFINITY;
	p->exact = !p->rough;
	p->rough = false;
	p->n_slow = 0;
	ask(p, SN_ASK_GRADIENT, p->trial);
}

/* Starts on H step = -gradient; sets gap. */
static void begin_step(sn_ncg *p)
{
	double rho = 0;
	for (int64_t j = 0; j < p->size; j++) {
		p->inverse[j] = 1 / (p->guess[j] + p->ridge[j]);
		p->step[j] = p->direction[j] = p->image[j] = 0;
		p->residual[j] = -p->grad[j];
		p->scaled[j] = p->inverse[j] * p->residual[j];
		rho += p->residual[j] * p->scaled[j];
	}
	double gap = rho / 2;
	p->n_slow = gap > p->gap / 2 ? p->n_slow + 1 : 0;
	p->gap = gap;
	if (p->first_gap > 1e300) p->first_gap = gap;
}

static void ask_step(sn_ncg *p)
{
	double loose = SN_MIN(loosest, sqrt(sqrt(p->gap / p->first_gap)));
	p->enough = SN_MAX(2 * p->gap * loose * loose, p->tol / 2); /* beyond the tolerance nothing needs to be solved */
	p->n_cg = 0;
	p->curve = INFINITY;
	ask(p, SN_ASK_CURVATURE, p->scaled);
}

static void try_step(sn_ncg *p)
{
	for (int64_t j = 0; j < p->size; j++) p->trial[j] = p->theta[j] + p->size_of_step * p->step[j];
	ask(p, SN_ASK_GRADIENT, p->trial);
}

static void take_gradient(sn_ncg *p, double loss)
{
	double square = 0;
	for (int64_t j = 0; j < p->size; j++) {
		square += p->ridge[j] * p->trial[j] * p->trial[j];
		p->answer[j] += p->ridge[j] * p->trial[j];
	}
	double objective = loss + square / 2, slack = p->exact ? slack_exact : slack_single;
	if (!(objective <= p->objective + slack * fabs(p->objective))) {
		p->size_of_step /= 2;
		if (p->size_of_step > 1e-8)
			try_step(p);
		else
			take_care(p);
		return;
	}
	p->iterations += isfinite(p->objective);
	p->objective = objective;
	memcpy(p->theta, p->trial, (size_t)p->size * sizeof *p->theta);
	memcpy(p->grad, p->answer, (size_t)p->size * sizeof *p->grad);
	begin_step(p);
	bool enough = p->gap <= p->tol || flat(p, p->grad, 1);
	if (enough || p->iterations >= p->max_iter)
		stop(p, enough);
	else if (p->n_slow < MOST_SLOW)
		ask_step(p);
	else
		take_care(p);
}

/* One step of conjugate residuals, from the product with the scaled residual: what is left of the residual is the least
 * that the products so far allow. */
static void take_product(sn_ncg *p)
{
	double curve = 0, length = 0, left = 0;
	for (int64_t j = 0; j < p->size; j++) {
		p->answer[j] += p->ridge[j] * p->scaled[j];
		curve += p->scaled[j] * p->answer[j];
	}
	p->size_of_step = 1;
	if (!(curve > 0)) {
		try_step(p);
		return;
	}
	for (int64_t j = 0; j < p->size; j++) {
		p->direction[j] = p->scaled[j] + curve / p->curve * p->direction[j];
		p->image[j] = p->answer[j] + curve / p->curve * p->image[j];
		length += p->image[j] * p->image[j] * p->inverse[j];
	}
	for (int64_t j = 0; j < p->size; j++) {
		p->step[j] += curve / length * p->direction[j];
		p->residual[j] -= curve / length * p->image[j];
		p->scaled[j] = p->inverse[j] * p->residual[j];
		left += p->residual[j] * p->scaled[j];
	}
	p->curve = curve;
	if (left <= p->enough || ++p->n_cg >= MOST_CG || flat(p, p->residual, promised))
		try_step(p);
	else
		ask(p, SN_ASK_CURVATURE, p->scaled);
}

void sn_ncg_next(sn_ncg *p, double loss)
{
	if (p->ask == SN_ASK_GRADIENT)
		take_gradient(p, loss);
	else
		take_product(p);
}
