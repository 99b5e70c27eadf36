/* Holds sn_generate against a record of tests/golden/generate: every case of one prompt. */
#ifndef SN_TEST_GENERATE_GOLDEN_H
#define SN_TEST_GENERATE_GOLDEN_H

#include "common/test.h"
#include "io/json.h"
#include "model/generate.h"

/* Asserts that each case that both objects have gives the same tokens and, in beam searches, the same scores to a
 * relative 1e-4. name is for messages. Returns how many cases. */
int golden_generate(sn_ctx *ctx, sn_model *model, const char *name, const json_t *cases, const json_t *row,
                    int32_t eos);
/* Reads a list of tokens; returns how many. */
int32_t golden_tokens(const json_t *list, int32_t *out, int32_t room);

#endif
