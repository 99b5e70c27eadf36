/* Bytes of steps, weights and kept rows. */
#include "model/cost.h"

#include "model/pass.h"
#include "model/site.h"

enum { BLOCK = SN_ARENA_GRAIN };

/* ---- rows ---- */

int64_t sn_cost_tokens(const sn_compiled *c, int32_t row)
{
	int32_t n = sn_row_length(c->batch, row), most = 0;
	for (int s = 0; s <= c->need[row]; s++) {
		int32_t first = sn_first_computed(c, row, s);
		if (first < n) most = SN_MAX(most, n - first);
	}
	return most;
}

static int64_t alternatives(const int64_t *start, int64_t i) { return start ? start[i + 1] - start[i] : 1; }

static void add_goals(const sn_compiled *c, sn_cost *sum, int32_t row)
{
	for (int g = 0; g < c->plan->n_goal; g++) {
		const sn_goal *goal = &c->plan->goal[g];
		const sn_places *p = &c->goal[g];
		if (goal->metric == SN_DOT) continue;
		for (int64_t i = sn_places_of_row(p, row); i < p->n && p->row[i] == row; i++) {
			int64_t index = c->goal_index[g][i];
			sum->places++;
			if (goal->metric == SN_KL) continue;
			sum->asks += goal->want ? alternatives(goal->want_start, index) : 1;
			if (goal->metric == SN_LOGIT_DIFF) sum->asks += alternatives(goal->foil_start, index);
		}
	}
}

void sn_cost_add(const sn_compiled *c, sn_cost *sum, int32_t row)
{
	int32_t n = sn_row_length(c->batch, row), last = sn_first_computed(c, row, c->n_stage - 1);
	sum->rows++;
	sum->tokens += sn_cost_tokens(c, row);
	if (last < n) sum->final += n - last;
	for (int32_t b = row; b >= 0; b = sn_parent_of(c->batch, b)) sum->segments++;
	sum->keys = SN_MAX(sum->keys, (int64_t)n);
	sum->edits += c->edit_start[row + 1] - c->edit_start[row];
	for (int64_t i = c->edit_start[row]; i < c->edit_start[row + 1]; i++) sum->sources += c->edit[i].from_row >= 0;
	add_goals(c, sum, row);
	if (!c->model->encoder) return;
	int32_t enc = sn_enc_row(c->batch, row), m = sn_row_length(c->batch->enc, enc);
	sum->keys = SN_MAX(sum->keys, (int64_t)m);
	if (sum->enc_row != enc + 1) sum->encoder += m;
	sum->enc_row = enc + 1;
}

/* ---- a step ---- */

static int64_t widest(const sn_shape *s) { return SN_MAX(SN_MAX(s->d_model, s->d_embed), s->d_head_out); }

static int64_t activation_floats(const sn_shape *s)
{
	int64_t heads = (int64_t)s->n_head * s->d_head;
	return 3 * widest(s) + sn_qkv_width(s) + SN_MAX(heads, s->d_head_out) + 3 * s->d_mlp + 1 +
		(s->form.parallel == SN_SERIAL ? 0 : 2 * s->d_model);
}

int64_t sn_activation_bytes(const sn_shape *s, int64_t m)
{
	return sn_gemm_room(m) * activation_floats(s) * (int64_t)sizeof(float) + 10 * BLOCK;
}

static int64_t attention_bytes(const sn_compiled *c, const sn_cost *sum)
{
	int64_t heads = c->model->shape.n_head, scores = sum->rows * heads * sum->keys * (int64_t)sizeof(float);
	int64_t lists = sum->rows * (int64_t)sizeof(void *) * 2 +
		(sum->segments + 2 * sum->rows) * (int64_t)sizeof(sn_segment) + sum->rows * BLOCK;
	int64_t observed = 4 * heads * sum->keys * (int64_t)sizeof(float) + sum->keys * (int64_t)sizeof(int32_t);
	return scores + lists + observed + 8 * BLOCK;
}

static int64_t width_of(const sn_compiled *c, const sn_site *site)
{
	return SN_MAX(sn_site_width(c->model, site), (int64_t)1);
}

void sn_cost_prepare(sn_compiled *c)
{
	for (int e = 0; e < c->plan->n_edit; e++) {
		const sn_edit *edit = &c->plan->edit[e];
		c->edit_width = SN_MAX(c->edit_width, width_of(c, &edit->at));
		c->edit_rank = SN_MAX(c->edit_rank, edit->U ? edit->U->dim[1] : 1);
	}
	for (int t = 0; t < c->plan->n_tap; t++) {
		int64_t width = width_of(c, &c->plan->tap[t].at);
		int64_t most = SN_MIN(c->tap[t].n * width, SN_MAX(width, (int64_t)SN_TAP_FLOATS));
		c->tap_floats = SN_MAX(c->tap_floats, most);
	}
}

/* Lists of places, values read from other rows, and one edit's working space. */
static int64_t edit_bytes(const sn_compiled *c, const sn_cost *sum)
{
	if (!c->edit_width) return 0;
	return 2 * sum->edits * (int64_t)sizeof(void *) + (sum->sources + 1) * c->edit_width * (int64_t)sizeof(float) +
		c->edit_rank * (int64_t)sizeof(double) + 5 * BLOCK;
}

static int64_t tap_bytes(const sn_compiled *c) { return c->tap_floats * (int64_t)sizeof(float) + BLOCK; }

