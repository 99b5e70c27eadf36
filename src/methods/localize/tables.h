/* The result tables of localize: what is declared in tables.c and filled in rows.c. */
#ifndef SN_METHODS_LOCALIZE_TABLES_H
#define SN_METHODS_LOCALIZE_TABLES_H

#include "data/result.h"
#include "methods/localize/localize.h"

/* In the order of the report. */
typedef enum sn_localize_table {
	SN_T_VERDICTS,
	SN_T_CURVES,
	SN_T_HEAT,
	SN_T_PARTS,
	SN_T_LENS,
	SN_T_BEHAVIOUR,
	SN_T_WORDS,
	SN_T_FIRST,
	SN_T_ACCURACY,
	SN_T_OTHER_PAIRS,
	SN_T_CONDITIONS,
	SN_T_ERASURE,
	SN_T_EXAMPLES,
	SN_T_DROPS,
	SN_T_TOKENS,
	SN_T_LABELS,
	SN_T_MOVES,
	SN_T_FLIPS,
	SN_T_PART_MAP,
	SN_T_OVER,
	SN_T_FIRST_SHARES,
	SN_T_THRESHOLDS,
	SN_T_TIMES,
	SN_T_ALL_VERDICTS, /* several phenomena compared: the same columns behind the phenomenon's name */
	SN_T_ALL_CURVES,
	SN_T_ALL_PARTS,
	SN_T_ALL_LENS,
	SN_T_ALL_BEHAVIOUR,
	SN_T_ALL_FIRST,
	SN_T_ALL_TOKENS,
	SN_T_ALL_EXAMPLES,
	SN_T_ALL_DROPS,
	SN_LOCALIZE_TABLES
} sn_localize_table;

extern const sn_table sn_localize_tables[SN_LOCALIZE_TABLES];

/* Fills all tables. */
SN_CHECKED sn_status sn_localize_rows(sn_result *out, const sn_evidence *ev);
/* Adds the summary: whole sentences with numbers and intervals. model: how to call it. */
SN_CHECKED sn_status sn_localize_say(sn_result *out, const sn_evidence *ev, const char *model);
/* Adds the limitations, made from the gates that failed. */
SN_CHECKED sn_status sn_localize_limits(sn_result *out, const sn_evidence *ev);
/* One report of n evidences of the same model: rows and sentences of each, by phenomenon; limitations that all share
 * once. */
SN_CHECKED sn_status sn_localize_compare(sn_result *out, const sn_evidence *ev, int n, const char *model);
/* How many tokens the words at a role have. */
typedef struct sn_tokens_a_word {
	double mean, single; /* tokens a word; share of the words that are one token */
	int64_t n_word;      /* test prefixes that have the role */
} sn_tokens_a_word;

sn_tokens_a_word sn_localize_tokens(const sn_evidence *ev, int role);
/* Returns what cell c of ev->part is called, in the report's language ("head 0 of block 2, last"); from arena, NULL
 * without memory. sentence: as the summary says it. */
const char *sn_localize_part_name(const sn_evidence *ev, int c, bool sentence, sn_arena *arena);
const char *sn_erase_scope_text(sn_erase_scope scope);

#endif
