/* What every test program starts with: cmocka, and a context as group state. */
#ifndef SN_TEST_H
#define SN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

/* Group set-up and tear-down: *state is a context with seed 1 and two threads. */
int test_open(void **state);
int test_close(void **state);
sn_ctx *test_ctx(void **state);
/* Asserts a call's success, printing the context's error otherwise. */
#define assert_ok(ctx, call) test_ok((ctx), (call), #call, __FILE__, __LINE__)
void test_ok(sn_ctx *ctx, sn_status status, const char *call, const char *file, int line);
/* Returns |a - b|_2 / |b|_2 over n values (|a|_2 if b is zero); infinity if any a is not finite. */
double test_relative_error(const float *a, const float *b, int64_t n);
/* Ends the program as skipped (exit code 77), saying why, unless the file exists. Call first in main. */
void test_need_file(const char *path);

#endif
