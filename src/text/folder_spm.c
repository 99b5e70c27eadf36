/* Folders with a SentencePiece model and no tokenizer.json: which tokens the pieces are, and what stands around a text,
 * in the manner of each class of transformers' tokenizers. */
#include "text/folder.h"
#include "text/spm_file.h"
#include "text/tokenizer_spm.h"

#include <string.h>

/* mBART's languages; mBART-50's are these and more. */
#define LANGUAGES                                                                                                      \
	"ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP "     \
	"nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN"
#define MORE_LANGUAGES                                                                                                 \
	"af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE "     \
	"ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"
#define MADE_UP "<madeupword0> <madeupword1> <madeupword2> <madeupword3> <madeupword4> <madeupword5> <madeupword6>"
#define FAIRSEQ "<s> <pad> </s> <unk>"
#define CAMEMBERT "<s>NOTUSED <pad> </s>NOTUSED <unk> <unk>NOTUSED"

/* Special tokens where the folder does not say: name, text, name, ... */
static const char *const bos_eos[] = { "bos_token", "<s>",       "eos_token", "</s>", "unk_token",
									   "<unk>",     "pad_token", "<pad>",     NULL };
static const char *const with_mask[] = { "bos_token", "<s>",   "eos_token",  "</s>",   "unk_token", "<unk>",
										 "pad_token", "<pad>", "mask_token", "<mask>", NULL };
static const char *const albert[] = { "bos_token", "[CLS]", "eos_token",  "[SEP]",  "unk_token", "<unk>",
									  "pad_token", "<pad>", "mask_token", "[MASK]", NULL };
static const char *const deberta[] = { "bos_token", "[CLS]", "eos_token",  "[SEP]",  "unk_token", "[UNK]",
									   "pad_token", "[PAD]", "mask_token", "[MASK]", NULL };
static const char *const gemma[] = { "bos_token", "<bos>",     "eos_token", "<eos>", "unk_token",
									 "<unk>",     "pad_token", "<pad>",     NULL };
static const char *const none[] = { NULL };

typedef struct convention {
	const char *classes; /* tokenizer_class without "Tokenizer"; with spaces between */
	const char *types;   /* model_type of config.json, where there is no class */
	const char *front;   /* tokens that come before the pieces from number `skip` on; NULL: pieces keep their numbers */
	int skip;
	const char *tail;   /* tokens after the pieces */
	const char *before; /* special tokens before a text, by their members' names; "language": src_lang */
	const char *after;  /* and after it */
	const char *pair;   /* two texts A and B, with b what is before and e what is after; type 1 from ; on */
	const char *const *special;
	bool optional;   /* before and after only if add_bos_token, add_eos_token (true and false) say so */
	bool extra_ids;  /* T5's <extra_id_99> to <extra_id_0> follow the pieces */
	bool plain_text; /* ALBERT's: quotes are made one kind, accents and capitals may go, commas leave digits */
	bool table;      /* Marian's: vocab.json has the number of every piece */
} convention;

