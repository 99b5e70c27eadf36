#include "common/items_check.h"

#include <string.h>

#include "common/word_tokenizer.h"

static bool is_listed(const char *list, const char *word)
{
	size_t size = strlen(word);
	for (const char *at = list; *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");
		if (n == size && memcmp(at, word, n) == 0) return true;
		at += n;
	}
	return false;
}

sn_tokenizer *suite_tokenizer_without(sn_ctx *ctx, const sn_phenomenon *p, sn_arena *arena, const char *without)
{
	(void)arena;
	sn_buf words = { .ctx = ctx };
	for (int c = 0; c < p->n_class; c++)
		for (int i = 0; i < p->classes[c].n; i++)
			for (int f = 0; f < p->classes[c].lexeme[i].n_form; f++) {
				const char *form = p->classes[c].lexeme[i].form[f].text;
				if (!is_listed(without, form)) sn_buf_format(&words, "%s ", form);
			}
	sn_tokenizer *out = word_tokenizer(ctx, words.data);
	sn_buf_free(&words);
	return out;
}

sn_tokenizer *suite_tokenizer(sn_ctx *ctx, const sn_phenomenon *p, sn_arena *arena)
{
	return suite_tokenizer_without(ctx, p, arena, "");
}

int64_t count_dropped(const sn_items *items, const char *reason)
{
	int64_t n = 0;
	for (int d = 0; d < items->n_drop; d++)
		if (strcmp(items->drop[d].reason, reason) == 0) n += items->drop[d].n;
	return n;
}

/* ---- balance ---- */

void check_balance(const sn_items *items, int64_t from, int64_t to)
{
	int64_t cell[64][3][2] = { 0 };
	for (int64_t i = from; i < to; i++) {
		const sn_item *q = &items->item[i];
		cell[q->frame][q->attractor_n + 1][q->n > 0]++;
	}
	int64_t each = 0;
	for (int f = 0; f < items->n_frame; f++)
		for (int a = 0; a < 3; a++) each = SN_MAX(each, cell[f][a][0]);
	assert_true(each > 0);
	for (int f = 0; f < items->n_frame; f++) {
		bool attracted = cell[f][0][0] > 0;
		for (int a = 0; a < 3; a++)
			for (int n = 0; n < 2; n++) {
				bool used = attracted ? a != 1 : a == 1 && cell[f][1][0] > 0;
				assert_int_equal(cell[f][a][n], used ? each : 0);
			}
	}
}

/* ---- folds and lead-ins ---- */

static void check_folds(const sn_items *items)
{
	int32_t *fold = test_malloc(sizeof *fold * (size_t)items->n_lemma);
	for (int i = 0; i < items->n_lemma; i++) fold[i] = -1;
	for (int64_t i = 0; i < items->n; i++) {
		const sn_item *q = &items->item[i];
		int32_t both[] = { q->lemma, q->attractor };
		assert_true(q->fold >= 0 && q->fold < items->n_fold);
		assert_true(q->lemma != q->attractor);
		for (int k = 0; k < 2; k++) {
			if (both[k] < 0) continue;
			assert_true(fold[both[k]] < 0 || fold[both[k]] == q->fold);
			fold[both[k]] = q->fold;
		}
	}
	test_free(fold);
}

/* What is counted together: probe prefixes with training or test lead-ins, and each kind of pair. */
static int use_of(const sn_items *items, int64_t i)
{
	return i < items->n_probe ? items->item[i].test_lead : 2 + (int)items->pair[i - items->n_probe].kind;
}

static void check_leads(const sn_items *items, const sn_phenomenon *p)
{
	int64_t used[2 + SN_PAIR_KINDS][64] = { 0 };
	int test_of[64];
	memset(test_of, -1, sizeof test_of);
	assert_int_equal(items->n_lead, p->n_lead[0] + p->n_lead[1]);
	for (int64_t i = 0; i < items->n; i++) {
		const sn_item *q = &items->item[i];
		assert_true(test_of[q->lead] < 0 || test_of[q->lead] == q->test_lead);
		assert_true(strncmp(q->text, items->lead[q->lead], strlen(items->lead[q->lead])) == 0);
		assert_int_equal(q->test_lead, i < items->n_probe ? i & 1 : 1);
		test_of[q->lead] = q->test_lead;
		used[use_of(items, i)][q->lead]++;
	}
	for (int u = 0; u < 2 + SN_PAIR_KINDS; u++) {
		int64_t low = INT64_MAX, high = 0, unit = u < 2 ? 1 : 2;
		for (int l = 0; l < items->n_lead; l++) {
			if (test_of[l] != (u > 0)) continue;
			low = SN_MIN(low, used[u][l]);
			high = SN_MAX(high, used[u][l]);
		}
		assert_true(high - low <= unit);
	}
}

/* ---- roles and labels ---- */

