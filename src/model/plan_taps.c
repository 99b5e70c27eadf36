/* What a plan's taps read, to a file. */
#include "model/plan_taps.h"

#include "io/safetensors.h"
#include "model/model.h"
#include "model/site.h"

#include <string.h>

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	sn_plan_taken *t = state;
	(void)ctx;
	int64_t at = t->width ? block->first * t->width : t->offset[block->first];
	memcpy(t->x + at, block->x.data, (size_t)sn_tensor_count(&block->x) * sizeof(float));
	return SN_OK;
}

static const sn_sink sink = { .size = sizeof(sn_plan_taken), .take = take };

static const sn_batch *batch_of(const sn_model *model, const sn_plan_file *f, const sn_site *site)
{
	bool encoder = model->encoder && (site->stack == SN_STACK_ENCODER ||
	                                  sn_site_of_encoder_rows((sn_site_kind)site->kind));
	return encoder ? &f->enc : &f->batch;
}

/* Values of one place at scores and patterns. */
static int64_t keys_of(const sn_model *model, const sn_plan_file *f, const sn_tap *tap, const sn_batch *batch,
                       int32_t row, int32_t pos)
{
	bool cross = tap->at.kind == SN_SITE_CROSS_SCORES || tap->at.kind == SN_SITE_CROSS_PATTERN;
	bool both = tap->at.stack == SN_STACK_ENCODER || model->shape.form.bidirectional;
	int64_t keys = cross ? sn_row_length(&f->enc, row) : both ? sn_row_length(batch, row) : pos + 1;
	return keys * (tap->at.head ? 1 : model->shape.n_head);
}

sn_status sn_plan_taps_open(sn_ctx *ctx, const sn_model *model, sn_plan_file *f, sn_arena *arena,
                            sn_plan_taken **out)
{
	sn_tap *tap;
	SN_NEW(*out, arena, sn_plan_taken, f->plan.n_tap);
	SN_NEW(tap, arena, sn_tap, f->plan.n_tap);
	for (int i = 0; i < f->plan.n_tap; i++) {
		sn_plan_taken *t = &(*out)[i];
		tap[i] = f->plan.tap[i];
		tap[i].sink = &sink;
		tap[i].state = t;
		const sn_batch *batch = batch_of(model, f, &tap[i].at);
		SN_TRY(sn_places_find(ctx, batch, &tap[i].where, f->tap[i], arena, &t->places));
		t->width = sn_site_width(model, &tap[i].at);
		SN_NEW(t->offset, arena, int64_t, t->places.n + 1);
		for (int64_t j = 0; j < t->places.n; j++)
			t->offset[j + 1] = t->offset[j] + (t->width ? t->width : keys_of(model, f, &tap[i], batch, t->places.row[j],
			                                                                 t->places.pos[j]));
		SN_NEW(t->x, arena, float, t->offset[t->places.n]);
	}
	f->plan.tap = tap;
	return SN_OK;
}

static sn_status put(sn_safetensors_writer *w, int id, const void *x, int64_t n)
{
	return n ? sn_safetensors_append(w, id, x, n) : SN_OK;
}

static sn_status write_tensors(sn_safetensors_writer *w, const sn_plan_file *f, const sn_plan_taken *t, sn_arena *arena)
{
	int *id;
	SN_NEW(id, arena, int, 3 * f->plan.n_tap);
	SN_TRY(sn_safetensors_put_meta(w, "format", "sonde run 1"));
	for (int i = 0; i < f->plan.n_tap; i++) {
		int64_t n = t[i].places.n, dim[2] = { t[i].width ? n : t[i].offset[n], t[i].width };
		const char *row = sn_arena_format(arena, "%s.row", f->tap[i]);
		const char *position = sn_arena_format(arena, "%s.position", f->tap[i]);
		if (!row || !position) return SN_ENOMEM;
		SN_TRY(sn_safetensors_declare(w, f->tap[i], SN_F32, t[i].width ? 2 : 1, dim, &id[3 * i]));
		SN_TRY(sn_safetensors_declare(w, row, SN_I32, 1, &n, &id[3 * i + 1]));
		SN_TRY(sn_safetensors_declare(w, position, SN_I32, 1, &n, &id[3 * i + 2]));
	}
	for (int i = 0; i < f->plan.n_tap; i++) {
		int64_t n = t[i].places.n;
		SN_TRY(put(w, id[3 * i], t[i].x, t[i].width ? n : t[i].offset[n]));
		SN_TRY(put(w, id[3 * i + 1], t[i].places.row, n));
		SN_TRY(put(w, id[3 * i + 2], t[i].places.pos, n));
	}
	return sn_safetensors_commit(w);
}

sn_status sn_plan_taps_write(sn_ctx *ctx, const sn_plan_file *f, const sn_plan_taken *t, const char *path,
                             sn_arena *arena)
{
	sn_safetensors_writer *w;
	SN_TRY(sn_safetensors_create(&w, ctx, path));
	sn_status status = write_tensors(w, f, t, arena);
	sn_safetensors_writer_close(w);
	return status;
}
