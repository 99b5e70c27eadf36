/* Sites as text and as numbers. */
#include "model/site.h"

#include "model/model.h"

#include <string.h>

typedef struct site_row { const char *name; bool in_block; char letter; } site_row;

static const site_row rows[SN_SITE_COUNT] = {
#define SITE_ROW(kind, name, in_block, letter) [SN_SITE_##kind] = { name, in_block, letter },
	SN_SITE_MAP(SITE_ROW)
#undef SITE_ROW
};

/* TransformerLens's Bridge names (model-bridge 3.x) and the inputs that share a matrix's. */
static const struct { const char *name; sn_site_kind kind; } aliases[] = {
	{ "hook_in", SN_SITE_RESID_PRE }, { "hook_out", SN_SITE_RESID_POST }, { "ln1.hook_in", SN_SITE_RESID_PRE },
	{ "ln2.hook_in", SN_SITE_RESID_MID }, { "attn.hook_out", SN_SITE_ATTN_OUT }, { "mlp.hook_out", SN_SITE_MLP_OUT },
	{ "attn.k.hook_in", SN_SITE_Q_IN }, { "attn.v.hook_in", SN_SITE_Q_IN }, { "attn.q.hook_out", SN_SITE_Q },
	{ "attn.k.hook_out", SN_SITE_K }, { "attn.v.hook_out", SN_SITE_V }, { "attn.o.hook_in", SN_SITE_Z },
	{ "mlp.gate.hook_in", SN_SITE_MLP_IN }, { "mlp.gate.hook_out", SN_SITE_MLP_PRE },
	{ "mlp.in.hook_out", SN_SITE_MLP_PRE_LINEAR }, { "mlp.out.hook_in", SN_SITE_MLP_POST },
	{ "embed.hook_out", SN_SITE_EMBED }, { "unembed.hook_logits", SN_SITE_LOGITS },
};

char sn_site_letter(sn_site_kind kind) { return rows[kind].letter; }
const char *sn_site_name(sn_site_kind kind) { return rows[kind].name; }

static bool has_heads(sn_site_kind kind) { return strchr("QKRA", rows[kind].letter) != NULL; }

static int head_count(const sn_shape *s, sn_site_kind kind)
{
	return rows[kind].letter == 'K' ? s->n_kv_head : s->n_head;
}

static bool available(const sn_model *model, sn_site_kind kind)
{
	return !model || (model->shape.arch->sites >> kind & 1);
}

/* Columns of one head, or of the whole site where it has none. */
static int64_t part_width(const sn_shape *s, sn_site_kind kind)
{
	switch (rows[kind].letter) {
	case 'D': case 'R': return s->d_model;
	case 'Q': case 'K': return s->d_head;
	case 'M': return s->d_mlp;
	case 'V': return s->d_vocab;
	default: return 1;
	}
}

void sn_site_columns(const sn_model *model, const sn_site *site, int64_t *first, int64_t *last)
{
	const sn_shape *s = &model->shape;
	sn_site_kind kind = (sn_site_kind)site->kind;
	int64_t width = part_width(s, kind), heads = has_heads(kind) ? head_count(s, kind) : 1;
	*first = site->head ? (site->head - 1) * width : 0;
	*last = site->head ? *first + width : heads * width;
	if (site->unit) {
		*first += site->unit - 1;
		*last = *first + 1;
	}
}

int64_t sn_site_width(const sn_model *model, const sn_site *site)
{
	if (rows[site->kind].letter == 'A') return 0;
	int64_t first, last;
	sn_site_columns(model, site, &first, &last);
	return last - first;
}

int sn_site_stage(const sn_site *site, int n_layer)
{
	if (rows[site->kind].in_block) return site->layer + 1;
	return site->kind <= SN_SITE_POS_EMBED ? 0 : n_layer + 1;
}

