/* What the loaders share: finding the tensors of a model's parts, checking them, and reading rows of parts from them.
 * */
#include "model/load.h"

#include "base/base.h"
#include "model/model.h"
#include "text/tokenizer.h"

#include <string.h>

enum { NAME = 192 };   /* bytes of a tensor's name, more than any row makes */

/* Where one part of one block (or group of blocks) lies. */
typedef struct slot {
	sn_file_tensor
		view; /* of the whole tensor, on its side if that is how the part lies in it; of head 0 if each has one */
	const sn_file_tensor *head;    /* PER_HEAD: [n_head] */
	sn_layout_kind layout;
	int64_t first;          /* STACKED: rows before the part's */
} slot;

struct sn_placed {
	sn_weights *weights;
	sn_shape shape;
	const char *prefix;                 /* what this file has in the place of the row's prefix, and its length */
	int n_prefix;
	int n_part;
	uint8_t index[SN_PART_COUNT];       /* of a part among those that the shape has */
	slot *slot;                         /* [groups][n_part] */
};

static const sn_tensor_name *names_of(const sn_weights *weights, const sn_arch *arch)
{
	return weights->hugging_face ? arch->hf : arch->gguf;
}

static const char *kind_of(const sn_weights *weights, const sn_arch *arch)
{
	return weights->hugging_face ? arch->model_type : arch->gguf_name;
}

static bool is_norm(sn_part part) { return strstr(sn_part_name(part), "NORM") != NULL; }
static bool is_bias(sn_part part) { return sn_ends_with(sn_part_name(part), "_B"); }
static bool is_vector(sn_part part) { return is_norm(part) || is_bias(part); }
static int n_group(const sn_shape *s) { return s->n_group ? s->n_group : s->n_layer; }
static int64_t n_group_of(const sn_shape *s, sn_part part) { return sn_part_per_layer(part) ? n_group(s) : 1; }

/* ---- names ---- */

/* Writes the first n bytes of a pattern with its first %d replaced by the block, its second by the head. */
static void fill_name(char out[NAME], const char *pattern, int n, int layer, int head)
{
	const char *end = pattern + n, *p = pattern;
	int used = 0, number[2] = { layer, head };
	for (int i = 0; i < 2; i++) {
		const char *mark = strstr(p, "%d");
		if (!mark || mark >= end) break;
		used += sn_format(out + used, (size_t)(NAME - used), "%.*s%d", (int)(mark - p), p, number[i]);
		p = mark + 2;
	}
	sn_format(out + used, (size_t)(NAME - used), "%.*s", (int)(end - p), p);
}

/* Old checkpoints call a norm's weight and bias gamma and beta. */
static bool find_old(const sn_weights *weights, sn_part part, const char *name, sn_file_tensor *out)
{
	static const char *const of[2][2] = { { ".weight", ".gamma" }, { ".bias", ".beta" } };
	char old[NAME];
	const char *const *pair = of[is_bias(part)];
	if (!weights->hugging_face || !is_norm(part) || !sn_ends_with(name, pair[0])) return false;
	sn_format(old, sizeof old, "%.*s%s", (int)(strlen(name) - strlen(pair[0])), name, pair[1]);
	return weights->find(weights->file, old, out);
}

/* Tries the names of a part in turn. found: NULL, or the name that the file has; if it has none, the first that was
 * tried. */
static bool find(const sn_placed *stack, sn_part part, int layer, int head, sn_file_tensor *out, char found[NAME])
{
	const sn_weights *weights = stack->weights;
	const sn_arch *arch = stack->shape.arch;
	const char *pattern = names_of(weights, arch)[part].name;
	int own = weights->hugging_face && arch->prefix ? (int)strcspn(arch->prefix, "|") : 0;
	if (found) found[0] = '\0';
	for (int n; pattern && *pattern; pattern += n + (pattern[n] == '|')) {
		char name[NAME], filled[NAME];
		n = (int)strcspn(pattern, "|");
		fill_name(filled, pattern, n, layer, head);
		bool prefixed = own && strncmp(filled, arch->prefix, (size_t)own) == 0;
		if (prefixed) sn_format(name, sizeof name, "%.*s%s", stack->n_prefix, stack->prefix, filled + own);
		else sn_format(name, sizeof name, "%s", filled);
		bool here = weights->find(weights->file, name, out) || find_old(weights, part, name, out);
		if (found && (here || !found[0])) memcpy(found, name, NAME);
		if (here) return true;
	}
	return false;
}

