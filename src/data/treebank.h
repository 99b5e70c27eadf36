/* Words of treebanks as a model sees them: which tokens of which sentence, and what the annotation says of each. */
#ifndef SN_DATA_TREEBANK_H
#define SN_DATA_TREEBANK_H

#include "base/base.h"

/* Words of the sentences of one or two CoNLL-U files, in order. Left out and counted: words that no token belongs to;
 * sentences of more tokens than the model takes. Empty nodes are no words. The words of a multi-word token whose forms
 * make up its letters ("do" + "n't") have their own parts of it; otherwise they share it. Arrays live in the arena. */
typedef struct sn_treebank {
	sn_batch batch;                        /* a sentence a row */
	int64_t n;                             /* words */
	int32_t *sentence;                     /* [n] row of the batch */
	int32_t (*token)[2];                   /* [n] tokens [first, last) of the row */
	int32_t *file;                         /* [n] 0, or 1 for the second file */
	int64_t *head;                         /* [n] number of the head among the words; -1: root; -2: none, or left out */
	int32_t *type, n_type;                 /* [n] word form as written, as a number (upper and lower case differ) */
	const struct sn_conllu_word **word;    /* [n] */
	int64_t n_unaligned, n_shared, n_long; /* words without tokens; words that share a token; sentences left out */
} sn_treebank;

/* Reads the words of data [n_data], all of them treebanks (SN_EARG otherwise). limit: sentences of the first file
 * (0: all); most: tokens a sentence may have (0: any). */
SN_CHECKED sn_status sn_treebank_read(sn_treebank *out, sn_ctx *ctx, const sn_tokenizer *tokenizer,
									  const sn_dataset *const *data, int n_data, int64_t limit, int64_t most,
									  sn_arena *arena);

/* Returns the number of the word of a sentence (of a treebank's data set) whose letters hold the byte before `end` of
 * its text, or -1. */
int32_t sn_treebank_word_at(const sn_dataset *data, int64_t sentence, int64_t end);
/* Returns the part of speech (UPOS) of a word of a sentence, as in the file. */
const char *sn_treebank_upos(const sn_dataset *data, int64_t sentence, int32_t word);

/* A label of words as classes. */
typedef struct sn_treebank_label {
	const char *name; /* as asked for: upos, xpos, deprel, udeprel (without subtype), lemma, feats.X, misc.X */
	int n_class;
	const char **class_name; /* [n_class] in order of first appearance */
	int32_t *y;              /* [n] class; -1: the word has no such label */
} sn_treebank_label;

/* Numbers the classes of a label. SN_ENOTFOUND for an unknown name or a label that no word has: it lists what there
 * is; SN_EARG for fewer than two classes or more than most. */
SN_CHECKED sn_status sn_treebank_classes(sn_treebank_label *out, sn_ctx *ctx, const sn_treebank *bank, const char *name,
										 int most, sn_arena *arena);

#endif
