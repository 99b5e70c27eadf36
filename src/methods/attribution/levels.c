#include "methods/attribution/levels.h"

#include "data/treebank.h"
#include "stats/bootstrap.h"

#include <math.h>
#include <string.h>

/* ---- what a token belongs to ---- */

typedef struct cutter {
	const sn_dataset *data;
	const sn_attribution_item *item;
	const sn_attribution_tokens *row;
	sn_arena *arena;
} cutter;

static bool own(const cutter *c, int32_t i) { return c->row->span[i][1] > c->row->span[i][0]; }

/* Spans may begin with the space before a word, so a token is where its last byte is. */
static bool inside(const cutter *c, int32_t i, const int64_t span[2])
{
	return own(c, i) && span[0] < c->row->span[i][1] && c->row->span[i][1] <= span[1];
}

/* The number of the column of roles that holds the token, or -1. */
static int role_of(const cutter *c, int32_t i)
{
	for (int k = 0; k < c->data->n_col; k++) {
		const sn_column *col = &c->data->col[k];
		if (col->type == SN_TYPE_SPAN && strncmp(col->name, "roles.", 6) == 0 &&
		    inside(c, i, col->span[c->item->number - 1]))
			return k;
	}
	return -1;
}

/* The number of the treebank's word that holds the token, or -1. */
static int word_of(const cutter *c, int32_t i)
{
	return own(c, i) ? sn_treebank_word_at(c->data, c->item->number - 1, c->row->span[i][1]) : -1;
}

static bool has_roles(const sn_dataset *data)
{
	for (int k = 0; k < data->n_col; k++)
		if (data->col[k].type == SN_TYPE_SPAN && strncmp(data->col[k].name, "roles.", 6) == 0) return true;
	return false;
}

/* Whether token i goes on with the word of token i - 1: no space stands between them. */
static bool goes_on(const cutter *c, int32_t i)
{
	const int64_t *before = c->row->span[i - 1], *here = c->row->span[i];
	if (!own(c, i) || !own(c, i - 1)) return false;
	if (c->data->treebank) return word_of(c, i) >= 0 && word_of(c, i) == word_of(c, i - 1);
	return here[0] < before[1] || (here[0] == before[1] && !strchr(" \t\n", c->item->text[here[0]]));
}

static bool joined(const cutter *c, int32_t i, const char *level)
{
	if (strcmp(level, "word") == 0) return goes_on(c, i);
	if (strcmp(level, "role") == 0) return own(c, i) && own(c, i - 1) && role_of(c, i) == role_of(c, i - 1);
	return false;
}

/* ---- groups ---- */

/* How many tokens before the predicted place: one by one, then in steps. */
static const char *const distance[] = { "0 tokens before", "1", "2", "3", "4", "5–9", "10–19", "20 and more", "after" };

static const char *distance_name(int32_t d)
{
	if (d < 0) return distance[8];
	return distance[d < 5 ? d : d < 10 ? 5 : d < 20 ? 6 : 7];
}

/* Distances by size; other groups stay in the order in which they are met. */
static int rank_of(const char *group)
{
	for (int d = 0; d < SN_COUNT(distance); d++)
		if (strcmp(group, distance[d]) == 0) return d;
	return 0;
}

static const char *group_of(const cutter *c, int32_t i, const char *by)
{
	if (strcmp(by, "role") == 0 || strcmp(by, "upos") == 0) {
		if (!own(c, i)) return "special token";
		int k = strcmp(by, "role") == 0 ? role_of(c, i) : word_of(c, i);
		if (k < 0) return "other";
		if (strcmp(by, "role") == 0) return c->data->col[k].name + strlen("roles.");
		return sn_treebank_upos(c->data, c->item->number - 1, k);
	}
	if (c->item->metric == SN_DOT) return own(c, i) ? "text" : "special token";
	return distance_name(c->item->place[0] - i);
}

static sn_status check(sn_ctx *ctx, const sn_dataset *data, const sn_attribution_item *item, const char *level,
                       const char *by)
{
	if (strcmp(by, "position") == 0 && item->metric == SN_DOT)
		return sn_fail(ctx, SN_EARG, "--by position counts from the prediction; with --against nothing is predicted");
	if ((strcmp(level, "role") == 0 || strcmp(by, "role") == 0) && !has_roles(data))
		return sn_fail(ctx, SN_EARG, "%s: no roles; give items with spans as roles ('sonde data make')", data->source);
	if (strcmp(by, "upos") == 0 && !data->treebank)
		return sn_fail(ctx, SN_EARG, "%s: --by upos needs a treebank (CoNLL-U)", data->source);
	return SN_OK;
}

static const char *choose_by(const sn_dataset *data, const char *by)
{
	if (strcmp(by, "auto") != 0) return by;
	return has_roles(data) ? "role" : data->treebank ? "upos" : "position";
}

static const char *unit_text(const cutter *c, int32_t first, int32_t end)
{
	if (end - first == 1) return NULL;
	int64_t from = c->row->span[first][0], to = c->row->span[end - 1][1];
	return sn_arena_copy(c->arena, c->item->text + from, (size_t)SN_MAX(to - from, 0));
}

