#include "stats/flow.h"

#include <string.h>

static const double least = 1e-12;

typedef struct net {
	int n_layer, n, n_node, sink;
	double *down, *up;   /* [n_layer, n, n] what an edge still takes, and what may flow back through it */
	int *level, *next, *queue;
} net;

/* A node's neighbours: n below it, then n above it. NULL: there is none. */
static double *edge(const net *g, int node, int k, int *to)
{
	int l = node / g->n, i = node % g->n;
	if (k < g->n) {
		*to = node - i - g->n + k;
		return l > 0 ? &g->down[((int64_t)(l - 1) * g->n + i) * g->n + k] : NULL;
	}
	k -= g->n;
	*to = node - i + g->n + k;
	return l < g->n_layer ? &g->up[((int64_t)l * g->n + k) * g->n + i] : NULL;
}

static double *reverse(const net *g, double *e)
{
	int64_t size = (int64_t)g->n_layer * g->n * g->n;
	return e >= g->down && e < g->down + size ? g->up + (e - g->down) : g->down + (e - g->up);
}

static bool find_levels(const net *g, int source)
{
	int head = 0, tail = 0;
	for (int v = 0; v < g->n_node; v++) g->level[v] = -1;
	g->level[source] = 0;
	g->queue[tail++] = source;
	while (head < tail) {
		int v = g->queue[head++];
		for (int k = 0; k < 2 * g->n; k++) {
			int to;
			const double *room = edge(g, v, k, &to);
			if (!room || *room <= least || g->level[to] >= 0) continue;
			g->level[to] = g->level[v] + 1;
			g->queue[tail++] = to;
		}
	}
	return g->level[g->sink] >= 0;
}

/* As deep as there are layers, and a few more where flow goes back up. */
static double push(const net *g, int v, double most)
{
	if (v == g->sink) return most;
	for (; g->next[v] < 2 * g->n; g->next[v]++) {
		int to;
		double *room = edge(g, v, g->next[v], &to);
		if (!room || *room <= least || g->level[to] != g->level[v] + 1) continue;
		double got = push(g, to, SN_MIN(most, *room));
		if (got <= 0) continue;
		*room -= got;
		*reverse(g, room) += got;
		return got;
	}
	return 0;
}

static double flow_to(net *g, const double *capacity, int source, int sink)
{
	size_t size = (size_t)g->n_layer * (size_t)g->n * (size_t)g->n * sizeof *capacity;
	double total = 0, got;
	memcpy(g->down, capacity, size);
	memset(g->up, 0, size);
	g->sink = sink;
	while (find_levels(g, source)) {
		memset(g->next, 0, (size_t)g->n_node * sizeof *g->next);
		while ((got = push(g, source, 1e300)) > 0) total += got;
	}
	return total;
}

static sn_status flow_in(sn_ctx *ctx, sn_arena *arena, net *g, const double *capacity, int from, double *out)
{
	g->n_node = (g->n_layer + 1) * g->n;
	SN_NEW(g->down, arena, double, (int64_t)g->n_layer * g->n * g->n);
	SN_NEW(g->up, arena, double, (int64_t)g->n_layer * g->n * g->n);
	SN_NEW(g->level, arena, int, g->n_node);
	SN_NEW(g->next, arena, int, g->n_node);
	SN_NEW(g->queue, arena, int, g->n_node);
	for (int k = 0; k < g->n; k++) {
		SN_TRY(sn_poll(ctx));
		out[k] = flow_to(g, capacity, g->n_layer * g->n + from, k);
	}
	return SN_OK;
}

sn_status sn_layered_flow(sn_ctx *ctx, int n_layer, int n, const double *capacity, int from, double *out)
{
	sn_arena *arena;
	net g = { .n_layer = n_layer, .n = n };
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = flow_in(ctx, arena, &g, capacity, from, out);
	sn_arena_close(arena);
	return status;
}
