/* Places that words need are kept once each, site by site; words are pooled from them when they are read. */
#include "model/words.h"

#include <stdlib.h>
#include <string.h>

/* Where one site's rows go. */
typedef struct shelf {
	sn_words *words;
	int64_t d;
	size_t offset; /* of the site's rows, in numbers */
	int64_t first; /* place that the run at hand begins with */
} shelf;

struct sn_words {
	sn_ctx *ctx;
	sn_arena *arena;
	int64_t n, n_place;
	int64_t *list;       /* [n_place] flat token numbers */
	int64_t (*place)[2]; /* [n] places [first, last) of each word */
	int n_site;
	shelf *shelf; /* [n_site] */
	float *x;     /* all sites' rows; NULL: they are in the file */
	sn_file *file;
};

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	(void)ctx;
	const shelf *s = state;
	size_t at = s->offset + (size_t)((s->first + block->first) * s->d), n = (size_t)(block->m * s->d);
	if (s->words->x) {
		memcpy(s->words->x + at, block->x.data, n * sizeof(float));
		return SN_OK;
	}
	SN_TRY(sn_file_seek(s->words->file, at * sizeof(float)));
	return sn_file_write(s->words->file, block->x.data, n * sizeof(float));
}

static const sn_sink sink = { .size = sizeof(shelf), .take = take };

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int64_t find(const int64_t *list, int64_t n, int64_t value)
{
	const int64_t *at = bsearch(&value, list, (size_t)n, sizeof value, by_number);
	SN_ASSERT(at);
	return at - list;
}

static sn_status list_places(sn_words *w, const sn_batch *batch, const int32_t *row, const int32_t (*token)[2],
							 sn_pieces pieces)
{
	int64_t n = 0;
	for (int64_t i = 0; i < w->n; i++) n += pieces == SN_PIECES_MEAN ? token[i][1] - token[i][0] : 1;
	SN_NEW(w->list, w->arena, int64_t, n);
	w->place = sn_arena_take(w->arena, sn_size3((size_t)w->n, sizeof *w->place, 1));
	if (!w->place) return SN_ENOMEM;
	n = 0;
	for (int64_t i = 0; i < w->n; i++) {
		int64_t base = batch->start[row[i]], first = base + token[i][0], last = base + token[i][1] - 1;
		w->place[i][0] = pieces == SN_PIECES_LAST ? last : first;
		w->place[i][1] = pieces == SN_PIECES_FIRST ? first : last;
		for (int64_t t = w->place[i][0]; t <= w->place[i][1]; t++) w->list[n++] = t;
	}
	qsort(w->list, (size_t)n, sizeof *w->list, by_number);
	for (int64_t i = 0; i < n; i++) /* words may share tokens */
		if (i == 0 || w->list[i] != w->list[i - 1]) w->list[w->n_place++] = w->list[i];
	for (int64_t i = 0; i < w->n; i++) {
		w->place[i][0] = find(w->list, w->n_place, w->place[i][0]);
		w->place[i][1] = find(w->list, w->n_place, w->place[i][1]) + 1;
	}
	return SN_OK;
}

static sn_status make_shelves(sn_words *w, const sn_model *model, const sn_site *site, sn_tap *tap)
{
	size_t total = 0;
	for (int s = 0; s < w->n_site; s++) {
		char name[96];
		w->shelf[s] = (shelf){ .words = w, .d = sn_site_width(model, &site[s]), .offset = total };
		sn_site_format(&site[s], name, sizeof name);
		if (w->shelf[s].d < 1)
			return sn_fail(w->ctx, SN_EARG, "%s is no vector at a position; choose another site", name);
		total += (size_t)(w->n_place * w->shelf[s].d);
		tap[s] = (sn_tap){ .at = site[s], .sink = &sink, .state = &w->shelf[s] };
	}
	if (total > sn_ctx_array_memory(w->ctx) / sizeof(float)) {
		const char *folder = getenv("TMPDIR");
		const char *path = sn_arena_format(w->arena, "%s/sonde-words", folder && *folder ? folder : "/tmp");
		return path ? sn_file_scratch(&w->file, w->ctx, path) : SN_ENOMEM;
	}
	w->x = sn_alloc_raw(w->ctx, SN_MAX(total, (size_t)1) * sizeof(float));
	return w->x ? SN_OK : SN_ENOMEM;
}

/* ---- the run: rows some thousand tokens at a time, so that memory stays flat ---- */

enum { TOKENS_A_RUN = 4096, WORDS_AT_ONCE = 2048 };

/* Rows [first, last); their places begin with number *place. */
static sn_status run_rows(sn_words *w, sn_model *model, const sn_batch *batch, int32_t first, int32_t last, sn_tap *tap,
						  int64_t *place)
{
	int64_t base = batch->start[first], n = 0, *start, *list;
	while (*place + n < w->n_place && w->list[*place + n] < batch->start[last]) n++;
	if (n == 0) return SN_OK;
	SN_NEW(start, w->arena, int64_t, last - first + 1);
	SN_NEW(list, w->arena, int64_t, n);
	for (int32_t b = 0; b <= last - first; b++) start[b] = batch->start[first + b] - base;
	for (int64_t i = 0; i < n; i++) list[i] = w->list[*place + i] - base;
	for (int s = 0; s < w->n_site; s++) {
		w->shelf[s].first = *place;
		tap[s].where = (sn_where){ .sel = SN_LIST, .list = list, .n_list = n };
	}
	sn_batch rows = { .n = last - first, .token = batch->token + base, .start = start };
	sn_plan plan = { .size = sizeof plan, .n_tap = w->n_site, .tap = tap };
	*place += n;
	return sn_run(w->ctx, model, &rows, &plan, NULL, NULL);
}

