#include "stats/leace.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"

/* Coefficients of alpha S + beta tr(S)/d I from tr(S) and |S|², in concept-erasure's words (its sigma0 is tr(S)/d I).
 */
static void shrink_coefficients(int64_t d, double trace, double square, double n, double *alpha, double *beta)
{
	double sigma0_square = trace * trace / (double)d, product = sigma0_square;
	double top = trace * trace * sigma0_square / n, bottom = square * sigma0_square - product * product;
	double a = 1 - (top + DBL_EPSILON) / (bottom + DBL_EPSILON);
	*alpha = SN_MIN(SN_MAX(a, 0), 1);
	*beta = (1 - *alpha) * (product + DBL_EPSILON) / (sigma0_square + DBL_EPSILON);
}

static void trace_and_square(int64_t n, const double *s, double *trace, double *square)
{
	*trace = *square = 0;
	for (int64_t i = 0; i < n; i++) {
		*trace += s[i * n + i];
		for (int64_t j = 0; j < n; j++) *square += s[i * n + j] * s[i * n + j];
	}
}

void sn_shrink_linear(int64_t d, double *s, double n, double *alpha, double *beta)
{
	double trace, square, a, b;
	trace_and_square(d, s, &trace, &square);
	shrink_coefficients(d, trace, square, n, &a, &b);
	for (int64_t i = 0; i < d * d; i++) s[i] *= a;
	for (int64_t i = 0; i < d; i++) s[i * d + i] += b * trace / (double)d;
	if (alpha) *alpha = a;
	if (beta) *beta = b;
}

static sn_status start(sn_leace *out, sn_arena *arena, int64_t d, int64_t k)
{
	*out = (sn_leace){ .d = d, .k = k, .alpha = 1 };
	size_t size = sn_size3((size_t)d, (size_t)k, 1);
	SN_NEW(out->u, arena, double, size);
	SN_NEW(out->v, arena, double, size);
	SN_NEW(out->mean, arena, double, d);
	SN_NEW(out->u32, arena, float, size);
	SN_NEW(out->v32, arena, float, size);
	SN_NEW(out->mean32, arena, float, d);
	return SN_OK;
}

/* From U0 = Σxz (in out->u), V0 = Σ⁻¹ Σxz (in out->v) and Σzz to Q = U0 (U0' V0)⁺ V0', split evenly: U0' V0 is
 * symmetric, so its eigenvectors E and values λ give U = U0 E λ^-½, V = V0 E λ^-½. U0' V0 <= Σzz, so a λ that is
 * nothing beside Σzz is no signal. */
static sn_status factor(sn_leace *out, sn_arena *arena, const double *szz)
{
	int64_t d = out->d, k = out->k;
	double *inner, *value, *u0, *v0, largest = 0;
	SN_NEW(inner, arena, double, k * k);
	SN_NEW(value, arena, double, k);
	SN_NEW(u0, arena, double, d * k);
	SN_NEW(v0, arena, double, d * k);
	memcpy(u0, out->u, (size_t)(d * k) * sizeof *u0);
	memcpy(v0, out->v, (size_t)(d * k) * sizeof *v0);
	sn_gemm_f64(1, true, false, k, k, d, 1, u0, k, v0, k, 0, inner, k);
	for (int64_t i = 0; i < k; i++) largest = fmax(largest, szz[i * k + i]);
	SN_TRY(sn_eigh(sn_arena_ctx(arena), k, inner, value));
	double floor = fmax(1e-12 * largest, 1e-10 * value[k - 1]);
	for (int64_t i = 0; i < k; i++) {
		bool keep = value[i] > floor;
		double scale = keep ? 1 / sqrt(value[i]) : 0;
		out->rank += keep;
		for (int64_t j = 0; j < k; j++) inner[i * k + j] *= scale;
	}
	sn_gemm_f64(1, false, true, d, k, k, 1, u0, k, inner, k, 0, out->u, k);
	sn_gemm_f64(1, false, true, d, k, k, 1, v0, k, inner, k, 0, out->v, k);
	return SN_OK;
}

