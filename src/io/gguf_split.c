/* Models in several GGUF files: the first holds all keys, each holds some tensors and says which part it is
 * (split.no, split.count; the total, split.tensors.count). */
#include "io/gguf_file.h"

enum { DIGITS = 5, SUFFIX = 5 /* ".gguf" */, TAIL = 1 + DIGITS + 4 + DIGITS + SUFFIX };

/* The number that the digits say; -1 if one is none. */
static int64_t number_of(const char *digit)
{
	int64_t n = 0;
	for (int i = 0; i < DIGITS; i++) {
		if (digit[i] < '0' || digit[i] > '9') return -1;
		n = 10 * n + (digit[i] - '0');
	}
	return n;
}

/* Whether the name ends in "-NO-of-COUNT.gguf", no counting from 1. */
static bool read_name(const char *path, int64_t *no, int64_t *count)
{
	size_t n = strlen(path);
	if (n < TAIL || !sn_ends_with(path, ".gguf")) return false;
	const char *tail = path + n - TAIL;
	if (tail[0] != '-' || memcmp(tail + 1 + DIGITS, "-of-", 4) != 0) return false;
	*no = number_of(tail + 1);
	*count = number_of(tail + 1 + DIGITS + 4);
	return *no >= 1 && *count >= *no;
}

static const char *part_path(sn_arena *arena, const char *path, int64_t no, int64_t count)
{
	return sn_arena_format(arena, "%.*s-%05lld-of-%05lld.gguf", (int)(strlen(path) - TAIL), path, (long long)no,
						   (long long)count);
}

/* The file's own name says which part it is. */
static sn_status check_name(const sn_gguf *file, int64_t no, int64_t count)
{
	int64_t name_no, name_count;
	if (read_name(file->source, &name_no, &name_count) && name_no == no + 1 && name_count == count) return SN_OK;
	return sn_fail(file->ctx, SN_EPARSE,
				   "%s: the file is part %lld of a model in %lld files, so its name must end in "
				   "-%05lld-of-%05lld.gguf; give the files their names back",
				   file->source, (long long)no + 1, (long long)count, (long long)no + 1, (long long)count);
}

static sn_status check_part(const sn_gguf *part, int64_t no, int64_t count)
{
	int64_t found, total;
	SN_TRY(sn_gguf_i64(part, "split.no", &found));
	SN_TRY(sn_gguf_i64(part, "split.count", &total));
	if (found == no && total == count) return SN_OK;
	return sn_fail(part->ctx, SN_EPARSE,
				   "%s: expected split.no %lld and split.count %lld, found %lld and %lld; the file belongs to another "
				   "model or has a wrong name",
				   part->source, (long long)no, (long long)count, (long long)found, (long long)total);
}

/* Opens the other parts behind file, in their order; *first is the first of all. */
static sn_status open_others(sn_gguf *file, int64_t own, int64_t count, sn_gguf **first)
{
	sn_gguf **next = &file->next;
	*first = file;
	for (int64_t no = 0; no < count; no++) {
		if (no == own) continue;
		const char *path = part_path(file->arena, file->source, no + 1, count);
		if (!path) return SN_ENOMEM;
		SN_TRY(sn_gguf_open_part(next, file->ctx, path));
		SN_TRY(check_part(*next, no, count));
		if (no == 0) *first = *next;
		next = &(*next)->next;
	}
	return SN_OK;
}

/* Gives file the tensors of all parts, and the keys and the name of the first. */
static sn_status join(sn_gguf *file, const sn_gguf *first, int64_t count)
{
	int64_t n = 0, at = 0, expected;
	sn_gguf_tensor *all;
	for (const sn_gguf *part = file; part; part = part->next) n += part->n_tensor;
	SN_TRY(sn_gguf_i64_or(first, "split.tensors.count", n, &expected));
	if (n != expected)
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: expected %lld tensors in its %lld files, found %lld; fetch them again", first->source,
					   (long long)expected, (long long)count, (long long)n);
	SN_NEW(all, file->arena, sn_gguf_tensor, n);
	for (const sn_gguf *part = file; part; part = part->next) {
		if (part->n_tensor) memcpy(all + at, part->tensor, (size_t)part->n_tensor * sizeof *all);
		at += part->n_tensor;
	}
	file->tensor = all;
	file->n_tensor = n;
	file->key = first->key;
	file->n_key = first->n_key;
	file->source = first->source;
	return sn_gguf_sort_tensors(file);
}

sn_status sn_gguf_open_others(sn_gguf *file)
{
	int64_t own, count;
	sn_gguf *first;
	SN_TRY(sn_gguf_i64_or(file, "split.count", 1, &count));
	if (count <= 1) return SN_OK;
	SN_TRY(sn_gguf_i64(file, "split.no", &own));
	SN_TRY(check_name(file, own, count));
	SN_TRY(open_others(file, own, count, &first));
	return join(file, first, count);
}
