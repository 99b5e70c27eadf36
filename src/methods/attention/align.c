/* Cross-attention against word alignments. */
#include "data/alignment.h"
#include "methods/attention/maps.h"
#include "stats/distance.h"
#include "stats/ratio.h"

#include <math.h>
#include <string.h>

/* Sums of one text under one head. AER = 1 - (guessed_sure + guessed_possible) / (guessed + sure). */
typedef struct sums { double agree, links, guessed, guessed_possible, sure, guessed_sure, entropy, words; } sums;
enum { SUMS = sizeof(sums) / sizeof(double) };

struct sn_attn_aligner {
	sn_ctx *ctx;
	const sn_attn_texts *texts;
	sn_alignment *given;   /* [texts] */
	int n_layer, n_head;
	int32_t shift;
	sums *of;              /* [n_layer][n_head + 1][texts]: the last head is the mean */
	sums *diagonal;        /* [texts]: the baseline */
};

static sums *sums_at(const sn_attn_aligner *a, int layer, int head)
{
	return a->of + ((int64_t)layer * (a->n_head + 1) + head) * a->texts->n;
}

const sn_col sn_aligner_columns[SN_ALIGNER_COLUMNS] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Head" },
	{ "words", "words", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Target words" },
	{ "aer", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, -1, "Alignment error rate" },
	{ "aer_low", "share", "aer", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "aer_high", "share", "aer", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "diagonal", "share", "aer", SN_TYPE_FLOAT, SN_BASE, 0, "AER of the diagonal" },
	{ "precision", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Precision" },
	{ "precision_low", "share", "precision", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "precision_high", "share", "precision", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "recall", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Recall of sure links" },
	{ "entropy", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Entropy" },
	{ "entropy_uniform", "bits", "entropy", SN_TYPE_FLOAT, SN_BASE, 0, "Entropy if uniform" },
};

/* ---- links of one text ---- */

static void count_links(const sn_attn_aligner *a, int32_t text, const int32_t *source, const int32_t *target, int64_t n,
                        sums *out)
{
	sn_alignment_counts c = sn_alignment_compare(&a->given[text], source, target, n);
	out->guessed = c.guessed;
	out->sure = c.sure;
	out->guessed_sure = c.guessed_sure;
	out->guessed_possible = c.guessed_possible;
	out->agree = c.guessed_sure + c.guessed_possible;
	out->links = c.guessed + c.sure;
}

/* Each target word is linked with the source word that it attends to most. */
static sn_status take_head(const sn_attn_aligner *a, int32_t text, const sn_attn_pattern *p, int layer, int head,
                           sn_arena *arena)
{
	const sn_attn_side *query = &a->texts->text[text].own, *key = &a->texts->text[text].source;
	sums *out = sums_at(a, layer, head < 0 ? a->n_head : head) + text;
	int32_t *source, *target;
	int64_t n = 0;
	double *between;
	SN_NEW(between, arena, double, (int64_t)query->n_unit * key->n_unit);
	SN_NEW(source, arena, int32_t, query->n_unit);
	SN_NEW(target, arena, int32_t, query->n_unit);
	sn_attn_between(p, layer, head, query, key, a->shift, between);
	for (int32_t q = 0; q < query->n_unit; q++) {
		const double *row = between + (int64_t)q * key->n_unit;
		int32_t best = -1;
		if (query->word[q] < 0 || isnan(row[0])) continue;
		out->words++;
		out->entropy += sn_distribution_bits(row, key->n_unit);
		for (int32_t k = 0; k < key->n_unit; k++)
			if (key->word[k] >= 0 && (best < 0 || row[k] > row[best])) best = k;
		if (best < 0) continue;
		source[n] = key->word[best];
		target[n++] = query->word[q];
	}
	count_links(a, text, source, target, n, out);
	return SN_OK;
}

/* The baseline: word j of J is linked with word j I / J of I. */
static sn_status take_diagonal(const sn_attn_aligner *a, int32_t text, sn_arena *arena)
{
	int32_t *source, *target, m = a->texts->text[text].source.n_word, n = a->texts->text[text].own.n_word;
	SN_NEW(source, arena, int32_t, n);
	SN_NEW(target, arena, int32_t, n);
	for (int32_t j = 0; j < n; j++) {
		target[j] = j;
		source[j] = (int32_t)((2 * (int64_t)j + 1) * m / (2 * (int64_t)n));
	}
	count_links(a, text, source, target, n, &a->diagonal[text]);
	a->diagonal[text].words = n;
	a->diagonal[text].entropy = n * log2(a->texts->text[text].source.n_unit);
	return SN_OK;
}

sn_status sn_aligner_take(sn_attn_aligner *a, int32_t text, const sn_attn_pattern *pattern)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, a->ctx));
	sn_mark mark = sn_arena_mark(arena);
	sn_status status = take_diagonal(a, text, arena);
	for (int l = 0; l < a->n_layer; l++)
		for (int h = -1; h < a->n_head && status == SN_OK; h++) {
			sn_arena_reset(arena, mark);
			status = take_head(a, text, pattern, l, h, arena);
		}
	sn_arena_close(arena);
	return status;
}

