/* Running text coloured by scores (SN_VIEW_TOKENS). */
#ifndef SN_REPORT_TOKENS_H
#define SN_REPORT_TOKENS_H

#include "report/pick.h"

/* Appends the texts of a table as HTML, each token a span whose title is its score. */
void sn_tokens_html(sn_buf *buf, const sn_source *source);
/* Appends at most max_texts (0: all) as lines of tokens above their scores, with terminal colours where color. */
void sn_tokens_text(sn_buf *buf, const sn_source *source, int64_t max_texts, bool color);

#endif
