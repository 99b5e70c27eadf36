/* Places, sources, edits and taps of a plan. */
#include "model/plan_read.h"

#include "io/npy.h"
#include "io/tensor_file.h"
#include "model/model.h"
#include "model/places.h"
#include "model/site.h"

#include <string.h>

/* ---- places ---- */

static sn_status read_position(const sn_plan_reader *r, const json_t *at, const json_t *value, int32_t *out)
{
	json_int_t pos = json_integer_value(value);
	if (!json_is_integer(value) || pos < INT32_MIN / 2 || pos > INT32_MAX / 2)
		return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "expected a position of a token, found %s",
		                    sn_json_type_name(value));
	*out = (int32_t)pos;
	return SN_OK;
}

static sn_status read_span(sn_plan_reader *r, const json_t *at, const char *key, const json_t *value, int32_t *out)
{
	if (!json_is_string(value))
		return sn_json_fail(r->doc, at, key, SN_EPARSE, "expected the name of a span, found %s",
		                    sn_json_type_name(value));
	for (*out = 0; *out < r->n_span; ++*out)
		if (strcmp(r->span[*out], json_string_value(value)) == 0) return SN_OK;
	return sn_json_fail(r->doc, at, key, SN_ENOTFOUND, "no text has a span \"%.40s\"; add it to \"spans\"",
	                    json_string_value(value));
}

/* {"text": FRAGMENT, "nth": N} is a span without a name. */
static const char *name_of_fragment(const sn_plan_reader *r, const json_t *where)
{
	const char *text = json_string_value(json_object_get(where, "text"));
	long long nth = json_integer_value(json_object_get(where, "nth"));
	return sn_arena_format(r->arena, "text %lld of \"%s\"", nth, text ? text : "");
}

sn_status sn_plan_fragments(sn_plan_reader *r)
{
	static const char *const part[] = { "edits", "taps", "goals" }, *const key[] = { "where", "key" };
	for (int p = 0; p < SN_COUNT(part); p++) {
		const json_t *list = json_object_get(r->doc->root, part[p]);
		for (size_t i = 0; i < json_array_size(list); i++)
			for (int k = 0; k < SN_COUNT(key); k++) {
				json_t *where = json_object_get(json_array_get(list, i), key[k]);
				int number;
				if (!json_is_string(json_object_get(where, "text"))) continue;
				const char *name = name_of_fragment(r, where);
				if (!name) return SN_ENOMEM;
				SN_TRY(sn_plan_span(r, where, NULL, name, &number));
				r->span_of_all[number] = where;
			}
	}
	return SN_OK;
}

static sn_status where_object(sn_plan_reader *r, const json_t *w, sn_where *out)
{
	static const char *const words[] = { "at", "range", "from", "span", "span_last", "from_span", "text", "nth", NULL };
	static const sn_sel sel[] = { SN_AT, SN_RANGE, SN_FROM, SN_SPAN, SN_SPAN_LAST, SN_FROM_SPAN, SN_SPAN };
	int found = -1;
	SN_TRY(sn_plan_keys(r, w, words));
	for (int i = 0; i < SN_COUNT(sel); i++) {
		if (!json_object_get(w, words[i])) continue;
		if (found >= 0)
			return sn_json_fail(r->doc, w, words[i], SN_EPARSE, "stands beside \"%s\"; give one", words[found]);
		found = i;
	}
	if (found < 0)
		return sn_json_fail(r->doc, w, NULL, SN_EPARSE, "names no place; give at, range, from, span, ... or text");
	const json_t *value = json_object_get(w, words[found]);
	*out = (sn_where){ .sel = sel[found] };
	if (found == 0 || found == 2) return read_position(r, w, value, &out->arg);
	if (found == 1) {
		if (json_array_size(value) != 2) return sn_json_fail(r->doc, w, "range", SN_EPARSE, "expected [first, end)");
		SN_TRY(read_position(r, w, json_array_get(value, 0), &out->arg));
		return read_position(r, w, json_array_get(value, 1), &out->end);
	}
	if (found < 6) return read_span(r, w, words[found], value, &out->arg);
	const char *name = name_of_fragment(r, w);
	if (!name) return SN_ENOMEM;
	json_t *text = json_string(name);
	sn_status status = text ? read_span(r, w, "text", text, &out->arg) : SN_ENOMEM;
	json_decref(text);
	return status;
}

