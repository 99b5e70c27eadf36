/* Allocations on the way from a phenomenon to items, to JSONL and back fail, one in each turn: the answer is SN_ENOMEM,
 * and nothing leaks. The first ones all take their turn; later ones, thousands in the tokenizer, ever fewer. */
#include "common/items_check.h"

#include <string.h>

#include "data/dataset.h"

typedef struct faulty {
	int64_t left; /* allocations until one fails */
	int64_t live;
} faulty;

static void *faulty_alloc(void *payload, size_t size)
{
	faulty *f = payload;
	if (f->left-- == 0) return NULL;
	f->live++;
	return aligned_alloc(64, size);
}

static void faulty_free(void *payload, void *p)
{
	((faulty *)payload)->live--;
	free(p);
}

static sn_status read_back(sn_ctx *ctx, const sn_items *items, const sn_tokenizer *tokenizer, sn_arena *arena)
{
	sn_buf text = { .ctx = ctx };
	sn_dataset *data = NULL;
	sn_items *back;
	sn_items_jsonl(&text, items);
	sn_status status = text.failed ? SN_ENOMEM : SN_OK;
	if (status == SN_OK) status = sn_dataset_parse(&data, ctx, "items", SN_DATA_JSONL, text.data, text.size);
	if (status == SN_OK) status = sn_items_read(&back, ctx, data, tokenizer, false, arena);
	if (status == SN_OK) check_same_items(items, back);
	sn_dataset_close(data);
	sn_buf_free(&text);
	return status;
}

static sn_status all_the_way(sn_ctx *ctx, const sn_tokenizer *tokenizer)
{
	static const sn_items_size size = { .probe = 32, .pair = { 8, 6, 16 } };
	const sn_phenomenon *p;
	sn_items *items;
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = sn_phenomenon_open(&p, ctx, "en/number-agreement", arena);
	if (status == SN_OK) status = sn_items_make(&items, ctx, p, tokenizer, &size, 1, arena);
	if (status == SN_OK) status = read_back(ctx, items, tokenizer, arena);
	sn_arena_close(arena);
	return status;
}

static void allocations_may_fail(void **state)
{
	sn_arena *arena;
	const sn_phenomenon *p;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	assert_ok(test_ctx(state), sn_phenomenon_open(&p, test_ctx(state), "en/number-agreement", arena));
	sn_tokenizer *tokenizer = suite_tokenizer(test_ctx(state), p, arena);
	sn_status status = SN_ENOMEM;
	int64_t n = 0;
	for (; status != SN_OK; n += 1 + n / 24) {
		faulty f = { .left = n };
		sn_options options = {
			.size = sizeof options, .threads = 1, .alloc = faulty_alloc, .dealloc = faulty_free, .alloc_payload = &f
		};
		sn_ctx *ctx;
		status = sn_ctx_open(&ctx, &options);
		if (status == SN_OK) status = all_the_way(ctx, tokenizer);
		if (status != SN_OK) assert_int_equal(status, SN_ENOMEM);
		sn_ctx_close(ctx);
		assert_int_equal(f.live, 0);
	}
	assert_true(n > 10);
	sn_tokenizer_close(tokenizer);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(allocations_may_fail) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
