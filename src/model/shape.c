/* Shapes: what follows from a few numbers, and which numbers are possible. */
#include "model/model.h"

#include <math.h>

static const struct { const char *name; bool per_layer; char rows, columns; } parts[SN_PART_COUNT] = {
#define PART_ROW(id, per_layer, rows, columns) [SN_PART_##id] = { #id, per_layer, rows, columns },
	SN_PART_MAP(PART_ROW)
#undef PART_ROW
};

_Static_assert(SN_PART_COUNT <= 64, "sets of parts are bits of 64");

static int64_t norm_width(const sn_shape *s, int64_t heads)
{
	return s->form.qk_norm == SN_QK_NORM_HEAD ? s->d_head : heads * s->d_head;
}

static int64_t extent(const sn_shape *s, char letter)
{
	switch (letter) {
	case 'D': return s->d_model;
	case 'S': return sn_sum_width(s);
	case 'E': return s->d_embed ? s->d_embed : s->d_model;   /* as in a shape not yet completed */
	case 'Q': return (int64_t)s->n_head * s->d_head;
	case 'K': return (int64_t)s->n_kv_head * s->d_head;
	case 'q': return norm_width(s, s->n_head);
	case 'k': return norm_width(s, s->n_kv_head);
	case 'M': return s->d_mlp;
	case 'F': return s->d_head_out ? s->d_head_out : s->d_model;
	case 'V': return s->d_vocab;
	case 'U': return s->n_logit ? s->n_logit : s->d_vocab;
	case 'P': return s->n_position;
	case 'T': return s->n_type;
	case 'H': return s->n_head;
	case 'B': return s->n_bucket;
	case 'R': return 2 * s->rel_span;
	default: return 1;
	}
}

int64_t sn_part_rows(const sn_shape *shape, sn_part part) { return extent(shape, parts[part].rows); }
int64_t sn_part_columns(const sn_shape *shape, sn_part part) { return extent(shape, parts[part].columns); }
bool sn_part_per_layer(sn_part part) { return parts[part].per_layer; }
const char *sn_part_name(sn_part part) { return parts[part].name; }

int64_t sn_shape_parameters(const sn_shape *s)
{
	int64_t n = 0;
	for (int part = 1; part < SN_PART_COUNT; part++) {
		if (!sn_has(s, (sn_part)part)) continue;
		n += sn_part_rows(s, (sn_part)part) * sn_part_columns(s, (sn_part)part) * (parts[part].per_layer ? sn_groups(s)
		                                                                           : 1);
	}
	return n;
}

/* ---- completing ---- */

static void fill_form(sn_shape *s)
{
	if (!s->arch) s->arch = sn_arch_at(0);
	if (!s->has) {
		s->form = s->arch->form;
		s->has = sn_arch_parts(s->arch) | (s->tied ? 0 : SN_PART_BIT(UNEMBED));
	}
	if (s->tied) s->has &= ~SN_PART_BIT(UNEMBED);
}

static void fill_numbers(sn_shape *s)
{
	if (!s->d_embed) s->d_embed = s->d_model;
	if (!s->d_head_out) s->d_head_out = s->tied ? s->d_embed : s->d_model;
	if (!s->n_logit) s->n_logit = s->d_vocab;
	if (!s->n_position) s->n_position = s->n_ctx + s->form.position_offset;
	if (!s->n_rot) s->n_rot = s->d_head;
	if (s->form.attn_scale == 0 && s->d_head > 0) s->form.attn_scale = 1 / sqrt((double)s->d_head);
	if (s->form.embed_scale == 0) s->form.embed_scale = 1;
	if (s->form.head_scale == 0) s->form.head_scale = 1;
	if (s->form.position == SN_POSITION_ROTARY && !s->n_rope) {
		s->rope[0] = (sn_rope){ .base = s->rope_base };
		s->n_rope = 1;
	}
}

/* ---- checking ---- */

