/* `sonde attention maps`: what attends to what. */
#include "methods/attention/maps.h"
#include "stats/flow.h"
#include "stats/ratio.h"

#include <math.h>
#include <string.h>

typedef struct maps_param {
	const char *column, *source, *target, *alignment, *attention, *unit, *when;
	int64_t layer, head, query, show, limit;
	bool flow;
} maps_param;

#define AT(field) offsetof(maps_param, field)
static const sn_param params[] = {
	{ .name = "column",
	  .help = "column of the text; auto: text or sentence",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(column) },
	{ .name = "source",
	  .help = "encoder-decoders: column of what the encoder reads; auto: source",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(source) },
	{ .name = "target",
	  .help = "encoder-decoders: column of what the decoder writes; auto: target",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(target) },
	{ .name = "alignment",
	  .help = "cross-attention: column of word alignments, \"0-0 1-2 3?2\" (from 0; - sure, ? or p "
			  "possible); auto: alignment if there is one",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(alignment) },
	{ .name = "attention",
	  .help = "which attention; auto: cross in encoder-decoders, otherwise self",
	  .def = "auto",
	  .choices = "auto|self|encoder|cross",
	  .type = SN_TYPE_TEXT,
	  .off = AT(attention) },
	{ .name = "unit",
	  .help = "between which units; auto: words for cross-attention, otherwise tokens",
	  .def = "auto",
	  .choices = "auto|token|word",
	  .type = SN_TYPE_TEXT,
	  .off = AT(unit) },
	{ .name = "when",
	  .help = "cross-attention of a target word: where the word is predicted, or where it is read",
	  .def = "predicted",
	  .choices = "predicted|read",
	  .type = SN_TYPE_TEXT,
	  .off = AT(when) },
	{ .name = "layer",
	  .help = "layer shown in detail; -1: the last",
	  .def = "-1",
	  .type = SN_TYPE_INT,
	  .off = AT(layer),
	  .min = -1,
	  .max = 1e4 },
	{ .name = "head",
	  .help = "head shown in detail; -1: the mean of the layer's heads",
	  .def = "-1",
	  .type = SN_TYPE_INT,
	  .off = AT(head),
	  .min = -1,
	  .max = 1e4 },
	{ .name = "query",
	  .unit = "units",
	  .help = "unit whose attention is followed through the layers; -1: the mask, or "
			  "the last of a causal model, or the first",
	  .def = "-1",
	  .type = SN_TYPE_INT,
	  .off = AT(query),
	  .min = -1,
	  .max = 1e6 },
	{ .name = "flow",
	  .help = "attention flow too (a maximum flow for each unit and layer)",
	  .def = "true",
	  .type = SN_TYPE_BOOL,
	  .off = AT(flow) },
	{ .name = "show",
	  .unit = "texts",
	  .help = "texts shown in detail",
	  .def = "1",
	  .type = SN_TYPE_INT,
	  .off = AT(show),
	  .max = 1e6 },
	{ .name = "limit",
	  .unit = "rows",
	  .help = "only the first rows of the data; 0: all",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = AT(limit),
	  .max = 1e15 },
};

enum { OVERVIEW, WHERE, MAP, SOURCES, ALIGNMENT };

#define BOUNDED(name, unit, better, title)                                                                             \
	{ name, unit, NULL, SN_TYPE_FLOAT, SN_MEASURE, better, title },                                                    \
		{ name "_low", unit, name, SN_TYPE_FLOAT, SN_LOW, 0, NULL },                                                   \
		{ name "_high", unit, name, SN_TYPE_FLOAT, SN_HIGH, 0, NULL }

static const sn_col overview_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" },
	{ "queries", "units", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Queries" },
	BOUNDED("confidence", "weight", 0, "Confidence"),
	BOUNDED("entropy", "bits", 0, "Entropy"),
};

static const sn_col where_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" },
	{ "queries", "units", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Queries" },
	BOUNDED("distance", "units", 0, "Distance"),
	BOUNDED("self", "weight", 0, "On itself"),
	BOUNDED("first", "weight", 0, "On the first unit"),
};

