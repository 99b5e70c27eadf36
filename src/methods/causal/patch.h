/* `sonde causal patch` on items in token space. */
#ifndef SN_METHODS_CAUSAL_PATCH_H
#define SN_METHODS_CAUSAL_PATCH_H

#include "data/items.h"
#include "data/result.h"

/* The method's parameters; see its rows for their meaning. */
typedef struct sn_patch_param {
	const char *sites, *by, *places, *kind, *subspace, *label, *lengths;
	int64_t every, pairs, resamples;
} sn_patch_param;

extern const sn_method sn_method_causal_patch;

/* Runs the method for items made anywhere (no tokenizer needed); rows go to out, a result of sn_method_causal_patch. */
SN_CHECKED sn_status sn_causal_patch(sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_patch_param *param,
									 sn_result *out);

#endif
