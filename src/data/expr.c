/* Recursive descent over a few dozen bytes; every node lives in the arena. */
#include "data/expr.h"

#include <string.h>

typedef enum op { OP_OR, OP_AND, OP_NOT, OP_SAME, OP_IS, OP_AMBIGUOUS, OP_LOOKS } op;

struct sn_expr {
	op op;
	const sn_expr *a, *b;
	sn_ref left, right;
	int value;
	sn_values cell; /* OP_LOOKS: what another cell of the same spelling has */
	bool differ;    /* "!=" */
};

enum { MAX_DEPTH = 32 };

typedef struct parser {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_scope *scope;
	const char *text, *at;
	int self, depth;
} parser;

static sn_status wrong(const parser *p, const char *expected)
{
	char found[40];
	sn_format(found, sizeof found, *p->at ? "'%.20s'" : "the end", p->at);
	return sn_fail(p->ctx, SN_EPARSE, "character %d of \"%.120s\": expected %s, found %s", (int)(p->at - p->text) + 1,
				   p->text, expected, found);
}

static void skip_spaces(parser *p)
{
	while (*p->at == ' ') p->at++;
}

static bool is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
		   (c & 0x80);
}

/* Returns the size of the word that stands here; 0 where none does. */
static size_t word(parser *p)
{
	skip_spaces(p);
	size_t n = 0;
	while (is_word_byte(p->at[n])) n++;
	return n;
}

/* Steps over a symbol, or a word that ends where the next begins. */
static bool take(parser *p, const char *symbol)
{
	size_t n = strlen(symbol);
	skip_spaces(p);
	if (strncmp(p->at, symbol, n) != 0) return false;
	if (is_word_byte(*symbol) && is_word_byte(p->at[n])) return false;
	p->at += n;
	return true;
}

static sn_status list_features(const parser *p, const char *what)
{
	char names[300] = "";
	size_t used = 0;
	for (int f = 0; f < p->scope->n_feature && used < sizeof names - 1; f++) {
		int wrote = sn_format(names + used, sizeof names - used, "%s%s", f ? ", " : "", p->scope->feature[f].name);
		used += wrote > 0 ? (size_t)wrote : 0;
	}
	char expected[400];
	sn_format(expected, sizeof expected, "%s (%s)", what, names);
	return wrong(p, expected);
}

static sn_status parse_slot(parser *p, int *out)
{
	size_t n = word(p);
	for (int s = 0; s < p->scope->n_slot; s++) {
		if (strlen(p->scope->slot[s]) != n || memcmp(p->scope->slot[s], p->at, n) != 0) continue;
		p->at += n;
		*out = s;
		return SN_OK;
	}
	return wrong(p, "the name of a slot");
}

static sn_status parse_feature(parser *p, int *out)
{
	if (take(p, "lemma")) {
		*out = -1;
		return SN_OK;
	}
	size_t n = word(p);
	*out = sn_feature_find(p->scope->feature, p->scope->n_feature, p->at, n);
	if (*out < 0) return list_features(p, "lemma or a feature");
	p->at += n;
	return SN_OK;
}

static sn_status parse_ref(parser *p, sn_ref *out)
{
	SN_TRY(parse_slot(p, &out->slot));
	if (!take(p, ".")) return wrong(p, "'.' and a feature");
	return parse_feature(p, &out->feature);
}

static bool ref_is_next(parser *p)
{
	size_t n = word(p);
	return n > 0 && p->at[n] == '.';
}

static sn_status parse_value(parser *p, int feature, int *out)
{
	size_t n = word(p);
	*out = feature < 0 ? -1 : sn_feature_value(&p->scope->feature[feature], p->at, n);
	if (*out < 0) return wrong(p, feature < 0 ? "SLOT.lemma" : "a value of that feature");
	p->at += n;
	return SN_OK;
}

