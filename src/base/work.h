/* Lists of independent units of work: dealt out to the ranks by their numbers, kept in the checkpoint as they are
 * finished, known to all at the end. A unit's result depends on its number alone - not on who computes it, when, or
 * after how many interruptions - so all runs of a list end with the same bytes. */
#ifndef SN_BASE_WORK_H
#define SN_BASE_WORK_H

#include "base/base.h"

typedef struct sn_work {
	const char *what; /* for progress: "pairs" */
	int64_t n;
	size_t size;      /* bytes of one result */
	/* Computes unit i into result, size zeroed bytes. */
	sn_status (*run)(sn_ctx *ctx, void *arg, int64_t i, void *result);
	void *arg;
	/* Where results go: [n][size], the caller's; or NULL, and take is given each, in the order of units, by every rank.
	 */
	void *result;
	sn_status (*take)(sn_ctx *ctx, void *arg, int64_t i, const void *result);
	/* Progress counts what units cost (tokens), in total at most INT64_MAX; NULL: units. */
	int64_t (*cost)(const void *arg, int64_t i);
} sn_work;

/* Runs what no rank and no earlier run has finished; then every rank has all results. Units of one rank run one after
 * the other and may use the context. Returns the failure of the lowest rank that had one, in all ranks. */
SN_CHECKED sn_status sn_work_run(sn_ctx *ctx, const sn_work *work);
/* Which units this rank is going to run, for what must be prepared before: own [n]. The list's sn_work_run comes next.
 */
SN_CHECKED sn_status sn_work_own(sn_ctx *ctx, const sn_work *work, bool *own);
/* Returns a key for the next list of work, the same in all ranks and whenever the run is taken up again. */
uint64_t sn_work_key(sn_ctx *ctx, const char *what, int64_t n, size_t size);

/* ---- ranks ---- */

int sn_rank(const sn_ctx *ctx);
int sn_rank_count(const sn_ctx *ctx);
/* All ranks call it with how they fare; returns SN_OK where all are well, otherwise the failure of the lowest that is
 * not, whose text all then have; nothing is exchanged after it. One rank: status. */
SN_CHECKED sn_status sn_team_agree(sn_ctx *ctx, sn_status status);
/* The last agreement, at the end of a run: at most once, and not where one has failed before. */
SN_CHECKED sn_status sn_team_part(sn_ctx *ctx, sn_status status);
/* Rank 0's bytes become everybody's. */
SN_CHECKED sn_status sn_team_broadcast(sn_ctx *ctx, void *bytes, size_t size);
/* Rank `from` hands bytes to rank 0; only those two call it. */
SN_CHECKED sn_status sn_team_hand(sn_ctx *ctx, int from, void *bytes, size_t size);

#endif