static void check_bytes(const sn_items *items, int64_t i)
{
	const sn_item *q = &items->item[i];
	const int64_t(*bytes)[2] = &items->bytes[i * items->n_role];
	size_t size = strlen(items->form[q->form]);
	assert_int_equal(bytes[0][1] - bytes[0][0], size);
	assert_memory_equal(q->text + bytes[0][0], items->form[q->form], size);
	assert_int_equal(bytes[items->n_role - 1][1], strlen(q->text));
	assert_true(bytes[0][0] >= (int64_t)strlen(items->lead[q->lead]));
	assert_true((bytes[1][0] < 0) == (q->attractor < 0));
	assert_true(bytes[1][0] < 0 || bytes[1][0] >= bytes[0][1]);
	assert_true(bytes[items->n_role - 1][0] >= SN_MAX(bytes[0][1], bytes[1][1]));
}

static void check_spans(const sn_items *items, int64_t i)
{
	const int32_t(*span)[2] = &items->span[i * items->n_role];
	int32_t n = (int32_t)(items->start[i + 1] - items->start[i]);
	for (int r = 0; r < items->n_role; r++) {
		assert_true((span[r][0] < 0) == (items->bytes[i * items->n_role + r][0] < 0));
		if (span[r][0] < 0) continue;
		assert_true(span[r][0] > 0 && span[r][0] < span[r][1] && span[r][1] <= n);
		for (int k = 0; k < r; k++) assert_true(span[k][0] < 0 || span[k][1] <= span[r][0]);
	}
	assert_int_equal(span[items->n_role - 1][0], n - 1);
	assert_int_equal(span[items->n_role - 1][1], n);
}

static void check_labels(const sn_items *items, int64_t i)
{
	const sn_item *q = &items->item[i];
	const int8_t *z = &items->z[i * items->n_label];
	assert_true(q->n == 1 || q->n == -1);
	assert_int_equal(z[0], q->n);
	assert_int_equal(z[1], q->attractor_n);
	assert_true((q->attractor_n == 0) == (q->attractor < 0));
	const char *expected = q->attractor_n == 0 ? NULL : q->n == q->attractor_n ? "match" : "mismatch";
	assert_true((q->condition < 0) == (expected == NULL));
	if (expected) assert_string_equal(items->condition[q->condition], expected);
}

/* The tokens of the prefix are what tokenizing the sentence gives, and the choice word adds exactly one. */
static void check_tokens(sn_ctx *ctx, const sn_items *items, int64_t i, const sn_tokenizer *tokenizer)
{
	const sn_item *q = &items->item[i];
	const sn_choice *choice = &items->choice[q->choice_set * items->n_choice + i % items->n_choice];
	int64_t n = items->start[i + 1] - items->start[i];
	sn_arena *arena;
	sn_tokens tokens;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	const char *sentence = sn_arena_format(arena, "%s %s", q->text, choice->text[i % 2]);
	assert_ok(ctx, sn_tokenize(ctx, tokenizer, sentence, strlen(sentence), SN_ADD_SPECIAL, arena, &tokens));
	assert_int_equal(tokens.n, n + 1);
	assert_memory_equal(tokens.id, items->token + items->start[i], (size_t)n * sizeof *tokens.id);
	assert_int_equal(tokens.id[n], choice->form[i % 2]);
	sn_arena_close(arena);
}

/* ---- twins and pairs ---- */

static void check_twins(const sn_items *items)
{
	for (int64_t i = 0; i < items->n; i++) {
		const sn_item *q = &items->item[i];
		assert_int_equal(q->twin, i < items->n_probe ? i ^ 1 : -1);
		if (q->twin < 0) continue;
		const sn_item *t = &items->item[q->twin];
		assert_string_equal(q->text + strlen(items->lead[q->lead]), t->text + strlen(items->lead[t->lead]));
		assert_true(q->fold == t->fold && q->frame == t->frame && q->n == t->n);
	}
}

/* Returns the number of words in which two texts of equal length differ; the place of the last one in *at. */
static int words_apart(const char *a, const char *b, int64_t *at)
{
	int apart = 0;
	const char *start = a;
	while (*a && *b) {
		size_t n = strcspn(a, " "), m = strcspn(b, " ");
		if (n != m || memcmp(a, b, n) != 0) {
			apart++;
			*at = a - start;
		}
		a += n + strspn(a + n, " ");
		b += m + strspn(b + m, " ");
	}
	assert_true(*a == 0 && *b == 0);
	return apart;
}

static void check_pair(const sn_items *items, const sn_pair *pair)
{
	const sn_item *a = &items->item[pair->base], *b = &items->item[pair->source];
	int64_t at = -1;
	int role = pair->kind == SN_PAIR_ATTRACTOR ? 1 : 0;
	assert_true(a->frame == b->frame && a->fold == b->fold && a->lead == b->lead && a->group == b->group);
	assert_int_equal(words_apart(a->text, b->text, &at), 1);
	assert_int_equal(at, items->bytes[pair->base * items->n_role + role][0]);
	assert_int_equal(a->n * b->n, pair->kind == SN_PAIR_MAIN ? -1 : 1);
	assert_int_equal(a->attractor_n * b->attractor_n, a->attractor < 0 ? 0 : pair->kind == SN_PAIR_ATTRACTOR ? -1 : 1);
	assert_true((a->lemma != b->lemma) == (pair->kind == SN_PAIR_PLACEBO));
	assert_int_equal(a->attractor, b->attractor);
}

