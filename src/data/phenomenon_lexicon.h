/* Words and their features: the lexicon of a phenomenon, and the choice of the form that a place asks for. Features and
 * their values are small numbers here; names are for readers and errors. */
#ifndef SN_DATA_PHENOMENON_LEXICON_H
#define SN_DATA_PHENOMENON_LEXICON_H

#include "base/base.h"

enum {
	SN_MAX_FEATURE = 24,   /* features of a phenomenon */
	SN_MAX_VALUE = 16,     /* values of a feature */
	SN_MAX_CLASS = 32,     /* word classes */
	SN_MAX_LEXEME = 10000, /* lexemes of a class */
	SN_MAX_FORM = 64,      /* forms of a lexeme */
	SN_MAX_TEXT = 256      /* bytes of a form, a lemma, a name */
};

typedef struct sn_feature {
	const char *name;
	int n_value;
	const char *value[SN_MAX_VALUE];
} sn_feature;

/* A set of feature values: value[f] is the number of feature f's value, or -1. */
typedef struct sn_values {
	int8_t value[SN_MAX_FEATURE];
} sn_values;

typedef struct sn_form {
	sn_values cell; /* the place in the paradigm that its key names */
	const char *text;   /* alternatives (himself, herself) joined by '+' */
	const char *folded; /* ё read as е where the phenomenon asks for it; otherwise text */
} sn_form;

typedef struct sn_lexeme {
	const char *lemma;
	sn_values inherent; /* gender, animacy, regular or irregular, ... */
	int n_form;
	const sn_form *form;
	int32_t group;    /* stratum of the folds: its inherent values; index into the class's groups */
	int8_t frequency; /* sn_frequency; -1: the lexicon does not say */
} sn_lexeme;

/* How frequent a lexeme is, coarsely (docs/phenomena.md has the bounds): for breakdowns only, nothing is balanced by
 * it. */
typedef enum sn_frequency { SN_FREQUENCY_HIGH, SN_FREQUENCY_MID, SN_FREQUENCY_LOW, SN_FREQUENCIES } sn_frequency;

/* A word class of the lexicon. */
typedef struct sn_class {
	const char *name;
	int n, n_group;
	const sn_lexeme *lexeme;
	const char *const *group; /* "irregular", "f/anim"; "all" where lexemes carry no feature */
} sn_class;

/* A place of a frame with the word that fills it. lexeme NULL: the place is empty. */
typedef struct sn_fill {
	const sn_lexeme *lexeme;
	sn_values values; /* everything known of it: inherent, fixed, varied, agreeing */
	const sn_form *form;
} sn_fill;

/* Returns "high", "mid" or "low"; NULL for -1. */
const char *sn_frequency_name(int frequency);
/* Returns the band of that name, or -1. */
int sn_frequency_find(const char *name);
/* Returns a set without any value. */
sn_values sn_values_none(void);
/* Returns the number of the feature of that name (size bytes), or -1. */
int sn_feature_find(const sn_feature *feature, int n, const char *name, size_t size);
/* Returns the number of a feature's value, or -1. */
int sn_feature_value(const sn_feature *feature, const char *name, size_t size);
/* Finds the feature that has a value of this name; values belong to one feature each. */
bool sn_value_find(const sn_feature *feature, int n, const char *name, size_t size, int *out_feature, int *out_value);
/* Writes "case gen, number pl" into buf; "nothing" for an empty set. */
void sn_values_format(const sn_feature *feature, int n, const sn_values *values, char *buf, size_t size);

/* Returns how many forms of a lexeme fit what is asked for, *out the first of them (NULL: none). A form fits if every
 * value that its key names is asked for or inherent, and every value asked for is named by the key or inherent. */
int sn_lexeme_form(const sn_lexeme *lexeme, const sn_values *asked, const sn_form **out);
/* Returns whether the written form (after folding) also stands in another cell of its paradigm; with feature >= 0: in a
 * cell that has another value of this feature. */
bool sn_form_ambiguous(const sn_lexeme *lexeme, const sn_form *form, int feature);
/* Returns whether the written form (after folding) also stands in another cell that has these values: книги, a genitive
 * singular, looks like a nominative plural. */
bool sn_form_looks(const sn_lexeme *lexeme, const sn_form *form, const sn_values *cell);
/* Returns whether a lexeme's forms differ in a feature or name it, or it has it inherently. A verb in the present tense
 * does not know gender: there is nothing in it to agree. */
bool sn_lexeme_knows(const sn_lexeme *lexeme, int feature);

#endif
