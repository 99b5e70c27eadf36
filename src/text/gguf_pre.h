/* tokenizer.ggml.pre: how files of byte-level BPE name the way their texts are cut into words. */
#ifndef SN_TEXT_GGUF_PRE_H
#define SN_TEXT_GGUF_PRE_H

#include "text/tokenizer_impl.h"

/* Gives a tokenizer the pre-tokenizer stages of a family, and its model what goes with them (bpe.ignore_merges). name
 * NULL: "default". SN_EUNKNOWN lists the known names. */
SN_CHECKED sn_status sn_tokenizer_set_pre(sn_tokenizer *t, const char *name);

#endif
