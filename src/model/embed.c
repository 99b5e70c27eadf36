/* Embeddings: words, positions, token types, their norm and projection. */
#include "model/pass.h"

#include <math.h>
#include <string.h>

/* Which row of a table a position reads. */
typedef int64_t row_of(const sn_pass *p, int32_t row, int32_t pos);

static int64_t token_row(const sn_pass *p, int32_t row, int32_t pos)
{
	return p->batch->token[p->batch->start[row] + pos];
}

static int64_t type_row(const sn_pass *p, int32_t row, int32_t pos)
{
	return p->batch->segment ? p->batch->segment[p->batch->start[row] + pos] : 0;
}

static int64_t position_row(const sn_pass *p, int32_t row, int32_t pos)
{
	(void)row;
	return pos + p->model->shape.form.position_offset;
}

/* Marian's: sin(pos / 10000^(2 i / d)) for i < d / 2, then the cosines; not learned, in no file. */
static void sinusoid(int64_t pos, int64_t d, float *out)
{
	int64_t half = (d + 1) / 2;
	for (int64_t i = 0; i < d; i++) {
		double angle = (double)pos / pow(10000, 2.0 * (double)(i < half ? i : i - half) / (double)d);
		out[i] = (float)(i < half ? sin(angle) : cos(angle));
	}
}

static sn_status look_up(const sn_pass *p, sn_part part, row_of *which, int32_t row, int32_t pos, float *out)
{
	int64_t number = which(p, row, pos);
	if (part != SN_PART_POS_EMBED || p->model->shape.form.position != SN_POSITION_SINUSOIDAL)
		return p->model->source.read(p->ctx, p->model->source.arg, part, 0, number, 1, out);
	sinusoid(number, sn_sum_width(&p->model->shape), out);
	return SN_OK;
}

/* Fills out [m, width] with each place's row of a table. */
static sn_status look_up_all(const sn_pass *p, sn_part part, row_of *which, int64_t width, float *out)
{
	sn_status status = SN_OK;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx)) schedule(dynamic, 4)
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t b = p->row[i], n = sn_row_length(p->batch, b);
		for (int32_t pos = p->now.from[b]; pos < n && p->now.off[b] >= 0; pos++) {
			sn_status s = look_up(p, part, which, b, pos, out + (p->now.off[b] + pos - p->now.from[b]) * width);
			if (s != SN_OK)
#pragma omp atomic write
				status = s;
		}
	}
	return status;
}

static void scale_rows(const sn_pass *p, float *x, int64_t d)
{
	float factor = (float)p->model->shape.form.embed_scale;
	for (int64_t i = 0; factor != 1 && i < p->now.m * d; i++) x[i] *= factor;
}

/* x += rows of a table, which are visited by themselves first. */
static sn_status add_table(sn_pass *p, sn_part part, row_of *which, sn_site_kind site)
{
	int64_t d = sn_sum_width(&p->model->shape);
	SN_TRY(look_up_all(p, part, which, d, p->h));
	SN_TRY(sn_visit(p, site, p->h, d));
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->add(p->x + i * d, p->h + i * d, d);
	return SN_OK;
}

/* p->x <- p->x PROJECT'. */
static sn_status project(sn_pass *p)
{
	int64_t d = p->model->shape.d_model;
	if (!p->model->project.w) return SN_OK;
	SN_TRY(sn_affine_run(p, &p->model->project, p->x, p->now.m, p->h));
	memcpy(p->x, p->h, (size_t)(p->now.m * d) * sizeof *p->x);
	return SN_OK;
}

static bool has_positions(const sn_shape *s)
{
	return s->form.position == SN_POSITION_SINUSOIDAL || sn_has(s, SN_PART_POS_EMBED);
}

static sn_status norm_embeddings(sn_pass *p)
{
	int64_t d = sn_sum_width(&p->model->shape);
	if (!p->model->embed_norm.weight) return SN_OK;
	SN_TRY(sn_norm_rows(p, &p->model->embed_norm, p->x, p->x, d, SN_SITE_EMBED_LN_SCALE, SN_SITE_EMBED_LN_NORMALIZED));
	return sn_visit(p, SN_SITE_FULL_EMBED, p->x, d);
}

sn_status sn_embed(sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	SN_TRY(look_up_all(p, SN_PART_EMBED, token_row, s->d_embed, p->x));
	scale_rows(p, p->x, s->d_embed);
	if (s->form.project_first) SN_TRY(project(p));
	SN_TRY(sn_visit(p, SN_SITE_EMBED, p->x, sn_sum_width(s)));
	if (has_positions(s)) SN_TRY(add_table(p, SN_PART_POS_EMBED, position_row, SN_SITE_POS_EMBED));
	if (sn_has(s, SN_PART_TYPE_EMBED)) SN_TRY(add_table(p, SN_PART_TYPE_EMBED, type_row, SN_SITE_TOKEN_TYPE_EMBED));
	SN_TRY(norm_embeddings(p));
	return s->form.project_first ? SN_OK : project(p);
}
