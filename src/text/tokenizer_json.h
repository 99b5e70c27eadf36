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

/* "pre_tokenizer": fills t->stage. */
SN_CHECKED sn_status sn_read_pre_tokenizer(sn_tokenizer *t, const sn_json *doc, const json_t *stage);
/* "post_processor": fills what SN_ADD_SPECIAL adds and how spans are trimmed; needs the vocabulary. */
SN_CHECKED sn_status sn_read_post_processor(sn_tokenizer *t, const sn_json *doc, const json_t *stage);
/* "model" and "added_tokens": fills vocabulary, merges and added tokens; needs the stages. */
SN_CHECKED sn_status sn_read_json_model(sn_tokenizer *t, const sn_json *doc);

#endif
