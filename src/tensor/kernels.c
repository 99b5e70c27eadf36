/* Portable vector code, compiled once a processor level (SN_KERNEL_LEVEL). Loops run over blocks of constant length, so
 * that the compiler vectorises them whole and no element's value depends on where in memory its row begins. */
#include "tensor/kernels.h"

#include "base/base.h"
#include "tensor/quad.h"

#include <math.h>
#include <string.h>

/* libmvec's vector variants, without -ffast-math. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#pragma omp declare simd notinbranch
extern float expf(float);
#pragma omp declare simd notinbranch
extern float erff(float);
#pragma omp declare simd notinbranch
extern float tanhf(float);
#endif

enum { LANES = 16, PARTIAL = 32 };

/* a * b + c, fused where the processor can (a library call elsewhere would be many times slower). */
static inline float madd(float a, float b, float c)
{
#if defined(__FMA__) || defined(__aarch64__)
	return __builtin_fmaf(a, b, c);
#else
	return a * b + c;
#endif
}

static inline void exp_block(float *x)
{
#pragma omp simd
	for (int i = 0; i < LANES; i++) x[i] = expf(x[i]);
}

static inline float fold(float *s)
{
	for (int width = PARTIAL / 2; width > 0; width /= 2)
		for (int i = 0; i < width; i++) s[i] += s[i + width];
	return s[0];
}

static inline float dot_inline(const float *restrict a, const float *restrict b, int64_t n)
{
	float s[PARTIAL] = { 0 };
	int64_t i = 0;
	for (; i + PARTIAL <= n; i += PARTIAL)
#pragma omp simd
		for (int j = 0; j < PARTIAL; j++) s[j] = madd(a[i + j], b[i + j], s[j]);
	for (int j = 0; i < n; i++, j++) s[j] = madd(a[i], b[i], s[j]);
	return fold(s);
}

static float dot(const float *a, const float *b, int64_t n) { return dot_inline(a, b, n); }

static void add(float *restrict y, const float *restrict x, int64_t n)
{
	for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static float rms_scale(const float *x, int64_t n, double eps)
{
	return sqrtf((float)((double)dot_inline(x, x, n) / (double)n + eps));
}

static void divide(float *y, const float *x, float scale, int64_t n)
{
	for (int64_t i = 0; i < n; i++) y[i] = x[i] / scale;
}

static void multiply(float *y, const float *x, const float *w, int64_t n)
{
	for (int64_t i = 0; i < n; i++) y[i] = x[i] * w[i];
}

static void rotate(float *restrict x, const float *restrict cosine, const float *restrict sine, int64_t n)
{
	int64_t half = n / 2;
	for (int64_t i = 0; i < half; i++) {
		float a = x[i], b = x[i + half];
		x[i] = a * cosine[i] - b * sine[i];
		x[i + half] = b * cosine[i] + a * sine[i];
	}
}

static void rotate_pairs(float *x, const float *cosine, const float *sine, int64_t n)
{
	for (int64_t i = 0; i < n / 2; i++) {
		float a = x[2 * i], b = x[2 * i + 1];
		x[2 * i] = a * cosine[i] - b * sine[i];
		x[2 * i + 1] = b * cosine[i] + a * sine[i];
	}
}

static inline double fold_double(double *s)
{
	for (int width = LANES / 2; width > 0; width /= 2)
		for (int i = 0; i < width; i++) s[i] += s[i + width];
	return s[0];
}

/* Sum of (x - shift)^power for power 1 or 2, in double. */
static inline double moment(const float *x, int64_t n, double shift, int power)
{
	double s[LANES] = { 0 };
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++) {
			double d = (double)x[i + j] - shift;
			s[j] += power == 1 ? d : d * d;
		}
	for (int j = 0; i < n; i++, j++) {
		double d = (double)x[i] - shift;
		s[j] += power == 1 ? d : d * d;
	}
	return fold_double(s);
}

