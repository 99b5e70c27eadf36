/* Texts with slots: "The {nurse|nurses} near the {window|windows} [is|are]". Each {slot} and the [target] has
 * alternatives; {name} stands for those in the row's column of that name; columns may say swap and target instead. */
#ifndef SN_DATA_TEMPLATE_H
#define SN_DATA_TEMPLATE_H

#include "base/base.h"
#include "data/dataset.h"

enum { SN_TEMPLATE_PARTS = 64, SN_TEMPLATE_TEXTS = 4096 };   /* at most */

/* A piece of a template: text as it is, or alternatives of which one stands there. */
typedef struct sn_template_part {
	const char **word;   /* [n] each may be empty */
	int n;
	bool slot, target;
} sn_template_part;

typedef struct sn_template {
	int64_t row;
	sn_template_part part[SN_TEMPLATE_PARTS];
	int n, target;       /* parts; which of them is the target, -1: the whole text */
	int64_t n_text;      /* combinations */
} sn_template;

/* Columns of texts that templates are read from; the last three may be NULL. */
typedef struct sn_template_columns {
	const sn_column *text, *from, *to, *target;
} sn_template_columns;

/* Reads a row's template; words from arena. from, to: the first from in the text becomes the slot {from|to}. SN_EPARSE,
 * with the row, for what is not closed, empty, two targets, more than 64 parts or 4,096 combinations. */
SN_CHECKED sn_status sn_template_read(sn_template *out, sn_ctx *ctx, const sn_dataset *data,
                                      const sn_template_columns *columns, int64_t row, sn_arena *arena);
/* Returns which alternative of a part combination c has; the last part changes fastest. */
int sn_template_choice(const sn_template *t, int64_t c, int part);
/* Writes combination c into buf, emptied before; span: bytes [first, end) of the target, or of all. */
SN_CHECKED sn_status sn_template_write(const sn_template *t, int64_t c, sn_buf *buf, int64_t span[2]);

#endif
