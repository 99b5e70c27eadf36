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
bool sn_site_is_attention(sn_site_kind kind) { return rows[kind].letter == 'A'; }

bool sn_site_of_encoder_rows(sn_site_kind kind)
{
	return kind == SN_SITE_CROSS_K_IN || kind == SN_SITE_CROSS_K || kind == SN_SITE_CROSS_V;
}

/* ---- which sites a model has ---- */

#define SITE(kind) (UINT64_C(1) << SN_SITE_##kind)

static uint64_t without_parts(const sn_shape *s)
{
	uint64_t none = 0;
	if (s->form.position != SN_POSITION_LEARNED && s->form.position != SN_POSITION_SINUSOIDAL &&
	    !sn_has(s, SN_PART_POS_EMBED)) none |= SITE(POS_EMBED);
	if (!sn_has(s, SN_PART_TYPE_EMBED)) none |= SITE(TOKEN_TYPE_EMBED);
	if (!sn_has(s, SN_PART_EMBED_NORM)) none |= SITE(EMBED_LN_SCALE) | SITE(EMBED_LN_NORMALIZED) | SITE(FULL_EMBED);
	if (s->form.position != SN_POSITION_ROTARY) none |= SITE(ROT_Q) | SITE(ROT_K);
	if (!sn_has(s, SN_PART_GATE)) none |= SITE(MLP_PRE_LINEAR);
	if (!sn_has(s, SN_PART_FINAL_NORM)) none |= SITE(LN_FINAL_SCALE) | SITE(LN_FINAL_NORMALIZED);
	if (!sn_has(s, SN_PART_HEAD)) none |= SITE(MLM_IN) | SITE(MLM_OUT);
	if (!sn_has(s, SN_PART_HEAD_NORM)) none |= SITE(MLM_LN_SCALE) | SITE(MLM_LN_NORMALIZED);
	if (!sn_has_logits(s)) none |= SITE(UNEMBED_IN) | SITE(LOGITS);
	return none;
}

static uint64_t without_forms(const sn_shape *s)
{
	const sn_form *f = &s->form;
	uint64_t none = 0, cross = 0;
	for (int k = SN_SITE_LN_CROSS_SCALE; k <= SN_SITE_RESID_MID_CROSS; k++) cross |= UINT64_C(1) << k;
	if (!f->cross) none |= cross;
	if (f->parallel) none |= SITE(RESID_MID);
	if (f->parallel == SN_PARALLEL_ONE_NORM) none |= SITE(LN2_SCALE) | SITE(LN2_NORMALIZED);
	if (!f->pre_norm && !f->post_norm)
		none |= SITE(LN1_SCALE) | SITE(LN1_NORMALIZED) | SITE(LN2_SCALE) | SITE(LN2_NORMALIZED);
	if (!f->branch_norm)
		none |= SITE(LN1_POST_SCALE) | SITE(LN1_POST_NORMALIZED) | SITE(LN2_POST_SCALE) | SITE(LN2_POST_NORMALIZED);
	if (!f->post_norm) none |= SITE(NORMALIZED_RESID_POST);
	return none;
}

uint64_t sn_sites_of(const sn_shape *s)
{
	uint64_t all = ((UINT64_C(1) << SN_SITE_COUNT) - 1) & ~UINT64_C(1);
	return all & ~without_parts(s) & ~without_forms(s);
}

#undef SITE
_Static_assert(SN_SITE_COUNT < 64, "sets of sites are bits of 64");

/* Block 0 may lack the norm that the other blocks have. */
static bool missing_in_block(const sn_shape *s, sn_site_kind kind, int layer)
{
	return layer == 0 && s->form.first_attn_bare && (kind == SN_SITE_LN1_SCALE || kind == SN_SITE_LN1_NORMALIZED);
}

/* Returns the model that a site's stack is, or NULL where there is no such stack. */
static const sn_model *stack_of(const sn_model *model, int stack)
{
	if (!model || stack == model->stack || stack == SN_STACK_ONLY) return model;
	return stack == SN_STACK_ENCODER ? model->encoder : NULL;
}

