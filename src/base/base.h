/* The ground floor: contexts, errors, memory, numbers as text, random draws, hashes, files. Knows nothing of models. */
#ifndef SN_BASE_H
#define SN_BASE_H

#include "sonde.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- errors ---- */

/* Sets the context's error text (one line) and returns status, so that `return sn_fail(ctx, SN_EPARSE, ...)` reads
 * well. */
sn_status sn_fail(sn_ctx *ctx, sn_status status, const char *format, ...) SN_PRINTF(3, 4);

/* Returns from the calling function when expr fails. */
#define SN_TRY(expr)                                                                                                   \
	do {                                                                                                               \
		sn_status sn_try_status = (expr);                                                                              \
		if (sn_try_status != SN_OK) return sn_try_status;                                                              \
	} while (0)

/* For our own bugs only, on in release: a wrong number is worse than a stop. Never for user input. */
#define SN_ASSERT(cond) ((cond) ? (void)0 : sn_assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void sn_assert_failed(const char *cond, const char *file, int line);

#define SN_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define SN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SN_MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- context ---- */

/* Returns SN_ECANCEL (with its text) if sn_cancel was called; call between steps of long work. */
SN_CHECKED sn_status sn_poll(sn_ctx *ctx);
/* Reports progress to the context's callback, if any. */
void sn_progress(sn_ctx *ctx, const char *what, int64_t done, int64_t total);
/* A line for the user. */
void sn_note(sn_ctx *ctx, const char *format, ...) SN_PRINTF(2, 3);
/* Shows a piece of a text that is being written, if someone watches. */
void sn_stream(sn_ctx *ctx, const char *text);
sn_precision sn_ctx_precision(const sn_ctx *ctx);
int64_t sn_ctx_tokens_per_step(const sn_ctx *ctx);
/* Returns the bytes that models and their runs may take. */
int64_t sn_ctx_memory(const sn_ctx *ctx);
/* Returns the bytes that this process may still take: what the system says is available, less where a control group
 * allows less. 1 GiB where neither is known. */
int64_t sn_memory_free(void);

/* ---- memory ---- */

/* Returns zeroed 64-byte aligned memory from the context's allocator, or NULL with SN_ENOMEM set; free with sn_free. */
void *sn_alloc(sn_ctx *ctx, size_t size);
/* The same, not zeroed: for large blocks that are written whole. */
void *sn_alloc_raw(sn_ctx *ctx, size_t size);
void sn_free(sn_ctx *ctx, void *p);
/* Returns a * b * c, or SIZE_MAX (which no allocation grants) when it overflows. */
size_t sn_size3(size_t a, size_t b, size_t c);

/* n objects of a type from an arena; NULL when memory is short. n may be 0. */
#define SN_TAKE(arena, type, n) ((type *)sn_arena_take(arena, sn_size3(sizeof(type), (size_t)(n), 1)))
/* Assigns lhs from an arena, returning SN_ENOMEM from the calling function when memory is short. */
#define SN_NEW(lhs, arena, type, n)                                                                                    \
	do {                                                                                                               \
		(lhs) = SN_TAKE(arena, type, n);                                                                               \
		if (!(lhs)) return SN_ENOMEM;                                                                                  \
	} while (0)

/* A point to return to: everything taken after the mark is given back by the reset. */
typedef struct sn_mark { void *block; size_t used; } sn_mark;
enum { SN_ARENA_GRAIN = 64 };   /* sizes are rounded up to it */
sn_mark sn_arena_mark(const sn_arena *arena);
void sn_arena_reset(sn_arena *arena, sn_mark mark);
sn_ctx *sn_arena_ctx(const sn_arena *arena);
/* Makes room for size bytes in one piece, so that what is taken next asks the system for no more. SN_ENOMEM. */
SN_CHECKED sn_status sn_arena_reserve(sn_arena *arena, size_t size);
/* Returns the bytes beyond which large arrays belong into files: a quarter of the context's memory, at most 1 GiB. */
size_t sn_ctx_array_memory(const sn_ctx *ctx);
/* Opens an arena for large arrays of size bytes in all. Where that is more than sn_ctx_array_memory, it is paged:
 * arrays of 1 MiB and more are mapped from nameless files in TMPDIR,
 * and whoever goes through one says what it has done with. */
SN_CHECKED sn_status sn_arena_open_for(sn_arena **out, sn_ctx *ctx, size_t size);
/* Bytes [p, p + size) of an array are not needed for now: those that are paged leave the process, and come back as
 * they are when they are read. Nothing happens to others. arena NULL is allowed; any thread, while nothing is taken. */
void sn_arena_done(const sn_arena *arena, const void *p, size_t size);
/* Returns the bytes of memory that the arena holds, used or not, without what is mapped from files. */
size_t sn_arena_bytes(const sn_arena *arena);
/* Returns a NUL-terminated copy of size bytes (or of a whole string), or NULL. */
char *sn_arena_copy(sn_arena *arena, const char *text, size_t size);
char *sn_arena_string(sn_arena *arena, const char *text);
/* Returns formatted text from the arena (in the C locale), or NULL. */
char *sn_arena_format(sn_arena *arena, const char *format, ...) SN_PRINTF(2, 3);

/* ---- growing bytes ---- */

/* A growing byte string. Zero-initialise with ctx set; sn_buf_free at the end. After a failed append every later one
 * fails too, so one check at the end is enough. data is NUL-terminated. */
typedef struct sn_buf { sn_ctx *ctx; char *data; size_t size, room; bool failed; } sn_buf;
void sn_buf_add(sn_buf *buf, const void *bytes, size_t size);
void sn_buf_puts(sn_buf *buf, const char *text);
void sn_buf_format(sn_buf *buf, const char *format, ...) SN_PRINTF(2, 3);
void sn_buf_free(sn_buf *buf);

