/* From tokens to words and roles, and from single texts to a data set: what stands behind --level and --by. */
#ifndef SN_METHODS_ATTRIBUTION_LEVELS_H
#define SN_METHODS_ATTRIBUTION_LEVELS_H

#include "methods/attribution/attribution.h"

/* The tokens of one text at one site, put together: units are runs of tokens. Arrays from arena. */
typedef struct sn_attribution_units {
	int32_t n, *first;      /* [n + 1] tokens [first[u], first[u + 1]) */
	const char **text;      /* [n] as written; NULL: the text of the only token */
	const char **group;     /* [n] role, part of speech or place, as --by asks */
} sn_attribution_units;

/* Cuts a text's tokens into units (level token, word, role) and names their groups (by auto, role, upos, position:
 * tokens before the prediction). data: where the item comes from, for its roles and words. SN_EARG: the data has no
 * roles, or is no treebank. */
SN_CHECKED sn_status sn_attribution_cut(sn_attribution_units *out, sn_ctx *ctx, const sn_dataset *data,
                                        const sn_attribution_item *item, const sn_attribution_tokens *row,
                                        const char *level, const char *by, sn_arena *arena);

/* Sums over texts, by group, at one site. */
typedef struct sn_attribution_groups sn_attribution_groups;
SN_CHECKED sn_status sn_attribution_groups_open(sn_attribution_groups **out, int32_t n_text, sn_arena *arena);
/* Adds the scores of a text's units, score [units->n]; texts in any order, each once. */
void sn_attribution_groups_take(sn_attribution_groups *g, int32_t text, const sn_attribution_units *units,
                                const double *score);
/* Writes the rows of a site: means over texts, with bands over groups from a bootstrap of texts. Nothing for one text.
 */
SN_CHECKED sn_status sn_attribution_groups_write(const sn_attribution_groups *g, const char *site, sn_result *out);

#endif
