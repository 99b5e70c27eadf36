/* `sonde causal erase` on items in token space. */
#ifndef SN_METHODS_CAUSAL_ERASE_H
#define SN_METHODS_CAUSAL_ERASE_H

#include "data/items.h"
#include "data/result.h"

/* The method's parameters; see its rows for their meaning. */
typedef struct sn_erase_param {
	const char *sites, *places, *label, *scope;
	int64_t every, pairs, draws, resamples;
	double threshold;
} sn_erase_param;

extern const sn_method sn_method_causal_erase;

/* Runs the method for items made anywhere (no tokenizer needed); rows go to out, a result of sn_method_causal_erase. */
SN_CHECKED sn_status sn_causal_erase(sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_erase_param *param,
									 sn_result *out);

#endif
