/* Capturing activations. */
#include "model/capture.h"

#include "base/work.h"
#include "io/safetensors.h"
#include "model/model.h"
#include "model/site.h"

/* Where one tap's rows go: into the file, or in a rank without it into memory. */
typedef struct target {
	sn_safetensors_writer *writer;
	int id;
	sn_buf kept;
} target;

struct sn_capture {
	sn_ctx *ctx;
	sn_model *model;
	sn_arena *arena;
	sn_safetensors_writer *writer;      /* NULL: another rank has the file */
	int tokens, offsets, start, item;   /* tensor numbers */
	int decoder_tokens, decoder_start;
	const sn_site *site;
	target *target;                     /* [n_site] */
	sn_tap *tap;                        /* [n_site] */
	int n_site;
	sn_capture_size size;               /* of all rows */
	int64_t n_token, n_decoder;         /* written */
	void *piece;                        /* [piece_room] bytes on their way from rank to rank */
	size_t piece_room;
};

/* ---- sizes ---- */

void sn_capture_count(sn_capture_size *size, int64_t n, int64_t n_decoder)
{
	size->n_row++;
	size->n_token += n;
	size->n_decoder += n_decoder;
	size->square += n * n;
	size->decoder_square += n_decoder * n_decoder;
	size->cross += n * n_decoder;
}

/* Whether a site's rows are those of "tokens". */
static bool of_first_tokens(const sn_capture *c, const sn_site *site)
{
	return !c->model->encoder || site->stack == SN_STACK_ENCODER || sn_site_of_encoder_rows((sn_site_kind)site->kind);
}

/* Attended positions of all queries, times heads. */
static int64_t attention_numbers(const sn_capture *c, const sn_site *site, const sn_capture_size *size)
{
	bool cross = site->kind == SN_SITE_CROSS_SCORES || site->kind == SN_SITE_CROSS_PATTERN;
	bool first = of_first_tokens(c, site);
	const sn_model *stack = c->model->encoder && first ? c->model->encoder : c->model;
	int64_t heads = site->head ? 1 : stack->shape.n_head;
	int64_t square = first ? size->square : size->decoder_square, n = first ? size->n_token : size->n_decoder;
	if (cross) return heads * size->cross;
	return heads * (stack->shape.form.bidirectional ? square : (square + n) / 2);
}

/* Rows of a site's tensor. */
static int64_t rows_of_site(const sn_capture *c, const sn_site *site, const sn_capture_size *size)
{
	if (sn_site_is_attention((sn_site_kind)site->kind)) return attention_numbers(c, site, size);
	return of_first_tokens(c, site) ? size->n_token : size->n_decoder;
}

/* ---- opening ---- */

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	target *t = state;
	(void)ctx;
	int64_t n = sn_tensor_count(&block->x);
	bool ragged = sn_site_is_attention((sn_site_kind)block->site.kind);
	if (t->writer) return sn_safetensors_append(t->writer, t->id, block->x.data, ragged ? n : block->m);
	sn_buf_add(&t->kept, block->x.data, (size_t)n * sizeof(float));
	return t->kept.failed ? SN_ENOMEM : SN_OK;
}

static const sn_sink sink = { .size = sizeof(target), .take = take };

static sn_status declare(sn_capture *c, const char *name, sn_dtype dtype, int64_t rows, int64_t width, int *id)
{
	int64_t dim[2] = { rows, width };
	return sn_safetensors_declare(c->writer, name, dtype, width > 0 ? 2 : 1, dim, id);
}

static sn_status declare_sites(sn_capture *c, sn_buf *names)
{
	for (int i = 0; i < c->n_site; i++) {
		char name[96];
		sn_site_format(&c->site[i], name, sizeof name);
		sn_buf_format(names, "%s%s", i ? "," : "", name);
		SN_TRY(declare(c, name, SN_F32, rows_of_site(c, &c->site[i], &c->size), sn_site_width(c->model, &c->site[i]),
		               &c->target[i].id));
		c->target[i].writer = c->writer;
	}
	return names->failed ? SN_ENOMEM : SN_OK;
}