/* The prefix with which the file has a part: one of the row's or none. */
static bool find_prefix(sn_placed *stack, sn_part part)
{
	const char *prefix = stack->shape.arch->prefix;
	sn_file_tensor view;
	for (int n; prefix && *prefix; prefix += n + (prefix[n] == '|')) {
		n = (int)strcspn(prefix, "|");
		stack->prefix = prefix;
		stack->n_prefix = n;
		if (find(stack, part, 0, 0, &view, NULL)) return true;
	}
	stack->prefix = "";
	stack->n_prefix = 0;
	return find(stack, part, 0, 0, &view, NULL);
}

static sn_status missing(sn_ctx *ctx, const sn_placed *stack, const char *name)
{
	return sn_fail(ctx, SN_ENOTFOUND, "%s: tensor %s is missing; the file is incomplete or not a %s",
				   stack->weights->path, name, kind_of(stack->weights, stack->shape.arch));
}

/* ---- layouts ---- */

/* Rows that stand before a part's where it shares a tensor: Q, K, V below one another; GATE, UP. total: all rows. */
static int64_t stacked(const sn_shape *s, sn_part part, int64_t *total)
{
	int64_t q = sn_part_rows(s, SN_PART_Q), k = sn_part_rows(s, SN_PART_K), m = sn_part_rows(s, SN_PART_UP);
	bool mlp = part == SN_PART_GATE || part == SN_PART_GATE_B || part == SN_PART_UP || part == SN_PART_UP_B;
	*total = mlp ? 2 * m : q + 2 * k;
	if (mlp) return part == SN_PART_UP || part == SN_PART_UP_B ? m : 0;
	if (part == SN_PART_K || part == SN_PART_K_B) return q;
	return part == SN_PART_V || part == SN_PART_V_B ? q + k : 0;
}

/* Row of the file that holds row i of a Q or K in half-split order: pairs (j, j + d/2) stand at (2j, 2j + 1). */
static int64_t interleaved_row(int64_t i, int64_t d)
{
	int64_t head = i / d, j = i % d, half = d / 2;
	return head * d + (j < half ? 2 * j : 2 * (j - half) + 1);
}

/* Row of the file that holds row i of a part of groups (its query heads, K, V); run: rows from there that follow. */
static int64_t grouped_row(const sn_shape *s, sn_part part, int64_t i, int64_t *run)
{
	int64_t queries = (int64_t)(s->n_head / s->n_kv_head) * s->d_head, d = s->d_head, group = queries + 2 * d;
	bool q = part == SN_PART_Q || part == SN_PART_Q_B, v = part == SN_PART_V || part == SN_PART_V_B;
	int64_t own = q ? queries : d, before = q ? 0 : queries + (v ? d : 0);
	*run = own - i % own;
	return i / own * group + before + i % own;
}

static bool is_interleaved(const sn_placed *stack, sn_part part)
{
	bool rotated = part == SN_PART_Q || part == SN_PART_K || part == SN_PART_Q_B || part == SN_PART_K_B;
	return rotated && !stack->weights->hugging_face && stack->shape.arch->gguf_interleaved;
}

/* ---- reading ---- */

/* Each head's own gains, one tensor a head. */
static void read_heads(const sn_placed *stack, const slot *y, int64_t row0, int64_t n_row, float *out)
{
	int64_t d = stack->shape.d_head;
	for (int64_t i = row0, n; i < row0 + n_row; i += n, out += n) {
		n = SN_MIN(d - i % d, row0 + n_row - i);
		sn_file_tensor_rows(&y->head[i / d], i % d, n, out);
	}
}

static void read_rows(const sn_placed *stack, const slot *y, sn_part part, int64_t row0, int64_t n_row, float *out)
{
	bool interleaved = is_interleaved(stack, part);
	if (y->layout == SN_PER_HEAD) {
		read_heads(stack, y, row0, n_row, out);
		return;
	}
	for (int64_t i = row0, n; i < row0 + n_row; i += n, out += n * y->view.dim[1]) {
		int64_t row = y->first + i, run = row0 + n_row - i;
		if (interleaved) row = interleaved_row(i, stack->shape.d_head), run = 1;
		else if (y->layout == SN_GROUPED) row = grouped_row(&stack->shape, part, i, &run);
		n = SN_MIN(run, row0 + n_row - i);
		sn_file_tensor_rows(&y->view, row, n, out);
	}
}

