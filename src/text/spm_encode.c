/* SentencePiece's models over a normalised text (unigram_model.cc, bpe_model.cc, char_model.cc). */
#include "text/spm.h"

#include <string.h>

/* A symbol's id while symbols are joined: -1, no token; below, a USER_DEFINED piece, which joins with nothing. */
static int32_t frozen(int32_t piece) { return -2 - piece; }
static bool is_frozen(int32_t id) { return id < -1; }

typedef struct job {
	const sn_spm *spm;
	sn_ctx *ctx;
	sn_spm_work *work;
	const char *text;
	sn_parts *out;
	bool was_unknown; /* the last part stands for text without a piece */
} job;

static int32_t cut(const job *j, size_t size)
{
	int32_t n = 0;
	for (size_t from = 0, to; from < size; from = to) {
		int32_t piece;
		size_t user = sn_trie_longest(&j->spm->user, j->text + from, size - from, &piece);
		to = from;
		if (!user) (void)sn_utf8_next(j->text, size, &to);
		int32_t id = user ? frozen(piece) : sn_vocab_find(&j->spm->vocab, j->text + from, to - from);
		if (user) to = from + user;
		j->work->symbols.symbol[n++] = (sn_symbol){ .id = id, .from = (uint32_t)from, .to = (uint32_t)to };
	}
	return n;
}

static void pair(const void *model, sn_symbol *a, const sn_symbol *b)
{
	const job *j = model;
	if (is_frozen(a->id) || is_frozen(b->id)) return;
	int32_t id = sn_vocab_find(&j->spm->vocab, j->text + a->from, b->to - a->from);
	if (id < 0) return;
	a->rank = j->spm->rank[id];
	a->joined = id;
	if (j->spm->unused && j->spm->unused[id]) j->work->split[id] = a->to - a->from;
}

static void put_unknown(job *j, size_t from, size_t to)
{
	const sn_unigram *u = &j->spm->unigram;
	if (sn_fallback_put(&u->fallback, j->text, from, to, j->out)) return;
	if (j->was_unknown)
		j->out->part[j->out->n - 1].to = (uint32_t)to;
	else
		sn_parts_put(j->out, u->unk, from, to);
	j->was_unknown = true;
}

/* Puts a piece; an unused one as the two it was made of, and those again. */
static sn_status put_piece(job *j, uint32_t from, uint32_t to)
{
	sn_buf *stack = &j->work->stack;
	uint32_t top[2] = { from, to };
	for (stack->size = 0;;) {
		int32_t id = sn_vocab_find(&j->spm->vocab, j->text + top[0], top[1] - top[0]);
		uint32_t split = id >= 0 && j->spm->unused[id] ? j->work->split[id] : 0;
		if (split) {
			sn_buf_add(stack, (uint32_t[2]){ top[0] + split, top[1] }, sizeof top);
			if (stack->failed) return SN_ENOMEM;
			top[1] = top[0] + split;
			continue;
		}
		if (id < 0)
			put_unknown(j, top[0], top[1]);
		else
			sn_parts_put(j->out, id, top[0], top[1]);
		j->was_unknown = j->was_unknown && id < 0;
		if (stack->size == 0) return SN_OK;
		stack->size -= sizeof top;
		memcpy(top, stack->data + stack->size, sizeof top);
	}
}

static sn_status put_symbols(job *j, int32_t n)
{
	for (int32_t i = 0; i < n; i++) {
		sn_symbol s = j->work->symbols.symbol[i];
		if (s.id == -1) {
			put_unknown(j, s.from, s.to);
			continue;
		}
		j->was_unknown = false;
		if (j->spm->unused && !is_frozen(s.id))
			SN_TRY(put_piece(j, s.from, s.to));
		else
			sn_parts_put(j->out, is_frozen(s.id) ? frozen(s.id) : s.id, s.from, s.to);
	}
	return SN_OK;
}

static sn_status encode_symbols(job *j, size_t size)
{
	sn_spm_work *work = j->work;
	SN_TRY(sn_symbols_reserve(&work->symbols, j->ctx, size));
	SN_TRY(sn_parts_reserve(j->out, j->ctx, j->out->n + (j->spm->unigram.fallback.on ? 3 * size : size)));
	if (j->spm->unused && !work->split) {
		work->split = sn_alloc(j->ctx, sn_size3((size_t)j->spm->vocab.n, sizeof *work->split, 1));
		if (!work->split) return SN_ENOMEM;
	}
	work->stack.ctx = j->ctx;
	int32_t n = cut(j, size);
	if (j->spm->kind == SN_SPM_BPE) SN_TRY(sn_symbols_merge(&work->symbols, j->ctx, n, pair, j, &n));
	return put_symbols(j, n);
}

sn_status sn_spm_encode(const sn_spm *spm, sn_ctx *ctx, sn_spm_work *work, const char *text, size_t size, sn_parts *out)
{
	if (spm->kind == SN_SPM_UNIGRAM) return sn_unigram_encode(&spm->unigram, ctx, &work->lattice, text, size, out);
	job j = { spm, ctx, work, text, out, false };
	return encode_symbols(&j, size);
}

void sn_spm_work_free(sn_spm_work *work, sn_ctx *ctx)
{
	sn_symbols_free(&work->symbols, ctx);
	sn_lattice_free(&work->lattice, ctx);
	sn_free(ctx, work->split);
	work->stack.ctx = ctx;
	sn_buf_free(&work->stack);
	*work = (sn_spm_work){ 0 };
}
