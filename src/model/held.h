/* What rows of a family that is computed in several waves leave for rows of later waves: keys and values up to the
 * furthest fork, residual streams where a fork starts to differ, and values that taps, goals and edits of later rows
 * read. Nothing else outlives a wave. */
#ifndef SN_MODEL_HELD_H
#define SN_MODEL_HELD_H

#include "model/order.h"

typedef struct sn_held sn_held;

/* Plans what the rows order->row[first .. first + n) leave for one another. part: a number for each row of the batch;
 * only what is read by rows of another number counts. All comes from arena. */
SN_CHECKED sn_status sn_held_plan(sn_held **out, const sn_compiled *c, const sn_order *order, int32_t first, int32_t n,
                                  const int32_t *part, sn_arena *arena);
/* Returns the bytes that a row leaves, and the index in order->row of the last row that reads them; 0 and -1 where it
 * leaves nothing. */
int64_t sn_held_bytes(const sn_held *held, int32_t row, int32_t *last);
/* Makes room for what a row leaves; SN_ENOMEM. */
SN_CHECKED sn_status sn_held_open_row(sn_held *held, int32_t row);
/* Frees what a row has left, if anything; all rows. */
void sn_held_close_row(sn_held *held, int32_t row);
void sn_held_close(sn_held *held);

/* Which values: keys and values of a block, the stream that enters a stage, a site's value. -1: nobody reads them. */
static inline int sn_held_kv(int stage) { return stage - 1; }
int sn_held_stream(const sn_held *held, int stage);
int sn_held_site(const sn_held *held, int stage, sn_site_kind kind, sn_what what);
/* Returns the room for a row's value at a position, [width]; NULL where it is not held. */
float *sn_held_at(const sn_held *held, int32_t row, int key, int32_t pos);
/* The positions [*first, *last) of a row that are held under a key; empty where none are. */
void sn_held_range(const sn_held *held, int32_t row, int key, int32_t *first, int32_t *last);
int64_t sn_held_width(const sn_held *held, int key);

#endif
