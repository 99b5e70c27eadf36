/* Writes safetensors files as a stream. Before the first row the header's room is measured with the longest numbers
 * that can come; the real header is padded with spaces to that room. Layout: header, tensors of known size, growing
 * tensors. */
#include "io/safetensors.h"

#include "base/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/spill.h"

typedef struct entry {
	const char *name;
	sn_dtype dtype;
	int ndim;
	int64_t dim[SN_STORED_NDIM]; /* dim[0] is counted where the tensor grows */
	uint64_t row_bytes, offset;  /* offset: from the start of the data */
	int64_t n_row;               /* appended */
	bool grows;
	struct entry *next;
} entry;

struct sn_safetensors_writer {
	sn_ctx *ctx;
	sn_arena *arena;
	const char *path;
	sn_file *file;
	sn_spill *spill; /* rows of the growing tensors; stream i is tensor i's */
	entry *first, *last;
	int n;
	entry **by_id; /* once begun */
	json_t *meta;
	size_t header_room; /* 0: not begun */
};

/* ---- declaring ---- */

sn_status sn_safetensors_create(sn_safetensors_writer **out, sn_ctx *ctx, const char *path)
{
	sn_safetensors_writer *w = sn_alloc(ctx, sizeof *w);
	*out = NULL;
	if (!w) return SN_ENOMEM;
	w->ctx = ctx;
	sn_status status = sn_arena_open(&w->arena, ctx);
	if (status == SN_OK) status = (w->path = sn_arena_string(w->arena, path)) ? SN_OK : SN_ENOMEM;
	if (status == SN_OK)
		status = sn_checkpoint_attached(ctx) ? sn_checkpoint_partial(&w->file, ctx, path)
											 : sn_file_create(&w->file, ctx, path);
	if (status == SN_OK)
		*out = w;
	else
		sn_safetensors_writer_close(w);
	return status;
}

static sn_status no_memory(const sn_safetensors_writer *w)
{
	return sn_fail(w->ctx, SN_ENOMEM, "%s: out of memory for its header", w->path);
}

static sn_status too_late(const sn_safetensors_writer *w, const char *what)
{
	return sn_fail(w->ctx, SN_EARG, "%s: '%s' is declared after the first rows; declare everything before", w->path,
				   what);
}

sn_status sn_safetensors_put_meta(sn_safetensors_writer *w, const char *key, const char *value)
{
	if (w->header_room) return too_late(w, key);
	if (!w->meta) w->meta = json_object();
	if (sn_utf8_check(key, strlen(key)) >= 0 || sn_utf8_check(value, strlen(value)) >= 0)
		return sn_fail(w->ctx, SN_EARG, "%s: metadata '%s': expected UTF-8", w->path, key);
	return json_object_set_new(w->meta, key, json_string(value)) == 0 ? SN_OK : no_memory(w);
}

static sn_status fill_entry(sn_safetensors_writer *w, entry *e, const char *name, int ndim, const int64_t *dim)
{
	if (ndim < 0 || ndim > SN_STORED_NDIM || sn_dtype_size(e->dtype) == 0 || sn_utf8_check(name, strlen(name)) >= 0)
		return sn_fail(w->ctx, SN_EARG, "%s: tensor '%s': expected a type, a name in UTF-8 and at most %d dimensions",
					   w->path, name, SN_STORED_NDIM);
	e->ndim = ndim;
	e->row_bytes = sn_dtype_size(e->dtype);
	e->grows = ndim > 0 && dim[0] == -1;
	int64_t whole = 1;
	for (int i = 0; i < ndim; i++) {
		e->dim[i] = i == 0 && e->grows ? 0 : dim[i];
		if (e->dim[i] < 0 || (i > 0 && __builtin_mul_overflow(e->row_bytes, (uint64_t)dim[i], &e->row_bytes)) ||
			__builtin_mul_overflow(whole, SN_MAX(e->dim[i], 1), &whole) || whole > INT64_MAX / 16)
			return sn_fail(w->ctx, SN_EARG,
						   "%s: tensor '%s': dimension %d is %lld; expected sizes from 0 that a disk can hold", w->path,
						   name, i, (long long)dim[i]);
	}
	return SN_OK;
}

