/* sn_run: cuts a batch into waves, and takes each wave through the stages. */
#include "model/pass.h"

#include "model/check.h"
#include "model/waves.h"
#include "model/site.h"

#include <omp.h>
#include <string.h>

/* ---- one step ---- */

static int64_t widest(const sn_shape *s) { return SN_MAX(SN_MAX(s->d_model, s->d_embed), s->d_head_out); }

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
		sn_hold_stream(p, p->stage);
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
	sn_hold_stream(p, p->stage);
	sn_layout_make(p);
	SN_TRY(sn_layout_move(p));
	return sn_finish(p);
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
	const float *seed; /* [tokens, d_model] derivative of output, or NULL */
	float *memory;     /* [tokens of the encoder, d_model] where that of the encoder's output is gathered, or NULL */
} job;

/* ---- waves ---- */

/* Bytes that are taken whatever the waves: weights, kept rows, what the plan was compiled to. */
static int64_t bytes_beside(const sn_compiled *c, const job *j, const sn_state *keep)
{
	int need = -1;
	bool whole, logits = sn_needs_logits(c, &whole);
	int64_t kept = (keep ? sn_state_tokens(keep) : 0) + (keep && c->state ? sn_state_tokens(c->state) : 0);
	for (int32_t b = 0; b < c->batch->n; b++) need = SN_MAX(need, c->need[b]);
	int back = !c->gradient ? 0 : c->plan->lean ? 1 : c->model->shape.n_layer;
	int64_t bytes = (int64_t)sn_arena_bytes(c->arena) + sn_weight_bytes(c->model, need, logits, back) +
		sn_state_bytes(&c->model->shape, kept);
	if (j->cross) bytes += sn_weight_bytes(c->model->encoder, c->model->encoder->shape.n_layer, false, 0);
	return bytes;
}

/* The memory of one wave lies in one piece, which serves the next ones too so long as they leave room for it. */
typedef struct runner {
	sn_pass pass;
	const sn_waves *waves;
	int64_t beside, largest, reserved;
	sn_arena *held_arena;
	int32_t kin;               /* first row of the family whose values are held, or -1 */
} runner;

static sn_status make_room(runner *r, const sn_wave *wave)
{
	int64_t left = sn_ctx_memory(r->pass.ctx) - r->beside - wave->held;
	if (r->reserved >= wave->bytes && r->reserved <= SN_MAX(left, wave->bytes)) return SN_OK;
	sn_arena_close(r->pass.arena);
	r->pass.arena = NULL;
	r->reserved = SN_MAX(wave->bytes, SN_MIN(left, r->largest));
	SN_TRY(sn_arena_open(&r->pass.arena, r->pass.ctx));
	return sn_arena_reserve(r->pass.arena, (size_t)r->reserved);
}

static void close_held(runner *r)
{
	sn_held_close(r->pass.held);
	sn_arena_close(r->held_arena);
	r->pass.held = NULL;
	r->held_arena = NULL;
	r->kin = -1;
}

/* Plans what a family that was cut leaves from wave to wave, once, and makes room for this wave's share. */
static sn_status open_held(runner *r, const sn_wave *wave)
{
	sn_pass *p = &r->pass;
	if (wave->n_kin && r->kin != wave->kin) {
		SN_TRY(sn_arena_open(&r->held_arena, p->ctx));
		SN_TRY(sn_held_plan(&p->held, p->c, &r->waves->order, wave->kin, wave->n_kin, r->waves->part, r->held_arena));
		r->kin = wave->kin;
	}
	for (int32_t i = 0; p->held && i < p->n_row; i++) SN_TRY(sn_held_open_row(p->held, p->row[i]));
	return SN_OK;
}

/* Frees what nobody reads behind the wave. */
static void release(runner *r, const sn_wave *wave)
{
	for (int32_t i = wave->kin; r->pass.held && i < wave->first + wave->n; i++) {
		int32_t row = r->waves->order.row[i], last;
		sn_held_bytes(r->pass.held, row, &last);
		if (last < wave->first + wave->n) sn_held_close_row(r->pass.held, row);
	}
	if (wave->first + wave->n == wave->kin + wave->n_kin) close_held(r);
}

