/* The sweep through the vocabulary against double loops over all of it, where it has several chunks; and the lens of
 * every architecture's tiny model against transformers (tests/oracles/lens.py). */
#include "common/site_oracle.h"
#include "io/json.h"
#include "model/gather.h"
#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"

#include <math.h>
#include <string.h>

/* ---- a model that is all vocabulary ---- */

enum { D = 16, V = 9001, GROUP = 3, N = 7 * GROUP, TOP = 5, WANTS = 2 };

static sn_status read_part(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const sn_shape *shape = arg;
	int64_t columns = sn_part_columns(shape, part);
	(void)ctx, (void)layer;
	for (int64_t i = 0; i < n_row * columns; i++) {
		uint64_t draw = sn_rng_bits(7, (uint64_t)part, (uint64_t)(row0 * columns + i));
		out[i] = (float)((double)(draw >> 40) / (1 << 24) - 0.5) * 2;
	}
	return SN_OK;
}

static void open_wide(sn_model **model, sn_ctx *ctx, sn_shape *shape)
{
	*shape = (sn_shape){ .n_layer = 1, .n_head = 2, .n_kv_head = 2, .d_head = 8, .d_model = D, .d_mlp = 8,
	                     .d_vocab = V, .n_ctx = 16, .norm_eps = 1e-5, .rope_base = 1e4 };
	sn_source source = { .arg = shape, .read = read_part };
	assert_ok(ctx, sn_model_make(model, ctx, shape, &source, NULL, NULL));
}

typedef struct naive { double logit[V], lse; } naive;

static void compute(naive *out, const float *x, const float *w)
{
	double max = -INFINITY, sum = 0;
	for (int v = 0; v < V; v++) {
		out->logit[v] = 0;
		for (int i = 0; i < D; i++) out->logit[v] += (double)x[i] * w[v * D + i];
		max = fmax(max, out->logit[v]);
	}
	for (int v = 0; v < V; v++) sum += exp(out->logit[v] - max);
	out->lse = max + log(sum);
}

static void assert_near(double a, double b, double tolerance)
{
	if (!(fabs(a - b) <= tolerance * (1 + fabs(b)))) fail_msg("%.9g is not %.9g", a, b);
}

static void check_vector(const sn_vocabulary *ask, int i, const naive *own, const naive *reference)
{
	double entropy = 0, kl = 0, set = 0;
	for (int v = 0; v < V; v++) {
		double p = exp(own->logit[v] - own->lse), r = exp(reference->logit[v] - reference->lse);
		entropy -= p * (own->logit[v] - own->lse);
		kl += r * ((reference->logit[v] - reference->lse) - (own->logit[v] - own->lse));
		set += v % 3 == 0 ? p : 0;
	}
	assert_near(ask->lse[i], own->lse, 1e-5);
	assert_near(ask->entropy[i], entropy, 1e-5);
	assert_near(ask->kl[i], kl, 1e-5);
	assert_near(ask->set_logprob[i], log(set), 1e-5);
	for (int w = 0; w < WANTS; w++) {
		int32_t id = ask->want[i * WANTS + w];
		int64_t above = 0, near = 0;
		for (int v = 0; v < V; v++) {
			double gap = own->logit[v] - own->logit[id];
			above += gap > 0;
			near += v != id && fabs(gap) < 1e-5;
		}
		assert_near(ask->logit[i * WANTS + w], own->logit[id], 1e-5);
		assert_true(llabs(ask->rank[i * WANTS + w] - 1 - above) <= near);
	}
	for (int k = 0; k < TOP; k++) {   /* as many are greater (smaller) as stand before it */
		int64_t above = 0, below = 0;
		for (int v = 0; v < V; v++) {
			above += own->logit[v] > own->logit[ask->top_id[i * TOP + k]];
			below += own->logit[v] < own->logit[ask->bottom_id[i * TOP + k]];
		}
		assert_int_equal(above, k);
		assert_int_equal(below, k);
		assert_near(ask->top_logit[i * TOP + k], own->logit[ask->top_id[i * TOP + k]], 1e-5);
		assert_near(ask->bottom_logit[i * TOP + k], own->logit[ask->bottom_id[i * TOP + k]], 1e-5);
	}
}

