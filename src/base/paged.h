/* Large arrays in nameless files, mapped: the system may write them out and take their memory back. */
#ifndef SN_BASE_PAGED_H
#define SN_BASE_PAGED_H

#include "base/base.h"

/* Returns size > 0 zeroed bytes, mapped from a nameless file in TMPDIR (/tmp without), whose room on the disk is taken;
 * NULL with the error set (SN_EDISK: no room). Page-aligned; give it back with sn_paged_free. */
void *sn_paged_take(sn_ctx *ctx, size_t size);
void sn_paged_free(void *p, size_t size);
/* Takes the pages that [p, p + size) touches out of the process; what they hold stays, and comes back when it is
 * read. all, all_size: the mapping that p lies in. Any thread. */
void sn_paged_done(void *all, size_t all_size, const void *p, size_t size);

#endif
