/* `sonde attention knockout`: the choice without the way from one place to another. */
#include "methods/attention/knockout.h"
#include "model/choice.h"
#include "stats/bootstrap.h"

#include <math.h>
#include <string.h>

#define AT(field) offsetof(sn_knockout_param, field)
static const sn_param params[] = {
	{ .name = "queries",
	  .help = "roles that may no longer look, comma-separated",
	  .def = "last",
	  .type = SN_TYPE_TEXT,
	  .off = AT(queries) },
	{ .name = "keys",
	  .help = "roles that they may no longer look at; other: tokens of no role, first: the first token; all: "
			  "every role but last, and other",
	  .def = "all",
	  .type = SN_TYPE_TEXT,
	  .off = AT(keys) },
	{ .name = "window",
	  .unit = "layers",
	  .help = "neighbouring layers that are cut together, centred",
	  .def = "5",
	  .type = SN_TYPE_INT,
	  .off = AT(window),
	  .min = 1,
	  .max = 1e4 },
	{ .name = "every",
	  .unit = "layers",
	  .help = "every n-th layer as the centre",
	  .def = "1",
	  .type = SN_TYPE_INT,
	  .off = AT(every),
	  .min = 1,
	  .max = 1e4 },
	{ .name = "limit",
	  .unit = "items",
	  .help = "only the first members of main pairs; 0: all",
	  .def = "96",
	  .type = SN_TYPE_INT,
	  .off = AT(limit),
	  .max = 1e9 },
	{ .name = "resamples",
	  .help = "bootstrap resamples of lemmas",
	  .def = "2000",
	  .type = SN_TYPE_INT,
	  .off = AT(resamples),
	  .min = 100,
	  .max = 100000 },
};

enum { EFFECTS, WHOLE, CHOICE };

