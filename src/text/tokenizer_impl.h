/* What a tokenizer consists of: text -> added tokens -> normalizers -> added tokens -> pre-tokenizer stages ->
 * model -> added ids. Each constructor fills one;
 * tokenizer.c runs it. */
#ifndef SN_TEXT_TOKENIZER_IMPL_H
#define SN_TEXT_TOKENIZER_IMPL_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/normalize.h"
#include "text/pretokenize.h"

enum { SN_MAX_STAGES = 16, SN_MAX_ADDED_IDS = 8 };

struct sn_tokenizer {
	sn_ctx *ctx;     /* whose allocator holds it */
	sn_arena *arena; /* everything below */
	const char *source, *kind;
	sn_vocab vocab;
	sn_bpe bpe;
	sn_added_set added[2]; /* looked for in the user's text; in the normalised text */
	sn_normalizer normalizer[SN_MAX_STAGES];
	int n_normalizer;
	sn_stage stage[SN_MAX_STAGES];
	int n_stage;
	int32_t before[SN_MAX_ADDED_IDS], after[SN_MAX_ADDED_IDS]; /* ids that SN_ADD_SPECIAL adds */
	int n_before, n_after;
	bool trim_spans;        /* spans end before the spaces at a token's ends, as the post-processor ByteLevel asks */
	bool first_space_added; /* but one leading space of the first token was added, and is not in the text */
};

/* Allocates an empty tokenizer; sn_tokenizer_close undoes it at any stage of building. */
SN_CHECKED sn_status sn_tokenizer_new(sn_tokenizer **out, sn_ctx *ctx, const char *source);
/* Appends a stage; SN_EPARSE if there are too many. The tokenizer owns the stage's regex, also on failure. */
SN_CHECKED sn_status sn_tokenizer_add_stage(sn_tokenizer *t, sn_stage stage);
/* Adds the merge "left right" given as two texts of the vocabulary file; scratch is reused from call to call. */
SN_CHECKED sn_status sn_tokenizer_add_merge(sn_tokenizer *t, int64_t number, sn_slice left, sn_slice right,
											const sn_byte_alphabet *alphabet, sn_buf *scratch);

#endif
