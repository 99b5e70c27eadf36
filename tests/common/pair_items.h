/* A pair of prefixes from tests/golden/interchange as items; the two asked tokens are its only choice. */
#ifndef SN_TEST_PAIR_ITEMS_H
#define SN_TEST_PAIR_ITEMS_H

#include "common/test.h"
#include "data/items.h"
#include "io/json.h"

enum { PAIR_ITEMS_MOST = 64 };

typedef struct pair_items {
	sn_items items;
	sn_item item[2];
	int32_t token[2 * PAIR_ITEMS_MOST];
	int64_t start[3];
	sn_choice choice;
	sn_pair pair[2]; /* source into base, and back */
} pair_items;

void pair_items_load(pair_items *p, const json_t *root);
/* Makes the source the longer prefix of "unequal", and each of its places a role of one token; span [2 * roles]. */
void pair_items_unequal(pair_items *p, const json_t *unequal, int32_t (*span)[2]);
/* Returns the first minus the second of two logits. */
double pair_items_difference(const json_t *logits);

#endif
