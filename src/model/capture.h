/* Activations to a safetensors file, in flat memory: one tensor a site, in the order of tokens. */
#ifndef SN_MODEL_CAPTURE_H
#define SN_MODEL_CAPTURE_H

#include "base/base.h"

typedef struct sn_capture sn_capture;

/* Opens FILE (written under a temporary name until the commit) with
 *   tokens int32 [T], offsets int64 [T, 2] (bytes into the item's text), start int64 [rows + 1], item int64 [rows],
 *   and for each site its name: float32 [T, width]; attention scores and patterns, whose width grows with the position,
 *   as float32 [sum over tokens of heads * (position + 1)], the keys of one head after another's.
 * In an encoder-decoder these are the encoder's rows; decoder.tokens int32 [T'] and decoder.start int64 [rows + 1] are
 * the decoder's, to which the sites outside the encoder belong.
 * Metadata: format, model, sites. sites are borrowed until close. n_token: how many will come, so that each row goes
 * straight to its place; -1 where it is not known (all is then written twice). */
SN_CHECKED sn_status sn_capture_open(sn_capture **out, sn_ctx *ctx, sn_model *model, const char *path,
                                     const sn_site *site, int n_site, int64_t n_token);
/* Runs a batch and appends its rows. offsets: [tokens][2], of the encoder's tokens where the batch has them (row b must
 * then read encoder row b). */
SN_CHECKED sn_status sn_capture_run(sn_capture *capture, const sn_batch *batch, const int64_t (*offsets)[2]);
/* Returns tokens written so far. */
int64_t sn_capture_tokens(const sn_capture *capture);
SN_CHECKED sn_status sn_capture_commit(sn_capture *capture);
/* Without a commit nothing is left behind. NULL is allowed. */
void sn_capture_close(sn_capture *capture);

#endif
