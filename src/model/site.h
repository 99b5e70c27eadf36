/* Sites: names, patterns, widths, stages. */
#ifndef SN_MODEL_SITE_H
#define SN_MODEL_SITE_H

#include "model/weights.h"

/* Computation runs in stages: 0 embedding, 1 .. n_layer the blocks, n_layer + 1 final norm and unembedding. */
int sn_site_stage(const sn_site *site, int n_layer);
/* Whether a norm's gains follow the site: hook_normalized, and hook_q and hook_k of models that norm these. */
bool sn_is_normed(const sn_model *model, const sn_site *site);
/* Checks numbers against the model: SN_EARG names the site and the range. */
SN_CHECKED sn_status sn_site_check(sn_ctx *ctx, const sn_model *model, const sn_site *site);
/* The columns [*first, *last) of the site's full width that its head and unit select. */
void sn_site_columns(const sn_model *model, const sn_site *site, int64_t *first, int64_t *last);
/* The width letter of SN_SITE_MAP. */
char sn_site_letter(sn_site_kind kind);
const char *sn_site_name(sn_site_kind kind);
/* Returns whether a site holds attention scores or patterns, whose width is that of the attended positions. */
bool sn_site_is_attention(sn_site_kind kind);
/* Returns whether a decoder's site holds what cross-attention makes of the encoder's rows: its places are theirs. */
bool sn_site_of_encoder_rows(sn_site_kind kind);
/* Returns the kinds of sites that a shape has: bit k is kind k. */
uint64_t sn_sites_of(const sn_shape *shape);

#endif