sn_status sn_aligner_open(sn_attn_aligner **out, sn_ctx *ctx, const sn_attn_texts *texts, const sn_dataset *data,
                          const sn_column *column, int n_layer, int n_head, int32_t shift, sn_arena *arena)
{
	sn_attn_aligner *a;
	SN_NEW(a, arena, sn_attn_aligner, 1);
	*a = (sn_attn_aligner){ .ctx = ctx, .texts = texts, .n_layer = n_layer, .n_head = n_head, .shift = shift };
	SN_NEW(a->given, arena, sn_alignment, texts->n);
	SN_NEW(a->of, arena, sums, (int64_t)n_layer * (n_head + 1) * texts->n);
	SN_NEW(a->diagonal, arena, sums, texts->n);
	for (int32_t i = 0; i < texts->n; i++) {
		const sn_attn_text *text = &texts->text[i];
		char where[200];
		const char *links = column->s[text->row] ? column->s[text->row] : "";
		sn_format(where, sizeof where, "%.150s: row %lld", data->source, (long long)text->row + 1);
		SN_TRY(sn_alignment_read(&a->given[i], ctx, where, links, text->source.n_word, text->own.n_word, arena));
	}
	*out = a;
	return SN_OK;
}

/* ---- report ---- */

static sn_ratio share(const sums *s, size_t above, size_t below, int64_t n)
{
	return sn_ratio_of((const double *)((const char *)s + above), (const double *)((const char *)s + below), n, SUMS,
	                   0.95);
}

#define SHARE(s, above, below, n) share(s, offsetof(sums, above), offsetof(sums, below), n)

static sn_status add_head(const sn_attn_aligner *a, int layer, int head, sn_result *out, int table)
{
	const sums *s = sums_at(a, layer, head);
	int32_t n = a->texts->n;
	char name[16] = "mean";
	double words = 0;
	if (head < a->n_head) sn_format(name, sizeof name, "%d", head);
	for (int32_t i = 0; i < n; i++) words += s[i].words;
	sn_ratio agree = sn_ratio_within(SHARE(s, agree, links, n), 0, 1),
			 precision = sn_ratio_within(SHARE(s, guessed_possible, guessed, n), 0, 1);
	return SN_ADD(out, table, sn_int(layer), sn_text(name), sn_int((int64_t)words), sn_num(1 - agree.value),
	              sn_num(1 - agree.high), sn_num(1 - agree.low), sn_num(1 - SHARE(a->diagonal, agree, links, n).value),
	              sn_num(precision.value), sn_num(precision.low), sn_num(precision.high),
	              sn_num(SHARE(s, guessed_sure, sure, n).value), sn_num(SHARE(s, entropy, words, n).value),
	              sn_num(SHARE(a->diagonal, entropy, words, n).value));
}

enum { HEAD_CELL = 1, AER_CELL = 3, LOW_CELL, HIGH_CELL, DIAGONAL_CELL };

sn_status sn_aligner_report(const sn_attn_aligner *a, sn_result *out, int table)
{
	const sn_value *best = NULL;
	for (int l = 0; l < a->n_layer; l++)
		for (int h = 0; h <= a->n_head; h++) SN_TRY(add_head(a, l, h, out, table));
	for (int64_t r = 0; r < sn_result_rows(out, table); r++) {
		const sn_value *row = sn_result_row(out, table, r);
		if (!best || row[AER_CELL].f < best[AER_CELL].f) best = row;
	}
	bool mean = strcmp(best[HEAD_CELL].s, "mean") == 0;
	return sn_result_say(out,
	                     "Nearest to the given alignments is layer %lld, %s%s: alignment error rate %.3f [%.3f, %.3f] "
	                     "(the diagonal: %.3f; the best of many heads, so its error is a little flattering).",
	                     (long long)best[0].i, mean ? "the mean of its heads" : "head ", mean ? "" : best[HEAD_CELL].s,
	                     best[AER_CELL].f, best[LOW_CELL].f, best[HIGH_CELL].f, best[DIAGONAL_CELL].f);
}
