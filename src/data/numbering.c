/* Texts to numbers, in order of first appearance. */
#include "data/numbering.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
	const char *text;
	int64_t row;
} entry;

static int by_text(const void *a, const void *b)
{
	const entry *x = a, *y = b;
	int order = strcmp(x->text, y->text);
	return order ? order : (x->row > y->row) - (x->row < y->row);
}

static int by_row(const void *a, const void *b)
{
	const entry *x = a, *y = b;
	return (x->row > y->row) - (x->row < y->row);
}

sn_status sn_number_texts(int32_t *out, int *n, const char ***name, const char *const *text, int64_t n_row,
                          sn_arena *arena)
{
	entry *e, *first;
	int64_t used = 0;
	int32_t *rank;
	SN_NEW(e, arena, entry, n_row);
	SN_NEW(first, arena, entry, n_row);
	SN_NEW(rank, arena, int32_t, n_row);
	for (int64_t i = 0; i < n_row; i++) {
		out[i] = -1;
		if (text[i]) e[used++] = (entry){ text[i], i };
	}
	qsort(e, (size_t)used, sizeof *e, by_text);
	*n = 0;
	for (int64_t i = 0; i < used; i++)
		if (i == 0 || strcmp(e[i].text, e[i - 1].text) != 0) first[(*n)++] = e[i];
	qsort(first, (size_t)*n, sizeof *first, by_row);
	for (int k = 0; k < *n; k++) rank[first[k].row] = k;
	for (int64_t i = 0, group = 0; i < used; i++) {
		if (strcmp(e[i].text, e[group].text) != 0) group = i;
		out[e[i].row] = rank[e[group].row];
	}
	if (!name) return SN_OK;
	SN_NEW(*name, arena, const char *, *n);
	for (int k = 0; k < *n; k++) (*name)[k] = first[k].text;
	return SN_OK;
}
