#include "stats/fitset.h"

#include <cblas.h>
#include <string.h>

#include "stats/linalg.h"

enum { MOST_ITERATIONS = 100 };

static int64_t row_stride(const sn_probe_plan *plan) { return plan->ld ? plan->ld : plan->d; }

static bool trains(const sn_probe_plan *plan, int64_t i)
{
	return plan->fold[i] >= 0 && (!plan->use || plan->use[i] & SN_USE_FIT) && !(plan->weight && plan->weight[i] == 0);
}

sn_status sn_fitset_init(sn_fitset *set, sn_arena *arena, const sn_probe_plan *plan, const float *x)
{
	*set = (sn_fitset){ .plan = plan, .x = x };
	for (int64_t i = 0; i < plan->n; i++) set->room += trains(plan, i);
	size_t d = (size_t)plan->d, room = (size_t)set->room, small = SN_MIN(d, room);
	SN_NEW(set->row, arena, int64_t, room);
	SN_NEW(set->weight, arena, double, room);
	SN_NEW(set->scaled, arena, float, sn_size3(room, d, 1));
	SN_NEW(set->gram32, arena, float, sn_size3(small, small, 1));
	SN_NEW(set->gram, arena, double, sn_size3(small, small, 1));
	SN_NEW(set->feature, arena, double, room > d ? sn_size3(room, d, 1) : 0);
	set->standard.d = plan->d;
	SN_NEW(set->standard.mean, arena, double, d);
	SN_NEW(set->standard.sd, arena, double, d);
	SN_NEW(set->standard.inv_sd, arena, double, d);
	return SN_OK;
}

sn_status sn_fitter_init(sn_fitter *fitter, sn_arena *arena, const sn_probe_plan *plan, int64_t room)
{
	*fitter = (sn_fitter){ 0 };
	int64_t small =
		SN_MIN(plan->d, room); /* a smaller training set may fall on the dual side of a larger, primal one */
	size_t scratch = sn_newton_scratch(small, small, true);
	if (room > plan->d) scratch = SN_MAX(scratch, sn_newton_scratch(room, plan->d, false));
	SN_NEW(fitter->a, arena, double, SN_MAX(room, plan->d));
	SN_NEW(fitter->f, arena, double, room);
	SN_NEW(fitter->scratch, arena, double, scratch);
	SN_NEW(fitter->z, arena, int8_t, room);
	SN_NEW(fitter->row, arena, float, plan->d);
	SN_NEW(fitter->coef, arena, float, plan->d);
	return SN_OK;
}

static void widen_gram(sn_fitset *set)
{
	int64_t m = set->m;
	cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)m, (int)set->plan->d, 1, set->scaled, (int)set->plan->d,
				0, set->gram32, (int)m);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j <= i; j++) set->gram[i * m + j] = set->gram32[i * m + j];
	sn_mirror_f64(m, set->gram, m);
}

void sn_fitset_load(sn_fitset *set, int f, int g)
{
	const sn_probe_plan *plan = set->plan;
	int64_t d = plan->d;
	set->m = 0;
	for (int64_t i = 0; i < plan->n; i++) {
		if (!trains(plan, i) || plan->fold[i] == f || plan->fold[i] == g) continue;
		memcpy(set->scaled + set->m * d, set->x + i * row_stride(plan), (size_t)d * sizeof *set->scaled);
		set->weight[set->m] = plan->weight ? plan->weight[i] : 1;
		set->row[set->m++] = i;
	}
	sn_rows rows = { .x = set->scaled, .n = set->m, .d = d, .weight = set->weight };
	if (sn_standard_measure(&set->standard, &rows))
		sn_standard_apply(&set->standard, set->scaled, set->m, d, set->scaled);
	int before = sn_blas_serial();
	if (set->m <= d)
		widen_gram(set);
	else
		for (int64_t i = 0; i < set->m * d; i++) set->feature[i] = set->scaled[i];
	sn_blas_restore(before);
}

bool sn_fitter_begin(sn_fitter *fitter, const sn_fitset *set, int label)
{
	const sn_probe_plan *plan = set->plan;
	bool dual = set->m <= plan->d, seen[2] = { false, false };
	for (int64_t i = 0; i < set->m; i++) {
		fitter->z[i] = plan->z[label * plan->n + set->row[i]];
		if (fitter->z[i]) seen[fitter->z[i] > 0] = true;
	}
	int64_t r = dual ? set->m : plan->d;
	memset(fitter->a, 0, (size_t)r * sizeof *fitter->a);
	memset(fitter->f, 0, (size_t)set->m * sizeof *fitter->f);
	fitter->newton = (sn_newton){ .m = set->m,
								  .r = r,
								  .gram = dual ? set->gram : NULL,
								  .feature = dual ? NULL : set->feature,
								  .single = dual ? set->gram32 : set->scaled,
								  .z = fitter->z,
								  .weight = set->weight,
								  .max_iter = MOST_ITERATIONS,
								  .a = fitter->a,
								  .f = fitter->f,
								  .scratch = fitter->scratch };
	return seen[0] && seen[1];
}

bool sn_fitter_run(sn_fitter *fitter, const sn_fitset *set, double strength, double tol)
{
	sn_newton *p = &fitter->newton;
	int64_t d = set->plan->d;
	p->lambda = 1 / strength;
	p->tol = tol;
	sn_newton_solve(p);
	if (p->gram)
		memset(fitter->coef, 0, (size_t)d * sizeof *fitter->coef);
	else
		for (int64_t j = 0; j < d; j++) fitter->coef[j] = (float)p->a[j];
	for (int64_t i = 0; p->gram && i < set->m; i++) {
		float a = (float)p->a[i];
		for (int64_t j = 0; j < d; j++) fitter->coef[j] += a * set->scaled[i * d + j];
	}
	return p->converged;
}

double sn_fitter_score(sn_fitter *fitter, const sn_fitset *set, int64_t i)
{
	enum { LANES = 16 }; /* separate sums, so that the compiler may use vectors without reordering */
	int64_t d = set->plan->d, j = 0;
	double score = fitter->newton.b;
	float sum[LANES] = { 0 };
	sn_standard_apply(&set->standard, set->x + i * row_stride(set->plan), 1, d, fitter->row);
	for (; j + LANES <= d; j += LANES)
		for (int v = 0; v < LANES; v++) sum[v] += fitter->row[j + v] * fitter->coef[j + v];
	for (int v = 0; v < LANES; v++) score += sum[v];
	for (; j < d; j++) score += fitter->row[j] * fitter->coef[j];
	return score;
}
