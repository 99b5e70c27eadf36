/* A tokenizer from the metadata of a GGUF file. */
#include "io/hub.h"
#include "text/classes.h"
#include "text/tokenizer_impl.h"

#include <string.h>

/* What tokenizer.ggml.pre stands for; a new family is a row. */
typedef struct family {
	const char *name;
	bool digits;         /* each number character on its own, first */
	const char *pattern; /* then the words */
} family;

static const family families[] = {
	{ "gpt-2", false, sn_gpt2_pattern },
	{ "gpt2", false, sn_gpt2_pattern },
	{ "default", false, sn_gpt2_pattern },
	{ "smollm", true, sn_gpt2_pattern },
};

static sn_status unknown_family(const sn_tokenizer *t, const char *name)
{
	char known[256] = "";
	for (int i = 0, used = 0; i < SN_COUNT(families); i++)
		used += sn_format(known + used, sizeof known - (size_t)used, "%s%s", i ? ", " : "", families[i].name);
	return sn_fail(t->ctx, SN_EUNKNOWN, "%s: tokenizer.ggml.pre is '%s'; known: %s", t->source, name, known);
}

static sn_status add_family(sn_tokenizer *t, const char *name)
{
	const family *f = NULL;
	for (int i = 0; i < SN_COUNT(families); i++)
		if (strcmp(families[i].name, name) == 0) f = &families[i];
	if (!f) return unknown_family(t, name);
	if (f->digits)
		SN_TRY(sn_tokenizer_add_stage(
			t, (sn_stage){ .kind = SN_STAGE_SPLIT_CLASS, .in_class = sn_is_number, .behavior = SN_ISOLATED }));
	sn_stage words = { .kind = SN_STAGE_BYTE_LEVEL };
	SN_TRY(sn_regex_open(&words.regex, t->ctx, f->pattern, strlen(f->pattern), false, t->source));
	return sn_tokenizer_add_stage(t, words);
}

static bool is_added(const sn_tokenizer_spec *spec, int64_t i)
{
	bool added = spec->type && (spec->type[i] == SN_TOKEN_CONTROL || spec->type[i] == SN_TOKEN_USER_DEFINED);
	return added && spec->token[i].size;
}

/* The tokens found as they are written. */
static sn_status add_tokens(sn_tokenizer *t, const sn_tokenizer_spec *spec)
{
	int64_t n = 0;
	for (int64_t i = 0; i < spec->n_token; i++) n += is_added(spec, i);
	SN_NEW(t->added[0].token, t->arena, sn_added, n);
	SN_NEW(t->flag, t->arena, uint8_t, spec->n_token);
	for (int32_t i = 0; i < spec->n_token; i++) {
		if (!is_added(spec, i)) continue;
		if (sn_utf8_check(spec->token[i].data, spec->token[i].size) >= 0)
			return sn_fail(t->ctx, SN_EPARSE, "%s: token %d is to be found in texts, but is not UTF-8", t->source, i);
		bool special = spec->type[i] == SN_TOKEN_CONTROL;
		t->flag[i] = SN_IS_ADDED | (special ? SN_IS_SPECIAL : 0);
		t->added[0].token[t->added[0].n++] =
			(sn_added){ .text = sn_vocab_token(&t->vocab, i), .id = i, .special = special };
	}
	sn_added_index(&t->added[0]);
	return SN_OK;
}

static sn_status build_vocab(sn_tokenizer *t, const sn_tokenizer_spec *spec, const sn_byte_alphabet *alphabet)
{
	if (spec->n_token <= 0 || !spec->token)
		return sn_fail(t->ctx, SN_EPARSE, "%s: the tokenizer has no tokens", t->source);
	sn_vocab_entry *entry = sn_alloc(t->ctx, sn_size3((size_t)spec->n_token, sizeof *entry, 1));
	if (!entry) return SN_ENOMEM;
	for (int64_t i = 0; i < spec->n_token; i++) entry[i] = (sn_vocab_entry){ spec->token[i], is_added(spec, i), false };
	sn_status status = sn_vocab_build(&t->vocab, t->arena, spec->n_token, entry, alphabet, t->source);
	sn_free(t->ctx, entry);
	return status;
}

