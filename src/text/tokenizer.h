/* Tokenizers: from the metadata of a GGUF file, or from a Hugging Face folder. What a caller does with one
 * (sn_tokenize, sn_token_text, sn_tokenizer_size) is in sonde.h. A tokenizer is never written to after it is opened:
 * several contexts may use one at the same time. */
#ifndef SN_TEXT_TOKENIZER_H
#define SN_TEXT_TOKENIZER_H

#include "io/gguf.h"

/* tokenizer.ggml.token_type, and the type of SentencePiece's pieces. CONTROL and USER_DEFINED tokens are found in texts
 * as they are written, CONTROL ones only if SN_PARSE_SPECIAL asks. */
enum { SN_TOKEN_NORMAL = 1, SN_TOKEN_UNKNOWN, SN_TOKEN_CONTROL, SN_TOKEN_USER_DEFINED, SN_TOKEN_UNUSED, SN_TOKEN_BYTE };

/* What a GGUF file says of its tokenizer; everything is borrowed for the call. */
typedef struct sn_tokenizer_spec {
	const char *source; /* path of the file, for errors */
	const char *model;  /* tokenizer.ggml.model: "gpt2", "llama", "t5", "bert" */
	const char *pre;    /* tokenizer.ggml.pre, how gpt2 cuts texts into words; NULL: "gpt-2" */
	int64_t n_token, n_merge;
	const sn_slice *token;         /* [n_token]; gpt2: bytes written in GPT-2's alphabet ("\u0120the") */
	const float *score;            /* [n_token] llama, t5; otherwise NULL */
	const int32_t *type;           /* [n_token] or NULL: all SN_TOKEN_NORMAL */
	const sn_slice *merge;         /* gpt2: [n_merge] "left right", best first */
	int32_t bos, eos, unk;         /* ids; bos and eos are used if the flags are set, -1: no unk */
	bool add_bos, add_eos;         /* what SN_ADD_SPECIAL adds */
	bool add_space_prefix;         /* llama, t5: a text begins with a space more */
	bool remove_extra_whitespaces; /* t5 */
	sn_slice charsmap;             /* t5: precompiled_charsmap */
} sn_tokenizer_spec;

/* Opens a tokenizer: byte-level BPE (gpt2), SentencePiece's BPE by score (llama), its unigram model (t5), or BERT's
 * WordPiece in lower case (bert, bos being [CLS] and eos [SEP]). SN_EUNKNOWN names a model or pre-tokenizer that is not
 * known, and the known ones; SN_EPARSE the first token or merge that is wrong. Cost: linear in the bytes (49,152 tokens
 * of gpt2: some 15 ms; 262,144 of llama: some 50 ms). Close it before ctx. */
SN_CHECKED sn_status sn_tokenizer_open(sn_tokenizer **out, sn_ctx *ctx, const sn_tokenizer_spec *spec);
/* The same from an open GGUF file, which may be closed after. SN_ENOTFOUND if it has no tokenizer. */
SN_CHECKED sn_status sn_tokenizer_open_gguf(sn_tokenizer **out, sn_ctx *ctx, const sn_gguf *file);
/* Opens FOLDER/tokenizer.json; folder may also be the path of a .json file. SN_EUNKNOWN names a stage that is not
 * known, and the known ones; SN_EPARSE the path of a wrong value. What SN_ADD_SPECIAL adds is its post-processor's
 * matter: add_bos_token in tokenizer_config.json counts for nothing beside it, as in transformers 5. */
SN_CHECKED sn_status sn_tokenizer_open_json(sn_tokenizer **out, sn_ctx *ctx, const char *folder);
/* The same from memory; source stands for the path in errors. */
SN_CHECKED sn_status sn_tokenizer_parse_json(sn_tokenizer **out, sn_ctx *ctx, sn_slice json, const char *source);
/* Opens the tokenizer of a folder, whichever files it has: tokenizer.json; vocab.txt (BERT's); vocab.json with
 * merges.txt (in the manner of the class that tokenizer_config.json or config.json names: GPT-2, RoBERTa, CLIP, Qwen2),
 * with tokenizer_config.json, special_tokens_map.json and added_tokens.json beside them; a SentencePiece model
 * (spiece.model, tokenizer.model, sentencepiece.bpe.model, spm.model, source.spm with vocab.json), numbered as the
 * class of that name does: T5, XLM-RoBERTa, CamemBERT, mBART, mBART-50, XGLM, Llama, Gemma, ALBERT, DeBERTa-v2, Marian
 * ... Such a model cuts texts as SentencePiece itself does. A path that ends in .model or .spm is such a file alone.
 * SN_ENOTFOUND: none of them. */
SN_CHECKED sn_status sn_tokenizer_open_folder(sn_tokenizer **out, sn_ctx *ctx, const char *folder);
/* Opens a SentencePiece model alone: tokens are its pieces, nothing is added around texts, and CONTROL pieces are found
 * in them if SN_PARSE_SPECIAL asks. SN_EPARSE names the byte or the piece that is wrong, SN_EUNKNOWN a kind of model
 * that is not known. Cost: linear in the bytes (250,000 pieces: some 100 ms). */
SN_CHECKED sn_status sn_tokenizer_open_sentencepiece(sn_tokenizer **out, sn_ctx *ctx, const char *path);
/* The same from memory; source stands for the path in errors. */
SN_CHECKED sn_status sn_tokenizer_parse_sentencepiece(sn_tokenizer **out, sn_ctx *ctx, sn_slice bytes,
													  const char *source);
/* Opens the tokenizer of a model: of a file that ends in .gguf, of a folder (or .json file) as above, or of a model in
 * the hub's cache by its name (io/hub.h). */
SN_CHECKED sn_status sn_tokenizer_open_path(sn_tokenizer **out, sn_ctx *ctx, const char *path);
/* NULL is allowed. */
void sn_tokenizer_close(sn_tokenizer *tokenizer);

/* Returns one line about the kind, for people: "byte-level BPE, 49152 tokens, 48900 merges, pre-tokenizer smollm".
 * Owned by the tokenizer. */
const char *sn_tokenizer_kind(const sn_tokenizer *tokenizer);
/* Returns the ids that SN_ADD_SPECIAL puts before (end false) or after (end true) a text; *n of them, owned by the
 * tokenizer. */
const int32_t *sn_tokenizer_added(const sn_tokenizer *tokenizer, bool end, int *n);
/* Returns the id of the token with exactly this text, or -1. */
int32_t sn_tokenizer_find(const sn_tokenizer *tokenizer, const char *text);

#endif
