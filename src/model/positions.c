/* What positions contribute: rotary angles and their scalings, ALiBi's slopes, distances of T5 and DeBERTa. */
#include "model/positions.h"

#include <math.h>

static const double TURN = 6.283185307179586477;   /* 2 pi */

/* ---- rotary angles (transformers' modeling_rope_utils, in double) ---- */

/* The dimension whose pair turns n times over the original length (Peng et al. 2023). */
static double yarn_dimension(const sn_rope *r, int n_rot, double turns)
{
	return n_rot * log((double)r->original_ctx / (turns * TURN)) / (2 * log(r->base));
}

static double yarn_theta(const sn_rope *r, int n_rot, int i, double theta)
{
	double low = yarn_dimension(r, n_rot, r->beta_fast > 0 ? r->beta_fast : 32);
	double high = yarn_dimension(r, n_rot, r->beta_slow > 0 ? r->beta_slow : 1);
	if (!r->no_truncation) {
		low = floor(low);
		high = ceil(high);
	}
	low = SN_MAX(low, 0);
	high = SN_MIN(high, n_rot - 1);
	if (low == high) high += 0.001;
	double ramp = SN_MIN(SN_MAX((i - low) / (high - low), 0), 1);
	return theta / r->factor * ramp + theta * (1 - ramp);
}

