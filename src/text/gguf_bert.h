/* tokenizer.ggml.model = bert: WordPiece, whose tokens GGUF files spell the other way round than BERT's vocab.txt. */
#ifndef SN_TEXT_GGUF_BERT_H
#define SN_TEXT_GGUF_BERT_H

#include "text/tokenizer_impl.h"

/* Gives an empty tokenizer BERT's stages, in lower case, and a vocabulary: what has U+2581 in front begins a word, what
 * has brackets around it or is CONTROL stands for itself, anything else goes on inside a word ("##"). */
SN_CHECKED sn_status sn_tokenizer_set_bert(sn_tokenizer *t, const sn_tokenizer_spec *spec);

#endif
