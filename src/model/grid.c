#include "model/grid.h"
#include "base/work.h"
#include "model/choice.h"
#include "model/gather.h"

#include <math.h>
#include <string.h>

enum { CHUNK_TOKENS = 16384 }; /* row tokens of one sn_run; forks compute fewer */
enum { NO_ROW = -1, ROW_OF_BASE = -2 }; /* variants without a row: the frame lacks the place; nothing would change */

/* ---- places ---- */

static bool held(const sn_items *items, int64_t item, int32_t pos)
{
	for (int r = 0; r < items->n_role; r++) {
		const int32_t *span = items->span[item * items->n_role + r];
		if (pos >= span[0] && pos < span[1]) return true;
	}
	return false;
}

static int range(int32_t first, int32_t last, int32_t *pos)
{
	for (int32_t p = first; p < last; p++) pos[p - first] = p;
	return SN_MAX(last - first, 0);
}

int sn_spot_positions(const sn_items *items, int64_t item, const sn_spot *spot, int32_t *pos)
{
	static const int32_t none[2] = { -1, -1 };
	int32_t length = (int32_t)(items->start[item + 1] - items->start[item]),
			at = spot->arg + (spot->arg < 0 ? length : 0);
	int role = spot->place == SN_PLACE_OTHER ? 0 : spot->arg;
	bool has_role = role >= 0 && role < items->n_role;
	const int32_t *span = has_role ? items->span[item * items->n_role + role] : none;
	if (spot->place == SN_PLACE_AT) return at >= 0 && at < length ? range(at, at + 1, pos) : 0;
	if (span[0] < 0 || span[1] <= span[0]) return 0;
	switch (spot->place) {
	case SN_PLACE_ROLE:
		return range(span[0], span[1], pos);
	case SN_PLACE_ROLE_LAST:
		return range(span[1] - 1, span[1], pos);
	case SN_PLACE_ONWARD:
		return range(span[0], length, pos);
	default:
		break;
	}
	int n = 0;
	for (int32_t p = span[1]; p < length; p++)
		if (!held(items, item, p)) pos[n++] = p;
	return n;
}

sn_spot sn_spot_role(const sn_model *model, int l, int role)
{
	return (sn_spot){ sn_boundary_site(model, l), SN_PLACE_ROLE, role };
}

int64_t sn_items_longest(const sn_items *items)
{
	int64_t longest = 0;
	for (int64_t i = 0; i < items->n; i++) longest = SN_MAX(longest, items->start[i + 1] - items->start[i]);
	return longest;
}

static int64_t item_length(const sn_items *items, int64_t item) { return items->start[item + 1] - items->start[item]; }

/* ---- one chunk: families of one fold that run together ---- */

/* Where one touch acts: flat token indices, and the family and position behind each. */
typedef struct acts {
	int64_t n, *list;
	int32_t *family, *pos;
	sn_keep before, after; /* of touches that report how far they moved */
} acts;

typedef struct chunk {
	sn_ctx *ctx;
	sn_model *model;
	const sn_grid *grid;
	sn_arena *arena;
	const int64_t *family; /* numbers in the grid */
	int64_t n_family, longest;
	int fold;
	int32_t n, n_token; /* rows, tokens */
	int32_t *token, *parent, *fork, *src_row;
	int64_t *start, *item;
	int32_t (*span)[2];   /* [rows * the items' roles] */
	int32_t *variant_row; /* [n_family, n_variant]; or NO_ROW, ROW_OF_BASE */
	acts *act;            /* one a touch, variants in order */
	sn_edit *edit;
	sn_tensor *src; /* of the shifts */
	sn_tap *tap;
	int n_touch, n_edit, n_tap;
	double *ld; /* [n_choice] of one row */
} chunk;

static int count_touches(const sn_grid *g)
{
	int n = 0;
	for (int v = 0; v < g->n_variant; v++) n += g->variant[v].n_touch;
	return n;
}

