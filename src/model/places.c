/* Resolving wheres. */
#include "model/places.h"

typedef struct range { int32_t first, last; } range;

static range row_range(const sn_batch *batch, const sn_where *where, int64_t row)
{
	int32_t n = sn_row_length(batch, row), at = where->arg < 0 ? n + where->arg : where->arg;
	const int32_t *span = where->sel >= SN_SPAN && batch->n_span && where->arg >= 0 && where->arg < batch->n_span
	                      ? batch->span[row * batch->n_span + where->arg] : NULL;
	switch (where->sel) {
	case SN_ALL: return (range){ 0, n };
	case SN_LAST: return (range){ n - 1, n };
	case SN_SPAN: return span && span[0] >= 0 ? (range){ span[0], span[1] } : (range){ 0, 0 };
	case SN_SPAN_LAST: return span && span[0] >= 0 ? (range){ span[1] - 1, span[1] } : (range){ 0, 0 };
	case SN_FROM_SPAN: return span && span[0] >= 0 ? (range){ span[0], n } : (range){ 0, 0 };
	case SN_AT: return at >= 0 && at < n ? (range){ at, at + 1 } : (range){ 0, 0 };
	case SN_RANGE: return (range){ SN_MIN(SN_MAX(where->arg, 0), n), SN_MIN(SN_MAX(where->end, 0), n) };
	case SN_FROM: return (range){ SN_MIN(SN_MAX(at, 0), n), n };
	case SN_SEL_NONE: case SN_LIST: break;
	}
	return (range){ 0, 0 };
}

/* First entry of the list at or after a flat token index. */
static int64_t lower_bound(const int64_t *list, int64_t n, int64_t value)
{
	int64_t lo = 0, hi = n;
	while (lo < hi) {
		int64_t mid = (lo + hi) / 2;
		if (list[mid] < value) lo = mid + 1;
		else hi = mid;
	}
	return lo;
}

static int32_t listed(const sn_batch *batch, const sn_where *where, int64_t row, int32_t *pos)
{
	int32_t n = 0;
	int64_t i = lower_bound(where->list, where->n_list, batch->start[row]);
	for (; i < where->n_list && where->list[i] < batch->start[row + 1]; i++, n++)
		if (pos) pos[n] = (int32_t)(where->list[i] - batch->start[row]);
	return n;
}

int32_t sn_places_in_row(const sn_batch *batch, const sn_where *where, int64_t row, int32_t *pos)
{
	if (where->n_row && (row < where->row0 || row >= (int64_t)where->row0 + where->n_row)) return 0;
	if (where->sel == SN_LIST) return listed(batch, where, row, pos);
	range r = row_range(batch, where, row);
	for (int32_t p = r.first; pos && p < r.last; p++) pos[p - r.first] = p;
	return SN_MAX(r.last - r.first, 0);
}

static sn_status check_where(sn_ctx *ctx, const sn_batch *batch, const sn_where *where, const char *what)
{
	if (where->sel <= SN_SEL_NONE || where->sel > SN_LIST)
		return sn_fail(ctx, SN_EARG, "%s: where.sel is %d, not one of the selections", what, (int)where->sel);
	bool spans = where->sel == SN_SPAN || where->sel == SN_SPAN_LAST || where->sel == SN_FROM_SPAN;
	if (spans && (where->arg < 0 || where->arg >= batch->n_span))
		return sn_fail(ctx, SN_EARG, "%s: span %d; the batch has %d", what, where->arg, batch->n_span);
	if (where->row0 < 0 || where->n_row < 0 || (int64_t)where->row0 + where->n_row > batch->n)
		return sn_fail(ctx, SN_EARG, "%s: rows from %d, %d of them; the batch has %d", what, where->row0, where->n_row,
		               batch->n);
	for (int64_t i = 0; where->sel == SN_LIST && i < where->n_list; i++)
		if (where->list[i] < 0 || where->list[i] >= batch->start[batch->n] ||
		    (i && where->list[i] <= where->list[i - 1]))
			return sn_fail(ctx, SN_EARG, "%s: where.list[%lld] = %lld: expected ascending token indices below %lld",
			               what, (long long)i, (long long)where->list[i], (long long)batch->start[batch->n]);
	return SN_OK;
}

sn_status sn_places_find(sn_ctx *ctx, const sn_batch *batch, const sn_where *where, const char *what, sn_arena *arena,
                         sn_places *out)
{
	SN_TRY(check_where(ctx, batch, where, what));
	int64_t row0 = where->row0, row1 = where->n_row ? row0 + where->n_row : batch->n, n = 0;
	for (int64_t b = row0; b < row1; b++) n += sn_places_in_row(batch, where, b, NULL);
	*out = (sn_places){ .n = n };
	SN_NEW(out->row, arena, int32_t, n);
	SN_NEW(out->pos, arena, int32_t, n);
	int64_t i = 0;
	for (int64_t b = row0; b < row1; b++) {
		int32_t k = sn_places_in_row(batch, where, b, out->pos + i);
		for (int32_t j = 0; j < k; j++) out->row[i + j] = (int32_t)b;
		i += k;
	}
	return SN_OK;
}

int64_t sn_where_count(sn_ctx *ctx, const sn_batch *batch, const sn_where *where)
{
	if (check_where(ctx, batch, where, "where") != SN_OK) return -1;
	int64_t n = 0;
	for (int64_t b = 0; b < batch->n; b++) n += sn_places_in_row(batch, where, b, NULL);
	return n;
}