static sn_status open_file(sn_capture *c, const char *path, sn_buf *names)
{
	int64_t rows = c->size.n_row, tokens = c->size.n_token;
	SN_TRY(sn_safetensors_create(&c->writer, c->ctx, path));
	SN_TRY(declare(c, "tokens", SN_I32, tokens, 0, &c->tokens));
	SN_TRY(declare(c, "offsets", SN_I64, tokens, 2, &c->offsets));
	SN_TRY(declare(c, "start", SN_I64, rows + 1, 0, &c->start));
	SN_TRY(declare(c, "item", SN_I64, rows, 0, &c->item));
	if (c->model->encoder) {
		SN_TRY(declare(c, "decoder.tokens", SN_I32, c->size.n_decoder, 0, &c->decoder_tokens));
		SN_TRY(declare(c, "decoder.start", SN_I64, rows + 1, 0, &c->decoder_start));
	}
	SN_TRY(declare_sites(c, names));
	SN_TRY(sn_safetensors_put_meta(c->writer, "format", "sonde capture 1"));
	SN_TRY(sn_safetensors_put_meta(c->writer, "model", c->model->info.name));
	SN_TRY(sn_safetensors_put_meta(c->writer, "sites", names->data ? names->data : ""));
	const int64_t zero = 0;
	if (c->model->encoder) SN_TRY(sn_safetensors_append(c->writer, c->decoder_start, &zero, 1));
	return sn_safetensors_append(c->writer, c->start, &zero, 1);
}

static sn_status prepare(sn_capture *c, const char *path)
{
	SN_TRY(sn_arena_open(&c->arena, c->ctx));
	SN_NEW(c->target, c->arena, target, c->n_site);
	SN_NEW(c->tap, c->arena, sn_tap, c->n_site);
	for (int i = 0; i < c->n_site; i++) {
		c->target[i].kept = (sn_buf){ .ctx = c->ctx };
		c->tap[i] = (sn_tap){ .at = c->site[i], .where = { .sel = SN_ALL }, .sink = &sink, .state = &c->target[i] };
	}
	c->piece_room = 1 << 20;
	for (int i = 0; i < c->n_site; i++)
		c->piece_room = SN_MAX(c->piece_room, (size_t)sn_site_width(c->model, &c->site[i]) * sizeof(float));
	if (sn_rank(c->ctx) > 0) return SN_OK;
	if (sn_rank_count(c->ctx) > 1) SN_NEW(c->piece, c->arena, char, c->piece_room);
	sn_buf names = { .ctx = c->ctx };
	sn_status status = open_file(c, path, &names);
	sn_buf_free(&names);
	return status;
}

sn_status sn_capture_open(sn_capture **out, sn_ctx *ctx, sn_model *model, const char *path, const sn_site *site,
                          int n_site, const sn_capture_size *size)
{
	sn_capture *c = sn_alloc(ctx, sizeof *c);
	*out = NULL;
	if (!c) return SN_ENOMEM;
	*c = (sn_capture){ .ctx = ctx, .model = model, .site = site, .n_site = n_site, .size = *size };
	sn_status status = prepare(c, path);
	if (status == SN_OK) *out = c;
	else sn_capture_close(c);
	return status;
}

sn_status sn_capture_skip(sn_capture *c, const sn_capture_size *size)
{
	c->n_token = size->n_token;
	c->n_decoder = size->n_decoder;
	if (!c->writer) return SN_OK;
	SN_TRY(sn_safetensors_skip(c->writer, c->tokens, size->n_token));
	SN_TRY(sn_safetensors_skip(c->writer, c->offsets, size->n_token));
	SN_TRY(sn_safetensors_skip(c->writer, c->start, size->n_row));
	SN_TRY(sn_safetensors_skip(c->writer, c->item, size->n_row));
	if (c->model->encoder) {
		SN_TRY(sn_safetensors_skip(c->writer, c->decoder_tokens, size->n_decoder));
		SN_TRY(sn_safetensors_skip(c->writer, c->decoder_start, size->n_row));
	}
	for (int i = 0; i < c->n_site; i++)
		SN_TRY(sn_safetensors_skip(c->writer, c->target[i].id, rows_of_site(c, &c->site[i], size)));
	return SN_OK;
}

/* ---- rows ---- */

/* Where the rows end, the first after `before` tokens. */
static sn_status append_starts(const sn_capture *c, int tensor, const sn_batch *batch, int64_t before)
{
	int64_t *end = sn_alloc(c->ctx, sn_size3((size_t)batch->n, sizeof *end, 1));
	if (!end) return SN_ENOMEM;
	for (int32_t b = 0; b < batch->n; b++) end[b] = before + batch->start[b + 1];
	sn_status status = sn_safetensors_append(c->writer, tensor, end, batch->n);
	sn_free(c->ctx, end);
	return status;
}

static sn_status append_items(const sn_capture *c, const sn_batch *batch)
{
	if (batch->item) return sn_safetensors_append(c->writer, c->item, batch->item, batch->n);
	sn_status status = SN_OK;
	for (int64_t b = 0; b < batch->n && status == SN_OK; b++)
		status = sn_safetensors_append(c->writer, c->item, &b, 1);
	return status;
}

