/* Probes of all sites: task and control labels at five strengths, warm-started along the path; the work of
 * bench/peers/probe.py on the same arrays, timed from raw activations to coefficients. A site a thread.
 * usage: bench_probe ARRAYS.safetensors OUT.safetensors SLOPE [PEER.safetensors]
 *   ARRAYS (peers/probe.py prepare): x.0, x.1, … float32 [n, d], y and control int32 [n]
 *   OUT: coef.SITE.STRENGTH, the task's coefficients on standardised columns and intercepts [classes, d + 1]
 *   SLOPE: a fit stops where no derivative of the mean loss is larger, as scikit-learn's tol
 *   PEER: the same from another solver. Prints one JSON line; of the differences |ours - theirs| / |theirs| the largest
 *   and the median, of the derivatives, taken anew in double, the largest. */
#include "base/base.h"
#include "io/safetensors.h"
#include "stats/linalg.h"
#include "stats/multinomial.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { TASK, CONTROL, LABELS };
static const double strength[] = { 1e-3, 1e-2, 1e-1, 1, 10 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct bench {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_tensor_file *file;
	int32_t *y[LABELS];
	int n_class, n_site, n_unconverged;
	int64_t n, d, passes;
	double slope, *coef; /* [n_site, strengths, classes, d + 1] */
	double worst_slope;
} bench;

/* One site, on one thread. */
typedef struct site {
	bench *b;
	sn_ctx *ctx; /* of one thread */
	sn_arena *arena;
	int number, at[LABELS]; /* strength of each label's fit */
	float *x;               /* standardised rows, then panels */
	sn_design design;
	sn_multinomial m[LABELS];
	int64_t passes;
	int n_unconverged;
	double largest; /* derivative */
} site;

static const sn_stored *tensor(const bench *b, const char *name, int number)
{
	char full[32];
	sn_format(full, sizeof full, name, number);
	return sn_tensor_file_find(b->file, full);
}

static sn_status read_labels(bench *b)
{
	static const char *const name[] = { "y", "control" };
	for (int k = 0; k < LABELS; k++) {
		const sn_stored *t = tensor(b, name[k], 0);
		if (!t || t->type->dtype != SN_I32 || t->dim[0] != b->n)
			return sn_fail(b->ctx, SN_EPARSE, "no int32 %s [n]", name[k]);
		SN_NEW(b->y[k], b->arena, int32_t, b->n);
		memcpy(b->y[k], t->data, t->size);
		for (int64_t i = 0; i < b->n; i++) b->n_class = SN_MAX(b->n_class, b->y[k][i] + 1);
	}
	return SN_OK;
}

static double *coefficients(const bench *b, int number, int of)
{
	return b->coef + (number * SN_COUNT(strength) + of) * b->n_class * (b->d + 1);
}

/* Coefficients on standardised columns: those of the basis turned back. */
static void turn_back(const site *s, double *out)
{
	int64_t d = s->b->d;
	const sn_multinomial *m = &s->m[TASK];
	for (int v = 0; v < m->n_vec; v++) {
		const double *theta = m->theta + v * (d + 1);
		for (int64_t j = 0; j < d; j++) {
			double sum = 0;
			for (int64_t k = 0; k < d; k++) sum += s->design.basis.turn[j * d + k] * theta[k];
			out[v * (d + 1) + j] = sum;
		}
		out[v * (d + 1) + d] = theta[d];
	}
}

static bool next_strength(void *owner, int k)
{
	site *s = owner;
	sn_multinomial *m = &s->m[k];
	s->passes += m->solver.passes;
	s->n_unconverged += !m->solver.converged;
	if (k == TASK) turn_back(s, coefficients(s->b, s->number, s->at[k]));
	if (++s->at[k] == SN_COUNT(strength)) return false;
	m->c = strength[s->at[k]];
	return true;
}

static sn_status read_rows(site *s)
{
	const bench *b = s->b;
	sn_standard scale;
	SN_NEW(s->x, s->arena, float, b->n * b->d);
	memcpy(s->x, tensor(b, "x.%d", s->number)->data, (size_t)(b->n * b->d) * sizeof *s->x);
	sn_rows rows = { .x = s->x, .n = b->n, .d = b->d };
	SN_TRY(sn_standard_fit(&scale, s->arena, &rows));
	sn_standard_apply(&scale, s->x, b->n, b->d, s->x);
	return SN_OK;
}

static sn_status fit_site(site *s)
{
	bench *b = s->b;
	sn_multinomial *both[LABELS] = { &s->m[TASK], &s->m[CONTROL] };
	SN_TRY(read_rows(s));
	SN_TRY(sn_design_make(&s->design, s->arena, s->x, b->n, b->d));
	for (int k = 0; k < LABELS; k++) {
		SN_TRY(sn_multinomial_make(&s->m[k], s->arena, b->n_class, b->d, b->n));
		s->m[k].y = b->y[k];
		s->m[k].c = strength[0];
	}
	sn_multinomial_stop stop = { .slope = b->slope };
	return sn_multinomial_solve(both, LABELS, s->arena, &s->design, stop, next_strength, s);
}

static sn_status with_site(bench *b, int number, sn_status (*do_it)(site *))
{
	sn_options options = { .size = sizeof options, .threads = 1 };
	site s = { .b = b, .number = number };
	sn_status status = sn_ctx_open(&s.ctx, &options);
	if (status == SN_OK) status = sn_arena_open(&s.arena, s.ctx);
	if (status == SN_OK) status = do_it(&s);
#pragma omp critical
	{
		if (status != SN_OK) fprintf(stderr, "bench_probe: site %d: %s\n", number, sn_error(s.ctx));
		b->passes += s.passes;
		b->n_unconverged += s.n_unconverged;
		b->worst_slope = fmax(b->worst_slope, s.largest);
	}
	sn_arena_close(s.arena);
	sn_ctx_close(s.ctx);
	return status;
}

static sn_status all_sites(bench *b, sn_status (*do_it)(site *))
{
	sn_status worst = SN_OK;
#pragma omp parallel for num_threads(sn_ctx_threads(b->ctx)) schedule(dynamic)
	for (int s = 0; s < b->n_site; s++) {
		sn_blas_serial();
		sn_status status = with_site(b, s, do_it);
#pragma omp critical
		if (status != SN_OK) worst = status;
	}
	return worst;
}

/* ---- what came out ---- */

/* Score of each class becomes the derivative of the row's loss by it. */
static void derive(double *score, int n_class, int y)
{
	double top = -INFINITY, sum = 0;
	for (int v = 0; v < n_class; v++) top = fmax(top, score[v]);
	for (int v = 0; v < n_class; v++) sum += score[v] = exp(score[v] - top);
	for (int v = 0; v < n_class; v++) score[v] = score[v] / sum - (v == y);
}

/* The largest derivative of the mean objective at the task's coefficients, everything in double. */
static sn_status measure_slopes(site *s)
{
	const bench *b = s->b;
	int64_t d1 = b->d + 1, n_class = b->n_class;
	double *wide, *score, *gradient;
	SN_TRY(read_rows(s));
	SN_NEW(wide, s->arena, double, b->n * d1);
	SN_NEW(score, s->arena, double, b->n * n_class);
	SN_NEW(gradient, s->arena, double, n_class * d1);
	for (int64_t i = 0; i < b->n; i++) {
		for (int64_t j = 0; j < b->d; j++) wide[i * d1 + j] = s->x[i * b->d + j];
		wide[i * d1 + b->d] = 1;
	}
	for (int k = 0; k < SN_COUNT(strength); k++) {
		const double *coef = coefficients(b, s->number, k);
		sn_gemm_f64(1, false, true, b->n, n_class, d1, 1, wide, d1, coef, d1, 0, score, n_class);
		for (int64_t i = 0; i < b->n; i++) derive(score + i * n_class, b->n_class, b->y[TASK][i]);
		sn_gemm_f64(1, true, false, n_class, d1, b->n, 1, score, n_class, wide, d1, 0, gradient, d1);
		for (int64_t j = 0; j < n_class * d1; j++) {
			double ridge = (j + 1) % d1 ? coef[j] / strength[k] : 0;
			s->largest = fmax(s->largest, fabs(gradient[j] + ridge) / (double)b->n);
		}
	}
	return SN_OK;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Relative differences of all fits from another solver's, ascending [n]. */
static sn_status compare(double *out, const bench *b, const char *path)
{
	sn_tensor_file *file;
	int64_t size = b->n_class * (b->d + 1);
	SN_TRY(sn_tensor_file_open(&file, b->ctx, path));
	for (int f = 0; f < b->n_site * SN_COUNT(strength); f++) {
		char name[48];
		sn_format(name, sizeof name, "coef.%d.%g", f / SN_COUNT(strength), strength[f % SN_COUNT(strength)]);
		const sn_stored *t = sn_tensor_file_find(file, name);
		if (!t || t->type->dtype != SN_F64 || t->size != (size_t)size * sizeof(double))
			return sn_fail(b->ctx, SN_EPARSE, "%s: no %s, float64 [%d, %lld]", path, name, b->n_class,
						   (long long)b->d + 1);
		const double *ours = b->coef + f * size, *theirs = (const double *)t->data;
		double apart = 0, all = 0;
		for (int64_t j = 0; j < size; j++) {
			apart += (ours[j] - theirs[j]) * (ours[j] - theirs[j]);
			all += theirs[j] * theirs[j];
		}
		out[f] = sqrt(apart / all);
	}
	sn_tensor_file_close(file);
	qsort(out, (size_t)(b->n_site * SN_COUNT(strength)), sizeof *out, ascending);
	return SN_OK;
}

static sn_status write_coefficients(const bench *b, const char *path)
{
	sn_safetensors_writer *writer;
	int id[1024];
	int64_t dim[2] = { b->n_class, b->d + 1 }, fits = b->n_site * SN_COUNT(strength);
	SN_TRY(sn_safetensors_create(&writer, b->ctx, path));
	for (int64_t f = 0; f < fits; f++) {
		char name[48];
		sn_format(name, sizeof name, "coef.%d.%g", (int)(f / SN_COUNT(strength)), strength[f % SN_COUNT(strength)]);
		SN_TRY(sn_safetensors_declare(writer, name, SN_F64, 2, dim, &id[f]));
	}
	for (int64_t f = 0; f < fits; f++)
		SN_TRY(sn_safetensors_append(writer, id[f], b->coef + f * b->n_class * (b->d + 1), b->n_class));
	sn_status status = sn_safetensors_commit(writer);
	sn_safetensors_writer_close(writer);
	return status;
}

static sn_status run(bench *b, char **argv, const char *peer)
{
	sn_tensor_file *file;
	SN_TRY(sn_tensor_file_open(&file, b->ctx, argv[1]));
	b->file = file;
	const sn_stored *x = tensor(b, "x.%d", 0);
	if (!x || x->ndim != 2) return sn_fail(b->ctx, SN_EPARSE, "%s: no x.0", argv[1]);
	b->n = x->dim[0];
	b->d = x->dim[1];
	while (b->n_site < 200 && tensor(b, "x.%d", b->n_site)) b->n_site++;
	SN_TRY(read_labels(b));
	SN_NEW(b->coef, b->arena, double, (int64_t)b->n_site *SN_COUNT(strength) * b->n_class * (b->d + 1));
	double start = now(), cpu = cpu_seconds();
	SN_TRY(all_sites(b, fit_site));
	double seconds = now() - start;
	cpu = cpu_seconds() - cpu;
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	SN_TRY(all_sites(b, measure_slopes));
	int fits = b->n_site * SN_COUNT(strength) * LABELS;
	printf("{\"what\": \"sonde probes\", \"fits\": %d, \"rows\": %lld, \"s\": %.3f, \"cpu_s\": %.3f, \"ms_fit\": %.2f, "
		   "\"passes_fit\": %.1f, \"unconverged\": %d, \"largest_slope\": %.2e, \"rss_gb\": %.3f",
		   fits, (long long)b->n, seconds, cpu, 1e3 * seconds / fits, (double)b->passes / fits, b->n_unconverged,
		   b->worst_slope, (double)usage.ru_maxrss / 1e6);
	if (peer) {
		double *apart;
		SN_NEW(apart, b->arena, double, fits / LABELS);
		SN_TRY(compare(apart, b, peer));
		printf(", \"median_difference\": %.2e, \"max_difference\": %.2e", apart[fits / LABELS / 2],
			   apart[fits / LABELS - 1]);
	}
	printf("}\n");
	SN_TRY(write_coefficients(b, argv[2]));
	sn_tensor_file_close(file);
	return SN_OK;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 2 };
	bench b = { 0 };
	if ((argc != 4 && argc != 5) || sn_ctx_open(&b.ctx, &options) != SN_OK || sn_arena_open(&b.arena, b.ctx) != SN_OK ||
		!sn_parse_f64(argv[3], &b.slope)) {
		fprintf(stderr, "usage: bench_probe ARRAYS.safetensors OUT.safetensors SLOPE [PEER.safetensors]\n");
		return 2;
	}
	sn_status status = run(&b, argv, argv[4]);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(b.ctx));
	sn_arena_close(b.arena);
	sn_ctx_close(b.ctx);
	return sn_status_exit_code(status);
}