static sn_status open_chunk(chunk *c)
{
	int64_t rows = 0, tokens = 0;
	for (int64_t f = 0; f < c->n_family; f++) {
		const sn_family *family = &c->grid->family[c->family[f]];
		rows += 2 + c->grid->n_variant;
		tokens += (1 + c->grid->n_variant) * item_length(c->grid->items, family->base);
		if (family->source >= 0) tokens += item_length(c->grid->items, family->source);
	}
	c->n_touch = count_touches(c->grid);
	SN_NEW(c->token, c->arena, int32_t, tokens);
	SN_NEW(c->parent, c->arena, int32_t, rows);
	SN_NEW(c->fork, c->arena, int32_t, rows);
	SN_NEW(c->src_row, c->arena, int32_t, rows);
	SN_NEW(c->start, c->arena, int64_t, rows + 1);
	SN_NEW(c->item, c->arena, int64_t, rows);
	c->span = sn_arena_take(c->arena, sn_size3((size_t)rows, (size_t)c->grid->items->n_role, sizeof *c->span));
	if (!c->span) return SN_ENOMEM;
	SN_NEW(c->variant_row, c->arena, int32_t, c->n_family * c->grid->n_variant);
	SN_NEW(c->act, c->arena, acts, c->n_touch);
	SN_NEW(c->edit, c->arena, sn_edit, c->n_touch);
	SN_NEW(c->src, c->arena, sn_tensor, c->n_touch);
	SN_NEW(c->tap, c->arena, sn_tap, 2 * c->n_touch);
	return SN_OK;
}

static int32_t add_row(chunk *c, int64_t item, int32_t parent, int32_t fork, int32_t src_row)
{
	const sn_items *items = c->grid->items;
	int64_t length = item_length(items, item);
	memcpy(c->token + c->n_token, items->token + items->start[item], (size_t)length * sizeof *c->token);
	for (int r = 0; r < items->n_role; r++)
		memcpy(c->span[c->n * items->n_role + r], items->span[item * items->n_role + r], sizeof *c->span);
	c->n_token += (int32_t)length;
	c->item[c->n] = item;
	c->parent[c->n] = parent;
	c->fork[c->n] = fork;
	c->src_row[c->n] = src_row;
	c->start[++c->n] = c->n_token;
	return c->n - 1;
}

static int32_t first_difference(const sn_items *items, int64_t a, int64_t b)
{
	int32_t p = 0, length = (int32_t)SN_MIN(item_length(items, a), item_length(items, b));
	while (p < length && items->token[items->start[a] + p] == items->token[items->start[b] + p]) p++;
	return p;
}

static bool has_places(const sn_items *items, int64_t item, const sn_variant *v, int32_t *pos)
{
	for (int t = 0; t < v->n_touch; t++)
		if (sn_spot_positions(items, item, &v->touch[t].spot, pos) > 0) return true;
	return false;
}

/* Whether each place of the variant in the base has its counterpart in the source. */
static bool has_counterparts(const sn_items *items, const sn_family *f, const sn_variant *v)
{
	if (f->source < 0 || item_length(items, f->base) == item_length(items, f->source)) return true;
	for (int t = 0; t < v->n_touch; t++)
		if (v->touch[t].kind == SN_TOUCH_SOURCE && v->touch[t].spot.place != SN_PLACE_ROLE_LAST) return false;
	return true;
}

/* Whether a variant puts what a base has before its first difference from the source where it already is. */
static bool changes_nothing(const chunk *c, const sn_family *f, const sn_variant *v, int32_t difference, int32_t *pos)
{
	const sn_items *items = c->grid->items;
	if (f->source < 0 || !sn_model_get_info(c->model)->causal) return false;
	for (int t = 0; t < v->n_touch; t++) {
		const sn_spot *spot = &v->touch[t].spot;
		int n = sn_spot_positions(items, f->base, spot, pos);
		int32_t last = n ? pos[n - 1] : -1;
		if (v->touch[t].kind != SN_TOUCH_SOURCE || last >= difference) return false;
		bool apart = n && spot->place == SN_PLACE_ROLE_LAST;
		if (apart && (sn_spot_positions(items, f->source, spot, pos) != n || pos[0] != last)) return false;
	}
	return true;
}

/* A family's rows: base, source (a fork of the base, so that they stay together), one fork a variant. */
static void add_family(chunk *c, int64_t f, int32_t *pos)
{
	const sn_family *family = &c->grid->family[c->family[f]];
	const sn_items *items = c->grid->items;
	int32_t length = (int32_t)item_length(items, family->base), base = add_row(c, family->base, -1, 0, -1), source = -1;
	int32_t difference = family->source < 0 ? 0 : first_difference(items, family->base, family->source);
	if (family->source >= 0) source = add_row(c, family->source, base, difference, -1);
	for (int v = 0; v < c->grid->n_variant; v++) {
		const sn_variant *variant = &c->grid->variant[v];
		int32_t *row = &c->variant_row[f * c->grid->n_variant + v];
		if (!has_places(items, family->base, variant, pos) || !has_counterparts(items, family, variant)) *row = NO_ROW;
		else if (changes_nothing(c, family, variant, difference, pos)) *row = ROW_OF_BASE;
		else *row = add_row(c, family->base, base, length, source);
	}
}