static sn_status run_wave(runner *r, const sn_wave *wave)
{
	sn_pass *p = &r->pass;
	const int32_t *row = r->waves->order.row;
	p->row = row + wave->first;
	p->n_row = wave->n;
	p->kin = row + wave->kin;
	p->n_kin = wave->n_kin;
	p->twice = wave->twice;
	SN_TRY(open_held(r, wave));
	SN_TRY(make_room(r, wave));
	sn_mark mark = sn_arena_mark(p->arena);
	SN_TRY(take_buffers(p, wave->tokens));
	SN_TRY(p->c->gradient ? sn_gradient_step(p) : run_stages(p));
	sn_arena_reset(p->arena, mark);
	if (wave->n_kin) release(r, wave);
	return SN_OK;
}

static sn_status take_layouts(sn_pass *p)
{
	sn_layout *const layout[] = { &p->now, &p->before };
	int32_t longest = 1;
	for (int i = 0; i < 2; i++) {
		SN_NEW(layout[i]->off, p->c->arena, int64_t, p->batch->n);
		SN_NEW(layout[i]->from, p->c->arena, int32_t, p->batch->n);
	}
	for (int32_t b = 0; b < p->batch->n; b++) longest = SN_MAX(longest, sn_row_length(p->batch, b));
	return sn_model_need_positions(p->ctx, p->model, longest);
}

static sn_status run_waves(const sn_compiled *c, const job *j, sn_state *keep)
{
	sn_waves waves;
	runner r = { .pass = { .c = c, .ctx = c->ctx, .model = c->model, .batch = c->batch, .keep = keep,
	                       .score = j->score, .output = j->output, .cross = j->cross, .seed = j->seed,
	                       .memory = j->memory }, .waves = &waves, .kin = -1 };
	SN_TRY(take_layouts(&r.pass));
	r.beside = bytes_beside(c, j, keep);
	SN_TRY(sn_waves_cut(c, r.beside, &waves));
	for (int32_t i = 0; i < waves.n; i++) r.largest = SN_MAX(r.largest, waves.wave[i].bytes);
	sn_status status = SN_OK;
	for (int32_t i = 0; i < waves.n && status == SN_OK; i++) status = run_wave(&r, &waves.wave[i]);
	close_held(&r);
	sn_arena_close(r.pass.arena);
	return status;
}

static sn_status keep_encoder(sn_state *next, const job *j)
{
	if (!j->cross->kept) return sn_state_keep_encoder(next, j->model, j->cross->batch, j->cross->memory);
	sn_state_share_encoder(next, j->keep);
	return SN_OK;
}

static sn_status run_stack(sn_arena *arena, const job *j)
{
	sn_ctx *ctx = sn_arena_ctx(arena);
	sn_compiled c;
	sn_state *keep = j->keep;
	if (j->score) memset(j->score, 0, sn_size3((size_t)j->plan->n_goal, (size_t)j->batch->n, sizeof *j->score));
	SN_TRY(sn_plan_compile(&c, ctx, j->model, j->batch, j->plan, keep && keep->arena ? keep : NULL, keep != NULL,
	                       j->output != NULL, j->memory != NULL, arena));
	if (!keep) return run_waves(&c, j, NULL);
	sn_state next = { .ctx = ctx };
	sn_status status = sn_state_prepare(&next, &c);
	if (status == SN_OK && j->cross) status = keep_encoder(&next, j);
	if (status == SN_OK) status = run_waves(&c, j, &next);
	if (status == SN_OK) sn_state_replace(keep, &next);
	else sn_state_clear(&next);
	return status;
}

/* ---- encoder-decoders: first the encoder's rows, then the decoder's, then, for gradients, the encoder's again ---- */

/* The parts of a plan that one run of one stack is for. */
typedef struct part { bool encoder, values, gradients; } part;

static bool tap_belongs(const sn_tap *tap, part which)
{
	if ((tap->at.stack == SN_STACK_ENCODER) != which.encoder) return false;
	return sn_is_gradient(tap->what) ? which.gradients : which.values;
}

/* The edits, taps and goals of a plan that a part has, in their order. */
static sn_status plan_of_part(sn_arena *arena, const sn_plan *plan, part which, sn_plan *out)
{
	sn_edit *edit;
	sn_tap *tap;
	*out = *plan;
	out->n_edit = out->n_tap = 0;
	if (which.encoder) out->n_goal = 0;
	SN_NEW(edit, arena, sn_edit, plan->n_edit);
	SN_NEW(tap, arena, sn_tap, plan->n_tap);
	for (int i = 0; i < plan->n_edit; i++)
		if ((plan->edit[i].at.stack == SN_STACK_ENCODER) == which.encoder) edit[out->n_edit++] = plan->edit[i];
	for (int i = 0; i < plan->n_tap; i++)
		if (tap_belongs(&plan->tap[i], which)) tap[out->n_tap++] = plan->tap[i];
	out->edit = edit;
	out->tap = tap;
	return SN_OK;
}

