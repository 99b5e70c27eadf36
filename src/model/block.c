/* The generic transformer block: norm, attention, norm, feed-forward, with every site visited in the order of
 * computation. Where norms stand and whether the branches are parallel is the form's matter. */
#include "model/back.h"

#include "model/positions.h"
#include "model/site.h"

#include <string.h>

/* ---- queries, keys, values ---- */

static void rotate_head(const sn_pass *p, float *x, const float *cosine, const float *sine)
{
	const sn_shape *s = &p->model->shape;
	(s->form.rope_interleaved ? p->model->kernels->rotate_pairs : p->model->kernels->rotate)(x, cosine, sine, s->n_rot);
}

static void rotate_row(const sn_pass *p, int32_t row, int set)
{
	const sn_shape *s = &p->model->shape;
	const sn_positions *t = &p->model->positions;
	int64_t width = sn_qkv_width(s), half = s->n_rot / 2;
	int32_t n = sn_row_length(p->batch, row);
	bool own = sn_rope_depends_on_length(s, n);
	float angles[2][SN_MOST_PAIRS];
	for (int32_t pos = p->now.from[row]; pos < n; pos++) {
		float *x = p->qkv + (p->now.off[row] + pos - p->now.from[row]) * width;
		if (own) sn_rope_angles(s, set, n, pos, angles[0], angles[1]);
		const float *cosine = own ? angles[0] : t->cosine[set] + pos * half, *sine = own ? angles[1] : t->sine[set] +
		                                                                             pos * half;
		for (int h = 0; h < s->n_head + s->n_kv_head; h++) rotate_head(p, x + (int64_t)h * s->d_head, cosine, sine);
	}
}

static sn_status rotate(sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	int8_t rope = sn_kind_of(s, p->stage - 1).rope;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head;
	if (s->form.position != SN_POSITION_ROTARY) return SN_OK;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx)) schedule(dynamic, 4)
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0 && rope >= 0) rotate_row(p, p->row[i], rope ? rope - 1 : 0);
	SN_TRY(sn_visit(p, SN_SITE_ROT_Q, p->qkv, width));
	return sn_visit(p, SN_SITE_ROT_K, p->qkv + k0, width);
}

static sn_status queries_keys_values(sn_pass *p, const sn_layer *y)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head, v0 = k0 + (int64_t)s->n_kv_head * s->d_head;
	SN_TRY(sn_affine_run(p, &y->qkv, p->h, p->now.m, p->qkv));
	SN_TRY(sn_visit(p, SN_SITE_Q, p->qkv, width));
	SN_TRY(sn_visit(p, SN_SITE_K, p->qkv + k0, width));
	SN_TRY(sn_visit(p, SN_SITE_V, p->qkv + v0, width));
	size_t bytes = (size_t)(p->now.m * width) * sizeof *p->qkv;
	if (sn_trace_now(p) && s->form.qk_norm) memcpy(sn_trace_now(p)->raw, p->qkv, bytes);
	if (y->q_norm) sn_norm_heads(p, y->q_norm, p->qkv, width, s->n_head);
	if (y->k_norm) sn_norm_heads(p, y->k_norm, p->qkv + k0, width, s->n_kv_head);
	SN_TRY(rotate(p));
	if (sn_trace_now(p)) memcpy(sn_trace_now(p)->qkv, p->qkv, bytes);
	return SN_OK;
}

/* ---- what attention writes ---- */

/* What each head writes: result[h] = z[h] W_O[h], without touching the sum in p->h. By our own kernel: a product of a
 * BLAS may depend on how many rows are computed with one, and on the threads. */
static sn_status results_of_heads(const sn_pass *p, sn_part part, float *result)
{
	const sn_shape *s = &p->model->shape;
	int64_t d = s->d_model, k = (int64_t)s->n_head * s->d_head;
	float *w;
	SN_NEW(w, p->arena, float, d * k);
	SN_TRY(sn_model_read(p->ctx, p->model, part, p->stage - 1, 0, d, w));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++)
		for (int64_t h = 0; h < s->n_head; h++)
			p->model->kernels->scores(result + (i * s->n_head + h) * d, p->z + i * k + h * s->d_head,
			                          w + h * s->d_head, k, d, s->d_head, 1);
	return SN_OK;
}

