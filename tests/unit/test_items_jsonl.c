/* Items written as JSONL and read back are the same items; a damaged file is named by row and column. */
#include "common/items_check.h"

#include <string.h>

#include "data/dataset.h"

typedef struct written {
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_tokenizer *tokenizer;
	sn_items *items;
	sn_buf text;
} written;

static written write_suite(sn_ctx *ctx, bool tokens)
{
	written w = { .text = { .ctx = ctx } };
	sn_items_size size = { .probe = 80, .pair = { 16, 12, 16 } };
	assert_ok(ctx, sn_arena_open(&w.arena, ctx));
	assert_ok(ctx, sn_phenomenon_open(&w.p, ctx, "en/number-agreement", w.arena));
	w.tokenizer = suite_tokenizer_without(ctx, w.p, w.arena, "wolves teachers gives");
	assert_ok(ctx, sn_items_make(&w.items, ctx, w.p, tokens ? w.tokenizer : NULL, &size, 4, w.arena));
	sn_items_jsonl(&w.text, w.items);
	assert_false(w.text.failed);
	return w;
}

static void done(written *w)
{
	sn_buf_free(&w->text);
	sn_tokenizer_close(w->tokenizer);
	sn_arena_close(w->arena);
}

static sn_status read_any(sn_ctx *ctx, const char *text, const sn_tokenizer *tokenizer, bool any_length,
						  sn_arena *arena, sn_items **out)
{
	sn_dataset *data;
	*out = NULL;
	SN_TRY(sn_dataset_parse(&data, ctx, "items.jsonl", SN_DATA_JSONL, text, strlen(text)));
	sn_status status = sn_items_read(out, ctx, data, tokenizer, any_length, arena);
	sn_dataset_close(data);
	return status;
}

static sn_status read_text(sn_ctx *ctx, const char *text, const sn_tokenizer *tokenizer, sn_arena *arena,
						   sn_items **out)
{
	return read_any(ctx, text, tokenizer, false, arena, out);
}

static void the_round_trip_is_exact(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	for (int tokens = 0; tokens < 2; tokens++) {
		written w = write_suite(ctx, tokens);
		sn_items *back;
		assert_ok(ctx, read_text(ctx, w.text.data, tokens ? w.tokenizer : NULL, w.arena, &back));
		check_same_items(w.items, back);
		assert_int_equal(back->n_dropped, 0);
		assert_int_equal(back->n_drop, 0);
		assert_string_equal(back->source, "items.jsonl");
		sn_buf again = { .ctx = ctx };
		sn_items_jsonl(&again, back);
		assert_string_equal(again.data, w.text.data);
		sn_buf_free(&again);
		done(&w);
	}
}

/* Text made without a tokenizer meets one when it is read. */
static void a_tokenizer_drops_what_it_cannot_use(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	written w = write_suite(ctx, false);
	sn_items *back;
	assert_ok(ctx, read_text(ctx, w.text.data, w.tokenizer, w.arena, &back));
	assert_int_equal(back->n_choice, 19);
	assert_int_equal(count_dropped(back, "choice: more than one token"), 1);
	assert_true(back->n_dropped > 0);
	assert_int_equal(back->n_dropped, count_dropped(back, "token count"));
	int64_t mid = 0, regular = 0; /* wolf is mid and irregular, teacher high and regular */
	for (int d = 1; d < back->n_drop; d++) {
		assert_string_equal(back->drop[d].reason, "token count");
		bool wolf = strcmp(back->drop[d].group, "irregular") == 0;
		assert_string_equal(back->drop[d].frequency, wolf ? "mid" : "high");
		*(wolf ? &mid : &regular) += back->drop[d].n;
	}
	assert_int_equal(mid + regular, back->n_dropped);
	assert_null(back->drop[0].group);
	assert_null(back->drop[0].frequency);
	assert_int_equal(back->n + back->n_dropped, w.items->n);
	assert_int_equal(back->n_probe, w.items->n_probe);
	for (int64_t i = 0; i < back->n_pair; i++) {
		const sn_pair *pair = &back->pair[i];
		assert_int_equal(back->start[pair->base + 1] - back->start[pair->base],
						 back->start[pair->source + 1] - back->start[pair->source]);
	}
	done(&w);
}

/* With any length allowed nothing but choice words is dropped, and what was read is what would have been made. */
static void pairs_of_any_length_are_kept_if_asked_for(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	written w = write_suite(ctx, false);
	sn_items *equal, *any, *again;
	sn_buf text = { .ctx = ctx };
	assert_ok(ctx, read_any(ctx, w.text.data, w.tokenizer, false, w.arena, &equal));
	assert_ok(ctx, read_any(ctx, w.text.data, w.tokenizer, true, w.arena, &any));
	assert_int_equal(any->n, w.items->n);
	assert_int_equal(any->n_dropped, 0);
	assert_int_equal(any->n_unequal, equal->n_dropped);
	assert_int_equal(equal->n_unequal, 0);
	check_items(ctx, any, w.p, w.tokenizer);
	sn_items_jsonl(&text, any);
	assert_ok(ctx, read_any(ctx, text.data, w.tokenizer, true, w.arena, &again));
	check_same_items(any, again);
	sn_buf_free(&text);
	done(&w);
}

