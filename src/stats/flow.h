/* Maximum flow in a layered graph, for attention flow (Abnar & Zuidema 2020). */
#ifndef SN_STATS_FLOW_H
#define SN_STATS_FLOW_H

#include "base/base.h"

/* Layers 0 .. n_layer of n nodes; capacity [n_layer, n, n]: from node i of layer l + 1 to node j of layer l, at
 * [(l * n + i) * n + j], not negative. Writes the largest flow from node `from` of the top layer to each node of
 * layer 0, one at a time, into out [n]. Dinic's algorithm: breadth-first levels and blocking flows; flows below 1e-12
 * count as none. Cost: n times a few passes over the n_layer n^2 edges. SN_ECANCEL. */
SN_CHECKED sn_status sn_layered_flow(sn_ctx *ctx, int n_layer, int n, const double *capacity, int from, double *out);

#endif
