/* The files that a model's weights are in. */
#ifndef SN_IO_PARTS_H
#define SN_IO_PARTS_H

#include "base/base.h"

/* Writes what identifies weights: the SHA-256 of their file, in hex; if path is an index or one part of a split GGUF
 * model, that of the list of the parts' SHA-256, a line each, in the order of names, as
 * `sha256sum PARTS | cut -c -64 | sha256sum` says. Errors are those of opening. Cost: reads all. */
SN_CHECKED sn_status sn_parts_hash(sn_ctx *ctx, const char *path, char hex[65]);

#endif
