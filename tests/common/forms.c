#include "common/forms.h"

#include <math.h>
#include <string.h>

/* Weights large enough that every term matters. */
static sn_status read_rows(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const forms_weights *w = arg;
	int64_t columns = sn_part_columns(&w->shape, part);
	const char *name = sn_part_name(part);
	bool vector = columns == 1 && part != SN_PART_REL_BIAS, bias = vector && strstr(name, "_B") != NULL;
	(void)ctx;
	for (int64_t i = 0; i < n_row; i++) {
		sn_rng rng = sn_rng_make(w->seed, sn_rng_bits((uint64_t)part, (uint64_t)layer, (uint64_t)(row0 + i)));
		for (int64_t j = 0; j < columns; j++) {
			double normal = sn_rng_normal(&rng);
			out[i * columns + j] =
				(float)(vector ? (bias ? 0.3 * normal : 1 + 0.3 * normal) : normal / sqrt((double)columns));
		}
	}
	return SN_OK;
}

static bool coin(sn_rng *rng) { return sn_rng_below(rng, 2) == 1; }

static sn_form random_form(sn_rng *rng)
{
	sn_form f = { .norm = coin(rng) ? SN_NORM_LAYER : SN_NORM_RMS, .pre_norm = coin(rng), .gated = coin(rng),
	              .act = (sn_act)sn_rng_below(rng, SN_ACTS), .bidirectional = sn_rng_below(rng, 4) == 0 };
	f.post_norm = !f.pre_norm && coin(rng);
	f.branch_norm = !f.post_norm && (!f.pre_norm || coin(rng));
	if (f.pre_norm) f.parallel = (sn_parallel)sn_rng_below(rng, 3);
	f.position = (sn_position_kind)sn_rng_below(rng, SN_POSITION_DISENTANGLED + 1);
	f.rope_interleaved = coin(rng);
	f.qk_norm = (sn_qk_norm)sn_rng_below(rng, SN_QK_NORM_ALL + 1);
	f.rel_bidirectional = f.bidirectional;
	f.c2p = f.p2c = true;
	f.alibi_scaled = coin(rng);
	if (coin(rng)) f.attn_softcap = 3;
	if (coin(rng)) f.logit_softcap = 5;
	if (coin(rng)) f.embed_scale = 2;
	return f;
}

static uint64_t random_parts(sn_rng *rng, const sn_form *f)
{
	uint64_t has = 0, none = 0;
	for (int p = 1; p < SN_PART_COUNT; p++) has |= UINT64_C(1) << p;
	for (int p = SN_PART_CROSS_NORM; p <= SN_PART_CROSS_O_B; p++) none |= UINT64_C(1) << p;
	none |= SN_PART_BIT(PROJECT) | SN_PART_BIT(PROJECT_B) | SN_PART_BIT(REL_Q_B) | SN_PART_BIT(REL_K_B);
	if (f->position != SN_POSITION_LEARNED) none |= SN_PART_BIT(POS_EMBED);
	if (f->position != SN_POSITION_DISENTANGLED || coin(rng)) none |= SN_PART_BIT(REL_Q) | SN_PART_BIT(REL_K);
	if (coin(rng)) none |= SN_PART_BIT(EMBED_NORM) | SN_PART_BIT(EMBED_NORM_B) | SN_PART_BIT(TYPE_EMBED);
	if (!f->pre_norm && !f->post_norm) none |= SN_PART_BIT(ATTN_NORM) | SN_PART_BIT(MLP_NORM);
	if (!f->branch_norm) none |= SN_PART_BIT(ATTN_POST_NORM) | SN_PART_BIT(MLP_POST_NORM);
	if (!f->qk_norm) none |= SN_PART_BIT(Q_NORM) | SN_PART_BIT(K_NORM);
	if (!f->gated) none |= SN_PART_BIT(GATE) | SN_PART_BIT(GATE_B);
	if (coin(rng)) none |= SN_PART_BIT(HEAD) | SN_PART_BIT(HEAD_B) | SN_PART_BIT(HEAD_NORM) | SN_PART_BIT(HEAD_NORM_B);
	if (coin(rng)) none |= SN_PART_BIT(Q_B) | SN_PART_BIT(V_B) | SN_PART_BIT(UNEMBED_B) | SN_PART_BIT(DOWN_B);
	return has & ~none;
}