static sn_status source_read(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const sn_placed *stack = arg;
	const slot *y = &stack->slot[(int64_t)layer * stack->n_part + stack->index[part]];
	(void)ctx;
	read_rows(stack, y, part, row0, n_row, out);
	if (stack->weights->hugging_face && stack->shape.arch->norm_plus_one && is_norm(part) && !is_bias(part))
		for (int64_t i = 0; i < n_row; i++) out[i] += 1;
	return SN_OK;
}

/* ---- placing ---- */

static const char *shape_text(const sn_file_tensor *v, char out[96])
{
	int used = sn_format(out, 96, "[");
	for (int i = 0; i < v->ndim && used < 72; i++)
		used += sn_format(out + used, (size_t)(96 - used), "%s%lld", i ? ", " : "", (long long)v->dim[i]);
	sn_format(out + used, (size_t)(96 - used), "]");
	return out;
}

static sn_status wrong_shape(sn_ctx *ctx, const sn_placed *stack, const char *name, const sn_file_tensor *view,
							 int64_t rows, int64_t columns, bool vector)
{
	char found[96], text[96];
	sn_file_tensor expected = { .ndim = vector ? 1 : 2, .dim = { rows, columns } };
	return sn_fail(ctx, SN_ESHAPE, "%s: tensor %s is %s; expected %s", stack->weights->path, name,
	               shape_text(view, found), shape_text(&expected, text));
}

/* Checks a tensor that a part was found in and turns it as the part lies in it. */
static sn_status fit(sn_ctx *ctx, const sn_placed *stack, sn_part part, const char *name, slot *y)
{
	const sn_shape *s = &stack->shape;
	int64_t rows = sn_part_rows(s, part), columns = sn_part_columns(s, part), total;
	bool turned = y->layout == SN_TRANSPOSED || y->layout == SN_STACKED_TRANSPOSED;
	if (y->layout == SN_STACKED || y->layout == SN_STACKED_TRANSPOSED) {
		y->first = stacked(s, part, &total);
		rows = total;
	}
	if (y->layout == SN_GROUPED) (void)stacked(s, part, &rows);
	if (y->layout == SN_PER_HEAD) rows = s->d_head;
	if (turned) total = rows, rows = columns, columns = total;
	if (!sn_file_tensor_fit(&y->view, rows, columns, is_vector(part)))
		return wrong_shape(ctx, stack, name, &y->view, rows, columns, is_vector(part));
	if (is_interleaved(stack, part) && s->d_head % 2)
		return sn_fail(ctx, SN_ESHAPE, "%s: tensor %s cannot hold pairs of rows in heads of %d", stack->weights->path,
					   name, s->d_head);
	if (!y->view.to_f32 || (turned && y->view.block != 1))
		return sn_fail(ctx, SN_EUNKNOWN, "%s: tensor %s has type %s, which cannot be read%s", stack->weights->path,
					   name, y->view.type, turned && y->view.to_f32 ? " on its side" : "");
	if (turned) sn_file_tensor_transpose(&y->view);
	return SN_OK;
}

static sn_status place_heads(sn_ctx *ctx, sn_placed *stack, sn_part part, int layer, slot *y)
{
	char name[NAME];
	int64_t n = sn_part_rows(&stack->shape, part) / stack->shape.d_head;
	sn_file_tensor *head;
	SN_NEW(head, stack->weights->arena, sn_file_tensor, n);
	for (int64_t h = 0; h < n; h++) {
		if (!find(stack, part, layer, (int)h, &y->view, name)) return missing(ctx, stack, name);
		SN_TRY(fit(ctx, stack, part, name, y));
		head[h] = y->view;
	}
	y->head = head;
	return SN_OK;
}

static sn_status place(sn_ctx *ctx, sn_placed *stack, sn_part part, int layer)
{
	char name[NAME];
	slot *y = &stack->slot[(int64_t)layer * stack->n_part + stack->index[part]];
	y->layout = names_of(stack->weights, stack->shape.arch)[part].layout;
	if (y->layout == SN_PER_HEAD) return place_heads(ctx, stack, part, layer, y);
	if (!find(stack, part, layer, 0, &y->view, name)) return missing(ctx, stack, name);
	return fit(ctx, stack, part, name, y);
}

/* ---- which parts there are, and sizes that only tensors tell ---- */