/* ---- numbers as text, independent of the locale ---- */

/* Parse the whole of text; false if anything else stands there or it is out of range. */
bool sn_parse_i64(const char *text, int64_t *out);
bool sn_parse_f64(const char *text, double *out);
/* A number of bytes: 4096, 512M, 1.5G; K, M, G, T are powers of 1,024. */
bool sn_parse_size(const char *text, int64_t *out);
/* vsnprintf in the C locale. */
int sn_vformat(char *buf, size_t size, const char *format, va_list args);
int sn_format(char *buf, size_t size, const char *format, ...) SN_PRINTF(3, 4);

/* ---- text ---- */

/* Returns true if text ends with suffix. */
bool sn_ends_with(const char *text, const char *suffix);
/* Returns the byte offset of the first invalid UTF-8 byte, or -1 if all is valid (overlong forms and surrogates are
 * not). */
int64_t sn_utf8_check(const char *text, size_t size);
/* Decodes one code point of valid UTF-8 at *pos and advances. */
uint32_t sn_utf8_next(const char *text, size_t size, size_t *pos);
/* Writes a code point (1-4 bytes) into out; returns its length. */
int sn_utf8_put(uint32_t code, char out[4]);

/* ---- random draws: counter-based, no state shared between threads ---- */

/* Returns 64 uniform bits for (seed, key, counter): a pure function, so order and threads change nothing. */
uint64_t sn_rng_bits(uint64_t seed, uint64_t key, uint64_t counter);
/* A stream of draws keyed by (seed, key). */
typedef struct sn_rng { uint64_t seed, key, counter; } sn_rng;
sn_rng sn_rng_make(uint64_t seed, uint64_t key);
uint64_t sn_rng_next(sn_rng *rng);
/* Returns a uniform integer in [0, n), unbiased; n > 0. */
uint64_t sn_rng_below(sn_rng *rng, uint64_t n);
/* Returns a uniform number in [0, 1). */
double sn_rng_uniform(sn_rng *rng);
/* Returns a standard normal draw (Box-Muller; two counters a draw). */
double sn_rng_normal(sn_rng *rng);
/* Puts 0 .. n - 1 into perm in random order (Fisher-Yates). */
void sn_rng_permute(sn_rng *rng, int64_t *perm, int64_t n);

/* ---- hashes ---- */

/* SHA-256: writes 64 hex digits and a NUL. */
SN_CHECKED sn_status sn_hash_bytes(sn_ctx *ctx, const void *bytes, size_t size, char hex[65]);
SN_CHECKED sn_status sn_hash_file(sn_ctx *ctx, const char *path, char hex[65]);
/* SHA-1 of a file as git names it (over "blob SIZE\0" and the bytes): writes 40 hex digits and a NUL. */
SN_CHECKED sn_status sn_hash_git_blob(sn_ctx *ctx, const char *path, char hex[65]);
uint64_t sn_fnv1a(uint64_t hash, const void *bytes, size_t size);   /* start with SN_FNV_START */
#define SN_FNV_START 0xcbf29ce484222325u

/* ---- files ---- */

/* Fails with errno's text: "PATH: cannot WHAT: …"; SN_EDISK where no space is left, otherwise SN_EIO. */
sn_status sn_fail_errno(sn_ctx *ctx, const char *path, const char *what);

/* A file mapped for reading. */
typedef struct sn_map_file { const uint8_t *data; size_t size; char *path; } sn_map_file;
/* SN_EIO says why it cannot be read; directories and empty files are refused. */
SN_CHECKED sn_status sn_map_open(sn_map_file *out, sn_ctx *ctx, const char *path);
void sn_map_close(sn_ctx *ctx, sn_map_file *map);
/* Reads a whole file ("-": standard input) into the arena, NUL-terminated; at most limit bytes (SN_EPARSE beyond). */
SN_CHECKED sn_status sn_read_file(sn_ctx *ctx, const char *path, size_t limit, sn_arena *arena, char **data,
                                  size_t *size);

/* A file written under a temporary name and renamed into place by sn_file_commit; closing without a commit removes it.
 * A full disk is SN_EDISK. Also opened for reading by sn_file_open_read. */
SN_CHECKED sn_status sn_file_create(sn_file **out, sn_ctx *ctx, const char *path);
SN_CHECKED sn_status sn_file_open_read(sn_file **out, sn_ctx *ctx, const char *path);
/* A nameless file beside path, for writing and reading back (seek in between); gone when closed. */
SN_CHECKED sn_status sn_file_scratch(sn_file **out, sn_ctx *ctx, const char *path);
/* A file written as `partial` and renamed to path by the commit; without one it stays. keep: what it holds already is
 * left there, to be written over. */
SN_CHECKED sn_status sn_file_resume(sn_file **out, sn_ctx *ctx, const char *path, const char *partial, bool keep);
/* Hands what was written to the system, so that it outlives the process; to_disk: so that it outlives the machine. */
SN_CHECKED sn_status sn_file_sync(sn_file *file, bool to_disk);
SN_CHECKED sn_status sn_file_write(sn_file *file, const void *bytes, size_t size);
SN_CHECKED sn_status sn_file_read(sn_file *file, void *bytes, size_t size);
SN_CHECKED sn_status sn_file_seek(sn_file *file, uint64_t offset);
SN_CHECKED sn_status sn_file_commit(sn_file *file);
void sn_file_close(sn_file *file);
/* Writes a whole file atomically. */
SN_CHECKED sn_status sn_write_file(sn_ctx *ctx, const char *path, const void *bytes, size_t size);

#endif