static float layer_scale(const float *x, int64_t n, double eps, float *mean)
{
	double m = moment(x, n, 0, 1) / (double)n;
	*mean = (float)m;
	return sqrtf((float)(moment(x, n, m, 2) / (double)n + eps));
}

static void standardise(float *y, const float *x, float mean, float scale, int64_t n)
{
	for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) / scale;
}

/* ---- activations: a block of constant length in place ---- */

enum { BLOCK = 64 };   /* long enough that compilers keep the loops, and make vector code of them */

static inline void exp_all(float *x)
{
#pragma omp simd
	for (int i = 0; i < BLOCK; i++) x[i] = expf(x[i]);
}

static inline void tanh_all(float *x)
{
#pragma omp simd
	for (int i = 0; i < BLOCK; i++) x[i] = tanhf(x[i]);
}

static inline void silu(float *x)
{
	float e[BLOCK];
	for (int i = 0; i < BLOCK; i++) e[i] = -x[i];
	exp_all(e);
	for (int i = 0; i < BLOCK; i++) x[i] /= 1.0f + e[i];
}

static inline void gelu(float *x)
{
	float e[BLOCK];
	for (int i = 0; i < BLOCK; i++) e[i] = x[i] * 0.70710678118654752f;
#pragma omp simd
	for (int i = 0; i < BLOCK; i++) e[i] = erff(e[i]);
	for (int i = 0; i < BLOCK; i++) x[i] *= 0.5f * (1.0f + e[i]);
}

/* (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)). */
static inline void gelu_tanh(float *x)
{
	float e[BLOCK];
	for (int i = 0; i < BLOCK; i++) e[i] = -1.59576912160573071f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
	exp_all(e);
	for (int i = 0; i < BLOCK; i++) x[i] /= 1.0f + e[i];
}

static inline void relu(float *x)
{
	for (int i = 0; i < BLOCK; i++) x[i] = x[i] > 0 ? x[i] : 0;
}

static inline void activate_all(float *x, sn_act act)
{
	switch (act) {
	case SN_ACT_SILU: silu(x); break;
	case SN_ACT_GELU: gelu(x); break;
	case SN_ACT_GELU_TANH: gelu_tanh(x); break;
	case SN_ACT_RELU: relu(x); break;
	case SN_ACT_TANH: tanh_all(x); break;
	case SN_ACT_NONE: case SN_ACTS: break;
	}
}

/* n is BLOCK, a constant where this is inlined, or what is left of a row. */
static inline __attribute__((always_inline)) void activate_some(float *y, const float *x, const float *times, int n,
                                                                sn_act act)
{
	float block[BLOCK] = { 0 };
	memcpy(block, x, (size_t)n * sizeof *block);
	activate_all(block, act);
	for (int j = 0; times && j < n; j++) block[j] *= times[j];
	memcpy(y, block, (size_t)n * sizeof *block);
}

static void activate(float *y, const float *x, const float *times, int64_t n, sn_act act)
{
	int64_t i = 0;
	for (; i + BLOCK <= n; i += BLOCK) activate_some(y + i, x + i, times ? times + i : NULL, BLOCK, act);
	if (i < n) activate_some(y + i, x + i, times ? times + i : NULL, (int)(n - i), act);
}

/* ---- their slopes, a block in place ---- */

static inline void silu_slope_block(float *x)
{
	float e[BLOCK];
	for (int i = 0; i < BLOCK; i++) e[i] = -x[i];
	exp_all(e);
	for (int i = 0; i < BLOCK; i++) {
		float s = 1.0f / (1.0f + e[i]);
		x[i] = s * (1.0f + x[i] * (1.0f - s));
	}
}

static inline void gelu_slope_block(float *x)
{
	float e[BLOCK], density[BLOCK];
	for (int i = 0; i < BLOCK; i++) e[i] = x[i] * 0.70710678118654752f;
	for (int i = 0; i < BLOCK; i++) density[i] = -0.5f * x[i] * x[i];
	exp_all(density);
#pragma omp simd
	for (int i = 0; i < BLOCK; i++) e[i] = erff(e[i]);
	for (int i = 0; i < BLOCK; i++) x[i] = 0.5f * (1.0f + e[i]) + x[i] * 0.39894228040143268f * density[i];
}