sn_status sn_safetensors_declare(sn_safetensors_writer *w, const char *name, sn_dtype dtype, int ndim,
								 const int64_t *dim, int *id)
{
	if (w->header_room) return too_late(w, name);
	for (const entry *e = w->first; e; e = e->next)
		if (strcmp(e->name, name) == 0)
			return sn_fail(w->ctx, SN_EARG, "%s: tensor '%s' is declared twice", w->path, name);
	entry *e;
	SN_NEW(e, w->arena, entry, 1);
	e->dtype = dtype;
	SN_TRY(fill_entry(w, e, name, ndim, dim));
	e->name = sn_arena_string(w->arena, name);
	if (!e->name) return SN_ENOMEM;
	if (w->last)
		w->last->next = e;
	else
		w->first = e;
	w->last = e;
	*id = w->n++;
	return SN_OK;
}

/* ---- the header ---- */

static uint64_t rows_of(const entry *e) { return e->ndim == 0 ? 1 : (uint64_t)e->dim[0]; }

/* One tensor's part of the header. longest: with the longest numbers where they are not known yet. */
static json_t *describe(const entry *e, bool longest)
{
	json_t *shape = json_array();
	for (int i = 0; i < e->ndim; i++)
		json_array_append_new(shape, json_integer(i == 0 && longest ? INT64_MAX : e->dim[i]));
	int64_t first = longest ? INT64_MAX : (int64_t)e->offset;
	int64_t end = longest ? INT64_MAX : (int64_t)(e->offset + rows_of(e) * e->row_bytes);
	return json_pack("{s:s, s:o, s:[I,I]}", "dtype", sn_plain_type_of(e->dtype)->name, "shape", shape, "data_offsets",
					 (json_int_t)first, (json_int_t)end);
}

