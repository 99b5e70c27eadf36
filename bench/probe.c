/* Probes of all sites: task and control labels at five strengths, warm-started along the path; the work of
 * bench/peers/probe.py on the same arrays, timed from raw activations to coefficients.
 * usage: bench_probe ARRAYS.safetensors OUT.safetensors TOL
 *   ARRAYS (peers/probe.py prepare): x.0, x.1, … float32 [n, d], y and control int32 [n]
 *   OUT: coef.SITE.STRENGTH, the task's coefficients on standardised columns and intercepts [classes, d + 1]
 *   TOL: about how far above the optimum a fit may stop, nats a row. Prints one JSON line. */
#include "base/base.h"
#include "io/safetensors.h"
#include "stats/multinomial.h"

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

typedef struct bench {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_tensor_file *file;
	int32_t *y[LABELS];
	int n_class, n_site, n_unconverged;
	int64_t n, d, passes;
	double tol, *coef; /* [n_site, strengths, classes, d] */
} bench;

static const sn_stored *tensor(const bench *b, const char *name, int site)
{
	char full[32];
	sn_format(full, sizeof full, name, site);
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

/* Coefficients on standardised columns: those of the basis turned back. */
static void turn_back(const bench *b, const sn_basis *basis, const sn_multinomial *m, double *out)
{
	for (int v = 0; v < m->n_vec; v++)
		for (int64_t j = 0; j < b->d; j++) {
			double sum = 0;
			for (int64_t k = 0; k < b->d; k++) sum += basis->turn[j * b->d + k] * m->theta[v * (b->d + 1) + k];
			out[v * (b->d + 1) + j] = sum;
			out[v * (b->d + 1) + b->d] = m->theta[v * (b->d + 1) + b->d];
		}
}

static sn_status fit_site(bench *b, int site, double *outside)
{
	float *x, *turned;
	double *square;
	sn_standard scale;
	sn_basis basis;
	sn_multinomial m[LABELS], *both[LABELS] = { &m[TASK], &m[CONTROL] };
	SN_NEW(x, b->arena, float, b->n * b->d);
	SN_NEW(turned, b->arena, float, b->n * b->d);
	SN_NEW(square, b->arena, double, b->d);
	memcpy(x, tensor(b, "x.%d", site)->data, (size_t)(b->n * b->d) * sizeof *x);
	sn_rows rows = { .x = x, .n = b->n, .d = b->d };
	SN_TRY(sn_standard_fit(&scale, b->arena, &rows));
	sn_standard_apply(&scale, x, b->n, b->d, x);
	SN_TRY(sn_basis_find(&basis, b->arena, x, b->n, b->d));
	sn_basis_turn(&basis, sn_ctx_threads(b->ctx), x, b->n, turned);
	sn_mean_squares(turned, b->n, b->d, square);
	sn_design design = { turned, b->n, b->d, square };
	for (int k = 0; k < LABELS; k++) {
		SN_TRY(sn_multinomial_make(&m[k], b->arena, b->n_class, b->d, b->n));
		m[k].y = b->y[k];
	}
	for (int s = 0; s < SN_COUNT(strength); s++) {
		for (int k = 0; k < LABELS; k++) m[k].c = strength[s];
		SN_TRY(sn_multinomial_solve(both, LABELS, b->arena, &design, b->tol));
		for (int k = 0; k < LABELS; k++) {
			b->passes += m[k].solver.passes;
			b->n_unconverged += !m[k].solver.converged;
		}
		double start = now();
		turn_back(b, &basis, &m[TASK], b->coef + (site * SN_COUNT(strength) + s) * m[TASK].n_vec * (b->d + 1));
		*outside += now() - start;
	}
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

static sn_status run(bench *b, char **argv)
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
	double start = now(), outside = 0;
	for (int s = 0; s < b->n_site; s++) {
		sn_mark mark = sn_arena_mark(b->arena);
		SN_TRY(fit_site(b, s, &outside));
		sn_arena_reset(b->arena, mark);
	}
	double seconds = now() - start - outside;
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	int fits = b->n_site * SN_COUNT(strength) * LABELS;
	printf("{\"what\": \"sonde probes\", \"fits\": %d, \"rows\": %lld, \"s\": %.3f, \"ms_fit\": %.2f, \"passes_fit\": "
		   "%.1f, "
		   "\"unconverged\": %d, \"rss_gb\": %.3f}\n",
		   fits, (long long)b->n, seconds, 1e3 * seconds / fits, (double)b->passes / fits, b->n_unconverged,
		   (double)usage.ru_maxrss / 1e6);
	SN_TRY(write_coefficients(b, argv[2]));
	sn_tensor_file_close(file);
	return SN_OK;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 2 };
	bench b = { 0 };
	if (argc != 4 || sn_ctx_open(&b.ctx, &options) != SN_OK || sn_arena_open(&b.arena, b.ctx) != SN_OK ||
		!sn_parse_f64(argv[3], &b.tol)) {
		fprintf(stderr, "usage: bench_probe ARRAYS.safetensors OUT.safetensors TOL\n");
		return 2;
	}
	sn_status status = run(&b, argv);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(b.ctx));
	sn_arena_close(b.arena);
	sn_ctx_close(b.ctx);
	return sn_status_exit_code(status);
}
