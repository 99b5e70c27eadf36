/* Data sets of one format (FUZZ_FORMAT): columns as long as the rows, text in UTF-8. */
#include "fuzz.h"

#include <string.h>

#include "data/dataset.h"

static void check_column(const sn_column *c, int64_t n)
{
	fuzz_require((c->i || c->f || c->s || c->b || c->span) && c->name[0]);
	for (int64_t r = 0; r < n && c->s; r++)
		if (c->s[r]) fuzz_require(sn_utf8_check(c->s[r], strlen(c->s[r])) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_dataset *data;
	if (!fuzz_ok(sn_dataset_parse(&data, fuzz_ctx(), "input", FUZZ_FORMAT, (const char *)bytes, size))) return 0;
	fuzz_require(data->n > 0 && data->n_col > 0 && strlen(data->sha256) == 64);
	for (int i = 0; i < data->n_col; i++) check_column(&data->col[i], data->n);
	sn_dataset_close(data);
	return 0;
}