static sn_status run_all(sn_words *w, sn_model *model, const sn_batch *batch, sn_tap *tap)
{
	int64_t place = 0, total = batch->start[batch->n];
	for (int32_t first = 0, last; first < batch->n; first = last) {
		for (last = first + 1; last < batch->n && batch->start[last] - batch->start[first] < TOKENS_A_RUN;) last++;
		sn_mark mark = sn_arena_mark(w->arena);
		sn_progress(w->ctx, "tokens", batch->start[first], total);
		SN_TRY(sn_poll(w->ctx));
		SN_TRY(run_rows(w, model, batch, first, last, tap, &place));
		sn_arena_reset(w->arena, mark);
	}
	sn_progress(w->ctx, "tokens", total, total);
	return SN_OK;
}

static sn_status run(sn_words *w, sn_model *model, const sn_batch *batch, const int32_t *row, const int32_t (*token)[2],
					 sn_pieces pieces, const sn_site *site)
{
	sn_tap *tap;
	SN_TRY(sn_arena_open(&w->arena, w->ctx));
	SN_NEW(w->shelf, w->arena, shelf, w->n_site);
	SN_NEW(tap, w->arena, sn_tap, w->n_site);
	SN_TRY(list_places(w, batch, row, token, pieces));
	SN_TRY(make_shelves(w, model, site, tap));
	return run_all(w, model, batch, tap);
}

sn_status sn_words_run(sn_words **out, sn_ctx *ctx, sn_model *model, const sn_batch *batch, int64_t n,
					   const int32_t *row, const int32_t (*token)[2], sn_pieces pieces, const sn_site *site, int n_site)
{
	sn_words *w = sn_alloc(ctx, sizeof *w);
	*out = NULL;
	if (!w) return SN_ENOMEM;
	*w = (sn_words){ .ctx = ctx, .n = n, .n_site = n_site };
	sn_status status = run(w, model, batch, row, token, pieces, site);
	if (status == SN_OK)
		*out = w;
	else
		sn_words_close(w);
	return status;
}

/* Words [first, last) from rows, which begin with place number base. */
static void pool(const sn_words *w, int64_t from, int64_t to, const float *rows, int64_t base, int64_t d, float *x)
{
	for (int64_t i = from; i < to; i++, x += d) {
		int64_t first = w->place[i][0] - base, last = w->place[i][1] - base;
		memcpy(x, rows + first * d, (size_t)d * sizeof *x);
		if (last == first + 1) continue;
		for (int64_t t = first + 1; t < last; t++)
			for (int64_t j = 0; j < d; j++) x[j] += rows[t * d + j];
		for (int64_t j = 0; j < d; j++) x[j] /= (float)(last - first);
	}
}

/* The same from the file: their places, which lie together as the words do. */
static sn_status pool_stored(sn_words *w, int64_t first, int64_t last, const shelf *from, float *x)
{
	int64_t base = INT64_MAX, end = 0, d = from->d;
	for (int64_t i = first; i < last; i++) {
		base = SN_MIN(base, w->place[i][0]);
		end = SN_MAX(end, w->place[i][1]);
	}
	size_t size = sn_size3((size_t)(end - base), (size_t)d, sizeof(float));
	float *rows = sn_alloc_raw(w->ctx, size);
	if (!rows) return SN_ENOMEM;
	sn_status status = sn_file_seek(w->file, (from->offset + (size_t)(base * d)) * sizeof(float));
	if (status == SN_OK) status = sn_file_read(w->file, rows, size);
	if (status == SN_OK) pool(w, first, last, rows, base, d, x);
	sn_free(w->ctx, rows);
	return status;
}

sn_status sn_words_read(sn_words *w, int s, sn_arena *home, float *x)
{
	const shelf *from = &w->shelf[s];
	for (int64_t first = 0; first < w->n; first += WORDS_AT_ONCE) {
		int64_t last = SN_MIN(first + WORDS_AT_ONCE, w->n);
		float *to = x + first * from->d;
		if (w->x)
			pool(w, first, last, w->x + from->offset, 0, from->d, to);
		else
			SN_TRY(pool_stored(w, first, last, from, to));
		sn_arena_done(home, to, (size_t)((last - first) * from->d) * sizeof *to);
	}
	return SN_OK;
}

int64_t sn_words_width(const sn_words *w, int s) { return w->shelf[s].d; }

void sn_words_close(sn_words *w)
{
	if (!w) return;
	sn_file_close(w->file);
	sn_free(w->ctx, w->x);
	sn_arena_close(w->arena);
	sn_free(w->ctx, w);
}
