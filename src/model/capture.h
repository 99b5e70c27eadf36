/* Activations to a safetensors file, in flat memory: one tensor a site, in the order of tokens. */
#ifndef SN_MODEL_CAPTURE_H
#define SN_MODEL_CAPTURE_H

#include "base/base.h"

typedef struct sn_capture sn_capture;

/* What rows of text come to, from which the size of every tensor follows. In an encoder-decoder n_token counts the
 * encoder's tokens. */
typedef struct sn_capture_size {
	int64_t n_row, n_token, n_decoder; /* rows; tokens; the decoder's tokens */
	int64_t square, decoder_square, cross; /* sums over rows of tokens^2, decoder tokens^2, and their product */
} sn_capture_size;
/* Adds a row of n tokens (and n_decoder of the decoder, or 0). */
void sn_capture_count(sn_capture_size *size, int64_t n, int64_t n_decoder);

/* Opens FILE (written under another name until the commit) for rows that come to `size`, with
 *   tokens int32 [T], offsets int64 [T, 2] (bytes into the item's text), start int64 [rows + 1], item int64 [rows],
 *   and for each site its name: float32 [T, width]; attention scores and patterns, whose width grows with the position,
 *   as float32 [sum over tokens of heads * (position + 1)], the keys of one head after another's.
 * In an encoder-decoder these are the encoder's rows; decoder.tokens int32 [T'] and decoder.start int64 [rows + 1] are
 * the decoder's, to which the sites outside the encoder belong.
 * Metadata: format, model, sites. sites are borrowed until close. In a team only rank 0 has the file. */
SN_CHECKED sn_status sn_capture_open(sn_capture **out, sn_ctx *ctx, sn_model *model, const char *path,
                                     const sn_site *site, int n_site, const sn_capture_size *size);
/* Passes over rows that an interrupted run has written: the first ones, which come to `size`. Before the first run. */
SN_CHECKED sn_status sn_capture_skip(sn_capture *capture, const sn_capture_size *size);
/* Runs a batch and appends its rows. offsets: [tokens][2], of the encoder's tokens where the batch has them (row b must
 * then read encoder row b). In the other ranks the rows are kept in memory until they are handed over. */
SN_CHECKED sn_status sn_capture_run(sn_capture *capture, const sn_batch *batch, const int64_t (*offsets)[2]);
/* Rank `from` hands what it ran last to rank 0, which appends it, with the same batch. Only those two call it. */
SN_CHECKED sn_status sn_capture_hand(sn_capture *capture, int from, const sn_batch *batch,
                                     const int64_t (*offsets)[2]);
/* Notes in the checkpoint, if there is one, that units 0 .. number of the work `key` are in the file. */
SN_CHECKED sn_status sn_capture_mark(sn_capture *capture, uint64_t key, uint64_t number);
/* Returns tokens written so far. */
int64_t sn_capture_tokens(const sn_capture *capture);
/* In ranks without a file: nothing. */
SN_CHECKED sn_status sn_capture_commit(sn_capture *capture);
/* Without a commit nothing is left behind but what a checkpoint keeps. NULL is allowed. */
void sn_capture_close(sn_capture *capture);

#endif
