/* Plans written by hand: texts, edits, taps and goals from JSON (docs/plan.md), for one model. */
#ifndef SN_MODEL_PLAN_FILE_H
#define SN_MODEL_PLAN_FILE_H

#include "base/base.h"

typedef struct sn_plan_file {
	sn_batch batch, enc;         /* a row a text; with "unedited" all texts twice, those without edits first */
	sn_plan plan;                /* the taps have no sinks yet */
	const char **name, **text;   /* [batch.n] */
	bool *edited;                /* [batch.n] some edit has a place in the row */
	const char **goal, **tap;    /* [n_goal], [n_tap] names */
	int n_fork;                  /* rows that are computed as forks of others */
} sn_plan_file;

/* Reads a plan ("-": standard input) for a model into arena, which must outlive it. more: [n_more] texts behind the
 * plan's own. Rows that begin as an earlier one does become its forks where no edit stands in the way. SN_EPARSE,
 * SN_ENOTFOUND, SN_EARG, SN_ESHAPE name the file and the path of the wrong value: "plan.json: edits[2].at: ...". */
SN_CHECKED sn_status sn_plan_file_read(sn_plan_file *out, sn_ctx *ctx, const sn_model *model, const char *path,
                                       const char *const *more, int64_t n_more, sn_arena *arena);
/* The same for a text in memory named source. */
SN_CHECKED sn_status sn_plan_file_parse(sn_plan_file *out, sn_ctx *ctx, const sn_model *model, const char *source,
                                        const char *text, size_t size, sn_arena *arena);

#endif
