#include "common/generate_golden.h"

#include <math.h>
#include <string.h>

enum { ROOM = 128 };

int32_t golden_tokens(const json_t *list, int32_t *out, int32_t room)
{
	int32_t n = (int32_t)json_array_size(list);
	assert_true(n <= room);
	for (int32_t i = 0; i < n; i++) out[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
	return n;
}

static double number_or(const json_t *options, const char *key, double missing)
{
	const json_t *value = json_object_get(options, key);
	return value ? json_number_value(value) : missing;
}

static sn_decoding decoding_of(const json_t *options, const int32_t *eos)
{
	sn_decoding d = sn_decoding_greedy((int64_t)number_or(options, "max_new_tokens", 0));
	const json_t *early = json_object_get(options, "early_stopping");
	d.width = (int32_t)number_or(options, "num_beams", 1);
	d.n = (int32_t)number_or(options, "num_return_sequences", 1);
	d.length_penalty = number_or(options, "length_penalty", 1);
	d.early = json_is_true(early) ? SN_EARLY_YES : json_is_string(early) ? SN_EARLY_NEVER : SN_EARLY_NO;
	d.repetition_penalty = number_or(options, "repetition_penalty", 1);
	d.forced_bos = (int32_t)number_or(options, "forced_bos_token_id", -1);
	d.forced_eos = (int32_t)number_or(options, "forced_eos_token_id", -1);
	d.eos = eos;
	d.n_eos = 1;
	return d;
}

static void compare(const sn_generated *found, const json_t *expected, int32_t i, const char *name, const char *label)
{
	int32_t ids[ROOM], n = golden_tokens(json_array_get(json_object_get(expected, "ids"), (size_t)i), ids, ROOM);
	const json_t *scores = json_object_get(expected, "scores");
	bool same = found->n == n && memcmp(found->token, ids, (size_t)n * sizeof *ids) == 0;
	for (int32_t t = 0; t < SN_MAX(n, found->n) && !same; t++)
		print_message("%d:%d ", t < found->n ? found->token[t] : -1, t < n ? ids[t] : -1);
	if (!same) fail_msg("%s: %s: continuation %d has other tokens (found:expected above)", name, label, i);
	if (!scores) return;
	double score = json_number_value(json_array_get(scores, (size_t)i));
	if (fabs(found->score - score) > 1e-4 * (1 + fabs(score)))
		fail_msg("%s: %s: continuation %d scores %.6f, expected %.6f", name, label, i, found->score, score);
}

int golden_generate(sn_ctx *ctx, sn_model *model, const char *name, const json_t *cases, const json_t *row, int32_t eos)
{
	int32_t token[ROOM], enc_token[ROOM];
	int64_t start[] = { 0, golden_tokens(json_object_get(row, "prompt"), token, ROOM) };
	int64_t enc_start[] = { 0, golden_tokens(json_object_get(row, "source"), enc_token, ROOM) };
	sn_batch enc = { .n = 1, .token = enc_token, .start = enc_start };
	sn_batch prompt = { .n = 1, .token = token, .start = start, .enc = enc_start[1] ? &enc : NULL };
	const char *label;
	json_t *options;
	int n = 0;
	json_object_foreach((json_t *)(uintptr_t)cases, label, options) {
		const json_t *expected = json_object_get(row, label);
		if (!expected) continue;
		sn_decoding d = decoding_of(options, &eos);
		sn_arena *arena;
		sn_generated *found;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		assert_ok(ctx, sn_generate(ctx, model, &prompt, NULL, &d, arena, &found));
		assert_int_equal(json_array_size(json_object_get(expected, "ids")), d.n);
		for (int32_t i = 0; i < d.n; i++) compare(&found[i], expected, i, name, label);
		sn_arena_close(arena);
		n++;
	}
	return n;
}
