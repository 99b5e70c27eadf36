/* ZIP archives in memory, as torch.save writes them: entries stored without compression (read in place), also of more
 * than 4 GiB (ZIP64). Layout: PKWARE's APPNOTE 6.3.
 *   per entry: local header ("PK\3\4", 30 bytes), name, extra fields, bytes
 *   central directory, per entry: "PK\1\2", 46 bytes, name, extra fields (1: 64-bit sizes and offset), comment
 *   "PK\6\6" (56 bytes) and its locator "PK\6\7" (20 bytes), where there are 64-bit numbers
 *   "PK\5\6" (22 bytes), comment
 * Only the central directory says what is there. */
#ifndef SN_IO_ZIP_H
#define SN_IO_ZIP_H

#include "base/base.h"
#include "io/bytes.h"

typedef struct sn_zip_entry {
	sn_slice name;
	const uint8_t *data; /* inside the archive's bytes */
	size_t size;
} sn_zip_entry;

typedef struct sn_zip {
	sn_zip_entry *entry; /* ascending names, each once */
	int64_t n;
} sn_zip;

/* Reads the directory of an archive; the bytes must outlive *out, whose list is the arena's (less than the directory
 * takes in the file). SN_EPARSE, naming source and the byte or entry, for damage; SN_EUNKNOWN for a compressed or
 * encrypted entry. */
SN_CHECKED sn_status sn_zip_read(sn_zip *out, sn_arena *arena, const char *source, const uint8_t *bytes, size_t size);
/* Returns the entry of that name, or NULL. */
const sn_zip_entry *sn_zip_find(const sn_zip *zip, const char *name);

#endif
