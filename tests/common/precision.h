/* How far a real model's logits move between precisions. */
#ifndef SN_TESTS_PRECISION_H
#define SN_TESTS_PRECISION_H

#include "common/test.h"

/* All logits of a text in bf16x3 and in bf16 against float32: within 1e-4 and `bf16`, relative L2. */
void test_precisions(sn_arena *arena, const char *model, const char *text, double bf16);

#endif