static inline void gelu_tanh_slope_block(float *x)
{
	float t[BLOCK];
	for (int i = 0; i < BLOCK; i++) t[i] = 0.79788456080286536f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
	tanh_all(t);
	for (int i = 0; i < BLOCK; i++) {
		float inner = 0.79788456080286536f * (1.0f + 0.134145f * x[i] * x[i]);
		x[i] = 0.5f * (1.0f + t[i]) + 0.5f * x[i] * (1.0f - t[i] * t[i]) * inner;
	}
}

static inline void tanh_slope_block(float *x)
{
	tanh_all(x);
	for (int i = 0; i < BLOCK; i++) x[i] = 1.0f - x[i] * x[i];
}

static inline void slope_block(float *x, sn_act act)
{
	switch (act) {
	case SN_ACT_SILU: silu_slope_block(x); break;
	case SN_ACT_GELU: gelu_slope_block(x); break;
	case SN_ACT_GELU_TANH: gelu_tanh_slope_block(x); break;
	case SN_ACT_RELU:
		for (int i = 0; i < BLOCK; i++) x[i] = x[i] > 0 ? 1.0f : 0.0f;
		break;
	case SN_ACT_TANH: tanh_slope_block(x); break;
	case SN_ACT_NONE: case SN_ACTS:
		for (int i = 0; i < BLOCK; i++) x[i] = 1.0f;
		break;
	}
}

static void activate_back(float *dx, float *dtimes, const float *x, const float *times, const float *dy, int64_t n,
                          sn_act act, bool chord)
{
	for (int64_t i = 0; i < n; i += BLOCK) {
		float in[BLOCK] = { 0 }, value[BLOCK], slope[BLOCK];
		int k = n - i < BLOCK ? (int)(n - i) : BLOCK;
		memcpy(in, x + i, (size_t)k * sizeof *in);
		memcpy(value, in, sizeof value);
		memcpy(slope, in, sizeof slope);
		activate_all(value, act);
		slope_block(slope, act);
		for (int j = 0; chord && j < k; j++) slope[j] = in[j] != 0 ? value[j] / in[j] : slope[j];
		for (int j = 0; j < k; j++) slope[j] *= times ? dy[i + j] * times[i + j] : dy[i + j];
		for (int j = 0; dtimes && j < k; j++) dtimes[i + j] = dy[i + j] * value[j];
		memcpy(dx + i, slope, (size_t)k * sizeof *dx);
	}
}

static void softcap(float *y, int64_t n, float c)
{
	for (int64_t i = 0; i < n; i += BLOCK) {
		float block[BLOCK] = { 0 };
		int k = (int)SN_MIN(n - i, (int64_t)BLOCK);
		for (int j = 0; j < k; j++) block[j] = y[i + j] / c;
		tanh_all(block);
		for (int j = 0; j < k; j++) y[i + j] = c * block[j];
	}
}

/* ---- products of a few rows with one matrix: attention's scores and mixes ---- */

#if defined(__AVX512F__)
enum { WIDEST = 32 };
#elif defined(__AVX__) || defined(__aarch64__)
enum { WIDEST = 16 };
#else
enum { WIDEST = 8 };   /* so many columns of SN_TILE_ROWS rows fit the registers */
#endif

/* Columns [at, at + wide) of one panel; rows and wide are constants wherever this is inlined. */
static inline __attribute__((always_inline)) void tile(float *const *y, const float *const *a, const int rows,
                                                       const float *restrict b, int64_t ld, int64_t k, bool add,
                                                       int64_t at, const int wide)
{
	float s[SN_TILE_ROWS][WIDEST] = { { 0 } };
	for (int r = 0; add && r < rows; r++) memcpy(s[r], y[r] + at, (size_t)wide * sizeof *s[r]);
	for (int64_t i = 0; i < k; i++)
#pragma GCC unroll 4
		for (int r = 0; r < rows; r++) {
			float x = a[r][i];
#pragma omp simd
			for (int j = 0; j < wide; j++) s[r][j] = madd(x, b[i * ld + j], s[r][j]);
		}
	for (int r = 0; r < rows; r++) memcpy(y[r] + at, s[r], (size_t)wide * sizeof *s[r]);
}