static const convention conventions[] = {
	{ "T5 MT5 UMT5", "t5 mt5 umt5 longt5", NULL, 0, "", "", "eos_token", "AeBe", bos_eos, .extra_ids = true },
	{ "XLMRoberta", "xlm-roberta xlm-roberta-xl", FAIRSEQ, 3, "<mask>", "bos_token", "eos_token", "bAeeBe",
	  .special = with_mask },
	{ "Camembert", "camembert", CAMEMBERT, 1, "<mask>", "bos_token", "eos_token", "bAeeBe", .special = with_mask },
	{ "MBart", "mbart", FAIRSEQ, 3, LANGUAGES " <mask>", "", "eos_token language", "ABe", .special = with_mask },
	{ "MBart50", "", FAIRSEQ, 3, LANGUAGES " " MORE_LANGUAGES " <mask>", "language", "eos_token", "bABe",
	  .special = with_mask },
	{ "XGLM", "xglm", FAIRSEQ, 3, MADE_UP, "eos_token", "", "bAbbB", .special = bos_eos },
	{ "Llama CodeLlama", "llama mistral mixtral", NULL, 0, "", "bos_token", "eos_token", "bAe;bBe", bos_eos,
	  .optional = true },
	{ "Gemma", "gemma gemma2 gemma3 gemma3_text", NULL, 0, "", "bos_token", "eos_token", "bAe;bBe", gemma,
	  .optional = true },
	{ "Albert", "albert", NULL, 0, "", "bos_token", "eos_token", "bAe;Be", albert, .plain_text = true },
	{ "DebertaV2", "deberta-v2", NULL, 0, "[MASK]", "bos_token", "eos_token", "bAe;Be", .special = deberta },
	{ "Marian", "marian", NULL, 0, "", "", "eos_token", "ABe", bos_eos, .table = true },
	{ "BertGeneration Reformer", "bert-generation reformer", NULL, 0, "", "", "", "AB", .special = bos_eos },
	{ "PreTrained", "", NULL, 0, "", "", "", "AB", .special = none },
};

/* What is being put together. */
typedef struct maker {
	sn_folder *folder;
	sn_ctx *ctx;
	sn_arena *arena;
	const convention *c;
	sn_spm_spec spec;
	sn_spm_ids ids;
	sn_buf extra;   /* sn_spm_extra */
	sn_json *table; /* vocab.json */
} maker;

/* ---- classes ---- */

/* Whether a list with spaces between its members has one. */
static bool lists(const char *list, const char *name, size_t size)
{
	for (const char *at = list; size && *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");
		if (n == size && memcmp(at, name, n) == 0) return true;
		at += n;
	}
	return false;
}

static const char *text_of(const sn_json *doc, const char *key)
{
	const char *text = doc ? json_string_value(json_object_get(doc->root, key)) : NULL;
	return text ? text : "";
}

static sn_status unknown_class(const maker *m, const char *name)
{
	char known[512] = "";
	for (int i = 0, used = 0; i < SN_COUNT(conventions); i++)
		used += sn_format(known + used, sizeof known - (size_t)used, "%s%s", i ? " " : "", conventions[i].classes);
	return sn_fail(
		m->ctx, SN_EUNKNOWN,
		"%s: a SentencePiece model in the manner of '%.80s' is not known (known: %s); let transformers make a "
		"tokenizer.json of it",
		m->folder->path, name, known);
}

/* tokenizer_class decides; without one config.json's model_type. Without both, tokens are pieces. */
static sn_status find_convention(maker *m)
{
	const char *class = text_of(m->folder->config, "tokenizer_class"), *type = text_of(m->folder->model, "model_type");
	size_t size = strlen(class);
	if (size > 4 && strcmp(class + size - 4, "Fast") == 0) size -= 4;
	if (size > 9 && memcmp(class + size - 9, "Tokenizer", 9) == 0) size -= 9;
	m->c = *class || *type ? NULL : &conventions[SN_COUNT(conventions) - 1];
	for (int i = 0; i < SN_COUNT(conventions) && !m->c; i++)
		if (*class ? lists(conventions[i].classes, class, size) : lists(conventions[i].types, type, strlen(type)))
			m->c = &conventions[i];
	return m->c ? SN_OK : unknown_class(m, *class ? class : type);
}

/* ---- numbers ---- */

/* Enters a token that is no piece, or a piece to be found in texts, and remembers what number its text has. */
static sn_status enter(maker *m, sn_slice text, int64_t id, bool special, bool hidden)
{
	const sn_spm_extra extra = { .text = text, .id = (int32_t)id, .special = special, .hidden = hidden };
	sn_buf_add(&m->extra, &extra, sizeof extra);
	char *key = sn_arena_copy(m->arena, text.data, text.size);
	if (key && !m->extra.failed && json_object_set_new(m->folder->vocab, key, json_integer(id)) == 0) return SN_OK;
	return sn_fail(m->ctx, SN_ENOMEM, "%s: out of memory to read it", m->folder->source);
}

