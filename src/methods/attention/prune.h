/* `sonde attention prune` on rows at hand. */
#ifndef SN_METHODS_ATTENTION_PRUNE_H
#define SN_METHODS_ATTENTION_PRUNE_H

#include "methods/attention/goals.h"

typedef struct sn_prune_param {
	const char *column, *source, *target, *order, *ablate;
	int64_t steps, draws, limit;
} sn_prune_param;

extern const sn_method sn_method_attention_prune;
/* Fills a result of the method. */
SN_CHECKED sn_status sn_attention_prune(const sn_attn_goals *goals, const sn_prune_param *param, sn_result *out);

#endif