/* Llama 3.1: long waves are stretched, short ones kept, those between blended. */
static double llama3_theta(const sn_rope *r, double theta)
{
	double wave = TURN / theta, length = (double)r->original_ctx;
	if (wave < length / r->high_freq_factor) return theta;
	if (wave > length / r->low_freq_factor) return theta / r->factor;
	double smooth = (length / wave - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
	return (1 - smooth) * theta / r->factor + smooth * theta;
}

/* Dynamic NTK: the base grows with the row (bloc97 2023). */
static double dynamic_base(const sn_rope *r, int n_rot, int64_t length)
{
	if (r->kind != SN_ROPE_DYNAMIC || length <= r->original_ctx) return r->base;
	double ratio = r->factor * (double)length / (double)r->original_ctx - (r->factor - 1);
	return r->base * pow(ratio, (double)n_rot / (n_rot - 2));
}

static double theta_of(const sn_rope *r, int n_rot, int i, int64_t length)
{
	double theta = pow(dynamic_base(r, n_rot, length), -2.0 * i / n_rot);
	const float *divisor = r->divisor[r->kind == SN_ROPE_LONG && length > r->original_ctx];
	if (divisor) theta /= divisor[i];
	switch (r->kind) {
	case SN_ROPE_LINEAR: return theta / r->factor;
	case SN_ROPE_LLAMA3: return llama3_theta(r, theta);
	case SN_ROPE_YARN: return yarn_theta(r, n_rot, i, theta);
	case SN_ROPE_DEFAULT: case SN_ROPE_DYNAMIC: case SN_ROPE_LONG: break;
	}
	return theta;
}

void sn_rope_angles(const sn_shape *s, int set, int64_t length, int64_t pos, float *cosine, float *sine)
{
	const sn_rope *r = &s->rope[set];
	double factor = r->attention_factor > 0 ? r->attention_factor : 1;
	for (int i = 0; i < s->n_rot / 2; i++) {
		double angle = (double)pos * theta_of(r, s->n_rot, i, length);
		cosine[i] = (float)(factor * cos(angle));
		sine[i] = (float)(factor * sin(angle));
	}
}

bool sn_rope_depends_on_length(const sn_shape *s, int64_t length)
{
	for (int i = 0; i < s->n_rope; i++)
		if ((s->rope[i].kind == SN_ROPE_DYNAMIC || s->rope[i].kind == SN_ROPE_LONG) && length > s->rope[i].original_ctx)
			return true;
	return false;
}

static sn_status make_angles(sn_ctx *ctx, const sn_shape *s, sn_positions *t)
{
	int64_t half = s->n_rot / 2, n = t->n;
	for (int set = 0; set < s->n_rope; set++) {
		float *table = sn_alloc_raw(ctx, sn_size3((size_t)n, (size_t)(2 * half), sizeof *table));
		if (!table) return SN_ENOMEM;
		t->cosine[set] = table;
		t->sine[set] = table + n * half;
#pragma omp parallel for num_threads(sn_ctx_threads(ctx)) schedule(static)
		for (int64_t p = 0; p < n; p++)
			sn_rope_angles(s, set, 1, p, t->cosine[set] + p * half, t->sine[set] + p * half);
	}
	return SN_OK;
}

/* ---- ALiBi (Press et al. 2022) ---- */

static double slope_of(int head, int n_head)
{
	int power = 1;
	while (2 * power <= n_head) power *= 2;
	double exponent = head < power ? (head + 1) * 8.0 / power : (2 * (head - power) + 1) * 4.0 / power;
	return pow(2, -exponent);
}

float sn_round_bf16(float x)
{
	union { float f; uint32_t u; } v = { x };
	v.u = (v.u + 0x7fff + (v.u >> 16 & 1)) & 0xffff0000u;
	return v.f;
}

static sn_status make_slopes(sn_model *m)
{
	const sn_shape *s = &m->shape;
	if (m->slope || s->form.position != SN_POSITION_ALIBI) return SN_OK;
	SN_NEW(m->slope, m->arena, float, s->n_head);
	for (int h = 0; h < s->n_head; h++) {
		m->slope[h] = (float)slope_of(h, s->n_head);
		if (s->form.alibi_scaled) m->slope[h] = sn_round_bf16(m->slope[h]);
	}
	return SN_OK;
}

/* ---- T5 (Raffel et al. 2020): buckets of the distance, wider the further away ---- */

/* Logarithms in float32 as in transformers, whose roundings decide at the buckets' edges. */
int64_t sn_distance_bucket(const sn_shape *s, int64_t distance)
{
	int64_t n = s->n_bucket, bucket = 0;
	if (s->form.rel_bidirectional) {
		n /= 2;
		if (distance > 0) bucket = n;
		if (distance < 0) distance = -distance;
	} else {
		distance = distance < 0 ? -distance : 0;
	}
	int64_t exact = n / 2;
	if (distance < exact) return bucket + distance;
	float ratio = logf((float)distance / (float)exact) / (float)log((double)s->max_distance / (double)exact);
	return bucket + SN_MIN(exact + (int64_t)(ratio * (float)(n - exact)), n - 1);
}

static sn_status make_bias(sn_ctx *ctx, sn_model *m, sn_positions *t)
{
	const sn_shape *s = &m->shape;
	int64_t width = 2 * t->n - 1;
	if (s->form.position != SN_POSITION_BUCKETS) return SN_OK;
	t->distance_bias = sn_alloc_raw(ctx, sn_size3((size_t)s->n_head, (size_t)width, sizeof *t->distance_bias));
	float *rows = sn_alloc_raw(ctx, sn_size3((size_t)s->n_bucket, (size_t)s->n_head, sizeof *rows));
	sn_status status = t->distance_bias && rows ? sn_model_read(ctx, m, SN_PART_REL_BIAS, 0, 0, s->n_bucket, rows)
		: SN_ENOMEM;
	for (int64_t j = 0; status == SN_OK && j < width; j++) {
		int64_t bucket = sn_distance_bucket(s, j - (t->n - 1));
		for (int h = 0; h < s->n_head; h++) t->distance_bias[h * width + j] = rows[bucket * s->n_head + h];
	}
	sn_free(ctx, rows);
	return status;
}

/* ---- DeBERTa (He et al. 2021) ---- */

/* distance: query - key. */
static int64_t deberta_bucket(const sn_shape *s, int64_t distance)
{
	int64_t mid = s->rel_buckets / 2, far = distance < 0 ? -distance : distance;
	if (!s->rel_buckets || far <= mid) return distance;
	float ratio = logf((float)far / (float)mid) / (float)log((double)(s->max_distance - 1) / (double)mid);
	int64_t bucket = (int64_t)ceilf(ratio * (float)(mid - 1)) + mid;
	return distance < 0 ? -bucket : bucket;
}

static sn_status make_index(sn_ctx *ctx, const sn_shape *s, sn_positions *t)
{
	int64_t width = 2 * t->n - 1;
	if (s->form.position != SN_POSITION_DISENTANGLED) return SN_OK;
	t->distance_index = sn_alloc_raw(ctx, sn_size3((size_t)width, sizeof *t->distance_index, 1));
	if (!t->distance_index) return SN_ENOMEM;
	for (int64_t j = 0; j < width; j++) {
		int64_t row = deberta_bucket(s, j - (t->n - 1)) + s->rel_span;
		t->distance_index[j] = (int32_t)SN_MIN(SN_MAX(row, 0), 2 * s->rel_span - 1);
	}
	return SN_OK;
}

/* ---- all of them ---- */

static void free_tables(sn_ctx *ctx, sn_positions *t)
{
	for (int set = 0; set < 2; set++) sn_free(ctx, t->cosine[set]);
	sn_free(ctx, t->distance_bias);
	sn_free(ctx, t->distance_index);
	*t = (sn_positions){ 0 };
}

void sn_positions_free(sn_model *m) { free_tables(m->ctx, &m->positions); }

sn_status sn_model_need_positions(sn_ctx *ctx, sn_model *m, int64_t n)
{
	if (n <= m->positions.n) return SN_OK;
	sn_positions next = { .n = SN_MAX(n, SN_MIN(2 * m->positions.n, m->shape.n_ctx)) };
	sn_status status = make_slopes(m);
	if (status == SN_OK) status = make_angles(ctx, &m->shape, &next);
	if (status == SN_OK) status = make_bias(ctx, m, &next);
	if (status == SN_OK) status = make_index(ctx, &m->shape, &next);
	if (status != SN_OK) {
		free_tables(ctx, &next);
		return status;
	}
	free_tables(ctx, &m->positions);
	m->positions = next;
	return SN_OK;
}
