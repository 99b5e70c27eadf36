/* Reading tokenizer.json: the parts of it, each in a file of its own. Errors name the path of the value in the
 * document. */
#ifndef SN_TEXT_TOKENIZER_JSON_H
#define SN_TEXT_TOKENIZER_JSON_H

#include "io/json.h"
#include "text/tokenizer_impl.h"

/* One kind of stage of some part of the document, by its "type". */
typedef struct sn_json_stage {
	const char *type;
	sn_status (*read)(sn_tokenizer *t, const sn_json *doc, const json_t *stage);
} sn_json_stage;

/* Reads one stage by a table of n kinds; a null stage is nothing. SN_EUNKNOWN names the type, and the known ones. */
SN_CHECKED sn_status sn_read_json_stage(sn_tokenizer *t, const sn_json *doc, const json_t *stage,
										const sn_json_stage *known, int n);
/* Reads every stage of the array in member key by the function. */
SN_CHECKED sn_status sn_read_json_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const char *key,
										   sn_status (*read)(sn_tokenizer *, const sn_json *, const json_t *));
/* Opens the expression of a member "pattern": {"Regex": text} or {"String": text}. */
SN_CHECKED sn_status sn_read_json_pattern(sn_tokenizer *t, const sn_json *doc, const json_t *stage, sn_regex **out);
/* Copies the text of a member into the tokenizer; missing as in sn_json_string_or, NULL: it is required. */
SN_CHECKED sn_status sn_read_json_text(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const char *key,
									   const char *missing, sn_slice *out);

/* Opens a tokenizer from a document. */
SN_CHECKED sn_status sn_tokenizer_open_doc(sn_tokenizer **out, sn_ctx *ctx, const sn_json *doc);

/* "normalizer": fills t->normalizer. */
SN_CHECKED sn_status sn_read_normalizer(sn_tokenizer *t, const sn_json *doc, const json_t *stage);
/* "pre_tokenizer": fills t->stage. */
SN_CHECKED sn_status sn_read_pre_tokenizer(sn_tokenizer *t, const sn_json *doc, const json_t *stage);
/* "decoder": fills t->decoder. */
SN_CHECKED sn_status sn_read_decoder(sn_tokenizer *t, const sn_json *doc, const json_t *stage);
/* "post_processor": fills the templates and how spans are trimmed; needs the vocabulary. */
SN_CHECKED sn_status sn_read_post_processor(sn_tokenizer *t, const sn_json *doc, const json_t *stage);
/* "model": fills the vocabulary and the model; needs the stages. *name: its type. */
SN_CHECKED sn_status sn_read_json_model(sn_tokenizer *t, const sn_json *doc, const char **name);
/* "model" of type Unigram. */
SN_CHECKED sn_status sn_read_json_unigram(sn_tokenizer *t, const sn_json *doc, const json_t *model);
/* The vocabulary of a model, {text: id} or [[text, score], ...], with the document's added tokens in it. */
SN_CHECKED sn_status sn_read_json_vocab(sn_tokenizer *t, const sn_json *doc, const json_t *model);
/* Finds the id of the token that member key names; -1 if the member is missing. SN_EPARSE: no token. */
SN_CHECKED sn_status sn_read_json_token(sn_tokenizer *t, const sn_json *doc, const json_t *model, const char *key,
										int32_t *id);
/* "added_tokens": fills t->added and t->flag; needs the vocabulary and the normalizers. */
SN_CHECKED sn_status sn_read_json_added(sn_tokenizer *t, const sn_json *doc, json_t *added);

#endif