static const sn_col map_columns[] = {
	{ "row", NULL, NULL, SN_TYPE_INT, SN_FACET, 0, "Row" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_FACET, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Head" },
	{ "key", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Attended to" },
	{ "query", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Attending" },
	{ "weight", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Weight" },
};

static const sn_col source_columns[] = {
	{ "row", NULL, NULL, SN_TYPE_INT, SN_FACET, 0, "Row" },
	{ "query", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Attending" },
	{ "method", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Method" },
	{ "unit", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Attended to" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "share", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Share" },
};

static const sn_table tables[] = {
	[OVERVIEW] = { "overview", "Heads", overview_columns, SN_COUNT(overview_columns), SN_VIEW_HEAT,
				   "Means over the queries of all texts, with 95 % intervals over texts. Confidence: the largest "
				   "weight that a query "
				   "gives (Voita et al. 2019); entropy of where it looks. Left out as queries: units that the "
				   "tokenizer adds, and a "
				   "unit that sees itself alone.",
				   false },
	[WHERE] = { "where", "Where heads look", where_columns, SN_COUNT(where_columns), SN_VIEW_HEAT,
				"The same queries: mean distance of what they attend to, in units; weight on themselves and on the "
				"first unit.",
				false },
	[MAP] = { "map", "One head, or the mean of a layer's heads", map_columns, SN_COUNT(map_columns), SN_VIEW_HEAT,
			  "How much the unit at the left attends to the unit below: each row sums to 1. A word's weight as a key "
			  "is the sum "
			  "over its tokens, as a query the mean.",
			  false },
	[SOURCES] = { "sources", "Through the layers: raw attention, rollout, flow", source_columns,
				  SN_COUNT(source_columns), SN_VIEW_HEAT,
				  "What one unit attends to in each layer (raw, mean of heads), and what reaches it from the input up "
				  "to each layer: "
				  "rollout multiplies (A + I) / 2 from layer to layer; flow is the maximum flow through the same "
				  "weights, "
				  "normalised. In causal models early units gain merely by being seen by all. Neither is an "
				  "explanation: "
				  "attention explanation-tests compares them with what the output depends on.",
				  false },
	[ALIGNMENT] = { "alignment", "Cross-attention against word alignments", sn_aligner_columns, SN_ALIGNER_COLUMNS,
					SN_VIEW_HEAT,
					"Each target word is linked with the source word it attends to most. Alignment error rate: 1 - (|A "
					"and S| + |A and "
					"P|) / (|A| + |S|), 95 % interval over texts; dashed: the diagonal. Entropy in bits, and that of "
					"uniform "
					"attention.",
					false },
};

typedef struct maps {
	sn_ctx *ctx;
	const maps_param *p;
	sn_result *out;
	sn_model *model;
	sn_attn_kind kind;
	sn_attn_texts texts, words;   /* words: units are words, for alignments */
	sn_attn_aligner *aligner;     /* NULL: no alignments */
	int n_layer, n_head;
	int32_t shift;
	double *trait, *queries;      /* [n_layer * n_head * SN_TRAITS][texts]; [texts] */
	sn_arena *arena;              /* for one text */
} maps;

/* ---- one text ---- */

static sn_status take_overview(maps *m, int32_t i, const sn_attn_pattern *p)
{
	const sn_attn_side *query = sn_attn_queries(&m->texts.text[i], m->kind),
					   *key = sn_attn_keys(&m->texts.text[i], m->kind);
	bool causal = sn_model_get_info(m->model)->causal;
	double *between;
	SN_NEW(between, m->arena, double, (int64_t)query->n_unit * key->n_unit);
	for (int l = 0; l < m->n_layer; l++)
		for (int h = 0; h < m->n_head; h++) {
			double sum[SN_TRAITS] = { 0 };
			sn_attn_between(p, l, h, query, key, m->shift, between);
			m->queries[i] = sn_head_traits(between, query, key, m->kind, causal, sum);
			for (int t = 0; t < SN_TRAITS; t++)
				m->trait[(((int64_t)l * m->n_head + h) * SN_TRAITS + t) * m->texts.n + i] = sum[t];
		}
	return SN_OK;
}

static sn_status add_map(maps *m, int32_t i, const sn_attn_pattern *p)
{
	const sn_attn_text *text = &m->texts.text[i];
	const sn_attn_side *query = sn_attn_queries(text, m->kind), *key = sn_attn_keys(text, m->kind);
	int layer = m->p->layer < 0 ? m->n_layer - 1 : (int)m->p->layer;
	char head[16] = "mean";
	double *between;
	if (m->p->head >= 0) sn_format(head, sizeof head, "%lld", (long long)m->p->head);
	SN_NEW(between, m->arena, double, (int64_t)query->n_unit * key->n_unit);
	sn_attn_between(p, layer, (int)m->p->head, query, key, m->shift, between);
	for (int32_t q = 0; q < query->n_unit; q++)
		for (int32_t k = 0; k < key->n_unit; k++) {
			double x = between[(int64_t)q * key->n_unit + k];
			if (isnan(x)) continue;
			SN_TRY(SN_ADD(m->out, MAP, sn_int(text->row + 1), sn_int(layer), sn_text(head), sn_text(key->label[k]),
			              sn_text(query->label[q]), sn_num(x)));
		}
	return SN_OK;
}

/* ---- through the layers ---- */

static int32_t followed(const maps *m, const sn_attn_side *side)
{
	const sn_model_info *info = sn_model_get_info(m->model);
	int32_t last = side->n_unit - 1;
	if (m->p->query >= 0) return (int32_t)SN_MIN(m->p->query, (int64_t)last);
	for (int32_t u = 0; u < side->n_unit; u++)
		if (info->mask >= 0 && side->token[side->unit[u][0]] == info->mask) return u;
	if (!info->causal || m->kind == SN_ATTN_ENCODER) return 0;
	while (last > 0 && side->added[last]) last--;
	return last;
}

/* One layer's rows: share [units], normalised where asked. */
static sn_status add_shares(maps *m, int32_t i, int32_t unit, const char *method, int layer, double *share,
                            bool normalise)
{
	const sn_attn_text *text = &m->texts.text[i];
	const sn_attn_side *side = sn_attn_queries(text, m->kind);
	double total = 0;
	for (int32_t k = 0; k < side->n_unit; k++) total += share[k];
	for (int32_t k = 0; k < side->n_unit; k++)
		SN_TRY(SN_ADD(m->out, SOURCES, sn_int(text->row + 1), sn_text(side->label[unit]), sn_text(method),
		              sn_text(side->label[k]), sn_int(layer),
		              sn_num(normalise && total > 0 ? share[k] / total : share[k])));
	return SN_OK;
}

/* A matrix's row of the followed unit, by units. */
static sn_status add_matrix(maps *m, int32_t i, int32_t unit, const char *method, int layer, const double *a)
{
	const sn_attn_side *side = sn_attn_queries(&m->texts.text[i], m->kind);
	double *by;
	SN_NEW(by, m->arena, double, (int64_t)side->n_unit * side->n_unit);
	sn_attn_by_unit(a, side, side, by);
	return add_shares(m, i, unit, method, layer, by + (int64_t)unit * side->n_unit, false);
}

static sn_status add_flow(maps *m, int32_t i, int32_t unit, int layer, const double *mixed)
{
	const sn_attn_side *side = sn_attn_queries(&m->texts.text[i], m->kind);
	double *flow, *by;
	SN_NEW(flow, m->arena, double, side->n);
	SN_NEW(by, m->arena, double, side->n_unit);
	for (int32_t t = side->unit[unit][0]; t < side->unit[unit][1]; t++) {
		SN_TRY(sn_layered_flow(m->ctx, layer + 1, side->n, mixed, t, flow));
		for (int32_t k = 0; k < side->n_unit; k++)
			for (int32_t s = side->unit[k][0]; s < side->unit[k][1]; s++) by[k] += flow[s];
	}
	return add_shares(m, i, unit, "flow", layer, by, true);
}

static sn_status add_sources(maps *m, int32_t i, const sn_attn_pattern *p)
{
	const sn_attn_side *side = sn_attn_queries(&m->texts.text[i], m->kind);
	int64_t size = (int64_t)side->n * side->n;
	int32_t unit = followed(m, side);
	double *mean, *rolled;
	SN_NEW(mean, m->arena, double, m->n_layer * size);
	SN_NEW(rolled, m->arena, double, m->n_layer * size);
	for (int l = 0; l < m->n_layer; l++) {
		for (int h = 0; h < m->n_head; h++)
			for (int64_t k = 0; k < size; k++) mean[l * size + k] += sn_attn_at(p, l, h, 0)[k] / (double)m->n_head;
		SN_TRY(add_matrix(m, i, unit, "raw", l, mean + l * size));
	}
	sn_rollout_mix(mean, m->n_layer, side->n);
	sn_rollout(mean, m->n_layer, side->n, rolled);
	for (int l = 0; l < m->n_layer; l++) SN_TRY(add_matrix(m, i, unit, "rollout", l, rolled + l * size));
	for (int l = 0; m->p->flow && l < m->n_layer; l++) SN_TRY(add_flow(m, i, unit, l, mean));
	return SN_OK;
}

static sn_status take(void *arg, int32_t i, const sn_attn_pattern *p)
{
	maps *m = arg;
	sn_mark mark = sn_arena_mark(m->arena);
	SN_TRY(take_overview(m, i, p));
	if (i < m->p->show) SN_TRY(add_map(m, i, p));
	if (i < m->p->show && m->kind != SN_ATTN_CROSS) SN_TRY(add_sources(m, i, p));
	if (m->aligner) SN_TRY(sn_aligner_take(m->aligner, i, p));
	sn_arena_reset(m->arena, mark);
	return SN_OK;
}

/* ---- over all texts ---- */

/* Traits [first, end) of a head into a table. */
static sn_status add_traits(maps *m, int layer, int head, int table, int first, int end)
{
	const double *trait = m->trait + ((int64_t)layer * m->n_head + head) * SN_TRAITS * m->texts.n;
	sn_cell cell[3 + 3 * SN_TRAITS] = { sn_int(layer), sn_int(head) };
	double queries = 0;
	int n = 3;
	for (int32_t i = 0; i < m->texts.n; i++) queries += m->queries[i];
	cell[2] = sn_int((int64_t)queries);
	for (int t = first; t < end; t++) {
		double most = t == SN_TRAIT_ENTROPY || t == SN_TRAIT_DISTANCE ? INFINITY : 1;
		sn_ratio r = sn_ratio_of(trait + (int64_t)t * m->texts.n, m->queries, m->texts.n, 1, 0.95);
		r = sn_ratio_within(r, 0, most);
		cell[n++] = sn_num(r.value);
		cell[n++] = sn_num(r.low);
		cell[n++] = sn_num(r.high);
	}
	return sn_result_add(m->out, table, cell, n);
}

static sn_status add_overview(maps *m)
{
	for (int l = 0; l < m->n_layer; l++)
		for (int h = 0; h < m->n_head; h++) {
			SN_TRY(add_traits(m, l, h, OVERVIEW, SN_TRAIT_CONFIDENCE, SN_TRAIT_DISTANCE));
			SN_TRY(add_traits(m, l, h, WHERE, SN_TRAIT_DISTANCE, SN_TRAITS));
		}
	return SN_OK;
}

enum { CONFIDENCE_CELL = 3, FIRST_CELL = 9 };

static sn_status say(const maps *m)
{
	static const char *const name[] = { "self-attention", "the encoder's self-attention", "cross-attention" };
	const sn_value *top = NULL;
	int64_t n = sn_result_rows(m->out, OVERVIEW), sinks = 0;
	for (int64_t r = 0; r < n; r++) {
		const sn_value *row = sn_result_row(m->out, OVERVIEW, r);
		sinks += sn_result_row(m->out, WHERE, r)[FIRST_CELL].f > 0.5;
		if (!top || row[CONFIDENCE_CELL].f > top[CONFIDENCE_CELL].f) top = row;
	}
	SN_TRY(sn_result_say(m->out,
						 "%s of %d text%s: %d layers of %d heads. The most confident head is %lld of layer %lld "
						 "(mean largest weight %.2f); %lld of %lld heads give more than half to the first unit.",
						 m->kind == SN_ATTN_SELF    ? "Self-attention"
						 : m->kind == SN_ATTN_CROSS ? "Cross-attention"
													: "Self-attention of the encoder",
						 m->texts.n, m->texts.n == 1 ? "" : "s", m->n_layer, m->n_head, (long long)top[1].i,
						 (long long)top[0].i, top[CONFIDENCE_CELL].f, (long long)sinks, (long long)n));
	return sn_result_limit(m->out, "Where %s looks is not what the output depends on.", name[m->kind]);
}

/* ---- the run ---- */

static sn_attn_kind kind_of(const maps_param *p, const sn_model_info *info)
{
	if (strcmp(p->attention, "self") == 0) return SN_ATTN_SELF;
	if (strcmp(p->attention, "encoder") == 0) return SN_ATTN_ENCODER;
	return strcmp(p->attention, "cross") == 0 || info->n_layer_encoder ? SN_ATTN_CROSS : SN_ATTN_SELF;
}

static sn_status check_detail(const maps *m)
{
	if (m->p->layer < m->n_layer && m->p->head < m->n_head) return SN_OK;
	return sn_fail(m->ctx, SN_EARG, "--layer %lld --head %lld: there are layers 0 to %d and heads 0 to %d",
	               (long long)m->p->layer, (long long)m->p->head, m->n_layer - 1, m->n_head - 1);
}

static sn_status open_aligner(maps *m, const sn_dataset *data, const sn_attn_query *query, sn_arena *arena)
{
	bool automatic = strcmp(m->p->alignment, "auto") == 0;
	const sn_column *column = sn_dataset_column(data, automatic ? "alignment" : m->p->alignment);
	sn_attn_query by_word = *query;
	if (m->kind != SN_ATTN_CROSS || (!column && automatic)) return SN_OK;
	if (!column || column->type != SN_TYPE_TEXT)
		return sn_fail(m->ctx, SN_ENOTFOUND, "%s: no column of text %s with alignments", data->source,
		               column ? column->name : m->p->alignment);
	by_word.words = true;
	SN_TRY(sn_attn_read(&m->words, m->ctx, m->model, data, &by_word, arena));
	return sn_aligner_open(&m->aligner, m->ctx, &m->words, data, column, m->n_layer, m->n_head, m->shift, arena);
}

static sn_status prepare(maps *m, const sn_input *in, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(m->model);
	const maps_param *p = m->p;
	m->kind = kind_of(p, info);
	m->n_layer = m->kind == SN_ATTN_ENCODER ? info->n_layer_encoder : info->n_layer;
	m->n_head = info->n_head;
	m->shift = m->kind == SN_ATTN_CROSS && strcmp(p->when, "predicted") == 0;
	bool words = strcmp(p->unit, "auto") == 0 ? m->kind == SN_ATTN_CROSS : strcmp(p->unit, "word") == 0;
	sn_attn_query query = { p->column, p->source, p->target, words, p->limit };
	SN_TRY(check_detail(m));
	SN_TRY(sn_attn_read(&m->texts, m->ctx, m->model, in->data[0], &query, arena));
	SN_NEW(m->trait, arena, double, (int64_t)m->n_layer * m->n_head * SN_TRAITS * m->texts.n);
	SN_NEW(m->queries, arena, double, m->texts.n);
	return open_aligner(m, in->data[0], &query, arena);
}

static sn_status run_in(maps *m, const sn_input *in, sn_arena *arena)
{
	SN_TRY(prepare(m, in, arena));
	SN_TRY(sn_attn_each(m->ctx, m->model, &m->texts, m->kind, take, m));
	SN_TRY(add_overview(m));
	SN_TRY(say(m));
	return m->aligner ? sn_aligner_report(m->aligner, m->out, ALIGNMENT) : SN_OK;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	maps m = { .ctx = ctx, .p = param, .out = out, .model = in->model[0] };
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = sn_arena_open(&m.arena, ctx);
	if (status == SN_OK) status = run_in(&m, in, arena);
	sn_arena_close(m.arena);
	sn_arena_close(arena);
	return status;
}

extern const sn_method sn_method_attention_maps;
const sn_method sn_method_attention_maps = {
	.family = "attention",
	.name = "maps",
	.brief = "what attends to what: all heads, one in detail, through the layers",
	.doc =
		"Patterns of every head on every text: an overview by layer and head, one head (or a layer's mean) in detail, "
		"and raw attention, rollout and attention flow of one unit through the layers. In encoder-decoders "
		"cross-attention is the picture of source and target; with word alignments every head gets its alignment error "
		"rate.",
	.cite =
		"Abnar & Zuidema 2020 (rollout, flow); Voita et al. 2019 (confidence); Clark et al. 2019 (words); Bahdanau et "
		"al. 2015; Och & Ney 2003 (alignment error rate)",
	.example =
		"sonde attention maps --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt --layer 14 --head 3",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(maps_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
