/* What must hold for gradients of weights in every form of the block and under every kind of edit: along a random
 * direction the derivative is the central difference of the score, with the weight itself moved. */
#include "common/gradient_trial.h"

#include "model/model.h"
#include "model/site.h"

#include <math.h>
#include <string.h>

enum { CASES = 150, WEIGHTS = 5, DISTANCE_CASES = 1500 };

/* The case's numbers, with those of one part of one block moved along a direction. */
typedef struct moved {
	sn_source own;
	sn_part part;
	int layer;
	const float *direction;   /* as in the source: [rows, columns] */
	int64_t columns;
	float step;
} moved;

static sn_status read_moved(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const moved *m = arg;
	SN_TRY(m->own.read(ctx, m->own.arg, part, layer, row0, n_row, out));
	if (part != m->part || (sn_part_per_layer(part) && layer != m->layer)) return SN_OK;
	for (int64_t i = 0; i < n_row * m->columns; i++) out[i] += m->step * m->direction[row0 * m->columns + i];
	return SN_OK;
}

static double score_at(trial *t, moved *m, float step)
{
	forms_case *f = t->f;
	sn_model *own = f->model;
	sn_source source = { .arg = m, .read = read_moved };
	m->step = step;
	assert_ok(f->ctx, sn_model_make(&f->model, f->ctx, &f->w[0].shape, &source, NULL, NULL));
	double score = trial_score(t, NULL, NULL);
	sn_model_close(f->model);
	f->model = own;
	return score;
}

/* g as sn_weight shapes it, direction as the source does. */
static double along(sn_matrix matrix, const float *g, const float *direction, int64_t rows, int64_t columns)
{
	double sum = 0;
	for (int64_t i = 0; i < rows; i++)
		for (int64_t j = 0; j < columns; j++)
			sum += (double)g[sn_weight_is_table(matrix) ? i * columns + j : j * rows + i] * direction[i * columns + j];
	return sum;
}

/* Returns whether the plan lets the weight have a gradient. */
static bool check_weight(trial *t, sn_matrix matrix, int layer)
{
	forms_case *f = t->f;
	sn_part part = sn_weight_part(f->model, matrix);
	int64_t rows = sn_part_rows(&f->w[0].shape, part), columns = sn_part_columns(&f->w[0].shape, part);
	int64_t n = rows * columns;
	double *score = SN_TAKE(f->arena, double, t->goals.n * TRIAL_ROWS);
	sn_weight_grad g = { .matrix = matrix, .layer = layer, .w = SN_TAKE(f->arena, float, n) };
	sn_plan plan = { .size = sizeof plan, .n_edit = t->n_edit, .edit = t->edit, .n_goal = t->goals.n,
	                 .goal = t->goals.goal };
	sn_status status = sn_weight_gradients(f->ctx, f->model, &t->batch, &plan, 1, &g, score);
	if (status == SN_EARG) return false;   /* edited results and scores, soft-caps over distances */
	assert_ok(f->ctx, status);
	moved m = { .own = f->model->source, .part = part, .layer = layer, .direction = trial_vector(f, n),
	            .columns = columns };
	float step = 0.1f / (float)trial_norm(m.direction, n);
	double expected = along(matrix, g.w, m.direction, rows, columns), found[2], base = trial_score(t, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		float h = step / (float)(i + 1);
		found[i] = (score_at(t, &m, h) - score_at(t, &m, -h)) / (2 * h);
	}
	double size = trial_norm(g.w, n) * trial_norm(m.direction, n) / sqrt((double)n);
	double noise = 4 * fabs(found[0] - found[1]) + 2e-6 * (1 + fabs(base)) / step;
	if (fabs(found[1] - expected) > 2e-3 * size + noise)
		fail_msg("case %d: weight %d of block %d: derivative %.7g, difference %.7g (%.7g at twice the step), size %.3g",
				 (int)f->number, (int)matrix, layer, expected, found[1], found[0], size);
	return true;
}

/* Shared numbers have other uses, whose derivatives are not asked for: a tied table, blocks of one group. */
static bool is_used_once(const forms_case *f, sn_matrix m)
{
	const sn_shape *s = &f->w[0].shape;
	if (!sn_has(s, sn_weight_part(f->model, m))) return false;
	if (m == SN_W_REL_BIAS && s->form.position != SN_POSITION_BUCKETS) return false;
	return !(s->tied && (m == SN_W_E || m == SN_W_U)) && sn_groups(s) == s->n_layer && !s->form.first_attn_bare;
}

static bool has_constant(const trial *t)
{
	for (int g = 0; g < t->goals.n; g++)
		if (t->goals.goal[g].metric == SN_KL) return true;   /* its reference row moves, too, with the weight */
	return false;
}

static void derivatives_are_differences(void **state)
{
	int checked[SN_W_COUNT] = { 0 }, kinds = 0;
	for (uint64_t number = 1; number <= CASES; number++) {
		forms_case f;
		forms_open(&f, test_ctx(state), number, false);
		trial t = trial_make(&f);
		for (int i = 0; i < WEIGHTS && trial_is_smooth(&f) && !has_constant(&t);) {
			sn_matrix m = (sn_matrix)(1 + sn_rng_below(&f.rng, SN_W_COUNT - 1));
			if (!is_used_once(&f, m)) continue;
			bool block = sn_part_per_layer(sn_weight_part(f.model, m));
			checked[m] += check_weight(&t, m, block ? (int)sn_rng_below(&f.rng, FORMS_LAYERS) : 0);
			i++;
		}
		forms_close(&f);
	}
	for (int m = 0; m < SN_W_COUNT; m++) kinds += checked[m] > 0;
	print_message("%d kinds of weights\n", kinds);
	assert_true(kinds > 15);
}

/* Forms in which nothing stands between DeBERTa's distances and scores are rare among random ones. */
static bool has_distances(const forms_case *f)
{
	const sn_form *form = &f->w[0].shape.form;
	return form->position == SN_POSITION_DISENTANGLED && form->qk_norm == SN_QK_NORM_NONE && !(form->attn_softcap > 0);
}

static void distances_are_differences(void **state)
{
	static const sn_matrix matrices[] = { SN_W_Q, SN_W_K, SN_W_REL_Q, SN_W_REL_K, SN_W_REL_EMBED, SN_W_REL_LN };
	int checked[6] = { 0 };
	for (uint64_t number = CASES + 1; number <= CASES + DISTANCE_CASES; number++) {
		forms_case f;
		forms_open(&f, test_ctx(state), number, false);
		if (has_distances(&f) && trial_is_smooth(&f)) {
			trial t = trial_make(&f);
			for (int i = 0; i < 6 && !has_constant(&t); i++) {
				if (!is_used_once(&f, matrices[i])) continue;
				checked[i] += check_weight(&t, matrices[i], i < 4 ? (int)sn_rng_below(&f.rng, FORMS_LAYERS) : 0);
			}
		}
		forms_close(&f);
	}
	for (int i = 0; i < 6; i++) assert_true(checked[i] > 3);
	print_message("%d queries, %d relative embeddings\n", checked[0], checked[4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(derivatives_are_differences),
		                                cmocka_unit_test(distances_are_differences) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
