/* SentencePiece's .model files: a message ModelProto of protocol buffers (sentencepiece_model.proto), read without a
 * library. Unknown fields are skipped; lengths are checked before they are used. */
#ifndef SN_TEXT_SPM_FILE_H
#define SN_TEXT_SPM_FILE_H

#include "text/spm.h"

/* Reads a model from bytes; texts in out point into them, the list of pieces comes from arena. Numbers of tokens that
 * the file leaves out have SentencePiece's defaults. SN_EPARSE names source and the byte of what is damaged, or the
 * piece that is empty, given twice or has no finite score; SN_EUNKNOWN a kind of model or piece that is not known.
 * Cost: linear. */
SN_CHECKED sn_status sn_spm_parse(sn_spm_spec *out, sn_ctx *ctx, sn_arena *arena, sn_slice bytes, const char *source);

#endif
