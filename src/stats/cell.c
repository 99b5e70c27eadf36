#include "stats/cell.h"

#include <math.h>
#include <string.h>

#include "tensor/kernels.h"

/* A column without variation in a training set: its coefficient must be 0. */
static const double forbidden = 1e15;

/* Of one block's training rows, column by column. */
typedef struct sn_block_moments {
	double weight, *mean, *square; /* Σ w; [d]; [d] Σ w (x - mean)² */
	double *top;                   /* [d] largest |x| */
} sn_block_moments;

static int64_t stride(const sn_probe_plan *p) { return p->ld ? p->ld : p->d; }

static double weight_of(const sn_probe_plan *p, int64_t i) { return p->weight ? p->weight[i] : 1; }

static bool trains(const sn_probe_plan *p, int64_t i)
{
	return p->fold[i] >= 0 && (!p->use || p->use[i] & SN_USE_FIT) && weight_of(p, i) > 0;
}

static sn_status new_moments(sn_block_moments *m, sn_arena *arena, int64_t d)
{
	*m = (sn_block_moments){ 0 };
	SN_NEW(m->mean, arena, double, d);
	SN_NEW(m->square, arena, double, d);
	SN_NEW(m->top, arena, double, d);
	return SN_OK;
}

/* Two passes: means, then what is left. */
static void measure(sn_block_moments *m, const sn_probe_plan *p, const float *x, int fold)
{
	int64_t d = p->d;
	for (int pass = 0; pass < 2; pass++) {
		for (int64_t i = 0; i < p->n; i++) {
			if (p->fold[i] != fold || !trains(p, i)) continue;
			const float *row = x + i * stride(p);
			double w = weight_of(p, i);
			if (pass == 0) m->weight += w;
			for (int64_t j = 0; j < d && pass == 0; j++) {
				m->mean[j] += w * row[j];
				m->top[j] = SN_MAX(m->top[j], fabs((double)row[j]));
			}
			for (int64_t j = 0; j < d && pass == 1; j++)
				m->square[j] += w * (row[j] - m->mean[j]) * (row[j] - m->mean[j]);
		}
		for (int64_t j = 0; j < d && pass == 0 && m->weight > 0; j++) m->mean[j] /= m->weight;
	}
}

/* Adds another block's (Chan, Golub & LeVeque 1983). */
static void merge(sn_block_moments *m, const sn_block_moments *other, int64_t d)
{
	double all = m->weight + other->weight;
	for (int64_t j = 0; j < d && other->weight > 0; j++) {
		double apart = other->mean[j] - m->mean[j];
		m->mean[j] += apart * other->weight / all;
		m->square[j] += other->square[j] + apart * apart * m->weight * other->weight / all;
		m->top[j] = SN_MAX(m->top[j], other->top[j]);
	}
	m->weight = all;
}

/* Moments of the training rows outside two blocks, into m, which is empty. */
static void merge_all(sn_block_moments *m, const sn_cell *cell, int f, int g)
{
	for (int k = 0; k < cell->plan->n_fold; k++)
		if (k != f && k != g) merge(m, &cell->fold[k], cell->plan->d);
}

/* Standard deviation of a column; 0: constant but for float32's rounding, as sn_standard has it. */
static double deviation(const sn_block_moments *m, int64_t j)
{
	double sd = m->weight > 0 ? sqrt(m->square[j] / m->weight) : 0;
	return sd <= 1e-7 * m->top[j] ? 0 : sd;
}

static sn_status scale_rows(sn_cell *cell, const float *x)
{
	const sn_probe_plan *p = cell->plan;
	int64_t d = p->d;
	sn_block_moments all;
	sn_mark mark = sn_arena_mark(cell->arena);
	sn_standard scale = { .d = d };
	SN_TRY(new_moments(&all, cell->arena, d));
	SN_NEW(scale.inv_sd, cell->arena, double, d);
	merge_all(&all, cell, -1, -1);
	scale.mean = all.mean;
	for (int64_t j = 0; j < d; j++) {
		cell->sd[j] = deviation(&all, j);
		scale.inv_sd[j] = cell->sd[j] > 0 ? 1 / cell->sd[j] : 0;
	}
#pragma omp parallel for num_threads(sn_ctx_threads(sn_arena_ctx(cell->arena))) schedule(static)
	for (int64_t i = 0; i < p->n; i++)
		if (p->fold[i] >= 0) sn_standard_apply(&scale, x + i * stride(p), 1, d, cell->scaled + i * d);
	sn_arena_reset(cell->arena, mark);
	return SN_OK;
}

