/* Kept rows: keys, values and residual streams of every block, from which rows of later batches fork. What rows share
 * is kept once: a row is a chain of pieces, and a fork adds a piece of its own to its parent's. */
#ifndef SN_MODEL_STATE_H
#define SN_MODEL_STATE_H

#include "base/base.h"

struct sn_compiled;

/* Positions [first, end) of every row that goes through it; before holds those in front. A row that goes on where its
 * parent ends is written behind it, into the same piece while there is room. */
typedef struct sn_piece {
	struct sn_piece *before;   /* or NULL where first is 0 */
	int32_t users;             /* rows and pieces that refer to it */
	int32_t first, end, room;  /* room: positions from first on */
	float **k, **v;            /* [n_layer] -> [room, kv heads * d_head]; keys after rotation */
	float **resid;             /* [n_layer + 1] -> [room, d_model]: resid_pre of each block, then the last resid_post */
} sn_piece;

/* One kept row. */
typedef struct sn_kept {
	int32_t n;             /* tokens */
	int32_t *token;        /* [n] */
	int32_t own;           /* positions from here on are written by the run that keeps the row, into piece */
	sn_piece *piece;       /* holds position n - 1 */
	int32_t enc_row;       /* of the state's encoder rows, where there are some */
} sn_kept;

/* What cross-attention reads, kept for rows that go on: the encoder's rows and the keys and values made of them. */
typedef struct sn_kept_encoder {
	sn_arena *arena;           /* owns all of it */
	int32_t users;             /* states that refer to it */
	sn_batch batch;            /* tokens and starts of its rows */
	float *memory;             /* [tokens, d_model] */
	float **kv;                /* [n_layer] -> [tokens, 2 kv heads * d_head] */
} sn_kept_encoder;

struct sn_state {
	sn_ctx *ctx;
	sn_arena *arena;       /* owns row and tokens; NULL while empty */
	const sn_model *model;
	int32_t n;
	sn_kept *row;
	sn_kept_encoder *encoder;   /* or NULL */
};

/* Makes room for a compiled batch's rows, with their tokens; what they share with rows of the old state (c->state) is
 * referred to. */
SN_CHECKED sn_status sn_state_prepare(sn_state *state, const struct sn_compiled *c);
/* Copies the encoder's rows and their memory in; keys and values are written while the decoder runs. */
SN_CHECKED sn_status sn_state_keep_encoder(sn_state *state, const sn_model *model, const sn_batch *enc,
                                           const float *memory);
/* Lets state refer to the encoder's rows of another. */
void sn_state_share_encoder(sn_state *state, const sn_state *other);
/* Moves what from holds into to, whose own rows end. */
void sn_state_replace(sn_state *to, sn_state *from);
/* Returns about how many positions a state holds: each row's own, and the longest row's. */
int64_t sn_state_tokens(const sn_state *state);
/* Frees what a state holds. */
void sn_state_clear(sn_state *state);

/* Returns the piece of a row that holds a position. */
static inline const sn_piece *sn_kept_piece(const sn_kept *row, int32_t pos)
{
	const sn_piece *piece = row->piece;
	while (pos < piece->first) piece = piece->before;
	return piece;
}
/* Returns the number of pieces of a row. */
static inline int sn_kept_pieces(const sn_kept *row)
{
	int n = 0;
	for (const sn_piece *piece = row->piece; piece; piece = piece->before) n++;
	return n;
}
/* Returns a kept row's keys, values, or residual stream at a position. */
static inline float *sn_kept_keys(const sn_kept *row, int layer, int32_t pos, int64_t width)
{
	const sn_piece *piece = sn_kept_piece(row, pos);
	return piece->k[layer] + (pos - piece->first) * width;
}
static inline float *sn_kept_values(const sn_kept *row, int layer, int32_t pos, int64_t width)
{
	const sn_piece *piece = sn_kept_piece(row, pos);
	return piece->v[layer] + (pos - piece->first) * width;
}
static inline float *sn_kept_resid(const sn_kept *row, int boundary, int32_t pos, int64_t width)
{
	const sn_piece *piece = sn_kept_piece(row, pos);
	return piece->resid[boundary] + (pos - piece->first) * width;
}

#endif