bool sn_is_normed(const sn_model *model, const sn_site *site)
{
	const sn_model *stack = stack_of(model, site->stack);
	if (site->kind == SN_SITE_Q) return stack && sn_has(&stack->shape, SN_PART_Q_NORM);
	if (site->kind == SN_SITE_K) return stack && sn_has(&stack->shape, SN_PART_K_NORM);
	return strstr(rows[site->kind].name, "hook_normalized") && site->kind != SN_SITE_NORMALIZED_RESID_POST;
}

/* ---- widths ---- */

const char *sn_site_name(sn_site_kind kind) { return rows[kind].name; }

static bool has_heads(sn_site_kind kind) { return strchr("QKRA", rows[kind].letter) != NULL; }

static int head_count(const sn_shape *s, sn_site_kind kind)
{
	return rows[kind].letter == 'K' ? s->n_kv_head : s->n_head;
}

static bool available(const sn_model *model, sn_site_kind kind)
{
	return !model || (model->sites >> kind & 1);
}

/* Columns of one head, or of the whole site where it has none. */
static int64_t part_width(const sn_shape *s, sn_site_kind kind)
{
	switch (rows[kind].letter) {
	case 'D': case 'R': return s->d_model;
	case 'S': return sn_sum_width(s);
	case 'F': return s->d_head_out;
	case 'Q': case 'K': return s->d_head;
	case 'M': return s->d_mlp;
	case 'U': return s->n_logit;
	default: return 1;
	}
}

void sn_site_columns(const sn_model *model, const sn_site *site, int64_t *first, int64_t *last)
{
	const sn_shape *s = &stack_of(model, site->stack)->shape;
	sn_site_kind kind = (sn_site_kind)site->kind;
	int64_t width = part_width(s, kind), heads = has_heads(kind) ? head_count(s, kind) : 1;
	bool one = site->head && has_heads(kind);
	*first = one ? (site->head - 1) * width : 0;
	*last = one ? *first + width : heads * width;
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
	return site->kind <= SN_SITE_FULL_EMBED ? 0 : n_layer + 1;
}

static sn_status check_indices(sn_ctx *ctx, const sn_shape *s, const sn_site *site, const char *name)
{
	sn_site_kind kind = (sn_site_kind)site->kind;
	if (rows[kind].in_block && (site->layer < 0 || site->layer >= s->n_layer))
		return sn_fail(ctx, SN_EARG, "site %s: expected a block from 0 to %d", name, s->n_layer - 1);
	if (missing_in_block(s, kind, site->layer))
		return sn_fail(ctx, SN_EARG, "site %s: block 0 of this architecture has no such norm", name);
	if (site->head < 0 || (site->head && (!has_heads(kind) || site->head > head_count(s, kind))))
		return sn_fail(ctx, SN_EARG, "site %s: expected a head from 0 to %d", name, has_heads(kind)
		               ? head_count(s, kind) - 1 : -1);
	int64_t width = site->head || !has_heads(kind) ? part_width(s, kind) : part_width(s, kind) * head_count(s, kind);
	if (site->unit < 0 || site->unit > width)
		return sn_fail(ctx, SN_EARG, "site %s: expected a unit from 0 to %lld", name, (long long)width - 1);
	return SN_OK;
}

sn_status sn_site_check(sn_ctx *ctx, const sn_model *model, const sn_site *site)
{
	if (site->kind == SN_SITE_NONE || site->kind >= SN_SITE_COUNT || site->stack > SN_STACK_DECODER || site->splice)
		return sn_fail(ctx, SN_EARG, "a plan names an invalid site (kind %d)", site->kind);
	char name[112];
	sn_site_format(site, name, sizeof name);
	const sn_model *stack = stack_of(model, site->stack);
	if (!stack)
		return sn_fail(ctx, SN_EARG, "site %s: %s is no encoder-decoder", name, model->info.architecture);
	if (!available(stack, (sn_site_kind)site->kind))
		return sn_fail(ctx, SN_EARG, "site %s: architecture %s has none", name, model->info.architecture);
	return check_indices(ctx, &stack->shape, site, name);
}

static const char *const stack_names[] = { [SN_STACK_ONLY] = "", [SN_STACK_ENCODER] = "encoder.",
                                           [SN_STACK_DECODER] = "decoder." };