static sn_status finish(sn_leace *out, sn_arena *arena, const double *mean, const double *szz)
{
	SN_TRY(factor(out, arena, szz));
	for (int64_t i = 0; i < out->d * out->k; i++) {
		out->u32[i] = (float)out->u[i];
		out->v32[i] = (float)out->v[i];
		if (!isfinite(out->u32[i]) || !isfinite(out->v32[i]))
			return sn_fail(sn_arena_ctx(arena), SN_ENUMERIC,
						   "LEACE: the projection is not finite (moments too large?)");
	}
	for (int64_t i = 0; i < out->d; i++) {
		out->mean[i] = mean[i];
		out->mean32[i] = (float)mean[i];
	}
	return SN_OK;
}

/* x [d, k] <- the pseudo-inverse of s [d, d] times x, eigenvalues at the threshold of torch.linalg.pinv dropped.
 * Overwrites s. */
static sn_status apply_pinv(sn_arena *arena, int64_t d, double *s, int64_t k, double *x)
{
	double *value, *y;
	SN_NEW(value, arena, double, d);
	SN_NEW(y, arena, double, d * k);
	SN_TRY(sn_eigh(sn_arena_ctx(arena), d, s, value));
	int threads = sn_ctx_threads(sn_arena_ctx(arena));
	sn_gemm_f64(threads, false, false, d, k, d, 1, s, d, x, k, 0, y, k);
	for (int64_t i = 0; i < d; i++) {
		double scale = value[i] > value[d - 1] * (double)d * DBL_EPSILON ? 1 / value[i] : 0;
		for (int64_t j = 0; j < k; j++) y[i * k + j] *= scale;
	}
	sn_gemm_f64(threads, true, false, d, k, d, 1, s, d, y, k, 0, x, k);
	return SN_OK;
}

/* x [n, k] <- the inverse of s [n, n] times x, s positive definite. Overwrites s. */
static sn_status apply_inverse(sn_arena *arena, int64_t n, double *s, int64_t k, double *x)
{
	double *rhs;
	SN_NEW(rhs, arena, double, n * k);
	if (!sn_cholesky(n, s, n))
		return sn_fail(sn_arena_ctx(arena), SN_ENUMERIC, "LEACE: the shrunk covariance is not positive definite");
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < k; j++) rhs[j * n + i] = x[i * k + j];
	sn_cholesky_solve(n, s, n, k, rhs);
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < k; j++) x[i * k + j] = rhs[j * n + i];
	return SN_OK;
}

static sn_status check(sn_ctx *ctx, const sn_cov *m)
{
	if (m->k < 1)
		return sn_fail(ctx, SN_EARG, "LEACE needs labels: moments of width %lld and no label", (long long)m->d);
	if (!(m->weight > 1)) return sn_fail(ctx, SN_EARG, "LEACE needs more than one row, found weight %g", m->weight);
	return SN_OK;
}

/* With all x equal nothing is to be projected, and no covariance to be inverted. */
static bool varies(const sn_cov *m)
{
	for (int64_t i = 0; i < m->d; i++)
		if (m->sxx[i * m->d + i] != 0) return true;
	return false;
}

/* Puts Σxz into out->u, Σ⁻¹ Σxz into out->v and Σzz into *szz. */
static sn_status project(sn_leace *out, sn_arena *arena, const sn_cov *m, sn_shrink shrink, double *szz)
{
	int64_t d = m->d, k = m->k;
	double *sigma;
	SN_NEW(sigma, arena, double, sn_size3((size_t)d, (size_t)d, 1));
	for (int64_t i = 0; i < d * d; i++) sigma[i] = m->sxx[i] / m->weight;
	for (int64_t i = 0; i < k * k; i++) szz[i] = m->szz[i] / m->weight;
	for (int64_t i = 0; i < d * k; i++) out->u[i] = out->v[i] = m->sxz[i] / m->weight;
	if (varies(m)) {
		if (shrink == SN_SHRINK_LINEAR) {
			sn_shrink_linear(d, sigma, m->weight, &out->alpha, &out->beta);
			SN_TRY(apply_inverse(arena, d, sigma, k, out->v));
		} else {
			SN_TRY(apply_pinv(arena, d, sigma, k, out->v));
		}
	}
	return SN_OK;
}

