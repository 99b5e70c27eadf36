/* vocab.txt, vocab.json and merges.txt, made into the document that transformers makes of them. */
#include "text/folder.h"

#include <string.h>

enum { LARGEST_FILE = 64 << 20 };

/* ---- lines ---- */

/* A text file as lines. */
typedef struct lines {
	const char *path;
	char *data;
	size_t size, at;
	int64_t number; /* of the line last taken, from 1 */
} lines;

static sn_status open_lines(sn_folder *folder, const char *name, lines *out)
{
	*out = (lines){ .path = sn_arena_format(folder->arena, "%s/%s", folder->path, name) };
	if (!out->path) return SN_ENOMEM;
	SN_TRY(sn_read_file(folder->ctx, out->path, LARGEST_FILE, folder->arena, &out->data, &out->size));
	int64_t bad = sn_utf8_check(out->data, out->size);
	if (bad < 0) return SN_OK;
	return sn_fail(folder->ctx, SN_EPARSE, "%s: not UTF-8 at byte %lld: is it the right file?", out->path,
				   (long long)bad);
}

/* Takes the next line, without its end; false: there is none. */
static bool next_line(lines *in, sn_slice *line)
{
	if (in->at >= in->size) return false;
	const char *end = memchr(in->data + in->at, '\n', in->size - in->at);
	size_t to = end ? (size_t)(end - in->data) : in->size;
	*line = (sn_slice){ in->data + in->at, to - in->at };
	if (line->size && line->data[line->size - 1] == '\r') line->size--;
	in->at = to + 1;
	in->number++;
	return true;
}

/* ---- BERT ---- */

/* A token a line; of equal lines the last counts. */
static sn_status read_vocab_txt(sn_folder *folder, json_t *vocab)
{
	lines in;
	sn_slice line;
	SN_TRY(open_lines(folder, "vocab.txt", &in));
	while (next_line(&in, &line)) {
		const char *text = sn_arena_copy(folder->arena, line.data, line.size);
		if (!text || json_object_set_new(vocab, text, json_integer(in.number - 1)) != 0) return SN_ENOMEM;
	}
	return SN_OK;
}

/* A flag of tokenizer_config.json; *given: it is there. */
static sn_status read_flag(const sn_folder *folder, const char *name, bool missing, bool *out)
{
	*out = missing;
	return folder->config ? sn_json_bool_or(folder->config, folder->config->root, name, missing, out) : SN_OK;
}

static json_t *template_text(const char *id, int type)
{
	return json_pack("{s:{s:s, s:i}}", "Sequence", "id", id, "type_id", type);
}

static json_t *template_token(const char *id, int type)
{
	return json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", id, "type_id", type);
}

static json_t *template_ids(const char *text, json_int_t id)
{
	return json_pack("{s:s, s:[I], s:[s]}", "id", text, "ids", id, "tokens", text);
}

static sn_status add_bert_template(sn_folder *folder)
{
	const char *cls = sn_folder_token(folder, "cls_token", "[CLS]"),
			   *sep = sn_folder_token(folder, "sep_token", "[SEP]");
	json_int_t cls_id, sep_id;
	SN_TRY(sn_folder_id(folder, cls, &cls_id));
	SN_TRY(sn_folder_id(folder, sep, &sep_id));
	return sn_folder_set(folder, "post_processor",
						 json_pack("{s:s, s:[o,o,o], s:[o,o,o,o,o], s:{s:o, s:o}}", "type", "TemplateProcessing",
								   "single", template_token(cls, 0), template_text("A", 0), template_token(sep, 0),
								   "pair", template_token(cls, 0), template_text("A", 0), template_token(sep, 0),
								   template_text("B", 1), template_token(sep, 1), "special_tokens", cls,
								   template_ids(cls, cls_id), sep, template_ids(sep, sep_id)));
}

