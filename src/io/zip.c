/* Reads the directory of a ZIP archive. Every number is checked against the bytes there before it is used. */
#include "io/zip.h"

#include <stdlib.h>

enum {
	LOCAL = 0x04034b50,
	CENTRAL = 0x02014b50,
	END = 0x06054b50,
	END64 = 0x06064b50,
	LOCATOR64 = 0x07064b50,
	LOCAL_SIZE = 30,
	CENTRAL_SIZE = 46,
	END_SIZE = 22,
	END64_SIZE = 56,
	LOCATOR64_SIZE = 20,
	MAX_COMMENT = 65535,
	STORED = 0,
	ENCRYPTED = 1
};

typedef struct archive {
	sn_ctx *ctx;
	const char *source;
	const uint8_t *data;
	size_t size;
	size_t directory, directory_end; /* of the central directory */
	uint64_t n;
} archive;

static sn_status damaged(const archive *a, uint64_t at, const char *what)
{
	return sn_fail(a->ctx, SN_EPARSE,
				   "%s: byte %llu: expected %s of the ZIP archive; it is damaged or its download is incomplete",
				   a->source, (unsigned long long)at, what);
}

static bool is_at(const archive *a, uint64_t at, size_t size, uint32_t signature)
{
	return a->size >= size && at <= a->size - size && sn_load_u32(a->data + at) == signature;
}

/* ---- the end records ---- */

/* The last record with a comment that reaches exactly to the end. */
static sn_status find_end(const archive *a, size_t *out)
{
	size_t last = a->size < END_SIZE ? 0 : a->size - END_SIZE, first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
	for (size_t at = last + 1; at-- > first;) {
		*out = at;
		if (is_at(a, at, END_SIZE, END) && sn_load_u16(a->data + at + 20) == last - at) return SN_OK;
	}
	return damaged(a, first, "the end record");
}

static sn_status set_directory(archive *a, uint64_t n, uint64_t size, uint64_t offset, size_t end)
{
	if (offset > end || size > end - offset) return damaged(a, offset, "the directory before the end record");
	if (n > size / CENTRAL_SIZE) return damaged(a, offset, "as many entries in the directory as its end says");
	a->directory = (size_t)offset;
	a->directory_end = (size_t)(offset + size);
	a->n = n;
	return SN_OK;
}

static sn_status find_directory(archive *a)
{
	size_t end = 0;
	SN_TRY(find_end(a, &end));
	const uint8_t *p = a->data + end;
	if (end < LOCATOR64_SIZE || !is_at(a, end - LOCATOR64_SIZE, LOCATOR64_SIZE, LOCATOR64))
		return set_directory(a, sn_load_u16(p + 10), sn_load_u32(p + 12), sn_load_u32(p + 16), end);
	uint64_t at = sn_load_u64(p - LOCATOR64_SIZE + 8);
	if (!is_at(a, at, END64_SIZE, END64)) return damaged(a, at, "the 64-bit end record");
	p = a->data + at;
	return set_directory(a, sn_load_u64(p + 32), sn_load_u64(p + 40), sn_load_u64(p + 48), (size_t)at);
}

/* ---- entries ---- */

typedef struct place {
	uint64_t size, stored, offset;
} place;

/* Replaces what is 2^32 - 1 by the 64-bit numbers of extra field 1, which holds just these, in this order. */
static bool read_extra(const uint8_t *p, size_t size, place *out)
{
	uint64_t *wide[] = { &out->size, &out->stored, &out->offset };
	while (size >= 4) {
		size_t n = sn_load_u16(p + 2);
		if (n > size - 4) return false;
		if (sn_load_u16(p) == 1) {
			const uint8_t *value = p + 4;
			for (int i = 0; i < SN_COUNT(wide); i++) {
				if (*wide[i] != UINT32_MAX) continue;
				if (value + 8 > p + 4 + n) return false;
				*wide[i] = sn_load_u64(value);
				value += 8;
			}
			return true;
		}
		p += 4 + n;
		size -= 4 + n;
	}
	return true;
}

