/* Heads against the dependency relations of a treebank. */
#include "data/treebank.h"
#include "methods/attention/heads.h"
#include "stats/ratio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OFFSET = 10, OFFSETS = 2 * MOST_OFFSET + 1, MOST_RELATIONS = 200, MOST_TOKENS = 512, HALVES = 0x72656c73 };

/* Two words of one sentence that a relation joins; the query is the one that looks. */
typedef struct edge { int32_t sentence, query, target, relation; bool to_head; } edge;

typedef struct relations {
	sn_ctx *ctx;
	sn_treebank bank;
	sn_treebank_label label;
	int32_t *first;          /* [sentences + 1] words of each */
	sn_attn_side *side;      /* [sentences] words as units */
	bool causal, *second;    /* [sentences] of the half that scores */
	int64_t n_edge, *edge_of;   /* [sentences + 1] edges of each */
	edge *edge;
	int n_head;              /* of all layers */
	uint8_t *hit;            /* [n_edge][n_head] */
	sn_arena *arena, *scratch;
} relations;

const sn_col sn_relation_columns[SN_RELATION_COLUMNS] = {
	{ "relation", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Relation" },
	{ "direction", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "From, to" },
	{ "pairs", "pairs", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Scored pairs" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Head" },
	{ "accuracy", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Accuracy" },
	{ "accuracy_low", "share", "accuracy", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "accuracy_high", "share", "accuracy", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "offset", "words", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Best offset" },
	{ "offset_accuracy", "share", "accuracy", SN_TYPE_FLOAT, SN_BASE, 0, "Its accuracy" },
	{ "margin", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Above the offset" },
	{ "margin_low", "share", "margin", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "margin_high", "share", "margin", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "median_head", "share", "accuracy", SN_TYPE_FLOAT, SN_BASE, 0, "Median head" },
	{ "sentences", "sentences", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Sentences" },
	{ "syntactic", NULL, NULL, SN_TYPE_BOOL, SN_MEASURE, 1, "10 points above" },
};

const sn_col sn_relation_head_columns[SN_RELATION_HEAD_COLUMNS] = {
	{ "relation", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Relation" },
	{ "direction", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "From, to" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" },
	{ "pairs", "pairs", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Pairs" },
	{ "accuracy", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Accuracy" },
	{ "accuracy_low", "share", "accuracy", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "accuracy_high", "share", "accuracy", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
};

/* ---- edges ---- */

/* A causal model's word sees only what precedes it. */
static void add_edge(relations *r, int64_t from, int64_t to, int32_t relation, bool to_head)
{
	if (r->causal && to > from) return;
	int32_t s = r->bank.sentence[from];
	r->edge[r->n_edge++] = (edge){ s, (int32_t)(from - r->first[s]), (int32_t)(to - r->first[s]), relation, to_head };
}

static sn_status list_edges(relations *r)
{
	const sn_treebank *b = &r->bank;
	int64_t w = 0;
	SN_NEW(r->edge, r->arena, edge, 2 * b->n);
	SN_NEW(r->first, r->arena, int32_t, b->batch.n + 1);
	SN_NEW(r->edge_of, r->arena, int64_t, b->batch.n + 1);
	SN_NEW(r->side, r->arena, sn_attn_side, b->batch.n);
	for (int32_t s = 0; s < b->batch.n; s++) {
		while (w < b->n && b->sentence[w] == s) w++;
		r->first[s + 1] = (int32_t)w;
		r->edge_of[s] = r->n_edge;
		for (int64_t d = r->first[s]; d < w; d++) {
			if (b->head[d] < 0 || r->label.y[d] < 0) continue;
			add_edge(r, d, b->head[d], r->label.y[d], true);
			add_edge(r, b->head[d], d, r->label.y[d], false);
		}
		r->edge_of[s + 1] = r->n_edge;
		r->side[s] = (sn_attn_side){ .n = (int32_t)(b->batch.start[s + 1] - b->batch.start[s]),
			                         .token = (int32_t *)b->batch.token + b->batch.start[s],
			                         .n_unit = r->first[s + 1] - r->first[s], .unit = b->token + r->first[s] };
	}
	return SN_OK;
}

/* ---- heads ---- */

/* The word, other than itself, that each word of a sentence attends to most. */
static void look(const double *between, int32_t n, int32_t *most)
{
	for (int32_t q = 0; q < n; q++) {
		most[q] = -1;
		for (int32_t k = 0; k < n; k++)
			if (k != q && between[q * n + k] > (most[q] < 0 ? 0 : between[q * n + most[q]])) most[q] = k;
	}
}

static sn_status take(void *arg, int32_t s, const sn_attn_pattern *p)
{
	relations *r = arg;
	const sn_attn_side *side = &r->side[s];
	sn_mark mark = sn_arena_mark(r->scratch);
	double *between;
	int32_t *most;
	SN_NEW(between, r->scratch, double, (int64_t)side->n_unit * side->n_unit);
	SN_NEW(most, r->scratch, int32_t, side->n_unit);
	for (int i = 0; i < r->n_head; i++) {
		sn_attn_between(p, i / p->n_head, i % p->n_head, side, side, 0, between);
		look(between, side->n_unit, most);
		for (int64_t e = r->edge_of[s]; e < r->edge_of[s + 1]; e++)
			r->hit[e * r->n_head + i] = most[r->edge[e].query] == r->edge[e].target;
	}
	sn_arena_reset(r->scratch, mark);
	return SN_OK;
}

static sn_status run_heads(relations *r, sn_model *model)
{
	sn_attn_texts texts = { .n = r->bank.batch.n };
	SN_NEW(texts.text, r->arena, sn_attn_text, texts.n);
	SN_NEW(r->hit, r->arena, uint8_t, r->n_edge * r->n_head);
	for (int32_t s = 0; s < texts.n; s++) texts.text[s].own = r->side[s];
	return sn_attn_each(r->ctx, model, &texts, SN_ATTN_SELF, take, r);
}

static sn_status draw_halves(relations *r)
{
	int64_t *order, n = r->bank.batch.n;
	sn_rng rng = sn_rng_make(sn_ctx_seed(r->ctx), HALVES);
	SN_NEW(order, r->arena, int64_t, n);
	SN_NEW(r->second, r->arena, bool, n);
	sn_rng_permute(&rng, order, n);
	for (int64_t i = 0; i < n / 2; i++) r->second[order[i]] = true;
	return SN_OK;
}

/* ---- one relation ---- */

static bool is_of(const relations *r, int64_t e, int relation, bool to_head, bool second)
{
	const edge *x = &r->edge[e];
	return x->relation == relation && x->to_head == to_head && r->second[x->sentence] == second;
}

/* The best head and offset on the half that chooses; how many pairs it has. */
static int64_t choose(const relations *r, int relation, bool to_head, int64_t *count, int *head, int *offset)
{
	int64_t n = 0, at[OFFSETS] = { 0 };
	memset(count, 0, (size_t)r->n_head * sizeof *count);
	for (int64_t e = 0; e < r->n_edge; e++) {
		if (!is_of(r, e, relation, to_head, false)) continue;
		int apart = r->edge[e].target - r->edge[e].query;
		for (int i = 0; i < r->n_head; i++) count[i] += r->hit[e * r->n_head + i];
		if (abs(apart) <= MOST_OFFSET) at[apart + MOST_OFFSET]++;
		n++;
	}
	*head = *offset = 0;
	for (int i = 1; i < r->n_head; i++)
		if (count[i] > count[*head]) *head = i;
	for (int i = 1; i < OFFSETS; i++)
		if (at[i] > at[*offset]) *offset = i;
	*offset -= MOST_OFFSET;
	return n;
}

/* By sentence: pairs, and those found by the head, by the offset. */
typedef struct found { double pairs, head, offset, margin; } found;

static void score(const relations *r, int relation, bool to_head, int head, int offset, found *f, int64_t *by_head)
{
	memset(f, 0, (size_t)r->bank.batch.n * sizeof *f);
	memset(by_head, 0, (size_t)r->n_head * sizeof *by_head);
	for (int64_t e = 0; e < r->n_edge; e++) {
		if (!is_of(r, e, relation, to_head, true)) continue;
		found *at = &f[r->edge[e].sentence];
		bool hit = r->hit[e * r->n_head + head], near = r->edge[e].target - r->edge[e].query == offset;
		for (int i = 0; i < r->n_head; i++) by_head[i] += r->hit[e * r->n_head + i];
		at->pairs++;
		at->head += hit;
		at->offset += near;
		at->margin += hit - near;
	}
}

static int by_count(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* Every head's accuracy on all sentences. */
static sn_status add_heads(const relations *r, int relation, bool to_head, int n_per_layer, sn_result *out, int table)
{
	int64_t n = r->bank.batch.n, total = 0;
	double *pairs, *hit;
	SN_NEW(pairs, r->scratch, double, n);
	SN_NEW(hit, r->scratch, double, r->n_head * n);
	for (int64_t e = 0; e < r->n_edge; e++) {
		const edge *x = &r->edge[e];
		if (x->relation != relation || x->to_head != to_head) continue;
		pairs[x->sentence]++;
		total++;
		for (int i = 0; i < r->n_head; i++) hit[i * n + x->sentence] += r->hit[e * r->n_head + i];
	}
	for (int i = 0; i < r->n_head; i++) {
		sn_ratio share = sn_ratio_within(sn_ratio_of(hit + i * n, pairs, n, 1, 0.95), 0, 1);
		SN_TRY(SN_ADD(out, table, sn_text(r->label.class_name[relation]),
					  sn_text(to_head ? "dependent to head" : "head to dependent"), sn_int(i / n_per_layer),
					  sn_int(i % n_per_layer), sn_int(total), sn_num(share.value), sn_num(share.low),
					  sn_num(share.high)));
	}
	return SN_OK;
}

static sn_status add_relation(const relations *r, int relation, bool to_head, int64_t least, int n_per_layer,
                              sn_result *out, int table)
{
	int64_t *count, n = r->bank.batch.n, pairs = 0, sentences = 0;
	int head, offset, fields = sizeof(found) / sizeof(double);
	found *f;
	SN_NEW(count, r->scratch, int64_t, r->n_head);
	SN_NEW(f, r->scratch, found, n);
	int64_t chosen_on = choose(r, relation, to_head, count, &head, &offset);
	score(r, relation, to_head, head, offset, f, count);
	for (int64_t s = 0; s < n; s++) {
		pairs += (int64_t)f[s].pairs;
		sentences += f[s].pairs > 0;
	}
	if (SN_MIN(pairs, chosen_on) < least) return SN_OK;
	qsort(count, (size_t)r->n_head, sizeof *count, by_count);
	sn_ratio hit = sn_ratio_within(sn_ratio_of(&f->head, &f->pairs, n, fields, 0.95), 0, 1),
			 near = sn_ratio_of(&f->offset, &f->pairs, n, fields, 0.95),
			 margin = sn_ratio_within(sn_ratio_of(&f->margin, &f->pairs, n, fields, 0.95), -1, 1);
	SN_TRY(SN_ADD(out, table, sn_text(r->label.class_name[relation]),
				  sn_text(to_head ? "dependent to head" : "head to dependent"), sn_int(pairs),
				  sn_int(head / n_per_layer), sn_int(head % n_per_layer), sn_num(hit.value), sn_num(hit.low),
				  sn_num(hit.high), sn_int(offset), sn_num(near.value), sn_num(margin.value), sn_num(margin.low),
				  sn_num(margin.high), sn_num((double)count[r->n_head / 2] / (double)pairs), sn_int(sentences),
				  sn_flag(margin.low >= 0.1)));
	return add_heads(r, relation, to_head, n_per_layer, out, table + 1);
}

enum { LAYER_CELL = 3, HEAD_CELL, ACCURACY_CELL, OFFSET_CELL = 9, MARGIN_CELL, SYNTACTIC_CELL = 15 };

static sn_status say(sn_result *out, int table)
{
	const sn_value *top = NULL;
	int64_t n = sn_result_rows(out, table), good = 0;
	for (int64_t i = 0; i < n; i++) {
		const sn_value *row = sn_result_row(out, table, i);
		good += row[SYNTACTIC_CELL].i == 1;
		if (!top || row[MARGIN_CELL].f > top[MARGIN_CELL].f) top = row;
	}
	if (!top) return sn_result_limit(out, "No dependency relation has enough pairs to be scored; see --least.");
	return sn_result_say(
		out,
		"Of %lld relations (by direction), %lld have a head at least ten points above the best "
		"offset, on sentences that it was not chosen on; most above it is head %lld of layer %lld, %s, %s: "
		"%.1f %% against %.1f %%.",
		(long long)n, (long long)good, (long long)top[HEAD_CELL].i, (long long)top[LAYER_CELL].i, top[0].s, top[1].s,
		100 * top[ACCURACY_CELL].f, 100 * top[OFFSET_CELL].f);
}

static sn_status run_in(relations *r, sn_model *model, const sn_dataset *data, int64_t limit, int64_t least,
                        sn_result *out, int table)
{
	const sn_model_info *info = sn_model_get_info(model);
	int64_t most = info->n_ctx > 0 ? SN_MIN(info->n_ctx, (int64_t)MOST_TOKENS) : MOST_TOKENS;
	r->causal = info->causal;
	r->n_head = info->n_layer * info->n_head;
	SN_TRY(sn_treebank_read(&r->bank, r->ctx, sn_model_tokenizer(model), &data, 1, limit, most, r->arena));
	SN_TRY(sn_treebank_classes(&r->label, r->ctx, &r->bank, "udeprel", MOST_RELATIONS, r->arena));
	SN_TRY(list_edges(r));
	SN_TRY(draw_halves(r));
	SN_TRY(run_heads(r, model));
	sn_mark mark = sn_arena_mark(r->scratch);
	for (int k = 0; k < r->label.n_class; k++)
		for (int to_head = 1; to_head >= 0; to_head--) {
			SN_TRY(add_relation(r, k, to_head, least, info->n_head, out, table));
			sn_arena_reset(r->scratch, mark);
		}
	if (r->bank.n_long)
		SN_TRY(sn_result_limit(out, "%lld sentences of more than %lld tokens were left out.", (long long)r->bank.n_long,
		                       (long long)most));
	return say(out, table);
}

sn_status sn_head_relations(sn_ctx *ctx, sn_model *model, const sn_dataset *data, int64_t limit, int64_t least,
                            sn_result *out, int table)
{
	relations r = { .ctx = ctx };
	SN_TRY(sn_arena_open(&r.arena, ctx));
	sn_status status = sn_arena_open(&r.scratch, ctx);
	if (status == SN_OK) status = run_in(&r, model, data, limit, least, out, table);
	sn_arena_close(r.scratch);
	sn_arena_close(r.arena);
	return status;
}
