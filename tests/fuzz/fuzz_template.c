/* Templates from JSON Lines with columns text, from, to, target: every combination is a text that has its target. */
#include "fuzz.h"

#include "data/template.h"

static const sn_column *text_column(const sn_dataset *data, const char *name)
{
	const sn_column *column = sn_dataset_column(data, name);
	return column && column->type == SN_TYPE_TEXT ? column : NULL;
}

static void check_texts(const sn_template *t)
{
	sn_buf buf = { .ctx = fuzz_ctx() };
	int64_t n = 1, seen = 0, span[2];
	for (int i = 0; i < t->n; i++) n *= t->part[i].n;
	fuzz_require(n == t->n_text && t->n_text <= SN_TEMPLATE_TEXTS && t->target < t->n);
	for (int64_t c = 0; c < SN_MIN(t->n_text, 100); c++) {
		int64_t same = 0;
		fuzz_require(sn_template_write(t, c, &buf, span) == SN_OK);
		fuzz_require(span[0] >= 0 && span[0] <= span[1] && span[1] <= (int64_t)buf.size);
		for (int i = 0; i < t->n; i++) same = same * t->part[i].n + sn_template_choice(t, c, i);
		seen += same == c;
	}
	fuzz_require(seen == SN_MIN(t->n_text, 100));
	sn_buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_dataset *data;
	if (!fuzz_ok(sn_dataset_parse(&data, fuzz_ctx(), "input", SN_DATA_JSONL, (const char *)bytes, size))) return 0;
	sn_template_columns columns = { .text = text_column(data, "text"), .from = text_column(data, "from"),
		                            .to = text_column(data, "to"), .target = text_column(data, "target") };
	for (int64_t row = 0; columns.text && row < data->n; row++) {
		sn_arena *arena;
		sn_template t;
		fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
		if (fuzz_ok(sn_template_read(&t, fuzz_ctx(), data, &columns, row, arena))) check_texts(&t);
		sn_arena_close(arena);
	}
	sn_dataset_close(data);
	return 0;
}
