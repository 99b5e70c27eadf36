/* sn_run: cuts a batch into steps, and takes each step through the stages. */
#include "model/pass.h"

#include "model/site.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- steps: rows that need one another are computed together ---- */

typedef struct steps {
	int32_t *row;     /* rows, step by step, ascending inside a step */
	int32_t *start;   /* [n + 1] first of each step in row */
	int32_t n;
} steps;

static int32_t find_root(int32_t *link, int32_t row)
{
	while (link[row] != row) row = link[row] = link[link[row]];
	return row;
}

static void join(int32_t *link, int32_t a, int32_t b)
{
	a = find_root(link, a);
	b = find_root(link, b);
	if (a < b) link[b] = a;
	else link[a] = b;
}

/* Families: forks with their parents, edited rows with their sources, rows with their KL reference. */
static void join_families(const sn_compiled *c, int32_t *link)
{
	for (int32_t b = 0; b < c->batch->n; b++) {
		link[b] = b;
		if (sn_parent_of(c->batch, b) >= 0) join(link, b, sn_parent_of(c->batch, b));
	}
	for (int64_t i = 0; i < c->edit_start[c->batch->n]; i++)
		if (c->edit[i].from_row >= 0) join(link, c->edit[i].row, c->edit[i].from_row);
	for (int g = 0; g < c->plan->n_goal; g++)
		for (int32_t b = 0; c->plan->goal[g].ref_row && b < c->batch->n; b++)
			join(link, b, c->plan->goal[g].ref_row[b]);
}

static int64_t row_tokens(const sn_compiled *c, int32_t b)
{
	return c->need[b] < 0 ? 0 : sn_row_length(c->batch, b) - SN_MIN(sn_row_length(c->batch, b),
	                                                                sn_dirty(c, b)[c->n_stage - 1]);
}

/* step[root] of each family, in the order of their first rows, by the token budget. */
static int32_t assign_steps(const sn_compiled *c, int32_t *link, int64_t *tokens, int32_t *step)
{
	int32_t n = c->batch->n, count = 0;
	int64_t used = 0, budget = sn_ctx_tokens_per_step(c->ctx);
	for (int32_t b = 0; b < n; b++) tokens[find_root(link, b)] += row_tokens(c, b);
	for (int32_t b = 0; b < n; b++) {
		if (link[b] != b) continue;
		if (count == 0 || (used > 0 && used + tokens[b] > budget)) {
			count++;
			used = 0;
		}
		used += tokens[b];
		step[b] = count - 1;
	}
	return count;
}

static sn_status make_steps(const sn_compiled *c, steps *out)
{
	int32_t n = c->batch->n, *link, *step;
	int64_t *tokens;
	SN_NEW(link, c->arena, int32_t, n);
	SN_NEW(step, c->arena, int32_t, n);
	SN_NEW(tokens, c->arena, int64_t, n);
	join_families(c, link);
	out->n = assign_steps(c, link, tokens, step);
	SN_NEW(out->row, c->arena, int32_t, n);
	SN_NEW(out->start, c->arena, int32_t, out->n + 2);
	for (int32_t b = 0; b < n; b++) out->start[step[find_root(link, b)] + 2]++;
	for (int32_t i = 0; i < out->n; i++) out->start[i + 2] += out->start[i + 1];
	for (int32_t b = 0; b < n; b++) out->row[out->start[step[find_root(link, b)] + 1]++] = b;
	return SN_OK;
}

/* ---- one step ---- */

static sn_status take_buffers(sn_pass *p, int64_t tokens)
{
	const sn_shape *s = &p->model->shape;
	p->room = sn_gemm_room(SN_MAX(tokens, 1));
	const struct { float **at; int64_t width; } rows[] = {
		{ &p->x, s->d_model }, { &p->spare, s->d_model }, { &p->h, s->d_model }, { &p->qkv, sn_qkv_width(s) },
		{ &p->z, (int64_t)s->n_head * s->d_head }, { &p->wide, 2 * s->d_mlp }, { &p->post, s->d_mlp }, { &p->scale, 1 },
	};
	for (int i = 0; i < SN_COUNT(rows); i++)
		if (!(*rows[i].at = sn_arena_take(p->arena, sn_size3((size_t)p->room, (size_t)rows[i].width, sizeof(float)))))
			return SN_ENOMEM;
	return SN_OK;
}

static sn_status embed(sn_pass *p)
{
	int64_t d = p->model->shape.d_model;
	sn_status status = SN_OK;
	sn_layout_make(p);
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx)) schedule(dynamic, 4)
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t b = p->row[i], n = sn_row_length(p->batch, b);
		for (int32_t pos = p->now.from[b]; pos < n && p->now.off[b] >= 0; pos++) {
			float *x = p->x + (p->now.off[b] + pos - p->now.from[b]) * d;
			sn_status s = p->model->source.read(p->ctx, p->model->source.arg, SN_PART_EMBED, 0,
			                                    p->batch->token[p->batch->start[b] + pos], 1, x);
			if (s != SN_OK)
#pragma omp atomic write
				status = s;
		}
	}
	if (status != SN_OK) return status;
	return sn_visit(p, SN_SITE_EMBED, p->x, d);
}

