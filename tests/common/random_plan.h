/* Random batches of forks and random plans over them, and the same spelt out: without parents, every row with the edits
 * that it has or inherits by the rules of include/sonde.h, worked out here independently of the engine. */
#ifndef SN_TEST_RANDOM_PLAN_H
#define SN_TEST_RANDOM_PLAN_H

#include "common/forms.h"

enum { RANDOM_ROWS = 14, RANDOM_LENGTH = 13, RANDOM_SPANS = 2, RANDOM_EDITS = 4, RANDOM_TAPS = 4, RANDOM_GOALS = 3 };

typedef struct random_rows {
	sn_batch batch, enc;       /* parent and fork are set */
	int32_t token[RANDOM_ROWS * RANDOM_LENGTH], parent[RANDOM_ROWS], fork[RANDOM_ROWS], enc_row[RANDOM_ROWS];
	int64_t start[RANDOM_ROWS + 1], item[RANDOM_ROWS];
	int32_t span[RANDOM_ROWS * RANDOM_SPANS][2];
	int32_t enc_token[RANDOM_ROWS * RANDOM_LENGTH];
	int64_t enc_start[RANDOM_ROWS + 1];
} random_rows;

/* Rows, most of them forks of earlier ones: with other ends, with the same tokens, forks of forks. */
void random_rows_make(random_rows *rows, const forms_case *f, sn_rng *rng);

/* A plan; its arrays are from the case's arena. Taps have no sinks yet. */
typedef struct random_plan {
	sn_edit edit[RANDOM_EDITS];
	sn_tap tap[RANDOM_TAPS];
	sn_goal goal[RANDOM_GOALS];
	sn_plan plan;
} random_plan;
void random_plan_make(random_plan *p, forms_case *f, const random_rows *rows, sn_rng *rng);

/* The edits of a plan for the rows without parents, one an edit and row. */
void random_plan_spell_out(const random_plan *p, forms_case *f, const random_rows *rows, sn_plan *out);

#endif