static inline __attribute__((always_inline)) void tiles(float *const *y, const float *const *a, const int rows,
                                                        const float *b, int64_t ld, int64_t panel, int64_t k,
                                                        int64_t n, bool add)
{
	int64_t j = 0;
#define PANEL_AT (b + j / SN_PANEL * panel + j % SN_PANEL)
	for (; WIDEST >= 32 && j + 32 <= n; j += 32) tile(y, a, rows, PANEL_AT, ld, k, add, j, SN_MIN(32, WIDEST));
	for (; WIDEST >= 16 && j + 16 <= n; j += 16) tile(y, a, rows, PANEL_AT, ld, k, add, j, SN_MIN(16, WIDEST));
	for (; j + 8 <= n; j += 8) tile(y, a, rows, PANEL_AT, ld, k, add, j, 8);
	for (; j < n; j++) tile(y, a, rows, PANEL_AT, ld, k, add, j, 1);
#undef PANEL_AT
}

static __attribute__((noinline)) void accumulate(float *const *y, const float *const *a, int n_row, const float *b,
                                                 int64_t ld, int64_t panel, int64_t k, int64_t n, bool add)
{
	switch (n_row) {
	case 1: tiles(y, a, 1, b, ld, panel, k, n, add); break;
	case 2: tiles(y, a, 2, b, ld, panel, k, n, add); break;
	case 3: tiles(y, a, 3, b, ld, panel, k, n, add); break;
	case 4: tiles(y, a, 4, b, ld, panel, k, n, add); break;
	default: break;
	}
}

static void turn(float *panels, int64_t first, const float *k, int64_t stride, int64_t n, int64_t d)
{
	for (int64_t j = 0, step; j < n; j += step) {
		float *out = panels + (first + j) / SN_PANEL * SN_PANEL * d + (first + j) % SN_PANEL;
		int64_t i = 0;
		step = (first + j) % 4 == 0 && j + 4 <= n ? 4 : 1;
		for (; step == 4 && i + 4 <= d; i += 4) sn_turn_quad(out + i * SN_PANEL, SN_PANEL, k + j * stride + i, stride);
		for (; i < d; i++)
			for (int64_t m = 0; m < step; m++) out[i * SN_PANEL + m] = k[(j + m) * stride + i];
	}
}

static void scores(float *y, const float *q, const float *k, int64_t stride, int64_t n, int64_t d, float scale)
{
	enum { DEPTH = 64 };
	for (int64_t j = 0; j < n; j += SN_PANEL) {
		float panel[DEPTH * SN_PANEL] = { 0 }, s[SN_PANEL], *rows[] = { s };
		int64_t some = SN_MIN(n - j, (int64_t)SN_PANEL);
		for (int64_t i = 0; i < d; i += DEPTH) {
			int64_t depth = SN_MIN(d - i, (int64_t)DEPTH);
			turn(panel, 0, k + j * stride + i, stride, some, depth);
			accumulate(rows, (const float *const[]){ q + i }, 1, panel, SN_PANEL, 0, depth, SN_PANEL, i > 0);
		}
		for (int64_t t = 0; t < some; t++) y[j + t] = scale * s[t];
	}
}

/* x <- exp(x - shift) for n numbers, added to the sums. */
static inline void exp_sum_block(float *x, float shift, int n, double *sum)
{
	float e[LANES];
	for (int i = 0; i < LANES; i++) e[i] = -INFINITY;
	memcpy(e, x, (size_t)n * sizeof *e);
	for (int i = 0; i < LANES; i++) e[i] -= shift;
	exp_block(e);
	for (int i = 0; i < LANES; i++) sum[i] += (double)e[i];
	memcpy(x, e, (size_t)n * sizeof *x);
}