static const sn_col effect_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "edge", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "From → to" },
	{ "layers", "layers", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Layers cut" },
	{ "items", "items", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Items" },
	{ "effect", "share of S", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "What is lost" },
	{ "effect_low", "share of S", "effect", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "effect_high", "share of S", "effect", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "left", "nats", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "S that is left" },
};

static const sn_col whole_columns[] = {
	{ "edge", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "From → to" },
	{ "items", "items", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Items" },
	{ "effect", "share of S", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "What is lost" },
	{ "effect_low", "share of S", "effect", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "effect_high", "share of S", "effect", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "left", "nats", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "S that is left" },
};

static const sn_col choice_columns[] = {
	{ "quantity", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Quantity" },
	{ "value", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Value" },
	{ "value_low", "nats", "value", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "value_high", "nats", "value", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
};

static const sn_table tables[] = {
	[EFFECTS] = { "effects", "What the choice loses without these edges", effect_columns, SN_COUNT(effect_columns),
				  SN_VIEW_LINE,
				  "Attention from one place to another is blocked (scores set to minus infinity) in a window of layers "
				  "around each. "
				  "What is lost: 1 - S without / S, S being the mean of n LD over frames and both values of the "
				  "feature. Bands: 95 % "
				  "simultaneous intervals over all layers and edges, from a bootstrap of lemmas. The edge to other "
				  "tokens "
				  "is the control.",
				  false },
	[WHOLE] = { "whole", "The same edges cut in all layers", whole_columns, SN_COUNT(whole_columns), SN_VIEW_TABLE,
				"What the choice loses when the edge is blocked in every layer at once: all that passes there "
				"directly.",
				false },
	[CHOICE] = { "choice", "What the model chooses", choice_columns, SN_COUNT(choice_columns), SN_VIEW_TABLE,
				 "S: sensitivity of the choice to the feature, nats.", false },
};

enum { ROLE_OTHER = -1, ROLE_FIRST = -2, MOST_EDGES = 256 };

typedef struct edge { int from, to; const char *name; } edge;

typedef struct knockout {
	const sn_attn_goals *goals;
	const sn_knockout_param *p;
	sn_result *out;
	sn_arena *arena;
	int n_layer, n_centre, n_edge, n_variant;   /* variant = edge * (n_centre + 1) + centre; the last is all layers */
	edge edge[MOST_EDGES];
} knockout;

/* ---- edges ---- */

static int find_role(const sn_items *items, const char *name, size_t size)
{
	for (int r = 0; r < items->n_role; r++)
		if (strlen(items->role[r]) == size && memcmp(items->role[r], name, size) == 0) return r;
	if (size == 5 && memcmp(name, "other", size) == 0) return ROLE_OTHER;
	return size == 5 && memcmp(name, "first", size) == 0 ? ROLE_FIRST : INT32_MIN;
}

static const char *role_name(const sn_items *items, int role)
{
	return role == ROLE_OTHER ? "other" : role == ROLE_FIRST ? "first" : items->role[role];
}

static sn_status unknown(const knockout *k, const char *option, const char *name)
{
	const sn_items *items = k->goals->items;
	char list[240] = "";
	size_t used = 0;
	for (int r = 0; r < items->n_role && used + 40 < sizeof list; r++)
		used += (size_t)sn_format(list + used, sizeof list - used, "%.30s, ", items->role[r]);
	return sn_fail(k->goals->ctx, SN_EARG, "--%s: no place '%.*s'; there are %sother and first", option,
	               (int)SN_MIN(strcspn(name, ","), (size_t)40), name, list);
}

static sn_status add_edge(knockout *k, int from, int to)
{
	const sn_items *items = k->goals->items;
	if (k->n_edge == MOST_EDGES)
		return sn_fail(k->goals->ctx, SN_EARG, "--queries and --keys name more than %d edges", MOST_EDGES);
	const char *name = sn_arena_format(k->arena, "%s → %s", role_name(items, from), role_name(items, to));
	k->edge[k->n_edge++] = (edge){ from, to, name };
	return name ? SN_OK : SN_ENOMEM;
}

static sn_status edges_from(knockout *k, int from)
{
	const sn_items *items = k->goals->items;
	if (strcmp(k->p->keys, "all") == 0) {
		for (int r = 0; r < items->n_role - 1; r++)
			if (r != from) SN_TRY(add_edge(k, from, r));
		return add_edge(k, from, ROLE_OTHER);
	}
	for (const char *word = k->p->keys; *word;) {
		size_t size = strcspn(word, ",");
		int to = find_role(items, word, size);
		if (to == INT32_MIN) return unknown(k, "keys", word);
		SN_TRY(add_edge(k, from, to));
		word += size + (word[size] == ',');
	}
	return SN_OK;
}

static sn_status list_edges(knockout *k)
{
	for (const char *word = k->p->queries; *word;) {
		size_t size = strcspn(word, ",");
		int from = find_role(k->goals->items, word, size);
		if (from < 0) return unknown(k, "queries", word);
		SN_TRY(edges_from(k, from));
		word += size + (word[size] == ',');
	}
	return k->n_edge > 0 ? SN_OK : sn_fail(k->goals->ctx, SN_EARG, "--queries and --keys name no edge");
}

/* ---- the batch: every item, then every item again for each variant, as a fork of the first ---- */

static bool in_role(const sn_items *items, int64_t item, int role, int32_t pos)
{
	const int32_t *span = items->span[item * items->n_role + SN_MAX(role, 0)];
	if (role == ROLE_FIRST) return pos == 0;
	if (role >= 0) return pos >= span[0] && pos < span[1];
	for (int r = 0; r < items->n_role; r++)
		if (in_role(items, item, r, pos)) return false;
	return pos > 0;
}

/* Positions of a role in the rows of variant v as flat numbers. */
static sn_status list_places(const knockout *k, const sn_batch *batch, int v, int role, sn_where *out)
{
	const sn_attn_goals *goals = k->goals;
	int32_t row0 = (v + 1) * goals->n;
	int64_t *list, n = 0;
	SN_NEW(list, k->arena, int64_t, batch->start[row0 + goals->n] - batch->start[row0]);
	for (int32_t i = 0; i < goals->n; i++)
		for (int32_t pos = 0; pos < goals->row[i].n; pos++)
			if (in_role(goals->items, goals->row[i].item, role, pos)) list[n++] = batch->start[row0 + i] + pos;
	*out = (sn_where){ .sel = SN_LIST, .list = list, .n_list = n };
	return SN_OK;
}

static void window_of(const knockout *k, int centre, int *first, int *end)
{
	int layer = centre * (int)k->p->every;
	if (centre == k->n_centre) {
		*first = 0;
		*end = k->n_layer;
		return;
	}
	*first = SN_MAX(0, layer - (int)(k->p->window - 1) / 2);
	*end = SN_MIN(k->n_layer, layer + (int)k->p->window / 2 + 1);
}

static const edge *edge_of(const knockout *k, int variant) { return &k->edge[variant / (k->n_centre + 1)]; }

static sn_status make_edits(const knockout *k, const sn_batch *batch, sn_edit **out, int *n)
{
	*n = 0;
	SN_NEW(*out, k->arena, sn_edit, (int64_t)k->n_variant * k->n_layer);
	for (int v = 0; v < k->n_variant; v++) {
		const edge *e = edge_of(k, v);
		sn_where where, key;
		int first, end;
		SN_TRY(list_places(k, batch, v, e->from, &where));
		SN_TRY(list_places(k, batch, v, e->to, &key));
		window_of(k, v % (k->n_centre + 1), &first, &end);
		for (int l = first; l < end; l++)
			(*out)[(*n)++] = (sn_edit){ .op = SN_OP_BLOCK, .at = { .kind = SN_SITE_ATTN_SCORES, .layer = (int16_t)l },
				                        .where = where, .key = key };
	}
	return SN_OK;
}

static sn_status make_rows(const knockout *k, sn_batch *out, int64_t **item)
{
	const sn_attn_goals *goals = k->goals;
	int32_t rows = goals->n * (k->n_variant + 1), *token, *parent, *fork;
	int64_t tokens = 0, *start;
	for (int32_t i = 0; i < goals->n; i++) tokens += goals->row[i].n;
	SN_NEW(token, k->arena, int32_t, tokens * (k->n_variant + 1));
	SN_NEW(start, k->arena, int64_t, (int64_t)rows + 1);
	SN_NEW(parent, k->arena, int32_t, rows);
	SN_NEW(fork, k->arena, int32_t, rows);
	SN_NEW(*item, k->arena, int64_t, rows);
	for (int32_t b = 0; b < rows; b++) {
		const sn_attn_row *row = &goals->row[b % goals->n];
		memcpy(token + start[b], row->token, (size_t)row->n * sizeof *token);
		start[b + 1] = start[b] + row->n;
		(*item)[b] = row->item;
		parent[b] = b < goals->n ? -1 : b % goals->n;
		fork[b] = b < goals->n ? 0 : row->n;
	}
	*out = (sn_batch){ .n = rows, .token = token, .start = start, .parent = parent, .fork = fork };
	return SN_OK;
}

/* ld [n_variant + 1][n]: the first is without a knockout. */
static sn_status run_variants(const knockout *k, double **ld)
{
	const sn_items *items = k->goals->items;
	sn_batch batch;
	sn_edit *edit;
	sn_goal *goal;
	int64_t *item;
	int n_edit, n_goal = sn_choice_goal_count(items);
	double *score, *each;
	SN_TRY(make_rows(k, &batch, &item));
	SN_TRY(make_edits(k, &batch, &edit, &n_edit));
	SN_TRY(sn_choice_goals(k->goals->ctx, items, item, batch.n, sn_model_get_info(k->goals->model)->d_vocab, k->arena,
	                       &goal));
	SN_NEW(score, k->arena, double, (int64_t)n_goal * batch.n);
	SN_NEW(each, k->arena, double, items->n_choice);
	SN_NEW(*ld, k->arena, double, batch.n);
	sn_plan plan = { .size = sizeof plan, .n_edit = n_edit, .edit = edit, .n_goal = n_goal, .goal = goal };
	SN_TRY(sn_run(k->goals->ctx, k->goals->model, &batch, &plan, NULL, score));
	for (int32_t b = 0; b < batch.n; b++) {
		sn_choice_combine(items, score + b, batch.n, each);
		for (int c = 0; c < items->n_choice; c++) (*ld)[b] += each[c] / items->n_choice;
	}
	return SN_OK;
}

/* ---- effects ---- */

static bool has_edge(const knockout *k, int32_t row, const edge *e)
{
	bool from = false, to = false;
	const sn_attn_row *r = &k->goals->row[row];
	for (int32_t pos = 0; pos < r->n; pos++) {
		from |= in_role(k->goals->items, r->item, e->from, pos);
		to |= in_role(k->goals->items, r->item, e->to, pos);
	}
	return from && to;
}

/* Strata are frame and sign of the feature. */
static sn_status open_units(const knockout *k, sn_boot **boot, sn_boot_items *units)
{
	const sn_items *items = k->goals->items;
	int32_t *subject, *attractor, *frame, n = k->goals->n;
	bool *has[2];
	SN_NEW(subject, k->arena, int32_t, n);
	SN_NEW(attractor, k->arena, int32_t, n);
	SN_NEW(frame, k->arena, int32_t, n);
	for (int i = 0; i < 2; i++) SN_NEW(has[i], k->arena, bool, items->n_lemma);
	for (int32_t i = 0; i < n; i++) {
		const sn_item *item = &items->item[k->goals->row[i].item];
		subject[i] = item->lemma;
		attractor[i] = item->attractor;
		frame[i] = 2 * item->frame + (item->n > 0);
		has[0][item->lemma] = true;
		if (item->attractor >= 0) has[1][item->attractor] = true;
	}
	*units = (sn_boot_items){ .n = n, .subject = subject, .attractor = attractor, .n_frame = 2 * items->n_frame,
		                      .frame = frame };
	return sn_boot_open(boot, k->arena, (int)k->p->resamples, items->n_lemma, has[0], has[1],
	                    sn_ctx_seed(k->goals->ctx), 0x6b6e6f63);
}

static sn_status measure(const knockout *k, const double *ld, sn_reps *s, sn_reps *effect)
{
	int32_t n = k->goals->n;
	float *base, *left;
	sn_boot *boot;
	sn_boot_items units;
	SN_NEW(base, k->arena, float, n);
	SN_NEW(left, k->arena, float, (int64_t)n * k->n_variant);
	SN_TRY(open_units(k, &boot, &units));
	for (int32_t i = 0; i < n; i++) {
		int sign = k->goals->items->item[k->goals->row[i].item].n;
		base[i] = (float)(sign * ld[i]);
		for (int v = 0; v < k->n_variant; v++)
			left[(int64_t)i * k->n_variant + v] =
				has_edge(k, i, edge_of(k, v)) ? (float)(sign * ld[(int64_t)(v + 1) * n + i]) : NAN;
	}
	SN_TRY(sn_boot_mean(s, k->arena, boot, &units, base, 1, 0));
	/* an item without the edge has no share in what is divided by either */
	float *whole;
	SN_NEW(whole, k->arena, float, (int64_t)n * k->n_variant);
	for (int64_t i = 0; i < (int64_t)n * k->n_variant; i++) whole[i] = isnan(left[i]) ? NAN : base[i / k->n_variant];
	sn_reps below;
	SN_TRY(sn_boot_mean(effect, k->arena, boot, &units, left, k->n_variant, 0));
	SN_TRY(sn_boot_mean(&below, k->arena, boot, &units, whole, k->n_variant, 0));
	sn_reps_divide(effect, &below);
	sn_reps_affine(effect, -1, 1);
	return SN_OK;
}

static const double least_s = 0.2; /* nats: below it the model makes no such choice */

/* One variant's row: of a window, or of all layers. */
static sn_status add_effect(knockout *k, int v, const double *ld, const sn_band *band)
{
	const edge *e = edge_of(k, v);
	int first, end, items = 0, centre = v % (k->n_centre + 1);
	double left = 0;
	window_of(k, centre, &first, &end);
	for (int32_t i = 0; i < k->goals->n; i++) {
		if (!has_edge(k, i, e)) continue;
		items++;
		left += k->goals->items->item[k->goals->row[i].item].n * ld[(int64_t)(v + 1) * k->goals->n + i];
	}
	sn_cell effect = sn_num(band->point), low = sn_num(band->sim_low), high = sn_num(band->sim_high),
			rest = sn_num(items ? left / items : NAN);
	if (centre == k->n_centre)
		return SN_ADD(k->out, WHOLE, sn_text(e->name), sn_int(items), effect, low, high, rest);
	return SN_ADD(k->out, EFFECTS, sn_int(centre * k->p->every), sn_text(e->name), sn_int(end - first), sn_int(items),
	              effect, low, high, rest);
}

static sn_status add_effects(knockout *k, const double *ld, const sn_band *s, const sn_band *band)
{
	static const sn_band none = { .point = NAN, .sim_low = NAN, .sim_high = NAN };
	for (int v = 0; v < k->n_variant; v++) SN_TRY(add_effect(k, v, ld, s->low > least_s ? &band[v] : &none));
	return SN_ADD(k->out, CHOICE, sn_text("S"), sn_num(s->point), sn_num(s->low), sn_num(s->high));
}

static sn_status say(const knockout *k, const sn_band *s, const sn_band *band)
{
	SN_TRY(sn_result_say(k->out, "The choice depends on the feature by S = %.2f nats [%.2f, %.2f], on %d items.",
	                     s->point, s->low, s->high, k->goals->n));
	if (!(s->low > least_s))
		return sn_result_limit(k->out, "The model makes no such choice (S is not surely above %.1f nats): shares of it "
		                       "are withheld.", least_s);
	for (int e = 0; e < k->n_edge; e++) {
		int top = -1, sure = 0;
		for (int c = 0; c < k->n_centre; c++) {
			const sn_band *b = &band[e * (k->n_centre + 1) + c];
			if (isnan(b->point)) continue;
			sure += b->sim_low > 0.05;
			if (top < 0 || b->point > band[e * (k->n_centre + 1) + top].point) top = c;
		}
		if (top < 0) continue;
		const sn_band *b = &band[e * (k->n_centre + 1) + top], *all = &band[e * (k->n_centre + 1) + k->n_centre];
		SN_TRY(sn_result_say(k->out, "Without %s in all layers it loses %.2f [%.2f, %.2f] of that; around layer %lld "
		                     "alone %.2f [%.2f, %.2f], the most; surely more than 0.05 around %d of %d layers.",
		                     k->edge[e].name, all->point, all->sim_low, all->sim_high, (long long)(top * k->p->every),
		                     b->point, b->sim_low, b->sim_high, sure, k->n_centre));
	}
	return sn_result_limit(k->out, "What is blocked in a few layers may pass in others, or by way of other tokens.");
}

/* Simultaneous over all windows and edges; and over the edges cut in all layers, which are another table. */
static sn_status find_bands(const knockout *k, const sn_reps *effect, sn_band *band)
{
	int *cell;
	sn_band *found;
	sn_reps some;
	SN_NEW(cell, k->arena, int, k->n_variant);
	SN_NEW(found, k->arena, sn_band, k->n_variant);
	for (int whole = 0; whole < 2; whole++) {
		int n = 0;
		for (int v = 0; v < k->n_variant; v++)
			if ((v % (k->n_centre + 1) == k->n_centre) == whole) cell[n++] = v;
		SN_TRY(sn_reps_select(&some, k->arena, effect, cell, n));
		SN_TRY(sn_reps_bands(found, k->arena, &some, 0.95, NULL));
		for (int i = 0; i < n; i++) band[cell[i]] = found[i];
	}
	return SN_OK;
}

sn_status sn_attention_knockout(const sn_attn_goals *goals, const sn_knockout_param *param, sn_result *out)
{
	knockout k = { .goals = goals, .p = param, .out = out, .arena = sn_result_arena(out) };
	sn_reps s, effect;
	sn_band whole, *band;
	double *ld;
	k.n_layer = sn_model_get_info(goals->model)->n_layer;
	k.n_centre = (k.n_layer + (int)param->every - 1) / (int)param->every;
	SN_TRY(list_edges(&k));
	k.n_variant = k.n_edge * (k.n_centre + 1);
	SN_TRY(run_variants(&k, &ld));
	SN_TRY(measure(&k, ld, &s, &effect));
	SN_NEW(band, k.arena, sn_band, k.n_variant);
	SN_TRY(sn_reps_bands(&whole, k.arena, &s, 0.95, NULL));
	SN_TRY(find_bands(&k, &effect, band));
	SN_TRY(add_effects(&k, ld, &whole, band));
	return say(&k, &whole, band);
}

static sn_status check_input(sn_ctx *ctx, const sn_dataset *data, const sn_model_info *info)
{
	if (!sn_attn_has_items(data))
		return sn_fail(ctx, SN_EARG, "%s: knockout needs items with roles (columns choices and use); write them with "
		               "`sonde data make`", data->source);
	if (!info->causal || info->n_layer_encoder)
		return sn_fail(ctx, SN_EARG, "%s is no decoder-only model: its items have no choice at their last token",
		               info->path);
	return SN_OK;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	const sn_knockout_param *p = param;
	sn_attn_query query = { .column = "auto", .limit = p->limit };
	sn_attn_goals goals;
	SN_TRY(check_input(ctx, in->data[0], sn_model_get_info(in->model[0])));
	SN_TRY(sn_attn_goals_read(&goals, ctx, in->model[0], in->data[0], &query, sn_result_arena(out)));
	return sn_attention_knockout(&goals, p, out);
}

const sn_method sn_method_attention_knockout = {
	.family = "attention",
	.name = "knockout",
	.brief = "the choice without attention from one place to another",
	.doc =
		"On items of a phenomenon (`data make`), attention from roles to roles is blocked in every layer, or in a "
		"window of "
		"layers around it, and what the choice loses is measured as a share of S, its dependence on the feature. Each "
		"variant is a fork of the item, computed from the first cut position and layer on.",
	.cite = "Geva et al. 2023; Finlayson et al. 2021",
	.example = "sonde attention knockout --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data items.jsonl --window 5",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(sn_knockout_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
