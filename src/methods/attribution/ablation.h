/* `sonde attribute ablation` on texts in token space. */
#ifndef SN_METHODS_ATTRIBUTION_ABLATION_H
#define SN_METHODS_ATTRIBUTION_ABLATION_H

#include "methods/attribution/attribution.h"

/* The method's parameters; see its rows for their meaning. */
typedef struct sn_ablation_param {
	sn_attribution_param common;
	const char *with, *at;
	int64_t draws, top, resamples;
} sn_ablation_param;

extern const sn_method sn_method_attribute_ablation;
enum { SN_ABLATION_RANKING, SN_ABLATION_MAP, SN_ABLATION_ITEMS, SN_ABLATION_TABLES };

/* Runs the method for texts made anywhere (no tokenizer needed); rows go to out, a result of the method's. */
SN_CHECKED sn_status sn_attribution_ablate(sn_ctx *ctx, sn_model *model, const sn_attribution_items *items,
                                           const sn_ablation_param *param, sn_result *out);

#endif