static inline float maximum_of(const float *x, int64_t n)
{
	float m[LANES];
	int64_t i = 0;
	for (int j = 0; j < LANES; j++) m[j] = -INFINITY;
	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++) m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
	for (int j = 0; i < n; i++, j++) m[j] = x[i] > m[j] ? x[i] : m[j];
	for (int width = LANES / 2; width > 0; width /= 2)
		for (int j = 0; j < width; j++) m[j] = m[j + width] > m[j] ? m[j + width] : m[j];
	return m[0];
}

static void softmax(float *x, int64_t n)
{
	float m = maximum_of(x, n);
	if (m == -INFINITY) {
		memset(x, 0, (size_t)n * sizeof *x);
		return;
	}
	double sum[LANES] = { 0 };
	for (int64_t i = 0; i < n; i += LANES) exp_sum_block(x + i, m, (int)SN_MIN(n - i, (int64_t)LANES), sum);
	float total = (float)fold_double(sum);
	for (int64_t i = 0; i < n; i++) x[i] /= total;
}

static void logsumexp(const float *x, int64_t n, float *maximum, double *sum)
{
	float m = maximum_of(x, n);
	if (m > *maximum) {
		*sum *= exp((double)*maximum - m);
		*maximum = m;
	}
	double partial[LANES] = { 0 };
	for (int64_t i = 0; i < n; i += LANES) {
		float block[LANES];
		int k = (int)SN_MIN(n - i, (int64_t)LANES);
		memcpy(block, x + i, (size_t)k * sizeof *block);
		exp_sum_block(block, *maximum, k, partial);
	}
	*sum += fold_double(partial);
}

/* LANES logits, those beyond n at -inf. */
static inline void spread_block(const float *x, int n, float max, double *all, double *moment)
{
	float below[LANES], e[LANES];
	for (int i = 0; i < LANES; i++) below[i] = -INFINITY;
	memcpy(below, x, (size_t)n * sizeof *x);
	for (int i = 0; i < LANES; i++) e[i] = below[i] -= max;
	exp_block(e);
	for (int i = 0; i < LANES; i++) {
		float term = e[i] > 0 ? e[i] * below[i] : 0;
		all[i] += (double)e[i];
		moment[i] += (double)term;
	}
}

static void spread(const float *x, int64_t n, sn_spread *s)
{
	float max = maximum_of(x, n);
	if (max == -INFINITY) return;
	if (max > s->max) {
		double delta = (double)max - s->max, factor = exp(-delta);   /* the first time: 0, of empty sums */
		s->moment = s->all > 0 ? factor * (s->moment - delta * s->all) : 0;
		s->all *= factor;
		s->max = max;
	}
	double all[LANES] = { 0 }, moment[LANES] = { 0 };
	for (int64_t i = 0; i < n; i += LANES)
		spread_block(x + i, (int)SN_MIN(n - i, (int64_t)LANES), s->max, all, moment);
	s->all += fold_double(all);
	s->moment += fold_double(moment);
}

static void exp_less(float *y, const float *x, float shift, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES) {
		float e[LANES] = { 0 };
		size_t size = (size_t)SN_MIN(n - i, (int64_t)LANES) * sizeof *y;
		memcpy(e, x + i, size);
		for (int j = 0; j < LANES; j++) e[j] -= shift;
		exp_block(e);
		memcpy(y + i, e, size);
	}
}

static double weighted_gap(const float *p, const float *a, const float *b, int64_t n)
{
	double sum[LANES] = { 0 };
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++) {
			float term = p[i + j] * (a[i + j] - b[i + j]);
			sum[j] += p[i + j] > 0 ? (double)term : 0;
		}
	for (int j = 0; i < n; i++, j++) sum[j] += p[i] > 0 ? (double)(p[i] * (a[i] - b[i])) : 0;
	return fold_double(sum);
}

