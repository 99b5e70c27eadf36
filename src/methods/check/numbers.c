/* Are the numbers numbers? Weights, activations, and the epsilon that the norms add. */
#include "methods/check/check.h"

#include <math.h>
#include <string.h>

/* ---- weights ---- */

typedef struct matrix_name {
	sn_matrix matrix;
	const char *name;
	bool in_block;
} matrix_name;

static const matrix_name matrices[] = {
	{ SN_W_E, "embedding", false }, { SN_W_Q, "Q", true },         { SN_W_K, "K", true },
	{ SN_W_V, "V", true },          { SN_W_O, "O", true },         { SN_W_GATE, "gate", true },
	{ SN_W_IN, "MLP in", true },    { SN_W_OUT, "MLP out", true }, { SN_W_U, "unembedding", false },
};

static int64_t count_not_finite(const float *x, int64_t n)
{
	int64_t bad = 0;
	for (int64_t i = 0; i < n; i++) bad += !isfinite(x[i]);
	return bad;
}

/* Where the first number that is none stands; "" if there is none. */
typedef struct not_finite {
	int64_t n;
	char where[128];
} not_finite;

static void note(not_finite *found, int64_t n, const char *where)
{
	if (found->n == 0 && n > 0) sn_format(found->where, sizeof found->where, "%s", where);
	found->n += n;
}

/* A matrix that the architecture does not have is no mistake. */
static sn_status look_at(sn_check *c, const matrix_name *m, int layer, not_finite *found)
{
	sn_tensor w;
	char where[128];
	sn_mark mark = sn_arena_mark(c->arena);
	sn_status status = sn_weight(c->ctx, c->model, m->matrix, layer, -1, c->arena, &w);
	if (status == SN_OK) {
		sn_format(where, sizeof where, m->in_block ? "%s of block %d" : "%s", m->name, layer);
		note(found, count_not_finite(w.data, sn_tensor_count(&w)), where);
	}
	sn_arena_reset(c->arena, mark);
	return status == SN_EARG || status == SN_ENOTFOUND || status == SN_EUNKNOWN ? SN_OK : status;
}

static sn_status finite_weights(sn_check *c)
{
	not_finite found = { 0 };
	for (int i = 0; i < SN_COUNT(matrices); i++)
		for (int l = 0; l < (matrices[i].in_block ? c->info->n_layer : 1); l++) {
			SN_TRY(sn_poll(c->ctx));
			SN_TRY(look_at(c, &matrices[i], l, &found));
		}
	c->stop = found.n > 0;
	if (found.n == 0) return sn_check_say(c, "weights are finite", SN_VERDICT_OK, 0, "NaN or infinite", "0", "%s", "");
	return sn_check_say(
		c, "weights are finite", SN_VERDICT_WRONG, (double)found.n, "NaN or infinite", "0",
		"The first is in %s: the file is damaged, or was converted to a type too narrow for its weights "
		"(float16)",
		found.where);
}

/* ---- tied ---- */

static double largest_gap(const float *e, const float *u, int64_t n_vocab, int64_t d)
{
	double gap = 0;
	for (int64_t v = 0; v < n_vocab; v++)
		for (int64_t j = 0; j < d; j++) gap = fmax(gap, fabs((double)e[v * d + j] - u[j * n_vocab + v]));
	return gap;
}

static sn_status compare_tied(sn_check *c)
{
	static const char name[] = "unembedding as declared";
	sn_tensor e, u;
	SN_TRY(sn_weight(c->ctx, c->model, SN_W_E, 0, -1, c->arena, &e));
	SN_TRY(sn_weight(c->ctx, c->model, SN_W_U, 0, -1, c->arena, &u));
	if (e.dim[0] != u.dim[1] || e.dim[1] != u.dim[0])
		return sn_check_say(c, name, c->info->tied ? SN_VERDICT_WRONG : SN_VERDICT_OK, NAN, "",
							c->info->tied ? "the embedding" : "its own", "It has another shape than the embedding");
	double gap = largest_gap(e.data, u.data, e.dim[0], e.dim[1]);
	if (c->info->tied)
		return sn_check_say(c, name, gap == 0 ? SN_VERDICT_OK : SN_VERDICT_WRONG, gap, "largest difference",
							"0: tied to the embedding",
							gap == 0 ? "%s" : "%sThe file declares tied weights that differ", "");
	return sn_check_say(c, name, SN_VERDICT_OK, gap, "largest difference", "its own",
						gap == 0 ? "%sIt equals the embedding, though the file does not declare that" : "%s", "");
}

static sn_status tied(sn_check *c)
{
	static const char name[] = "unembedding as declared";
	static const double most = 1e9; /* numbers of both matrices and a copy: 4 GB */
	sn_site logits;
	if (!sn_check_site(c, &logits, "unembed.hook_out"))
		return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "", "The model has no unembedding");
	if (3.0 * (double)c->info->d_vocab * (double)c->info->d_model > most)
		return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "", "The matrices are too large to hold both");
	sn_status status = compare_tied(c);
	if (status != SN_EARG && status != SN_ENOTFOUND && status != SN_EUNKNOWN) return status;
	return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "", "The model has no such matrices");
}

sn_status sn_check_weights(sn_check *c)
{
	SN_TRY(finite_weights(c));
	return c->stop ? SN_OK : tied(c);
}

/* ---- activations ---- */

static sn_status count_take(sn_ctx *ctx, void *state, const sn_block *block)
{
	char where[128];
	(void)ctx;
	sn_site_format(&block->site, where, sizeof where);
	const float *x = block->x.data;
	int64_t bad = 0, n = sn_tensor_count(&block->x);
	bool scores = strstr(where, "attn_scores") != NULL; /* -inf is how a score is masked */
	for (int64_t i = 0; i < n; i++) bad += scores ? isnan(x[i]) || x[i] == INFINITY : !isfinite(x[i]);
	note(state, bad, where);
	return SN_OK;
}

