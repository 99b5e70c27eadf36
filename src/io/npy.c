/* .npy: "\x93NUMPY", version (2 bytes), length of the header (u16, from 2.0 on u32), header (a Python dict literal
 * padded with spaces), numbers. */
#include "io/npy.h"

#include <string.h>

#include "io/bytes.h"

static const struct {
	const char *descr;
	sn_dtype dtype;
} types[] = {
	{ "<f4", SN_F32 }, { "<f8", SN_F64 }, { "<f2", SN_F16 }, { "<i4", SN_I32 }, { "<i8", SN_I64 }, { "|u1", SN_U8 },
};

/* The header while it is read. */
typedef struct reader {
	sn_ctx *ctx;
	const char *source, *at, *end;
	bool has_descr, has_order, has_shape;
} reader;

static sn_status bad(const reader *r, const char *expected)
{
	return sn_fail(r->ctx, SN_EPARSE, "%s: the header of the array: expected %s, found '%.*s'; the file is damaged",
				   r->source, expected, (int)SN_MIN(r->end - r->at, 20), r->at);
}

static void skip_space(reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n')) r->at++;
}

/* Advances over a word, and spaces before it, if it stands there. */
static bool take(reader *r, const char *word)
{
	skip_space(r);
	size_t n = strlen(word);
	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
	r->at += n;
	return true;
}

static sn_status read_type(reader *r, sn_npy *out)
{
	r->has_descr = true;
	for (int i = 0; i < SN_COUNT(types); i++) {
		char quoted[8];
		sn_format(quoted, sizeof quoted, "'%s'", types[i].descr);
		if (!take(r, quoted)) continue;
		out->dtype = types[i].dtype;
		return SN_OK;
	}
	return sn_fail(r->ctx, SN_EUNKNOWN,
				   "%s: the header of the array: expected the type f4, f8, f2, i4, i8 or u1, found %.*s; save "
				   "it with astype(\"float32\")",
				   r->source, (int)SN_MIN(r->end - r->at, 20), r->at);
}

static sn_status read_order(reader *r)
{
	r->has_order = true;
	if (take(r, "False")) return SN_OK;
	if (!take(r, "True")) return bad(r, "True or False");
	return sn_fail(r->ctx, SN_EUNKNOWN,
				   "%s: the array is stored by columns (fortran_order); save it with numpy.ascontiguousarray",
				   r->source);
}

static bool take_size(reader *r, int64_t *out)
{
	skip_space(r);
	const char *start = r->at;
	for (*out = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
		if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *r->at - '0', out)) return false;
	return r->at > start;
}

static sn_status read_shape(reader *r, sn_npy *out)
{
	r->has_shape = true;
	out->ndim = 0;
	out->count = 1;
	if (!take(r, "(")) return bad(r, "a shape");
	while (!take(r, ")")) {
		if (out->ndim == SN_NPY_NDIM) return bad(r, "at most 8 dimensions");
		int64_t *n = &out->dim[out->ndim++];
		if (!take_size(r, n) || __builtin_mul_overflow(out->count, *n, &out->count))
			return bad(r, "a size that memory can hold");
		if (!take(r, ",") && (r->at >= r->end || *r->at != ')')) return bad(r, "',' or ')'");
	}
	return SN_OK;
}

static sn_status read_header(reader *r, sn_npy *out)
{
	if (!take(r, "{")) return bad(r, "'{'");
	while (!take(r, "}")) {
		if (take(r, "'descr':"))
			SN_TRY(read_type(r, out));
		else if (take(r, "'fortran_order':"))
			SN_TRY(read_order(r));
		else if (take(r, "'shape':"))
			SN_TRY(read_shape(r, out));
		else
			return bad(r, "'descr', 'fortran_order' or 'shape'");
		(void)take(r, ",");
	}
	return r->has_descr && r->has_order && r->has_shape ? SN_OK : bad(r, "all of 'descr', 'fortran_order' and 'shape'");
}

