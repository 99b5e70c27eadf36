/* A method run as the command does it: a model, a file of data, options by name. */
#ifndef SN_TEST_METHOD_RUN_H
#define SN_TEST_METHOD_RUN_H

#include "common/test.h"

typedef struct method_run {
	sn_ctx *ctx;
	sn_model *model;
	sn_dataset *data;
	sn_result *result;
	sn_arena *arena;
	char folder[64], file[128];
} method_run;

/* Opens a model, and text as a file of that name (which says the format). */
void method_open(method_run *r, sn_ctx *ctx, const char *model, const char *name, const char *text);
/* Runs family/name with options ("name=value", NULL at the end); the result before it is closed. */
sn_status method_status(method_run *r, const char *family, const char *name, const char *const *set);
/* The same; a failure ends the test. */
void method_do(method_run *r, const char *family, const char *name, const char *const *set);
/* Number, text of a column of a result's row, by the column's name. */
double method_number(const method_run *r, int table, int64_t row, const char *column);
const char *method_text(const method_run *r, int table, int64_t row, const char *column);
void method_close(method_run *r);

#endif
