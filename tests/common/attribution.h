/* `sonde attribute` on the cases of golden/attribution: a model, the method and its options, rows with their scores. */
#ifndef SN_TEST_ATTRIBUTION_H
#define SN_TEST_ATTRIBUTION_H

#include "common/behaviour.h"

/* Opens a case's model (llama: the tiny one; minilm: the real one; others: of golden/arch) and, as its data, rows. */
void attribution_open(behaviour *b, sn_ctx *ctx, const char *model, json_t *rows);
/* Runs a case's method (none: ablation) with its options; the result is b's. */
sn_status attribution_status(behaviour *b, json_t *c);
void attribution_run(behaviour *b, json_t *c);
/* Compares every case of a file, at least so many: f to 1e-5, the tokens' scores to 1e-4 of their norm. */
void attribution_check_file(sn_ctx *ctx, const char *path, size_t least);

#endif
