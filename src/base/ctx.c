/* Contexts: options, the last error, cancellation, progress and the allocator. */
#define _GNU_SOURCE   /* madvise */
#include "base/ctx.h"

#include <stdlib.h>
#include <string.h>

#include <omp.h>
#include <sys/mman.h>

const char *sn_version(void) { return SN_VERSION; }

const char *sn_status_text(sn_status status)
{
	static const char *const text[] = {
#define SN_STATUS_TEXT(code, exit_code, words) words,
		SN_STATUS_MAP(SN_STATUS_TEXT)
	};
	return (unsigned)status < SN_STATUS_COUNT ? text[status] : "unknown status";
}

int sn_status_exit_code(sn_status status)
{
	static const int code[] = {
#define SN_STATUS_EXIT(name, exit_code, words) exit_code,
		SN_STATUS_MAP(SN_STATUS_EXIT)
	};
	return (unsigned)status < SN_STATUS_COUNT ? code[status] : 1;
}

static void *default_alloc(void *payload, size_t size)
{
	enum { HUGE_PAGE = 2 << 20, MANY = 8 << 20 };
	(void)payload;
	if (size < MANY || size > PTRDIFF_MAX - HUGE_PAGE) return aligned_alloc(64, size);
	void *p = aligned_alloc(HUGE_PAGE, (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	if (p) (void)madvise(p, size, MADV_HUGEPAGE);   /* activations are written once and given back: faults cost more */
	return p;
}

static void default_dealloc(void *payload, void *p)
{
	(void)payload;
	free(p);
}

static void fill_defaults(sn_options *o)
{
	if (o->threads <= 0) o->threads = omp_get_num_procs();
	if (o->tokens_per_step <= 0) o->tokens_per_step = 1024;
	if (o->memory <= 0) o->memory = sn_memory_free() / 5 * 3;
	if (o->team.n < 1) o->team = (sn_team){ .n = 1 };
	if (!o->alloc || !o->dealloc) {
		o->alloc = default_alloc;
		o->dealloc = default_dealloc;
	}
}

sn_status sn_ctx_open(sn_ctx **out, const sn_options *options)
{
	*out = NULL;
	if (options && options->size != sizeof *options) return SN_EARG;
	sn_options o = options ? *options : (sn_options){ .size = sizeof o };
	if (o.tokens_per_step < 0 || o.memory < 0 || o.threads > 4096 || o.precision > SN_BF16_PRECISION) return SN_EARG;
	if (o.team.n > 1 && (o.team.rank < 0 || o.team.rank >= o.team.n || !o.team.exchange)) return SN_EARG;
	fill_defaults(&o);
	sn_ctx *ctx = o.alloc(o.alloc_payload, (sizeof *ctx + 63) / 64 * 64);
	if (!ctx) return SN_ENOMEM;
	memset(ctx, 0, sizeof *ctx);
	ctx->options = o;
	*out = ctx;
	return SN_OK;
}

void sn_ctx_close(sn_ctx *ctx)
{
	if (!ctx) return;
	sn_checkpoint_close(ctx);
	ctx->options.dealloc(ctx->options.alloc_payload, ctx);
}

const char *sn_error(const sn_ctx *ctx) { return ctx->error; }
void sn_cancel(sn_ctx *ctx) { ctx->cancelled = 1; }
uint64_t sn_ctx_seed(const sn_ctx *ctx) { return ctx->options.seed; }
int sn_ctx_threads(const sn_ctx *ctx) { return ctx->options.threads; }
sn_precision sn_ctx_precision(const sn_ctx *ctx) { return ctx->options.precision; }
int64_t sn_ctx_tokens_per_step(const sn_ctx *ctx) { return ctx->options.tokens_per_step; }
int64_t sn_ctx_memory(const sn_ctx *ctx) { return ctx->options.memory; }

sn_status sn_poll(sn_ctx *ctx)
{
	if (!ctx->cancelled) return SN_OK;
	return sn_fail(ctx, SN_ECANCEL, "cancelled");
}

void sn_progress(sn_ctx *ctx, const char *what, int64_t done, int64_t total)
{
	if (ctx->options.progress) ctx->options.progress(ctx->options.payload, what, done, total);
}

void sn_stream(sn_ctx *ctx, const char *text)
{
	if (ctx->options.stream) ctx->options.stream(ctx->options.payload, text);
}

void sn_note(sn_ctx *ctx, const char *format, ...)
{
	if (!ctx->options.note) return;
	char text[1024];
	va_list args;
	va_start(args, format);
	sn_vformat(text, sizeof text, format, args);
	va_end(args);
	ctx->options.note(ctx->options.payload, text);
}

static void keep_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ') *text = ' ';
}

sn_status sn_fail(sn_ctx *ctx, sn_status status, const char *format, ...)
{
	char text[sizeof ctx->error];   /* the arguments may point into the old text */
	va_list args;
	va_start(args, format);
	sn_vformat(text, sizeof text, format, args);
	va_end(args);
	keep_one_line(text);
	memcpy(ctx->error, text, sizeof text);
	return status;
}

_Noreturn void sn_assert_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "sonde: internal error at %s:%d: %s\n", file, line, cond);
	abort();
}

size_t sn_size3(size_t a, size_t b, size_t c)
{
	size_t ab, abc;
	if (__builtin_mul_overflow(a, b, &ab) || __builtin_mul_overflow(ab, c, &abc)) return SIZE_MAX;
	return abc;
}

static size_t room_for(size_t size) { return size == 0 ? 64 : (size + 63) / 64 * 64; }

void *sn_alloc_raw(sn_ctx *ctx, size_t size)
{
	void *p = size < PTRDIFF_MAX - 64 ? ctx->options.alloc(ctx->options.alloc_payload, room_for(size)) : NULL;
	if (!p)
		(void)sn_fail(ctx, SN_ENOMEM, "out of memory: %zu bytes asked for; close other programs or ask for less work",
		              size);
	return p;
}

void *sn_alloc(sn_ctx *ctx, size_t size)
{
	void *p = sn_alloc_raw(ctx, size);
	if (p) memset(p, 0, room_for(size));
	return p;
}

void sn_free(sn_ctx *ctx, void *p)
{
	if (p) ctx->options.dealloc(ctx->options.alloc_payload, p);
}
