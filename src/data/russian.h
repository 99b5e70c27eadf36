/* Russian for reports: the texts of report and localize, keyed by the English ones, and the forms of the words in them.
 * Formats have the conversions of the English format, in any order ("%2$s"). */
#ifndef SN_DATA_RUSSIAN_H
#define SN_DATA_RUSSIAN_H

/* The cases that sentences ask for; SN_RU_AT: with its preposition (на подлежащем). */
typedef enum sn_ru_form { SN_RU_NOM, SN_RU_GEN, SN_RU_ACC, SN_RU_AT, SN_RU_FORMS } sn_ru_form;

typedef struct sn_ru_text {
	const char *english, *russian;
} sn_ru_text;

/* Returns the Russian of a text, or the text itself where there is none. */
const char *sn_ru(const char *english);
/* Returns a form of a role's or label's name (subject, number); the name itself where it is not known. */
const char *sn_ru_name(const char *english, sn_ru_form form);
/* The whole list, for tests: text i, NULL past the end. */
const sn_ru_text *sn_ru_text_at(int i);

#endif
