/* `sonde causal patch` on items in token space. */
#ifndef SN_METHODS_CAUSAL_PATCH_H
#define SN_METHODS_CAUSAL_PATCH_H

#include "data/items.h"
#include "data/result.h"

/* The method's parameters; see its rows for their meaning. */
typedef struct sn_patch_param {
	const char *sites, *by, *places, *kind, *subspace, *label, *lengths;
	int64_t every, pairs, resamples;
} sn_patch_param;

/* The rows of all but subspace and label; at(field) is the field's offset. */
#define SN_PATCH_PARAMS(at)                                                                                            \
	{ .name = "sites", .help = "sites to patch, * for every layer or head", .type = SN_TYPE_TEXT, .off = at(sites),    \
	  .def = "blocks.0.hook_resid_pre,blocks.*.hook_resid_post" },                                                     \
	{ .name = "every", .unit = "layers", .help = "take every n-th layer of sites named with *", .type = SN_TYPE_INT,   \
	  .off = at(every), .def = "1", .min = 1, .max = 1000 },                                                           \
	{ .name = "by", .help = "patch the items' roles, or single positions counted from the end", .type = SN_TYPE_TEXT,  \
	  .off = at(by), .def = "role", .choices = "role|position" },                                                      \
	{ .name = "places", .help = "roles to patch, 'other' (all positions after the subject that no role holds), "       \
	  "'onward' (all from the subject on), or all", .type = SN_TYPE_TEXT, .off = at(places), .def = "all" },           \
	{ .name = "pair-kind", .help = "main: the controller's feature is flipped; attractor: the attractor's; placebo: "  \
	  "the lemma is swapped, every feature held", .type = SN_TYPE_TEXT, .off = at(kind), .def = "main",                \
	  .choices = "main|attractor|placebo" },                                                                           \
	{ .name = "pairs", .unit = "pairs", .help = "directed pairs to run, the same share of every frame; 0: all",        \
	  .type = SN_TYPE_INT, .off = at(pairs), .def = "0", .min = 0, .max = 1e9 },                                       \
	{ .name = "lengths", .help = "pairs whose members differ in their number of tokens: dropped (equal), or kept "     \
	  "(any), and then every role is patched at its last token", .type = SN_TYPE_TEXT, .off = at(lengths),             \
	  .def = "equal", .choices = "equal|any" },                                                                        \
	{ .name = "resamples", .help = "bootstrap resamples of lemmas", .type = SN_TYPE_INT, .off = at(resamples),         \
	  .def = "2000", .min = 100, .max = 100000 }

extern const sn_method sn_method_causal_patch;

/* Runs the method for items made anywhere (no tokenizer needed); rows go to out, a result of sn_method_causal_patch. */
SN_CHECKED sn_status sn_causal_patch(sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_patch_param *param,
									 sn_result *out);

#endif