static sn_status check_ranges(sn_ctx *ctx, const sn_shape *s, const char *where)
{
	const struct { const char *name; int64_t value, min, max; } rows[] = {
		{ "number of layers", s->n_layer, 1, 4096 }, { "number of heads", s->n_head, 1, 4096 },
		{ "number of key/value heads", s->n_kv_head, 1, 4096 }, { "head size", s->d_head, 1, 8192 },
		{ "model width", s->d_model, 1, 1 << 20 }, { "feed-forward width", s->d_mlp, 1, 1 << 22 },
		{ "vocabulary size", s->d_vocab, 1, 1 << 24 }, { "context length", s->n_ctx, 1, 1 << 30 },
		{ "embedding width", s->d_embed, 1, 1 << 20 }, { "width before the unembedding", s->d_head_out, 1, 1 << 20 },
		{ "number of logits", s->n_logit, 1, 1 << 24 }, { "number of positions", s->n_position, 1, 1 << 30 },
		{ "number of token types", s->n_type, 0, 1 << 16 }, { "number of rotated columns", s->n_rot, 1, s->d_head },
		{ "number of rotary sets", s->n_rope, 0, 2 }, { "number of groups of blocks", s->n_group, 0, s->n_layer },
		{ "number of distance buckets", s->n_bucket, 0, 1 << 20 }, { "largest distance", s->max_distance, 0, 1 << 30 },
		{ "span of relative positions", s->rel_span, 0, 1 << 20 },
		{ "number of position buckets", s->rel_buckets, 0, 1 << 20 },
	};
	for (int i = 0; i < SN_COUNT(rows); i++)
		if (rows[i].value < rows[i].min || rows[i].value > rows[i].max)
			return sn_fail(ctx, SN_ESHAPE, "%s: the %s is %lld; expected %lld to %lld", where, rows[i].name,
			               (long long)rows[i].value, (long long)rows[i].min, (long long)rows[i].max);
	return SN_OK;
}

static sn_status check_rope(sn_ctx *ctx, const sn_shape *s, const char *where)
{
	if (s->n_rope && s->n_rot % 2)
		return sn_fail(ctx, SN_ESHAPE, "%s: %d columns of each head are rotated; rotary positions need an even number",
		               where, s->n_rot);
	for (int i = 0; i < s->n_rope; i++) {
		const sn_rope *r = &s->rope[i];
		if (!(r->base > 1) || !(r->kind == SN_ROPE_DEFAULT || r->kind == SN_ROPE_LONG || r->factor > 0) ||
		    (r->kind > SN_ROPE_LINEAR && r->original_ctx < 1))
			return sn_fail(ctx, SN_ESHAPE, "%s: rotary base %g, factor %g or original length %lld is out of range",
			               where, r->base, r->factor, (long long)r->original_ctx);
	}
	return SN_OK;
}

static sn_status check_relations(sn_ctx *ctx, const sn_shape *s, const char *where)
{
	if (s->n_head % s->n_kv_head)
		return sn_fail(ctx, SN_ESHAPE, "%s: %d heads cannot share %d key/value heads evenly", where, s->n_head,
		               s->n_kv_head);
	if (s->n_group && s->n_layer % s->n_group)
		return sn_fail(ctx, SN_ESHAPE, "%s: %d blocks cannot share %d sets of weights evenly", where, s->n_layer,
		               s->n_group);
	if (!(s->norm_eps >= 0 && s->norm_eps < 1))
		return sn_fail(ctx, SN_ESHAPE, "%s: norm epsilon %g is out of range", where, s->norm_eps);
	if (s->tied && s->d_head_out != s->d_embed)
		return sn_fail(ctx, SN_ESHAPE, "%s: the unembedding is tied to an embedding of width %lld, but reads %lld",
					   where, (long long)s->d_embed, (long long)s->d_head_out);
	if (s->d_head_out != s->d_model && !sn_has(s, SN_PART_HEAD) && sn_has_logits(s))
		return sn_fail(ctx, SN_ESHAPE, "%s: the unembedding reads %lld columns of a stream of %lld", where,
		               (long long)s->d_head_out, (long long)s->d_model);
	if (s->d_embed != s->d_model && !sn_has(s, SN_PART_PROJECT))
		return sn_fail(ctx, SN_ESHAPE, "%s: embeddings of width %lld do not fit a stream of %lld", where,
		               (long long)s->d_embed, (long long)s->d_model);
	return check_rope(ctx, s, where);
}

sn_status sn_shape_complete(sn_ctx *ctx, sn_shape *s, const char *where)
{
	fill_form(s);
	fill_numbers(s);
	SN_TRY(check_ranges(ctx, s, where));
	return check_relations(ctx, s, where);
}