static sn_status add_merge(sn_tokenizer *t, int64_t i, sn_slice merge, const sn_byte_alphabet *alphabet,
						   sn_buf scratch[3])
{
	const char *space = merge.size ? memchr(merge.data, ' ', merge.size) : NULL;
	size_t left = space ? (size_t)(space - merge.data) : 0, right = space ? merge.size - left - 1 : 0;
	if (left == 0 || right == 0 || memchr(space + 1, ' ', right))
		return sn_fail(t->ctx, SN_EPARSE, "%s: merge %lld, '%.*s': expected two tokens with a space between", t->source,
					   (long long)i, (int)SN_MIN(merge.size, 80), merge.data);
	return sn_tokenizer_add_merge(t, i, (sn_slice){ merge.data, left }, (sn_slice){ space + 1, right }, alphabet,
								  scratch);
}

static sn_status add_merges(sn_tokenizer *t, const sn_tokenizer_spec *spec, const sn_byte_alphabet *alphabet)
{
	sn_buf scratch[3] = { { .ctx = t->ctx }, { .ctx = t->ctx }, { .ctx = t->ctx } };
	sn_status status = sn_bpe_init(&t->bpe, t->arena, &t->vocab, spec->n_merge);
	for (int64_t i = 0; i < spec->n_merge && status == SN_OK; i++)
		status = add_merge(t, i, spec->merge[i], alphabet, scratch);
	for (int k = 0; k < 3; k++) sn_buf_free(&scratch[k]);
	return status;
}

static sn_status add_around(sn_tokenizer *t, const char *name, int32_t id, bool after)
{
	if (id < 0 || id >= t->vocab.n)
		return sn_fail(t->ctx, SN_EPARSE, "%s: tokenizer.ggml.%s is %d, but the tokens are 0 to %d", t->source, name,
					   id, t->vocab.n - 1);
	return sn_tokenizer_surround(t, id, after);
}

static sn_status build(sn_tokenizer *t, const sn_tokenizer_spec *spec)
{
	const char *pre = spec->pre ? spec->pre : "gpt-2";
	sn_byte_alphabet alphabet;
	sn_byte_alphabet_init(&alphabet);
	if (!spec->model || strcmp(spec->model, "gpt2") != 0)
		return sn_fail(t->ctx, SN_EUNKNOWN, "%s: tokenizer.ggml.model is '%s'; known: gpt2 (byte-level BPE)", t->source,
					   spec->model ? spec->model : "");
	SN_TRY(add_family(t, pre));
	SN_TRY(build_vocab(t, spec, &alphabet));
	t->bpe.byte_level = t->byte_level = t->decodes = true;
	t->encode = sn_encode_bpe;
	SN_TRY(sn_tokenizer_add_decoder(t, (sn_decoder){ .kind = SN_DECODE_BYTE_LEVEL }));
	SN_TRY(add_merges(t, spec, &alphabet));
	SN_TRY(add_tokens(t, spec));
	if (spec->add_bos) SN_TRY(add_around(t, "bos_token_id", spec->bos, false));
	if (spec->add_eos) SN_TRY(add_around(t, "eos_token_id", spec->eos, true));
	const char *more = sn_arena_format(t->arena, "%lld merges, pre-tokenizer %s", (long long)spec->n_merge, pre);
	return more ? sn_tokenizer_finish(t, "BPE", more) : SN_ENOMEM;
}

sn_status sn_tokenizer_open(sn_tokenizer **out, sn_ctx *ctx, const sn_tokenizer_spec *spec)
{
	SN_TRY(sn_tokenizer_new(out, ctx, spec->source ? spec->source : "tokenizer"));
	sn_status status = build(*out, spec);
	if (status == SN_OK) return SN_OK;
	sn_tokenizer_close(*out);
	*out = NULL;
	return status;
}

