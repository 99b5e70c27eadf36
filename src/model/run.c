/* sn_run: cuts a batch into steps, and takes each step through the stages. */
#include "model/pass.h"

#include "model/check.h"
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

/* Rows that read one encoder row stay together, so that its keys and values are made once. */
static sn_status join_readers(const sn_compiled *c, int32_t *link)
{
	int32_t *first;
	if (!c->model->encoder) return SN_OK;
	SN_NEW(first, c->arena, int32_t, c->batch->enc->n);
	for (int32_t b = 0; b < c->batch->n; b++) {
		int32_t *reader = &first[sn_enc_row(c->batch, b)];   /* 1 + row */
		if (*reader) join(link, b, *reader - 1);
		else *reader = b + 1;
	}
	return SN_OK;
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
	SN_TRY(join_readers(c, link));
	out->n = assign_steps(c, link, tokens, step);
	SN_NEW(out->row, c->arena, int32_t, n);
	SN_NEW(out->start, c->arena, int32_t, out->n + 2);
	for (int32_t b = 0; b < n; b++) out->start[step[find_root(link, b)] + 2]++;
	for (int32_t i = 0; i < out->n; i++) out->start[i + 2] += out->start[i + 1];
	for (int32_t b = 0; b < n; b++) out->row[out->start[step[find_root(link, b)] + 1]++] = b;
	return SN_OK;
}

/* ---- one step ---- */

static int64_t widest(const sn_shape *s)
{
	return SN_MAX(SN_MAX(s->d_model, s->d_embed), s->d_head_out);
}

static sn_status take_buffers(sn_pass *p, int64_t tokens)
{
	const sn_shape *s = &p->model->shape;
	bool parallel = s->form.parallel != SN_SERIAL;
	p->room = sn_gemm_room(SN_MAX(tokens, 1));
	const struct { float **at; int64_t width; } rows[] = {
		{ &p->x, widest(s) }, { &p->spare, widest(s) }, { &p->h, widest(s) }, { &p->qkv, sn_qkv_width(s) },
		{ &p->z, SN_MAX((int64_t)s->n_head * s->d_head, s->d_head_out) }, { &p->wide, 2 * s->d_mlp },
		{ &p->post, s->d_mlp }, { &p->scale, 1 }, { &p->side[0], parallel ? s->d_model : 0 },
		{ &p->side[1], parallel ? s->d_model : 0 },
	};
	for (int i = 0; i < SN_COUNT(rows); i++)
		if (!(*rows[i].at = sn_arena_take(p->arena, sn_size3((size_t)p->room, (size_t)rows[i].width, sizeof(float)))))
			return SN_ENOMEM;
	return SN_OK;
}

static sn_status run_stages(sn_pass *p)
{
	int last = -1;
	for (int32_t i = 0; i < p->n_row; i++) last = SN_MAX(last, p->c->need[p->row[i]]);
	if (last < 0) return SN_OK;
	p->stage = 0;
	sn_layout_make(p);
	SN_TRY(sn_embed(p));
	if (p->cross) SN_TRY(sn_cross_gather(p));
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

/* What one stack is run for. */
typedef struct job {
	sn_model *model;
	const sn_batch *batch;
	const sn_plan *plan;
	sn_state *keep;
	double *score;
	float *output;     /* [tokens, d_model] or NULL */
	sn_cross *cross;   /* or NULL */
} job;

static sn_status run_steps(const sn_compiled *c, const job *j, sn_state *keep)
{
	steps s;
	SN_TRY(make_steps(c, &s));
	sn_pass p = { .c = c, .ctx = c->ctx, .model = c->model, .batch = c->batch, .arena = c->arena, .keep = keep,
	              .score = j->score, .output = j->output, .cross = j->cross };
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

static sn_status run_stack(sn_arena *arena, const job *j)
{
	sn_ctx *ctx = sn_arena_ctx(arena);
	sn_compiled c;
	sn_state *keep = j->keep;
	if (j->score) memset(j->score, 0, sn_size3((size_t)j->plan->n_goal, (size_t)j->batch->n, sizeof *j->score));
	SN_TRY(sn_plan_compile(&c, ctx, j->model, j->batch, j->plan, keep && keep->arena ? keep : NULL, keep != NULL,
	                       j->output != NULL, arena));
	if (!keep) return run_steps(&c, j, NULL);
	sn_state next = { .ctx = ctx };
	sn_status status = sn_state_prepare(&next, j->model, j->batch);
	if (status == SN_OK) status = run_steps(&c, j, &next);
	if (status == SN_OK) sn_state_replace(keep, &next);
	else sn_arena_close(next.arena);
	return status;
}

/* ---- encoder-decoders: first the encoder's rows, then the decoder's ---- */

/* The edits and taps of a plan that are at sites of one stack, in their order. */
static sn_status plan_of_stack(sn_arena *arena, const sn_plan *plan, bool encoder, sn_plan *out)
{
	sn_edit *edit;
	sn_tap *tap;
	*out = *plan;
	out->n_edit = out->n_tap = 0;
	if (encoder) out->n_goal = 0;
	SN_NEW(edit, arena, sn_edit, plan->n_edit);
	SN_NEW(tap, arena, sn_tap, plan->n_tap);
	for (int i = 0; i < plan->n_edit; i++)
		if ((plan->edit[i].at.stack == SN_STACK_ENCODER) == encoder) edit[out->n_edit++] = plan->edit[i];
	for (int i = 0; i < plan->n_tap; i++)
		if ((plan->tap[i].at.stack == SN_STACK_ENCODER) == encoder) tap[out->n_tap++] = plan->tap[i];
	out->edit = edit;
	out->tap = tap;
	return SN_OK;
}

static sn_status run_both(sn_arena *arena, const job *j)
{
	const sn_batch *enc = j->batch->enc;
	sn_plan first, second;
	float *memory;
	SN_TRY(sn_encoder_check(sn_arena_ctx(arena), j->model, j->batch));
	SN_TRY(plan_of_stack(arena, j->plan, true, &first));
	SN_TRY(plan_of_stack(arena, j->plan, false, &second));
	SN_NEW(memory, arena, float, enc->start[enc->n] * j->model->shape.d_model);
	SN_TRY(run_stack(arena, &(job){ .model = j->model->encoder, .batch = enc, .plan = &first, .output = memory }));
	sn_cross cross = { .batch = enc, .memory = memory };
	job decoder = *j;
	decoder.plan = &second;
	decoder.cross = &cross;
	return run_stack(arena, &decoder);
}

/* ---- the entry ---- */

sn_status sn_run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_plan *plan, sn_state *keep,
                 double *score)
{
	sn_arena *arena;
	if (plan->size != sizeof *plan)
		return sn_fail(ctx, SN_EARG, "plan.size is %u; expected %zu", plan->size, sizeof *plan);
	if (plan->n_goal > 0 && !score) return sn_fail(ctx, SN_EARG, "the plan has goals, but there is no room for scores");
	SN_TRY(sn_arena_open(&arena, ctx));
	int threads = omp_get_max_threads();
	omp_set_num_threads(sn_ctx_threads(ctx));   /* oneDNN and OpenBLAS take theirs from here */
	const job j = { .model = model, .batch = batch, .plan = plan, .keep = keep, .score = score };
	sn_status status = model->encoder ? run_both(arena, &j) : run_stack(arena, &j);
	omp_set_num_threads(threads);
	sn_arena_close(arena);
	return status;
}