/* Enters the members of a list, with numbers from *id on, which becomes the number after the last. */
static sn_status enter_list(maker *m, const char *list, int64_t *id)
{
	for (size_t size; *list; list += size + strspn(list + size, " ")) {
		size = strcspn(list, " ");
		bool hidden = size > 7 && memcmp(list + size - 7, "NOTUSED", 7) == 0;
		SN_TRY(enter(m, (sn_slice){ list, size }, (*id)++, true, hidden));
	}
	return SN_OK;
}

static int64_t number_of(const maker *m, sn_slice text)
{
	char *key = sn_arena_copy(m->arena, text.data, text.size);
	const json_t *id = key ? json_object_get(m->folder->vocab, key) : NULL;
	return id ? json_integer_value(id) : -1;
}

static bool is_special(const sn_spm_piece *p) { return p->type == SN_TOKEN_CONTROL || p->type == SN_TOKEN_UNKNOWN; }

/* Pieces behind tokens of fairseq's: the first ones have its numbers, or that of its unknown token. */
static sn_status number_behind(maker *m)
{
	int32_t *of;
	int64_t front = 0;
	SN_TRY(enter_list(m, m->c->front, &front));
	SN_NEW(of, m->arena, int32_t, m->spec.n);
	int64_t unk = number_of(m, (sn_slice){ "<unk>", 5 });
	for (int64_t i = 0; i < m->spec.n; i++) {
		int64_t known = i < m->c->skip ? number_of(m, m->spec.piece[i].text) : front + i - m->c->skip;
		const sn_spm_piece *p = &m->spec.piece[i];
		of[i] = (int32_t)(known >= 0 ? known : unk);
		if (i >= m->c->skip && is_special(p) && number_of(m, p->text) < 0)
			SN_TRY(enter(m, p->text, of[i], true, false));
	}
	m->ids.of = of;
	m->ids.n = front + SN_MAX(0, m->spec.n - m->c->skip);
	return SN_OK;
}

/* Pieces under their own numbers. */
static sn_status number_alike(maker *m)
{
	m->ids.n = m->spec.n;
	for (int64_t i = 0; i < m->spec.n; i++) {
		const sn_spm_piece *p = &m->spec.piece[i];
		if (is_special(p)) SN_TRY(enter(m, p->text, i, true, false));
	}
	return SN_OK;
}

/* Pieces by their texts in a table, which may hold those of another model too. */
static sn_status number_by_table(maker *m)
{
	const char *key;
	json_t *id;
	int32_t *of;
	const json_t *unk = json_object_get(m->table->root, "<unk>");
	int64_t limit = 2 * (int64_t)json_object_size(m->table->root) + 1024;
	json_object_foreach(m->table->root, key, id) {
		int64_t n = json_is_integer(id) ? json_integer_value(id) : -1;
		if (n < 0 || n >= limit)
			return sn_json_fail(m->table, m->table->root, key, SN_EPARSE, "expected an id from 0 to %lld",
								(long long)limit - 1);
		bool special = lists("</s> <unk> <pad>", key, strlen(key)), language = strncmp(key, ">>", 2) == 0;
		SN_TRY(enter(m, (sn_slice){ key, strlen(key) }, n, special, !special && !language));
		m->ids.n = SN_MAX(m->ids.n, n + 1);
	}
	if (!unk) return sn_json_fail(m->table, m->table->root, "<unk>", SN_ENOTFOUND, "expected the unknown token's id");
	SN_NEW(of, m->arena, int32_t, m->spec.n);
	for (int64_t i = 0; i < m->spec.n; i++) {
		int64_t n = number_of(m, m->spec.piece[i].text);
		of[i] = (int32_t)(n >= 0 ? n : json_integer_value(unk));
	}
	m->ids.of = of;
	return SN_OK;
}