static sn_status add_rows(chunk *c)
{
	int32_t *pos;
	SN_NEW(pos, c->arena, int32_t, c->longest);
	for (int64_t f = 0; f < c->n_family; f++) add_family(c, f, pos);
	return SN_OK;
}

/* ---- edits ---- */

static sn_status list_places(chunk *c, int variant, const sn_touch *t, acts *a)
{
	const sn_items *items = c->grid->items;
	int32_t *pos;
	SN_NEW(a->list, c->arena, int64_t, c->n_family * c->longest);
	SN_NEW(a->family, c->arena, int32_t, c->n_family * c->longest);
	SN_NEW(a->pos, c->arena, int32_t, c->n_family * c->longest);
	SN_NEW(pos, c->arena, int32_t, c->longest);
	for (int64_t f = 0; f < c->n_family; f++) {
		int32_t row = c->variant_row[f * c->grid->n_variant + variant];
		int n = row < 0 ? 0 : sn_spot_positions(items, c->grid->family[c->family[f]].base, &t->spot, pos);
		for (int i = 0; i < n; i++, a->n++) {
			a->list[a->n] = c->start[row] + pos[i];
			a->family[a->n] = (int32_t)f;
			a->pos[a->n] = pos[i];
		}
	}
	return SN_OK;
}

static float *moved_at(const chunk *c, const sn_touch *t, const acts *a, int64_t i)
{
	return &t->moved[c->family[a->family[i]] * c->longest + a->pos[i]];
}

/* Each place's own length along the key's direction. */
static sn_status make_shift(chunk *c, const sn_touch *t, const acts *a, sn_tensor *src)
{
	int64_t d = sn_site_width(c->model, &t->spot.site);
	sn_rng rng = sn_rng_make(sn_ctx_seed(c->ctx), t->key);
	float *direction, *x;
	double norm = 0;
	SN_NEW(direction, c->arena, float, d);
	SN_NEW(x, c->arena, float, a->n *d);
	for (int64_t j = 0; j < d; j++) {
		direction[j] = (float)sn_rng_normal(&rng);
		norm += (double)direction[j] * direction[j];
	}
	for (int64_t i = 0; i < a->n; i++)
		for (int64_t j = 0; j < d; j++) x[i * d + j] = (float)(*moved_at(c, t, a, i) * direction[j] / sqrt(norm));
	*src = sn_tensor_f32(x, a->n, d);
	return SN_OK;
}

static sn_status add_moved_taps(chunk *c, const sn_touch *t, acts *a, const sn_where *where)
{
	int64_t d = sn_site_width(c->model, &t->spot.site);
	a->before = (sn_keep){ .m = a->n, .d = d };
	a->after = a->before;
	SN_NEW(a->before.x, c->arena, float, a->n *d);
	SN_NEW(a->after.x, c->arena, float, a->n *d);
	c->tap[c->n_tap++] = (sn_tap){ t->spot.site, *where, SN_BEFORE, &sn_sink_keep, &a->before };
	c->tap[c->n_tap++] = (sn_tap){ t->spot.site, *where, SN_AFTER, &sn_sink_keep, &a->after };
	return SN_OK;
}

/* The source's last token of a role may stand elsewhere than the base's, so the edit names the role instead of
 * positions; its source rows are those of this variant alone. */
static sn_status align_edit(chunk *c, int variant, const sn_touch *t, sn_edit *e)
{
	int32_t *src_row;
	e->src_row = c->src_row;
	if (t->spot.place != SN_PLACE_ROLE_LAST) return SN_OK;
	SN_NEW(src_row, c->arena, int32_t, c->n);
	for (int32_t b = 0; b < c->n; b++) src_row[b] = -1;
	for (int64_t f = 0; f < c->n_family; f++) {
		int32_t row = c->variant_row[f * c->grid->n_variant + variant];
		if (row >= 0) src_row[row] = c->src_row[row];
	}
	e->src_row = src_row;
	e->where = (sn_where){ .sel = SN_SPAN_LAST, .arg = t->spot.arg };
	return SN_OK;
}

