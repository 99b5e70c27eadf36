/* CoNLL-U treebanks: sentences of words with ten columns; comments, multi-word tokens (3-4) and empty nodes (5.1). */
#ifndef SN_IO_CONLLU_H
#define SN_IO_CONLLU_H

#include "base/base.h"

/* A syntactic word or an empty node. Text fields are as in the file, "_" included. */
typedef struct sn_conllu_word {
	int32_t id;    /* 1 .. n; of an empty node: the word it follows, 0 .. n */
	int32_t empty; /* 0, or k for an empty node id.k */
	int32_t head;  /* id of the head, 0 for the root, -1 for none */
	const char *form, *lemma, *upos, *xpos, *feats, *deprel, *deps, *misc;
	int64_t
		span[2]; /* bytes of the sentence's text; the words of a multi-word token share its span; {-1, -1} if empty */
	int64_t line;
} sn_conllu_word;

typedef struct sn_conllu_sentence {
	const char *id;   /* `# sent_id = `, or NULL */
	const char *text; /* `# text = `, or the forms joined as SpaceAfter=No says */
	int32_t n_word;   /* empty nodes included */
	const sn_conllu_word *word;
	int64_t line; /* of its first word */
	int32_t document; /* `# newdoc` lines up to it */
} sn_conllu_sentence;

typedef struct sn_conllu {
	int64_t n, n_word;
	const sn_conllu_sentence *sentence;
} sn_conllu;

/* Reads a whole text (UTF-8; byte order mark and CRLF accepted) into arena. SN_EPARSE names the line where a word has
 * not ten columns, ids do not count up, a head is no word, or a form does not stand in the text. */
SN_CHECKED sn_status sn_conllu_read(sn_conllu *out, sn_ctx *ctx, const char *source, const char *data, size_t size,
									sn_arena *arena);

#endif