/* T5's tokens for gaps in a text: 100 unless the folder says otherwise, the last one first. */
static sn_status enter_extra_ids(maker *m)
{
	const sn_json *config = m->folder->config;
	int64_t n = 100;
	if (config) SN_TRY(sn_json_i64_or(config, config->root, "extra_ids", 100, &n));
	if (n < 0 || n > 100000)
		return sn_json_fail(config, config->root, "extra_ids", SN_EPARSE, "%lld; expected 0 to 100000", (long long)n);
	for (int64_t i = n - 1; i >= 0; i--) {
		const char *text = sn_arena_format(m->arena, "<extra_id_%lld>", (long long)i);
		if (!text) return SN_ENOMEM;
		SN_TRY(enter(m, (sn_slice){ text, strlen(text) }, m->ids.n++, true, false));
	}
	return SN_OK;
}

static sn_status number_pieces(maker *m)
{
	SN_TRY(m->table ? number_by_table(m) : m->c->front ? number_behind(m) : number_alike(m));
	if (m->c->extra_ids) SN_TRY(enter_extra_ids(m));
	bool has = *m->c->tail && number_of(m, (sn_slice){ m->c->tail, strcspn(m->c->tail, " ") }) >= 0;
	return has ? SN_OK : enter_list(m, m->c->tail, &m->ids.n); /* DeBERTa's [MASK] may be a piece */
}

/* Whether a mask takes the space before it along: so it does where the folder says nothing else. */
static bool mask_strips(const maker *m)
{
	const sn_json *const place[] = { m->folder->config, m->folder->special };
	for (int i = 0; i < SN_COUNT(place); i++) {
		const json_t *root = place[i] ? place[i]->root : NULL;
		if (json_is_object(json_object_get(root, "mask_token")) || json_object_get(root, "added_tokens_decoder"))
			return false;
	}
	return m->c->special == with_mask || m->c->special == albert;
}

/* Takes over what the folder says of special and added tokens. */
static sn_status take_added(maker *m)
{
	const json_t *token;
	size_t i;
	int64_t limit = m->ids.n + 65536;
	SN_TRY(sn_folder_add_tokens(m->folder, m->c->special));
	json_array_foreach(json_object_get(m->folder->root, "added_tokens"), i, token) {
		int64_t id = json_integer_value(json_object_get(token, "id"));
		const char *text = json_string_value(json_object_get(token, "content"));
		if (id < 0 || id >= limit)
			return sn_fail(m->ctx, SN_EPARSE, "%s: the added token '%.80s' has the id %lld; expected 0 to %lld",
						   m->folder->path, text, (long long)id, (long long)limit - 1);
		bool strips = lists("<mask> [MASK]", text, strlen(text)) && mask_strips(m);
		const sn_spm_extra extra = { .text = { text, strlen(text) },
									 .id = (int32_t)id,
									 .special = json_is_true(json_object_get(token, "special")),
									 .lstrip = json_is_true(json_object_get(token, "lstrip")) || strips,
									 .rstrip = json_is_true(json_object_get(token, "rstrip")) };
		sn_buf_add(&m->extra, &extra, sizeof extra);
		m->ids.n = SN_MAX(m->ids.n, id + 1);
	}
	return m->extra.failed ? SN_ENOMEM : SN_OK;
}

/* ---- the tokenizer ---- */

static sn_status add_replacement(sn_tokenizer *t, const char *text, const char *by)
{
	sn_normalizer replace = { .kind = SN_REPLACE, .text = { by, strlen(by) } };
	SN_TRY(sn_regex_open(&replace.regex, t->ctx, text, strlen(text), true, t->source));
	return sn_tokenizer_add_normalizer(t, replace);
}

