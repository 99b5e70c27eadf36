/* What the files that read a phenomenon share; nobody else includes it. Each function reads one member of the document.
 */
#ifndef SN_DATA_PHENOMENON_READ_H
#define SN_DATA_PHENOMENON_READ_H

#include "data/phenomenon.h"
#include "io/json.h"

typedef struct sn_reading {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_json *doc;
	sn_phenomenon *p;
	sn_scope scope; /* features and slots so far */
	const char *slot_name[SN_MAX_SLOT];
	int n_polarity;
	sn_ref polarity[SN_MAX_ROLE];
	int polarity_value[SN_MAX_ROLE][2]; /* for +1, for -1 */
} sn_reading;

/* Fails unless every key of an object is one of n names; with features true names of features are allowed too. */
SN_CHECKED sn_status sn_read_keys(const sn_reading *r, const json_t *object, const char *const *name, int n,
								  bool features);
/* Copies a string value (1 to 256 bytes, no control characters, no space at its ends). */
SN_CHECKED sn_status sn_read_text(const sn_reading *r, const json_t *value, const char **out);
/* The same for a required member. */
SN_CHECKED sn_status sn_read_member(const sn_reading *r, const json_t *object, const char *key, const char **out);
/* Fails unless text is a name: letters, digits, '-' and '_', and no word of the expressions. */
SN_CHECKED sn_status sn_read_name(const sn_reading *r, const json_t *at, const char *text);
/* Puts file and path before the reason that parsing an expression left in the context; returns status. */
SN_CHECKED sn_status sn_read_expr_failed(const sn_reading *r, const json_t *at, sn_status status);
/* Reads SLOT.FEATURE from a string value. */
SN_CHECKED sn_status sn_read_ref(const sn_reading *r, const json_t *value, sn_ref *out);

SN_CHECKED sn_status sn_read_features(sn_reading *r); /* "features", after the ones that come with Sonde */
SN_CHECKED sn_status sn_read_lexicon(sn_reading *r);
SN_CHECKED sn_status sn_read_slots(sn_reading *r);
SN_CHECKED sn_status sn_read_polarity(sn_reading *r);
SN_CHECKED sn_status sn_read_labels(sn_reading *r);
SN_CHECKED sn_status sn_read_lead_ins(sn_reading *r);
SN_CHECKED sn_status sn_read_frames(sn_reading *r);
SN_CHECKED sn_status sn_read_roles(sn_reading *r);
SN_CHECKED sn_status sn_read_choice(sn_reading *r);
SN_CHECKED sn_status sn_read_interchange(sn_reading *r);
SN_CHECKED sn_status sn_read_balance(sn_reading *r);
SN_CHECKED sn_status sn_read_split(sn_reading *r);
SN_CHECKED sn_status sn_read_reject(sn_reading *r);
/* Every lexeme has exactly one form for everything that its slots may ask for. */
SN_CHECKED sn_status sn_check_forms(sn_reading *r);

#endif