static sn_status parse_comparison(parser *p, sn_expr *e)
{
	SN_TRY(parse_ref(p, &e->left));
	e->differ = take(p, "!=");
	if (!e->differ && !take(p, "==")) return wrong(p, "== or !=");
	if (!ref_is_next(p)) {
		e->op = OP_IS;
		return parse_value(p, e->left.feature, &e->value);
	}
	e->op = OP_SAME;
	const char *start = p->at;
	SN_TRY(parse_ref(p, &e->right));
	if (e->right.feature == e->left.feature) return SN_OK;
	p->at = start;
	return wrong(p, "the same feature on both sides");
}

/* nom.pl: values of a cell of a paradigm. */
static sn_status parse_cell(parser *p, sn_values *out)
{
	*out = sn_values_none();
	do {
		size_t n = word(p);
		int f, v;
		if (!sn_value_find(p->scope->feature, p->scope->n_feature, p->at, n, &f, &v))
			return wrong(p, "values of a cell, such as nom.pl");
		if (out->value[f] >= 0) return wrong(p, "one value of each feature");
		out->value[f] = (int8_t)v;
		p->at += n;
	} while (take(p, "."));
	return SN_OK;
}

static sn_status parse_ambiguous(parser *p, sn_expr *e)
{
	e->op = OP_AMBIGUOUS;
	e->left.feature = -1;
	if (!take(p, "(")) return wrong(p, "'('");
	SN_TRY(parse_slot(p, &e->left.slot));
	if (take(p, ",")) {
		e->op = OP_LOOKS;
		SN_TRY(parse_cell(p, &e->cell));
	} else if (take(p, ".")) {
		SN_TRY(parse_feature(p, &e->left.feature));
		if (e->left.feature < 0) return wrong(p, "a feature, not lemma");
	}
	return take(p, ")") ? SN_OK : wrong(p, "')'");
}

static sn_status parse_bare_value(parser *p, sn_expr *e)
{
	size_t n = word(p);
	e->op = OP_IS;
	e->left.slot = p->self;
	if (!sn_value_find(p->scope->feature, p->scope->n_feature, p->at, n, &e->left.feature, &e->value))
		return wrong(p, "the value of a feature");
	p->at += n;
	return SN_OK;
}

static sn_status parse_or(parser *p, const sn_expr **out);

static sn_status parse_test(parser *p, const sn_expr **out)
{
	sn_expr *e;
	if (take(p, "(")) {
		SN_TRY(parse_or(p, out));
		return take(p, ")") ? SN_OK : wrong(p, "')'");
	}
	SN_NEW(e, p->arena, sn_expr, 1);
	*out = e;
	if (take(p, "ambiguous")) return parse_ambiguous(p, e);
	if (p->self >= 0 && !ref_is_next(p)) return parse_bare_value(p, e);
	return parse_comparison(p, e);
}

static sn_status parse_not(parser *p, const sn_expr **out)
{
	if (++p->depth > MAX_DEPTH) return wrong(p, "an expression of at most 32 levels");
	sn_expr *e = NULL;
	if (take(p, "not")) {
		SN_NEW(e, p->arena, sn_expr, 1);
		e->op = OP_NOT;
		SN_TRY(parse_not(p, &e->a));
		*out = e;
	} else {
		SN_TRY(parse_test(p, out));
	}
	p->depth--;
	return SN_OK;
}

static sn_status parse_chain(parser *p, op kind, const sn_expr **out)
{
	SN_TRY(kind == OP_OR ? parse_chain(p, OP_AND, out) : parse_not(p, out));
	while (take(p, kind == OP_OR ? "or" : "and")) {
		sn_expr *e;
		SN_NEW(e, p->arena, sn_expr, 1);
		e->op = kind;
		e->a = *out;
		SN_TRY(kind == OP_OR ? parse_chain(p, OP_AND, &e->b) : parse_not(p, &e->b));
		*out = e;
	}
	return SN_OK;
}

