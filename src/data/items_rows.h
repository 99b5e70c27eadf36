/* Items while they are made or read: rows of text with what is known about each, fitted to a tokenizer one by one,
 * packed at the end. Only the files that make and read items include it. */
#ifndef SN_DATA_ITEMS_ROWS_H
#define SN_DATA_ITEMS_ROWS_H

#include "data/phenomenon.h"

typedef int32_t sn_i32_pair[2];
typedef int64_t sn_i64_pair[2];
typedef const char *sn_text_pair[2];

enum { SN_NO_PAIR = -1 };

/* A prefix. Strings are borrowed. */
typedef struct sn_item_row {
	const char *text, *frame, *condition, *lemma, *attractor, *form, *group,
		*lead;                     /* condition, attractor: NULL for none */
	int64_t bytes[SN_MAX_ROLE][2]; /* of each role; {-1, -1}: absent */
	int8_t z[SN_MAX_ROLE];         /* of each label: +1, -1, 0 */
	int8_t attractor_n, test_lead; /* attractor's feature: +1, -1, 0 without */
	int kind;                      /* sn_pair_kind, or SN_NO_PAIR: a probe prefix */
	int32_t fold, choice_set;
	int8_t frequency; /* of the controller's lemma, sn_frequency or -1 */
	int32_t n_token;
	const int32_t *token; /* NULL: not fitted */
	int32_t span[SN_MAX_ROLE][2];
} sn_item_row;

/* Rows in the order of the items: twins of probe prefixes next to each other, then the two members of each pair. */
typedef struct sn_item_rows {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_tokenizer *tokenizer; /* NULL: text only */
	bool any_length;               /* members of a pair may differ in their number of tokens */
	const char *id, *source, *lang;
	int n_role, n_label, n_fold;
	const char *role[SN_MAX_ROLE], *label[SN_MAX_ROLE];
	const char *value[SN_MAX_ROLE][2];
	int n_choice, n_choice_set, least_choice;
	const char *(*choice)[2]; /* [n_choice_set * n_choice] forms for +1, -1 */
	sn_choice *choice_token;  /* the same as tokens */
	int64_t n, room;
	sn_item_row *row;
	int n_drop, drop_room;
	sn_drop *drop;
	int64_t n_generated, n_dropped;
} sn_item_rows;

/* Makes room for n more rows. */
SN_CHECKED sn_status sn_item_rows_reserve(sn_item_rows *rows, int64_t n);
/* Counts n prefixes dropped for a reason; group, frequency: of the controller's lemma, or NULL (choice words). Strings
 * are borrowed. */
SN_CHECKED sn_status sn_item_rows_drop(sn_item_rows *rows, const char *reason, const char *group, const char *frequency,
									   int64_t n);
/* Removes choice pairs whose two forms are equal, and, with a tokenizer, those of which a form is not one token after
 * context and a space, or that have more alternatives in one set than in another; sets choice_token. SN_EARG if a
 * tokenizer leaves fewer than least_choice, naming the others. */
SN_CHECKED sn_status sn_item_rows_fit_choices(sn_item_rows *rows, const char *context);
/* Tokenizes a row (word: a choice word that may follow it) and sets token and span. *reason: NULL, or why it must be
 * dropped: a role at the first token, roles that share one, a role without one, a choice word that changes the tokens
 * before it. */
SN_CHECKED sn_status sn_item_row_fit(const sn_item_rows *rows, sn_item_row *row, const char *word, const char **reason);
/* Whether the members of a unit are a pair that must be dropped for their numbers of tokens. */
bool sn_item_rows_unequal(const sn_item_rows *rows, const sn_item_row *row /* [2] */);
/* Packs the rows into items; they must come in the order that sn_items describes. */
SN_CHECKED sn_status sn_item_rows_pack(sn_items **out, sn_item_rows *rows);

#endif
