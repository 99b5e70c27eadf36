/* How a normalizer says what becomes of a text: as a list of new characters with what each does to the old ones. */
#ifndef SN_TEXT_NORMALIZE_IMPL_H
#define SN_TEXT_NORMALIZE_IMPL_H

#include "text/normalize.h"

/* change 0: in place of the next old character; 1: without taking one; -k: in place of the next 1 + k old characters.
 * code SN_DROPPED: the next -change old characters are taken, and nothing comes. */
typedef struct sn_changed {
	uint32_t code;
	int32_t change, class; /* class: canonical combining class, where a normalizer sorts by it */
} sn_changed;

enum { SN_DROPPED = 0x110000 };

typedef struct sn_changes {
	sn_ctx *ctx;
	sn_matcher *matcher;
	sn_buf list;  /* sn_changed */
	size_t limit; /* of the list, in bytes */
	bool too_long;
} sn_changes;

static inline void sn_change(sn_changes *c, uint32_t code, int32_t change)
{
	if (c->list.size < c->limit)
		sn_buf_add(&c->list, &(sn_changed){ code, change, 0 }, sizeof(sn_changed));
	else
		c->too_long = true;
}

/* Makes the list for a piece. SN_OK also when memory is short, which list.failed tells, or the limit is reached. */
typedef sn_status sn_normalizer_fn(sn_changes *c, const sn_normalizer *normalizer, sn_piece piece);

sn_normalizer_fn sn_change_form, sn_change_case, sn_clean, sn_space_ideographs, sn_drop_marks, sn_strip, sn_prepend,
	sn_replace, sn_change_nmt, sn_change_charsmap, sn_write_bytes;

#endif
