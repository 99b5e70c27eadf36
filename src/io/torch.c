/* What torch.save writes since PyTorch 1.6: a ZIP archive with NAME/data.pkl, the state dictionary, and NAME/data/KEY,
 * the bytes of a storage, each at a multiple of 64 bytes. */
#include "io/torch.h"

#include "io/zip.h"

typedef struct archive {
	sn_zip zip;
	sn_slice prefix; /* "NAME/" */
} archive;

/* Returns the entry "NAME/" folder key, or NULL. */
static const sn_zip_entry *find_entry(const archive *a, const char *folder, sn_slice key)
{
	char name[1024];
	size_t n = strlen(folder);
	if (a->prefix.size + n + key.size >= sizeof name || memchr(key.data, 0, key.size)) return NULL;
	memcpy(name, a->prefix.data, a->prefix.size);
	memcpy(name + a->prefix.size, folder, n);
	memcpy(name + a->prefix.size + n, key.data, key.size);
	name[a->prefix.size + n + key.size] = '\0';
	return sn_zip_find(&a->zip, name);
}

static bool find_storage(void *arg, sn_slice key, const uint8_t **data, size_t *size)
{
	const sn_zip_entry *e = find_entry(arg, "data/", key);
	if (!e) return false;
	*data = e->data;
	*size = e->size;
	return true;
}

/* The only folder of the archive is named after the file that torch.save was given. */
static const sn_zip_entry *find_pickle(archive *a)
{
	static const char name[] = "data.pkl";
	const size_t n = sizeof name - 1;
	for (int64_t i = 0; i < a->zip.n; i++) {
		sn_slice s = a->zip.entry[i].name;
		if (s.size <= n || s.data[s.size - n - 1] != '/' || memcmp(s.data + s.size - n, name, n) != 0) continue;
		if (memchr(s.data, '/', s.size - n - 1)) continue;
		a->prefix = (sn_slice){ s.data, s.size - n };
		return &a->zip.entry[i];
	}
	return NULL;
}

static sn_status check_byte_order(const archive *a, const sn_tensor_file *file, const char *source)
{
	const sn_zip_entry *e = find_entry(a, "byteorder", (sn_slice){ "", 0 });
	if (!e || (e->size == 6 && memcmp(e->data, "little", 6) == 0)) return SN_OK;
	return sn_fail(file->ctx, SN_EUNKNOWN,
				   "%s: expected little-endian numbers, found '%.*s'; save the model again on a "
				   "little-endian machine",
				   source, (int)SN_MIN(e->size, (size_t)20), (const char *)e->data);
}

static sn_status read_archive(sn_tensor_file *file, sn_arena *arena, const char *source, const uint8_t *bytes,
							  size_t size)
{
	archive a = { 0 };
	sn_pickle state;
	SN_TRY(sn_zip_read(&a.zip, arena, source, bytes, size));
	const sn_zip_entry *pickle = find_pickle(&a);
	if (!pickle)
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: a ZIP archive, but not one of torch.save: expected an entry NAME/data.pkl, found none",
					   source);
	SN_TRY(check_byte_order(&a, file, source));
	SN_TRY(sn_torch_pickle(&state, file, arena, source, (size_t)(pickle->data - bytes), pickle->data, pickle->size));
	return sn_torch_state(file, source, state.root, find_storage, &a);
}

sn_status sn_torch_read(sn_tensor_file *file, const char *source, const uint8_t *bytes, size_t size)
{
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, file->ctx));
	sn_status status = read_archive(file, scratch, source, bytes, size);
	sn_arena_close(scratch);
	return status;
}