sn_status sn_site_check(sn_ctx *ctx, const sn_model *model, const sn_site *site)
{
	if (site->kind == SN_SITE_NONE || site->kind >= SN_SITE_COUNT || site->stack || site->splice)
		return sn_fail(ctx, SN_EARG, "a plan names an invalid site (kind %d)", site->kind);
	char name[96];
	sn_site_format(site, name, sizeof name);
	const sn_shape *s = &model->shape;
	sn_site_kind kind = (sn_site_kind)site->kind;
	if (!available(model, kind))
		return sn_fail(ctx, SN_EARG, "site %s: architecture %s has none", name, s->arch->gguf_name);
	if (rows[kind].in_block && (site->layer < 0 || site->layer >= s->n_layer))
		return sn_fail(ctx, SN_EARG, "site %s: expected a block from 0 to %d", name, s->n_layer - 1);
	if (site->head < 0 || (site->head && (!has_heads(kind) || site->head > head_count(s, kind))))
		return sn_fail(ctx, SN_EARG, "site %s: expected a head from 0 to %d", name, has_heads(kind)
		               ? head_count(s, kind) - 1 : -1);
	int64_t width = site->head || !has_heads(kind) ? part_width(s, kind) : part_width(s, kind) * head_count(s, kind);
	if (site->unit < 0 || site->unit > width)
		return sn_fail(ctx, SN_EARG, "site %s: expected a unit from 0 to %lld", name, (long long)width - 1);
	return SN_OK;
}

int sn_site_format(const sn_site *site, char *buf, size_t size)
{
	if (site->kind == SN_SITE_NONE || site->kind >= SN_SITE_COUNT) return sn_format(buf, size, "(no site)");
	char block[24] = "", part[32] = "";
	if (rows[site->kind].in_block) sn_format(block, sizeof block, "blocks.%d.", site->layer);
	if (site->head && site->unit) sn_format(part, sizeof part, "[%d,%d]", site->head - 1, site->unit - 1);
	else if (site->head || site->unit) sn_format(part, sizeof part, "[%d]", (site->head ? site->head : site->unit) - 1);
	return sn_format(buf, size, "%s%s%s", block, rows[site->kind].name, part);
}

/* ---- parsing ---- */

/* One site with `*` allowed: layer or head -1 stands for all of them. */
typedef struct pattern {
	sn_site_kind kind;
	int layer, head, unit;   /* head, unit: -2 where none is named */
} pattern;

static sn_site_kind find_kind(const char *name, size_t n, bool in_block)
{
	for (int k = 1; k < SN_SITE_COUNT; k++)
		if (rows[k].in_block == in_block && strlen(rows[k].name) == n && memcmp(rows[k].name, name, n) == 0)
			return (sn_site_kind)k;
	for (int i = 0; i < SN_COUNT(aliases); i++)
		if (rows[aliases[i].kind].in_block == in_block && strlen(aliases[i].name) == n &&
		    memcmp(aliases[i].name, name, n) == 0)
			return aliases[i].kind;
	return SN_SITE_NONE;
}

/* Reads a number or `*` (-1) and moves on; false if neither stands there. */
static bool read_index(const char **text, int *out)
{
	if (**text == '*') return *out = -1, ++*text, true;
	int value = 0, digits = 0;
	for (; **text >= '0' && **text <= '9' && digits < 7; ++*text, digits++) value = 10 * value + (**text - '0');
	*out = value;
	return digits > 0;
}

static bool parse_brackets(const char *text, const char *end, pattern *out)
{
	int first, second = -2;
	if (*text++ != '[' || !read_index(&text, &first)) return false;
	if (*text == ',' && (text++, !read_index(&text, &second))) return false;
	if (*text != ']' || text + 1 != end) return false;
	if (has_heads(out->kind)) {
		out->head = first;
		out->unit = second;
	} else {
		if (second != -2) return false;
		out->unit = first;
	}
	return true;
}

static bool parse_pattern(const char *text, size_t size, pattern *out)
{
	const char *end = text + size, *bracket = memchr(text, '[', size), *name = text;
	*out = (pattern){ .layer = 0, .head = -2, .unit = -2 };
	bool in_block = size > 7 && memcmp(text, "blocks.", 7) == 0;
	if (in_block) {
		name = text + 7;
		if (!read_index(&name, &out->layer) || name >= end || *name++ != '.') return false;
	}
	size_t n = (size_t)((bracket && bracket > name ? bracket : end) - name);
	out->kind = find_kind(name, n, in_block);
	if (out->kind == SN_SITE_NONE) return false;
	return !bracket || parse_brackets(bracket, end, out);
}

