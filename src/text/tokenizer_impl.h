/* What a tokenizer consists of: text -> added tokens -> normalizers -> added tokens -> pre-tokenizer stages ->
 * model -> template, and back: tokens -> decoders -> text. Each constructor fills one; tokenizer.c runs it, and
 * detokenize.c runs it back. */
#ifndef SN_TEXT_TOKENIZER_IMPL_H
#define SN_TEXT_TOKENIZER_IMPL_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/decode.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/spm.h"
#include "text/wordpiece.h"

/* Added tokens; those of them that decoding may skip; those that are looked for in normalised text. */
enum { SN_IS_ADDED = 1, SN_IS_SPECIAL = 2, SN_IS_NORMALIZED = 4 };

enum { SN_MAX_STAGES = 16, SN_MAX_TEMPLATE = 24 };

/* What any model needs to work in; one for each text that is encoded. */
typedef struct sn_model_work {
	sn_spm_work spm; /* with room for the other models that join symbols or find best ways */
	sn_parts out;    /* what the word has become */
} sn_model_work;

/* A kind of model: appends the tokens of a word (not empty, valid UTF-8, size < 2^31) to work->out. */
typedef sn_status sn_encode_fn(const sn_tokenizer *t, sn_ctx *ctx, sn_model_work *work, const char *word, size_t size);
sn_encode_fn sn_encode_bpe, sn_encode_wordpiece, sn_encode_wordlevel, sn_encode_unigram, sn_encode_spm;

/* A text, or two, with the tokens around them. Item: a token, or a text. */
enum { SN_TEMPLATE_A = -1, SN_TEMPLATE_B = -2 };
typedef struct sn_template {
	struct {
		int32_t id; /* or SN_TEMPLATE_A, SN_TEMPLATE_B */
		uint8_t type;
	} item[SN_MAX_TEMPLATE];
	int n;
} sn_template;

struct sn_tokenizer {
	sn_ctx *ctx;     /* whose allocator holds it */
	sn_arena *arena; /* everything below */
	const char *source, *kind;
	sn_vocab vocab;
	sn_encode_fn *encode; /* the model: one of those below */
	sn_bpe bpe;
	sn_wordpiece wordpiece;
	sn_unigram unigram;
	const sn_spm *spm;       /* it has a normalizer of its own, which comes last */
	const int32_t *token_of; /* the token of each of its pieces; NULL: tokens are pieces */
	bool byte_level;         /* words are bytes, and the vocabulary holds the bytes that its texts stand for */
	bool written_bytes;      /* words and vocabulary are bytes written in GPT-2's alphabet */
	sn_added_set added[2];   /* looked for in the user's text; in the normalised text */
	uint8_t *flag;           /* [vocab.n] or NULL (none): SN_IS_ADDED and so on */
	sn_normalizer normalizer[SN_MAX_STAGES];
	int n_normalizer;
	sn_stage stage[SN_MAX_STAGES];
	int n_stage;
	sn_decoder decoder[SN_MAX_STAGES];
	int n_decoder;
	bool decodes; /* there is a decoder; without one tokens are joined by spaces */
	sn_template single, pair;
	int32_t before[SN_MAX_TEMPLATE], after[SN_MAX_TEMPLATE]; /* ids of single around the text */
	int n_before, n_after;
	bool trim_spans;        /* spans end before the spaces at a token's ends, as the post-processor ByteLevel asks */
	bool first_space_added; /* but one leading space of the first token was added, and is not in the text */
};

/* Allocates an empty tokenizer; sn_tokenizer_close undoes it at any stage of building. */
SN_CHECKED sn_status sn_tokenizer_new(sn_tokenizer **out, sn_ctx *ctx, const char *source);
/* Append a stage; SN_EPARSE if there are too many. The tokenizer owns the stage's regex, also on failure. */
SN_CHECKED sn_status sn_tokenizer_add_stage(sn_tokenizer *t, sn_stage stage);
SN_CHECKED sn_status sn_tokenizer_add_normalizer(sn_tokenizer *t, sn_normalizer normalizer);
SN_CHECKED sn_status sn_tokenizer_add_decoder(sn_tokenizer *t, sn_decoder decoder);
/* Appends an item to a template; SN_EPARSE if there are too many. */
SN_CHECKED sn_status sn_template_add(sn_tokenizer *t, sn_template *template, int32_t id, int type);
/* Adds a token before (after false) or after the single text of the template, and so around both of a pair. */
SN_CHECKED sn_status sn_tokenizer_surround(sn_tokenizer *t, int32_t id, bool after);
/* Adds the merge "left right" given as two texts of the vocabulary file; scratch[0 .. 2] are reused from call to call.
 */
SN_CHECKED sn_status sn_tokenizer_add_merge(sn_tokenizer *t, int64_t number, sn_slice left, sn_slice right,
											const sn_byte_alphabet *alphabet, sn_buf scratch[3]);
/* Completes a tokenizer whose parts are there: templates where none was given, ids around a text, what kind it is
 * ("byte-level BPE, 49152 tokens, " and more). SN_ENOMEM. */
SN_CHECKED sn_status sn_tokenizer_finish(sn_tokenizer *t, const char *model, const char *more);

#endif
