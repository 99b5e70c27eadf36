#include "common/gradient_trial.h"

#include "model/site.h"

#include <math.h>
#include <string.h>

sn_batch trial_rows(forms_case *f)
{
	int32_t *token = SN_TAKE(f->arena, int32_t, TRIAL_ROWS * TRIAL_LEN);
	int64_t *start = SN_TAKE(f->arena, int64_t, TRIAL_ROWS + 1);
	for (int b = 0; b < TRIAL_ROWS; b++) start[b + 1] = start[b] + TRIAL_LEN - b;
	for (int i = 0; i < TRIAL_ROWS * TRIAL_LEN; i++) token[i] = (int32_t)sn_rng_below(&f->rng, FORMS_VOCAB);
	return (sn_batch){ .n = TRIAL_ROWS, .token = token, .start = start };
}

float *trial_vector(forms_case *f, int64_t n)
{
	float *x = SN_TAKE(f->arena, float, n);
	for (int64_t i = 0; i < n; i++) x[i] = (float)sn_rng_normal(&f->rng);
	return x;
}

double trial_norm(const float *x, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
	return sqrt(sum);
}

/* ---- goals: each metric in turn ---- */

static trial_goals random_goals(forms_case *f)
{
	static const int32_t want[] = { 3, 17, 29 }, foil[] = { 5, 8 }, ref[TRIAL_ROWS] = { 1, 1, 1, 1 };
	static const int64_t want_start[] = { 0, 3 }, foil_start[] = { 0, 2 };
	static const float weight[TRIAL_ROWS] = { 1, -0.5f, 2, 1 };
	trial_goals g = { .n = 1 };
	sn_where last = { .sel = SN_LAST }, early = { .sel = SN_AT, .arg = 1 };
	switch (sn_rng_below(&f->rng, 5)) {
	case 0: g.goal[0] = (sn_goal){ .metric = SN_LOSS, .where = { .sel = SN_ALL }, .weight = weight }; break;
	case 1:
		g.goal[0] =
			(sn_goal){ .metric = SN_LOGPROB, .where = last, .want = want, .n_want = 1, .want_start = want_start };
		break;
	case 2:
		g.goal[0] = (sn_goal){ .metric = SN_LOGIT_DIFF, .where = last, .want = want, .n_want = 1,
		                       .want_start = want_start, .foil = foil, .foil_start = foil_start, .weight = weight };
		break;
	case 3: g.goal[0] = (sn_goal){ .metric = SN_KL, .where = early, .ref_row = ref }; break;
	default: g.goal[0] = (sn_goal){ .metric = SN_LOGIT, .where = early, .want = want, .n_want = 1 };
	}
	if (sn_rng_below(&f->rng, 3) == 0) {   /* and a projection somewhere inside */
		sn_site at = forms_random_site(f, &f->rng, false);
		sn_tensor *dir = SN_TAKE(f->arena, sn_tensor, 1);
		*dir = sn_tensor_f32(trial_vector(f, sn_site_width(f->model, &at)), -1, sn_site_width(f->model, &at));
		g.goal[g.n++] = (sn_goal){ .metric = SN_DOT, .at = at, .where = last, .dir = dir };
	}
	return g;
}

/* ---- edits of every kind ---- */

static const sn_tensor *matrix(forms_case *f, int64_t d, int64_t k)
{
	sn_tensor *t = SN_TAKE(f->arena, sn_tensor, 1);
	*t = sn_tensor_f32(trial_vector(f, d * k), d, k);
	for (int64_t i = 0; i < d * k; i++) ((float *)t->data)[i] *= 0.3f;
	return t;
}

static sn_edit plain_edit(forms_case *f)
{
	static const int32_t from[TRIAL_ROWS] = { 2, -1, -1, 0 };
	static const float alpha[TRIAL_ROWS] = { 0.5f, 1, 0.3f, 0.7f };
	sn_edit e = { .at = forms_random_site(f, &f->rng, false), .where = { .sel = SN_AT, .arg = 2 },
		          .alpha = alpha, .n_alpha = TRIAL_ROWS };
	int64_t d = sn_site_width(f->model, &e.at);
	switch (sn_rng_below(&f->rng, 4)) {
	case 0: e.op = SN_OP_ZERO; break;
	case 1: e.op = SN_OP_NOISE; break;
	default:
		e.op = SN_OP_SET;
		e.src_row = from;
	}
	if (d > 2 && e.op == SN_OP_SET && sn_rng_below(&f->rng, 2)) {
		e.U = matrix(f, d, 2);
		e.V = matrix(f, d, 2);
	}
	return e;
}

static sn_edit attention_edit(forms_case *f)
{
	static const int32_t from[TRIAL_ROWS] = { 1, -1, -1, -1 };
	static const float half = 0.5f;
	bool pattern = sn_rng_below(&f->rng, 2);
	sn_edit e = { .at = { .kind = pattern ? SN_SITE_PATTERN : SN_SITE_ATTN_SCORES,
						  .layer = (int16_t)sn_rng_below(&f->rng, FORMS_LAYERS),
						  .head = (int16_t)sn_rng_below(&f->rng, 3) },
				  .where = { .sel = SN_AT, .arg = 2 },
				  .alpha = &half,
				  .n_alpha = 1 };
	bool alike = !f->w[0].shape.form.bidirectional;   /* attention is set from rows with as many keys */
	if (alike && sn_rng_below(&f->rng, 2)) {
		e.op = SN_OP_SET;
		e.src_row = from;
	} else if (pattern) {
		e.op = SN_OP_ZERO;
	} else {
		e.op = SN_OP_BLOCK;
	}
	if (e.op != SN_OP_SET) e.key = (sn_where){ .sel = SN_AT, .arg = 1 };
	return e;
}

double trial_score(trial *t, const sn_edit *push, sn_tap *tap)
{
	double *score = SN_TAKE(t->f->arena, double, t->goals.n *TRIAL_ROWS), sum = 0;
	sn_edit edit[5];
	int first = push && t->push_first;
	memcpy(edit + first, t->edit, sizeof t->edit);
	if (push) edit[first ? 0 : t->n_edit] = *push;
	sn_plan plan = { .size = sizeof plan, .n_edit = t->n_edit + !!push, .edit = edit, .n_goal = t->goals.n,
	                 .goal = t->goals.goal, .n_tap = !!tap, .tap = tap, .rule = t->rule };
	assert_ok(t->f->ctx, sn_run(t->f->ctx, t->f->model, &t->batch, &plan, NULL, score));
	for (int i = 0; i < t->goals.n * TRIAL_ROWS; i++) sum += score[i];
	return sum;
}

bool trial_is_smooth(const forms_case *f) { return f->w[0].shape.form.act != SN_ACT_RELU; }

trial trial_make(forms_case *f)
{
	trial t = { .f = f, .batch = trial_rows(f), .goals = random_goals(f) };
	for (int i = 0; i < 2; i++) t.edit[t.n_edit++] = plain_edit(f);
	if (sn_rng_below(&f->rng, 2)) t.edit[t.n_edit++] = attention_edit(f);
	if (sn_rng_below(&f->rng, 3) == 0) t.n_edit = 0;
	return t;
}

