/* Finding added tokens, with the same choices as the `tokenizers` package (added_vocabulary.rs). */
#include "text/added.h"

#include "text/classes.h"

#include <stdlib.h>
#include <string.h>

static int by_first_byte_then_longest(const void *a, const void *b)
{
	const sn_added *x = a, *y = b;
	unsigned char p = (unsigned char)x->text.data[0], q = (unsigned char)y->text.data[0];
	if (p != q) return p < q ? -1 : 1;
	if (x->text.size != y->text.size) return x->text.size > y->text.size ? -1 : 1;
	int order = memcmp(x->text.data, y->text.data, x->text.size);
	return order ? order : (x->id > y->id) - (x->id < y->id);
}

void sn_added_index(sn_added_set *set)
{
	if (set->n) qsort(set->token, (size_t)set->n, sizeof *set->token, by_first_byte_then_longest);
	memset(set->first, 0, sizeof set->first);
	for (int32_t i = 0; i < set->n; i++) set->first[(unsigned char)set->token[i].text.data[0] + 1]++;
	for (int b = 0; b < 256; b++) set->first[b + 1] += set->first[b];
}

static const sn_added *token_at(const sn_added_set *set, const char *text, size_t size)
{
	unsigned char byte = (unsigned char)*text;
	for (int32_t i = set->first[byte]; i < set->first[byte + 1]; i++) {
		sn_slice t = set->token[i].text;
		if (t.size <= size && memcmp(t.data, text, t.size) == 0) return &set->token[i];
	}
	return NULL;
}

static bool inside_a_word(sn_piece p, size_t from, size_t to)
{
	size_t before = from, after = to;
	if (from > 0 && sn_is_word(sn_utf8_before(p.text, &before))) return true;
	return to < p.size && sn_is_word(sn_utf8_next(p.text, p.size, &after));
}

/* Widens [from, to) over white space where the token asks, not before limit. */
static void strip(const sn_added *token, sn_piece p, size_t limit, size_t *from, size_t *to)
{
	for (size_t at = *from; token->lstrip && at > limit && sn_is_space(sn_utf8_before(p.text, &at));) *from = at;
	for (size_t at = *to; token->rstrip && at < p.size && sn_is_space(sn_utf8_next(p.text, p.size, &at));) *to = at;
}

sn_status sn_added_split(const sn_added_set *set, sn_piece p, bool special,
						 sn_status (*found)(void *, const sn_added *, sn_piece), sn_piece_fn *rest, void *payload)
{
	size_t done = 0;
	for (size_t at = 0; set->n && at < p.size;) {
		const sn_added *token = token_at(set, p.text + at, p.size - at);
		if (!token) {
			at++;
			continue;
		}
		size_t from = at, to = at + token->text.size;
		at = to; /* neither a token found but refused nor the white space that one takes along is looked over */
		if ((token->special && !special) || (token->single_word && inside_a_word(p, from, to))) continue;
		strip(token, p, done, &from, &to);
		if (done < from) SN_TRY(rest(payload, sn_piece_part(p, done, from)));
		SN_TRY(found(payload, token, sn_piece_part(p, from, to)));
		done = to;
	}
	return done < p.size ? rest(payload, sn_piece_part(p, done, p.size)) : SN_OK;
}