static sn_status check_stored(const archive *a, const uint8_t *p, const sn_zip_entry *e)
{
	unsigned flags = sn_load_u16(p + 8), method = sn_load_u16(p + 10);
	if (method == STORED && !(flags & ENCRYPTED)) return SN_OK;
	return sn_fail(a->ctx, SN_EUNKNOWN,
				   "%s: entry '%.*s' of the ZIP archive is %s; expected entries as torch.save stores them; save the "
				   "model again",
				   a->source, (int)SN_MIN(e->name.size, (size_t)80), e->name.data,
				   flags & ENCRYPTED ? "encrypted" : "compressed");
}

/* The bytes begin behind the local header, whose extra fields may differ from the directory's (torch pads there). */
static sn_status find_bytes(const archive *a, const place *where, sn_zip_entry *e)
{
	if (!is_at(a, where->offset, LOCAL_SIZE, LOCAL)) return damaged(a, where->offset, "the header of an entry");
	const uint8_t *p = a->data + where->offset;
	uint64_t start = where->offset + LOCAL_SIZE + sn_load_u16(p + 26) + sn_load_u16(p + 28);
	if (start > a->directory || where->size > a->directory - start || where->stored != where->size)
		return damaged(a, where->offset, "an entry that ends before the directory");
	e->data = a->data + start;
	e->size = (size_t)where->size;
	return SN_OK;
}

static sn_status read_entry(const archive *a, size_t *at, sn_zip_entry *e)
{
	if (*at > a->directory_end || a->directory_end - *at < CENTRAL_SIZE || !is_at(a, *at, CENTRAL_SIZE, CENTRAL))
		return damaged(a, *at, "an entry of the directory");
	const uint8_t *p = a->data + *at;
	size_t name = sn_load_u16(p + 28), extra = sn_load_u16(p + 30), comment = sn_load_u16(p + 32);
	if (name + extra + comment > a->directory_end - *at - CENTRAL_SIZE)
		return damaged(a, *at, "an entry within the directory");
	e->name = (sn_slice){ (const char *)p + CENTRAL_SIZE, name };
	place where = { sn_load_u32(p + 24), sn_load_u32(p + 20), sn_load_u32(p + 42) };
	if (!read_extra(p + CENTRAL_SIZE + name, extra, &where)) return damaged(a, *at, "whole extra fields of an entry");
	*at += CENTRAL_SIZE + name + extra + comment;
	SN_TRY(check_stored(a, p, e));
	return find_bytes(a, &where, e);
}

static int compare_slices(sn_slice a, sn_slice b)
{
	int order = memcmp(a.data, b.data, SN_MIN(a.size, b.size));
	return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_entries(const void *a, const void *b)
{
	return compare_slices(((const sn_zip_entry *)a)->name, ((const sn_zip_entry *)b)->name);
}

sn_status sn_zip_read(sn_zip *out, sn_arena *arena, const char *source, const uint8_t *bytes, size_t size)
{
	archive a = { .ctx = sn_arena_ctx(arena), .source = source, .data = bytes, .size = size };
	*out = (sn_zip){ 0 };
	SN_TRY(find_directory(&a));
	SN_NEW(out->entry, arena, sn_zip_entry, a.n);
	size_t at = a.directory;
	for (uint64_t i = 0; i < a.n; i++) SN_TRY(read_entry(&a, &at, &out->entry[i]));
	out->n = (int64_t)a.n;
	qsort(out->entry, (size_t)a.n, sizeof *out->entry, compare_entries);
	for (int64_t i = 1; i < out->n; i++)
		if (compare_entries(&out->entry[i - 1], &out->entry[i]) == 0)
			return sn_fail(a.ctx, SN_EPARSE, "%s: entry '%.*s' of the ZIP archive is there twice; it is damaged",
						   source, (int)SN_MIN(out->entry[i].name.size, (size_t)80), out->entry[i].name.data);
	return SN_OK;
}

const sn_zip_entry *sn_zip_find(const sn_zip *zip, const char *name)
{
	sn_zip_entry key = { .name = { name, strlen(name) } };
	return zip->n ? bsearch(&key, zip->entry, (size_t)zip->n, sizeof key, compare_entries) : NULL;
}