static sn_status add_edit(chunk *c, int variant, const sn_touch *t, acts *a)
{
	SN_TRY(list_places(c, variant, t, a));
	if (a->n == 0) return SN_OK;
	sn_edit *e = &c->edit[c->n_edit];
	*e = (sn_edit){ .op = SN_OP_SET,
					.at = t->spot.site,
					.where = { .sel = SN_LIST, .list = a->list, .n_list = a->n },
					.U = t->U ? &t->U[c->fold] : NULL,
					.V = t->V ? &t->V[c->fold] : NULL };
	if (t->kind == SN_TOUCH_SOURCE) SN_TRY(align_edit(c, variant, t, e));
	if (t->kind == SN_TOUCH_MEAN) e->src = &t->mean[c->fold];
	if (t->kind == SN_TOUCH_MEAN && t->moved) SN_TRY(add_moved_taps(c, t, a, &e->where));
	if (t->kind == SN_TOUCH_SHIFT) {
		SN_TRY(make_shift(c, t, a, &c->src[c->n_edit]));
		e->op = SN_OP_ADD;
		e->src = &c->src[c->n_edit];
		e->U = e->V = NULL;
	}
	c->n_edit++;
	return SN_OK;
}

static sn_status add_edits(chunk *c)
{
	acts *a = c->act;
	for (int v = 0; v < c->grid->n_variant; v++)
		for (int t = 0; t < c->grid->variant[v].n_touch; t++)
			SN_TRY(add_edit(c, v, &c->grid->variant[v].touch[t], a++));
	return SN_OK;
}

/* ---- results ---- */

static void put_row(const chunk *c, const double *score, int32_t row, double *mean, double *each)
{
	int n_choice = c->grid->items->n_choice;
	double sum = 0, *ld = each ? each : c->ld;
	sn_choice_combine(c->grid->items, score + row, c->n, ld);
	for (int k = 0; k < n_choice; k++) sum += ld[k];
	*mean = sum / n_choice;
}

static double *each_at(double *each, int64_t i, int n_choice) { return each ? each + i * n_choice : NULL; }

static void put_scores(const chunk *c, const double *score, const sn_grid_out *out)
{
	int n_choice = c->grid->items->n_choice, n_variant = c->grid->n_variant, row = 0;
	for (int64_t f = 0; f < c->n_family; f++) {
		int64_t at = c->family[f];
		int32_t base = row++;
		put_row(c, score, base, &out->base[at], each_at(out->base_each, at, n_choice));
		if (c->grid->family[at].source >= 0) {
			double source;
			put_row(c, score, row++, out->source ? &out->source[at] : &source, each_at(out->source_each, at, n_choice));
		}
		for (int v = 0; v < n_variant; v++) {
			int32_t kind = c->variant_row[f * n_variant + v];
			if (kind == NO_ROW) continue;
			put_row(c, score, kind == ROW_OF_BASE ? base : row++, &out->ld[at * n_variant + v],
			        each_at(out->each, at * n_variant + v, n_choice));
		}
	}
}

static void put_moved(const chunk *c)
{
	const acts *a = c->act;
	for (int v = 0; v < c->grid->n_variant; v++)
		for (int t = 0; t < c->grid->variant[v].n_touch; t++, a++) {
			const sn_touch *touch = &c->grid->variant[v].touch[t];
			if (!a->after.x) continue;
			const float *u = touch->U[c->fold].data;
			int64_t d = a->after.d, k = touch->U[c->fold].dim[1];
			for (int64_t i = 0; i < a->n; i++) {
				double norm = 0, along = 0;
				for (int64_t j = 0; j < d; j++) {
					double delta = (double)a->after.x[i * d + j] - a->before.x[i * d + j];
					norm += delta * delta;
					along += delta * u[j * k];
				}
				*moved_at(c, touch, a, i) = (float)copysign(sqrt(norm), along);
			}
		}
}

static sn_status run_chunk(chunk *c, const sn_grid_out *out)
{
	const sn_items *items = c->grid->items;
	sn_goal *goal;
	double *score;
	SN_TRY(open_chunk(c));
	SN_TRY(add_rows(c));
	SN_TRY(add_edits(c));
	SN_TRY(sn_choice_goals(c->ctx, items, c->item, c->n, sn_model_get_info(c->model)->d_vocab, c->arena, &goal));
	int n_goal = sn_choice_goal_count(items);
	SN_NEW(score, c->arena, double, (int64_t)n_goal * c->n);
	SN_NEW(c->ld, c->arena, double, items->n_choice);
	sn_batch batch = { .n = c->n,
					   .token = c->token,
					   .start = c->start,
					   .item = c->item,
					   .parent = c->parent,
					   .fork = c->fork,
					   .span = (const int32_t(*)[2])c->span,
					   .n_span = items->n_role };
	sn_plan plan = { .size = sizeof plan,
					 .n_edit = c->n_edit,
					 .n_tap = c->n_tap,
					 .n_goal = n_goal,
					 .edit = c->edit,
					 .tap = c->tap,
					 .goal = goal };
	SN_TRY(sn_run(c->ctx, c->model, &batch, &plan, NULL, score));
	put_scores(c, score, out);
	put_moved(c);
	return SN_OK;
}

