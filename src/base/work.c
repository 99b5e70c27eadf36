#include "base/work.h"
#include "base/checkpoint.h"
#include "base/ctx.h"

#include <string.h>

int sn_rank(const sn_ctx *ctx) { return ctx->options.team.rank; }
int sn_rank_count(const sn_ctx *ctx) { return ctx->options.team.n; }

/* ---- agreeing ---- */

/* How a rank fares. */
typedef struct word {
	int32_t status;
	char text[1020];
} word;

static sn_status lost(sn_ctx *ctx)
{
	ctx->parted = true;
	return sn_fail(ctx, SN_EIO, "the other ranks are lost; run again with --resume");
}

static sn_status take_word(sn_ctx *ctx, const word *all)
{
	for (int r = 0; r < sn_rank_count(ctx); r++) {
		if (all[r].status == SN_OK) continue;
		ctx->parted = true;
		return sn_fail(ctx, (sn_status)all[r].status, "%s", all[r].text);
	}
	return SN_OK;
}

sn_status sn_team_agree(sn_ctx *ctx, sn_status status)
{
	const sn_team *team = &ctx->options.team;
	if (team->n == 1) return status;
	if (ctx->parted) return status != SN_OK ? status : lost(ctx);
	word own = { .status = (int32_t)status };
	if (status != SN_OK) sn_format(own.text, sizeof own.text, "%s", ctx->error);
	word *all = sn_alloc(ctx, (size_t)team->n * sizeof *all);
	if (!all) return SN_ENOMEM;
	sn_status agreed = team->exchange(team->payload, &own, sizeof own, all) ? take_word(ctx, all) : lost(ctx);
	sn_free(ctx, all);
	return agreed;
}

sn_status sn_team_part(sn_ctx *ctx, sn_status status)
{
	if (ctx->parted || sn_rank_count(ctx) == 1) return status;
	sn_status agreed = sn_team_agree(ctx, status);
	ctx->parted = true;
	return agreed;
}

sn_status sn_team_broadcast(sn_ctx *ctx, void *bytes, size_t size)
{
	const sn_team *team = &ctx->options.team;
	return team->n == 1 || team->broadcast(team->payload, 0, bytes, size) ? SN_OK : lost(ctx);
}

sn_status sn_team_hand(sn_ctx *ctx, int from, void *bytes, size_t size)
{
	const sn_team *team = &ctx->options.team;
	return team->hand(team->payload, from, bytes, size) ? SN_OK : lost(ctx);
}

/* ---- lists of work ---- */

/* Units go in rounds, unit i to rank i modulo their number. */
typedef struct list {
	sn_ctx *ctx;
	const sn_work *work;
	uint64_t key;
	bool *done;     /* [n] */
	char *slot;     /* [ranks][size] results of the round */
	int64_t cost_done, cost_total;
} list;

static uint64_t key_of(uint64_t number, const char *what, int64_t n, size_t size)
{
	uint64_t part[] = { number, (uint64_t)n, size };
	return sn_fnv1a(sn_fnv1a(SN_FNV_START, part, sizeof part), what, strlen(what));
}

uint64_t sn_work_key(sn_ctx *ctx, const char *what, int64_t n, size_t size)
{
	return key_of(ctx->n_work++, what, n, size);
}

static int64_t cost_of(const sn_work *w, int64_t i) { return w->cost ? w->cost(w->arg, i) : 1; }

/* Rank 0 looks up what was finished, and tells the others. */
static sn_status find_done(sn_ctx *ctx, const sn_work *w, uint64_t key, bool *done)
{
	for (int64_t i = 0; i < w->n && sn_rank(ctx) == 0; i++)
		done[i] = sn_checkpoint_has(ctx, key, (uint64_t)i, w->size);
	if (sn_rank_count(ctx) == 1) return SN_OK;
	SN_TRY(sn_team_agree(ctx, SN_OK));
	return sn_team_broadcast(ctx, done, (size_t)w->n * sizeof *done);
}