/* ---- from a file ---- */

static sn_status id_of(const sn_gguf *file, sn_ctx *ctx, const char *key, int32_t *out)
{
	int64_t id;
	SN_TRY(sn_gguf_i64_or(file, key, -1, &id));
	if (id < -1 || id > INT32_MAX)
		return sn_fail(ctx, SN_EPARSE, "%s: %s is %lld; expected a token", sn_gguf_path(file), key, (long long)id);
	*out = (int32_t)id;
	return SN_OK;
}

static sn_status read_lists(const sn_gguf *file, sn_ctx *ctx, sn_arena *arena, sn_tokenizer_spec *spec)
{
	sn_slice *token, *merge;
	int32_t *type;
	int64_t n_type;
	SN_TRY(sn_gguf_texts(file, "tokenizer.ggml.tokens", arena, &token, &spec->n_token));
	spec->token = token;
	if (sn_gguf_has(file, "tokenizer.ggml.merges")) {
		SN_TRY(sn_gguf_texts(file, "tokenizer.ggml.merges", arena, &merge, &spec->n_merge));
		spec->merge = merge;
	}
	if (!sn_gguf_has(file, "tokenizer.ggml.token_type")) return SN_OK;
	SN_TRY(sn_gguf_i32s(file, "tokenizer.ggml.token_type", arena, &type, &n_type));
	spec->type = type;
	if (n_type == spec->n_token) return SN_OK;
	return sn_fail(ctx, SN_EPARSE, "%s: tokenizer.ggml.token_type has %lld entries for %lld tokens", spec->source,
				   (long long)n_type, (long long)spec->n_token);
}

static sn_status read_spec(const sn_gguf *file, sn_ctx *ctx, sn_arena *arena, sn_tokenizer_spec *spec)
{
	*spec = (sn_tokenizer_spec){ .source = sn_gguf_path(file) };
	SN_TRY(sn_gguf_string(file, "tokenizer.ggml.model", arena, &spec->model));
	if (sn_gguf_has(file, "tokenizer.ggml.pre")) SN_TRY(sn_gguf_string(file, "tokenizer.ggml.pre", arena, &spec->pre));
	SN_TRY(id_of(file, ctx, "tokenizer.ggml.bos_token_id", &spec->bos));
	SN_TRY(id_of(file, ctx, "tokenizer.ggml.eos_token_id", &spec->eos));
	SN_TRY(sn_gguf_bool_or(file, "tokenizer.ggml.add_bos_token", false, &spec->add_bos));
	SN_TRY(sn_gguf_bool_or(file, "tokenizer.ggml.add_eos_token", false, &spec->add_eos));
	return read_lists(file, ctx, arena, spec);
}

sn_status sn_tokenizer_open_gguf(sn_tokenizer **out, sn_ctx *ctx, const sn_gguf *file)
{
	sn_arena *arena;
	sn_tokenizer_spec spec;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = read_spec(file, ctx, arena, &spec);
	if (status == SN_OK) status = sn_tokenizer_open(out, ctx, &spec);
	sn_arena_close(arena);
	return status;
}

static sn_status open_located(sn_tokenizer **out, sn_ctx *ctx, const char *path)
{
	sn_gguf *file;
	if (!sn_ends_with(path, ".gguf")) return sn_tokenizer_open_json(out, ctx, path);
	SN_TRY(sn_gguf_open(&file, ctx, path));
	sn_status status = sn_tokenizer_open_gguf(out, ctx, file);
	sn_gguf_close(file);
	return status;
}

sn_status sn_tokenizer_open_path(sn_tokenizer **out, sn_ctx *ctx, const char *path)
{
	sn_arena *arena;
	const char *found, *name;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = sn_hub_locate(ctx, arena, path, &found, &name);
	if (status == SN_OK) status = open_located(out, ctx, found);
	sn_arena_close(arena);
	return status;
}
