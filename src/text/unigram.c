/* Viterbi over the places of a word, as SentencePiece's EncodeOptimized and the `tokenizers` package do it: one pass
 * forward over the characters, one back. */
#include "text/unigram.h"

static sn_status make_room(sn_lattice *work, sn_ctx *ctx, size_t n)
{
	if (n <= work->room) return SN_OK;
	size_t room = SN_MAX(n, 2 * work->room);
	sn_free(ctx, work->node);
	work->room = 0;
	work->node = sn_alloc_raw(ctx, sn_size3(room, sizeof *work->node, 1));
	if (!work->node) return SN_ENOMEM;
	work->room = room;
	return SN_OK;
}

void sn_lattice_free(sn_lattice *work, sn_ctx *ctx)
{
	sn_free(ctx, work->node);
	*work = (sn_lattice){ 0 };
}

static size_t character_end(const char *word, size_t size, size_t from)
{
	size_t to = from + 1;
	while (to < size && ((unsigned char)word[to] & 0xc0) == 0x80) to++;
	return to;
}

/* Takes the piece from `from` into account at its end. */
static void offer(const sn_unigram *u, sn_lattice_node *end, double sum, int32_t id, size_t from)
{
	if (u->single) sum = (double)(float)sum;
	if (end->from == UINT32_MAX || sum > end->score) *end = (sn_lattice_node){ sum, id, (uint32_t)from };
}

static void forward(const sn_unigram *u, sn_lattice_node *node, const char *word, size_t size)
{
	for (size_t i = 1; i <= size; i++) node[i].from = UINT32_MAX;
	node[0] = (sn_lattice_node){ 0, -1, 0 };
	for (size_t from = 0, next; from < size; from = next) {
		double here = node[from].score;
		bool known = false; /* the character is a piece */
		next = character_end(word, size, from);
		uint32_t at = 0;
		for (size_t to = from; to < size;) {
			at = sn_trie_child(&u->trie, at, (unsigned char)word[to++]);
			if (!at) break;
			int32_t id = u->trie.unit[at].value;
			if (id < 0) continue;
			offer(u, &node[to], u->score[id] + here, id, from);
			known |= to == next;
		}
		if (!known) offer(u, &node[next], u->unk_score + here, u->unk, from);
	}
}

/* Turns the best way around: node[from].from becomes the end of the piece that begins at from; its id moves along. */
static void turn(sn_lattice_node *node, size_t size)
{
	uint32_t end = (uint32_t)size, after = UINT32_MAX;
	int32_t id = -1;
	for (;;) {
		sn_lattice_node here = node[end];
		node[end].from = after;
		node[end].id = id;
		if (end == 0) return;
		after = end;
		id = here.id;
		end = here.from;
	}
}

/* Appends what stands for an unknown stretch of the word. */
static void put_unknown(const sn_unigram *u, const char *word, size_t from, size_t to, sn_parts *out)
{
	int32_t whole = u->single ? -1 : sn_vocab_find(u->vocab, word + from, to - from);
	if (whole >= 0 || !sn_fallback_put(&u->fallback, word, from, to, out))
		sn_parts_put(out, whole >= 0 ? whole : u->unk, from, to);
}

static void collect(const sn_unigram *u, const sn_lattice_node *node, const char *word, size_t size, sn_parts *out)
{
	for (size_t from = 0, to; from < size; from = to) {
		int32_t id = node[from].id;
		to = node[from].from;
		if (id != u->unk) {
			sn_parts_put(out, id, from, to);
			continue;
		}
		while (u->fuse_unk && to < size && node[to].id == u->unk) to = node[to].from;
		put_unknown(u, word, from, to, out);
	}
}

sn_status sn_unigram_encode(const sn_unigram *u, sn_ctx *ctx, sn_lattice *work, const char *word, size_t size,
							sn_parts *out)
{
	if (size == 0) return SN_OK;
	SN_TRY(make_room(work, ctx, size + 1));
	SN_TRY(sn_parts_reserve(out, ctx, out->n + (u->fallback.on ? 3 * size : size)));
	forward(u, work->node, word, size);
	turn(work->node, size);
	collect(u, work->node, word, size, out);
	return SN_OK;
}