static sn_status unknown_site(sn_ctx *ctx, const sn_model *model, const char *text, size_t size)
{
	char known[900];
	int used = 0;
	for (int k = 1; k < SN_SITE_COUNT && used < (int)sizeof known - 64; k++)
		if (available(model, (sn_site_kind)k))
			used += sn_format(known + used, sizeof known - (size_t)used, "%s%s%s", used ? ", " : "", rows[k].in_block
			                  ? "blocks.N." : "", rows[k].name);
	return sn_fail(ctx, SN_EARG, "no site \"%.*s\"; the model has: %s (N a block or *, [head] or [*] after heads)",
	               (int)SN_MIN(size, (size_t)80), text, known);
}

static sn_status parse_one(sn_ctx *ctx, const sn_model *model, const char *text, size_t size, pattern *out)
{
	if (!parse_pattern(text, size, out) || !available(model, out->kind)) return unknown_site(ctx, model, text, size);
	return SN_OK;
}

static sn_site make_site(const pattern *p, int layer, int head)
{
	return (sn_site){ .kind = (uint16_t)p->kind, .layer = (int16_t)layer, .head = (int16_t)(head == -2 ? 0 : head + 1),
	                  .unit = p->unit == -2 ? 0 : p->unit + 1 };
}

sn_status sn_site_parse(sn_ctx *ctx, const sn_model *model, const char *text, sn_site *out)
{
	pattern p;
	SN_TRY(parse_one(ctx, model, text, strlen(text), &p));
	if (p.layer == -1 || p.head == -1 || p.unit == -1)
		return sn_fail(ctx, SN_EARG, "site \"%s\": expected one site, found a pattern with *", text);
	*out = make_site(&p, p.layer, p.head);
	return model ? sn_site_check(ctx, model, out) : SN_OK;
}

/* Adds all sites of a pattern at out (NULL: counts only); returns how many. */
static int expand_pattern(const sn_model *model, const pattern *p, sn_site *out)
{
	int n = 0, layer1 = p->layer == -1 ? model->shape.n_layer : p->layer + 1, head1 = p->head + 1;
	if (p->head == -1) head1 = head_count(&model->shape, p->kind);
	for (int l = p->layer == -1 ? 0 : p->layer; l < layer1; l++)
		for (int h = p->head == -1 ? 0 : p->head; h < head1; h++, n++)
			if (out) out[n] = make_site(p, l, h);
	return n;
}

static sn_status expand_all(sn_ctx *ctx, const sn_model *model, const char *text, sn_site *out, int *n_out)
{
	*n_out = 0;
	for (const char *at = text;; at++) {
		const char *comma = at;   /* a comma inside [head,unit] does not separate */
		for (int depth = 0; *comma && (depth || *comma != ','); comma++) depth += (*comma == '[') - (*comma == ']');
		pattern p;
		SN_TRY(parse_one(ctx, model, at, (size_t)(comma - at), &p));
		if (p.unit == -1)
			return sn_fail(ctx, SN_EARG, "site \"%s\": * is allowed for blocks and heads, not for units", text);
		int n = expand_pattern(model, &p, out ? out + *n_out : NULL);
		for (int i = 0; out && i < n; i++) SN_TRY(sn_site_check(ctx, model, &out[*n_out + i]));
		*n_out += n;
		if (!*comma) return SN_OK;
		at = comma;
	}
}

sn_status sn_site_expand(sn_ctx *ctx, const sn_model *model, const char *text, sn_arena *arena, sn_site **out,
                         int *n_out)
{
	SN_TRY(expand_all(ctx, model, text, NULL, n_out));
	SN_NEW(*out, arena, sn_site, *n_out);
	return expand_all(ctx, model, text, *out, n_out);
}