/* A row is plain data for other readers too: text, byte spans, labels by name. */
static void rows_are_readable_data(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	written w = write_suite(ctx, true);
	sn_dataset *data;
	assert_ok(ctx, sn_dataset_parse(&data, ctx, "items.jsonl", SN_DATA_JSONL, w.text.data, strlen(w.text.data)));
	assert_int_equal(data->n, w.items->n);
	const sn_column *text = sn_dataset_column(data, "text"), *number = sn_dataset_column(data, "labels.number");
	const sn_column *subject = sn_dataset_column(data, "roles.subject"), *form = sn_dataset_column(data, "form");
	assert_non_null(subject);
	assert_int_equal(subject->type, SN_TYPE_SPAN);
	for (int64_t i = 0; i < data->n; i++) {
		assert_string_equal(number->s[i], w.items->item[i].n > 0 ? "pl" : "sg");
		assert_memory_equal(text->s[i] + subject->span[i][0], form->s[i], strlen(form->s[i]));
	}
	sn_dataset_close(data);
	done(&w);
}

/* Replaces the first occurrence of from after the start of line `line`. */
static char *edited(const written *w, int line, const char *from, const char *to)
{
	const char *at = w->text.data;
	for (int i = 1; i < line; i++) at = strchr(at, '\n') + 1;
	at = strstr(at, from);
	if (!at) fail_msg("no %s", from);
	return sn_arena_format(w->arena, "%.*s%s%s", (int)(at - w->text.data), w->text.data, to, at + strlen(from));
}

static void mistakes_are_named_by_row_and_column(void **state)
{
	static const struct {
		int line;
		const char *from, *to, *error;
	} mistake[] = {
		{ 2, "\"n\": 1", "\"n\": 2", "n: expected a whole number from -1 to 1" },
		{ 1, "\"n\": -1", "\"n\": 1", "item 1: n: expected the sign of the first label" },
		{ 1, "\"n\": -1", "\"n\": \"x\"", "expected a column n of whole numbers" },
		{ 1, "\"fold\": ", "\"fold\": 2", "fold: expected a whole number from 0 to 19" },
		{ 3, "\"number\": \"sg\"", "\"number\": \"du\"", "labels.number: expected one of its two values" },
		{ 3, "\"subject\": [", "\"subject\": [-1, -1], \"x\": [", "" },
		{ 3, "\"last\": [", "\"last\": [1", "item 3: roles.last: expected a byte span inside the text" },
		{ 2, "\"use\": \"probe\"", "\"use\": \"prob\"", "item 2: use: expected probe, main" },
		{ 2, "\"lead_set\": \"test\"", "\"lead_set\": \"dev\"", "item 2: lead_set: expected train or test" },
		{ 2, "\"lead_set\": \"test\"", "\"lead_set\": \"train\"",
		  "item 1: lead_set: expected twins: train, then test" },
		{ 4, "\"unit\": 1", "\"unit\": 7", "item 3: unit: expected its other member" },
		{ 1, "are/is", "are-is", "choices: expected as many pairs" },
		{ 1, "\"frame\": \"adverb\"", "\"frame\": null", "item 1: frame: expected text" },
		{ 1, "\"frequency\": \"", "\"frequency\": \"very ", "item 1: frequency: expected high, mid or low" },
		{ 1, "\"number\": \"pl/sg\"", "\"number\": \"pl\"", "values.number: expected the words for +1 and -1" },
	};
	sn_ctx *ctx = test_ctx(state);
	written w = write_suite(ctx, true);
	int bad = 0;
	for (int i = 0; i < SN_COUNT(mistake); i++) {
		sn_items *items;
		sn_status status =
			read_text(ctx, edited(&w, mistake[i].line, mistake[i].from, mistake[i].to), w.tokenizer, w.arena, &items);
		bool named =
			status == SN_EPARSE && strstr(sn_error(ctx), mistake[i].error) && strstr(sn_error(ctx), "items.jsonl");
		if (!named)
			print_error("expected \"%s\", found \"%s\"\n", mistake[i].error, status ? sn_error(ctx) : "success");
		bad += !named;
		assert_true(status == SN_OK || items == NULL);
	}
	assert_int_equal(bad, 0);
	done(&w);
}

static void other_data_is_refused(void **state)
{
	sn_arena *arena;
	sn_items *items;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	const char *text = "{\"text\": \"a b\", \"label\": 1}\n{\"text\": \"c d\", \"label\": 0}\n";
	assert_int_equal(read_text(test_ctx(state), text, NULL, arena, &items), SN_EPARSE);
	assert_non_null(strstr(sn_error(test_ctx(state)), "sonde data make"));
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_round_trip_is_exact),
		cmocka_unit_test(a_tokenizer_drops_what_it_cannot_use),
		cmocka_unit_test(pairs_of_any_length_are_kept_if_asked_for),
		cmocka_unit_test(rows_are_readable_data),
		cmocka_unit_test(mistakes_are_named_by_row_and_column),
		cmocka_unit_test(other_data_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
