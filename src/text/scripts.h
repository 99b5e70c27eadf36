/* Scripts of characters (Unicode Standard Annex 24), by Oniguruma's tables. */
#ifndef SN_TEXT_SCRIPTS_H
#define SN_TEXT_SCRIPTS_H

#include "text/pretokenize.h"

/* Makes the ranges of the scripts that sentencepiece knows, with kana taken for Han; spaces are in none. SN_ENOMEM.
 * Cost: some thousand ranges. */
SN_CHECKED sn_status sn_script_ranges(sn_arena *arena, const sn_script_range **out, int32_t *n);

#endif
