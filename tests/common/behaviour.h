/* Behaviour methods on tiny models: a folder with a model, a tokenizer and a data file, and a run's result. */
#ifndef SN_TEST_BEHAVIOUR_H
#define SN_TEST_BEHAVIOUR_H

#include <jansson.h>

#include "common/test.h"

typedef struct behaviour {
	sn_ctx *ctx;
	sn_model *model;
	sn_dataset *data;
	sn_result *result;
	char folder[64], file[128];
} behaviour;

/* Opens a model and, as its data, text in a file of that name (which says the format). */
void behaviour_open_data(behaviour *b, sn_ctx *ctx, const char *model, const char *name, const char *text);
void behaviour_open_lines(behaviour *b, sn_ctx *ctx, const char *model, const char *lines);
/* A model, and objects as JSON Lines (their members that are texts). */
void behaviour_open_rows(behaviour *b, sn_ctx *ctx, const char *model, json_t *rows);
/* The same with the tiny Llama. */
void behaviour_open_tiny(behaviour *b, sn_ctx *ctx, json_t *rows);
/* The same with a variant of golden/arch under the tokenizer of golden/behaviour. */
void behaviour_open_arch(behaviour *b, sn_ctx *ctx, const char *variant, json_t *rows);
/* Runs behaviour NAME anew. */
sn_status behaviour_status(behaviour *b, const char *name, const void *param);
void behaviour_run(behaviour *b, const char *name, const void *param);
/* Compares a column of the words of a text with its golden list (null: missing), to 1e-4 of a bit, or of the value if
 * that is more; *row: the first word, advanced past them. */
void behaviour_check_words(behaviour *b, json_t *text, const char *key, int column, int64_t *row);
void behaviour_close(behaviour *b);

#endif