/* ---- the whole grid ---- */

static sn_status check_touch(sn_ctx *ctx, const sn_grid *g, const sn_touch *t)
{
	bool projected = t->U && t->V;
	if (t->kind <= SN_TOUCH_NONE || t->kind > SN_TOUCH_SHIFT)
		return sn_fail(ctx, SN_EARG, "touch of kind %d", (int)t->kind);
	if (t->spot.place <= SN_PLACE_NONE || t->spot.place > SN_PLACE_AT)
		return sn_fail(ctx, SN_EARG, "touch at place %d", (int)t->spot.place);
	if ((t->U || t->V) && !projected) return sn_fail(ctx, SN_EARG, "a projection needs both U and V");
	if (t->kind == SN_TOUCH_MEAN && (!t->mean || !projected))
		return sn_fail(ctx, SN_EARG, "an eraser needs mean, U and V");
	if (t->kind == SN_TOUCH_SHIFT && !t->moved) return sn_fail(ctx, SN_EARG, "a shift needs lengths");
	if (projected && g->items->n_fold < 1) return sn_fail(ctx, SN_EARG, "%s: items without folds", g->items->source);
	return SN_OK;
}

static sn_status check_family(sn_ctx *ctx, const sn_items *items, const sn_family *f)
{
	if (f->base < 0 || f->base >= items->n || f->source >= items->n)
		return sn_fail(ctx, SN_EARG, "%s: item %lld or %lld of %lld", items->source, (long long)f->base,
					   (long long)f->source, (long long)items->n);
	int fold = items->item[f->base].fold;
	if (fold < 0 || fold >= SN_MAX(items->n_fold, 1))
		return sn_fail(ctx, SN_EARG, "%s: item %lld is of fold %d, expected 0 .. %d", items->source, (long long)f->base,
					   fold, items->n_fold - 1);
	return SN_OK;
}

static sn_status check_grid(sn_ctx *ctx, const sn_grid *g)
{
	for (int v = 0; v < g->n_variant; v++)
		for (int t = 0; t < g->variant[v].n_touch; t++) SN_TRY(check_touch(ctx, g, &g->variant[v].touch[t]));
	for (int64_t f = 0; f < g->n_family; f++) SN_TRY(check_family(ctx, g->items, &g->family[f]));
	return SN_OK;
}

static void fill_nan(double *x, int64_t n)
{
	for (int64_t i = 0; x && i < n; i++) x[i] = NAN;
}

static void clear_out(const sn_grid *g, const sn_grid_out *out)
{
	int64_t n = g->n_family, cells = n * g->n_variant, k = g->items->n_choice;
	fill_nan(out->base, n);
	fill_nan(out->source, n);
	fill_nan(out->ld, cells);
	fill_nan(out->base_each, n * k);
	fill_nan(out->source_each, n * k);
	fill_nan(out->each, cells * k);
}

/* Writes the families' numbers in the order of their folds. */
static sn_status order_families(const sn_grid *g, sn_arena *arena, int64_t **out)
{
	int64_t n = 0;
	SN_NEW(*out, arena, int64_t, g->n_family);
	for (int fold = 0; fold < SN_MAX(g->items->n_fold, 1); fold++)
		for (int64_t f = 0; f < g->n_family; f++)
			if (g->items->item[g->family[f].base].fold == fold) (*out)[n++] = f;
	return SN_OK;
}

/* Returns how many families from the first on run together: one fold, about CHUNK_TOKENS row tokens. */
static int64_t chunk_size(const sn_grid *g, const int64_t *family, int64_t n)
{
	int fold = g->items->item[g->family[family[0]].base].fold;
	int64_t size = 0, tokens = 0;
	while (size < n && g->items->item[g->family[family[size]].base].fold == fold) {
		tokens += (2 + g->n_variant) * item_length(g->items, g->family[family[size]].base);
		if (size > 0 && tokens > CHUNK_TOKENS) break;
		size++;
	}
	return size;
}

