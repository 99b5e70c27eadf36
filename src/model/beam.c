/* Beam search, as transformers 5.23 does it (generation/utils.py, _beam_search): of every prompt's beams the best
 * (1 + end tokens) * width continuations are listed, those that end leave the search if they stand among the first
 * `width`, the best others go on. */
#include "model/decode.h"

#include <math.h>

/* One continuation: of a live line by a token. score: summed processed log p. */
typedef struct continuation { double score, logprob; int32_t line, token; } continuation;

typedef struct beam {
	sn_decoder *k;
	sn_group *group;
	int32_t first, last;         /* its live lines */
	continuation *best;          /* the best so far, best first */
	int32_t n, most;
} beam;

/* Earlier ones stay in front of equals. */
static void insert(beam *b, continuation c)
{
	if (b->n == b->most && !(c.score > b->best[b->n - 1].score)) return;
	int32_t at = b->n < b->most ? b->n++ : b->n - 1;
	for (; at > 0 && c.score > b->best[at - 1].score; at--) b->best[at] = b->best[at - 1];
	b->best[at] = c;
}

static void list_continuations(beam *b)
{
	sn_decoder *k = b->k;
	for (int32_t i = b->first; i < b->last; i++) {
		const float *logits = k->logits + i * k->V;
		double lse = sn_decode_lse(k, logits);
		sn_decode_process(k, &k->live[i], logits, lse);
		for (int32_t id = 0; id < k->V; id++)
			if (k->score[id] > -INFINITY)
				insert(b, (continuation){ k->live[i].score + k->score[id], logits[id] - lse, i, id });
	}
}

/* ---- finished ones ---- */

static double final_score(const beam *b, double sum, int32_t n)
{
	return sum / pow((double)(n - b->group->n_prompt), b->k->d->length_penalty);
}

static bool full(const beam *b) { return b->group->n_done == b->k->d->width; }

/* Puts a finished line among the best ones. Its buffers are exchanged with those of the one that falls out. */
static void finish(beam *b, const sn_draft *line, sn_finish_reason reason)
{
	sn_group *g = b->group;
	double score = final_score(b, line->score, line->n);
	if (full(b) && !(score > g->done[g->n_done - 1].score)) return;
	int32_t at = full(b) ? g->n_done - 1 : g->n_done++;
	sn_draft out = g->done[at];
	for (; at > 0 && score > g->done[at - 1].score; at--) {
		g->done[at] = g->done[at - 1];
		g->finish[at] = g->finish[at - 1];
	}
	g->done[at] = out;
	sn_draft_extend(&g->done[at], line, -1, -1, 0);
	g->done[at].score = score;
	g->finish[at] = reason;
}

/* Whether a running beam may still come before the worst finished one. best: sum of the best running one. */
static bool can_improve(const beam *b, double best, int32_t n)
{
	const sn_decoding *d = b->k->d;
	int32_t longest = d->early == SN_EARLY_NEVER && d->length_penalty > 0 ? b->group->most : n;
	return !full(b) || final_score(b, best, longest) > b->group->done[b->group->n_done - 1].score;
}

/* ---- a step ---- */

/* Sorts the continuations into those that end and those that go on; the number of the latter. */
static sn_status sort_out(beam *b, int32_t *n_open)
{
	sn_decoder *k = b->k;
	bool closed = full(b) && k->d->early == SN_EARLY_YES;
	*n_open = 0;
	for (int32_t i = 0; i < b->n && *n_open < k->d->width; i++) {
		const continuation *c = &b->best[i];
		sn_draft *line = &k->next[k->n_next];
		sn_finish_reason reason;
		sn_draft_extend(line, &k->live[c->line], c->line, c->token, c->logprob);
		line->score = c->score;
		SN_TRY(sn_draft_finished(k, line, &reason));
		if (reason == SN_UNFINISHED) {
			k->n_next++;
			++*n_open;
		} else if (i < k->d->width && !closed) {
			finish(b, line, reason);
		}
	}
	return SN_OK;
}

sn_status sn_beam_advance(sn_decoder *k, int32_t first, int32_t last)
{
	sn_group *g = &k->group[k->live[first].prompt];
	beam b = { .k = k, .group = g, .first = first, .last = last,
	           .most = SN_MAX(2, 1 + k->d->n_eos) * k->d->width };
	sn_mark mark = sn_arena_mark(k->arena);
	int32_t open, n_next = k->n_next;
	SN_NEW(b.best, k->arena, continuation, b.most);
	list_continuations(&b);
	SN_TRY(sort_out(&b, &open));
	g->over = open == 0 || !can_improve(&b, k->next[n_next].score, k->next[n_next].n) ||
		(full(&b) && k->d->early == SN_EARLY_YES);
	if (g->over) k->n_next = n_next;
	sn_arena_reset(k->arena, mark);
	return SN_OK;
}
