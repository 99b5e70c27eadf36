/* The basis in which second moments are diagonal. */
#include "stats/multinomial.h"

#include <lapacke.h>
#include <string.h>

#include "stats/linalg.h"
#include "tensor/sgemm.h"

enum { ROWS = 512, ROWS_OF_MOMENTS = 32768 };

/* Adds n rows to the lower triangle of second moments. */
static void add_moments(float *out, int threads, const float *x, int64_t n, int64_t d, float keep)
{
	int64_t parts = (d + 127) / 128;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
	for (int64_t p = 0; p < parts; p++) {
		sn_blas_serial();
		int64_t first = 128 * p, rows = SN_MIN(128, d - first);
		sn_sgemm(true, false, rows, first + rows, n, x + first, d, x, d, keep, out + first * d, d);
	}
}

static size_t row_bytes(int64_t n, int64_t d) { return (size_t)(n * d) * sizeof(float); }

/* Lower triangle of the rows' second moments, float32: the basis alone depends on it, and any will do. */
static void second_moments(float *out, const sn_arena *arena, const float *x, int64_t n, int64_t d)
{
	for (int64_t first = 0; first < n; first += ROWS_OF_MOMENTS) {
		int64_t rows = SN_MIN(ROWS_OF_MOMENTS, n - first);
		add_moments(out, sn_ctx_threads(sn_arena_ctx(arena)), x + first * d, rows, d, first ? 1 : 0);
		sn_arena_done(arena, x + first * d, row_bytes(rows, d));
	}
}

sn_status sn_basis_find(sn_basis *out, sn_arena *arena, const float *x, int64_t n, int64_t d)
{
	sn_ctx *ctx = sn_arena_ctx(arena);
	float *moments, *value;
	*out = (sn_basis){ .d = d };
	SN_NEW(out->turn, arena, float, sn_size3((size_t)d, (size_t)d, 1));
	sn_mark mark = sn_arena_mark(arena);
	SN_NEW(moments, arena, float, sn_size3((size_t)d, (size_t)d, 1));
	SN_NEW(value, arena, float, d);
	second_moments(moments, arena, x, n, d);
	int before = sn_blas_serial();
	lapack_int info = LAPACKE_ssyevd(LAPACK_COL_MAJOR, 'V', 'U', (int)d, moments, (int)d, value);
	sn_blas_restore(before);
	if (info == LAPACK_WORK_MEMORY_ERROR)
		return sn_fail(ctx, SN_ENOMEM, "out of memory for a basis of %lld columns", (long long)d);
	if (info) return sn_fail(ctx, SN_ENUMERIC, "the second moments of %lld columns have no eigenvectors", (long long)d);
	for (int64_t j = 0; j < d; j++) /* rows of moments are eigenvectors, smallest first */
		for (int64_t k = 0; k < d; k++) out->turn[j * d + k] = moments[(d - 1 - k) * d + j];
	sn_arena_reset(arena, mark);
	return SN_OK;
}

void sn_basis_turn(const sn_basis *basis, const sn_arena *arena, const float *x, int64_t n, float *out)
{
	int threads = sn_ctx_threads(sn_arena_ctx(arena));
	int64_t d = basis->d, parts = (n + ROWS - 1) / ROWS;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
	for (int64_t p = 0; p < parts; p++) {
		sn_blas_serial();
		int64_t first = p * ROWS, rows = SN_MIN(ROWS, n - first);
		sn_sgemm(false, false, rows, d, d, x + first * d, d, basis->turn, d, 0, out + first * d, d);
		sn_arena_done(arena, x + first * d, row_bytes(rows, d));
		sn_arena_done(arena, out + first * d, row_bytes(rows, d));
	}
}

static void mean_squares(const sn_rows *rows, double *out)
{
	int64_t n = rows->n, d = rows->d;
	const float *x = rows->x;
	for (int64_t i = 0; i < n; i++) {
		for (int64_t j = 0; j < d; j++) out[j] += (double)x[i * d + j] * x[i * d + j];
		sn_rows_passed(rows, i);
	}
	for (int64_t j = 0; j < d && n > 0; j++) out[j] /= (double)n;
}

/* Rows [m, d] as a panel [d, m], in blocks that both sides of fit the cache. */
static void make_panel(const float *x, int64_t m, int64_t d, float *out)
{
	enum { BLOCK = 16 };
	for (int64_t i0 = 0; i0 < m; i0 += BLOCK)
		for (int64_t j0 = 0; j0 < d; j0 += BLOCK)
			for (int64_t j = j0; j < SN_MIN(d, j0 + BLOCK); j++)
				for (int64_t i = i0; i < SN_MIN(m, i0 + BLOCK); i++) out[j * m + i] = x[i * d + j];
}

/* Mean squares and panels of a design that has its rows. */
static sn_status finish(sn_design *out, sn_arena *arena, float *panel)
{
	int64_t n = out->n, d = out->d;
	SN_NEW(out->mean_square, arena, double, d);
	mean_squares(&(sn_rows){ .x = out->x, .n = n, .d = d, .home = arena }, out->mean_square);
#pragma omp parallel for num_threads(sn_ctx_threads(sn_arena_ctx(arena))) schedule(static)
	for (int64_t first = 0; first < n; first += SN_PANEL_ROWS) {
		int64_t rows = SN_MIN(SN_PANEL_ROWS, n - first);
		make_panel(out->x + first * d, rows, d, panel + first * d);
		sn_arena_done(arena, out->x + first * d, row_bytes(rows, d));
		sn_arena_done(arena, panel + first * d, row_bytes(rows, d));
	}
	out->panel = panel;
	return SN_OK;
}

sn_status sn_design_plain(sn_design *out, sn_arena *arena, const float *x, int64_t n, int64_t d)
{
	float *panel;
	*out = (sn_design){ .home = arena, .basis = { .d = d }, .x = x, .n = n, .n_built = n, .d = d };
	SN_NEW(panel, arena, float, sn_size3((size_t)n, (size_t)d, 1));
	return finish(out, arena, panel);
}

sn_status sn_design_turn(sn_design *out, sn_arena *arena, const sn_basis *basis, float *x, int64_t n)
{
	float *turned;
	*out = (sn_design){ .home = arena, .basis = *basis, .n = n, .n_built = n, .d = basis->d };
	SN_NEW(turned, arena, float, sn_size3((size_t)n, (size_t)basis->d, 1));
	sn_basis_turn(basis, arena, x, n, turned);
	out->x = turned;
	return finish(out, arena, x);
}

sn_status sn_design_make(sn_design *out, sn_arena *arena, float *x, int64_t n, int64_t d)
{
	sn_basis basis;
	SN_TRY(sn_basis_find(&basis, arena, x, n, d));
	return sn_design_turn(out, arena, &basis, x, n);
}
