/* The generic block on the way down: every step of block.c in reverse, every site visited with its derivative. */
#include "model/back.h"

#include "model/positions.h"

#include <cblas.h>
#include <string.h>

static sn_trace *trace_of(const sn_pass *p) { return &p->back->trace[p->stage - 1]; }

/* ---- queries, keys, values ---- */

/* A rotation's transpose: the same angles the other way round. */
static void rotate_row_back(const sn_pass *p, int32_t row, int set)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = sn_qkv_width(s), half = s->n_rot / 2;
	int32_t n = sn_row_length(p->batch, row);
	bool own = sn_rope_depends_on_length(s, n);
	float cosine[SN_MOST_PAIRS], sine[SN_MOST_PAIRS];
	for (int32_t pos = p->now.from[row]; pos < n; pos++) {
		float *x = p->back->dqkv + (p->now.off[row] + pos - p->now.from[row]) * width;
		if (own) sn_rope_angles(s, set, n, pos, cosine, sine);
		else {
			memcpy(cosine, p->model->positions.cosine[set] + pos * half, (size_t)half * sizeof *cosine);
			memcpy(sine, p->model->positions.sine[set] + pos * half, (size_t)half * sizeof *sine);
		}
		for (int64_t i = 0; i < half; i++) sine[i] = -sine[i];
		for (int h = 0; h < s->n_head + s->n_kv_head; h++)
			(s->form.rope_interleaved ? p->model->kernels->rotate_pairs
			 : p->model->kernels->rotate)(x + (int64_t)h * s->d_head, cosine, sine, s->n_rot);
	}
}

static sn_status rotate_back(sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	int8_t rope = sn_kind_of(s, p->stage - 1).rope;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head;
	if (s->form.position != SN_POSITION_ROTARY) return SN_OK;
	SN_TRY(sn_visit_back(p, SN_SITE_ROT_K, p->back->dqkv + k0, width));
	SN_TRY(sn_visit_back(p, SN_SITE_ROT_Q, p->back->dqkv, width));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx)) schedule(dynamic, 4)
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0 && rope >= 0) rotate_row_back(p, p->row[i], rope ? rope - 1 : 0);
	return SN_OK;
}

/* back->dqkv -> p->h. */
static sn_status queries_keys_values_back(sn_pass *p, const sn_layer *y)
{
	const sn_shape *s = &p->model->shape;
	float *dqkv = p->back->dqkv, *raw = trace_of(p)->raw;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head, v0 = k0 + (int64_t)s->n_kv_head * s->d_head;
	SN_TRY(rotate_back(p));
	SN_TRY(sn_visit_normed(p, SN_SITE_K, dqkv + k0, width));
	SN_TRY(sn_visit_normed(p, SN_SITE_Q, dqkv, width));
	if (y->q_norm) sn_norm_heads_back(p, y->q_norm, raw, dqkv, width, s->n_head);
	if (y->k_norm) sn_norm_heads_back(p, y->k_norm, raw + k0, dqkv + k0, width, s->n_kv_head);
	SN_TRY(sn_visit_back(p, SN_SITE_V, dqkv + v0, width));
	SN_TRY(sn_visit_back(p, SN_SITE_K, dqkv + k0, width));
	SN_TRY(sn_visit_back(p, SN_SITE_Q, dqkv, width));
	return sn_affine_back(p, y->back.qkv, dqkv, p->now.m, p->h);
}

/* ---- what attention writes ---- */

/* Each head's result has the sum's derivative; what edits take from it is taken from its z: dz_h += change_h W_O,h. */
static sn_status results_back(sn_pass *p, sn_part part, sn_site_kind site)
{
	const sn_shape *s = &p->model->shape;
	int64_t d = s->d_model, stride = s->n_head * d, k = (int64_t)s->n_head * s->d_head;
	sn_mark mark = sn_arena_mark(p->arena);
	float *change, *w;
	SN_NEW(change, p->arena, float, p->now.m * stride);
	SN_NEW(w, p->arena, float, d * k);
	for (int64_t i = 0; i < p->now.m * s->n_head; i++)
		memcpy(change + i * d, p->h + i / s->n_head * d, (size_t)d * sizeof *change);
	SN_TRY(sn_visit_back(p, site, change, stride));
	for (int64_t i = 0; i < p->now.m * stride; i++) change[i] -= p->h[i / stride * d + i % d];
	SN_TRY(sn_model_read(p->ctx, p->model, part, p->stage - 1, 0, d, w));
	for (int h = 0; h < s->n_head && p->now.m; h++)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)p->now.m, s->d_head, (int)d, 1, change + h * d,
		            (int)stride, w + h * s->d_head, (int)k, 1, p->z + h * s->d_head, (int)k);
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

