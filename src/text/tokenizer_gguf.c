/* A tokenizer from the metadata of a GGUF file. */
#include "io/hub.h"
#include "text/classes.h"
#include "text/gguf_bert.h"
#include "text/gguf_pre.h"
#include "text/tokenizer_spm.h"

#include <string.h>

/* ---- byte-level BPE ---- */

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

static sn_status build_gpt2(sn_tokenizer *t, const sn_tokenizer_spec *spec)
{
	const char *pre = spec->pre ? spec->pre : "gpt-2";
	sn_byte_alphabet alphabet;
	sn_byte_alphabet_init(&alphabet);
	SN_TRY(sn_tokenizer_set_pre(t, pre));
	SN_TRY(build_vocab(t, spec, &alphabet));
	t->bpe.byte_level = t->byte_level = t->decodes = true;
	t->encode = sn_encode_bpe;
	SN_TRY(sn_tokenizer_add_decoder(t, (sn_decoder){ .kind = SN_DECODE_BYTE_LEVEL }));
	SN_TRY(add_merges(t, spec, &alphabet));
	SN_TRY(add_tokens(t, spec));
	t->kind = sn_arena_format(t->arena, "%lld merges, pre-tokenizer %s", (long long)spec->n_merge, pre);
	return t->kind ? SN_OK : SN_ENOMEM;
}

/* ---- SentencePiece ---- */

static sn_status read_pieces(sn_tokenizer *t, const sn_tokenizer_spec *spec, sn_spm_piece *piece, bool *bytes)
{
	int64_t n_byte = 0;
	if (!spec->score) return sn_fail(t->ctx, SN_EPARSE, "%s: the tokenizer has no scores", t->source);
	for (int64_t i = 0; i < spec->n_token; i++) {
		piece[i] = (sn_spm_piece){ spec->token[i], spec->score[i], spec->type ? spec->type[i] : SN_TOKEN_NORMAL };
		n_byte += piece[i].type == SN_TOKEN_BYTE;
		if (piece[i].text.size == 0) piece[i].type = SN_TOKEN_UNUSED; /* some files fill up their lists so */
	}
	*bytes = n_byte >= 256;
	return SN_OK;
}

static sn_status build_spm(sn_tokenizer *t, const sn_tokenizer_spec *spec, sn_spm_kind kind)
{
	sn_spm_piece *piece = sn_alloc(t->ctx, sn_size3((size_t)spec->n_token, sizeof *piece, 1));
	if (!piece) return SN_ENOMEM;
	sn_spm_spec model = { .source = t->source,
						  .kind = kind,
						  .n = spec->n_token,
						  .piece = piece,
						  .unk = spec->unk,
						  .add_dummy_prefix = spec->add_space_prefix,
						  .remove_extra_whitespaces = spec->remove_extra_whitespaces,
						  .escape_whitespaces = true,
						  .plain_spaces = true,
						  .prefix_once = kind == SN_SPM_BPE,
						  .charsmap = spec->charsmap };
	sn_status status = read_pieces(t, spec, piece, &model.byte_fallback);
	if (status == SN_OK) status = sn_tokenizer_set_spm(t, &model, NULL);
	sn_free(t->ctx, piece);
	t->kind = "SentencePiece scores";
	return status;
}

static sn_status build_llama(sn_tokenizer *t, const sn_tokenizer_spec *spec) { return build_spm(t, spec, SN_SPM_BPE); }
static sn_status build_t5(sn_tokenizer *t, const sn_tokenizer_spec *spec) { return build_spm(t, spec, SN_SPM_UNIGRAM); }

/* ---- any ---- */

static sn_status add_around(sn_tokenizer *t, const char *name, int32_t id, bool after)
{
	if (id < 0 || id >= t->vocab.n)
		return sn_fail(t->ctx, SN_EPARSE, "%s: tokenizer.ggml.%s is %d, but the tokens are 0 to %d", t->source, name,
					   id, t->vocab.n - 1);
	return sn_tokenizer_surround(t, id, after);
}

/* What tokenizer.ggml.model stands for. A builder leaves more about the kind in t->kind. */
static const struct {
	const char *name, *kind;
	sn_status (*build)(sn_tokenizer *t, const sn_tokenizer_spec *spec);
} models[] = {
	{ "gpt2", "BPE", build_gpt2 },
	{ "llama", "BPE", build_llama },
	{ "t5", "Unigram", build_t5 },
	{ "bert", "WordPiece", sn_tokenizer_set_bert },
};

