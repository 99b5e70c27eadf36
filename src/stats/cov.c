#include "stats/cov.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"

enum { CHUNK = 512 }; /* rows widened to double at a time */

sn_status sn_cov_init(sn_cov *out, sn_arena *arena, int64_t d, int64_t k, bool with_xx)
{
	*out = (sn_cov){ .d = d, .k = k };
	SN_NEW(out->mean_x, arena, double, d);
	SN_NEW(out->mean_z, arena, double, k);
	SN_NEW(out->sxz, arena, double, sn_size3((size_t)d, (size_t)k, 1));
	SN_NEW(out->szz, arena, double, k * k);
	if (with_xx) SN_NEW(out->sxx, arena, double, sn_size3((size_t)d, (size_t)d, 1));
	return SN_OK;
}

static int64_t row_stride(const sn_rows *rows) { return rows->ld ? rows->ld : rows->d; }

static bool finite_row(const float *x, int64_t d)
{
	float sum = 0; /* NaN and infinity survive a sum of x - x */
	for (int64_t j = 0; j < d; j++) sum += x[j] - x[j];
	return sum == 0;
}

void sn_rows_passed(const sn_rows *rows, int64_t i)
{
	if (!rows->home || i < 0 || ((i + 1) % SN_PASSED_ROWS != 0 && i + 1 < rows->n)) return;
	int64_t first = i / SN_PASSED_ROWS * SN_PASSED_ROWS, ld = row_stride(rows);
	sn_arena_done(rows->home, rows->x + first * ld, (size_t)((i + 1 - first) * ld) * sizeof *rows->x);
}

sn_status sn_rows_check(sn_ctx *ctx, const sn_rows *rows)
{
	for (int64_t i = 0; i < rows->n; i++) {
		double w = rows->weight ? rows->weight[i] : 1;
		if (!(w >= 0 && isfinite(w)))
			return sn_fail(ctx, SN_EARG, "row %lld: weight %g, expected a finite number >= 0", (long long)i, w);
		if (w > 0 && !finite_row(rows->x + i * row_stride(rows), rows->d))
			return sn_fail(ctx, SN_ENUMERIC, "row %lld of %lld x %lld activations holds a number that is not finite",
						   (long long)i, (long long)rows->n, (long long)rows->d);
		sn_rows_passed(rows, i);
	}
	return SN_OK;
}

/* One chunk's rows, weighted and centred on the chunk's own mean. */
typedef struct chunk {
	int64_t n;
	double weight, *x, *z, *mean_x, *mean_z; /* x [CHUNK, d] and z [CHUNK, k]: rows times the root of their weight */
} chunk;

static void centre(double *x, int64_t n, int64_t d, const double *root, double weight, double *mean)
{
	memset(mean, 0, (size_t)d * sizeof *mean);
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < d; j++) mean[j] += root[i] * root[i] * x[i * d + j];
	for (int64_t j = 0; j < d; j++) mean[j] /= weight;
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < d; j++) x[i * d + j] = root[i] * (x[i * d + j] - mean[j]);
}

/* Takes rows from *next on that have weight, at most CHUNK of them. */
static void fill(chunk *c, const sn_rows *rows, const double *z, int64_t k, int64_t *next, double *root)
{
	int64_t d = rows->d;
	c->n = 0;
	c->weight = 0;
	for (; *next < rows->n && c->n < CHUNK; ++*next) {
		double w = rows->weight ? rows->weight[*next] : 1;
		if (w == 0) continue;
		const float *x = rows->x + *next * row_stride(rows);
		for (int64_t j = 0; j < d; j++) c->x[c->n * d + j] = x[j];
		for (int64_t j = 0; j < k; j++) c->z[c->n * k + j] = z[*next * k + j];
		root[c->n++] = sqrt(w);
		c->weight += w;
	}
	if (c->n == 0) return;
	centre(c->x, c->n, d, root, c->weight, c->mean_x);
	centre(c->z, c->n, k, root, c->weight, c->mean_z);
}

/* s [p, q] += factor a b'. */
static void add_outer(double *s, int64_t p, int64_t q, double factor, const double *a, const double *b)
{
	for (int64_t i = 0; i < p; i++) cblas_daxpy((int)q, factor * a[i], b, 1, s + i * q, 1);
}

