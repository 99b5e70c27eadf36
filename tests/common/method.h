/* A method on a model and a data file, with options as the command line has them. */
#ifndef SN_TEST_METHOD_H
#define SN_TEST_METHOD_H

#include "common/test.h"

typedef struct method_run {
	sn_ctx *ctx;
	const sn_method *method;
	sn_model *model;
	sn_dataset *data;
	sn_result *result;
	sn_arena *arena;
	char folder[64], file[128];
} method_run;

/* Opens a model and, as its data, text in a file of that name (which says the format). */
void method_open(method_run *r, sn_ctx *ctx, const char *family, const char *name, const char *model, const char *file,
				 const char *text);
/* The same with a variant of golden/arch under the tokenizer of golden/behaviour. */
void method_open_arch(method_run *r, sn_ctx *ctx, const char *family, const char *name, const char *variant,
					  const char *file, const char *text);
/* Runs it anew; options "name=value", NULL at the end. */
sn_status method_status(method_run *r, const char *const *option);
void method_go(method_run *r, const char *const *option);
void method_close(method_run *r);
/* The number of a column, by name, in a table; the test fails where there is none. */
int method_column(const method_run *r, int table, const char *name);
double method_number(const method_run *r, int table, int64_t row, const char *column);
/* The text of a column likewise. */
const char *method_text(const method_run *r, int table, int64_t row, const char *column);

#endif
