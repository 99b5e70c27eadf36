/* What the readers of a plan's parts share. */
#ifndef SN_MODEL_PLAN_READ_H
#define SN_MODEL_PLAN_READ_H

#include "io/json.h"
#include "model/plan_file.h"

enum { SN_PLAN_SPANS = 64, SN_PLAN_PARTS = 4096 };   /* most names of spans; most edits, taps and goals of each kind */

/* A text of the plan, and what it says of itself. */
typedef struct sn_plan_text {
	const char *name, *text, *target;
	const json_t *json;          /* its object, or NULL */
	sn_tokens tokens, decoder;   /* of text; of the target, in an encoder-decoder */
} sn_plan_text;

typedef struct sn_plan_reader {
	sn_ctx *ctx;
	const sn_model *model;
	sn_json *doc;
	sn_arena *arena;
	sn_plan_file *out;
	sn_plan_text *text;
	int32_t n_text, n_twin;      /* n_twin: rows without edits in front */
	const char *span[SN_PLAN_SPANS];
	const json_t *span_of_all[SN_PLAN_SPANS];   /* what the plan says of a span, or NULL */
	int n_span;
	sn_edit *edit;
	sn_tap *tap;
	sn_goal *goal;
} sn_plan_reader;

/* SN_EPARSE for a member that is none of the words (NULL-terminated). */
SN_CHECKED sn_status sn_plan_keys(const sn_plan_reader *r, const json_t *object, const char *const *word);
/* Returns the number of the word that a member is, in *out. */
SN_CHECKED sn_status sn_plan_word(const sn_plan_reader *r, const json_t *object, const char *key,
                                  const char *const *word, int *out);
/* Returns the number of a text by name or number, in *out. */
SN_CHECKED sn_status sn_plan_text_of(const sn_plan_reader *r, const json_t *at, const char *key, const json_t *value,
                                     int32_t *out);

/* Tokens, roles and encoder rows of all texts. */
SN_CHECKED sn_status sn_plan_read_texts(sn_plan_reader *r, const char *const *more, int64_t n_more);
/* Returns the number of a span's name, which is added if it is new; at, key: where the plan names it. */
SN_CHECKED sn_status sn_plan_span(sn_plan_reader *r, const json_t *at, const char *key, const char *name, int *out);
/* Adds the fragments that places name as spans. */
SN_CHECKED sn_status sn_plan_fragments(sn_plan_reader *r);
/* Places: member key of an object; sel 0 where it is missing. */
SN_CHECKED sn_status sn_plan_where(sn_plan_reader *r, const json_t *object, const char *key, sn_where *out);
/* Numbers: a list, or {"file", "tensor", "row"}; *out is NULL where the member is missing. */
SN_CHECKED sn_status sn_plan_tensor(const sn_plan_reader *r, const json_t *object, const char *key,
                                    const sn_tensor **out);
/* Which rows of the batch a member "rows" names: [batch.n], edited ones only where edits is true. */
SN_CHECKED sn_status sn_plan_rows(const sn_plan_reader *r, const json_t *object, bool edits, bool **out, bool *all);

SN_CHECKED sn_status sn_plan_read_edits(sn_plan_reader *r);
SN_CHECKED sn_status sn_plan_read_taps(sn_plan_reader *r);
SN_CHECKED sn_status sn_plan_read_goals(sn_plan_reader *r);
/* Says of each row whether an edit has a place in it. */
void sn_plan_mark_edited(sn_plan_reader *r);
/* Finds forks among the rows. */
SN_CHECKED sn_status sn_plan_find_forks(sn_plan_reader *r);

#endif
