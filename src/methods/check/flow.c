/* Does the computation hold together? Attention, the residual stream's sums, rows alone and together, later tokens. */
#include "methods/check/check.h"

#include <math.h>
#include <string.h>

static const double most_difference = 1e-5; /* relative: float32 arithmetic in another order */

/* ---- attention ---- */

typedef struct row_sums {
	double worst; /* largest |sum - 1| */
	int64_t n;
} row_sums;

static sn_status sums_take(sn_ctx *ctx, void *state, const sn_block *block)
{
	row_sums *s = state;
	(void)ctx;
	int64_t n_head = block->x.dim[0], n = block->x.dim[1];
	const float *x = block->x.data;
	for (int64_t h = 0; h < n_head; h++) {
		double sum = 0;
		for (int64_t k = 0; k < n; k++) sum += x[h * n + k];
		s->worst = fmax(s->worst, fabs(sum - 1));
		s->n++;
	}
	return SN_OK;
}

static const sn_sink sums_sink = { .size = sizeof(row_sums), .take = sums_take };

sn_status sn_check_attention(sn_check *c)
{
	static const char name[] = "attention sums to one";
	const sn_tokens *t = &c->text[c->best].tokens;
	sn_batch batch = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, t->n } };
	row_sums sums = { 0 };
	sn_tap *tap;
	int n = 0;
	SN_NEW(tap, c->arena, sn_tap, c->info->n_layer);
	for (int l = 0; l < c->info->n_layer; l++) {
		tap[n] = (sn_tap){ .where = { .sel = SN_ALL }, .sink = &sums_sink, .state = &sums };
		n += sn_check_site(c, &tap[n].at, "blocks.%d.attn.hook_pattern", l);
	}
	if (n == 0) return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "", "The model has no attention patterns");
	SN_TRY(sn_check_run(c, &batch, tap, n));
	return sn_check_say(c, name, sums.worst <= most_difference ? SN_VERDICT_OK : SN_VERDICT_WRONG, sums.worst,
						"largest deviation", "below 1e-05",
						sums.worst <= most_difference
							? "%lld rows"
							: "%lld rows. The softmax is wrong: this is a mistake in Sonde, please report it",
						(long long)sums.n);
}

/* ---- sums ---- */

/* The residual stream around one block; x NULL: the model has no such site. mid2: what the MLP's output is added to,
 * where that is not hook_resid_mid (blocks that norm the sum). */
typedef enum around { PRE, ATTN, MID, CROSS, MLP_IN, MLP, POST, NORMED, NEXT, AROUND } around;

static const char *const around_name[AROUND] = {
	[PRE] = "hook_resid_pre",    [ATTN] = "hook_attn_out",
	[MID] = "hook_resid_mid",    [CROSS] = "hook_resid_mid_cross",
	[MLP_IN] = "mlp.in.hook_in", [MLP] = "hook_mlp_out",
	[POST] = "hook_resid_post",  [NORMED] = "hook_normalized_resid_post",
	[NEXT] = "hook_resid_pre",
};

/* |a + b - sum| relative to sum; infinite where a site is missing. b NULL: 0. */
static double apart(const float *a, const float *b, const float *sum, int64_t n)
{
	if (!a || !sum) return INFINITY;
	double difference = 0, norm = 0;
	for (int64_t i = 0; i < n; i++) {
		double gap = (double)a[i] + (b ? b[i] : 0) - sum[i];
		difference += gap * gap;
		norm += (double)sum[i] * sum[i];
	}
	return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

/* hook_resid_pre + hook_attn_out + hook_mlp_out: branches side by side. */
static double apart_parallel(float *const *x, int64_t n, sn_arena *arena)
{
	float *both = x[PRE] && x[ATTN] ? SN_TAKE(arena, float, n) : NULL;
	for (int64_t i = 0; both && i < n; i++) both[i] = x[PRE][i] + x[ATTN][i];
	return apart(both, x[MLP], x[POST], n);
}

/* The worst of a block's sums, each in the form of its architecture; which: its name. */
static double worst_sum(float *const *x, int64_t n, sn_arena *arena, const char **which)
{
	double middle = x[MID] && x[ATTN] ? apart(x[PRE], x[ATTN], x[MID], n) : 0, end = 0, next = 0;
	if (x[MLP] && x[POST]) {
		end = fmin(apart(x[MID], x[MLP], x[POST], n), apart(x[MLP_IN], x[MLP], x[POST], n));
		end = fmin(end, apart(x[CROSS], x[MLP], x[POST], n));
		end = fmin(end, apart_parallel(x, n, arena));
	}
	if (x[NEXT] && x[POST]) next = fmin(apart(x[POST], NULL, x[NEXT], n), apart(x[NORMED], NULL, x[NEXT], n));
	*which = middle >= end && middle >= next ? "hook_resid_pre + hook_attn_out = hook_resid_mid"
			 : end >= next                   ? "hook_resid_mid + hook_mlp_out = hook_resid_post"
											 : "hook_resid_post = the next block's hook_resid_pre";
	return fmax(middle, fmax(end, next));
}

/* One block's sites kept, and its sums compared. */
static sn_status sums_of_block(sn_check *c, const sn_batch *batch, int l, double *worst, const char **which)
{
	sn_tap tap[AROUND];
	sn_keep keep[AROUND];
	float *x[AROUND] = { NULL };
	int n = 0;
	int64_t n_token = batch->start[1];
	for (int i = 0; i < AROUND; i++) {
		sn_site site;
		if (!sn_check_site(c, &site, "blocks.%d.%s", l + (i == NEXT), around_name[i])) continue;
		SN_TRY(sn_check_keep(c, &site, n_token, &keep[n], &tap[n]));
		if (keep[n].d == c->info->d_model) x[i] = keep[n++].x;
	}
	SN_TRY(sn_check_run(c, batch, tap, n));
	*worst = worst_sum(x, n_token * c->info->d_model, c->arena, which);
	return SN_OK;
}

/* Blocks are taken one by one, so that large models need no more memory than one block's sites. */
sn_status sn_check_sums(sn_check *c)
{
	static const char name[] = "residual sums add up";
	enum { FEW = 12 };
	const sn_tokens *t = &c->text[c->best].tokens;
	sn_batch batch = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, SN_MIN(t->n, (int64_t)FEW) } };
	double worst = 0;
	int block = 0;
	const char *which = "";
	for (int l = 0; l < c->info->n_layer; l++) {
		double here;
		const char *name_here;
		sn_mark mark = sn_arena_mark(c->arena);
		SN_TRY(sums_of_block(c, &batch, l, &here, &name_here));
		sn_arena_reset(c->arena, mark);
		if (here <= worst) continue;
		worst = here;
		block = l;
		which = name_here;
	}
	if (worst <= most_difference)
		return sn_check_say(c, name, SN_VERDICT_OK, worst, "largest relative difference", "below 1e-05", "%s", "");
	return sn_check_say(
		c, name, SN_VERDICT_WRONG, worst, "largest relative difference", "below 1e-05",
		"Worst in block %d: %s. The architecture scales a branch or norms a sum where its description says "
		"otherwise",
		block, which);
}