static const sn_sink count_sink = { .size = sizeof(not_finite), .take = count_take };

static const struct {
	const char *name;
	bool in_block;
} kinds[] = {
#define SITE_KIND(kind, name, in_block, width) { name, in_block },
	SN_SITE_MAP(SITE_KIND)
#undef SITE_KIND
};

/* All sites of the model, in no matter what order: the one that fails first is the first that is computed. */
static sn_status all_sites(sn_check *c, sn_tap **tap, int *n_tap, not_finite *found)
{
	sn_site *site[SN_COUNT(kinds)];
	int n[SN_COUNT(kinds)] = { 0 }, total = 0;
	char name[96];
	for (int i = 0; i < SN_COUNT(kinds); i++) {
		sn_format(name, sizeof name, "%s%s", kinds[i].in_block ? "blocks.*." : "", kinds[i].name);
		sn_status status = sn_site_expand(c->ctx, c->model, name, c->arena, &site[i], &n[i]);
		if (status != SN_OK && status != SN_EARG) return status;
		if (status != SN_OK) n[i] = 0;
		total += n[i];
	}
	SN_NEW(*tap, c->arena, sn_tap, total);
	for (int i = 0; i < SN_COUNT(kinds); i++)
		for (int k = 0; k < n[i]; k++)
			(*tap)[(*n_tap)++] =
				(sn_tap){ .at = site[i][k], .where = { .sel = SN_ALL }, .sink = &count_sink, .state = found };
	return SN_OK;
}

sn_status sn_check_activations(sn_check *c)
{
	not_finite found = { 0 };
	sn_tap *tap;
	int n_tap = 0;
	const sn_tokens *t = &c->text[c->best].tokens;
	sn_batch batch = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, t->n } };
	SN_TRY(all_sites(c, &tap, &n_tap, &found));
	SN_TRY(sn_check_run(c, &batch, tap, n_tap));
	c->stop = found.n > 0;
	if (found.n == 0)
		return sn_check_say(c, "activations and logits are finite", SN_VERDICT_OK, 0, "NaN or infinite", "0",
							"%d sites, %lld tokens", n_tap, (long long)t->n);
	return sn_check_say(
		c, "activations and logits are finite", SN_VERDICT_WRONG, (double)found.n, "NaN or infinite", "0",
		"The first is at %s: a norm weight or bias of that block is damaged, or a number overflowed", found.where);
}

/* ---- the norms' epsilon ---- */

/* One place that a norm divides: the mean square (about the mean, for layer norm) of what it reads, and the square of
 * what it divides by. */
typedef struct place {
	double square[2], scale;
} place;

static place measure(const float *x, int64_t d, float scale)
{
	double sum = 0, square = 0;
	for (int64_t j = 0; j < d; j++) sum += x[j];
	for (int64_t j = 0; j < d; j++) square += (double)x[j] * x[j];
	double mean = sum / (double)d;
	return (place){ { square / (double)d, square / (double)d - mean * mean }, (double)scale * scale };
}

/* Epsilon of a norm that divides by the root of kind's square + epsilon, read where that square is smallest; NaN if the
 * places disagree, so that the norm reads something else. */
static double epsilon_of(const place *p, int64_t n, int kind)
{
	int64_t least = 0;
	for (int64_t i = 1; i < n; i++)
		if (p[i].scale < p[least].scale) least = i;
	double epsilon = p[least].scale - p[least].square[kind];
	for (int64_t i = 0; i < n; i++) {
		double apart = fabs(p[i].scale - p[i].square[kind] - epsilon);
		if (apart > 1e-5 * p[i].scale) return NAN;
	}
	return epsilon;
}

static sn_status measure_epsilon(sn_check *c, const sn_site *read, const sn_site *scale, double *epsilon)
{
	const sn_tokens *t = &c->text[c->best].tokens;
	sn_batch batch = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, t->n } };
	sn_keep x, s;
	sn_tap tap[2];
	place *p;
	SN_TRY(sn_check_keep(c, read, t->n, &x, &tap[0]));
	SN_TRY(sn_check_keep(c, scale, t->n, &s, &tap[1]));
	SN_TRY(sn_check_run(c, &batch, tap, 2));
	SN_NEW(p, c->arena, place, t->n);
	for (int64_t i = 0; i < t->n; i++) p[i] = measure(x.x + i * x.d, x.d, s.x[i]);
	*epsilon = epsilon_of(p, t->n, 0);
	if (isnan(*epsilon)) *epsilon = epsilon_of(p, t->n, 1);
	return SN_OK;
}

sn_status sn_check_epsilon(sn_check *c)
{
	static const char name[] = "epsilon of the norms", expected[] = "at most 0.001";
	static const double most = 1.5e-3;
	sn_site read, scale;
	double epsilon = NAN;
	if (sn_check_site(c, &read, "blocks.0.hook_resid_pre") && sn_check_site(c, &scale, "blocks.0.ln1.hook_scale"))
		SN_TRY(measure_epsilon(c, &read, &scale, &epsilon));
	if (isnan(epsilon))
		return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "",
							"The first norm does not read the residual stream");
	if (epsilon <= most) return sn_check_say(c, name, SN_VERDICT_OK, fmax(epsilon, 0), "", expected, "%s", "");
	return sn_check_say(
		c, name, SN_VERDICT_WRONG, epsilon, "", expected,
		"A wrong epsilon: models are trained with 1e-5 or less. Look at rms_norm_eps or layer_norm_eps in the "
		"file");
}
