/* A plan made concrete for one batch: every edit, tap and goal as places, and from them what must be computed at all.
 *
 * Stages: 0 embedding, 1 .. L the blocks, L + 1 final norm and unembedding. For each row and stage the first position
 * that differs from the row's parent is one integer (`dirty`); positions before it are read from the parent. */
#ifndef SN_MODEL_PLAN_H
#define SN_MODEL_PLAN_H

#include "model/model.h"
#include "model/places.h"
#include "model/state.h"

/* One place that an edit changes. origin is the row that the plan names: the row itself, or the ancestor whose edit a
 * fork inherits. */
typedef struct sn_edit_place {
	int32_t edit, row, pos, origin;
	int64_t index;                 /* number of the place among the edit's own: row of a [m, d] src */
	int32_t from_row, from_pos;    /* SET from a row of the batch; otherwise -1 */
} sn_edit_place;

typedef struct sn_compiled {
	sn_ctx *ctx;
	sn_model *model;
	const sn_batch *batch;
	const sn_plan *plan;
	const sn_state *state;         /* rows that parents -2 - r name; NULL: none */
	sn_arena *arena;
	int n_stage;                   /* n_layer + 2 */
	bool keep;                     /* every block must run for every row */
	bool output;                   /* and what the last one yields is wanted of every position */

	sn_edit_place *edit;           /* sorted by row, then edit, then position */
	int64_t *edit_start;           /* [n + 1] of each row's edits */
	sn_places *tap, *goal;         /* [n_tap], [n_goal] */
	int64_t **goal_index;          /* [n_goal][places]: which want a place has */
	uint8_t *touched;              /* [n_stage * SN_SITE_COUNT]: SN_TOUCH_... bits */
	bool gradient;                 /* some tap is of a gradient: every row is computed in full, and backwards */
	int first_back;                /* the earliest stage that the backward pass must reach */

	int32_t *ring;                 /* [n] the rescale rule: the next of the rows that are compared with one and so are
	                                  of one step; or NULL */

	int64_t edit_width, edit_rank; /* the widest edit's columns, most columns of an edit's U; 0: no edits */
	int64_t tap_floats;            /* what the largest delivery of a tap takes */

	int32_t *dirty;                /* [n * n_stage] first position computed */
	int32_t *need;                 /* [n] last stage to be computed; -1: none */
	int32_t *final_from;           /* [n] first position needed in the last stage */
} sn_compiled;

enum { SN_TOUCH_EDIT = 1, SN_TOUCH_TAP = 2, SN_TOUCH_DOT = 4, SN_TOUCH_GRAD = 8 };

/* Checks a batch and a plan and compiles them into arena. keep, output: see the members. through: gradients are passed
 * on to the encoder, whether or not the plan has such taps. */
SN_CHECKED sn_status sn_plan_compile(sn_compiled *out, sn_ctx *ctx, sn_model *model, const sn_batch *batch,
                                     const sn_plan *plan, const sn_state *state, bool keep, bool output,
                                     bool through, sn_arena *arena);

static inline bool sn_is_gradient(sn_what what) { return what >= SN_GRAD; }

static inline uint8_t sn_touched(const sn_compiled *c, sn_site_kind kind, int stage)
{
	return c->touched[stage * SN_SITE_COUNT + (int)kind];
}

/* Returns the row of the same batch that a row is a fork of, or -1. */
static inline int32_t sn_parent_of(const sn_batch *batch, int32_t row)
{
	return batch->parent && batch->parent[row] >= 0 ? batch->parent[row] : -1;
}

/* Returns the row of the kept state that a row is a fork of, or -1. */
static inline int32_t sn_state_parent_of(const sn_batch *batch, int32_t row)
{
	return batch->parent && batch->parent[row] <= -2 ? -2 - batch->parent[row] : -1;
}

static inline int32_t *sn_dirty(const sn_compiled *c, int64_t row) { return c->dirty + row * c->n_stage; }

/* Returns the first position of a row that a stage computes, INT32_MAX where it computes none; the last stage computes
 * nothing before the first position asked for. */
static inline int32_t sn_first_computed(const sn_compiled *c, int32_t row, int stage)
{
	int32_t first = sn_dirty(c, row)[stage];
	if (stage == c->n_stage - 1) first = SN_MAX(first, c->final_from[row]);
	return c->need[row] >= stage && first < sn_row_length(c->batch, row) ? first : INT32_MAX;
}

/* Returns the row that computes a position in a stage: the row itself or its nearest ancestor that does; -1: none of
 * the batch. */
static inline int32_t sn_owner(const sn_compiled *c, int32_t row, int32_t pos, int stage)
{
	while (row >= 0 && pos < sn_first_computed(c, row, stage)) row = sn_parent_of(c->batch, row);
	return row;
}

#endif
