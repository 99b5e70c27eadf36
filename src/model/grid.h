/* The grid behind interchange and erasure: for each family - an item, perhaps with a source beside it - one forked row
 * a variant, and what each row chooses. A variant is a set of touches, edits that act together. Families run many at a
 * time, grouped by fold, since the tensors of an edit depend on the fold of its item. */
#ifndef SN_MODEL_GRID_H
#define SN_MODEL_GRID_H

#include "data/items.h"

/* Which positions of an item are touched. */
typedef enum sn_place {
	SN_PLACE_NONE,      /* invalid */
	SN_PLACE_ROLE,      /* all tokens of role arg */
	SN_PLACE_ROLE_LAST, /* the last token of role arg */
	SN_PLACE_OTHER,     /* all positions after the subject (role 0) that no role holds, jointly */
	SN_PLACE_ONWARD,    /* all positions from the first of role arg on */
	SN_PLACE_AT         /* position arg; negative: from the end */
} sn_place;

/* A site (any of vectors: residual stream, a head's z, ...) at some positions. */
typedef struct sn_spot {
	sn_site site;
	sn_place place;
	int32_t arg;
} sn_spot;

/* Writes the positions of a spot in an item, ascending, into pos [tokens of the item]; returns their number (0: the
 * item's frame lacks the place). */
int sn_spot_positions(const sn_items *items, int64_t item, const sn_spot *spot, int32_t *pos);
/* Returns the spot of role's tokens at layer boundary l (sn_boundary_site). */
sn_spot sn_spot_role(const sn_model *model, int l, int role);

typedef enum sn_touch_kind {
	SN_TOUCH_NONE,   /* invalid */
	SN_TOUCH_SOURCE, /* x <- x + U V'(x_source - x); without U and V: x <- x_source. The source's position is the same;
					  * of a role's last token (SN_PLACE_ROLE_LAST) it is that token, wherever it stands */
	SN_TOUCH_MEAN,   /* x <- x + U V'(mean - x) */
	SN_TOUCH_SHIFT   /* x <- x + moved * (a random unit direction) */
} sn_touch_kind;

/* One edit of a variant. mean, U, V: one tensor a fold, float32 [d], [d, k], [d, k]. */
typedef struct sn_touch {
	sn_spot spot;
	sn_touch_kind kind;
	const sn_tensor *mean, *U, *V;
	uint64_t key; /* SHIFT: one direction a key, the same for all items and positions */
	float *moved; /* [n_family, max_length] by position, or NULL. MEAN writes the length of each displacement there,
					 negative where it points against U's first column; SHIFT reads it */
} sn_touch;

typedef struct sn_variant {
	const sn_touch *touch;
	int n_touch;
} sn_variant;

typedef struct sn_family {
	int64_t base, source; /* items; source -1: none */
} sn_family;

/* What a grid is run on. */
typedef struct sn_grid {
	const sn_items *items;
	const sn_family *family;
	int64_t n_family;
	const sn_variant *variant;
	int n_variant;
	const char *what; /* for progress */
} sn_grid;

/* Arrays are the caller's. LD in nats (see model/choice.h); NaN: the frame lacks the place, base and source differ in
 * length and the place is not a role's last token, or the run ended before. */
typedef struct sn_grid_out {
	double *base, *source;                  /* [n_family], source may be NULL */
	double *ld;                             /* [n_family, n_variant], mean over choice pairs */
	double *base_each, *source_each, *each; /* the same by choice pair, [.., n_choice], or NULL */
} sn_grid_out;

/* Returns the longest item's tokens: the width of sn_touch.moved. */
int64_t sn_items_longest(const sn_items *items);
/* Runs the grid. SN_EARG for an invalid touch, an item or a fold that does not exist; SN_ECANCEL keeps what was
 * computed. Cost: one forward pass a base, and for each variant the positions from its first touched one on, in the
 * layers after it. */
SN_CHECKED sn_status sn_grid_run(sn_ctx *ctx, sn_model *model, const sn_grid *grid, const sn_grid_out *out);

#endif