static sn_status run_stages(sn_pass *p)
{
	int last = -1;
	for (int32_t i = 0; i < p->n_row; i++) last = SN_MAX(last, p->c->need[p->row[i]]);
	if (last < 0) return SN_OK;
	p->stage = 0;
	SN_TRY(embed(p));
	for (p->stage = 1; p->stage <= SN_MIN(last, p->c->n_stage - 2); p->stage++) {
		SN_TRY(sn_poll(p->ctx));
		SN_TRY(sn_model_need_layer(p->ctx, p->model, p->stage - 1));
		sn_layout_make(p);
		SN_TRY(sn_layout_move(p));
		SN_TRY(sn_block_forward(p));
	}
	if (p->keep) {
		p->stage--;   /* the layout is still the last block's */
		sn_keep_residual(p, p->model->shape.n_layer);
	}
	if (last < p->c->n_stage - 1) return SN_OK;
	p->stage = p->c->n_stage - 1;
	sn_layout_make(p);
	SN_TRY(sn_layout_move(p));
	return sn_finish(p);
}

/* Tokens that the largest step computes, and the longest row: what buffers and rotary tables must hold. */
static void measure(const sn_compiled *c, const steps *s, int64_t *most, int32_t *longest)
{
	*most = *longest = 1;
	for (int32_t i = 0; i < s->n; i++) {
		int64_t tokens = 0;
		for (int32_t j = s->start[i]; j < s->start[i + 1]; j++) {
			tokens += row_tokens(c, s->row[j]);
			*longest = SN_MAX(*longest, sn_row_length(c->batch, s->row[j]));
		}
		*most = SN_MAX(*most, tokens);
	}
}

static sn_status prepare_pass(sn_pass *p, const steps *s)
{
	int64_t most;
	int32_t longest;
	sn_layout *const layout[] = { &p->now, &p->before };
	for (int i = 0; i < 2; i++) {
		SN_NEW(layout[i]->off, p->arena, int64_t, p->batch->n);
		SN_NEW(layout[i]->from, p->arena, int32_t, p->batch->n);
	}
	measure(p->c, s, &most, &longest);
	SN_TRY(sn_model_need_positions(p->ctx, p->model, longest));
	return take_buffers(p, most);
}

static sn_status run_steps(const sn_compiled *c, sn_state *keep, double *score)
{
	steps s;
	SN_TRY(make_steps(c, &s));
	sn_pass p = { .c = c, .ctx = c->ctx, .model = c->model, .batch = c->batch, .arena = c->arena, .keep = keep,
	              .score = score };
	SN_TRY(prepare_pass(&p, &s));
	for (int32_t i = 0; i < s.n; i++) {
		sn_mark mark = sn_arena_mark(c->arena);
		p.row = s.row + s.start[i];
		p.n_row = s.start[i + 1] - s.start[i];
		SN_TRY(run_stages(&p));
		sn_arena_reset(c->arena, mark);
	}
	return SN_OK;
}

/* ---- the entry ---- */

static sn_status run_in(sn_arena *arena, sn_model *model, const sn_batch *batch, const sn_plan *plan, sn_state *keep,
                        double *score)
{
	sn_ctx *ctx = sn_arena_ctx(arena);
	sn_compiled c;
	if (plan->n_goal > 0 && !score) return sn_fail(ctx, SN_EARG, "the plan has goals, but there is no room for scores");
	if (score) memset(score, 0, sn_size3((size_t)plan->n_goal, (size_t)batch->n, sizeof *score));
	SN_TRY(sn_plan_compile(&c, ctx, model, batch, plan, keep && keep->arena ? keep : NULL, keep != NULL, arena));
	if (!keep) return run_steps(&c, NULL, score);
	sn_state next = { .ctx = ctx };
	sn_status status = sn_state_prepare(&next, model, batch);
	if (status == SN_OK) status = run_steps(&c, &next, score);
	if (status == SN_OK) sn_state_replace(keep, &next);
	else sn_arena_close(next.arena);
	return status;
}

sn_status sn_run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_plan *plan, sn_state *keep,
                 double *score)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	int threads = omp_get_max_threads();
	omp_set_num_threads(sn_ctx_threads(ctx));   /* oneDNN and OpenBLAS take theirs from here */
	sn_status status = run_in(arena, model, batch, plan, keep, score);
	omp_set_num_threads(threads);
	sn_arena_close(arena);
	return status;
}
