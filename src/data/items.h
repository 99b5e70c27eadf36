/* Items in token space: what localize, the causal methods and the planted models share. A phenomenon with a tokenizer makes
 * them, or a test by hand. Everything is borrowed from one arena. */
#ifndef SN_DATA_ITEMS_H
#define SN_DATA_ITEMS_H

#include "sonde.h"

/* Why two prefixes form a pair. MAIN flips the controller's feature, ATTRACTOR the attractor's, PLACEBO swaps the
 * controller's lemma and holds every feature. */
typedef enum sn_pair_kind { SN_PAIR_MAIN, SN_PAIR_ATTRACTOR, SN_PAIR_PLACEBO, SN_PAIR_KINDS } sn_pair_kind;

/* One direction of an interchange: source's activations go into base. Both directions are listed, next to each other. */
typedef struct sn_pair {
	int64_t base, source;   /* item numbers */
	sn_pair_kind kind;
} sn_pair;

/* Two forms of one choice word, single tokens: form[0] goes with feature +1 (plural), form[1] with -1. */
typedef struct sn_choice {
	int32_t form[2];
	const char *text[2];
} sn_choice;

/* A prefix that ends just before the choice. Invariants: roles share no token, none holds token 0; tokens.span of an
 * absent role is {-1, -1}; every item of a pair has the same frame and token count. */
typedef struct sn_item {
	const char *text;       /* the prefix as shown to readers */
	int32_t frame, condition;   /* indices into the names below; condition -1: none */
	int8_t n;               /* controller's feature, +1 or -1 */
	int8_t attractor_n;     /* attractor's feature, 0 without attractor */
	int32_t lemma, attractor;   /* lemma indices; attractor -1: none */
	int32_t form;           /* subject's word form: index, for control tasks and the surface probe */
	int32_t group;          /* lexicon's inherent group of the subject's lemma (regular / irregular, gender), index */
	int32_t fold;           /* block of the subject's lemma, 0 .. n_fold - 1 (the attractor's too) */
	int8_t test_lead;       /* lead-in of the test list */
	int64_t twin;           /* probe prefixes: the same words with the other lead-in; -1: none */
} sn_item;

typedef struct sn_items {
	const char *id, *source, *lang;          /* phenomenon id; file; language */
	int64_t n;
	const sn_item *item;
	const int32_t *token;                    /* packed */
	const int64_t *start;                    /* [n + 1] */
	int n_role;
	const char *const *role;                 /* names; role 0 is the controller ("subject"), the last one "last" */
	const int32_t (*span)[2];                /* [n * n_role] tokens */
	int n_label;                             /* further binary labels for probes; label 0 is the controller's feature */
	const char *const *label;
	const int8_t *z;                         /* [n * n_label] +1, -1, 0 absent */
	int n_frame, n_condition, n_group, n_fold, n_lemma, n_form;
	const char *const *frame, *const *condition, *const *group, *const *lemma, *const *form;
	int64_t n_probe;                         /* items [0, n_probe) are probe prefixes, training lead-in first of each twin pair */
	int64_t n_pair;
	const sn_pair *pair;
	int n_choice;
	const sn_choice *choice;
	int64_t n_generated, n_dropped;          /* before the rejections */
	int n_reason;                            /* why items and choice pairs were dropped, with counts */
	const char *const *reason;
	const int64_t *reason_count;
} sn_items;

#endif