static sn_status flag_of(const maker *m, const char *key, bool missing, bool *out)
{
	*out = missing;
	return m->folder->config ? sn_json_bool_or(m->folder->config, m->folder->config->root, key, missing, out) : SN_OK;
}

/* What a class does to texts before SentencePiece sees them. */
static sn_status add_normalizers(const maker *m, sn_tokenizer *t)
{
	bool lower, accents;
	SN_TRY(flag_of(m, "do_lower_case", m->c->plain_text, &lower));
	SN_TRY(flag_of(m, "keep_accents", false, &accents));
	if (m->c->plain_text) {
		SN_TRY(add_replacement(t, "``", "\""));
		SN_TRY(add_replacement(t, "''", "\""));
		if (!accents) SN_TRY(sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = SN_NFKD }));
		if (!accents) SN_TRY(sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = SN_STRIP_MARKS }));
	}
	return lower ? sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = SN_LOWERCASE }) : SN_OK;
}

/* The text that a member's name stands for. */
static const char *special_text(const maker *m, const char *name, size_t size)
{
	if (size == 8 && memcmp(name, "language", 8) == 0) {
		const char *language = text_of(m->folder->config, "src_lang");
		return *language ? language : "en_XX";
	}
	for (const char *const *s = m->c->special; *s; s += 2)
		if (strlen(*s) == size && memcmp(*s, name, size) == 0) return sn_folder_token(m->folder, s[0], s[1]);
	return "";
}

/* Appends the tokens of a list to a template. */
static sn_status add_list(const maker *m, sn_tokenizer *t, sn_template *template, const char *list, int type)
{
	for (size_t size; *list; list += size + strspn(list + size, " ")) {
		size = strcspn(list, " ");
		const char *text = special_text(m, list, size);
		int64_t id = number_of(m, (sn_slice){ text, strlen(text) });
		if (id < 0)
			return sn_fail(m->ctx, SN_EPARSE, "%s: the special token '%s' is not in the vocabulary", m->folder->path,
						   text);
		SN_TRY(sn_template_add(t, template, (int32_t)id, type));
	}
	return SN_OK;
}

static sn_status fill_template(const maker *m, sn_tokenizer *t, sn_template *template, const char *pattern)
{
	bool before = true, after = true;
	int type = 0;
	if (m->c->optional) SN_TRY(flag_of(m, "add_bos_token", true, &before));
	if (m->c->optional) SN_TRY(flag_of(m, "add_eos_token", false, &after));
	for (; *pattern; pattern++) {
		if (*pattern == ';') type = 1;
		if (*pattern == 'A') SN_TRY(sn_template_add(t, template, SN_TEMPLATE_A, type));
		if (*pattern == 'B') SN_TRY(sn_template_add(t, template, SN_TEMPLATE_B, type));
		if (*pattern == 'b' && before) SN_TRY(add_list(m, t, template, m->c->before, type));
		if (*pattern == 'e' && after) SN_TRY(add_list(m, t, template, m->c->after, type));
	}
	return SN_OK;
}

static sn_status build(maker *m, sn_tokenizer *t)
{
	m->ids.extra = (const sn_spm_extra *)m->extra.data;
	m->ids.n_extra = (int)(m->extra.size / sizeof *m->ids.extra);
	SN_TRY(add_normalizers(m, t));
	SN_TRY(sn_tokenizer_set_spm(t, &m->spec, &m->ids));
	SN_TRY(fill_template(m, t, &t->single, "bAe"));
	SN_TRY(fill_template(m, t, &t->pair, m->c->pair));
	const char *more = sn_arena_format(m->arena, "SentencePiece, in the manner of %.*s",
									   (int)strcspn(m->c->classes, " "), m->c->classes);
	if (!more) return SN_ENOMEM;
	static const char *const kinds[] = { "", "Unigram", "BPE", "Word", "Char" };
	return sn_tokenizer_finish(t, kinds[m->spec.kind], more);
}

