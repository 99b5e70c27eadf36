/* `sonde attribute patching` on items in token space. */
#ifndef SN_METHODS_CAUSAL_ATTRIBUTION_H
#define SN_METHODS_CAUSAL_ATTRIBUTION_H

#include "methods/causal/patch.h"

/* The method's parameters; see its rows for their meaning. subspace and label of patch stay NULL. */
typedef struct sn_estimate_param {
	sn_patch_param patch;
	int64_t steps, top;
	const char *confirm;
} sn_estimate_param;

extern const sn_method sn_method_attribute_patching;
enum { SN_ESTIMATE_RANKING, SN_ESTIMATE_AGREEMENT, SN_ESTIMATE_CELLS, SN_ESTIMATE_CHOICE, SN_ESTIMATE_TABLES };

/* Runs the method for items made anywhere (no tokenizer needed); rows go to out, a result of the method's. */
SN_CHECKED sn_status sn_causal_attribution(sn_ctx *ctx, sn_model *model, const sn_items *items,
										   const sn_estimate_param *param, sn_result *out);

#endif