static bool lacks_first(const sn_shape *s, sn_part part)
{
	return s->form.first_attn_bare && (part == SN_PART_ATTN_NORM || part == SN_PART_ATTN_NORM_B);
}

/* Takes out parts that the file lacks and the row says it may lack. */
static void drop_absent(sn_placed *stack)
{
	sn_shape *s = &stack->shape;
	sn_file_tensor view;
	for (int i = 1; i < SN_PART_COUNT; i++) {
		sn_part part = (sn_part)i;
		if (!names_of(stack->weights, s->arch)[part].name) s->has &= ~(UINT64_C(1) << part);
		int layer = lacks_first(s, part) ? 1 : 0;
		if (layer >= n_group(s)) s->has &= ~(UINT64_C(1) << part);
		if ((s->arch->optional >> part & 1) && sn_has(s, part) && !find(stack, part, layer, 0, &view, NULL))
			s->has &= ~(UINT64_C(1) << part);
	}
}

/* Rows of the tensor that a part is in, or 0. */
static int64_t found_rows(const sn_placed *stack, sn_part part)
{
	sn_file_tensor view;
	return sn_has(&stack->shape, part) && find(stack, part, 0, 0, &view, NULL) && view.ndim == 2 ? view.dim[0] : 0;
}

static void take_sizes(sn_placed *stack)
{
	sn_shape *s = &stack->shape;
	int64_t unembed = found_rows(stack, SN_PART_UNEMBED), head = found_rows(stack, SN_PART_HEAD);
	s->d_vocab = found_rows(stack, SN_PART_EMBED);
	s->n_position = found_rows(stack, SN_PART_POS_EMBED);
	if (s->n_position > s->form.position_offset) s->n_ctx = SN_MIN(s->n_ctx, s->n_position - s->form.position_offset);
	s->n_type = found_rows(stack, SN_PART_TYPE_EMBED);
	s->n_bucket = found_rows(stack, SN_PART_REL_BIAS);
	if (head) s->d_head_out = head;
	if (unembed) s->n_logit = unembed;
}

static bool same_tensor(const sn_placed *stack, sn_part a, sn_part b)
{
	sn_file_tensor x, y;
	return find(stack, a, 0, 0, &x, NULL) && find(stack, b, 0, 0, &y, NULL) && x.ndim == 2 && y.ndim == 2 &&
	       sn_file_tensor_equal(&x, &y);
}

/* Whether the unembedding is the embedding, a matrix of its own, or not there. A file that has both, though its keys
 * tie them, is right if they differ (as transformers has it); GGUF files have no key for it. */
static void settle_unembedding(sn_placed *stack)
{
	const uint64_t logits = SN_PART_BIT(UNEMBED) | SN_PART_BIT(UNEMBED_B), heads = SN_PART_BIT(HEAD) |
		SN_PART_BIT(HEAD_B) | SN_PART_BIT(HEAD_NORM) | SN_PART_BIT(HEAD_NORM_B);
	const sn_weights *weights = stack->weights;
	sn_shape *s = &stack->shape;
	sn_file_tensor view;
	bool named = sn_has(s, SN_PART_UNEMBED), found = named && find(stack, SN_PART_UNEMBED, 0, 0, &view, NULL);
	if (!weights->hugging_face) s->tied = !found;
	bool none =
		!named || (s->arch->needs_head && !sn_has(s, SN_PART_HEAD)) || (!s->tied && !found && weights->headless);
	if (none) {
		s->tied = false;
		s->has &= ~(s->arch->needs_head || !named ? logits | heads : logits);
	}
	if (s->tied && found) s->tied = same_tensor(stack, SN_PART_UNEMBED, SN_PART_EMBED);
	if (s->tied) s->has &= ~SN_PART_BIT(UNEMBED);
}

/* ---- stacks ---- */

static sn_status check_embedding(sn_ctx *ctx, sn_placed *stack)
{
	sn_file_tensor view;
	char name[NAME];
	(void)find_prefix(stack, SN_PART_EMBED);
	if (!find(stack, SN_PART_EMBED, 0, 0, &view, name)) return missing(ctx, stack, name);
	if (view.ndim != 2 || view.dim[0] < 1)
		return sn_fail(ctx, SN_ESHAPE, "%s: the embedding has %d dimensions; expected [vocabulary, width]",
		               stack->weights->path, view.ndim);
	return SN_OK;
}