static sn_status build(sn_tokenizer *t, const sn_tokenizer_spec *spec)
{
	const char *name = spec->model ? spec->model : "";
	int i = 0;
	while (i < SN_COUNT(models) && strcmp(models[i].name, name) != 0) i++;
	if (i == SN_COUNT(models))
		return sn_fail(t->ctx, SN_EUNKNOWN, "%s: tokenizer.ggml.model is '%s'; known: gpt2, llama, t5, bert", t->source,
					   name);
	if (spec->n_token <= 0 || !spec->token)
		return sn_fail(t->ctx, SN_EPARSE, "%s: the tokenizer has no tokens", t->source);
	SN_TRY(models[i].build(t, spec));
	if (spec->add_bos) SN_TRY(add_around(t, "bos_token_id", spec->bos, false));
	if (spec->add_eos) SN_TRY(add_around(t, "eos_token_id", spec->eos, true));
	return sn_tokenizer_finish(t, models[i].kind, t->kind);
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

static sn_status same_count(const sn_tokenizer_spec *spec, sn_ctx *ctx, const char *key, int64_t n)
{
	if (n == spec->n_token) return SN_OK;
	return sn_fail(ctx, SN_EPARSE, "%s: %s has %lld entries for %lld tokens", spec->source, key, (long long)n,
				   (long long)spec->n_token);
}

static sn_status read_lists(const sn_gguf *file, sn_ctx *ctx, sn_arena *arena, sn_tokenizer_spec *spec)
{
	static const char types[] = "tokenizer.ggml.token_type", scores[] = "tokenizer.ggml.scores";
	sn_slice *token, *merge;
	int32_t *type;
	float *score;
	int64_t n;
	SN_TRY(sn_gguf_texts(file, "tokenizer.ggml.tokens", arena, &token, &spec->n_token));
	spec->token = token;
	if (sn_gguf_has(file, "tokenizer.ggml.merges")) {
		SN_TRY(sn_gguf_texts(file, "tokenizer.ggml.merges", arena, &merge, &spec->n_merge));
		spec->merge = merge;
	}
	if (sn_gguf_has(file, types)) {
		SN_TRY(sn_gguf_i32s(file, types, arena, &type, &n));
		SN_TRY(same_count(spec, ctx, types, n));
		spec->type = type;
	}
	if (!sn_gguf_has(file, scores)) return SN_OK;
	SN_TRY(sn_gguf_f32s(file, scores, arena, &score, &n));
	spec->score = score;
	return same_count(spec, ctx, scores, n);
}

/* An array of small integers. */
static sn_status read_charsmap(const sn_gguf *file, sn_ctx *ctx, sn_arena *arena, sn_slice *out)
{
	static const char key[] = "tokenizer.ggml.precompiled_charsmap";
	int32_t *value;
	int64_t n;
	char *bytes;
	if (!sn_gguf_has(file, key)) return SN_OK;
	SN_TRY(sn_gguf_i32s(file, key, arena, &value, &n));
	SN_NEW(bytes, arena, char, n);
	for (int64_t i = 0; i < n; i++) {
		if (value[i] < -128 || value[i] > 255)
			return sn_fail(ctx, SN_EPARSE, "%s: %s: %d is no byte", sn_gguf_path(file), key, value[i]);
		bytes[i] = (char)value[i];
	}
	*out = (sn_slice){ bytes, (size_t)n };
	return SN_OK;
}

/* Flags that a file leaves out are what SentencePiece's models of this kind mostly have. */
static sn_status read_flags(const sn_gguf *file, sn_tokenizer_spec *spec)
{
	bool llama = strcmp(spec->model, "llama") == 0, t5 = strcmp(spec->model, "t5") == 0;
	bool bert = strcmp(spec->model, "bert") == 0;
	SN_TRY(sn_gguf_bool_or(file, "tokenizer.ggml.add_bos_token", llama || bert, &spec->add_bos));
	SN_TRY(sn_gguf_bool_or(file, bert ? "tokenizer.ggml.add_sep_token" : "tokenizer.ggml.add_eos_token", t5 || bert,
						   &spec->add_eos));
	SN_TRY(sn_gguf_bool_or(file, "tokenizer.ggml.add_space_prefix", llama || t5, &spec->add_space_prefix));
	return sn_gguf_bool_or(file, "tokenizer.ggml.remove_extra_whitespaces", t5, &spec->remove_extra_whitespaces);
}

static sn_status read_spec(const sn_gguf *file, sn_ctx *ctx, sn_arena *arena, sn_tokenizer_spec *spec)
{
	*spec = (sn_tokenizer_spec){ .source = sn_gguf_path(file) };
	SN_TRY(sn_gguf_string(file, "tokenizer.ggml.model", arena, &spec->model));
	if (sn_gguf_has(file, "tokenizer.ggml.pre")) SN_TRY(sn_gguf_string(file, "tokenizer.ggml.pre", arena, &spec->pre));
	SN_TRY(id_of(file, ctx, "tokenizer.ggml.bos_token_id", &spec->bos));
	bool bert = strcmp(spec->model, "bert") == 0 && sn_gguf_has(file, "tokenizer.ggml.seperator_token_id");
	SN_TRY(id_of(file, ctx, bert ? "tokenizer.ggml.seperator_token_id" : "tokenizer.ggml.eos_token_id", &spec->eos));
	SN_TRY(id_of(file, ctx, "tokenizer.ggml.unknown_token_id", &spec->unk));
	SN_TRY(read_flags(file, spec));
	SN_TRY(read_charsmap(file, ctx, arena, &spec->charsmap));
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
	if (!sn_ends_with(path, ".gguf")) return sn_tokenizer_open_folder(out, ctx, path);
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