static void sweeps_agree_with_loops(void **state)
{
	static float x[32 * D], w[V * D];
	static uint8_t set[V];
	static naive own[GROUP];
	sn_ctx *ctx = test_ctx(state);
	sn_model *model;
	sn_shape shape;
	sn_arena *arena;
	double lse[N], entropy[N], kl[N], set_logprob[N], logit[N * WANTS], top_logit[N * TOP], bottom_logit[N * TOP];
	int32_t want[N * WANTS], top_id[N * TOP], bottom_id[N * TOP];
	int64_t rank[N * WANTS];
	open_wide(&model, ctx, &shape);
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, read_part(ctx, &shape, SN_PART_UNEMBED, 0, 0, V, w));
	for (int i = 0; i < N * D; i++) x[i] = (float)sin(1.7 * i) * (i < 3 * GROUP * D ? 3 : 0.4f);
	for (int v = 0; v < V; v++) set[v] = v % 3 == 0;
	for (int i = 0; i < N * WANTS; i++) want[i] = i * 4241 % V;
	sn_vocabulary ask = { .n = N, .x = x, .n_want = WANTS, .want = want, .set = set, .top = TOP, .group = GROUP,
	                      .lse = lse, .logit = logit, .rank = rank, .entropy = entropy, .set_logprob = set_logprob,
	                      .kl = kl, .top_id = top_id, .top_logit = top_logit, .bottom_id = bottom_id,
	                      .bottom_logit = bottom_logit };
	assert_ok(ctx, sn_vocabulary_read(ctx, model, &ask, arena));
	for (int g = 0; g < N; g += GROUP) {
		for (int k = 0; k < GROUP; k++) compute(&own[k], x + (g + k) * D, w);
		for (int k = 0; k < GROUP; k++) check_vector(&ask, g + k, &own[k], &own[GROUP - 1]);
		assert_true(kl[g + GROUP - 1] == 0);
	}
	want[3] = V;
	assert_int_equal(sn_vocabulary_read(ctx, model, &ask, arena), SN_EARG);
	sn_arena_close(arena);
	sn_model_close(model);
}

/* ---- the lens of every architecture ---- */

enum { MAX_LAYERS = 8, BEST = 3 };

typedef struct lens { int n_layer; int64_t n; float *h; sn_vocabulary read; } lens;

