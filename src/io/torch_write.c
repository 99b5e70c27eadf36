/* The ZIP file: for each entry a local header and its bytes, then the central directory and its end (PKWARE's
 * APPNOTE 6.3, without compression). The pickle: protocol 2, as torch.save writes a state dictionary. */
#include "io/torch_write.h"

#include <string.h>

enum { LOCAL = 30, CENTRAL = 46, MOST_ENTRIES = 4096 };

typedef struct entry { char name[40]; uint32_t crc, size, offset; } entry;

typedef struct writer {
	sn_ctx *ctx;
	sn_file *file;
	uint64_t at;
	entry *entry;
	int n;
	uint32_t table[256];
} writer;

/* ---- ZIP ---- */

/* The polynomial 0xedb88320, bit by bit for each byte. */
static void make_table(uint32_t *table)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[i] = c;
	}
}

static uint32_t crc_of(const uint32_t *table, const void *bytes, size_t size)
{
	const uint8_t *b = bytes;
	uint32_t c = UINT32_MAX;
	for (size_t i = 0; i < size; i++) c = table[(c ^ b[i]) & 0xff] ^ c >> 8;
	return ~c;
}

static void put(uint8_t *at, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static sn_status write_bytes(writer *w, const void *bytes, size_t size)
{
	w->at += size;
	return sn_file_write(w->file, bytes, size);
}

/* What the local header and the directory have in common, 26 bytes. */
static void put_common(uint8_t *at, const entry *e)
{
	put(at, 20, 2);              /* version needed; flags, method, time 0 */
	put(at + 8, 0x21, 2);        /* date: 1 January 1980 */
	put(at + 10, e->crc, 4);
	put(at + 14, e->size, 4);
	put(at + 18, e->size, 4);
	put(at + 22, (uint32_t)strlen(e->name), 2);
}

static sn_status add_entry(writer *w, const char *name, const void *bytes, size_t size)
{
	entry *e = &w->entry[w->n++];
	uint8_t header[LOCAL] = { 'P', 'K', 3, 4 };
	if (w->at + size + LOCAL > UINT32_MAX)
		return sn_fail(w->ctx, SN_EARG, "a PyTorch file of this form holds at most 4 GiB");
	sn_format(e->name, sizeof e->name, "params/%s", name);
	e->crc = crc_of(w->table, bytes, size);
	e->size = (uint32_t)size;
	e->offset = (uint32_t)w->at;
	put_common(header + 4, e);
	SN_TRY(write_bytes(w, header, LOCAL));
	SN_TRY(write_bytes(w, e->name, strlen(e->name)));
	return write_bytes(w, bytes, size);
}

static sn_status add_directory(writer *w)
{
	uint64_t start = w->at;
	uint8_t end[22] = { 'P', 'K', 5, 6 };
	for (int i = 0; i < w->n; i++) {
		uint8_t header[CENTRAL] = { 'P', 'K', 1, 2, 20 };
		put_common(header + 6, &w->entry[i]);
		put(header + 42, w->entry[i].offset, 4);
		SN_TRY(write_bytes(w, header, CENTRAL));
		SN_TRY(write_bytes(w, w->entry[i].name, strlen(w->entry[i].name)));
	}
	put(end + 8, (uint32_t)w->n, 2);
	put(end + 10, (uint32_t)w->n, 2);
	put(end + 12, (uint32_t)(w->at - start), 4);
	put(end + 16, (uint32_t)start, 4);
	return write_bytes(w, end, sizeof end);
}

/* ---- the pickle ---- */

static void text(sn_buf *b, const char *s)
{
	uint8_t head[5] = { 'X' };
	put(head + 1, (uint32_t)strlen(s), 4);
	sn_buf_add(b, head, sizeof head);
	sn_buf_puts(b, s);
}

static void number(sn_buf *b, int64_t value)
{
	uint8_t all[5] = { 'J' };
	put(all + 1, (uint32_t)value, 4);
	sn_buf_add(b, all, sizeof all);
}

static void numbers(sn_buf *b, const int64_t *value, int n)
{
	sn_buf_puts(b, "(");
	for (int i = 0; i < n; i++) number(b, value[i]);
	sn_buf_puts(b, "t");
}

/* torch._utils._rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict()) */
static void pickle_tensor(sn_buf *b, const sn_torch_tensor *t, int index, int64_t count)
{
	char key[16];
	int64_t stride[4] = { 1, 1, 1, 1 };
	for (int i = t->ndim - 2; i >= 0; i--) stride[i] = stride[i + 1] * t->dim[i + 1];
	sn_format(key, sizeof key, "%d", index);
	text(b, t->name);
	sn_buf_puts(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
	text(b, "storage");
	sn_buf_puts(b, "ctorch\nFloatStorage\n");
	text(b, key);
	text(b, "cpu");
	number(b, count);
	sn_buf_puts(b, "tQ");
	number(b, 0);
	numbers(b, t->dim, t->ndim);
	numbers(b, stride, t->ndim);
	sn_buf_add(b, "\x89", 1);
	sn_buf_puts(b, "ccollections\nOrderedDict\n)RtR");
}

static int64_t count_of(const sn_torch_tensor *t)
{
	int64_t count = 1;
	for (int i = 0; i < t->ndim; i++) count *= t->dim[i];
	return count;
}

static sn_status write_all(writer *w, const sn_torch_tensor *tensor, int n)
{
	sn_buf pickle = { .ctx = w->ctx };
	sn_buf_add(&pickle, "\x80\x02}(", 4);
	for (int i = 0; i < n; i++) pickle_tensor(&pickle, &tensor[i], i, count_of(&tensor[i]));
	sn_buf_puts(&pickle, "u.");
	sn_status status = pickle.failed ? SN_ENOMEM : add_entry(w, "data.pkl", pickle.data, pickle.size);
	sn_buf_free(&pickle);
	if (status == SN_OK) status = add_entry(w, "byteorder", "little", 6);
	for (int i = 0; i < n && status == SN_OK; i++) {
		char name[24];
		sn_format(name, sizeof name, "data/%d", i);
		status = add_entry(w, name, tensor[i].x, (size_t)count_of(&tensor[i]) * sizeof(float));
	}
	if (status == SN_OK) status = add_entry(w, "version", "3\n", 2);
	return status == SN_OK ? add_directory(w) : status;
}

sn_status sn_torch_write(sn_ctx *ctx, const char *path, const sn_torch_tensor *tensor, int n)
{
	writer w = { .ctx = ctx };
	if (n < 1 || n > MOST_ENTRIES) return sn_fail(ctx, SN_EARG, "%s: %d tensors in one file", path, n);
	make_table(w.table);
	w.entry = sn_alloc(ctx, sn_size3((size_t)n + 3, sizeof *w.entry, 1));
	if (!w.entry) return SN_ENOMEM;
	sn_status status = sn_file_create(&w.file, ctx, path);
	if (status == SN_OK) {
		status = write_all(&w, tensor, n);
		if (status == SN_OK) status = sn_file_commit(w.file);
		sn_file_close(w.file);
	}
	sn_free(ctx, w.entry);
	return status;
}