sn_status sn_attribution_cut(sn_attribution_units *out, sn_ctx *ctx, const sn_dataset *data,
                             const sn_attribution_item *item, const sn_attribution_tokens *row, const char *level,
                             const char *by, sn_arena *arena)
{
	cutter c = { data, item, row, arena };
	SN_TRY(check(ctx, data, item, level, by));
	by = choose_by(data, by);
	*out = (sn_attribution_units){ 0 };
	SN_NEW(out->first, arena, int32_t, row->n + 1);
	SN_NEW(out->text, arena, const char *, row->n);
	SN_NEW(out->group, arena, const char *, row->n);
	for (int32_t i = 0; i < row->n; i++) {
		if (i > 0 && joined(&c, i, level)) continue;
		out->group[out->n] = group_of(&c, i, by);
		out->first[out->n++] = i;
	}
	out->first[out->n] = row->n;
	for (int32_t u = 0; u < out->n; u++) {
		out->text[u] = unit_text(&c, out->first[u], out->first[u + 1]);
		if (!out->text[u] && out->first[u + 1] - out->first[u] > 1) return SN_ENOMEM;
	}
	return SN_OK;
}

/* ---- over texts ---- */

enum { MOST_GROUPS = 48, MEASURES = 3 };

struct sn_attribution_groups {
	int32_t n_text;
	int n;
	const char *name[MOST_GROUPS];
	int64_t count[MOST_GROUPS];
	float *x;   /* [texts, MOST_GROUPS, MEASURES] mean |score| of a unit, share of the text's, mean score; NaN: none */
};

sn_status sn_attribution_groups_open(sn_attribution_groups **out, int32_t n_text, sn_arena *arena)
{
	SN_NEW(*out, arena, sn_attribution_groups, 1);
	(*out)->n_text = n_text;
	SN_NEW((*out)->x, arena, float, (int64_t)n_text * MOST_GROUPS * MEASURES);
	for (int64_t i = 0; i < (int64_t)n_text * MOST_GROUPS * MEASURES; i++) (*out)->x[i] = NAN;
	return SN_OK;
}

/* The last group takes what there is no room for. */
static int find_group(sn_attribution_groups *g, const char *name)
{
	for (int k = 0; k < g->n; k++)
		if (strcmp(g->name[k], name) == 0) return k;
	if (g->n == MOST_GROUPS) return MOST_GROUPS - 1;
	g->name[g->n] = name;
	return g->n++;
}

void sn_attribution_groups_take(sn_attribution_groups *g, int32_t text, const sn_attribution_units *units,
                                const double *score)
{
	double size[MOST_GROUPS] = { 0 }, sum[MOST_GROUPS] = { 0 }, total = 0;
	int64_t n[MOST_GROUPS] = { 0 };
	for (int32_t u = 0; u < units->n; u++) {
		int k = find_group(g, units->group[u]);
		size[k] += fabs(score[u]);
		sum[k] += score[u];
		total += fabs(score[u]);
		n[k]++;
	}
	for (int k = 0; k < g->n; k++) {
		float *x = g->x + ((int64_t)text * MOST_GROUPS + k) * MEASURES;
		g->count[k] += n[k];
		if (n[k] == 0) continue;
		x[0] = (float)(size[k] / (double)n[k]);
		x[1] = total > 0 ? (float)(size[k] / total) : NAN;
		x[2] = (float)(sum[k] / (double)n[k]);
	}
}

static sn_status bands_of(const sn_attribution_groups *g, sn_result *out, int measure, sn_band *band)
{
	sn_arena *arena = sn_result_arena(out);
	sn_boot *boot;
	sn_reps reps;
	int32_t *text;
	float *x;
	SN_NEW(text, arena, int32_t, g->n_text);
	SN_NEW(x, arena, float, (int64_t)g->n_text * g->n);
	for (int32_t i = 0; i < g->n_text; i++) {
		text[i] = i;
		for (int k = 0; k < g->n; k++)
			x[i * g->n + k] = g->x[((int64_t)i * MOST_GROUPS + k) * MEASURES + measure];
	}
	sn_boot_items units = { .n = g->n_text, .subject = text, .n_frame = 1 };
	SN_TRY(sn_boot_open(&boot, arena, 0, g->n_text, NULL, NULL, sn_ctx_seed(sn_result_ctx(out)), 0x6c65766c));
	SN_TRY(sn_boot_mean(&reps, arena, boot, &units, x, g->n, 0));
	return sn_reps_bands(band, arena, &reps, 0.95, NULL);
}

sn_status sn_attribution_groups_write(const sn_attribution_groups *g, const char *site, sn_result *out)
{
	sn_band band[MEASURES][MOST_GROUPS];
	if (g->n_text < 2) return SN_OK;
	for (int m = 0; m < MEASURES; m++) SN_TRY(bands_of(g, out, m, band[m]));
	for (int rank = 0; rank < SN_COUNT(distance); rank++)
		for (int k = 0; k < g->n; k++) {
			if (rank_of(g->name[k]) != rank) continue;
			const sn_band *size = &band[0][k], *share = &band[1][k], *mean = &band[2][k];
			SN_TRY(SN_ADD(out, SN_ATTRIBUTION_GROUPS, sn_text(site), sn_text(g->name[k]), sn_num(size->point),
			              sn_num(size->sim_low), sn_num(size->sim_high), sn_num(share->point),
			              sn_num(share->sim_low), sn_num(share->sim_high), sn_num(mean->point),
			              sn_num(mean->sim_low), sn_num(mean->sim_high), sn_int(g->count[k])));
		}
	return SN_OK;
}
