/* What the causal methods share: which places of which items, LEACE fitted there, the units of the bootstrap. */
#ifndef SN_METHODS_CAUSAL_H
#define SN_METHODS_CAUSAL_H

#include "data/items.h"
#include "data/result.h"
#include "model/erasure.h"
#include "model/interchange.h"
#include "stats/bootstrap.h"
#include "stats/leace.h"

/* Sites x places of one model over one set of items. Spot s is site s / n_place at place s % n_place. Arrays live in
 * arena. */
typedef struct sn_causal {
	sn_ctx *ctx;
	sn_model *model;
	const sn_items *items;
	sn_arena *arena;
	int n_site, n_place, n_spot;
	sn_site *site;
	const char **site_name, **place_name;
	sn_spot *spot;
	sn_boot *boot;
} sn_causal;

/* Reads a method's items with its model's tokenizer; any_length: as for sn_items_read. */
SN_CHECKED sn_status sn_causal_items(sn_items **out, sn_ctx *ctx, const sn_input *input, bool any_length,
									 sn_arena *arena);

/* Opens: sites as for sn_site_expand, with * every n-th layer of them (0, 1: all); places "all" (the roles, and
 * "other" if with_other), "position" (from the end, not the first token), or a comma-separated list of role names,
 * "other" and "onward". SN_EARG names what is unknown, and sites that have no vectors. */
SN_CHECKED sn_status sn_causal_open(sn_causal *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
									const char *sites, int every, const char *places, bool with_other, int n_boot,
									sn_arena *arena);

/* Pairs of one kind, at most limit directions (0: all; pairs stay whole): the same share of every frame, drawn by the
 * context's seed. */
SN_CHECKED sn_status sn_causal_pairs(const sn_causal *c, sn_pair_kind kind, int64_t limit, sn_pair **pair, int64_t *n);
/* Units of the bootstrap for items, from arena; by_sign: strata are (frame, sign of the controller's feature) instead
 * of frames. */
SN_CHECKED sn_status sn_causal_units(const sn_causal *c, const int64_t *item, int64_t n, bool by_sign, sn_arena *arena,
									 sn_boot_items *out);
/* The same for pairs: the base's lemmas; of placebo pairs both subjects'. */
SN_CHECKED sn_status sn_causal_pair_units(const sn_causal *c, const sn_pair *pair, int64_t n, sn_boot_items *out);

/* What interchanges move, of one kind of pairs: cells are x's patches. */
typedef struct sn_effects {
	sn_reps d, effect,
		nats;       /* d: D of each cell's frames, or one cell for all; effect: shares of D; nats: numerators */
	sn_band d_main; /* D of all main pairs, nats */
	bool chooses;   /* its lower bound is above 0.2 nats: below that the model makes no such choice */
} sn_effects;

/* effect = mean n_b (LD_b - LD_{b<-s}) / D, D = mean n_b (LD_b - LD_s) of the main pairs that have the place (placebo
 * pairs: root mean square, over the D of all main pairs; attractor pairs: over the D of main pairs with an attractor,
 * which are run). From c's arena. */
SN_CHECKED sn_status sn_causal_effects(sn_effects *out, const sn_causal *c, sn_pair_kind kind, const sn_pair *pair,
									   int64_t n_pair, const sn_exchange *x);
/* Says what D is, or that the model makes no such choice. */
SN_CHECKED sn_status sn_causal_say_d(sn_result *out, const sn_effects *e);
/* Returns spot s as pairs are patched there: where pairs of unequal lengths are kept, a role's last token, which has a
 * counterpart in every pair, so that a cell means the same in all of them. */
sn_spot sn_causal_aligned(const sn_causal *c, int s);
/* Says so, if there are such pairs. */
SN_CHECKED sn_status sn_causal_limit_lengths(sn_result *out, const sn_items *items);
/* Returns "main", "attractor", "placebo" as a kind. */
sn_pair_kind sn_causal_kind(const char *name);

/* Activations of the probe prefixes at one spot: x [n, d], one row a position, and whose it is. */
typedef struct sn_acts {
	int64_t n, d, *item;
	float *x;
} sn_acts;

/* Calls fn for each spot in order, with activations that live until it returns. Roles of several tokens give their last
 * one. Cost: forward passes over the probe prefixes, as few as 192 MiB of activations allow. SN_EARG without probe
 * prefixes. */
SN_CHECKED sn_status sn_causal_each_spot(const sn_causal *c, const char *what,
										 sn_status (*fn)(void *arg, int spot, const sn_acts *acts, sn_arena *scratch),
										 void *arg);

/* Erasers of one label at one spot, one a fold, each fitted without its fold's lemmas. */
typedef struct sn_fit {
	sn_tensor *mean, *U, *V;
} sn_fit;
/* Fits n_label erasers on the rows with training lead-ins; z [n_label, items->n], +1, -1, 0 (left out by the first
 * label). */
SN_CHECKED sn_status sn_causal_fit(const sn_causal *c, const sn_acts *acts, int n_label, const int8_t *z,
								   sn_arena *scratch, sn_fit *out);
/* Returns the number of the label of that name (NULL or "": 0, the controller's feature); -1 with the error set. */
int sn_causal_label(const sn_causal *c, const char *name);
/* Columns of the table "choice" that both methods have: quantity, value, its bounds, unit. */
enum { SN_CAUSAL_CHOICE_COLUMNS = 5 };
extern const sn_col sn_causal_choice_columns[SN_CAUSAL_CHOICE_COLUMNS];

#endif