static sn_status take_rows(sn_cell *cell)
{
	const sn_probe_plan *p = cell->plan;
	float *x;
	SN_NEW(cell->row, cell->arena, int64_t, p->n);
	for (int64_t i = 0; i < p->n; i++)
		if (trains(p, i)) cell->row[cell->n_fit++] = i;
	if (cell->n_fit == 0) return sn_fail(sn_arena_ctx(cell->arena), SN_EARG, "probe: no row is marked for fitting");
	SN_NEW(x, cell->arena, float, sn_size3((size_t)cell->n_fit, (size_t)p->d, 1));
	for (int64_t i = 0; i < cell->n_fit; i++)
		memcpy(x + i * p->d, cell->scaled + cell->row[i] * p->d, (size_t)p->d * sizeof *x);
	SN_TRY(sn_design_plain(&cell->design, cell->arena, x, cell->n_fit, p->d));
	if (!p->weight) return SN_OK;
	SN_NEW(cell->weight, cell->arena, float, cell->n_fit);
	for (int64_t i = 0; i < cell->n_fit; i++) cell->weight[i] = (float)p->weight[cell->row[i]];
	return SN_OK;
}

sn_status sn_cell_open(sn_cell *cell, sn_arena *arena, const sn_probe_plan *plan, const float *x)
{
	*cell = (sn_cell){ .plan = plan, .arena = arena };
	SN_NEW(cell->fold, arena, sn_block_moments, plan->n_fold);
	SN_NEW(cell->sd, arena, double, plan->d);
	SN_NEW(cell->scaled, arena, float, sn_size3((size_t)plan->n, (size_t)plan->d, 1));
	for (int f = 0; f < plan->n_fold; f++) SN_TRY(new_moments(&cell->fold[f], arena, plan->d));
#pragma omp parallel for num_threads(sn_ctx_threads(sn_arena_ctx(arena))) schedule(dynamic)
	for (int f = 0; f < plan->n_fold; f++) measure(&cell->fold[f], plan, x, f);
	SN_TRY(scale_rows(cell, x));
	return take_rows(cell);
}

/* The training set's own scale, as a ridge for each column. */
static sn_status set_scale(sn_cell_fit *fit, const sn_cell *cell)
{
	int64_t d = cell->plan->d;
	sn_block_moments own;
	double *scale;
	SN_NEW(scale, cell->arena, double, d);
	sn_mark mark = sn_arena_mark(cell->arena);
	SN_TRY(new_moments(&own, cell->arena, d));
	merge_all(&own, cell, fit->f, fit->g);
	for (int64_t j = 0; j < d; j++) {
		double sd = deviation(&own, j);
		scale[j] = sd > 0 && cell->sd[j] > 0 ? sd / cell->sd[j] : forbidden;
	}
	sn_arena_reset(cell->arena, mark);
	fit->m.scale = scale;
	return SN_OK;
}

sn_status sn_cell_fit_make(sn_cell_fit *fit, const sn_cell *cell, int label, int f, int g)
{
	const sn_probe_plan *p = cell->plan;
	bool seen[2] = { false, false };
	int32_t *y;
	*fit = (sn_cell_fit){ .label = label, .f = f, .g = g };
	SN_NEW(y, cell->arena, int32_t, cell->n_fit);
	for (int64_t i = 0; i < cell->n_fit; i++) {
		int64_t row = cell->row[i];
		int8_t z = p->z[label * p->n + row];
		bool out = p->fold[row] == f || p->fold[row] == g || z == 0;
		y[i] = out ? -1 : z > 0;
		if (!out) seen[z > 0] = true;
	}
	fit->both = seen[0] && seen[1];
	if (!fit->both) return SN_OK;
	SN_TRY(sn_multinomial_make(&fit->m, cell->arena, 2, p->d, cell->n_fit));
	SN_NEW(fit->coef, cell->arena, float, p->d);
	fit->m.y = y;
	fit->m.weight = cell->weight;
	return set_scale(fit, cell);
}

void sn_cell_settle(const sn_cell *cell, sn_cell_fit *fit)
{
	for (int64_t j = 0; j < cell->plan->d; j++) fit->coef[j] = (float)fit->m.theta[j];
}

double sn_cell_score(const sn_cell *cell, const sn_cell_fit *fit, int64_t i)
{
	int64_t d = cell->plan->d;
	return fit->m.theta[d] + sn_kernels_get()->dot(fit->coef, cell->scaled + i * d, d);
}