/* The chunks as a list of work. */
typedef struct chunks {
	sn_model *model;
	const sn_grid *grid;
	const sn_grid_out *out;
	int64_t longest, *order; /* order [n_family] */
	int64_t n, *first;       /* [n + 1] where chunks begin in order */
	size_t record;           /* bytes of a family's numbers */
} chunks;

/* Copies n numbers from an array to a record, or back; returns their bytes. array NULL: there are none. */
static size_t carry_some(void *array, size_t size, int64_t first, int64_t n, char *record, bool back)
{
	if (!array) return 0;
	char *own = (char *)array + (size_t)first * size;
	if (record) memcpy(back ? own : record, back ? record : own, (size_t)n * size);
	return (size_t)n * size;
}

/* Everything that a run says of a family; returns its bytes, for which record may be NULL. */
static size_t carry(const chunks *l, int64_t f, char *record, bool back)
{
	const sn_grid_out *o = l->out;
	int64_t k = l->grid->items->n_choice, v = l->grid->n_variant;
	struct {
		double *array;
		int64_t n;
	} part[] = { { o->base, 1 },          { o->source, 1 }, { o->ld, v }, { o->base_each, k }, { o->source_each, k },
				 { o->each, v * k } };
	size_t at = 0;
	for (int i = 0; i < SN_COUNT(part); i++)
		at += carry_some(part[i].array, sizeof(double), f * part[i].n, part[i].n, record ? record + at : NULL, back);
	for (int i = 0; i < l->grid->n_variant; i++)
		for (int t = 0; t < l->grid->variant[i].n_touch; t++) {
			const sn_touch *touch = &l->grid->variant[i].touch[t];
			if (touch->kind != SN_TOUCH_MEAN) continue;
			at += carry_some(touch->moved, sizeof(float), f * l->longest, l->longest, record ? record + at : NULL,
							 back);
		}
	return at;
}

static sn_status run_unit(sn_ctx *ctx, void *arg, int64_t i, void *result)
{
	const chunks *l = arg;
	const int64_t *family = l->order + l->first[i];
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	chunk c = { .ctx = ctx,
				.model = l->model,
				.grid = l->grid,
				.arena = arena,
				.family = family,
				.n_family = l->first[i + 1] - l->first[i],
				.longest = l->longest,
				.fold = l->grid->items->item[l->grid->family[family[0]].base].fold };
	sn_status status = run_chunk(&c, l->out);
	for (int64_t f = 0; f < c.n_family && status == SN_OK; f++)
		(void)carry(l, family[f], (char *)result + (size_t)f * l->record, false);
	sn_arena_close(arena);
	return status;
}

static sn_status take_unit(sn_ctx *ctx, void *arg, int64_t i, const void *result)
{
	(void)ctx;
	const chunks *l = arg;
	for (int64_t f = l->first[i]; f < l->first[i + 1]; f++)
		(void)carry(l, l->order[f], (char *)(uintptr_t)result + (size_t)(f - l->first[i]) * l->record, true);
	return SN_OK;
}

static int64_t families_of(const void *arg, int64_t i)
{
	const chunks *l = arg;
	return l->first[i + 1] - l->first[i];
}

static sn_status run_chunks(sn_ctx *ctx, sn_model *model, const sn_grid *g, const sn_grid_out *out, sn_arena *arena)
{
	chunks l = { .model = model, .grid = g, .out = out, .longest = sn_items_longest(g->items) };
	int64_t most = 0;
	SN_TRY(order_families(g, arena, &l.order));
	SN_NEW(l.first, arena, int64_t, g->n_family + 1);
	for (int64_t f = 0, n; f < g->n_family; f += n) {
		n = chunk_size(g, l.order + f, g->n_family - f);
		l.first[++l.n] = f + n;
		most = SN_MAX(most, n);
	}
	l.record = carry(&l, 0, NULL, false);
	return sn_work_run(ctx, &(sn_work){ .what = g->what ? g->what : "running",
										.n = l.n,
										.size = (size_t)most * l.record,
										.run = run_unit,
										.arg = &l,
										.take = take_unit,
										.cost = families_of });
}

sn_status sn_grid_run(sn_ctx *ctx, sn_model *model, const sn_grid *grid, const sn_grid_out *out)
{
	sn_arena *arena;
	clear_out(grid, out);
	SN_TRY(check_grid(ctx, grid));
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = run_chunks(ctx, model, grid, out, arena);
	sn_arena_close(arena);
	return status;
}
