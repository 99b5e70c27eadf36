/* From what a file says to what encoding needs. */
#include "text/spm.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double unk_penalty = 10; /* how much worse than the worst piece an unknown character is */

typedef struct builder {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_spm_spec *spec;
	sn_spm *out;
} builder;

/* Pieces that a text can be cut into. */
static bool is_used(const builder *b, const sn_spm_piece *p)
{
	bool possible = !b->spec->escape_whitespaces || b->spec->plain_spaces || !memchr(p->text.data, ' ', p->text.size);
	return possible && (p->type == SN_TOKEN_NORMAL || p->type == SN_TOKEN_USER_DEFINED || p->type == SN_TOKEN_UNUSED);
}

/* The unigram model never uses UNUSED pieces. */
static bool is_unigram(const builder *b, const sn_spm_piece *p) { return is_used(b, p) && p->type != SN_TOKEN_UNUSED; }

static bool is_user_defined(const builder *b, const sn_spm_piece *p)
{
	return is_used(b, p) && p->type == SN_TOKEN_USER_DEFINED;
}

static bool is_marked_user_defined(const builder *b, const sn_spm_piece *p)
{
	(void)b;
	return p->type == SN_TOKEN_USER_DEFINED;
}

static sn_status bad_piece(const builder *b, int64_t i, const char *what)
{
	sn_slice text = b->spec->piece[i].text;
	return sn_fail(b->ctx, SN_EPARSE, "%s: piece %lld, '%.*s', %s", b->spec->source, (long long)i,
				   (int)SN_MIN(text.size, 80), text.data, what);
}

/* ---- vocabulary ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
		   : c >= 'A' && c <= 'F' ? c - 'A' + 10
		   : c >= 'a' && c <= 'f' ? c - 'a' + 10
								  : -1;
}

/* The byte that "<0x0A>" is, or -1. */
static int byte_of(sn_slice text)
{
	if (text.size != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>') return -1;
	int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
	return high < 0 || low < 0 ? -1 : 16 * high + low;
}

/* Writes a piece as texts have it, U+2581 as a space, and returns its size there. */
static size_t put_text(const builder *b, const sn_spm_piece *p, char *out)
{
	size_t n = 0;
	if (p->type == SN_TOKEN_BYTE) return out[0] = (char)byte_of(p->text), 1;
	for (size_t i = 0; i < p->text.size;) {
		bool space =
			b->spec->escape_whitespaces && p->text.size - i >= 3 && !memcmp(p->text.data + i, "\xe2\x96\x81", 3);
		out[n++] = space ? ' ' : p->text.data[i];
		i += space ? 3 : 1;
	}
	return n;
}

static sn_status check_piece(const builder *b, int64_t i)
{
	const sn_spm_piece *p = &b->spec->piece[i];
	if (!isfinite(p->score)) return bad_piece(b, i, "has no finite score");
	if (p->type == SN_TOKEN_BYTE && byte_of(p->text) < 0)
		return bad_piece(b, i, "is no byte; expected <0x00> to <0xFF>");
	if (sn_utf8_check(p->text.data, p->text.size) >= 0) return bad_piece(b, i, "is not UTF-8");
	return SN_OK;
}

static sn_status fill_vocab(const builder *b, sn_vocab_entry *entry, char *text)
{
	for (int64_t i = 0; i < b->spec->n; i++) {
		const sn_spm_piece *p = &b->spec->piece[i];
		SN_TRY(check_piece(b, i));
		size_t size = put_text(b, p, text);
		entry[i] = (sn_vocab_entry){ .text = { text, size }, .hidden = !is_used(b, p) };
		text += size;
	}
	return sn_vocab_build(&b->out->vocab, b->arena, b->spec->n, entry, NULL, b->spec->source);
}

static sn_status build_vocab(const builder *b)
{
	size_t total = 0;
	for (int64_t i = 0; i < b->spec->n; i++) total += b->spec->piece[i].text.size;
	char *text = sn_alloc_raw(b->ctx, total + 1);
	sn_vocab_entry *entry = text ? sn_alloc(b->ctx, sn_size3((size_t)b->spec->n, sizeof *entry, 1)) : NULL;
	sn_status status = entry ? fill_vocab(b, entry, text) : SN_ENOMEM;
	sn_free(b->ctx, entry);
	sn_free(b->ctx, text);
	return status;
}

/* ---- tries ---- */

/* Which pieces, and whether as the vocabulary has them or as the file does. */
static sn_status build_trie(const builder *b, sn_trie *out, bool (*wanted)(const builder *, const sn_spm_piece *),
							bool raw)
{
	int32_t n = 0;
	*out = (sn_trie){ 0 };
	for (int64_t i = 0; i < b->spec->n; i++) n += wanted(b, &b->spec->piece[i]);
	sn_trie_key *key = n ? sn_alloc_raw(b->ctx, sn_size3((size_t)n, sizeof *key, 1)) : NULL;
	if (n == 0) return SN_OK;
	if (!key) return SN_ENOMEM;
	n = 0;
	for (int64_t i = 0; i < b->spec->n; i++) {
		const sn_spm_piece *p = &b->spec->piece[i];
		sn_slice text = raw ? p->text : sn_vocab_token(&b->out->vocab, (int32_t)i);
		if (wanted(b, p) && text.size) key[n++] = (sn_trie_key){ text, (int32_t)i };
	}
	sn_status status = n ? sn_trie_build(out, b->arena, key, n) : SN_OK;
	sn_free(b->ctx, key);
	return status;
}

/* ---- models ---- */

static sn_status find_bytes(const builder *b)
{
	sn_fallback *f = &b->out->unigram.fallback;
	f->escaped = b->spec->escape_whitespaces;
	f->on = b->spec->byte_fallback;
	for (int i = 0; i < 256; i++) f->byte_id[i] = -1;
	for (int64_t i = 0; i < b->spec->n; i++)
		if (b->spec->piece[i].type == SN_TOKEN_BYTE) f->byte_id[byte_of(b->spec->piece[i].text)] = (int32_t)i;
	for (int i = 0; i < 256 && f->on; i++)
		if (f->byte_id[i] < 0)
			return sn_fail(b->ctx, SN_EPARSE, "%s: byte_fallback is on, but there is no piece <0x%02X>",
						   b->spec->source, (unsigned)i);
	return SN_OK;
}

/* Scores as SentencePiece uses them; a USER_DEFINED piece always wins against others of the same bytes. */
static sn_status build_unigram(const builder *b)
{
	sn_unigram *u = &b->out->unigram;
	float least = FLT_MAX, most = FLT_MIN;
	double *score;
	SN_NEW(score, b->arena, double, b->spec->n);
	for (int64_t i = 0; i < b->spec->n; i++) {
		const sn_spm_piece *p = &b->spec->piece[i];
		if (p->type != SN_TOKEN_NORMAL) continue;
		least = SN_MIN(least, p->score);
		most = SN_MAX(most, p->score);
	}
	for (int64_t i = 0; i < b->spec->n; i++) {
		const sn_spm_piece *p = &b->spec->piece[i];
		float bonus = (float)p->text.size * most;
		score[i] = p->type == SN_TOKEN_USER_DEFINED ? (double)bonus - 0.1 : (double)p->score;
	}
	u->vocab = &b->out->vocab;
	u->score = score;
	u->unk_score = (double)(least - (float)unk_penalty);
	u->single = true;
	u->fuse_unk = !b->spec->byte_fallback;
	SN_TRY(build_trie(b, &u->trie, is_unigram, false));
	if (u->trie.n) return SN_OK;
	return sn_fail(b->ctx, SN_EPARSE, "%s: none of the %lld pieces can be used", b->spec->source,
				   (long long)b->spec->n);
}

typedef struct ranked {
	float score;
	int32_t id;
} ranked;

static int by_falling_score(const void *a, const void *b)
{
	const ranked *x = a, *y = b;
	if (x->score != y->score) return x->score > y->score ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/* Pieces of equal scores have equal ranks: the leftmost in a text is made first. */
static sn_status rank_pieces(const builder *b, ranked *list)
{
	uint32_t *rank, now = 0;
	size_t n = 0;
	SN_NEW(rank, b->arena, uint32_t, b->spec->n);
	for (int64_t i = 0; i < b->spec->n; i++)
		if (is_used(b, &b->spec->piece[i])) list[n++] = (ranked){ b->spec->piece[i].score, (int32_t)i };
	if (n) qsort(list, n, sizeof *list, by_falling_score);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || list[i].score < list[i - 1].score) now++;
		rank[list[i].id] = now;
	}
	b->out->rank = rank;
	return SN_OK;
}