static int64_t length_of(const sn_items *items, int64_t i) { return items->start[i + 1] - items->start[i]; }

static void check_pairs(const sn_items *items)
{
	int64_t unequal = 0;
	for (int64_t i = 0; i < items->n_pair; i++) {
		const sn_pair *pair = &items->pair[i], *back = &items->pair[i ^ 1];
		assert_true(pair->base == back->source && pair->source == back->base && pair->kind == back->kind);
		assert_true(pair->base >= items->n_probe);
		check_pair(items, pair);
		unequal += items->start && length_of(items, pair->base) != length_of(items, pair->source);
	}
	assert_int_equal(unequal, items->n_unequal);
}

void check_items(sn_ctx *ctx, const sn_items *items, const sn_phenomenon *p, const sn_tokenizer *tokenizer)
{
	check_folds(items);
	check_leads(items, p);
	for (int64_t i = 0; i < items->n; i++) {
		check_bytes(items, i);
		check_labels(items, i);
		if (!tokenizer) continue;
		check_spans(items, i);
		check_tokens(ctx, items, i, tokenizer);
	}
	check_twins(items);
	check_pairs(items);
}

/* ---- equality ---- */

static void check_names(const char *const *a, int n_a, const char *const *b, int n_b)
{
	assert_int_equal(n_a, n_b);
	for (int i = 0; i < n_a; i++) assert_string_equal(a[i], b[i]);
}

static void check_same_item(const sn_item *a, const sn_item *b)
{
	sn_item x = *a, y = *b;
	assert_string_equal(x.text, y.text);
	assert_true(x.frame == y.frame && x.condition == y.condition && x.n == y.n && x.attractor_n == y.attractor_n);
	assert_true(x.lemma == y.lemma && x.attractor == y.attractor && x.form == y.form && x.group == y.group);
	assert_true(x.fold == y.fold && x.lead == y.lead && x.test_lead == y.test_lead && x.twin == y.twin);
	assert_int_equal(x.choice_set, y.choice_set);
	assert_int_equal(x.frequency, y.frequency);
}

static void check_same_choices(const sn_items *a, const sn_items *b)
{
	assert_int_equal(a->n_choice, b->n_choice);
	assert_int_equal(a->n_choice_set, b->n_choice_set);
	for (int c = 0; c < a->n_choice * a->n_choice_set; c++)
		for (int i = 0; i < 2; i++) {
			assert_string_equal(a->choice[c].text[i], b->choice[c].text[i]);
			assert_int_equal(a->choice[c].form[i], b->choice[c].form[i]);
		}
}

void check_same_items(const sn_items *a, const sn_items *b)
{
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->lang, b->lang);
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->n_probe, b->n_probe);
	assert_int_equal(a->n_pair, b->n_pair);
	assert_int_equal(a->n_unequal, b->n_unequal);
	assert_int_equal(a->n_fold, b->n_fold);
	check_names(a->role, a->n_role, b->role, b->n_role);
	check_names(a->label, a->n_label, b->label, b->n_label);
	check_names(a->frame, a->n_frame, b->frame, b->n_frame);
	check_names(a->condition, a->n_condition, b->condition, b->n_condition);
	check_names(a->lemma, a->n_lemma, b->lemma, b->n_lemma);
	check_names(a->form, a->n_form, b->form, b->n_form);
	check_names(a->lead, a->n_lead, b->lead, b->n_lead);
	check_names(a->group, a->n_group, b->group, b->n_group);
	for (int l = 0; l < a->n_label; l++)
		for (int v = 0; v < 2; v++) assert_string_equal(a->value[l][v], b->value[l][v]);
	for (int64_t i = 0; i < a->n; i++) check_same_item(&a->item[i], &b->item[i]);
	assert_memory_equal(a->bytes, b->bytes, (size_t)(a->n * a->n_role) * sizeof *a->bytes);
	assert_memory_equal(a->z, b->z, (size_t)(a->n * a->n_label));
	for (int64_t i = 0; i < a->n_pair; i++)
		assert_true(a->pair[i].base == b->pair[i].base && a->pair[i].source == b->pair[i].source &&
					a->pair[i].kind == b->pair[i].kind);
	check_same_choices(a, b);
	assert_true((a->token == NULL) == (b->token == NULL));
	if (!a->token) return;
	assert_memory_equal(a->start, b->start, (size_t)(a->n + 1) * sizeof *a->start);
	assert_memory_equal(a->token, b->token, (size_t)a->start[a->n] * sizeof *a->token);
	assert_memory_equal(a->span, b->span, (size_t)(a->n * a->n_role) * sizeof *a->span);
}
