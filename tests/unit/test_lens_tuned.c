/* sonde lens tuned: files that torch wrote are read and written back, derivatives are central differences', fits lessen
 * the divergence they fit. */
#include "common/method.h"

#include "methods/lens/fit.h"
#include "model/gather.h"
#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"
static const char texts[] = "The keys to the cabinet\nThe keys on the cabinet is\nkey on the key\nis are the the\n"
	"on the cabinet are\nThe key is on the cabinet\n";

enum { LAYERS, TRAINING };

/* ---- files ---- */

/* Every number of torch.save's file, and of ours made from it. */
static void files_are_tuned_lens_own(void **state)
{
	method_run r;
	sn_translators a, b;
	char folder[64] = "/tmp/sonde-lens-XXXXXX", path[96];
	method_open(&r, test_ctx(state), "lens", "tuned", TINY, "data.txt", texts);
	assert_ok(r.ctx, sn_translators_read(&a, r.ctx, r.model, SN_TESTS "/golden/lens/tuned", r.arena));
	int64_t d = a.d, n = a.n;
	for (int64_t l = 0; l < n; l++)   /* as tests/oracles/lens.py fills them */
		for (int64_t i = 0; i < d; i++) {
			assert_true(fabs(a.bias[l * d + i] - 0.01 * cos((double)(l + i))) < 1e-6);
			for (int64_t k = 0; k < d; k++)
				assert_true(fabs(a.weight[(l * d + i) * d + k] - 0.02 * sin((double)(3 * l + 7 * i + 2 * k))) < 1e-6);
		}
	assert_non_null(mkdtemp(folder));
	assert_ok(r.ctx, sn_translators_write(r.ctx, r.model, &a, folder));
	assert_ok(r.ctx, sn_translators_read(&b, r.ctx, r.model, folder, r.arena));
	assert_memory_equal(a.weight, b.weight, (size_t)(n * d * d) * sizeof *a.weight);
	assert_memory_equal(a.bias, b.bias, (size_t)(n * d) * sizeof *a.bias);
	for (int i = 0; i < 2; i++) {
		sn_format(path, sizeof path, "%s/%s", folder, i ? "params.pt" : "config.json");
		assert_int_equal(unlink(path), 0);
	}
	rmdir(folder);
	method_close(&r);
}

/* ---- derivatives ---- */

