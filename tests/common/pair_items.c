#include "common/pair_items.h"

#include <string.h>

static int read_tokens(const json_t *list, int32_t *out)
{
	for (size_t i = 0; i < json_array_size(list); i++) out[i] = (int32_t)json_integer_value(json_array_get(list, i));
	return (int)json_array_size(list);
}

void pair_items_load(pair_items *p, const json_t *root)
{
	memset(p, 0, sizeof *p);
	int n = read_tokens(json_object_get(root, "base"), p->token);
	assert_true(n > 0 && n <= PAIR_ITEMS_MOST);
	assert_int_equal(read_tokens(json_object_get(root, "source"), p->token + n), n);
	assert_int_equal(read_tokens(json_object_get(root, "tokens"), p->choice.form), 2);
	p->start[1] = n;
	p->start[2] = 2 * n;
	p->pair[0] = (sn_pair){ 0, 1, SN_PAIR_MAIN };
	p->pair[1] = (sn_pair){ 1, 0, SN_PAIR_MAIN };
	p->items = (sn_items){ .source = "test",
						   .n = 2,
						   .item = p->item,
						   .token = p->token,
						   .start = p->start,
						   .n_fold = 1,
						   .n_choice = 1,
						   .n_choice_set = 1,
						   .choice = &p->choice,
						   .n_pair = 2,
						   .pair = p->pair };
}

void pair_items_unequal(pair_items *p, const json_t *unequal, int32_t (*span)[2])
{
	const json_t *source = json_object_get(unequal, "source"), *places = json_object_get(unequal, "places");
	int n_role = (int)json_array_size(places), n = (int)p->start[1], longer = (int)json_array_size(source);
	assert_true(longer > n && n + longer <= 2 * PAIR_ITEMS_MOST);
	read_tokens(source, p->token + n);
	p->start[2] = n + longer;
	for (int i = 0; i < 2 * n_role; i++) {
		const json_t *place = json_array_get(places, (size_t)(i % n_role));
		span[i][0] = (int32_t)json_integer_value(json_array_get(place, (size_t)(i / n_role)));
		span[i][1] = span[i][0] + 1;
	}
	p->items.n_role = n_role;
	p->items.span = (const int32_t(*)[2])span;
}

double pair_items_difference(const json_t *logits)
{
	return json_real_value(json_array_get(logits, 0)) - json_real_value(json_array_get(logits, 1));
}
