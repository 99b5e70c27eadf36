/* Texts as a reader meets them: words in order, of one sentence or of a whole document. */
#ifndef SN_DATA_PASSAGES_H
#define SN_DATA_PASSAGES_H

#include "base/base.h"

/* A word as it is written: between white space, or a surface token of a treebank (a multi-word token is one). */
typedef struct sn_unit {
	int64_t row;     /* of the data set */
	const char *id;  /* number in the row from 1; the treebank's id ("3", "3-4") */
	int64_t span[2]; /* bytes of the passage's text */
} sn_unit;

/* What a model reads in one piece. */
typedef struct sn_passage {
	const char *text;
	int64_t size, row; /* row: the first */
	int64_t n;
	sn_unit *unit; /* [n] in order; between them there is white space or nothing */
} sn_passage;

typedef struct sn_passage_query {
	const char *column; /* of the text; auto: text or sentence */
	const char *by;     /* documents: column that is equal in rows of one text, in order; "": see document */
	bool document;      /* rows of one document are one text; otherwise each row is */
	const char *join;   /* what stands between rows of one text */
	int64_t limit;      /* only the first rows; 0: all */
} sn_passage_query;

/* Makes the passages of a data set. Documents are what `# newdoc` begins in a treebank; rows with the same value of
 * `by`; otherwise the whole file. SN_ENOTFOUND for an unknown column; SN_EPARSE for a row without text. */
SN_CHECKED sn_status sn_passages_make(sn_passage **out, int64_t *n, sn_ctx *ctx, const sn_dataset *data,
									  const sn_passage_query *query, sn_arena *arena);
/* Returns the column of that name, or ("auto") the first of the usual ones; NULL with SN_ENOTFOUND set where there is
 * none, SN_EPARSE where it is not text. */
const sn_column *sn_text_column(sn_ctx *ctx, const sn_dataset *data, const char *name, const char *const *usual,
								int n_usual);

/* Returns where a token of a text begins, white space before it not counted; its end if it is white space alone. */
int64_t sn_visible(const char *text, const int64_t span[2]);
/* Whether token i > 0 of a text continues the word of the one before: of the same piece that the pre-tokenizer cuts,
 * and without white space between. False for tokens that were added. */
bool sn_token_continues(const char *text, const sn_tokens *tokens, int64_t i);

#endif
