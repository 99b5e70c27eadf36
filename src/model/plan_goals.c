/* Goals of a plan, and which rows are forks of which. */
#include "model/plan_read.h"

#include "model/model.h"
#include "model/places.h"
#include "model/site.h"

#include <string.h>

/* ---- tokens ---- */

/* A string that is one token, or an id. */
static sn_status read_token(const sn_plan_reader *r, const json_t *at, const char *key, const json_t *value,
                            int32_t *out)
{
	sn_tokens tokens;
	if (json_is_integer(value)) {
		json_int_t id = json_integer_value(value);
		if (id >= 0 && id <= INT32_MAX) return *out = (int32_t)id, SN_OK;
		return sn_json_fail(r->doc, at, key, SN_EARG, "%lld is no token id", (long long)id);
	}
	if (!json_is_string(value))
		return sn_json_fail(r->doc, at, key, SN_EPARSE, "expected a token as text or id, found %s",
		                    sn_json_type_name(value));
	const char *text = json_string_value(value);
	SN_TRY(sn_tokenize(r->ctx, sn_model_tokenizer(r->model), text, strlen(text), 0, r->arena, &tokens));
	if (tokens.n != 1)
		return sn_json_fail(r->doc, at, key, SN_EARG, "\"%.40s\" is %lld tokens; expected one (a word's token often "
		                    "begins with a space)", text, (long long)tokens.n);
	*out = tokens.id[0];
	return SN_OK;
}

/* A growing list of wanted tokens: ids [start[i], start[i + 1]) are the alternatives of place i. */
typedef struct wanted { int32_t *id; int64_t *start, n, n_id, room; } wanted;

/* The alternatives of one place; at, key: where the plan says so. */
static sn_status push_tokens(const sn_plan_reader *r, const json_t *at, const char *key, wanted *w)
{
	const json_t *value = json_object_get(at, key);
	int64_t n = json_is_array(value) ? (int64_t)json_array_size(value) : 1;
	if (n == 0 || w->n_id + n > w->room)
		return sn_json_fail(r->doc, at, key, SN_EARG, "expected 1 to %lld tokens", (long long)(w->room - w->n_id));
	for (int64_t i = 0; i < n; i++)
		SN_TRY(read_token(r, at, key, json_is_array(value) ? json_array_get(value, (size_t)i) : value,
		                  &w->id[w->n_id++]));
	w->start[++w->n] = w->n_id;
	return SN_OK;
}

/* want or foil of a goal: its own member, for every place; or each text's. */
static sn_status read_wanted(const sn_plan_reader *r, const json_t *object, const char *key, const sn_where *where,
                             int64_t n_place, bool *found, wanted *w)
{
	const sn_batch *batch = &r->out->batch;
	const json_t *own = json_object_get(object, key);
	int64_t most = 0;
	*w = (wanted){ 0 };
	*found = own != NULL;
	for (int32_t i = 0; i < r->n_text; i++) {
		const json_t *of_text = r->text[i].json ? json_object_get(r->text[i].json, key) : NULL;
		*found |= of_text != NULL;
		most = SN_MAX(most, json_is_array(of_text) ? (int64_t)json_array_size(of_text) : 1);
	}
	if (!*found) return SN_OK;
	w->room = own ? SN_MAX(1, (int64_t)json_array_size(own)) : most * n_place;
	SN_NEW(w->id, r->arena, int32_t, w->room);
	SN_NEW(w->start, r->arena, int64_t, (own ? 1 : n_place) + 1);
	if (own) return push_tokens(r, object, key, w);
	for (int32_t b = 0; b < batch->n; b++) {
		const sn_plan_text *t = &r->text[b % r->n_text];
		int32_t m = sn_places_in_row(batch, where, b, NULL);
		if (m > 0 && (!t->json || !json_object_get(t->json, key)))
			return sn_json_fail(r->doc, object, key, SN_ENOTFOUND, "is missing here and in text \"%.40s\"", t->name);
		for (int32_t i = 0; i < m; i++) SN_TRY(push_tokens(r, t->json, key, w));
	}
	return SN_OK;
}

/* ---- goals ---- */

static const char *const metrics[] = { "loss", "logprob", "logit", "logit_diff", "kl", "dot", NULL };
static const sn_metric metric_of[] = { SN_LOSS, SN_LOGPROB, SN_LOGIT, SN_LOGIT_DIFF, SN_KL, SN_DOT };

