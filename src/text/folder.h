/* Folders of older models: tokenizer files that are no tokenizer.json are read into the document that
 * tokenizer.json would be, so that all of it goes one way. */
#ifndef SN_TEXT_FOLDER_H
#define SN_TEXT_FOLDER_H

#include "io/json.h"
#include "text/tokenizer.h"

/* A folder that is being read. Owned by it: its JSON documents, and root, the document in the making. */
typedef struct sn_folder {
	sn_ctx *ctx;
	sn_arena *arena;
	const char *path, *source; /* source: the vocabulary's file, for errors */
	sn_json *config, *special; /* tokenizer_config.json, special_tokens_map.json, or NULL */
	sn_json *added, *model;    /* added_tokens.json; config.json; or NULL */
	json_t *root;              /* tokenizer.json */
	json_t *vocab;             /* {text: id}, borrowed from root */
} sn_folder;

/* Returns whether the folder has a file. */
bool sn_folder_has(const sn_folder *folder, const char *name);
/* Make root from vocab.txt (BERT's: a token a line), or from vocab.json and merges.txt in the manner of the class that
 * tokenizer_config.json names (GPT-2, RoBERTa, CLIP, Qwen2). SN_EPARSE names file and line, SN_EUNKNOWN the class. */
SN_CHECKED sn_status sn_folder_wordpiece(sn_folder *folder);
SN_CHECKED sn_status sn_folder_bpe(sn_folder *folder);
/* Returns the name of the folder's SentencePiece model, or NULL. */
const char *sn_folder_spm_file(const sn_folder *folder);
/* Opens the tokenizer of the SentencePiece model in the file source, in the manner of the class that
 * tokenizer_config.json or config.json names. SN_EUNKNOWN lists the known classes; SN_EPARSE. */
SN_CHECKED sn_status sn_folder_spm(sn_tokenizer **out, sn_folder *folder);
/* Puts the folder's special and added tokens into root. class_token: name, default text, name, ..., NULL: the special
 * tokens that the class has where the folder does not say. SN_EPARSE names the file. */
SN_CHECKED sn_status sn_folder_add_tokens(sn_folder *folder, const char *const *class_token);
/* Returns the text of a special token ("unk_token"), or missing. */
const char *sn_folder_token(const sn_folder *folder, const char *name, const char *missing);
/* Sets a member of root, taking the value, which may be NULL: SN_ENOMEM. */
SN_CHECKED sn_status sn_folder_set(sn_folder *folder, const char *key, json_t *value);
/* Returns the id of a token of the vocabulary: *id. SN_EPARSE if there is none. */
SN_CHECKED sn_status sn_folder_id(const sn_folder *folder, const char *text, json_int_t *id);

#endif
