/* `sonde attention knockout` on items at hand. */
#ifndef SN_METHODS_ATTENTION_KNOCKOUT_H
#define SN_METHODS_ATTENTION_KNOCKOUT_H

#include "methods/attention/goals.h"

typedef struct sn_knockout_param {
	const char *queries, *keys;
	int64_t window, every, limit, resamples;
} sn_knockout_param;

extern const sn_method sn_method_attention_knockout;
/* Fills a result of the method. */
SN_CHECKED sn_status sn_attention_knockout(const sn_attn_goals *goals, const sn_knockout_param *param, sn_result *out);

#endif
