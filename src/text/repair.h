/* Texts that are not UTF-8: refused, or read with U+FFFD in place of what is wrong. */
#ifndef SN_TEXT_REPAIR_H
#define SN_TEXT_REPAIR_H

#include "text/piece.h"

/* Sends a text to out if it is valid. Otherwise, with replace, what is wrong is replaced: each longest beginning of a
 * character that lacks its end, and each byte that begins none (Unicode Standard 15, 3.9, as Python's "replace"
 * does); places are those of the bytes replaced. Without: SN_EPARSE names the byte. SN_EARG above 2 GiB. */
SN_CHECKED sn_status sn_repair(sn_ctx *ctx, sn_piece text, bool replace, sn_piece_fn *out, void *payload);
/* Appends bytes to out with what is not UTF-8 replaced in the same way. */
void sn_append_valid(sn_buf *out, const char *bytes, size_t size);

#endif