sn_status sn_leace_fit(sn_leace *out, sn_arena *arena, const sn_cov *m, sn_shrink shrink)
{
	SN_TRY(check(sn_arena_ctx(arena), m));
	if (!m->sxx) return sn_fail(sn_arena_ctx(arena), SN_EARG, "LEACE needs moments with sxx (sn_cov_init with_xx)");
	SN_TRY(start(out, arena, m->d, m->k));
	sn_mark mark = sn_arena_mark(arena);
	double *szz;
	SN_NEW(szz, arena, double, m->k * m->k);
	SN_TRY(project(out, arena, m, shrink, szz));
	SN_TRY(finish(out, arena, m->mean_x, szz));
	sn_arena_reset(arena, mark);
	return SN_OK;
}

/* Centred rows of weight > 0 times the root of weight / total, in double, and labels likewise: A [m, d], Z [m, k]. */
static sn_status centred_rows(sn_arena *arena, const sn_rows *rows, const double *z, const sn_cov *m, double **a,
							  double **zc)
{
	int64_t d = m->d, k = m->k, ld = rows->ld ? rows->ld : d, used = 0;
	SN_NEW(*a, arena, double, sn_size3((size_t)m->n, (size_t)d, 1));
	SN_NEW(*zc, arena, double, m->n * k);
	for (int64_t i = 0; i < rows->n; i++) {
		double w = rows->weight ? rows->weight[i] : 1;
		if (w == 0) continue;
		double root = sqrt(w / m->weight);
		for (int64_t j = 0; j < d; j++) (*a)[used * d + j] = root * (rows->x[i * ld + j] - m->mean_x[j]);
		for (int64_t j = 0; j < k; j++) (*zc)[used * k + j] = root * (z[i * k + j] - m->mean_z[j]);
		used++;
	}
	return SN_OK;
}

/* Fewer rows than columns: Σ⁻¹ A' = A' (alpha A A' + gamma I)⁻¹ with Σ = alpha A'A + gamma I, and A A' has A'A's
 * trace and norm. */
static sn_status project_rows(sn_leace *out, sn_arena *arena, const sn_rows *rows, const double *z, const sn_cov *m,
							  double *szz)
{
	int64_t n = m->n, d = m->d, k = m->k;
	int threads = sn_ctx_threads(sn_arena_ctx(arena));
	double *a, *zc, *gram, trace, square;
	SN_TRY(centred_rows(arena, rows, z, m, &a, &zc));
	SN_NEW(gram, arena, double, n * n);
	sn_gram_f64(threads, false, n, d, a, d, 0, gram, n);
	sn_mirror_f64(n, gram, n);
	sn_gemm_f64(1, true, false, k, k, n, 1, zc, k, zc, k, 0, szz, k);
	sn_gemm_f64(threads, true, false, d, k, n, 1, a, d, zc, k, 0, out->u, k);
	trace_and_square(n, gram, &trace, &square);
	if (trace > 0) {
		shrink_coefficients(d, trace, square, m->weight, &out->alpha, &out->beta);
		for (int64_t i = 0; i < n * n; i++) gram[i] *= out->alpha;
		for (int64_t i = 0; i < n; i++) gram[i * n + i] += out->beta * trace / (double)d;
		SN_TRY(apply_inverse(arena, n, gram, k, zc));
		sn_gemm_f64(threads, true, false, d, k, n, 1, a, d, zc, k, 0, out->v, k);
	}
	return SN_OK;
}