static sn_status add_bert_stages(sn_folder *folder)
{
	bool lower, ideographs, accents;
	SN_TRY(read_flag(folder, "do_lower_case", true, &lower));
	SN_TRY(read_flag(folder, "tokenize_chinese_chars", true, &ideographs));
	SN_TRY(read_flag(folder, "strip_accents", lower, &accents));
	SN_TRY(sn_folder_set(folder, "normalizer",
						 json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer", "clean_text", true,
								   "handle_chinese_chars", ideographs, "strip_accents", accents, "lowercase", lower)));
	SN_TRY(sn_folder_set(folder, "pre_tokenizer", json_pack("{s:s}", "type", "BertPreTokenizer")));
	return sn_folder_set(folder, "decoder",
						 json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", true));
}

sn_status sn_folder_wordpiece(sn_folder *folder)
{
	static const char *const special[] = { "unk_token", "[UNK]", "sep_token",  "[SEP]",  "pad_token", "[PAD]",
										   "cls_token", "[CLS]", "mask_token", "[MASK]", NULL };
	json_t *vocab = json_object();
	folder->vocab = vocab;
	const char *unk = sn_folder_token(folder, "unk_token", "[UNK]");
	SN_TRY(
		sn_folder_set(folder, "model",
					  json_pack("{s:s, s:s, s:s, s:i, s:o}", "type", "WordPiece", "unk_token", unk,
								"continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "vocab", vocab)));
	SN_TRY(read_vocab_txt(folder, vocab));
	SN_TRY(sn_folder_add_tokens(folder, special));
	SN_TRY(add_bert_stages(folder));
	return add_bert_template(folder);
}

/* ---- byte-level BPE ---- */

/* A pair of tokens a line, after a line "#version ...". */
static sn_status read_merges(sn_folder *folder, json_t *merges)
{
	lines in;
	sn_slice line;
	SN_TRY(open_lines(folder, "merges.txt", &in));
	while (next_line(&in, &line)) {
		if (line.size == 0 || (line.size >= 8 && memcmp(line.data, "#version", 8) == 0)) continue;
		const char *space = memchr(line.data, ' ', line.size);
		size_t left = space ? (size_t)(space - line.data) : 0, right = space ? line.size - left - 1 : 0;
		if (!left || !right || memchr(space + 1, ' ', right))
			return sn_fail(folder->ctx, SN_EPARSE, "%s: line %lld: expected two tokens with a space between", in.path,
						   (long long)in.number);
		if (json_array_append_new(merges, json_pack("[s%, s%]", line.data, left, space + 1, right)) != 0)
			return SN_ENOMEM;
	}
	return SN_OK;
}

typedef struct bpe_class bpe_class;

/* A way in which transformers' classes use the two files; names: those classes, and types of models in config.json. */
struct bpe_class {
	const char *names;
	const char *const *special;
	const char *suffix, *unk;
	sn_status (*add_stages)(sn_folder *folder);
};

static json_t *byte_level(bool prefix_space, bool regex)
{
	return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix_space, "trim_offsets",
					 true, "use_regex", regex);
}

/* A Split with an expression, and ByteLevel. */
static json_t *split_words(const char *pattern, const char *behavior, bool invert, bool regex)
{
	return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
					 "pattern", "Regex", pattern, "behavior", behavior, "invert", invert, byte_level(false, regex));
}

/* cls and sep around a text, in RoBERTa's manner. */
static sn_status surround(sn_folder *folder, const char *cls, const char *sep, bool trim, bool prefix_space)
{
	json_int_t cls_id, sep_id;
	SN_TRY(sn_folder_id(folder, cls, &cls_id));
	SN_TRY(sn_folder_id(folder, sep, &sep_id));
	return sn_folder_set(folder, "post_processor",
						 json_pack("{s:s, s:[s,I], s:[s,I], s:b, s:b}", "type", "RobertaProcessing", "sep", sep, sep_id,
								   "cls", cls, cls_id, "trim_offsets", trim, "add_prefix_space", prefix_space));
}

static sn_status add_gpt2_stages(sn_folder *folder)
{
	bool prefix_space, bos;
	json_int_t id;
	SN_TRY(read_flag(folder, "add_prefix_space", false, &prefix_space));
	SN_TRY(read_flag(folder, "add_bos_token", false, &bos));
	SN_TRY(sn_folder_set(folder, "pre_tokenizer", byte_level(prefix_space, true)));
	if (!bos) return SN_OK;
	const char *text = sn_folder_token(folder, "bos_token", "<|endoftext|>");
	SN_TRY(sn_folder_id(folder, text, &id));
	return sn_folder_set(folder, "post_processor",
						 json_pack("{s:s, s:[o,o], s:[o,o,o,o], s:{s:o}}", "type", "TemplateProcessing", "single",
								   template_token(text, 0), template_text("A", 0), "pair", template_token(text, 0),
								   template_text("A", 0), template_token(text, 1), template_text("B", 1),
								   "special_tokens", text, template_ids(text, id)));
}

static sn_status add_roberta_stages(sn_folder *folder)
{
	bool prefix_space, trim;
	SN_TRY(read_flag(folder, "add_prefix_space", false, &prefix_space));
	SN_TRY(read_flag(folder, "trim_offsets", true, &trim));
	SN_TRY(sn_folder_set(folder, "pre_tokenizer", byte_level(prefix_space, true)));
	return surround(folder, sn_folder_token(folder, "cls_token", "<s>"), sn_folder_token(folder, "sep_token", "</s>"),
					trim, prefix_space);
}

static sn_status add_clip_stages(sn_folder *folder)
{
	SN_TRY(sn_folder_set(folder, "normalizer",
						 json_pack("{s:s, s:[{s:s}, {s:s, s:{s:s}, s:s}, {s:s}]}", "type", "Sequence", "normalizers",
								   "type", "NFC", "type", "Replace", "pattern", "Regex", "\\s+", "content", " ", "type",
								   "Lowercase")));
	SN_TRY(sn_folder_set(folder, "pre_tokenizer",
						 split_words("<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|"
									 "[^\\s\\p{L}\\p{N}]+",
									 "Removed", true, true)));
	/* the ends of words become spaces, and those at the ends of the text go */
	SN_TRY(sn_folder_set(folder, "decoder",
						 json_pack("{s:s, s:[{s:s}, {s:s, s:{s:s}, s:s}, {s:s, s:{s:s}, s:s}]}", "type", "Sequence",
								   "decoders", "type", "ByteLevel", "type", "Replace", "pattern", "String", "</w>",
								   "content", " ", "type", "Replace", "pattern", "Regex",
								   "\\A[\\s\\x1c-\\x1f]+|[\\s\\x1c-\\x1f]+\\z", "content", "")));
	return surround(folder, sn_folder_token(folder, "bos_token", "<|startoftext|>"),
					sn_folder_token(folder, "eos_token", "<|endoftext|>"), false, false);
}

static sn_status add_qwen_stages(sn_folder *folder)
{
	SN_TRY(sn_folder_set(folder, "normalizer", json_pack("{s:s}", "type", "NFC")));
	return sn_folder_set(folder, "pre_tokenizer",
						 split_words("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
									 "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
									 "Isolated", false, false));
}

static const char *const gpt2_tokens[] = { "unk_token", "<|endoftext|>", "bos_token", "<|endoftext|>",
										   "eos_token", "<|endoftext|>", "pad_token", "",
										   NULL };
static const char *const roberta_tokens[] = { "bos_token", "<s>",       "eos_token",  "</s>",      "sep_token",
											  "</s>",      "cls_token", "<s>",        "unk_token", "<unk>",
											  "pad_token", "<pad>",     "mask_token", "<mask>",    NULL };
static const char *const clip_tokens[] = { "bos_token",     "<|startoftext|>", "eos_token",
										   "<|endoftext|>", "unk_token",       "<|endoftext|>",
										   "pad_token",     "<|endoftext|>",   NULL };
static const char *const qwen_tokens[] = {
	"eos_token", "<|endoftext|>", "pad_token", "<|endoftext|>", "bos_token", "", "unk_token", "", NULL
};

static const bpe_class classes[] = {
	{ " GPT2Tokenizer gpt2 gpt_neo gpt_neox gptj opt ", gpt2_tokens, "", "", add_gpt2_stages },
	{ " RobertaTokenizer BartTokenizer LongformerTokenizer LEDTokenizer roberta bart longformer led ", roberta_tokens,
	  "", "", add_roberta_stages },
	{ " CLIPTokenizer clip clip_text_model ", clip_tokens, "</w>", "<|endoftext|>", add_clip_stages },
	{ " Qwen2Tokenizer qwen2 qwen3 ", qwen_tokens, "", "", add_qwen_stages },
};

/* Finds the row of a class (without "Fast" at its end) or of a type of model. */
static const bpe_class *find_class(const char *name)
{
	char word[80];
	size_t n = strlen(name);
	if (sn_ends_with(name, "Fast")) n -= 4;
	sn_format(word, sizeof word, " %.*s ", (int)SN_MIN(n, sizeof word - 3), name);
	for (int i = 0; i < SN_COUNT(classes); i++)
		if (strstr(classes[i].names, word)) return &classes[i];
	return NULL;
}

/* By tokenizer_config.json, then by the type of the model, then GPT-2's. */
static sn_status choose_class(const sn_folder *folder, const bpe_class **out)
{
	const char *name = "", *type = "";
	if (folder->config) SN_TRY(sn_json_string_or(folder->config, folder->config->root, "tokenizer_class", "", &name));
	if (folder->model) SN_TRY(sn_json_string_or(folder->model, folder->model->root, "model_type", "", &type));
	*out = find_class(*name ? name : *type ? type : "gpt2");
	if (*out) return SN_OK;
	return sn_fail(folder->ctx, SN_EUNKNOWN,
				   "%s: vocab.json and merges.txt of '%s'; known: GPT2Tokenizer, RobertaTokenizer, BartTokenizer, "
				   "LongformerTokenizer, LEDTokenizer, CLIPTokenizer, Qwen2Tokenizer; save it as tokenizer.json",
				   folder->path, *name ? name : type);
}

static sn_status read_vocab_json(sn_folder *folder, json_t **vocab)
{
	sn_json *doc;
	SN_TRY(sn_json_load(&doc, folder->ctx, folder->source, LARGEST_FILE));
	sn_status status = SN_OK;
	if (json_is_object(doc->root))
		*vocab = json_incref(doc->root);
	else
		status =
			sn_json_fail(doc, doc->root, NULL, SN_EPARSE, "expected an object, found %s", sn_json_type_name(doc->root));
	sn_json_close(doc);
	return status;
}

sn_status sn_folder_bpe(sn_folder *folder)
{
	const bpe_class *class;
	json_t *vocab = NULL;
	SN_TRY(choose_class(folder, &class));
	SN_TRY(read_vocab_json(folder, &vocab));
	json_t *merges = json_array();
	folder->vocab = vocab;
	json_t *model = json_pack("{s:s, s:s, s:o, s:o}", "type", "BPE", "end_of_word_suffix", class->suffix, "vocab",
							  vocab, "merges", merges);
	SN_TRY(sn_folder_set(folder, "model", model));
	if (*class->unk)
		json_object_set_new(model, "unk_token", json_string(sn_folder_token(folder, "unk_token", class->unk)));
	SN_TRY(read_merges(folder, merges));
	SN_TRY(sn_folder_add_tokens(folder, class->special));
	SN_TRY(sn_folder_set(folder, "decoder", json_pack("{s:s}", "type", "ByteLevel")));
	return class->add_stages(folder);
}