sn_status sn_attention_output_back(sn_pass *p, const sn_packed *transposed, sn_part part,
                                   const sn_attention_sites *sites)
{
	const sn_shape *s = &p->model->shape;
	SN_TRY(sn_visit_back(p, sites->o_out, p->h, s->d_model));
	SN_TRY(sn_affine_back(p, transposed, p->h, p->now.m, p->z));
	if (sn_pass_touched(p, sites->result)) SN_TRY(results_back(p, part, sites->result));
	return sn_visit_back(p, sites->z, p->z, (int64_t)s->n_head * s->d_head);
}

/* ---- the two branches: p->h -> p->h ---- */

static sn_status attend_back(sn_pass *p, const sn_layer *y)
{
	static const sn_attention_sites sites = { SN_SITE_ATTN_SCORES, SN_SITE_PATTERN, SN_SITE_Z, SN_SITE_RESULT,
	                                          SN_SITE_O_OUT };
	int64_t d = p->model->shape.d_model;
	SN_TRY(sn_visit_back(p, SN_SITE_ATTN_OUT, p->h, d));
	SN_TRY(sn_norm_back(p, &y->attn_post_norm, &trace_of(p)->norm[SN_SAVED_ATTN_POST], p->h, d,
	                    SN_SITE_LN1_POST_SCALE, SN_SITE_LN1_POST_NORMALIZED));
	SN_TRY(sn_attention_output_back(p, y->back.o, SN_PART_O, &sites));
	SN_TRY(sn_attention_back(p));
	SN_TRY(queries_keys_values_back(p, y));
	return sn_visit_back(p, SN_SITE_Q_IN, p->h, d);
}

/* p->post -> p->wide. */
static void activate_back(const sn_pass *p)
{
	const sn_form *f = &p->model->shape.form;
	bool chord = sn_rule_has(p, SN_RULE_CHORD), fixed = f->gated && sn_rule_has(p, SN_RULE_FREEZE_GATES);
	float half = f->gated && sn_rule_has(p, SN_RULE_HALVE) ? 0.5f : 1;
	int64_t n = p->model->shape.d_mlp, stride = f->gated ? 2 * n : n;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) {
		const float *x = trace_of(p)->wide + i * stride, *x0 = trace_of(p)->wide + sn_reference_slot(p, i) * stride;
		float *dx = p->wide + i * stride, *dy = p->post + i * n;
		if (x != x0) {
			sn_rescale_activation(dx, f->gated ? dx + n : NULL, (const float *[]){ x, x0 },
			                      (const float *[]){ x + n, x0 + n }, dy, n, f->act);
			continue;
		}
		for (int64_t j = 0; half != 1 && j < n; j++) dy[j] *= half;
		p->model->kernels->activate_back(dx, f->gated ? dx + n : NULL, x, f->gated ? x + n : NULL, dy, n, f->act,
		                                 chord);
		if (fixed) memset(dx, 0, (size_t)n * sizeof *dx);
	}
}

static sn_status feed_forward_back(sn_pass *p, const sn_layer *y)
{
	bool gated = p->model->shape.form.gated;
	int64_t d = p->model->shape.d_model, n = p->model->shape.d_mlp, stride = gated ? 2 * n : n;
	SN_TRY(sn_visit_back(p, SN_SITE_MLP_OUT, p->h, d));
	SN_TRY(sn_norm_back(p, &y->mlp_post_norm, &trace_of(p)->norm[SN_SAVED_MLP_POST], p->h, d, SN_SITE_LN2_POST_SCALE,
	                    SN_SITE_LN2_POST_NORMALIZED));
	SN_TRY(sn_visit_back(p, SN_SITE_MLP_OUT_OUT, p->h, d));
	SN_TRY(sn_affine_back(p, y->back.down, p->h, p->now.m, p->post));
	SN_TRY(sn_visit_back(p, SN_SITE_MLP_POST, p->post, n));
	activate_back(p);
	if (gated) SN_TRY(sn_visit_back(p, SN_SITE_MLP_PRE_LINEAR, p->wide + n, stride));
	SN_TRY(sn_visit_back(p, SN_SITE_MLP_PRE, p->wide, stride));
	SN_TRY(sn_affine_back(p, y->back.first, p->wide, p->now.m, p->h));
	return sn_visit_back(p, SN_SITE_MLP_IN, p->h, d);
}

