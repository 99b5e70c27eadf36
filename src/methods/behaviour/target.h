/* How probable words of a text are where they stand. */
#ifndef SN_METHODS_BEHAVIOUR_TARGET_H
#define SN_METHODS_BEHAVIOUR_TARGET_H

#include "model/asks.h"

/* Texts whose words are asked about, answered in one run. Close asks with sn_asks_free. */
typedef struct sn_targets {
	sn_ctx *ctx;
	sn_model *model;
	bool l2r; /* masked models: a token is asked for with the later ones of its target hidden too */
	sn_asks asks;
	sn_arena *arena;
} sn_targets;

/* One of them: its tokens' places are [first, first + n) of the answers. */
typedef struct sn_target {
	int64_t first, n;
	bool missing; /* its first token begins the text, and nothing precedes it */
	bool cut;     /* some token holds letters of the target and of what surrounds it */
} sn_target;

/* SN_EARG for models that have no logits, no mask or an encoder beside the decoder. Tokens come from arena. */
SN_CHECKED sn_status sn_targets_make(sn_targets *out, sn_ctx *ctx, sn_model *model, bool l2r, sn_arena *arena);
/* Asks for bytes [span[0], span[1]) of a text: the tokens that begin in them, white space before not counted. Causal
 * models see what precedes; masked ones all the rest. whole: the target is the text itself; then a first token that
 * nothing precedes is left out rather than missing, and masked models hide one token at a time. */
SN_CHECKED sn_status sn_target_add(sn_targets *targets, const char *text, const int64_t span[2], bool whole,
								   sn_target *out);
/* Asks for one place: after the text before span, or (masked models) one hidden token in place of it. want is any. */
SN_CHECKED sn_status sn_target_blank(sn_targets *targets, const char *text, const int64_t span[2], sn_target *out);
/* Returns the log-probability in nats; NaN where it is missing, cut or has no token. */
double sn_target_logprob(const sn_target *target, const sn_predict *found);
/* Returns whether a model sees left contexts only. */
bool sn_targets_causal(const sn_targets *targets);

#endif
