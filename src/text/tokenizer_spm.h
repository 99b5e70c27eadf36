/* Tokenizers whose model is SentencePiece's, whatever file it comes from. */
#ifndef SN_TEXT_TOKENIZER_SPM_H
#define SN_TEXT_TOKENIZER_SPM_H

#include "io/json.h"
#include "text/spm.h"
#include "text/tokenizer_impl.h"

/* A token besides the pieces, or one that stands for a piece under another text. */
typedef struct sn_spm_extra {
	sn_slice text;
	int32_t id;
	bool special, lstrip, rstrip; /* as sn_added; those not special are found in any text */
	bool hidden;                  /* only a place in the vocabulary: never found in texts */
} sn_spm_extra;

/* Which tokens the pieces are, where they are not their own numbers. */
typedef struct sn_spm_ids {
	int64_t n;         /* tokens in all */
	const int32_t *of; /* [spec->n] token of each piece, in [0, n); NULL: its number */
	int n_extra;
	const sn_spm_extra *extra; /* [n_extra], ids in [0, n) */
} sn_spm_ids;

/* Gives an empty tokenizer SentencePiece's model and its vocabulary; CONTROL and UNKNOWN pieces are found in texts if
 * SN_PARSE_SPECIAL asks. ids NULL: tokens are pieces. Errors as sn_spm_build. */
SN_CHECKED sn_status sn_tokenizer_set_spm(sn_tokenizer *t, const sn_spm_spec *spec, const sn_spm_ids *ids);

#endif