sn_status sn_npy_open_bytes(sn_npy *out, sn_ctx *ctx, const char *source, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	*out = (sn_npy){ 0 };
	if (size < 12 || memcmp(p, "\x93NUMPY", 6) != 0 || p[6] < 1 || p[6] > 3)
		return sn_fail(ctx, SN_EPARSE,
					   "%s: byte 0: expected \"\\x93NUMPY\" and a version from 1 to 3; this is no .npy file", source);
	size_t start = p[6] == 1 ? 10 : 12, length = p[6] == 1 ? sn_load_u16(p + 8) : sn_load_u32(p + 8);
	if (length > size - start)
		return sn_fail(ctx, SN_EPARSE,
					   "%s: byte 8: expected a header of at most %zu bytes, found %zu; the download is incomplete",
					   source, size - start, length);
	reader r = { .ctx = ctx, .source = source, .at = (const char *)p + start, .end = (const char *)p + start + length };
	SN_TRY(read_header(&r, out));
	uint64_t need, found = size - start - length;
	if (__builtin_mul_overflow((uint64_t)out->count, sn_dtype_size(out->dtype), &need) || need != found)
		return sn_fail(ctx, SN_EPARSE, "%s: expected %lld numbers of %zu bytes, found %llu bytes; the file is damaged",
					   source, (long long)out->count, sn_dtype_size(out->dtype), (unsigned long long)found);
	out->data = p + start + length;
	return SN_OK;
}

sn_status sn_npy_open(sn_npy *out, sn_ctx *ctx, const char *path)
{
	sn_map_file map;
	*out = (sn_npy){ 0 };
	SN_TRY(sn_map_open(&map, ctx, path));
	sn_status status = sn_npy_open_bytes(out, ctx, path, map.data, map.size);
	if (status == SN_OK)
		out->map = map;
	else
		sn_map_close(ctx, &map);
	return status;
}

void sn_npy_close(sn_ctx *ctx, sn_npy *array)
{
	sn_map_close(ctx, &array->map);
	*array = (sn_npy){ 0 };
}

static sn_status write_all(sn_file *file, const char *header, size_t n, const void *data, size_t size)
{
	uint8_t head[10] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)n, (uint8_t)(n >> 8) };
	SN_TRY(sn_file_write(file, head, sizeof head));
	SN_TRY(sn_file_write(file, header, n));
	SN_TRY(sn_file_write(file, data, size));
	return sn_file_commit(file);
}

/* The header, so padded that the numbers begin at a multiple of 64. */
static void format_header(sn_buf *buf, const char *descr, int ndim, const int64_t *dim)
{
	sn_buf_format(buf, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
	for (int i = 0; i < ndim; i++) sn_buf_format(buf, i ? ", %lld" : "%lld", (long long)dim[i]);
	sn_buf_puts(buf, ndim == 1 ? ",), }" : "), }");
	while (!buf->failed && (10 + buf->size + 1) % 64) sn_buf_puts(buf, " ");
	sn_buf_puts(buf, "\n");
}

sn_status sn_npy_write(sn_ctx *ctx, const char *path, sn_dtype dtype, int ndim, const int64_t *dim, const void *data)
{
	const char *descr = NULL;
	for (int i = 0; i < SN_COUNT(types); i++)
		if (types[i].dtype == dtype) descr = types[i].descr;
	if (!descr || ndim < 0 || ndim > SN_NPY_NDIM)
		return sn_fail(ctx, SN_EARG, "%s: expected a type that NumPy has and at most %d dimensions", path, SN_NPY_NDIM);
	size_t size = sn_dtype_size(dtype);
	for (int i = 0; i < ndim; i++) size = sn_size3(size, (size_t)dim[i], 1);
	sn_buf header = { .ctx = ctx };
	format_header(&header, descr, ndim, dim);
	sn_file *file = NULL;
	sn_status status = header.failed ? SN_ENOMEM : sn_file_create(&file, ctx, path);
	if (status == SN_OK) status = write_all(file, header.data, header.size, data, size);
	sn_file_close(file);
	sn_buf_free(&header);
	return status;
}
