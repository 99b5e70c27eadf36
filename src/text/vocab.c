/* A vocabulary: one pool of bytes and an open-addressing table over it. */
#include "text/vocab.h"

#include <string.h>

static uint32_t hash_of(const char *bytes, size_t size)
{
	uint64_t h = sn_fnv1a(SN_FNV_START, bytes, size);
	return (uint32_t)(h ^ h >> 32);
}

sn_slice sn_vocab_token(const sn_vocab *vocab, int32_t id)
{
	if (id < 0 || id >= vocab->n) return (sn_slice){ 0 };
	uint32_t from = vocab->start[id], to = vocab->start[id + 1];
	return (sn_slice){ to > from ? vocab->pool + from : NULL, to - from };
}

/* Returns the slot of a token with these bytes, or the empty one where it belongs. */
static uint32_t slot_of(const sn_vocab *vocab, const char *bytes, size_t size, uint32_t hash)
{
	uint32_t i = hash & vocab->mask;
	for (; vocab->slot[i].id; i = (i + 1) & vocab->mask) {
		if (vocab->slot[i].hash != hash) continue;
		sn_slice token = sn_vocab_token(vocab, vocab->slot[i].id - 1);
		if (token.size == size && memcmp(token.data, bytes, size) == 0) break;
	}
	return i;
}

int32_t sn_vocab_find(const sn_vocab *vocab, const char *bytes, size_t size)
{
	return size ? vocab->slot[slot_of(vocab, bytes, size, hash_of(bytes, size))].id - 1 : -1;
}

/* Copies an entry's bytes to out, decoded where they stand for others, and says whether the token can be found. */
static size_t put_token(const sn_vocab_entry *entry, const sn_byte_alphabet *alphabet, char *out, bool *found)
{
	size_t size = entry->text.size;
	*found = size > 0 && !entry->hidden;
	int64_t n = alphabet ? sn_byte_decode(alphabet, entry->text.data, size, out) : (int64_t)size;
	bool decoded = n >= 0 && alphabet;
	if (decoded && !entry->literal) return (size_t)n;
	*found = *found && n >= 0 && (!decoded || ((size_t)n == size && memcmp(out, entry->text.data, size) == 0));
	if (size) memcpy(out, entry->text.data, size);
	return size;
}

static sn_status check_size(sn_ctx *ctx, int64_t n, const sn_vocab_entry *entry, const char *source, size_t *total)
{
	if (n <= 0 || n >= INT32_MAX)
		return sn_fail(ctx, SN_EPARSE, "%s: the vocabulary has %lld tokens; expected from 1 to 2147483646", source,
					   (long long)n);
	*total = 0;
	for (int64_t i = 0; i < n; i++) {
		if (entry[i].text.size > UINT32_MAX - 1 - *total)
			return sn_fail(ctx, SN_EPARSE, "%s: token %lld makes the vocabulary larger than 4 GiB", source,
						   (long long)i);
		*total += entry[i].text.size;
	}
	return SN_OK;
}

sn_status sn_vocab_build(sn_vocab *vocab, sn_arena *arena, int64_t n, const sn_vocab_entry *entry,
						 const sn_byte_alphabet *alphabet, const char *source)
{
	size_t total = 0, used = 0, slots = 4;
	SN_TRY(check_size(sn_arena_ctx(arena), n, entry, source, &total));
	while (slots < 2 * (size_t)n) slots *= 2;
	char *pool;
	uint32_t *start;
	sn_vocab_slot *slot;
	SN_NEW(pool, arena, char, total);
	SN_NEW(start, arena, uint32_t, n + 1);
	SN_NEW(slot, arena, sn_vocab_slot, slots);
	*vocab = (sn_vocab){ (int32_t)n, pool, start, slot, (uint32_t)slots - 1 };
	for (int32_t i = 0; i < n; i++) {
		bool found;
		size_t size = put_token(&entry[i], alphabet, pool + used, &found);
		start[i + 1] = (uint32_t)(used + size);
		if (found) {
			uint32_t hash = hash_of(pool + used, size);
			slot[slot_of(vocab, pool + used, size, hash)] = (sn_vocab_slot){ hash, i + 1 };
		}
		used += size;
	}
	return SN_OK;
}