static sn_status place_all(sn_ctx *ctx, sn_placed *stack)
{
	const sn_shape *s = &stack->shape;
	for (int part = 1; part < SN_PART_COUNT; part++)
		if (sn_has(s, (sn_part)part)) stack->index[part] = (uint8_t)stack->n_part++;
	SN_NEW(stack->slot, stack->weights->arena, slot, (int64_t)n_group(s) * stack->n_part);
	for (int part = 1; part < SN_PART_COUNT; part++)
		for (int l = lacks_first(s, (sn_part)part); sn_has(s, (sn_part)part) && l < n_group_of(s, (sn_part)part); l++)
			SN_TRY(place(ctx, stack, (sn_part)part, l));
	return SN_OK;
}

sn_status sn_weights_place(sn_ctx *ctx, sn_weights *weights, int i)
{
	sn_placed *stack;
	SN_NEW(stack, weights->arena, sn_placed, 1);
	stack->weights = weights;
	stack->shape = weights->shape[i];
	sn_shape *s = &stack->shape;
	if (n_group(s) > weights->n_tensor)
		return sn_fail(ctx, SN_ESHAPE, "%s: %d blocks of %lld tensors; a file is missing or the number of blocks wrong",
		               weights->path, n_group(s), (long long)weights->n_tensor);
	SN_TRY(check_embedding(ctx, stack));
	s->has = sn_form_parts(&s->form, s->has);
	drop_absent(stack);
	settle_unembedding(stack);
	take_sizes(stack);
	SN_TRY(sn_shape_complete(ctx, s, weights->path));
	SN_TRY(place_all(ctx, stack));
	weights->shape[i] = *s;
	weights->stack[i] = stack;
	return SN_OK;
}

bool sn_weights_has_head(const sn_weights *weights, const sn_arch *arch)
{
	sn_placed stack = { .weights = (sn_weights *)weights, .shape = { .arch = arch } };
	return find_prefix(&stack, SN_PART_HEAD);
}

const sn_file_tensor *sn_weights_tensor(const sn_weights *weights, sn_part part, int layer)
{
	const sn_placed *stack = weights->stack[0];
	return &stack->slot[(int64_t)layer * stack->n_part + stack->index[part]].view;
}

/* ---- stores ---- */

sn_status sn_weights_open(sn_weights **out, sn_ctx *ctx)
{
	*out = sn_alloc(ctx, sizeof **out);
	if (!*out) return SN_ENOMEM;
	sn_status status = sn_arena_open(&(*out)->arena, ctx);
	if (status == SN_OK) return SN_OK;
	sn_free(ctx, *out);
	*out = NULL;
	return status;
}

void sn_weights_close(sn_weights *weights)
{
	if (!weights) return;
	sn_ctx *ctx = sn_arena_ctx(weights->arena);
	if (weights->close) weights->close(weights->file);
	sn_arena_close(weights->arena);
	sn_free(ctx, weights);
}

static void source_close(sn_ctx *ctx, void *arg)
{
	sn_placed *stack = arg;
	(void)ctx;
	if (--stack->weights->users == 0) sn_weights_close(stack->weights);
}

static sn_status make(sn_model **out, sn_ctx *ctx, sn_weights *weights, int i, sn_tokenizer *tokenizer,
                      const sn_model_info *info)
{
	sn_source source = { weights->stack[i], source_read, source_close };
	return sn_model_make(out, ctx, &weights->shape[i], &source, tokenizer, info);
}

sn_status sn_weights_model(sn_model **out, sn_ctx *ctx, sn_weights *weights, sn_tokenizer *tokenizer,
                         const sn_model_info *info)
{
	bool both = weights->stack[1] != NULL;
	sn_model *encoder = NULL;
	*out = NULL;
	weights->users = both ? 2 : 1;
	sn_status status = both ? make(&encoder, ctx, weights, 1, NULL, info) : SN_OK;
	if (status != SN_OK) {   /* the encoder's source is closed; the decoder's was never given away */
		sn_tokenizer_close(tokenizer);
		source_close(ctx, weights->stack[0]);
		return status;
	}
	status = make(out, ctx, weights, 0, tokenizer, info);
	if (status == SN_OK && both) status = sn_model_set_encoder(ctx, *out, encoder);
	else if (status != SN_OK) sn_model_close(encoder);
	if (status == SN_OK) return SN_OK;
	sn_model_close(*out);
	*out = NULL;
	return status;
}
