#include "common/test.h"

#include <math.h>
#include <unistd.h>

int test_open(void **state)
{
	sn_options options = { .size = sizeof options, .threads = 2, .seed = 1 };
	return sn_ctx_open((sn_ctx **)state, &options);
}

int test_close(void **state)
{
	sn_ctx_close(*state);
	return 0;
}

sn_ctx *test_ctx(void **state) { return *state; }

void test_ok(sn_ctx *ctx, sn_status status, const char *call, const char *file, int line)
{
	if (status == SN_OK) return;
	print_error("%s: %s: %s\n", call, sn_status_text(status), sn_error(ctx));
	_fail(file, line);
}

double test_relative_error(const float *a, const float *b, int64_t n)
{
	double diff = 0, norm = 0;
	for (int64_t i = 0; i < n; i++) {
		if (!isfinite(a[i])) return INFINITY;
		diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		norm += (double)b[i] * b[i];
	}
	return sqrt(norm > 0 ? diff / norm : diff);
}

void test_need_file(const char *path)
{
	if (access(path, R_OK) == 0) return;
	print_message("SKIPPED: needs %s\n", path);
	exit(77);
}