/* ALBERT keeps commas apart from digits: pieces such as "9," are made very unlikely. */
static void part_commas(sn_spm_spec *spec)
{
	sn_spm_piece *piece = (sn_spm_piece *)(uintptr_t)spec->piece; /* of the maker's own arena */
	for (int64_t i = 0; i < spec->n; i++) {
		sn_slice s = piece[i].text;
		bool comma = s.size >= 2 && s.data[s.size - 1] == ',' && s.data[s.size - 2] >= '0' && s.data[s.size - 2] <= '9';
		if (comma) piece[i].score -= 100;
	}
}

static sn_status make(sn_tokenizer **out, maker *m, sn_slice bytes)
{
	bool legacy;
	SN_TRY(sn_spm_parse(&m->spec, m->ctx, m->arena, bytes, m->folder->source));
	SN_TRY(find_convention(m));
	SN_TRY(flag_of(m, "legacy", !m->c->optional, &legacy));
	m->spec.prefix_once = !legacy;
	if (m->c->plain_text) part_commas(&m->spec);
	if (!(m->folder->vocab = json_object())) return SN_ENOMEM;
	SN_TRY(sn_folder_set(m->folder, "vocab", m->folder->vocab));
	if (m->c->table) {
		const char *path = sn_arena_format(m->arena, "%s/vocab.json", m->folder->path);
		if (!path) return SN_ENOMEM;
		SN_TRY(sn_json_load(&m->table, m->ctx, path, 64 << 20));
	}
	SN_TRY(number_pieces(m));
	SN_TRY(take_added(m));
	SN_TRY(sn_tokenizer_new(out, m->ctx, m->folder->source));
	sn_status status = build(m, *out);
	if (status == SN_OK) return SN_OK;
	sn_tokenizer_close(*out);
	*out = NULL;
	return status;
}

const char *sn_folder_spm_file(const sn_folder *folder)
{
	static const char *const names[] = { "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "spm.model",
										 "source.spm" };
	for (int i = 0; i < SN_COUNT(names); i++)
		if (sn_folder_has(folder, names[i])) return names[i];
	return NULL;
}

sn_status sn_folder_spm(sn_tokenizer **out, sn_folder *folder)
{
	maker m = { .folder = folder, .ctx = folder->ctx, .arena = folder->arena, .extra.ctx = folder->ctx };
	sn_map_file map;
	SN_TRY(sn_map_open(&map, m.ctx, folder->source));
	sn_status status = make(out, &m, (sn_slice){ (const char *)map.data, map.size });
	sn_buf_free(&m.extra);
	sn_json_close(m.table);
	sn_map_close(m.ctx, &map);
	return status;
}

/* ---- a file alone ---- */

sn_status sn_tokenizer_parse_sentencepiece(sn_tokenizer **out, sn_ctx *ctx, sn_slice bytes, const char *source)
{
	sn_folder folder = { .ctx = ctx, .path = source, .source = source };
	maker m = { .folder = &folder, .ctx = ctx, .extra.ctx = ctx };
	*out = NULL;
	SN_TRY(sn_arena_open(&m.arena, ctx));
	folder.arena = m.arena;
	folder.root = json_object();
	sn_status status = folder.root ? make(out, &m, bytes) : SN_ENOMEM;
	json_decref(folder.root);
	sn_buf_free(&m.extra);
	sn_arena_close(m.arena);
	return status;
}

sn_status sn_tokenizer_open_sentencepiece(sn_tokenizer **out, sn_ctx *ctx, const char *path)
{
	sn_map_file map;
	*out = NULL;
	SN_TRY(sn_map_open(&map, ctx, path));
	sn_status status = sn_tokenizer_parse_sentencepiece(out, ctx, (sn_slice){ (const char *)map.data, map.size }, path);
	sn_map_close(ctx, &map);
	return status;
}
