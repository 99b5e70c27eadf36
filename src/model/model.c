/* Models: made from a shape and a source of numbers; blocks are packed when first used (pack.c). */
#include "model/model.h"

#include "io/parts.h"
#include "model/cost.h"
#include "model/site.h"
#include "text/tokenizer.h"

#include <math.h>
#include <string.h>

/* Matrices as packed; the embedding stays in the file, and is packed once as unembedding. */
static int64_t packed_bytes(const sn_shape *s, int bytes)
{
	int64_t n = sn_shape_parameters(s), embedding = s->d_vocab * s->d_embed;
	return bytes * (s->tied ? n : n - embedding);
}

/* ---- making ---- */

static sn_status copy_texts(sn_model *m)
{
	const char **const to[] = { &m->info.path, &m->info.name, &m->info.architecture, &m->info.format,
	                            &m->info.quantisation, &m->info.licence, &m->info.tokenizer, &m->info.training };
	for (int i = 0; i < SN_COUNT(to); i++)
		if (!(*to[i] = sn_arena_string(m->arena, *to[i] ? *to[i] : ""))) return SN_ENOMEM;
	return SN_OK;
}

/* The token that masked models were trained with, by the names that tokenizers give it. */
static int32_t find_mask(const sn_model *m)
{
	static const char *const names[] = { "[MASK]", "<mask>" };
	int32_t id = -1;
	for (int i = 0; m->shape.form.bidirectional && id < 0 && i < SN_COUNT(names); i++)
		id = sn_tokenizer_find(m->tokenizer, names[i]);
	return id < m->shape.d_vocab ? id : -1;
}

static sn_status fill_info(sn_model *m, const sn_model_info *from)
{
	const sn_shape *s = &m->shape;
	if (from) m->info = *from;
	else m->info.bos = m->info.eos = m->info.mask = m->info.decoder_start = -1;
	if (m->tokenizer) m->info.mask = find_mask(m);
	if (!m->info.architecture) m->info.architecture = s->arch->model_type ? s->arch->model_type : s->arch->gguf_name;
	SN_TRY(copy_texts(m));
	m->info.n_layer = s->n_layer;
	m->info.n_head = s->n_head;
	m->info.n_kv_head = s->n_kv_head;
	m->info.d_head = s->d_head;
	m->info.d_model = s->d_model;
	m->info.d_mlp = s->d_mlp;
	m->info.d_vocab = s->d_vocab;
	m->info.n_ctx = s->n_ctx;
	m->info.tied = s->tied;
	m->info.causal = !s->form.bidirectional;
	m->info.has_logits = sn_has_logits(s);
	m->info.n_parameter = sn_shape_parameters(s);
	m->info.step_bytes = sn_activation_bytes(s, sn_ctx_tokens_per_step(m->ctx));
	m->info.weight_bytes = packed_bytes(s, sn_precision_bytes(sn_gemm_precision(m->ctx)));
	return SN_OK;
}

/* What the shape points to becomes the model's own. */
static sn_status copy_arrays(sn_model *m)
{
	sn_shape *s = &m->shape;
	if (s->kind) {
		sn_layer_kind *kind;
		SN_NEW(kind, m->arena, sn_layer_kind, s->n_layer);
		memcpy(kind, s->kind, (size_t)s->n_layer * sizeof *kind);
		s->kind = kind;
	}
	for (int i = 0; i < 4; i++) {
		const float **from = &s->rope[i / 2].divisor[i % 2];
		float *to;
		if (!*from) continue;
		SN_NEW(to, m->arena, float, s->n_rot / 2);
		memcpy(to, *from, (size_t)(s->n_rot / 2) * sizeof *to);
		*from = to;
	}
	return SN_OK;
}

static void note_precision(sn_ctx *ctx)
{
	sn_precision asked = sn_ctx_precision(ctx);
	if (sn_gemm_precision(ctx) != asked)
		sn_note(ctx, "this processor has no bfloat16 instructions: f32 instead of %s", sn_precision_name(asked));
	else if (asked == SN_BF16X3_PRECISION && sn_bf16_unit() == SN_BF16_VECTOR)
		sn_note(ctx, "bf16x3 is for matrix units (AMX); on this processor f32 is faster and more exact");
}