sn_status sn_plan_where(sn_plan_reader *r, const json_t *object, const char *key, sn_where *out)
{
	static const char *const words[] = { "all", "last", NULL };
	const json_t *value = json_object_get(object, key);
	int which;
	*out = (sn_where){ .sel = SN_SEL_NONE };
	if (!value) return SN_OK;
	if (json_is_object(value)) return where_object(r, value, out);
	SN_TRY(sn_plan_word(r, object, key, words, &which));
	out->sel = which ? SN_LAST : SN_ALL;
	return SN_OK;
}

static sn_status need_where(sn_plan_reader *r, const json_t *object, sn_where *out)
{
	SN_TRY(sn_plan_where(r, object, "where", out));
	return out->sel ? SN_OK : sn_json_fail(r->doc, object, "where", SN_ENOTFOUND, "is missing: \"all\", \"last\", "
	                                       "{\"span\": ...}; docs/plan.md lists the others");
}

/* The places of some rows as a list. */
static sn_status list_rows(const sn_plan_reader *r, const sn_batch *batch, const bool *rows, sn_where *where)
{
	int64_t *list, n = 0;
	int32_t *pos, longest = 0;
	for (int32_t b = 0; b < batch->n; b++) longest = SN_MAX(longest, sn_row_length(batch, b));
	SN_NEW(list, r->arena, int64_t, batch->start[batch->n]);
	SN_NEW(pos, r->arena, int32_t, longest);
	for (int32_t b = 0; b < batch->n; b++) {
		int32_t m = rows[b] ? sn_places_in_row(batch, where, b, pos) : 0;
		for (int32_t i = 0; i < m; i++) list[n++] = batch->start[b] + pos[i];
	}
	*where = (sn_where){ .sel = SN_LIST, .list = list, .n_list = n };
	return SN_OK;
}

static const sn_batch *batch_of(const sn_plan_reader *r, const sn_site *site)
{
	bool encoder = r->model->encoder && (site->stack == SN_STACK_ENCODER ||
	                                     sn_site_of_encoder_rows((sn_site_kind)site->kind));
	return encoder ? &r->out->enc : &r->out->batch;
}

/* ---- numbers from files ---- */

static sn_status pick_row(const sn_plan_reader *r, const json_t *ref, const float *x, int ndim, const int64_t *dim,
                          sn_tensor *out)
{
	int64_t row;
	SN_TRY(sn_json_i64_or(r->doc, ref, "row", -1, &row));
	if (ndim < 1 || ndim > 2)
		return sn_json_fail(r->doc, ref, NULL, SN_ESHAPE, "has %d dimensions; expected 1 or 2", ndim);
	if (row >= 0 && (ndim != 2 || row >= dim[0]))
		return sn_json_fail(r->doc, ref, "row", SN_ESHAPE, "there is no row %lld", (long long)row);
	float *data = (float *)(uintptr_t)x;
	*out = row >= 0 ? sn_tensor_f32(data + row * dim[1], -1, dim[1])
	       : ndim == 1 ? sn_tensor_f32(data, -1, dim[0]) : sn_tensor_f32(data, dim[0], dim[1]);
	return SN_OK;
}