sn_status sn_work_own(sn_ctx *ctx, const sn_work *w, bool *own)
{
	SN_TRY(find_done(ctx, w, key_of(ctx->n_work, w->what, w->n, w->size), own));
	for (int64_t i = 0; i < w->n; i++) own[i] = !own[i] && i % sn_rank_count(ctx) == sn_rank(ctx);
	return SN_OK;
}

static char *slot_of(const list *l, int r) { return l->slot + (size_t)r * l->work->size; }

/* This rank's part of a round: its own unit, and in rank 0 what is read back. */
static sn_status run_part(const list *l, int64_t first, int64_t last)
{
	const sn_work *w = l->work;
	int rank = sn_rank(l->ctx);
	for (int64_t i = first; i < last && rank == 0; i++)
		if (l->done[i])
			SN_TRY(sn_checkpoint_read(l->ctx, l->key, (uint64_t)i, slot_of(l, (int)(i - first)), w->size));
	if (first + rank >= last || l->done[first + rank]) return SN_OK;
	SN_TRY(sn_poll(l->ctx));
	memset(slot_of(l, rank), 0, w->size);
	return w->run(l->ctx, w->arg, first + rank, slot_of(l, rank));
}

/* Every rank gets the results of the round. */
static sn_status share(const list *l, int64_t first, int64_t last)
{
	const sn_team *team = &l->ctx->options.team;
	for (int64_t i = first; i < last && team->n > 1; i++) {
		int r = (int)(i - first);
		if (!team->broadcast(team->payload, l->done[i] ? 0 : r, slot_of(l, r), l->work->size)) return lost(l->ctx);
	}
	return SN_OK;
}

static sn_status finish(list *l, int64_t i, const char *result)
{
	const sn_work *w = l->work;
	if (!l->done[i]) {
		l->cost_done += cost_of(w, i);
		if (sn_rank(l->ctx) == 0) SN_TRY(sn_checkpoint_add(l->ctx, l->key, (uint64_t)i, result, w->size));
	}
	if (!w->result) return w->take(l->ctx, w->arg, i, result);
	memcpy((char *)w->result + (size_t)i * w->size, result, w->size);
	return SN_OK;
}

static sn_status run_round(list *l, int64_t first)
{
	int64_t last = SN_MIN(first + sn_rank_count(l->ctx), l->work->n);
	SN_TRY(sn_team_agree(l->ctx, run_part(l, first, last)));
	SN_TRY(share(l, first, last));
	for (int64_t i = first; i < last; i++) SN_TRY(finish(l, i, slot_of(l, (int)(i - first))));
	sn_progress(l->ctx, l->work->what, l->cost_done, l->cost_total);
	return SN_OK;
}

static sn_status run_list(list *l)
{
	const sn_work *w = l->work;
	l->done = sn_alloc(l->ctx, (size_t)w->n * sizeof *l->done);
	l->slot = sn_alloc_raw(l->ctx, sn_size3((size_t)sn_rank_count(l->ctx), w->size, 1));
	if (!l->done || !l->slot) return SN_ENOMEM;
	SN_TRY(find_done(l->ctx, w, l->key, l->done));
	for (int64_t i = 0; i < w->n; i++) {
		l->cost_total += cost_of(w, i);
		l->cost_done += l->done[i] ? cost_of(w, i) : 0;
	}
	sn_progress(l->ctx, w->what, l->cost_done, l->cost_total);
	for (int64_t first = 0; first < w->n; first += sn_rank_count(l->ctx)) SN_TRY(run_round(l, first));
	return SN_OK;
}

sn_status sn_work_run(sn_ctx *ctx, const sn_work *work)
{
	list l = { .ctx = ctx, .work = work, .key = sn_work_key(ctx, work->what, work->n, work->size) };
	sn_status status = run_list(&l);
	sn_free(ctx, l.slot);
	sn_free(ctx, l.done);
	return status;
}