/* Moves m's means to those of the union with weight more rows of the other means, after correcting the products;
 * leaves the differences of means in dx, dz. */
static void shift_means(sn_cov *m, double weight, const double *mean_x, const double *mean_z, double *dx, double *dz)
{
	double total = m->weight + weight, factor = m->weight * weight / total;
	for (int64_t j = 0; j < m->d; j++) dx[j] = mean_x[j] - m->mean_x[j];
	for (int64_t j = 0; j < m->k; j++) dz[j] = mean_z[j] - m->mean_z[j];
	if (m->sxx) add_outer(m->sxx, m->d, m->d, factor, dx, dx);
	add_outer(m->sxz, m->d, m->k, factor, dx, dz);
	add_outer(m->szz, m->k, m->k, factor, dz, dz);
	for (int64_t j = 0; j < m->d; j++) m->mean_x[j] += dx[j] * weight / total;
	for (int64_t j = 0; j < m->k; j++) m->mean_z[j] += dz[j] * weight / total;
	m->weight = total;
}

static void add_chunk(sn_cov *m, const chunk *c, int threads, double *dx, double *dz)
{
	int64_t d = m->d, k = m->k;
	if (m->sxx) {
		sn_gram_f64(threads, true, d, c->n, c->x, d, 1, m->sxx, d);
		sn_mirror_f64(d, m->sxx, d);
	}
	if (k) {
		sn_gemm_f64(threads, true, false, d, k, c->n, 1, c->x, d, c->z, k, 1, m->sxz, k);
		sn_gemm_f64(1, true, false, k, k, c->n, 1, c->z, k, c->z, k, 1, m->szz, k);
	}
	shift_means(m, c->weight, c->mean_x, c->mean_z, dx, dz);
	m->n += c->n;
}

sn_status sn_cov_add(sn_cov *m, sn_arena *scratch, const sn_rows *rows, const double *z)
{
	sn_ctx *ctx = sn_arena_ctx(scratch);
	if (rows->d != m->d)
		return sn_fail(ctx, SN_ESHAPE, "moments of width %lld cannot take rows of width %lld", (long long)m->d,
					   (long long)rows->d);
	SN_TRY(sn_rows_check(ctx, rows));
	sn_mark mark = sn_arena_mark(scratch);
	chunk c = { 0 };
	double *root, *dx, *dz;
	size_t most = (size_t)SN_MIN(CHUNK, SN_MAX(rows->n, 1));
	SN_NEW(c.x, scratch, double, sn_size3(most, (size_t)m->d, 1));
	SN_NEW(c.z, scratch, double, sn_size3(most, (size_t)m->k, 1));
	SN_NEW(c.mean_x, scratch, double, m->d);
	SN_NEW(c.mean_z, scratch, double, m->k);
	SN_NEW(root, scratch, double, most);
	SN_NEW(dx, scratch, double, m->d);
	SN_NEW(dz, scratch, double, m->k);
	for (int64_t next = 0; next < rows->n;) {
		fill(&c, rows, z, m->k, &next, root);
		if (c.n) add_chunk(m, &c, sn_ctx_threads(ctx), dx, dz);
	}
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

sn_status sn_cov_merge(sn_cov *m, sn_arena *scratch, const sn_cov *other)
{
	if (other->d != m->d || other->k != m->k || !other->sxx != !m->sxx)
		return sn_fail(sn_arena_ctx(scratch), SN_ESHAPE, "moments of widths (%lld, %lld) and (%lld, %lld) do not merge",
					   (long long)m->d, (long long)m->k, (long long)other->d, (long long)other->k);
	if (other->weight == 0) return SN_OK;
	sn_mark mark = sn_arena_mark(scratch);
	double *dx, *dz;
	SN_NEW(dx, scratch, double, m->d);
	SN_NEW(dz, scratch, double, m->k);
	if (m->sxx) cblas_daxpy((int)(m->d * m->d), 1, other->sxx, 1, m->sxx, 1);
	cblas_daxpy((int)(m->d * m->k), 1, other->sxz, 1, m->sxz, 1);
	cblas_daxpy((int)(m->k * m->k), 1, other->szz, 1, m->szz, 1);
	shift_means(m, other->weight, other->mean_x, other->mean_z, dx, dz);
	m->n += other->n;
	sn_arena_reset(scratch, mark);
	return SN_OK;
}