/* Returns the header's text (for free()), or NULL when memory is short. */
static char *header_text(const sn_safetensors_writer *w, bool longest)
{
	json_t *root = json_object();
	int failed = root ? 0 : -1;
	if (w->meta) failed |= json_object_set(root, "__metadata__", w->meta);
	for (int i = 0; i < w->n; i++)
		failed |= json_object_set_new(root, w->by_id[i]->name, describe(w->by_id[i], longest));
	char *text = failed ? NULL : json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

/* Gives every tensor of one kind its place, wide numbers first so that all stay aligned; returns the end. */
static uint64_t place(sn_safetensors_writer *w, bool grows, uint64_t offset)
{
	for (size_t size = 8; size > 0; size /= 2)
		for (entry *e = w->first; e; e = e->next) {
			if (e->grows != grows || sn_dtype_size(e->dtype) != size) continue;
			e->offset = offset;
			offset += rows_of(e) * e->row_bytes;
		}
	return offset;
}

static sn_status begin(sn_safetensors_writer *w)
{
	if (w->header_room) return SN_OK;
	SN_NEW(w->by_id, w->arena, entry *, w->n);
	int i = 0;
	for (entry *e = w->first; e; e = e->next) w->by_id[i++] = e;
	SN_TRY(sn_spill_open(&w->spill, w->ctx, w->path, w->n));
	char *text = header_text(w, true);
	if (!text) return no_memory(w);
	w->header_room = (strlen(text) + 7) / 8 * 8;
	free(text);
	(void)place(w, false, 0);
	return SN_OK;
}

/* ---- rows ---- */

/* Rows of a tensor whose place is known. */
static sn_status write_rows(sn_safetensors_writer *w, const entry *e, const void *rows, size_t size)
{
	SN_TRY(sn_file_seek(w->file, 8 + w->header_room + e->offset + (uint64_t)e->n_row * e->row_bytes));
	return sn_file_write(w->file, rows, size);
}

/* The tensor that n_row more rows are of. */
static sn_status find_tensor(sn_safetensors_writer *w, int id, int64_t n_row, entry **out)
{
	SN_TRY(begin(w));
	if (id < 0 || id >= w->n || n_row < 0)
		return sn_fail(w->ctx, SN_EARG, "%s: there is no tensor %d of %d", w->path, id, w->n);
	*out = w->by_id[id];
	if (!(*out)->grows && (uint64_t)n_row > rows_of(*out) - (uint64_t)(*out)->n_row)
		return sn_fail(w->ctx, SN_ESHAPE, "%s: tensor '%s': expected %llu rows, found more", w->path, (*out)->name,
					   (unsigned long long)rows_of(*out));
	return SN_OK;
}

sn_status sn_safetensors_skip(sn_safetensors_writer *w, int id, int64_t n_row)
{
	entry *e = NULL;
	SN_TRY(find_tensor(w, id, n_row, &e));
	if (e->grows)
		return sn_fail(w->ctx, SN_EARG, "%s: tensor '%s' grows; its rows cannot be passed over", w->path, e->name);
	e->n_row += n_row;
	return SN_OK;
}

sn_status sn_safetensors_mark(sn_safetensors_writer *w, uint64_t key, uint64_t number)
{
	return sn_checkpoint_mark(w->ctx, key, number, w->file);
}

sn_status sn_safetensors_append(sn_safetensors_writer *w, int id, const void *rows, int64_t n_row)
{
	entry *e = NULL;
	uint64_t size;
	SN_TRY(find_tensor(w, id, n_row, &e));
	if (__builtin_mul_overflow((uint64_t)n_row, e->row_bytes, &size) || size > PTRDIFF_MAX)
		return sn_fail(w->ctx, SN_EARG, "%s: tensor '%s': %lld rows overflow memory", w->path, e->name,
					   (long long)n_row);
	if (e->grows)
		SN_TRY(sn_spill_append(w->spill, id, rows, (size_t)size));
	else
		SN_TRY(write_rows(w, e, rows, (size_t)size));
	e->n_row += n_row;
	return SN_OK;
}

/* ---- the end ---- */

static sn_status count_rows(sn_safetensors_writer *w)
{
	for (entry *e = w->first; e; e = e->next) {
		if (e->grows)
			e->dim[0] = e->n_row;
		else if ((uint64_t)e->n_row != rows_of(e) && e->row_bytes > 0)
			return sn_fail(w->ctx, SN_ESHAPE, "%s: tensor '%s': expected %llu rows, found %lld", w->path, e->name,
						   (unsigned long long)rows_of(e), (long long)e->n_row);
	}
	return SN_OK;
}

static sn_status copy_grown(sn_safetensors_writer *w)
{
	uint64_t end = 0;
	for (const entry *e = w->first; e; e = e->next)
		if (!e->grows) end += rows_of(e) * e->row_bytes;
	(void)place(w, true, end);
	for (int i = 0; i < w->n; i++) {
		if (!w->by_id[i]->grows) continue;
		SN_TRY(sn_file_seek(w->file, 8 + w->header_room + w->by_id[i]->offset));
		SN_TRY(sn_spill_copy(w->spill, i, w->file));
	}
	return SN_OK;
}

static sn_status write_header(sn_safetensors_writer *w)
{
	char *text = header_text(w, false);
	if (!text) return no_memory(w);
	size_t size = strlen(text);
	SN_ASSERT(size <= w->header_room);
	uint64_t room = w->header_room;
	sn_status status = sn_file_seek(w->file, 0);
	if (status == SN_OK) status = sn_file_write(w->file, &room, sizeof room);
	if (status == SN_OK) status = sn_file_write(w->file, text, size);
	for (; size < w->header_room && status == SN_OK; size++) status = sn_file_write(w->file, " ", 1);
	free(text);
	return status;
}

sn_status sn_safetensors_commit(sn_safetensors_writer *w)
{
	SN_TRY(begin(w));
	SN_TRY(count_rows(w));
	SN_TRY(copy_grown(w));
	SN_TRY(write_header(w));
	return sn_file_commit(w->file);
}

void sn_safetensors_writer_close(sn_safetensors_writer *w)
{
	if (!w) return;
	sn_spill_close(w->spill);
	sn_file_close(w->file);
	json_decref(w->meta);
	sn_arena_close(w->arena);
	sn_free(w->ctx, w);
}
