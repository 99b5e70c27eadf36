/* What a run has finished, kept in one file so that the same run, killed, can be taken up again. The file grows by
 * records: a key, a number, bytes, and a checksum over all of it. A record is there as a whole or, torn by a kill or a
 * full disk, not at all; what follows a torn one is cut off. A context has at most one checkpoint; without one all of
 * this costs nothing. Work is kept through base/work.h.
 *
 * File: "SNCKPT01", then records of u32 mark, u32 kind, u64 key, u64 number, u64 size, u64 checksum (FNV-1a of the four
 * before it and of the bytes), bytes. Numbers are this machine's: a checkpoint does not travel. */
#ifndef SN_BASE_CHECKPOINT_H
#define SN_BASE_CHECKPOINT_H

#include "base/base.h"

/* Gives the context a checkpoint at path. resume: what stands there is read (SN_EPARSE where it is none); otherwise a
 * note says that it is overwritten. SN_EIO where another process has it open. The file appears with the first record.
 * Closed with the context, which leaves it where it is. */
SN_CHECKED sn_status sn_checkpoint_attach(sn_ctx *ctx, const char *path, bool resume);
bool sn_checkpoint_attached(const sn_ctx *ctx);
/* Returns whether anything was written or read, so that --resume has something to take up. */
bool sn_checkpoint_written(const sn_ctx *ctx);
/* Part of what the run is ("seed" "1"): SN_EARG where the checkpoint was made with another value. */
SN_CHECKED sn_status sn_checkpoint_identify(sn_ctx *ctx, const char *name, const char *value);
/* Once the run is identified: a note says what it goes on from, if that was asked for. */
void sn_checkpoint_announce(sn_ctx *ctx);
/* Deletes the file, and those that were written in place beside it (sn_checkpoint_partial). */
void sn_checkpoint_remove(sn_ctx *ctx);

/* ---- for base/work.h ---- */

/* Returns whether there is a record (key, number) of that size. */
bool sn_checkpoint_has(const sn_ctx *ctx, uint64_t key, uint64_t number, size_t size);
/* Reads one that is there. SN_EIO. */
SN_CHECKED sn_status sn_checkpoint_read(sn_ctx *ctx, uint64_t key, uint64_t number, void *bytes, size_t size);
/* Appends one. SN_EDISK, SN_EIO. */
SN_CHECKED sn_status sn_checkpoint_add(sn_ctx *ctx, uint64_t key, uint64_t number, const void *bytes, size_t size);

/* ---- files that grow in place ---- */

/* Opens `path.partial` for writing, in place of sn_file_create: what stands there already is kept if the checkpoint was
 * resumed. sn_file_commit renames it to path; without a commit it stays. */
SN_CHECKED sn_status sn_checkpoint_partial(sn_file **out, sn_ctx *ctx, const char *path);
/* Notes that units 0 .. number of a file are written. Its bytes are handed to the system, now and then also to the
 * disk: after a crash of the machine only the latter are believed. */
SN_CHECKED sn_status sn_checkpoint_mark(sn_ctx *ctx, uint64_t key, uint64_t number, sn_file *file);
/* Returns how many units the partial file, opened before, holds: 0 if none. */
uint64_t sn_checkpoint_marked(sn_ctx *ctx, uint64_t key);

#endif