static sn_status read_npy(const sn_plan_reader *r, const json_t *ref, const char *path, sn_tensor *out)
{
	static sn_to_f32 *const convert[] = { [SN_F32] = sn_f32_to_f32, [SN_F64] = sn_f64_to_f32,
	                                      [SN_F16] = sn_f16_to_f32 };
	sn_npy npy;
	SN_TRY(sn_npy_open(&npy, r->ctx, path));
	bool known = (int)npy.dtype < SN_COUNT(convert) && convert[npy.dtype];
	float *x = known ? SN_TAKE(r->arena, float, npy.count) : NULL;
	sn_status status = !known ? sn_json_fail(r->doc, ref, "file", SN_ESHAPE, "%s holds no fractions", path)
	                   : x ? SN_OK : SN_ENOMEM;
	if (status == SN_OK) {
		convert[npy.dtype](npy.data, x, npy.count);
		status = pick_row(r, ref, x, npy.ndim, npy.dim, out);
	}
	sn_npy_close(r->ctx, &npy);
	return status;
}

static sn_status copy_stored(const sn_plan_reader *r, const json_t *ref, const sn_tensor_file *file, const char *name,
                             sn_tensor *out)
{
	const sn_stored *t = name ? sn_tensor_file_find(file, name) : sn_tensor_file_at(file, 0);
	float *x;
	if (!t || (!name && sn_tensor_file_count(file) != 1))
		return sn_json_fail(r->doc, ref, "tensor", SN_ENOTFOUND, "%s has %lld tensors%s%s; name one of them",
		                    sn_tensor_file_path(file), (long long)sn_tensor_file_count(file), name ? ", none of them "
		                    : "", name ? name : "");
	if (t->ndim < 1 || !t->type->to_f32)
		return sn_json_fail(r->doc, ref, "tensor", SN_ESHAPE, "%s is no vector or matrix of numbers", t->name);
	SN_NEW(x, r->arena, float, t->count);
	sn_stored_rows(t, 0, t->dim[0], x);
	return pick_row(r, ref, x, t->ndim, t->dim, out);
}

static sn_status read_file(const sn_plan_reader *r, const json_t *ref, sn_tensor *out)
{
	static const char *const words[] = { "file", "tensor", "row", NULL };
	const char *path, *name;
	sn_tensor_file *file;
	SN_TRY(sn_plan_keys(r, ref, words));
	SN_TRY(sn_json_string(r->doc, ref, "file", &path));
	SN_TRY(sn_json_string_or(r->doc, ref, "tensor", NULL, &name));
	if (sn_ends_with(path, ".npy")) return read_npy(r, ref, path, out);
	SN_TRY(sn_tensor_file_open(&file, r->ctx, path));
	sn_status status = copy_stored(r, ref, file, name, out);
	sn_tensor_file_close(file);
	return status;
}

static sn_status read_numbers(const sn_plan_reader *r, const json_t *object, const char *key, const json_t *list,
                              sn_tensor *out)
{
	float *x;
	json_t *value;
	size_t i;
	SN_NEW(x, r->arena, float, json_array_size(list));
	json_array_foreach(list, i, value) {
		if (!json_is_number(value))
			return sn_json_fail(r->doc, object, key, SN_EPARSE, "number %zu is %s", i, sn_json_type_name(value));
		x[i] = (float)json_number_value(value);
	}
	*out = sn_tensor_f32(x, -1, (int64_t)json_array_size(list));
	return SN_OK;
}

sn_status sn_plan_tensor(const sn_plan_reader *r, const json_t *object, const char *key, const sn_tensor **out)
{
	const json_t *value = json_object_get(object, key);
	sn_tensor *t;
	*out = NULL;
	if (!value) return SN_OK;
	SN_NEW(t, r->arena, sn_tensor, 1);
	*out = t;
	if (json_is_array(value)) return read_numbers(r, object, key, value, t);
	if (json_is_object(value)) return read_file(r, value, t);
	return sn_json_fail(r->doc, object, key, SN_EPARSE, "expected numbers or {\"file\", \"tensor\"}, found %s",
	                    sn_json_type_name(value));
}

/* ---- sites ---- */