static sn_status build_bpe(const builder *b)
{
	uint8_t *unused = NULL;
	ranked *list = sn_alloc_raw(b->ctx, sn_size3((size_t)b->spec->n, sizeof *list, 1));
	if (!list) return SN_ENOMEM;
	sn_status status = rank_pieces(b, list);
	sn_free(b->ctx, list);
	for (int64_t i = 0; i < b->spec->n && status == SN_OK; i++) {
		if (b->spec->piece[i].type != SN_TOKEN_UNUSED) continue;
		if (!unused) SN_NEW(unused, b->arena, uint8_t, b->spec->n);
		unused[i] = 1;
	}
	b->out->unused = unused;
	return status;
}

static sn_status open_charsmap(const builder *b)
{
	sn_slice bytes = b->spec->charsmap;
	if (bytes.size == 0) return SN_OK;
	bytes.data = sn_arena_copy(b->arena, bytes.data, bytes.size);
	return bytes.data ? sn_charsmap_open(&b->out->charsmap, b->ctx, bytes, b->spec->source) : SN_ENOMEM;
}

sn_status sn_spm_build(sn_spm *out, sn_arena *arena, const sn_spm_spec *spec)
{
	const builder b = { sn_arena_ctx(arena), arena, spec, out };
	*out = (sn_spm){ .kind = spec->kind,
					 .add_space = spec->add_dummy_prefix,
					 .as_suffix = spec->whitespace_as_suffix,
					 .prefix_once = spec->prefix_once,
					 .remove_spaces = spec->remove_extra_whitespaces,
					 .escape = spec->escape_whitespaces };
	SN_TRY(build_vocab(&b));
	out->unigram.unk = spec->unk >= 0 && spec->unk < spec->n ? (int32_t)spec->unk : -1;
	SN_TRY(find_bytes(&b));
	SN_TRY(open_charsmap(&b));
	SN_TRY(build_trie(&b, &out->raw_user, is_marked_user_defined, true));
	SN_TRY(build_trie(&b, &out->user, is_user_defined, false));
	return spec->kind == SN_SPM_UNIGRAM ? build_unigram(&b) : build_bpe(&b);
}