static int64_t count_above(const float *x, int64_t n, float threshold)
{
	int64_t sum = 0;
	while (n > 0) {
		int32_t some = 0;
		int64_t m = SN_MIN(n, (int64_t)1 << 20);
		for (int64_t i = 0; i < m; i++) some += x[i] > threshold;
		sum += some;
		x += m;
		n -= m;
	}
	return sum;
}

static int64_t next_above(const float *x, int64_t from, int64_t n, float threshold)
{
	for (; from + PARTIAL <= n; from += PARTIAL) {
		int32_t any = 0;
		for (int i = 0; i < PARTIAL; i++) any |= x[from + i] > threshold;
		if (any) break;
	}
	while (from < n && !(x[from] > threshold)) from++;
	return from;
}

/* LANES columns of [k, LANES values]: the rest of the line beyond n is not touched. */
static inline void softmax_columns_block(float *x, int64_t ld, int64_t k, int n, float *log_sum)
{
	float top[LANES], sum[LANES] = { 0 }, e[LANES] = { 0 };
	for (int i = 0; i < LANES; i++) top[i] = -INFINITY;
	for (int64_t r = 0; r < k; r++)
		for (int i = 0; i < n; i++) top[i] = x[r * ld + i] > top[i] ? x[r * ld + i] : top[i];
	for (int64_t r = 0; r < k; r++) {
		for (int i = 0; i < n; i++) e[i] = x[r * ld + i] - top[i];
		exp_block(e);
		for (int i = 0; i < n; i++) {
			x[r * ld + i] = e[i];
			sum[i] += e[i];
		}
	}
	for (int64_t r = 0; r < k; r++)
		for (int i = 0; i < n; i++) x[r * ld + i] /= sum[i];
	for (int i = 0; i < n; i++) log_sum[i] = top[i] + logf(sum[i]);
}

static void softmax_columns(float *x, int64_t ld, int64_t k, int64_t n, float *log_sum)
{
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES) softmax_columns_block(x + i, ld, k, LANES, log_sum + i);
	if (i < n) softmax_columns_block(x + i, ld, k, (int)(n - i), log_sum + i);
}

static inline void softmax_curve_block(float *u, int64_t ld, const float *p, int64_t ld_p, int64_t k, int n)
{
	float mean[LANES] = { 0 };
	for (int64_t r = 0; r < k; r++)
		for (int i = 0; i < n; i++) mean[i] += p[r * ld_p + i] * u[r * ld + i];
	for (int64_t r = 0; r < k; r++)
		for (int i = 0; i < n; i++) u[r * ld + i] = p[r * ld_p + i] * (u[r * ld + i] - mean[i]);
}

static void softmax_curve(float *u, int64_t ld, const float *p, int64_t ld_p, int64_t k, int64_t n)
{
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES) softmax_curve_block(u + i, ld, p + i, ld_p, k, LANES);
	if (i < n) softmax_curve_block(u + i, ld, p + i, ld_p, k, (int)(n - i));
}

#define JOIN(a, b) a##b
#define NAME(level) JOIN(sn_kernels_, level)
#define TEXT(level) #level
#define QUOTE(level) TEXT(level)

extern const sn_kernels NAME(SN_KERNEL_LEVEL);
const sn_kernels NAME(SN_KERNEL_LEVEL) = {
	.level = QUOTE(SN_KERNEL_LEVEL),
	.dot = dot,
	.add = add,
	.rms_scale = rms_scale,
	.divide = divide,
	.multiply = multiply,
	.rotate = rotate, .rotate_pairs = rotate_pairs, .layer_scale = layer_scale, .standardise = standardise,
	.softcap = softcap, .activate = activate, .activate_back = activate_back,
	.accumulate = accumulate, .turn = turn, .scores = scores,
	.softmax = softmax,
	.logsumexp = logsumexp, .spread = spread, .exp_less = exp_less, .weighted_gap = weighted_gap,
	.count_above = count_above, .next_above = next_above, .softmax_columns = softmax_columns,
	.softmax_curve = softmax_curve,
};
