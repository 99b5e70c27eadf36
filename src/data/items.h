/* Items in token space: what localize, the causal methods and the planted models share. A phenomenon with a tokenizer
 * makes them, or a test by hand. Everything is borrowed from one arena. */
#ifndef SN_DATA_ITEMS_H
#define SN_DATA_ITEMS_H

#include "base/base.h"

/* Why two prefixes form a pair. MAIN flips the controller's feature, ATTRACTOR the attractor's, PLACEBO swaps the
 * controller's lemma and holds every feature. */
typedef enum sn_pair_kind { SN_PAIR_MAIN, SN_PAIR_ATTRACTOR, SN_PAIR_PLACEBO, SN_PAIR_KINDS } sn_pair_kind;

/* One direction of an interchange: source's activations go into base. Both directions are listed, next to each other.
 */
typedef struct sn_pair {
	int64_t base, source; /* item numbers */
	sn_pair_kind kind;
} sn_pair;

enum { SN_MAX_MORE = 3 }; /* further alternatives of a form */

/* Two forms of one choice word, single tokens: form[0] goes with feature +1 (plural), form[1] with -1. Where one value
 * has several forms (themselves against himself or herself) the others are more[i][0 .. n_more[i]), and their
 * probabilities add up. text: without the space that precedes it, alternatives joined by '+'. form is {-1, -1} in items
 * made without a tokenizer. */
typedef struct sn_choice {
	int32_t form[2];
	const char *text[2];
	int32_t n_more[2], more[2][SN_MAX_MORE];
} sn_choice;

/* A prefix that ends just before the choice. Invariants: roles share no token, none holds token 0; the span of an
 * absent role is {-1, -1}; both items of a pair have the same frame, and the same token count unless pairs of any
 * length were asked for (n_unequal). */
typedef struct sn_item {
	const char *text;         /* the prefix as shown to readers */
	int32_t frame, condition; /* indices into the names below; condition -1: none */
	int8_t n;                 /* controller's feature, +1 or -1 */
	int8_t attractor_n;       /* attractor's feature, 0 without attractor */
	int32_t lemma, attractor; /* lemma indices; attractor -1: none */
	int32_t form;             /* subject's word form: index, for control tasks and the surface probe */
	int32_t group;            /* lexicon's inherent group of the subject's lemma (regular / irregular, gender), index */
	int8_t frequency;         /* of the subject's lemma: sn_frequency; -1: the lexicon does not say */
	int32_t fold;             /* block of the subject's lemma, 0 .. n_fold - 1 (the attractor's too) */
	int32_t lead;             /* lead-in, index */
	int8_t test_lead;         /* lead-in of the test list */
	int64_t twin;             /* probe prefixes: the same words with the other lead-in; -1: none */
	int32_t choice_set; /* which set of choice pairs follows (Russian past tense: by the subject's gender); 0 where one
						   serves all */
} sn_item;

/* Why prefixes (or choice pairs) were dropped, and how many of the controller's group and frequency. */
typedef struct sn_drop {
	const char *reason;    /* "ambiguous(S)", "token count", ..., "choice: more than one token" */
	const char *group;     /* NULL: of choice words */
	const char *frequency; /* "high", "mid", "low"; NULL: of choice words, or the lexicon does not say */
	int64_t n;
} sn_drop;

/* Items [0, n_probe) are probe prefixes: twins lie next to each other, training lead-in first. The items of the pairs
 * follow; an item belongs to one pair. Names are numbered in the order in which the items first use them. Made without
 * a tokenizer, token, start and span are NULL. */
typedef struct sn_items {
	const char *id, *source, *lang; /* phenomenon id; file; language */
	int64_t n;
	const sn_item *item;
	const int32_t *token; /* packed */
	const int64_t *start; /* [n + 1] */
	int n_role;
	const char *const *role;   /* names; role 0 is the controller ("subject"), the last one "last" */
	const int32_t (*span)[2];  /* [n * n_role] tokens; the last role is the last token alone */
	const int64_t (*bytes)[2]; /* [n * n_role] byte offsets into item.text; the last role is the last word */
	int n_label;               /* binary labels for probes; label 0 is the controller's feature */
	const char *const *label;
	const int8_t *z;         /* [n * n_label] +1, -1, 0 absent */
	const char *(*value)[2]; /* [n_label] what +1 and -1 mean: {"pl", "sg"} */
	int n_frame, n_condition, n_group, n_fold, n_lemma, n_form, n_lead;
	const char *const *frame, *const *condition, *const *group, *const *lemma, *const *form, *const *lead;
	int64_t n_probe;
	int64_t n_pair;             /* directions: two for each pair of items */
	int64_t n_unequal;          /* of them: members differ in their number of tokens. If there are any, a role is
								   exchanged at its last token, which both members have (ключ 1 token, ключи 2) */
	const sn_pair *pair;        /* MAIN first, then ATTRACTOR, then PLACEBO */
	int n_choice, n_choice_set; /* choice[set * n_choice + c]: the same words in every set, with as many alternatives */
	int least_choice;           /* how many must remain for a tokenizer; 0: 6 */
	const sn_choice *choice;
	int64_t n_generated, n_dropped; /* prefixes tried, prefixes rejected */
	int n_drop;
	const sn_drop *drop; /* in the order of their first occurrence */
} sn_items;

/* How many: probe prefixes (twins counted apart) and pairs of each kind (both directions are one). Each is rounded up
 * until it fills every cell of the balance equally. */
typedef struct sn_items_size {
	int64_t probe, pair[SN_PAIR_KINDS];
	bool any_length; /* keep pairs whose members differ in their number of tokens; otherwise they are dropped */
} sn_items_size;

typedef enum sn_effort { SN_EFFORT_QUICK, SN_EFFORT_STANDARD, SN_EFFORT_THOROUGH, SN_EFFORTS } sn_effort;

/* Returns the sizes of a preset: 480 / 960 / 4,000 probe prefixes, 48 / 120 / 400 main pairs, half as many of the other
 * two. */
sn_items_size sn_items_preset(sn_effort effort);
/* Returns sizes in the proportions of `standard` for about n items in all. */
sn_items_size sn_items_share(int64_t n);

typedef struct sn_phenomenon sn_phenomenon;

/* Generates items from a phenomenon: exactly balanced, folds cut by lemma, lead-ins rotating, deterministic in
 * (phenomenon, tokenizer, size, seed). tokenizer NULL: text only, no rejections by tokens. Everything lives in arena;
 * the phenomenon must live as long. SN_EARG: fewer than 6 choice pairs whose forms are both single tokens (names the
 * others), or a cell that the lexicon cannot fill (names the cell and the rejections). Cost: tokenizes every prefix
 * about twice. */
SN_CHECKED sn_status sn_items_make(sn_items **out, sn_ctx *ctx, const sn_phenomenon *phenomenon,
								   const sn_tokenizer *tokenizer, const sn_items_size *size, uint64_t seed,
								   sn_arena *arena);
/* Appends items as JSONL, one prefix a line (docs/phenomena.md has the schema). */
void sn_items_jsonl(sn_buf *out, const sn_items *items);
/* Reads items back from the rows of that JSONL; equal to what was written, but for the counts of rejections. With a
 * tokenizer choice pairs of several tokens and, unless any_length, pairs whose members differ in token count are
 * dropped and counted (nothing more to drop if they were made with the same tokenizer). SN_EPARSE names row and column.
 */
SN_CHECKED sn_status sn_items_read(sn_items **out, sn_ctx *ctx, const sn_dataset *data, const sn_tokenizer *tokenizer,
								   bool any_length, sn_arena *arena);

#endif