static sn_status set_tokens(const sn_plan_reader *r, const json_t *object, sn_goal *g)
{
	int64_t n_place = sn_where_count(r->ctx, &r->out->batch, &g->where);
	bool want, foil;
	wanted w, f;
	if (n_place < 0) return SN_EARG;
	SN_TRY(read_wanted(r, object, "want", &g->where, n_place, &want, &w));
	if (want) {
		g->want = w.id;
		g->want_start = w.start;
		g->n_want = w.n;
	}
	if (g->metric == SN_LOGIT && !want)
		return sn_json_fail(r->doc, object, "want", SN_ENOTFOUND, "is missing: whose logit?");
	if (g->metric != SN_LOGIT_DIFF) return SN_OK;
	SN_TRY(read_wanted(r, object, "foil", &g->where, n_place, &foil, &f));
	if (!want || !foil || w.n != f.n)
		return sn_json_fail(r->doc, object, want ? "foil" : "want", SN_ENOTFOUND, "a logit difference needs want and "
		                    "foil, both here or both with the texts");
	g->foil = f.id;
	g->foil_start = f.start;
	return SN_OK;
}

/* The row whose distribution a divergence is from: a text's, or the same text's without edits. */
static sn_status set_reference(const sn_plan_reader *r, const json_t *object, sn_goal *g)
{
	const json_t *value = json_object_get(object, "ref");
	int32_t text = 0, n = r->out->batch.n, *ref;
	if (!value && !r->n_twin)
		return sn_json_fail(r->doc, object, "ref", SN_ENOTFOUND, "is missing: name a text, or set \"unedited\": true");
	if (value) SN_TRY(sn_plan_text_of(r, object, "ref", value, &text));
	SN_NEW(ref, r->arena, int32_t, n);
	for (int32_t b = 0; b < n; b++) ref[b] = value ? text : b % r->n_text;
	g->ref_row = ref;
	return SN_OK;
}

static sn_status set_direction(const sn_plan_reader *r, const json_t *object, sn_goal *g)
{
	sn_site *site;
	const char *text;
	int n;
	SN_TRY(sn_json_string(r->doc, object, "at", &text));
	SN_TRY(sn_site_expand(r->ctx, r->model, text, r->arena, &site, &n));
	if (n != 1) return sn_json_fail(r->doc, object, "at", SN_EARG, "names %d sites; expected one", n);
	g->at = *site;
	SN_TRY(sn_plan_tensor(r, object, "dir", &g->dir));
	if (g->dir) return SN_OK;
	return sn_json_fail(r->doc, object, "dir", SN_ENOTFOUND, "is missing: x . dir is what is measured");
}

/* Rows as a list of places. */
static sn_status restrict_rows(const sn_plan_reader *r, const json_t *object, sn_where *where)
{
	const sn_batch *batch = &r->out->batch;
	bool *rows, all;
	int64_t *list, n = 0;
	SN_TRY(sn_plan_rows(r, object, false, &rows, &all));
	if (all) return SN_OK;
	SN_NEW(list, r->arena, int64_t, batch->start[batch->n]);
	for (int32_t b = 0; b < batch->n; b++) {
		int32_t *pos;
		SN_NEW(pos, r->arena, int32_t, sn_row_length(batch, b));
		int32_t m = rows[b] ? sn_places_in_row(batch, where, b, pos) : 0;
		for (int32_t i = 0; i < m; i++) list[n++] = batch->start[b] + pos[i];
	}
	*where = (sn_where){ .sel = SN_LIST, .list = list, .n_list = n };
	return SN_OK;
}

static sn_status read_goal(sn_plan_reader *r, const json_t *object, size_t i)
{
	static const char *const words[] = { "name", "metric", "at", "where", "rows", "want", "foil", "dir", "ref", NULL };
	sn_goal *g = &r->goal[r->out->plan.n_goal];
	const char *number = sn_arena_format(r->arena, "%zu", i);
	int metric;
	if (!number) return SN_ENOMEM;
	SN_TRY(sn_plan_keys(r, object, words));
	SN_TRY(sn_plan_word(r, object, "metric", metrics, &metric));
	*g = (sn_goal){ .metric = metric_of[metric] };
	const char *name = sn_arena_format(r->arena, "%s", metrics[metric]);
	if (!name) return SN_ENOMEM;
	SN_TRY(sn_json_string_or(r->doc, object, "name", name, &r->out->goal[r->out->plan.n_goal]));
	SN_TRY(sn_plan_where(r, object, "where", &g->where));
	if (!g->where.sel)
		return sn_json_fail(r->doc, object, "where", SN_ENOTFOUND, "is missing: \"all\", \"last\", {\"span\": ...}");
	SN_TRY(restrict_rows(r, object, &g->where));
	if (g->metric == SN_KL) SN_TRY(set_reference(r, object, g));
	else if (g->metric == SN_DOT) SN_TRY(set_direction(r, object, g));
	else SN_TRY(set_tokens(r, object, g));
	r->out->plan.n_goal++;
	return SN_OK;
}

