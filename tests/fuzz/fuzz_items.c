/* Items from JSON Lines, with and without a tokenizer: every index points at something, every span into its text. */
#include "fuzz.h"

#include <string.h>

#include "data/dataset.h"
#include "data/items.h"

static void check_item(const sn_items *items, int64_t i)
{
	const sn_item *item = &items->item[i];
	int64_t size = (int64_t)strlen(item->text);
	fuzz_require(item->frame >= 0 && item->frame < items->n_frame && item->condition < items->n_condition);
	fuzz_require(item->lemma >= 0 && item->lemma < items->n_lemma && item->attractor < items->n_lemma);
	fuzz_require(item->form >= 0 && item->form < items->n_form && item->group >= 0 && item->group < items->n_group);
	fuzz_require(item->fold >= 0 && item->fold < items->n_fold && item->twin >= -1 && item->twin < items->n);
	fuzz_require(item->choice_set >= 0 && item->choice_set < items->n_choice_set && (item->n == 1 || item->n == -1));
	for (int r = 0; r < items->n_role; r++) {
		const int64_t *bytes = items->bytes[i * items->n_role + r];
		fuzz_require(bytes[0] >= -1 && bytes[0] <= bytes[1] && bytes[1] <= size);
		if (!items->token) continue;
		const int32_t *span = items->span[i * items->n_role + r];
		fuzz_require(span[0] >= -1 && span[0] <= span[1] && span[1] <= items->start[i + 1] - items->start[i]);
	}
	for (int l = 0; l < items->n_label; l++) fuzz_require(items->z[i * items->n_label + l] / 2 == 0);
}

static void read_items(const sn_dataset *data, const sn_tokenizer *tokenizer, bool any_length)
{
	sn_arena *arena;
	sn_items *items;
	fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
	if (fuzz_ok(sn_items_read(&items, fuzz_ctx(), data, tokenizer, any_length, arena))) {
		for (int64_t i = 0; i < items->n; i++) check_item(items, i);
		for (int64_t p = 0; p < items->n_pair; p++) {
			const sn_pair *pair = &items->pair[p];
			fuzz_require(pair->base >= 0 && pair->base < items->n && pair->source >= 0 && pair->source < items->n);
			if (!items->token) continue;
			bool equal = items->start[pair->base + 1] - items->start[pair->base] ==
						 items->start[pair->source + 1] - items->start[pair->source];
			fuzz_require(equal || (any_length && items->n_unequal > 0));
		}
	}
	sn_arena_close(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_dataset *data;
	if (!fuzz_ok(sn_dataset_parse(&data, fuzz_ctx(), "input", SN_DATA_JSONL, (const char *)bytes, size))) return 0;
	read_items(data, NULL, false);
	read_items(data, fuzz_tokenizer(), false);
	read_items(data, fuzz_tokenizer(), true);
	sn_dataset_close(data);
	return 0;
}