static sn_status make(sn_model *m, const sn_model_info *info)
{
	sn_ctx *ctx = m->ctx;
	sn_shape *s = &m->shape;
	SN_TRY(sn_shape_complete(ctx, s, info && info->path && info->path[0] ? info->path : "model"));
	SN_TRY(sn_arena_open(&m->arena, ctx));
	SN_TRY(copy_arrays(m));
	SN_TRY(fill_info(m, info));
	SN_TRY(sn_gemm_open(&m->gemm, ctx));
	note_precision(ctx);
	m->kernels = sn_kernels_get();
	m->sites = sn_sites_of(s);
	SN_NEW(m->layer, m->arena, sn_layer, sn_groups(s));
	m->n_chunk = (int)((s->n_logit + SN_UNEMBED_CHUNK - 1) / SN_UNEMBED_CHUNK);
	return sn_model_need_ends(ctx, m);
}

sn_status sn_model_make(sn_model **out, sn_ctx *ctx, const sn_shape *shape, const sn_source *source,
                        sn_tokenizer *tokenizer, const sn_model_info *info)
{
	*out = NULL;
	sn_model *m = sn_alloc(ctx, sizeof *m);
	if (!m) {
		if (source->close) source->close(ctx, source->arg);
		sn_tokenizer_close(tokenizer);
		return SN_ENOMEM;
	}
	m->ctx = ctx;
	m->shape = *shape;
	m->source = *source;
	m->tokenizer = tokenizer;
	sn_status status = make(m, info);
	if (status == SN_OK) *out = m;
	else sn_model_close(m);
	return status;
}

static void mark_encoder(sn_model *encoder)
{
	encoder->stack = SN_STACK_ENCODER;
	encoder->sites &= ~(UINT64_C(1) << SN_SITE_UNEMBED_IN | UINT64_C(1) << SN_SITE_LOGITS);
}

sn_status sn_model_set_encoder(sn_ctx *ctx, sn_model *decoder, sn_model *encoder)
{
	const sn_shape *d = &decoder->shape, *e = &encoder->shape;
	if (!d->form.cross || !e->form.bidirectional || d->d_model != e->d_model) {
		sn_model_close(encoder);
		return sn_fail(ctx, SN_ESHAPE, "%s: an encoder of width %lld does not fit a decoder of width %lld",
		               decoder->info.path, (long long)e->d_model, (long long)d->d_model);
	}
	mark_encoder(encoder);
	decoder->stack = SN_STACK_DECODER;
	decoder->encoder = encoder;
	decoder->info.n_layer_encoder = e->n_layer;
	decoder->info.n_parameter += encoder->info.n_parameter - (e->d_vocab * e->d_embed);   /* the embedding is shared */
	decoder->info.weight_bytes += encoder->info.weight_bytes;
	return SN_OK;
}

void sn_model_close(sn_model *m)
{
	if (!m) return;
	sn_ctx *ctx = m->ctx;
	sn_model_close(m->encoder);
	sn_model_unpack(m);
	sn_gemm_close(m->gemm);
	if (m->source.close) m->source.close(ctx, m->source.arg);
	sn_tokenizer_close(m->tokenizer);
	sn_positions_free(m);
	sn_arena_close(m->arena);
	sn_free(ctx, m);
}

const sn_model_info *sn_model_get_info(const sn_model *model) { return &model->info; }
const sn_shape *sn_model_shape(const sn_model *model) { return &model->shape; }
const sn_tokenizer *sn_model_tokenizer(const sn_model *model) { return model->tokenizer; }

sn_status sn_model_hash(sn_ctx *ctx, sn_model *model)
{
	if (model->info.sha256[0] || !model->info.path[0]) return SN_OK;
	return sn_parts_hash(ctx, model->info.path, model->info.sha256);
}