static sn_status parse_or(parser *p, const sn_expr **out) { return parse_chain(p, OP_OR, out); }

static sn_status parse_end(parser *p)
{
	skip_spaces(p);
	return *p->at ? wrong(p, "the end") : SN_OK;
}

sn_status sn_expr_parse(const sn_expr **out, sn_ctx *ctx, const sn_scope *scope, const char *text, int self,
						sn_arena *arena)
{
	parser p = { ctx, arena, scope, text, text, self, 0 };
	*out = NULL;
	SN_TRY(parse_or(&p, out));
	return parse_end(&p);
}

sn_status sn_ref_parse(sn_ref *out, sn_ctx *ctx, const sn_scope *scope, const char *text)
{
	parser p = { ctx, NULL, scope, text, text, -1, 0 };
	SN_TRY(parse_ref(&p, out));
	return parse_end(&p);
}

sn_status sn_agree_parse(int *slot, const sn_expr **only_if, sn_ctx *ctx, const sn_scope *scope, const char *text,
						 sn_arena *arena)
{
	parser p = { ctx, arena, scope, text, text, -1, 0 };
	*only_if = NULL;
	SN_TRY(parse_slot(&p, slot));
	p.self = *slot;
	if (take(&p, "if")) SN_TRY(parse_or(&p, only_if));
	return parse_end(&p);
}

static bool same_holds(const sn_expr *e, const sn_fill *fill)
{
	const sn_fill *a = &fill[e->left.slot], *b = &fill[e->right.slot];
	if (!a->lexeme || !b->lexeme) return false;
	if (e->left.feature < 0) return (strcmp(a->lexeme->lemma, b->lexeme->lemma) == 0) != e->differ;
	int x = a->values.value[e->left.feature], y = b->values.value[e->left.feature];
	return x >= 0 && y >= 0 && (x == y) != e->differ;
}

static bool is_holds(const sn_expr *e, const sn_fill *fill)
{
	const sn_fill *a = &fill[e->left.slot];
	int x = a->lexeme ? a->values.value[e->left.feature] : -1;
	return x >= 0 && (x == e->value) != e->differ;
}

bool sn_expr_holds(const sn_expr *e, const sn_fill *fill)
{
	const sn_fill *a = &fill[e->left.slot];
	switch (e->op) {
	case OP_OR:
		return sn_expr_holds(e->a, fill) || sn_expr_holds(e->b, fill);
	case OP_AND:
		return sn_expr_holds(e->a, fill) && sn_expr_holds(e->b, fill);
	case OP_NOT:
		return !sn_expr_holds(e->a, fill);
	case OP_SAME:
		return same_holds(e, fill);
	case OP_IS:
		return is_holds(e, fill);
	case OP_AMBIGUOUS:
		return a->lexeme && a->form && sn_form_ambiguous(a->lexeme, a->form, e->left.feature);
	case OP_LOOKS:
		return a->lexeme && a->form && sn_form_looks(a->lexeme, a->form, &e->cell);
	}
	return false;
}

uint32_t sn_expr_slots(const sn_expr *e)
{
	switch (e->op) {
	case OP_OR:
	case OP_AND:
		return sn_expr_slots(e->a) | sn_expr_slots(e->b);
	case OP_NOT:
		return sn_expr_slots(e->a);
	case OP_SAME:
		return 1u << e->left.slot | 1u << e->right.slot;
	default:
		return 1u << e->left.slot;
	}
}

bool sn_expr_reads_words(const sn_expr *e)
{
	switch (e->op) {
	case OP_OR:
	case OP_AND:
		return sn_expr_reads_words(e->a) || sn_expr_reads_words(e->b);
	case OP_NOT:
		return sn_expr_reads_words(e->a);
	case OP_AMBIGUOUS:
	case OP_LOOKS:
		return true;
	default:
		return e->left.feature < 0;
	}
}
