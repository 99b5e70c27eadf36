/* Growing streams in one file: small pieces are gathered in memory, runs go to the end of the file. */
#include "io/spill.h"

#include <string.h>

enum { STAGE_BYTES = 16 << 10, COPY_BYTES = 1 << 20 };

typedef struct run {
	uint64_t offset, size;
} run;

typedef struct stream {
	uint8_t *stage; /* [STAGE_BYTES]; NULL until it is needed */
	size_t staged;
	run *run; /* [n_run], in order */
	int64_t n_run, room;
} stream;

struct sn_spill {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_file *file;
	uint64_t size; /* of the file */
	int n;
	stream *stream;
};

static sn_status prepare(sn_spill *s, const char *path)
{
	SN_TRY(sn_arena_open(&s->arena, s->ctx));
	SN_NEW(s->stream, s->arena, stream, s->n);
	return sn_file_scratch(&s->file, s->ctx, path);
}

sn_status sn_spill_open(sn_spill **out, sn_ctx *ctx, const char *path, int n)
{
	sn_spill *s = sn_alloc(ctx, sizeof *s);
	*out = NULL;
	if (!s) return SN_ENOMEM;
	*s = (sn_spill){ .ctx = ctx, .n = n };
	sn_status status = prepare(s, path);
	if (status == SN_OK)
		*out = s;
	else
		sn_spill_close(s);
	return status;
}

static sn_status add_run(sn_spill *s, stream *t, uint64_t size)
{
	run *last = t->n_run ? &t->run[t->n_run - 1] : NULL;
	if (last && last->offset + last->size == s->size) return last->size += size, SN_OK;
	if (t->n_run == t->room) {
		int64_t room = SN_MAX(2 * t->room, 16);
		run *all = sn_alloc(s->ctx, sn_size3((size_t)room, sizeof *all, 1));
		if (!all) return SN_ENOMEM;
		if (t->n_run) memcpy(all, t->run, (size_t)t->n_run * sizeof *all);
		sn_free(s->ctx, t->run);
		t->run = all;
		t->room = room;
	}
	t->run[t->n_run++] = (run){ s->size, size };
	return SN_OK;
}

static sn_status write_run(sn_spill *s, stream *t, const void *bytes, size_t size)
{
	if (size == 0) return SN_OK;
	SN_TRY(add_run(s, t, size));
	s->size += size;
	return sn_file_write(s->file, bytes, size);
}

sn_status sn_spill_append(sn_spill *s, int i, const void *bytes, size_t size)
{
	stream *t = &s->stream[i];
	if (size > STAGE_BYTES - t->staged) {
		SN_TRY(write_run(s, t, t->stage, t->staged));
		t->staged = 0;
	}
	if (size > STAGE_BYTES) return write_run(s, t, bytes, size);
	if (!t->stage) SN_NEW(t->stage, s->arena, uint8_t, STAGE_BYTES);
	if (size) memcpy(t->stage + t->staged, bytes, size);
	t->staged += size;
	return SN_OK;
}

static sn_status copy_run(sn_spill *s, const run *r, uint8_t *buffer, sn_file *to)
{
	SN_TRY(sn_file_seek(s->file, r->offset));
	for (uint64_t left = r->size; left > 0;) {
		size_t n = (size_t)SN_MIN(left, (uint64_t)COPY_BYTES);
		SN_TRY(sn_file_read(s->file, buffer, n));
		SN_TRY(sn_file_write(to, buffer, n));
		left -= n;
	}
	return SN_OK;
}

sn_status sn_spill_copy(sn_spill *s, int i, sn_file *to)
{
	const stream *t = &s->stream[i];
	uint8_t *buffer = sn_alloc(s->ctx, COPY_BYTES);
	if (!buffer) return SN_ENOMEM;
	sn_status status = SN_OK;
	for (int64_t r = 0; r < t->n_run && status == SN_OK; r++) status = copy_run(s, &t->run[r], buffer, to);
	sn_free(s->ctx, buffer);
	return status == SN_OK ? sn_file_write(to, t->stage, t->staged) : status;
}

void sn_spill_close(sn_spill *s)
{
	if (!s) return;
	for (int i = 0; s->stream && i < s->n; i++) sn_free(s->ctx, s->stream[i].run);
	sn_file_close(s->file);
	sn_arena_close(s->arena);
	sn_free(s->ctx, s);
}