static sn_status append_decoder(sn_capture *c, const sn_batch *batch)
{
	int64_t n = batch->start[batch->n];
	SN_TRY(sn_safetensors_append(c->writer, c->decoder_tokens, batch->token, n));
	SN_TRY(append_starts(c, c->decoder_start, batch, c->n_decoder));
	c->n_decoder += n;
	return SN_OK;
}

/* What is known of a batch without the model. */
static sn_status append_tokens(sn_capture *c, const sn_batch *batch, const int64_t (*offsets)[2])
{
	const sn_batch *first = c->model->encoder ? batch->enc : batch;
	int64_t n = first->start[first->n];
	SN_TRY(sn_safetensors_append(c->writer, c->tokens, first->token, n));
	SN_TRY(sn_safetensors_append(c->writer, c->offsets, offsets, n));
	SN_TRY(append_starts(c, c->start, first, c->n_token));
	SN_TRY(append_items(c, first));
	c->n_token += n;
	return c->model->encoder ? append_decoder(c, batch) : SN_OK;
}

sn_status sn_capture_run(sn_capture *c, const sn_batch *batch, const int64_t (*offsets)[2])
{
	sn_plan plan = { .size = sizeof plan, .n_tap = c->n_site, .tap = c->tap };
	for (int i = 0; i < c->n_site; i++) c->target[i].kept.size = 0;
	SN_TRY(sn_run(c->ctx, c->model, batch, &plan, NULL, NULL));
	return c->writer ? append_tokens(c, batch, offsets) : SN_OK;
}

/* ---- from rank to rank ---- */

static sn_capture_size size_of(const sn_capture *c, const sn_batch *batch)
{
	sn_capture_size size = { 0 };
	const sn_batch *first = c->model->encoder ? batch->enc : batch;
	for (int32_t b = 0; b < first->n; b++)
		sn_capture_count(&size, first->start[b + 1] - first->start[b],
		                 c->model->encoder ? batch->start[b + 1] - batch->start[b] : 0);
	return size;
}

/* Bytes of a site that are handed over together: whole rows. */
static size_t piece_bytes(const sn_capture *c, const sn_site *site)
{
	size_t row = (size_t)SN_MAX(sn_site_width(c->model, site), 1) * sizeof(float);
	return SN_MAX(c->piece_room / row, (size_t)1) * row;
}

/* Rank 0 takes all that comes even where the file fails, so that nobody waits for it. */
static sn_status receive_site(sn_capture *c, int from, int i, int64_t rows)
{
	size_t row = (size_t)SN_MAX(sn_site_width(c->model, &c->site[i]), 1) * sizeof(float);
	size_t left = (size_t)rows * row, most = piece_bytes(c, &c->site[i]);
	sn_status status = SN_OK;
	while (left > 0) {
		size_t n = SN_MIN(left, most);
		SN_TRY(sn_team_hand(c->ctx, from, c->piece, n));
		if (status == SN_OK)
			status = sn_safetensors_append(c->writer, c->target[i].id, c->piece, (int64_t)(n / row));
		left -= n;
	}
	return status;
}

static sn_status hand_site(sn_capture *c, int from, int i)
{
	sn_buf *kept = &c->target[i].kept;
	size_t most = piece_bytes(c, &c->site[i]);
	for (size_t at = 0; at < kept->size; at += most)
		SN_TRY(sn_team_hand(c->ctx, from, kept->data + at, SN_MIN(most, kept->size - at)));
	return SN_OK;
}

sn_status sn_capture_hand(sn_capture *c, int from, const sn_batch *batch, const int64_t (*offsets)[2])
{
	sn_capture_size size = size_of(c, batch);
	sn_status status = SN_OK;
	for (int i = 0; i < c->n_site; i++) {
		sn_status one = c->writer ? receive_site(c, from, i, rows_of_site(c, &c->site[i], &size))
		                : hand_site(c, from, i);
		if (status == SN_OK) status = one;
	}
	return status == SN_OK && c->writer ? append_tokens(c, batch, offsets) : status;
}

/* ---- the end ---- */

sn_status sn_capture_mark(sn_capture *c, uint64_t key, uint64_t number)
{
	return c->writer ? sn_safetensors_mark(c->writer, key, number) : SN_OK;
}

int64_t sn_capture_tokens(const sn_capture *capture) { return capture->n_token; }

sn_status sn_capture_commit(sn_capture *c) { return c->writer ? sn_safetensors_commit(c->writer) : SN_OK; }

void sn_capture_close(sn_capture *c)
{
	if (!c) return;
	sn_safetensors_writer_close(c->writer);
	for (int i = 0; c->tap && i < c->n_site; i++) sn_buf_free(&c->target[i].kept);
	sn_arena_close(c->arena);
	sn_free(c->ctx, c);
}
