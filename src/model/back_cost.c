/* What the way down takes in memory, reckoned before it begins: beside what it goes through, block by block. */
#include "model/back.h"

#include "model/cost.h"
#include "model/finish.h"
#include "model/site.h"

static int64_t floats(int64_t n) { return n * (int64_t)sizeof(float) + SN_ARENA_GRAIN; }

static int saved_blocks(const sn_compiled *c) { return c->model->shape.n_layer + 1 - SN_MAX(c->first_back, 1); }

static int64_t stream_bytes(const sn_compiled *c, const sn_cost *sum)
{
	return floats(sum->tokens * c->model->shape.d_model);
}

static int64_t trace_bytes(const sn_compiled *c, const sn_cost *sum)
{
	return sn_trace_bytes(&c->model->shape, sum->tokens, sum->encoder);
}

static int64_t widest(const sn_shape *s) { return SN_MAX(SN_MAX(s->d_model, s->d_embed), s->d_head_out); }

/* Norms outside the blocks, and derivatives. */
static int64_t ends_bytes(const sn_shape *s, int64_t m)
{
	int64_t room = sn_gemm_room(m);
	return floats(m * (sn_sum_width(s) + s->d_model + s->d_head_out + 7)) + 8 * SN_ARENA_GRAIN +
		floats(room * (2 * s->d_head_out + 2 * widest(s) + sn_qkv_width(s) + 2)) + 6 * SN_ARENA_GRAIN +
		2 * s->n_layer * ((int64_t)sizeof(sn_trace) + SN_ARENA_GRAIN);
}

/* ---- one block's working space ---- */

static bool is_touched(const sn_compiled *c, sn_site_kind kind, int bits)
{
	int touched = 0;
	for (int s = 0; s < c->n_stage; s++) touched |= sn_touched(c, kind, s);
	return (touched & bits) != 0;
}

static bool sees_maps(const sn_compiled *c)
{
	static const sn_site_kind maps[] = { SN_SITE_ATTN_SCORES, SN_SITE_PATTERN, SN_SITE_CROSS_SCORES,
	                                     SN_SITE_CROSS_PATTERN };
	bool any = false;
	for (int i = 0; i < SN_COUNT(maps); i++) any |= is_touched(c, maps[i], SN_TOUCH_EDIT | SN_TOUCH_GRAD);
	return any;
}

static int64_t attention_bytes(const sn_compiled *c, const sn_cost *sum)
{
	int64_t heads = c->model->shape.n_head, threads = sn_ctx_threads(c->ctx), row = heads * sum->keys;
	int64_t rows = c->plan->rule & SN_RULE_RESCALE ? 3 * SN_BACK_QUERIES + 3 : 2 * SN_BACK_QUERIES + 1;
	int64_t plain = floats(rows * sum->keys * threads);
	int64_t observed = floats((sum->tokens + sum->edits + 2 + heads) * row) + sum->edits * (int64_t)sizeof(void *);
	return sees_maps(c) ? plain + observed : plain;
}

static int64_t results_bytes(const sn_compiled *c, const sn_cost *sum)
{
	const sn_shape *s = &c->model->shape;
	bool any = is_touched(c, SN_SITE_RESULT, ~0) || is_touched(c, SN_SITE_CROSS_RESULT, ~0);
	return any ? floats(sum->tokens * s->n_head * s->d_model) + floats(s->d_model * s->n_head * s->d_head) : 0;
}

/* A row of the buffer that holds a site. */
static int64_t stride_of(const sn_shape *s, sn_site_kind kind)
{
	switch (sn_site_letter(kind)) {
	case 'Q':
	case 'K': return sn_qkv_width(s) + 2 * (int64_t)s->n_kv_head * s->d_head;
	case 'M': return 2 * s->d_mlp;
	case 'R': return s->n_head * s->d_model;
	case 'U': return s->n_logit;
	default: return widest(s);
	}
}

static int64_t edits_bytes(const sn_compiled *c, const sn_cost *sum)
{
	int64_t most = 0;
	for (int e = 0; e < c->plan->n_edit; e++)
		most = SN_MAX(most, stride_of(&c->model->shape, (sn_site_kind)c->plan->edit[e].at.kind));
	return floats(sum->edits * most);
}

static int64_t finish_bytes(const sn_compiled *c, const sn_cost *sum)
{
	const sn_shape *s = &c->model->shape;
	bool whole;
	if (!sn_needs_logits(c, &whole) && !whole) return floats(s->d_head_out);
	int64_t room = c->plan->rule & SN_RULE_RESCALE ? floats(s->n_logit * (sn_ctx_threads(c->ctx) + sum->final)) : 0;
	return floats(sum->final * s->n_logit) + floats(SN_UNEMBED_CHUNK * s->d_head_out) + room;
}

static int64_t cross_bytes(const sn_compiled *c, const sn_cost *sum)
{
	const sn_shape *s = &c->model->shape;
	if (!c->model->encoder) return 0;
	return floats(sn_gemm_room(sum->encoder) * (2 * (int64_t)s->n_kv_head * s->d_head + s->d_model));
}

/* ---- the sums ---- */

int64_t sn_cost_back(const sn_compiled *c, const sn_cost *sum)
{
	int blocks = saved_blocks(c);
	int64_t bytes = ends_bytes(&c->model->shape, sum->tokens) + attention_bytes(c, sum) + results_bytes(c, sum) +
		edits_bytes(c, sum) + finish_bytes(c, sum) + cross_bytes(c, sum) + floats(sum->tokens);
	return blocks > 0 ? bytes + trace_bytes(c, sum) + blocks * stream_bytes(c, sum) : bytes;
}

int64_t sn_cost_saving(const sn_compiled *c, const sn_cost *sum)
{
	int blocks = saved_blocks(c);
	if (!c->gradient || blocks <= 0) return 0;
	return (blocks - 1) * trace_bytes(c, sum) - blocks * stream_bytes(c, sum);
}