/* The head of an encoder-decoder stands outside both stacks. */
static const char *prefix_of(int stack, sn_site_kind kind)
{
	return kind >= SN_SITE_MLM_IN && stack != SN_STACK_ENCODER ? "" : stack_names[stack];
}

int sn_site_format(const sn_site *site, char *buf, size_t size)
{
	if (site->kind == SN_SITE_NONE || site->kind >= SN_SITE_COUNT || site->stack > SN_STACK_DECODER)
		return sn_format(buf, size, "(no site)");
	char block[24] = "", part[32] = "";
	if (rows[site->kind].in_block) sn_format(block, sizeof block, "blocks.%d.", site->layer);
	if (site->head && site->unit) sn_format(part, sizeof part, "[%d,%d]", site->head - 1, site->unit - 1);
	else if (site->head || site->unit) sn_format(part, sizeof part, "[%d]", (site->head ? site->head : site->unit) - 1);
	return sn_format(buf, size, "%s%s%s%s", prefix_of(site->stack, (sn_site_kind)site->kind), block,
	                 rows[site->kind].name, part);
}

/* ---- parsing ---- */

/* One site with `*` allowed: layer or head -1 stands for all of them. */
typedef struct pattern {
	sn_site_kind kind;
	int stack, layer, head, unit;   /* head, unit: -2 where none is named */
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
	*out = (pattern){ .layer = 0, .head = -2, .unit = -2 };
	for (int stack = SN_STACK_ENCODER; stack <= SN_STACK_DECODER && out->stack == SN_STACK_ONLY; stack++) {
		size_t n = strlen(stack_names[stack]);
		if (size <= n || memcmp(text, stack_names[stack], n) != 0) continue;
		out->stack = stack;
		text += n;
		size -= n;
	}
	const char *end = text + size, *bracket = memchr(text, '[', size), *name = text;
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

static int list_sites(const sn_model *stack, int number, char *out, int used, int size)
{
	for (int k = 1; k < SN_SITE_COUNT && used < size - 64; k++)
		if (available(stack, (sn_site_kind)k))
			used += sn_format(out + used, (size_t)(size - used), "%s%s%s%s", used ? ", " : "",
			                  prefix_of(number, (sn_site_kind)k), rows[k].in_block ? "blocks.N." : "", rows[k].name);
	return used;
}

static sn_status unknown_site(sn_ctx *ctx, const sn_model *model, const char *text, size_t size)
{
	char known[1800];
	int used = list_sites(model, model ? model->stack : SN_STACK_ONLY, known, 0, sizeof known);
	if (model && model->encoder) list_sites(model->encoder, SN_STACK_ENCODER, known, used, sizeof known);
	return sn_fail(ctx, SN_EARG, "no site \"%.*s\"; the model has: %s (N a block or *, [head] or [*] after heads)",
	               (int)SN_MIN(size, (size_t)80), text, known);
}

static sn_status parse_one(sn_ctx *ctx, const sn_model *model, const char *text, size_t size, pattern *out)
{
	if (!parse_pattern(text, size, out)) return unknown_site(ctx, model, text, size);
	if (!model) return SN_OK;
	if (out->stack == SN_STACK_ONLY) out->stack = model->stack;
	const sn_model *stack = stack_of(model, out->stack);
	return stack && available(stack, out->kind) ? SN_OK : unknown_site(ctx, model, text, size);
}

static sn_site make_site(const pattern *p, int layer, int head)
{
	return (sn_site){ .kind = (uint16_t)p->kind, .layer = (int16_t)layer, .stack = (uint8_t)p->stack,
	                  .head = (int16_t)(head == -2 ? 0 : head + 1), .unit = p->unit == -2 ? 0 : p->unit + 1 };
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
	const sn_shape *s = &stack_of(model, p->stack)->shape;
	int n = 0, layer1 = p->layer == -1 ? s->n_layer : p->layer + 1, head1 = p->head + 1;
	if (p->head == -1) head1 = head_count(s, p->kind);
	for (int l = p->layer == -1 ? (int)missing_in_block(s, p->kind, 0) : p->layer; l < layer1; l++)
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