sn_shape forms_random_shape(sn_rng *rng, sn_layer_kind *kind)
{
	sn_shape s = { .n_layer = FORMS_LAYERS,
				   .n_head = 4,
				   .n_kv_head = coin(rng) ? 2 : 4,
				   .d_head = 4,
				   .d_model = 16,
				   .d_mlp = 24,
				   .d_vocab = FORMS_VOCAB,
				   .n_ctx = 64,
				   .norm_eps = 1e-5,
				   .rope_base = 100,
				   .kind = kind,
				   .n_type = 2,
				   .n_bucket = 8,
				   .max_distance = 16,
				   .rel_span = 4,
				   .rel_buckets = 4 };
	s.form = random_form(rng);
	if (s.form.position == SN_POSITION_DISENTANGLED) s.n_kv_head = 4;
	s.tied = coin(rng);
	s.has = random_parts(rng, &s.form);
	if (coin(rng)) s.n_rot = 2;
	s.n_rope = 2;
	s.rope[0] = (sn_rope){ .base = 100 };
	s.rope[1] = (sn_rope){ .kind = (sn_rope_kind)sn_rng_below(rng, SN_ROPE_LONG),
						   .base = 50,
						   .factor = 4,
						   .original_ctx = 8,
						   .low_freq_factor = 1,
						   .high_freq_factor = 4 };
	for (int l = 0; l < FORMS_LAYERS; l++)
		kind[l] = (sn_layer_kind){ .window = coin(rng) ? 3 : 0, .rope = (int8_t)((int)sn_rng_below(rng, 4) - 1) };
	for (int l = 0; l < FORMS_LAYERS; l++)
		if (kind[l].rope > 1) kind[l].rope = 2;
	return s;
}


/* ---- cross-attention ---- */

static sn_form seq2seq_form(sn_rng *rng, bool decoder)
{
	sn_form f = random_form(rng);
	f.bidirectional = f.rel_bidirectional = !decoder;
	f.cross = decoder;
	f.parallel = SN_SERIAL;
	f.post_norm = !f.pre_norm;
	f.branch_norm = f.pre_norm && f.branch_norm;
	if (f.position == SN_POSITION_DISENTANGLED) f.position = SN_POSITION_LEARNED;
	return f;
}

static void give_form(sn_rng *rng, sn_shape *s, bool decoder)
{
	s->form = seq2seq_form(rng, decoder);
	s->has = random_parts(rng, &s->form);
	for (int p = SN_PART_CROSS_NORM; decoder && p <= SN_PART_CROSS_O_B; p++) s->has |= UINT64_C(1) << p;
	if (!s->form.pre_norm && !s->form.post_norm) s->has &= ~(SN_PART_BIT(CROSS_NORM) | SN_PART_BIT(CROSS_NORM_B));
}

/* ---- opening ---- */

sn_model *forms_model(sn_ctx *ctx, forms_weights *w, const sn_layer_kind *kind)
{
	sn_model *model;
	const sn_source source = { .arg = w, .read = read_rows };
	assert_ok(ctx, sn_shape_complete(ctx, &w->shape, "case"));
	w->shape.kind = kind;
	assert_ok(ctx, sn_model_make(&model, ctx, &w->shape, &source, NULL, NULL));
	return model;
}

void forms_open(forms_case *f, sn_ctx *ctx, uint64_t number, bool seq2seq)
{
	*f = (forms_case){ .ctx = ctx, .number = number, .rng = sn_rng_make(11, number) };
	assert_ok(ctx, sn_arena_open(&f->arena, ctx));
	for (int i = 0; i <= (int)seq2seq; i++) {   /* the decoder, then its encoder */
		f->w[i].seed = number + UINT64_C(1000003) * (uint64_t)i;
		f->w[i].shape = forms_random_shape(&f->rng, f->kind[i]);
		if (seq2seq) give_form(&f->rng, &f->w[i].shape, i == 0);
		sn_model *model = forms_model(ctx, &f->w[i], f->kind[i]);
		if (i == 0) f->model = model;
		else assert_ok(ctx, sn_model_set_encoder(ctx, f->model, model));
	}
}

void forms_close(forms_case *f)
{
	sn_model_close(f->model);
	sn_arena_close(f->arena);
}

sn_site forms_random_site(forms_case *f, sn_rng *rng, bool attention)
{
	for (;;) {
		sn_site site = { .kind = (uint16_t)(1 + sn_rng_below(rng, SN_SITE_COUNT - 1)), .stack = f->model->stack };
		sn_site_kind kind = (sn_site_kind)site.kind;
		if (!(f->model->sites >> kind & 1) || sn_site_of_encoder_rows(kind)) continue;
		if (sn_site_is_attention(kind) && !attention) continue;
		int n_layer = f->model->shape.n_layer;
		int16_t layer = (int16_t)sn_rng_below(rng, (uint64_t)n_layer);
		site.layer = 1;
		if (sn_site_stage(&site, n_layer) == 2) site.layer = layer;   /* a site of the blocks */
		else site.layer = 0;
		return site;
	}
}