/* The same from rows: by columns or by rows, whichever are fewer. */
static sn_status project_either(sn_leace *out, sn_arena *arena, const sn_rows *rows, const double *z, sn_shrink shrink,
								sn_cov *m, double *szz)
{
	int64_t used = 0;
	for (int64_t i = 0; i < rows->n; i++) used += !rows->weight || rows->weight[i] > 0;
	bool by_rows = shrink == SN_SHRINK_LINEAR && used < rows->d;
	SN_TRY(sn_cov_init(m, arena, rows->d, out->k, !by_rows));
	SN_TRY(sn_cov_add(m, arena, rows, z));
	SN_TRY(check(sn_arena_ctx(arena), m));
	return by_rows ? project_rows(out, arena, rows, z, m, szz) : project(out, arena, m, shrink, szz);
}

sn_status sn_leace_fit_rows(sn_leace *out, sn_arena *arena, const sn_rows *rows, const double *z, int64_t k,
							sn_shrink shrink)
{
	SN_TRY(start(out, arena, rows->d, k));
	sn_mark mark = sn_arena_mark(arena);
	sn_cov m;
	double *szz;
	SN_NEW(szz, arena, double, k * k);
	SN_TRY(project_either(out, arena, rows, z, shrink, &m, szz));
	SN_TRY(finish(out, arena, m.mean_x, szz));
	sn_arena_reset(arena, mark);
	return SN_OK;
}

sn_status sn_leace_fit_each(sn_leace *out, sn_arena *arena, const sn_rows *rows, const double *z, int64_t k,
							sn_shrink shrink)
{
	for (int64_t c = 0; c < k; c++) SN_TRY(start(&out[c], arena, rows->d, 1));
	sn_mark mark = sn_arena_mark(arena);
	sn_leace all;
	sn_cov m;
	double *szz;
	SN_TRY(start(&all, arena, rows->d, k));
	SN_NEW(szz, arena, double, k * k);
	SN_TRY(project_either(&all, arena, rows, z, shrink, &m, szz));
	for (int64_t c = 0; c < k; c++) {
		for (int64_t i = 0; i < rows->d; i++) {
			out[c].u[i] = all.u[i * k + c];
			out[c].v[i] = all.v[i * k + c];
		}
		out[c].alpha = all.alpha;
		out[c].beta = all.beta;
		SN_TRY(finish(&out[c], arena, m.mean_x, &szz[c * k + c]));
	}
	sn_arena_reset(arena, mark);
	return SN_OK;
}

sn_status sn_leace_fit_signs(sn_arena *scratch, const float *x, int64_t n, int64_t d, const int8_t *z, float *mean,
							 float *u, float *v)
{
	sn_leace q;
	double *label;
	sn_rows rows = { .x = x, .n = n, .d = d };
	SN_NEW(label, scratch, double, n);
	for (int64_t i = 0; i < n; i++) label[i] = z[i];
	SN_TRY(sn_leace_fit_rows(&q, scratch, &rows, label, 1, SN_SHRINK_LINEAR));
	memcpy(mean, q.mean32, (size_t)d * sizeof *mean);
	memcpy(u, q.u32, (size_t)d * sizeof *u);
	memcpy(v, q.v32, (size_t)d * sizeof *v);
	return SN_OK;
}

void sn_leace_erase(const sn_leace *q, float *x, int64_t n, int64_t ld)
{
	ld = ld ? ld : q->d;
	for (int64_t i = 0; i < n; i++) {
		float *row = x + i * ld;
		for (int64_t c = 0; c < q->k; c++) {
			double along =
				0; /* V'(x - mean) must see the row as it was: U V' is idempotent, so order does not matter */
			for (int64_t j = 0; j < q->d; j++) along += q->v[j * q->k + c] * (row[j] - q->mean[j]);
			for (int64_t j = 0; j < q->d; j++) row[j] -= (float)(q->u[j * q->k + c] * along);
		}
	}
}