/* Edits of results reach the sum as differences, so that an edit that changes nothing changes no bit. */
static sn_status visit_results(sn_pass *p, sn_part part, sn_site_kind site)
{
	int64_t d = p->model->shape.d_model, stride = p->model->shape.n_head * d, n = p->now.m * stride;
	bool edited = sn_touched(p->c, site, p->stage) & SN_TOUCH_EDIT;
	sn_mark mark = sn_arena_mark(p->arena);
	float *result, *before;
	SN_NEW(result, p->arena, float, n);
	SN_NEW(before, p->arena, float, edited ? n : 0);
	SN_TRY(results_of_heads(p, part, result));
	if (edited) memcpy(before, result, (size_t)n * sizeof *before);
	SN_TRY(sn_visit(p, site, result, stride));
	for (int64_t i = 0; edited && i < n; i++) p->h[i / stride * d + i % d] += result[i] - before[i];
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

sn_status sn_attention_output(sn_pass *p, const sn_affine *o, sn_part part, const sn_attention_sites *sites)
{
	const sn_shape *s = &p->model->shape;
	SN_TRY(sn_visit(p, sites->z, p->z, (int64_t)s->n_head * s->d_head));
	SN_TRY(sn_affine_run(p, o, p->z, p->now.m, p->h));
	if (sn_pass_touched(p, sites->result)) SN_TRY(visit_results(p, part, sites->result));
	return sn_visit(p, sites->o_out, p->h, s->d_model);
}

/* ---- the two branches: p->h -> p->h ---- */

static sn_status attend(sn_pass *p, const sn_layer *y)
{
	static const sn_attention_sites sites = { SN_SITE_ATTN_SCORES, SN_SITE_PATTERN, SN_SITE_Z, SN_SITE_RESULT,
	                                          SN_SITE_O_OUT };
	int64_t d = p->model->shape.d_model;
	SN_TRY(sn_visit(p, SN_SITE_Q_IN, p->h, d));
	SN_TRY(queries_keys_values(p, y));
	SN_TRY(sn_attention(p));
	SN_TRY(sn_attention_output(p, &y->o, SN_PART_O, &sites));
	SN_TRY(sn_norm_rows(p, &y->attn_post_norm, p->h, p->h, d, SN_SITE_LN1_POST_SCALE, SN_SITE_LN1_POST_NORMALIZED));
	return sn_visit(p, SN_SITE_ATTN_OUT, p->h, d);
}

static void activate(const sn_pass *p)
{
	const sn_form *f = &p->model->shape.form;
	int64_t n = p->model->shape.d_mlp, stride = f->gated ? 2 * n : n;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) {
		const float *x = p->wide + i * stride;
		p->model->kernels->activate(p->post + i * n, x, f->gated ? x + n : NULL, n, f->act);
	}
}

static sn_status feed_forward(sn_pass *p, const sn_layer *y)
{
	bool gated = p->model->shape.form.gated;
	int64_t d = p->model->shape.d_model, n = p->model->shape.d_mlp, stride = gated ? 2 * n : n;
	SN_TRY(sn_visit(p, SN_SITE_MLP_IN, p->h, d));
	SN_TRY(sn_affine_run(p, &y->first, p->h, p->now.m, p->wide));
	SN_TRY(sn_visit(p, SN_SITE_MLP_PRE, p->wide, stride));
	if (gated) SN_TRY(sn_visit(p, SN_SITE_MLP_PRE_LINEAR, p->wide + n, stride));
	if (sn_trace_now(p)) memcpy(sn_trace_now(p)->wide, p->wide, (size_t)(p->now.m * stride) * sizeof *p->wide);
	activate(p);
	SN_TRY(sn_visit(p, SN_SITE_MLP_POST, p->post, n));
	SN_TRY(sn_affine_run(p, &y->down, p->post, p->now.m, p->h));
	SN_TRY(sn_visit(p, SN_SITE_MLP_OUT_OUT, p->h, d));
	SN_TRY(sn_norm_rows(p, &y->mlp_post_norm, p->h, p->h, d, SN_SITE_LN2_POST_SCALE, SN_SITE_LN2_POST_NORMALIZED));
	return sn_visit(p, SN_SITE_MLP_OUT, p->h, d);
}

/* ---- how they are put together ---- */

/* p->h = the stream as a branch reads it. */
static sn_status enter_branch(sn_pass *p, const sn_norm *norm, sn_site_kind scale, sn_site_kind normalized)
{
	static const sn_norm none = { 0 };
	return sn_norm_rows(p, p->model->shape.form.pre_norm ? norm : &none, p->x, p->h, p->model->shape.d_model, scale,
	                    normalized);
}

/* x += branch, then the norm of the sum where there is one. */
static sn_status leave_branch(sn_pass *p, const sn_norm *norm, sn_site_kind sum, sn_site_kind scale,
                              sn_site_kind normalized)
{
	int64_t d = p->model->shape.d_model;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->add(p->x + i * d, p->h + i * d, d);
	SN_TRY(sn_visit(p, sum, p->x, d));
	if (!p->model->shape.form.post_norm) return SN_OK;
	return sn_norm_rows(p, norm, p->x, p->x, d, scale, normalized);
}

static void keep_keys(const sn_pass *p);

