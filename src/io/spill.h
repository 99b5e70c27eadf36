/* Several byte streams that grow side by side in one nameless file, each read back whole at the end. Memory: at most
 * 16 KiB a stream, and 16 bytes for each run of a stream in the file. */
#ifndef SN_IO_SPILL_H
#define SN_IO_SPILL_H

#include "base/base.h"

typedef struct sn_spill sn_spill;

/* Opens n streams in a file beside path, gone when closed. */
SN_CHECKED sn_status sn_spill_open(sn_spill **out, sn_ctx *ctx, const char *path, int n);
SN_CHECKED sn_status sn_spill_append(sn_spill *spill, int stream, const void *bytes, size_t size);
/* Writes the whole stream at the place where `to` stands. Nothing may be appended to any stream after. */
SN_CHECKED sn_status sn_spill_copy(sn_spill *spill, int stream, sn_file *to);
/* NULL is allowed. */
void sn_spill_close(sn_spill *spill);

#endif