static sn_status read_sites(const sn_plan_reader *r, const json_t *object, sn_site **site, int *n)
{
	const char *text;
	SN_TRY(sn_json_string(r->doc, object, "at", &text));
	if (sn_site_expand(r->ctx, r->model, text, r->arena, site, n) == SN_OK) return SN_OK;
	const char *error = sn_arena_string(r->arena, sn_error(r->ctx));
	return error ? sn_json_fail(r->doc, object, "at", SN_EARG, "%s", error) : SN_ENOMEM;
}

/* ---- edits ---- */

static const char *const operations[] = { "zero", "set", "add", "noise", "block", NULL };
static const sn_op op_of[] = { SN_OP_ZERO, SN_OP_SET, SN_OP_ADD, SN_OP_NOISE, SN_OP_BLOCK };

/* "from": the text whose value each edited row takes, as it is without edits where there are such rows. */
static sn_status read_from(sn_plan_reader *r, const json_t *object, const bool *rows, sn_edit *e)
{
	const json_t *from = json_object_get(object, "from");
	int32_t text, *row, n = r->out->batch.n;
	if (!from) return SN_OK;
	SN_TRY(sn_plan_text_of(r, object, "from", from, &text));
	SN_NEW(row, r->arena, int32_t, n);
	for (int32_t b = 0; b < n; b++) row[b] = rows[b] && b != r->n_twin + text ? text : -1;
	e->src_row = row;
	return SN_OK;
}

static sn_status read_sources(sn_plan_reader *r, const json_t *object, const bool *rows, sn_edit *e)
{
	double alpha;
	float *strength;
	int64_t draw;
	SN_TRY(sn_json_f64_or(r->doc, object, "alpha", 1, &alpha));
	SN_TRY(sn_json_i64_or(r->doc, object, "draw", 0, &draw));
	SN_NEW(strength, r->arena, float, 1);
	*strength = (float)alpha;
	e->alpha = strength;
	e->n_alpha = 1;
	e->noise_key = (uint64_t)draw;
	SN_TRY(sn_plan_tensor(r, object, "src", &e->src));
	SN_TRY(sn_plan_tensor(r, object, "U", &e->U));
	SN_TRY(sn_plan_tensor(r, object, "V", &e->V));
	if (e->U && !e->V) e->V = e->U;
	SN_TRY(read_from(r, object, rows, e));
	bool wants = e->op == SN_OP_SET || e->op == SN_OP_ADD;
	if (wants && !e->src == !e->src_row)
		return sn_json_fail(r->doc, object, NULL, SN_EARG, "expected %s",
		                    e->op == SN_OP_SET ? "src or from, one of them" : "src");
	return SN_OK;
}

/* Edits of some rows only: each run of rows that stand side by side is an edit of its own. */
static sn_status add_edit(sn_plan_reader *r, const json_t *object, const sn_edit *e, const bool *rows, bool all)
{
	int32_t n = r->out->batch.n, runs = 0;
	for (int32_t b = 0, last; b < n; b = last) {
		for (last = b + 1; last < n && rows[last] == rows[b];) last++;
		if (!rows[b] && !all) continue;
		if (r->out->plan.n_edit == SN_PLAN_PARTS)
			return sn_json_fail(r->doc, object, NULL, SN_EARG, "more than %d edits of single sites", SN_PLAN_PARTS);
		sn_edit *to = &r->edit[r->out->plan.n_edit++];
		*to = *e;
		if (all) return SN_OK;
		to->where.row0 = b;
		to->where.n_row = last - b;
		if (++runs > 1 && e->src && e->src->ndim == 2)
			return sn_json_fail(r->doc, object, "rows", SN_EARG, "a source with a row a place needs rows side by side");
	}
	return SN_OK;
}