static sn_status read_lens(site_oracle *o, lens *l, int32_t token)
{
	int64_t n_place = o->batch.start[1], d = o->model->shape.d_model;
	sn_lens_keep keep[MAX_LAYERS];
	sn_tap tap[MAX_LAYERS];
	float *x;
	int32_t *want;
	l->n_layer = sn_model_get_info(o->model)->n_layer + 1;
	l->n = n_place * l->n_layer;
	SN_NEW(x, o->arena, float, sn_gemm_room(l->n) * d);
	SN_NEW(l->h, o->arena, float, sn_gemm_room(l->n) * o->model->shape.d_head_out);
	SN_NEW(want, o->arena, int32_t, l->n);
	assert_true(l->n_layer <= MAX_LAYERS);
	for (int i = 0; i < l->n_layer; i++) {
		keep[i] = (sn_lens_keep){ x, l->n_layer, i, d };
		tap[i] = (sn_tap){ .at = sn_boundary_site(o->model, i), .where = { .sel = SN_ALL, .n_row = 1 },
		                   .sink = &sn_lens_keep_sink, .state = &keep[i] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = l->n_layer, .tap = tap };
	SN_TRY(sn_run(o->ctx, o->model, &o->batch, &plan, NULL, NULL));
	SN_TRY(sn_lens_head(o->ctx, o->model, x, l->n, l->h, o->arena));
	for (int64_t i = 0; i < l->n; i++) want[i] = token;
	l->read = (sn_vocabulary){ .n = l->n, .x = l->h, .n_want = 1, .want = want, .top = BEST, .group = l->n_layer };
	SN_NEW(l->read.lse, o->arena, double, l->n);
	SN_NEW(l->read.entropy, o->arena, double, l->n);
	SN_NEW(l->read.kl, o->arena, double, l->n);
	SN_NEW(l->read.logit, o->arena, double, l->n);
	SN_NEW(l->read.rank, o->arena, int64_t, l->n);
	SN_NEW(l->read.top_id, o->arena, int32_t, l->n * BEST);
	SN_NEW(l->read.top_logit, o->arena, double, l->n * BEST);
	return sn_vocabulary_read(o->ctx, o->model, &l->read, o->arena);
}

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static void check_cell(const char *name, const lens *l, int layer, int64_t position, const json_t *cell)
{
	int64_t i = position * l->n_layer + layer;
	const sn_vocabulary *r = &l->read;
	double error = fabs(r->entropy[i] - number(cell, "entropy"));
	error = fmax(error, fabs(r->kl[i] - number(cell, "kl")));
	error = fmax(error, fabs(r->logit[i] - r->lse[i] - number(cell, "logprob")));
	for (int k = 0; k < BEST; k++) {
		int32_t id = (int32_t)json_integer_value(json_array_get(json_object_get(cell, "top"), (size_t)k));
		double gap =
			k && r->top_id[i * BEST + k] != id ? r->top_logit[i * BEST + k - 1] - r->top_logit[i * BEST + k] : 0;
		if (r->top_id[i * BEST + k] != id && !(gap < 1e-4))
			fail_msg("%s, layer %d, position %d: choice %d is %d, expected %d", name, layer, (int)position, k,
			         r->top_id[i * BEST + k], id);
	}
	if (!(error < 1e-4)) fail_msg("%s, layer %d, position %d: off by %g", name, layer, (int)position, error);
	assert_int_equal(r->rank[i], (int64_t)number(cell, "rank"));
}

/* What the last layer's lens reads is what the model's own unembedding reads, bit for bit. */
static void check_end(site_oracle *o, const lens *l)
{
	int64_t n = o->batch.start[1], d = o->model->shape.d_head_out;
	float *own = SN_TAKE(o->arena, float, n *d);
	sn_keep keep = { own, n, d };
	sn_tap tap = { .at = { .kind = SN_SITE_UNEMBED_IN }, .where = { .sel = SN_ALL, .n_row = 1 },
	               .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_ok(o->ctx, sn_run(o->ctx, o->model, &o->batch, &plan, NULL, NULL));
	for (int64_t i = 0; i < n; i++)
		assert_memory_equal(own + i * d, l->h + (i * l->n_layer + l->n_layer - 1) * d, (size_t)d * sizeof *own);
}

static void lenses_agree_with_transformers(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *doc;
	assert_ok(ctx, sn_json_load(&doc, ctx, SN_TESTS "/golden/lens/logit.json", 0));
	json_t *layers, *cell, *layer;
	const char *name;
	json_object_foreach(json_object_get(doc->root, "models"), name, layers) {
		char folder[256];
		site_oracle o;
		lens l;
		size_t i, p;
		sn_format(folder, sizeof folder, SN_TESTS "/golden/arch/%s", name);
		site_oracle_open(&o, ctx, folder, sn_ends_with(name, "-gguf") ? "model.gguf" : "");
		assert_ok(ctx, read_lens(&o, &l, (int32_t)number(doc->root, "want")));
		assert_int_equal(l.n_layer, json_array_size(layers));
		json_array_foreach(layers, i, layer)
			json_array_foreach(layer, p, cell) check_cell(name, &l, (int)i, (int64_t)p, cell);
		check_end(&o, &l);
		site_oracle_close(&o);
	}
	sn_json_close(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sweeps_agree_with_loops),
		cmocka_unit_test(lenses_agree_with_transformers),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