/* What encoder rows are compared with: what the rows that read them are. */
static sn_status references_of_encoder(sn_arena *arena, const job *j, const int32_t **out)
{
	const sn_batch *b = j->batch;
	int32_t *reference;
	*out = NULL;
	if (!j->plan->reference) return SN_OK;
	SN_TRY(sn_rule_check(sn_arena_ctx(arena), b, j->plan));
	SN_NEW(reference, arena, int32_t, b->enc->n);
	for (int32_t e = 0; e < b->enc->n; e++) reference[e] = e;
	for (int32_t i = 0; i < b->n; i++) {
		int32_t e = sn_enc_row(b, i), r = sn_enc_row(b, j->plan->reference[i]);
		if (reference[e] != r && reference[e] != e)
			return sn_fail(sn_arena_ctx(arena), SN_EARG, "encoder row %d is to be compared with rows %d and %d: give "
			               "each row one of its own", e, reference[e], r);
		reference[e] = r;
	}
	*out = reference;
	return SN_OK;
}

/* Rows that go on from kept ones read the encoder's rows that those read. */
static sn_status run_on(sn_arena *arena, const job *j)
{
	const sn_batch *b = j->batch;
	const sn_state *state = j->keep;
	int32_t *enc_row;
	sn_plan plan;
	SN_NEW(enc_row, arena, int32_t, b->n);
	for (int32_t i = 0; i < b->n; i++) {
		int32_t parent = b->parent[i];
		if (parent >= i || parent == -1 || (parent < 0 && -2 - parent >= state->n))
			return sn_fail(sn_arena_ctx(arena), SN_EARG, "row %d: without encoder rows (enc) every row goes on from "
			               "a kept one; its parent is %d", i, parent);
		enc_row[i] = parent >= 0 ? enc_row[parent] : state->row[-2 - parent].enc_row;
	}
	SN_TRY(plan_of_part(arena, j->plan, (part){ .values = true, .gradients = true }, &plan));
	if (plan.n_edit < j->plan->n_edit || plan.n_tap < j->plan->n_tap)
		return sn_fail(sn_arena_ctx(arena), SN_EARG, "an edit or tap is in the encoder, which does not run: its "
		               "rows are kept ones");
	sn_batch batch = *b;
	batch.enc = &state->encoder->batch;
	batch.enc_row = enc_row;
	sn_cross cross = { .batch = batch.enc, .memory = state->encoder->memory, .kept = state->encoder };
	SN_NEW(cross.seen, arena, bool, batch.enc->n);
	job decoder = *j;
	decoder.batch = &batch;
	decoder.plan = &plan;
	decoder.cross = &cross;
	return run_stack(arena, &decoder);
}

static sn_status run_both(sn_arena *arena, const job *j)
{
	const sn_batch *enc = j->batch->enc;
	sn_plan values, decoder_plan, gradients;
	float *memory, *seed = NULL;
	if (!enc && j->batch->parent && j->keep && j->keep->model == j->model && j->keep->encoder) return run_on(arena, j);
	SN_TRY(sn_encoder_check(sn_arena_ctx(arena), j->model, j->batch));
	SN_TRY(plan_of_part(arena, j->plan, (part){ .encoder = true, .values = true }, &values));
	SN_TRY(plan_of_part(arena, j->plan, (part){ .values = true, .gradients = true }, &decoder_plan));
	SN_TRY(plan_of_part(arena, j->plan, (part){ .encoder = true, .gradients = true }, &gradients));
	SN_TRY(references_of_encoder(arena, j, &gradients.reference));
	SN_NEW(memory, arena, float, enc->start[enc->n] * j->model->shape.d_model);
	if (gradients.n_tap) SN_NEW(seed, arena, float, enc->start[enc->n] * j->model->shape.d_model);
	SN_TRY(run_stack(arena, &(job){ .model = j->model->encoder, .batch = enc, .plan = &values, .output = memory }));
	sn_cross cross = { .batch = enc, .memory = memory };
	SN_NEW(cross.seen, arena, bool, enc->n);
	job decoder = *j;
	decoder.plan = &decoder_plan;
	decoder.cross = &cross;
	decoder.memory = seed;
	SN_TRY(run_stack(arena, &decoder));
	if (!gradients.n_tap) return SN_OK;
	return run_stack(arena, &(job){ .model = j->model->encoder, .batch = enc, .plan = &gradients, .output = memory,
	                                .seed = seed });
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
