#include "common/golden.h"

#include <math.h>
#include <string.h>

sn_tensor_file *golden_open(sn_ctx *ctx, const char *name)
{
	char path[512];
	sn_format(path, sizeof path, "%s/golden/%s", SN_TESTS, name);
	sn_tensor_file *file;
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, path));
	return file;
}

double *golden_f64(sn_arena *arena, const sn_tensor_file *file, int64_t *dim, const char *format, ...)
{
	char name[256];
	va_list args;
	va_start(args, format);
	sn_vformat(name, sizeof name, format, args);
	va_end(args);
	const sn_stored *t = sn_tensor_file_find(file, name);
	if (!t) fail_msg("golden file without %s", name);
	for (int i = 0; dim && i < 2; i++) dim[i] = i < t->ndim ? t->dim[i] : 1;
	double *out = SN_TAKE(arena, double, t->count);
	assert_non_null(out);
	for (int64_t i = 0; i < t->count; i++) {
		int32_t whole;
		if (t->type->dtype == SN_F64)
			memcpy(out + i, t->data + 8 * i, 8);
		else if (t->type->dtype == SN_I32) {
			memcpy(&whole, t->data + 4 * i, 4);
			out[i] = whole;
		} else
			fail_msg("%s: unexpected type %s", name, t->type->name);
	}
	return out;
}

float *golden_f32(sn_arena *arena, const double *values, int64_t n)
{
	float *out = SN_TAKE(arena, float, n);
	assert_non_null(out);
	for (int64_t i = 0; i < n; i++) out[i] = (float)values[i];
	return out;
}

double golden_gap(const double *a, const double *b, int64_t n)
{
	double gap = 0;
	for (int64_t i = 0; i < n; i++) {
		double g = fabs(a[i] - b[i]);
		if (!isfinite(g)) return INFINITY;
		gap = fmax(gap, g);
	}
	return gap;
}