sn_status sn_plan_read_goals(sn_plan_reader *r)
{
	json_t *list, *object;
	size_t i;
	SN_TRY(sn_json_array_or(r->doc, r->doc->root, "goals", &list));
	if (json_array_size(list) > SN_PLAN_PARTS)
		return sn_json_fail(r->doc, NULL, "goals", SN_EARG, "there are more than %d", SN_PLAN_PARTS);
	SN_NEW(r->goal, r->arena, sn_goal, json_array_size(list));
	SN_NEW(r->out->goal, r->arena, const char *, json_array_size(list));
	json_array_foreach(list, i, object) SN_TRY(read_goal(r, object, i));
	r->out->plan.goal = r->goal;
	return SN_OK;
}

/* ---- forks ---- */

static int32_t shared_prefix(const sn_batch *b, int32_t x, int32_t y)
{
	const int32_t *p = b->token + b->start[x], *q = b->token + b->start[y];
	int32_t n = SN_MIN(sn_row_length(b, x), sn_row_length(b, y)), i = 0;
	while (i < n && p[i] == q[i]) i++;
	return i;
}

/* The first place of an edit in a row; the row's length where there is none. */
static int32_t first_place(const sn_batch *b, const sn_edit *e, int32_t row, int32_t *pos)
{
	bool named = (!e->src_row || e->src_row[row] >= 0) && sn_places_in_row(b, &e->where, row, pos) > 0;
	return named ? pos[0] : sn_row_length(b, row);
}

/* A fork repeats its parent's edits where both are alike; so the parent may have none there that the fork has not, at
 * the same place or before it. */
static bool may_fork(const sn_plan_reader *r, int32_t parent, int32_t row, int32_t fork, int32_t *pos)
{
	const sn_batch *b = &r->out->batch;
	for (int e = 0; e < r->out->plan.n_edit; e++) {
		const sn_edit *edit = &r->edit[e];
		if (edit->at.stack == SN_STACK_ENCODER && r->model->encoder) return false;
		int32_t first = first_place(b, edit, parent, pos);
		if (first < fork && first_place(b, edit, row, pos) > first) return false;
	}
	return true;
}

void sn_plan_mark_edited(sn_plan_reader *r)
{
	for (int32_t i = 0; i < r->out->batch.n; i++) {
		r->out->edited[i] = false;
		for (int e = 0; e < r->out->plan.n_edit; e++) {
			const sn_edit *edit = &r->edit[e];
			bool encoder = r->model->encoder && edit->at.stack == SN_STACK_ENCODER;
			const sn_batch *b = encoder ? &r->out->enc : &r->out->batch;
			bool named = !edit->src_row || edit->src_row[i] >= 0;
			r->out->edited[i] |= named && sn_places_in_row(b, &edit->where, i, NULL) > 0;
		}
	}
}

sn_status sn_plan_find_forks(sn_plan_reader *r)
{
	sn_batch *b = &r->out->batch;
	int32_t *parent, *fork, *pos, longest = 1;
	bool whole = !sn_model_get_info(r->model)->causal;
	SN_NEW(parent, r->arena, int32_t, b->n);
	SN_NEW(fork, r->arena, int32_t, b->n);
	for (int32_t i = 0; i < b->n; i++) longest = SN_MAX(longest, sn_row_length(b, i));
	SN_NEW(pos, r->arena, int32_t, longest);
	for (int32_t i = 0; i < b->n; i++) {
		parent[i] = -1;
		for (int32_t j = 0; j < i && !b->enc; j++) {
			int32_t n = shared_prefix(b, i, j), rows = sn_row_length(b, i);
			if (n <= fork[i] || (whole && (n < rows || n < sn_row_length(b, j)))) continue;
			if (!may_fork(r, j, i, n, pos)) continue;
			parent[i] = j;
			fork[i] = n;
		}
		r->out->n_fork += parent[i] >= 0;
	}
	b->parent = parent;
	b->fork = fork;
	return SN_OK;
}
