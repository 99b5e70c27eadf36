/* Capturing activations. */
#include "model/capture.h"

#include "io/safetensors.h"
#include "model/model.h"
#include "model/site.h"

/* Where one tap's rows go. */
typedef struct target { sn_safetensors_writer *writer; int id; } target;

struct sn_capture {
	sn_ctx *ctx;
	sn_model *model;
	sn_arena *arena;
	sn_safetensors_writer *writer;
	int tokens, offsets, start, item;   /* tensor numbers */
	int decoder_tokens, decoder_start;
	target *target;                     /* [n_site] */
	sn_tap *tap;                        /* [n_site] */
	int n_site;
	int64_t n_token, n_expected;        /* written; -1: unknown */
	int64_t n_decoder;                  /* decoder tokens written */
};

/* Whether a site's rows are those of "tokens". */
static bool of_first_tokens(const sn_capture *c, const sn_site *site)
{
	return !c->model->encoder || site->stack == SN_STACK_ENCODER || sn_site_of_encoder_rows((sn_site_kind)site->kind);
}

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	const target *t = state;
	(void)ctx;
	bool ragged = sn_site_is_attention((sn_site_kind)block->site.kind);
	return sn_safetensors_append(t->writer, t->id, block->x.data, ragged ? sn_tensor_count(&block->x) : block->m);
}

static const sn_sink sink = { .size = sizeof(target), .take = take };

static sn_status declare(sn_capture *c, const char *name, sn_dtype dtype, int64_t rows, int64_t width, int *id)
{
	int64_t dim[2] = { rows, width };
	return sn_safetensors_declare(c->writer, name, dtype, width > 0 ? 2 : 1, dim, id);
}

static sn_status declare_sites(sn_capture *c, const sn_site *site, sn_buf *names)
{
	for (int i = 0; i < c->n_site; i++) {
		char name[96];
		sn_site_format(&site[i], name, sizeof name);
		sn_buf_format(names, "%s%s", i ? "," : "", name);
		int64_t width = sn_site_width(c->model, &site[i]);
		int64_t rows = width > 0 && of_first_tokens(c, &site[i]) ? c->n_expected : -1;
		SN_TRY(declare(c, name, SN_F32, rows, width, &c->target[i].id));
		c->target[i].writer = c->writer;
		c->tap[i] = (sn_tap){ .at = site[i], .where = { .sel = SN_ALL }, .sink = &sink, .state = &c->target[i] };
	}
	return names->failed ? SN_ENOMEM : SN_OK;
}

static sn_status open_file(sn_capture *c, const char *path, const sn_site *site, sn_buf *names)
{
	SN_TRY(sn_arena_open(&c->arena, c->ctx));
	SN_NEW(c->target, c->arena, target, c->n_site);
	SN_NEW(c->tap, c->arena, sn_tap, c->n_site);
	SN_TRY(sn_safetensors_create(&c->writer, c->ctx, path));
	SN_TRY(declare(c, "tokens", SN_I32, c->n_expected, 0, &c->tokens));
	SN_TRY(declare(c, "offsets", SN_I64, c->n_expected, 2, &c->offsets));
	SN_TRY(declare(c, "start", SN_I64, -1, 0, &c->start));
	SN_TRY(declare(c, "item", SN_I64, -1, 0, &c->item));
	if (c->model->encoder) {
		SN_TRY(declare(c, "decoder.tokens", SN_I32, -1, 0, &c->decoder_tokens));
		SN_TRY(declare(c, "decoder.start", SN_I64, -1, 0, &c->decoder_start));
	}
	SN_TRY(declare_sites(c, site, names));
	SN_TRY(sn_safetensors_put_meta(c->writer, "format", "sonde capture 1"));
	SN_TRY(sn_safetensors_put_meta(c->writer, "model", c->model->info.name));
	SN_TRY(sn_safetensors_put_meta(c->writer, "sites", names->data ? names->data : ""));
	const int64_t zero = 0;
	if (c->model->encoder) SN_TRY(sn_safetensors_append(c->writer, c->decoder_start, &zero, 1));
	return sn_safetensors_append(c->writer, c->start, &zero, 1);
}

sn_status sn_capture_open(sn_capture **out, sn_ctx *ctx, sn_model *model, const char *path, const sn_site *site,
                          int n_site, int64_t n_token)
{
	sn_capture *c = sn_alloc(ctx, sizeof *c);
	*out = NULL;
	if (!c) return SN_ENOMEM;
	*c = (sn_capture){ .ctx = ctx, .model = model, .n_site = n_site, .n_expected = n_token };
	sn_buf names = { .ctx = ctx };
	sn_status status = open_file(c, path, site, &names);
	sn_buf_free(&names);
	if (status == SN_OK) *out = c;
	else sn_capture_close(c);
	return status;
}

static sn_status append_starts(const sn_capture *c, int tensor, const sn_batch *batch, int64_t before)
{
	for (int32_t b = 0; b < batch->n; b++) {
		int64_t end = before + batch->start[b + 1];
		SN_TRY(sn_safetensors_append(c->writer, tensor, &end, 1));
	}
	return SN_OK;
}

static sn_status append_decoder(sn_capture *c, const sn_batch *batch)
{
	int64_t n = batch->start[batch->n];
	SN_TRY(sn_safetensors_append(c->writer, c->decoder_tokens, batch->token, n));
	SN_TRY(append_starts(c, c->decoder_start, batch, c->n_decoder));
	c->n_decoder += n;
	return SN_OK;
}

sn_status sn_capture_run(sn_capture *c, const sn_batch *batch, const int64_t (*offsets)[2])
{
	const sn_batch *first = c->model->encoder ? batch->enc : batch;
	sn_plan plan = { .size = sizeof plan, .n_tap = c->n_site, .tap = c->tap };
	SN_TRY(sn_run(c->ctx, c->model, batch, &plan, NULL, NULL));
	int64_t n = first->start[first->n];
	SN_TRY(sn_safetensors_append(c->writer, c->tokens, first->token, n));
	SN_TRY(sn_safetensors_append(c->writer, c->offsets, offsets, n));
	SN_TRY(append_starts(c, c->start, first, c->n_token));
	for (int32_t b = 0; b < first->n; b++) {
		int64_t item = first->item ? first->item[b] : b;
		SN_TRY(sn_safetensors_append(c->writer, c->item, &item, 1));
	}
	c->n_token += n;
	return c->model->encoder ? append_decoder(c, batch) : SN_OK;
}

int64_t sn_capture_tokens(const sn_capture *capture) { return capture->n_token; }
sn_status sn_capture_commit(sn_capture *capture) { return sn_safetensors_commit(capture->writer); }

void sn_capture_close(sn_capture *c)
{
	if (!c) return;
	sn_safetensors_writer_close(c->writer);
	sn_arena_close(c->arena);
	sn_free(c->ctx, c);
}
