/* In which order the rows of a batch are computed, and which cannot be parted. */
#ifndef SN_MODEL_ORDER_H
#define SN_MODEL_ORDER_H

#include "model/plan.h"

/* A row reads from its parent, from the source rows of its edits and from the reference rows of its goals. Families are
 * rows linked in any such way (or, in a decoder, by the encoder row they read), in the order of their first rows;
 * inside a family every row stands behind those it reads from, otherwise rows ascend. Rows that read from one another
 * in a circle are one atom. The order depends on the batch and the plan alone, so sinks receive rows in the same order
 * however little memory there is. */
typedef struct sn_order {
	int32_t *row;        /* [n] */
	int32_t *atom;       /* [n_atom + 1] first of each atom in row */
	int32_t *family;     /* [n_family + 1] first of each family in atom */
	int32_t n_atom, n_family;
} sn_order;

/* Finds the order; arrays come from the plan's arena. */
SN_CHECKED sn_status sn_order_find(const sn_compiled *c, sn_order *out);

/* Calls for each row that a row reads from: i counts up from 0. Returns -1 where there is none at i, and
 * SN_READS_END behind the last. */
enum { SN_READS_END = -2 };
int32_t sn_order_reads(const sn_compiled *c, int32_t row, int64_t i);

#endif
