/* What the lenses share: texts as tokens, batches of them, words that are one token, tokens for people. */
#ifndef SN_METHODS_LENS_H
#define SN_METHODS_LENS_H

#include "data/result.h"
#include "stats/metrics.h"

typedef struct sn_lens_text {
	int64_t row;       /* of the data */
	const char *text;
	sn_tokens token;   /* with those that the model's template adds; at most as many as the model takes */
	sn_tokens source;  /* encoder-decoders: what the encoder reads; n 0: none */
} sn_lens_text;

typedef struct sn_lens_texts {
	const char *source;
	int64_t n, n_token;
	int64_t n_cut;     /* texts that were longer than the model takes, and are cut there */
	sn_lens_text *text;
} sn_lens_texts;

/* Tokenizes a column of the data (auto: text, sentence, prefix or sentence_good), at most limit rows (0: all). Rows
 * without text are left out; SN_EPARSE where nothing is left. Everything from arena. */
SN_CHECKED sn_status sn_lens_read(sn_lens_texts *out, sn_ctx *ctx, const sn_input *in, const char *column,
                                  int64_t limit, sn_arena *arena);
/* The same for encoder-decoders. column: what the encoder reads (auto: source, text or sentence); decoder: what the
 * decoder has read after its start token, less what a template adds at its end (auto: the usual column if there is one,
 * else nothing). n_token counts both. SN_EARG where the model names no start token. */
SN_CHECKED sn_status sn_lens_read_pairs(sn_lens_texts *out, sn_ctx *ctx, const sn_input *in, const char *column,
                                        const char *decoder, const char *usual, int64_t limit, sn_arena *arena);
/* Texts [first, first + n) as a batch whose row b is text first + b; from arena. */
SN_CHECKED sn_status sn_lens_batch(sn_batch *out, const sn_lens_texts *texts, int64_t first, int64_t n,
                                   sn_arena *arena);
/* The same for texts which[0..n), in that order. */
SN_CHECKED sn_status sn_lens_batch_of(sn_batch *out, const sn_lens_texts *texts, const int64_t *which, int64_t n,
                                      sn_arena *arena);
/* Returns how many texts from `first` on have together at most n_token tokens; at least 1 where any is left. */
int64_t sn_lens_fit(const sn_lens_texts *texts, int64_t first, int64_t n_token);
/* Adds a limitation where texts were cut. */
SN_CHECKED sn_status sn_lens_say_cut(sn_result *out, const sn_lens_texts *texts);
/* SN_EARG where the model has no vocabulary to read vectors in. */
SN_CHECKED sn_status sn_lens_check_head(sn_ctx *ctx, const sn_model *model);
/* The same, or where it is an encoder-decoder. */
SN_CHECKED sn_status sn_lens_check(sn_ctx *ctx, const sn_model *model);

/* Returns a token's text for people, from arena; NULL: no memory. */
const char *sn_lens_token(sn_ctx *ctx, const sn_model *model, int32_t id, sn_arena *arena);
/* Words as ids. */
typedef struct sn_lens_words { int n; int32_t *id; } sn_lens_words;
/* Reads words separated by '|'; one that begins with no space stands after one (not in masked models). SN_EARG for a
 * word that is not one token: the text says which it is. */
SN_CHECKED sn_status sn_lens_words_of(sn_lens_words *out, sn_ctx *ctx, const sn_model *model, const char *words,
                                      sn_arena *arena);
/* Where a text's next word is predicted: its last token; in a masked model the mask (SN_EPARSE where there is none). */
SN_CHECKED sn_status sn_lens_place(sn_ctx *ctx, const sn_model *model, const sn_dataset *data, const sn_lens_text *text,
                                   int64_t *place);
/* The column that an option names, or (auto) the usual one; NULL: none, so the option is a word, or "auto". */
const sn_column *sn_lens_word_column(const sn_dataset *data, const char *option, const char *usual);
/* The word of a row, one token: of the column, or the option's own; -1: none is named. SN_EARG for several words. */
SN_CHECKED sn_status sn_lens_word_at(sn_ctx *ctx, const sn_model *model, const sn_dataset *data,
                                     const sn_column *column, const char *option, int64_t row, sn_arena *arena,
                                     int32_t *id);
/* Returns tokens with their numbers as one text, best first: " is .31 · are .27"; number: which is written, or NULL. */
const char *sn_lens_list(sn_ctx *ctx, const sn_model *model, const int32_t *id, const double *number, int n,
                         sn_arena *arena);

/* Three values of a row: mean, low, high. */
#define SN_LENS_MEAN(c)                                                                                                \
	sn_num(sn_clustered_mean(c)), sn_num(sn_clustered_interval(c, 0.95).low),                                          \
		sn_num(sn_clustered_interval(c, 0.95).high)
/* The same of what lies in [least, most]. */
#define SN_LENS_WITHIN(c, least, most)                                                                                 \
	sn_num(sn_clustered_mean(c)), sn_num(sn_interval_within(sn_clustered_interval(c, 0.95), least, most).low),         \
		sn_num(sn_interval_within(sn_clustered_interval(c, 0.95), least, most).high)
/* Returns "63 % [52, 74]", without the interval where there is none; from arena. NULL: no memory. */
const char *sn_lens_percent(const sn_clustered *share, sn_arena *arena);
/* Returns "2.31 [2.02, 2.60]" likewise. */
const char *sn_lens_mean(const sn_clustered *mean, sn_arena *arena);
/* The same of what is at least `least`. */
const char *sn_lens_mean_above(const sn_clustered *mean, double least, sn_arena *arena);

#endif
