/* What every fuzz driver starts with. A driver is one function, LLVMFuzzerTestOneInput: libFuzzer calls it (preset
 * fuzz), or replay.c with each file of the committed corpus (make test). A driver aborts when a parser breaks a
 * promise. */
#ifndef SN_FUZZ_H
#define SN_FUZZ_H

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Returns the driver's context: one thread, and an allocator that aborts above 32 MiB, which no input of some kilobytes
 * may ask for. Opened at the first call. */
sn_ctx *fuzz_ctx(void);
/* Aborts unless a failure carries a text and is the input's fault. Returns whether the call succeeded. */
bool fuzz_ok(sn_status status);
void fuzz_require(bool promise);
/* Returns a path inside a folder of this process's own (NULL: the folder), removed at exit with the files that
 * fuzz_path named. Valid until the next call. */
const char *fuzz_path(const char *name);
/* Writes bytes to fuzz_path(name). */
void fuzz_write(const char *name, const void *bytes, size_t size);
/* Returns the tokenizer of the small golden model. */
const sn_tokenizer *fuzz_tokenizer(void);

#endif