/* What each head writes, where that is looked at. */
static int64_t result_bytes(const sn_compiled *c, const sn_cost *sum)
{
	const sn_shape *s = &c->model->shape;
	int64_t most = 0;
	for (int stage = 1; stage < c->n_stage - 1; stage++) {
		uint8_t touched = sn_touched(c, SN_SITE_RESULT, stage) | sn_touched(c, SN_SITE_CROSS_RESULT, stage);
		int64_t copies = touched & SN_TOUCH_EDIT ? 2 : touched ? 1 : 0;
		most = SN_MAX(most, copies);
	}
	int64_t matrix = s->d_model * s->n_head * s->d_head;
	return most ? (most * sum->tokens * s->n_head * s->d_model + matrix) * (int64_t)sizeof(float) + 3 * BLOCK : 0;
}

bool sn_needs_logits(const sn_compiled *c, bool *whole)
{
	bool any = *whole = sn_touched(c, SN_SITE_LOGITS, c->n_stage - 1) != 0;
	for (int g = 0; g < c->plan->n_goal; g++) {
		sn_metric m = c->plan->goal[g].metric;
		*whole |= m == SN_KL || (c->gradient && c->plan->reference && m != SN_DOT);
		any |= *whole || m == SN_KL || m == SN_LOSS || m == SN_LOGPROB;
	}
	return any;
}

static int64_t finish_bytes(const sn_compiled *c, const sn_cost *sum)
{
	const sn_shape *s = &c->model->shape;
	bool whole, any = sn_needs_logits(c, &whole);
	int64_t bytes = sum->places * 72 + sum->asks * (16 + (int64_t)sizeof(void *)) + s->d_head_out * 4 + 10 * BLOCK;
	int64_t room = sn_gemm_room(sum->final), chunk = room * SN_UNEMBED_CHUNK * (int64_t)sizeof(float);
	bytes += sum->final * (int64_t)sizeof(double);
	if (whole) return bytes + chunk + (sum->final + 2) * s->n_logit * (int64_t)sizeof(float);
	return any ? bytes + chunk + room * s->d_head_out * (int64_t)sizeof(float) + sum->final * 32 : bytes;
}

static int64_t cross_bytes(const sn_compiled *c, const sn_cost *sum)
{
	const sn_shape *s = &c->model->shape;
	if (!c->model->encoder) return 0;
	int64_t width = s->d_model + 2 * (int64_t)s->n_kv_head * s->d_head;
	return sn_gemm_room(sum->encoder) * width * (int64_t)sizeof(float) + c->batch->enc->n * 13 +
		sum->rows * (int64_t)sizeof(int32_t) + 6 * BLOCK;
}

/* What bfloat16 products split their rows into. */
static int64_t split_bytes(const sn_compiled *c)
{
	const sn_shape *s = &c->model->shape;
	int64_t k = SN_MAX(SN_MAX(widest(s), s->d_mlp), (int64_t)s->n_head * s->d_head);
	return sn_gemm_precision(c->ctx) == SN_F32_PRECISION ? 0 : 1024 * k * 4;
}

int64_t sn_cost_bytes(const sn_compiled *c, const sn_cost *sum)
{
	int64_t back = c->gradient ? sn_cost_back(c, sum) : 0;
	return back + sn_activation_bytes(&c->model->shape, SN_MAX(sum->tokens, 1)) + attention_bytes(c, sum) +
		edit_bytes(c, sum) + tap_bytes(c) + result_bytes(c, sum) + finish_bytes(c, sum) + cross_bytes(c, sum) +
		split_bytes(c);
}

/* ---- what stays ---- */

static int64_t packed(const sn_model *m, sn_part part)
{
	bool has = sn_has(&m->shape, part);
	return has ? sn_part_rows(&m->shape, part) * sn_part_columns(&m->shape, part) : 0;
}

int64_t sn_weight_bytes(const sn_model *m, int stage, bool logits, int back)
{
	static const sn_part in_block[] = { SN_PART_Q, SN_PART_K, SN_PART_V, SN_PART_O, SN_PART_CROSS_Q, SN_PART_CROSS_K,
	                                    SN_PART_CROSS_V, SN_PART_CROSS_O, SN_PART_GATE, SN_PART_UP, SN_PART_DOWN };
	const sn_shape *s = &m->shape;
	int64_t block = 0, most = 0, bytes = sn_precision_bytes(sn_gemm_precision(m->ctx));
	for (int i = 0; i < SN_COUNT(in_block); i++) block += packed(m, in_block[i]);
	most = SN_MAX(packed(m, SN_PART_Q) + packed(m, SN_PART_K) + packed(m, SN_PART_V),
	              packed(m, SN_PART_GATE) + packed(m, SN_PART_UP));
	int blocks = SN_MIN(SN_MAX(stage, 0), s->n_layer), groups = blocks ? sn_group_of(s, blocks - 1) + 1 : 0;
	int64_t ends = packed(m, SN_PART_PROJECT) + packed(m, SN_PART_HEAD);
	int64_t sum = (groups + SN_MIN(groups, back)) * block + (back ? 2 : 1) * ends;
	if (logits) sum += s->n_logit * s->d_head_out;
	return sum * bytes + most * (int64_t)sizeof(float);
}

int64_t sn_state_bytes(const sn_shape *s, int64_t tokens)
{
	int64_t kv = 2 * (int64_t)s->n_kv_head * s->d_head;
	return tokens * (s->n_layer * kv + (s->n_layer + 1) * s->d_model) * (int64_t)sizeof(float);
}