static sn_status read_edit(sn_plan_reader *r, const json_t *object)
{
	static const char *const words[] = { "op", "at", "where", "rows", "key", "src", "from", "alpha", "U", "V", "draw",
	                                     NULL };
	sn_edit e = { 0 };
	sn_site *site;
	int op, n_site;
	bool *rows, all;
	SN_TRY(sn_plan_keys(r, object, words));
	SN_TRY(sn_plan_word(r, object, "op", operations, &op));
	e.op = op_of[op];
	SN_TRY(read_sites(r, object, &site, &n_site));
	SN_TRY(need_where(r, object, &e.where));
	SN_TRY(sn_plan_where(r, object, "key", &e.key));
	SN_TRY(sn_plan_rows(r, object, true, &rows, &all));
	SN_TRY(read_sources(r, object, rows, &e));
	for (int i = 0; i < n_site; i++) {
		e.at = site[i];
		SN_TRY(add_edit(r, object, &e, rows, all));
	}
	return SN_OK;
}

sn_status sn_plan_read_edits(sn_plan_reader *r)
{
	json_t *list, *object;
	size_t i;
	SN_TRY(sn_json_array_or(r->doc, r->doc->root, "edits", &list));
	SN_NEW(r->edit, r->arena, sn_edit, list ? SN_PLAN_PARTS : 0);
	json_array_foreach(list, i, object) SN_TRY(read_edit(r, object));
	r->out->plan.edit = r->edit;
	return SN_OK;
}

/* ---- taps ---- */

static sn_status read_tap(sn_plan_reader *r, const json_t *object)
{
	static const char *const words[] = { "name", "at", "where", "rows", "what", NULL };
	static const char *const whats[] = { "after", "before", NULL };
	const char *name;
	sn_tap tap = { 0 };
	sn_site *site;
	int n_site, what = 0;
	bool *rows, all;
	SN_TRY(sn_plan_keys(r, object, words));
	SN_TRY(sn_json_string_or(r->doc, object, "name", NULL, &name));
	SN_TRY(read_sites(r, object, &site, &n_site));
	SN_TRY(need_where(r, object, &tap.where));
	SN_TRY(sn_plan_rows(r, object, false, &rows, &all));
	if (json_object_get(object, "what")) SN_TRY(sn_plan_word(r, object, "what", whats, &what));
	tap.what = what ? SN_BEFORE : SN_AFTER;
	for (int i = 0; i < n_site; i++) {
		char text[112];
		if (r->out->plan.n_tap == SN_PLAN_PARTS)
			return sn_json_fail(r->doc, object, NULL, SN_EARG, "more than %d taps of single sites", SN_PLAN_PARTS);
		sn_tap *to = &r->tap[r->out->plan.n_tap];
		*to = tap;
		to->at = site[i];
		if (!all) SN_TRY(list_rows(r, batch_of(r, &site[i]), rows, &to->where));
		sn_site_format(&site[i], text, sizeof text);
		const char *full = !name ? sn_arena_string(r->arena, text) : n_site == 1 ? name
		                   : sn_arena_format(r->arena, "%s.%s", name, text);
		if (!full) return SN_ENOMEM;
		r->out->tap[r->out->plan.n_tap++] = full;
	}
	return SN_OK;
}

sn_status sn_plan_read_taps(sn_plan_reader *r)
{
	json_t *list, *object;
	size_t i;
	SN_TRY(sn_json_array_or(r->doc, r->doc->root, "taps", &list));
	SN_NEW(r->tap, r->arena, sn_tap, list ? SN_PLAN_PARTS : 0);
	SN_NEW(r->out->tap, r->arena, const char *, list ? SN_PLAN_PARTS : 0);
	json_array_foreach(list, i, object) SN_TRY(read_tap(r, object));
	for (int t = 0; t < r->out->plan.n_tap; t++)
		for (int u = 0; u < t; u++)
			if (strcmp(r->out->tap[t], r->out->tap[u]) == 0)
				return sn_json_fail(r->doc, NULL, "taps", SN_EARG, "two are called \"%s\"; give one a name",
				                    r->out->tap[t]);
	r->out->plan.tap = r->tap;
	return SN_OK;
}