static sn_status serial_block(sn_pass *p, const sn_layer *y)
{
	SN_TRY(enter_branch(p, &y->attn_norm, SN_SITE_LN1_SCALE, SN_SITE_LN1_NORMALIZED));
	SN_TRY(attend(p, y));
	keep_keys(p);
	sn_hold_keys(p);
	SN_TRY(leave_branch(p, &y->attn_norm, SN_SITE_RESID_MID, SN_SITE_LN1_SCALE, SN_SITE_LN1_NORMALIZED));
	if (p->model->shape.form.cross) SN_TRY(sn_cross_branch(p, y));
	SN_TRY(enter_branch(p, &y->mlp_norm, SN_SITE_LN2_SCALE, SN_SITE_LN2_NORMALIZED));
	SN_TRY(feed_forward(p, y));
	SN_TRY(leave_branch(p, &y->mlp_norm, SN_SITE_RESID_POST, SN_SITE_LN2_SCALE, SN_SITE_LN2_NORMALIZED));
	if (!p->model->shape.form.post_norm) return SN_OK;
	return sn_visit(p, SN_SITE_NORMALIZED_RESID_POST, p->x, p->model->shape.d_model);
}

static sn_status parallel_block(sn_pass *p, const sn_layer *y)
{
	int64_t d = p->model->shape.d_model;
	size_t bytes = (size_t)(p->now.m * d) * sizeof *p->h;
	bool shared = p->model->shape.form.parallel == SN_PARALLEL_ONE_NORM;
	SN_TRY(enter_branch(p, &y->attn_norm, SN_SITE_LN1_SCALE, SN_SITE_LN1_NORMALIZED));
	if (shared) memcpy(p->side[1], p->h, bytes);
	SN_TRY(attend(p, y));
	keep_keys(p);
	sn_hold_keys(p);
	memcpy(p->side[0], p->h, bytes);
	if (shared) memcpy(p->h, p->side[1], bytes);
	else SN_TRY(enter_branch(p, &y->mlp_norm, SN_SITE_LN2_SCALE, SN_SITE_LN2_NORMALIZED));
	SN_TRY(feed_forward(p, y));
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->add(p->x + i * d, p->side[0] + i * d, d);
	return leave_branch(p, &y->mlp_norm, SN_SITE_RESID_POST, SN_SITE_LN2_SCALE, SN_SITE_LN2_NORMALIZED);
}

/* ---- kept state ---- */

/* The kept row that has what no row of the step has: that of the parent, which is whole, or of the state before. */
static const sn_kept *kept_before(const sn_pass *p, int32_t row)
{
	int32_t parent = sn_parent_of(p->batch, row);
	return parent >= 0 ? &p->keep->row[parent] : &p->c->state->row[sn_state_parent_of(p->batch, row)];
}

static void keep_keys_of_row(const sn_pass *p, int32_t row)
{
	const sn_shape *s = &p->model->shape;
	int64_t k0 = (int64_t)s->n_head * s->d_head, width = (int64_t)s->n_kv_head * s->d_head;
	int l = p->stage - 1;
	const sn_kept *to = &p->keep->row[row];
	for (int32_t pos = to->own; pos < to->n; pos++) {
		int64_t slot = sn_slot(p, &p->now, row, pos);
		const float *k = slot >= 0 ? p->qkv + slot * sn_qkv_width(s) + k0
		                           : sn_kept_keys(kept_before(p, row), l, pos, width);
		const float *v = slot >= 0 ? k + width : sn_kept_values(kept_before(p, row), l, pos, width);
		memcpy(sn_kept_keys(to, l, pos, width), k, (size_t)width * sizeof *k);
		memcpy(sn_kept_values(to, l, pos, width), v, (size_t)width * sizeof *v);
	}
}

void sn_keep_residual(const sn_pass *p, int boundary)
{
	int64_t d = p->model->shape.d_model;
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t row = p->row[i];
		const sn_kept *to = &p->keep->row[row];
		for (int32_t pos = to->own; pos < to->n; pos++) {
			int64_t slot = sn_slot(p, &p->now, row, pos);
			const float *x = slot >= 0 ? p->x + slot * d : sn_kept_resid(kept_before(p, row), boundary, pos, d);
			memcpy(sn_kept_resid(to, boundary, pos, d), x, (size_t)d * sizeof *x);
		}
	}
}

static void keep_keys(const sn_pass *p)
{
	for (int32_t i = 0; p->keep && i < p->n_row; i++) keep_keys_of_row(p, p->row[i]);
}

/* The state keeps what enters a block before the block's own edits: a fork starts from there and repeats them. */
sn_status sn_block_forward(sn_pass *p)
{
	const sn_layer *y = sn_layer_of(p->model, p->stage - 1);
	if (p->keep) sn_keep_residual(p, p->stage - 1);
	SN_TRY(sn_visit(p, SN_SITE_RESID_PRE, p->x, p->model->shape.d_model));
	return p->model->shape.form.parallel ? parallel_block(p, y) : serial_block(p, y);
}