static void read_streams(method_run *r, sn_lens_streams *s)
{
	sn_tokens t;
	sn_lens_keep keep[8];
	sn_tap tap[8];
	int L = sn_model_get_info(r->model)->n_layer;
	static const char text[] = "The keys to the cabinet are on the key";
	assert_ok(r->ctx, sn_tokenize(r->ctx, sn_model_tokenizer(r->model), text, strlen(text), SN_ADD_SPECIAL, r->arena,
	                              &t));
	int64_t start[2] = { 0, t.n }, d = sn_model_get_info(r->model)->d_model;
	sn_batch batch = { .n = 1, .token = t.id, .start = start };
	*s = (sn_lens_streams){ t.n, L, d, SN_TAKE(r->arena, float, sn_gemm_room(t.n * (L + 1)) * d) };
	for (int l = 0; l <= L; l++) {
		keep[l] = (sn_lens_keep){ s->x, L + 1, l, d };
		tap[l] = (sn_tap){ .at = sn_boundary_site(r->model, l), .where = { .sel = SN_ALL }, .sink = &sn_lens_keep_sink,
		                   .state = &keep[l] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = L + 1, .tap = tap };
	assert_ok(r->ctx, sn_run(r->ctx, r->model, &batch, &plan, NULL, NULL));
}

/* Loss of every layer, by the sweep through the vocabulary. */
static void losses(method_run *r, const sn_translators *t, const sn_lens_streams *s, double *loss)
{
	int64_t group = s->n_layer + 1, m = s->n * group, d = s->d;
	float *x = SN_TAKE(r->arena, float, sn_gemm_room(m) *d), *h = SN_TAKE(r->arena, float, sn_gemm_room(m) *d);
	double *kl = SN_TAKE(r->arena, double, m);
	memcpy(x, s->x, (size_t)(m * d) * sizeof *x);
	assert_ok(r->ctx, sn_translators_apply(r->ctx, r->model, t, x, s->n, r->arena));
	assert_ok(r->ctx, sn_lens_head(r->ctx, r->model, x, m, h, r->arena));
	sn_vocabulary v = { .n = m, .x = h, .group = group, .kl = kl };
	assert_ok(r->ctx, sn_vocabulary_read(r->ctx, r->model, &v, r->arena));
	for (int l = 0; l < s->n_layer; l++) loss[l] = 0;
	for (int64_t i = 0; i < m; i++)
		if (i % group < s->n_layer) loss[i % group] += kl[i] / (double)s->n;
}

/* After one step of Adam from nothing, its first moment is a tenth of the gradient. */
static void gradients_are_central_differences(void **state)
{
	method_run r;
	sn_lens_streams s;
	sn_translators t;
	sn_lens_adam adam;
	double loss[8], high[8], low[8];
	method_open(&r, test_ctx(state), "lens", "tuned", TINY, "data.txt", texts);
	read_streams(&r, &s);
	int64_t d = s.d, size = d * d + d;
	assert_ok(r.ctx, sn_translators_read(&t, r.ctx, r.model, SN_TESTS "/golden/lens/tuned", r.arena));
	losses(&r, &t, &s, high);
	assert_ok(r.ctx, sn_lens_adam_open(&adam, r.ctx, r.model, &t, 0, 10, r.arena));   /* rate 0: nothing moves */
	assert_ok(r.ctx, sn_lens_step(r.ctx, r.model, &t, &s, &adam, loss, r.arena));
	for (int l = 0; l < t.n; l++) assert_true(fabs(loss[l] - high[l]) < 1e-5 * (1 + high[l]));
	for (int l = 0; l < t.n; l++) {
		double worst = 0, largest = 0;
		for (int64_t i = 0; i < size; i += 61) {
			float *w = i < d * d ? &t.weight[l * d * d + i] : &t.bias[l * d + i - d * d], kept = *w;
			*w = kept + 5e-3f;
			losses(&r, &t, &s, high);
			*w = kept - 5e-3f;
			losses(&r, &t, &s, low);
			*w = kept;
			double expected = (high[l] - low[l]) / 1e-2, found = 10 * adam.first[l * size + i];
			worst = fmax(worst, fabs(found - expected));
			largest = fmax(largest, fabs(expected));
		}
		if (!(worst < 1e-2 * largest)) fail_msg("layer %d: a derivative is off by %g of at most %g", l, worst, largest);
	}
	sn_lens_adam_close(&adam, r.model);
	method_close(&r);
}

/* ---- fits ---- */

/* Six texts of which one is held out: on the fitted ones least squares and then steps lessen the divergence. */
static void fits_lessen_what_they_fit(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "tuned", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "limit=4", "ridge=0.001", "steps=60", "rate=3e-4", "positions=64", NULL });
	int64_t L = sn_model_get_info(r.model)->n_layer;
	assert_int_equal(sn_result_rows(r.result, LAYERS), 3 * L);
	for (int64_t l = 0; l < L; l++) {
		double before = method_number(&r, LAYERS, l, "kl"), squares = method_number(&r, LAYERS, L + l, "kl");
		double tuned = method_number(&r, LAYERS, 2 * L + l, "kl");
		if (!(squares < before && tuned < squares))
			fail_msg("layer %d: %g, %g, %g bits", (int)l, before, squares, tuned);
	}
	method_go(&r, (const char *[]){ "init=identity", "steps=0", NULL });   /* nothing fitted: the logit lens */
	assert_int_equal(sn_result_rows(r.result, LAYERS), L);
	method_close(&r);
}

/* A lens of fewer layers, none, and a folder that cannot be made. */
static void what_cannot_be_is_refused(void **state)
{
	static const char *const wrong[][2] = {
		{ "continue=" SN_TESTS "/golden/lens", "params.pt" }, { "save=/nowhere/at/all", "cannot be made" },
	};
	method_run r, other;
	method_open(&r, test_ctx(state), "lens", "tuned", TINY, "data.txt", texts);
	for (int i = 0; i < SN_COUNT(wrong); i++) {
		assert_int_equal(method_status(&r, (const char *[]){ "steps=0", "init=identity", wrong[i][0], NULL }), SN_EIO);
		if (!strstr(sn_error(r.ctx), wrong[i][1])) fail_msg("%s: %s", wrong[i][0], sn_error(r.ctx));
	}
	method_close(&r);
	method_open_arch(&other, test_ctx(state), "lens", "logit", "gemma3", "data.txt", "the key\n");
	sn_status status = method_status(&other, (const char *[]){ "tuned=" SN_TESTS "/golden/lens/tuned", NULL });
	assert_int_equal(status, SN_ENOTFOUND);
	assert_non_null(strstr(sn_error(other.ctx), "no tensor 2.weight"));
	method_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_tuned_lens_own),
		cmocka_unit_test(gradients_are_central_differences),
		cmocka_unit_test(fits_lessen_what_they_fit),
		cmocka_unit_test(what_cannot_be_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