/* ---- how they are put together ---- */

typedef struct branch { const sn_norm *norm; sn_saved_id saved; sn_site_kind scale, normalized, sum; } branch;

static sn_status norm_back(sn_pass *p, const branch *b, float *dx)
{
	return sn_norm_back(p, b->norm, &trace_of(p)->norm[b->saved], dx, p->model->shape.d_model, b->scale,
	                    b->normalized);
}

static void add_rows(const sn_pass *p, float *to, const float *from)
{
	int64_t d = p->model->shape.d_model;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->add(to + i * d, from + i * d, d);
}

/* Before a branch's own way down: p->h = the derivative of its output. */
static sn_status leave_back(sn_pass *p, const branch *b)
{
	int64_t d = p->model->shape.d_model;
	if (p->model->shape.form.post_norm) SN_TRY(norm_back(p, b, p->back->dx));
	SN_TRY(sn_visit_back(p, b->sum, p->back->dx, d));
	memcpy(p->h, p->back->dx, (size_t)(p->now.m * d) * sizeof *p->h);
	return SN_OK;
}

/* After it: dx += what came down the branch. */
static sn_status enter_back(sn_pass *p, const branch *b)
{
	if (p->model->shape.form.pre_norm) SN_TRY(norm_back(p, b, p->h));
	add_rows(p, p->back->dx, p->h);
	return SN_OK;
}

static branch attn_branch(const sn_layer *y)
{
	return (branch){ &y->attn_norm, SN_SAVED_ATTN, SN_SITE_LN1_SCALE, SN_SITE_LN1_NORMALIZED, SN_SITE_RESID_MID };
}

static branch mlp_branch(const sn_layer *y)
{
	return (branch){ &y->mlp_norm, SN_SAVED_MLP, SN_SITE_LN2_SCALE, SN_SITE_LN2_NORMALIZED, SN_SITE_RESID_POST };
}

static sn_status serial_back(sn_pass *p, const sn_layer *y)
{
	branch attn = attn_branch(y), mlp = mlp_branch(y);
	if (p->model->shape.form.post_norm)
		SN_TRY(sn_visit_back(p, SN_SITE_NORMALIZED_RESID_POST, p->back->dx, p->model->shape.d_model));
	SN_TRY(leave_back(p, &mlp));
	SN_TRY(feed_forward_back(p, y));
	SN_TRY(enter_back(p, &mlp));
	if (p->model->shape.form.cross) SN_TRY(sn_cross_back(p));
	SN_TRY(leave_back(p, &attn));
	SN_TRY(attend_back(p, y));
	return enter_back(p, &attn);
}

static sn_status parallel_back(sn_pass *p, const sn_layer *y)
{
	size_t bytes = (size_t)(p->now.m * p->model->shape.d_model) * sizeof *p->h;
	bool shared = p->model->shape.form.parallel == SN_PARALLEL_ONE_NORM;
	branch attn = attn_branch(y), mlp = mlp_branch(y);
	SN_TRY(leave_back(p, &mlp));
	memcpy(p->back->branch, p->h, bytes);   /* both branches' outputs have the sum's derivative */
	SN_TRY(feed_forward_back(p, y));
	if (!shared) SN_TRY(enter_back(p, &mlp));
	for (size_t i = 0; i < bytes / sizeof *p->h; i++) {
		float mlp_input = p->h[i];
		p->h[i] = p->back->branch[i];
		p->back->branch[i] = mlp_input;
	}
	SN_TRY(attend_back(p, y));
	if (shared) add_rows(p, p->h, p->back->branch);
	return enter_back(p, &attn);
}

sn_status sn_block_back(sn_pass *p)
{
	const sn_layer *y = sn_layer_of(p->model, p->stage - 1);
	SN_TRY(sn_model_need_layer_back(p->ctx, p->model, p->stage - 1));
	SN_TRY(p->model->shape.form.parallel ? parallel_back(p, y) : serial_back(p, y));
	if (p->c->plan->lean) sn_model_drop_layer_back(p->model, p->stage - 1);
	return sn_visit_back(p, SN_SITE_RESID_PRE, p->back->dx, p->model->shape.d_model);
}