/* ---- rows ---- */

/* The last residual stream of a batch. */
static sn_status last_stream(sn_check *c, const sn_batch *batch, sn_keep *keep)
{
	sn_site site;
	sn_tap tap;
	if (!sn_check_site(c, &site, "blocks.%d.hook_resid_post", c->info->n_layer - 1))
		return sn_fail(c->ctx, SN_EINTERNAL, "the model has no hook_resid_post in its last block");
	SN_TRY(sn_check_keep(c, &site, batch->start[batch->n], keep, &tap));
	return sn_check_run(c, batch, &tap, 1);
}

static sn_status alone_and_together(sn_check *c)
{
	int64_t start[SN_CHECK_TEXTS + 1] = { 0 };
	int32_t *token;
	sn_keep all, one;
	double worst = 0;
	for (int i = 0; i < SN_CHECK_TEXTS; i++) start[i + 1] = start[i] + c->text[i].tokens.n;
	SN_NEW(token, c->arena, int32_t, start[SN_CHECK_TEXTS]);
	for (int i = 0; i < SN_CHECK_TEXTS; i++)
		memcpy(token + start[i], c->text[i].tokens.id, (size_t)c->text[i].tokens.n * sizeof *token);
	sn_batch batch = { .n = SN_CHECK_TEXTS, .token = token, .start = start };
	SN_TRY(last_stream(c, &batch, &all));
	for (int i = 0; i < SN_CHECK_TEXTS; i++) {
		sn_batch single = { .n = 1, .token = token + start[i], .start = (int64_t[]){ 0, start[i + 1] - start[i] } };
		SN_TRY(last_stream(c, &single, &one));
		worst = fmax(worst, sn_check_difference(all.x + start[i] * all.d, one.x, one.m * one.d));
	}
	return sn_check_say(c, "rows together as alone", worst <= most_difference ? SN_VERDICT_OK : SN_VERDICT_WRONG, worst,
						"largest relative difference", "below 1e-05",
						worst <= most_difference ? "%s"
												 : "%sRows leak into one another: this is a mistake in Sonde, please "
												   "report it",
						"");
}

/* The second half of the text replaced by other tokens: what stands before it may not change in a causal model, and
 * must in a bidirectional one. */
static sn_status later_tokens(sn_check *c)
{
	const sn_tokens *t = &c->text[c->best].tokens;
	int64_t n = t->n, half = n / 2;
	int32_t *other;
	sn_keep a, b;
	SN_NEW(other, c->arena, int32_t, n);
	memcpy(other, t->id, (size_t)n * sizeof *other);
	for (int64_t i = half; i < n; i++) other[i] = t->id[n - 1 - (i - half) % half];
	sn_batch one = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, n } }, two = one;
	two.token = other;
	SN_TRY(last_stream(c, &one, &a));
	SN_TRY(last_stream(c, &two, &b));
	double change = sn_check_difference(b.x, a.x, half * a.d);
	if (c->info->causal)
		return sn_check_say(c, "later tokens change nothing",
							change <= most_difference ? SN_VERDICT_OK : SN_VERDICT_WRONG, change, "relative change",
							"below 1e-05",
							change <= most_difference ? "%s" : "%sThe model is read as causal, but looks ahead", "");
	return sn_check_say(
		c, "later tokens are read", change > most_difference ? SN_VERDICT_OK : SN_VERDICT_WRONG, change,
		"relative change", "above 1e-05",
		change > most_difference ? "%s" : "%sThe model is read as bidirectional, but does not look ahead", "");
}

sn_status sn_check_batch(sn_check *c)
{
	SN_TRY(alone_and_together(c));
	if (c->text[c->best].tokens.n >= 4) return later_tokens(c);
	return sn_check_say(c, "later tokens", SN_VERDICT_SKIPPED, NAN, "", "", "The context is too short");
}
