/* `sonde localize`, inside: what is measured and where it is kept. Stages fill one sn_evidence, tables and sentences
 * read it. A cell is (layer boundary l, role r), l from 0 (the embedding) to the number of blocks; arrays over cells
 * are layer-major. E has one role more than the rest: "other", all positions after the subject that no role holds. */
#ifndef SN_METHODS_LOCALIZE_H
#define SN_METHODS_LOCALIZE_H

#include "data/items.h"
#include "model/gather.h"
#include "stats/bootstrap.h"
#include "stats/leace.h"
#include "stats/metrics.h"
#include "stats/probe.h"

/* ---- what is asked ---- */

/* Everything but model and items that decides the numbers. Start from sn_localize_preset. */
typedef struct sn_localize_options {
	double delta;     /* threshold of all verdicts: share of D, bits */
	double least_d;   /* nats: D's lower bound must exceed it, else the model makes no such choice */
	double level;     /* of intervals */
	int n_random;     /* randomly initialised models */
	int n_boot;       /* resamples of lemmas */
	int n_control;    /* control labellings for selectivity */
	int n_erase_draw; /* draws of each erasure control */
	int erase_step;   /* erase at every n-th layer where E_sub is yes; 0: no erasure */
	int n_control_item; /* pair members that erasure's controls are scored on, at most; 0: all */
	int wide_step;    /* the wider scopes at every n-th such layer; 0: not at all */
	int n_wide_draw;  /* draws of each control there, at most n_erase_draw */
	int n_refit;      /* resamples with refitted probes: training variation; 0: not included */
	int part_steps;   /* points of the line along which heads and MLPs are estimated; 0: not at all */
	int n_part_top;   /* the largest estimates that are confirmed by patching */
} sn_localize_options;

/* Returns the options of an effort: delta 0.10, D above 0.2 nats, 95 % intervals, 2,000 resamples. */
sn_localize_options sn_localize_preset(sn_effort effort);

/* ---- what is measured ---- */

/* One quantity over its cells, with the bands of one family of simultaneous intervals. */
typedef struct sn_quantity {
	int n_layer, n_col; /* cell l * n_col + r; 0, 0: not measured */
	sn_reps reps;
	sn_band *band; /* [n_layer * n_col] */
} sn_quantity;

/* Returns the band of a cell. */
static inline const sn_band *sn_band_at(const sn_quantity *q, int l, int r) { return &q->band[l * q->n_col + r]; }

/* A proportion with Wilson's interval, n being lemmas. */
typedef struct sn_share {
	double value, low, high;
	int64_t n_lemma;
} sn_share;

/* Behaviour on one subset of the pair members. */
typedef struct sn_behaviour {
	/* "all" "", "condition" "match", "frame" .., "group" .., "frequency" .., "both right" "", "choice" "is / are" */
	const char *kind, *name;
	int64_t n; /* prefixes */
	sn_share accuracy;
	sn_band sensitivity, bias; /* S and bias, nats */
} sn_behaviour;

/* Selectivity of one cell: accuracies on the split "same forms, unseen lead-ins". */
typedef struct sn_selectivity {
	double task, control, strength;
} sn_selectivity;

/* Positions an erasure edits. */
typedef enum sn_erase_scope {
	SN_ERASE_CELL,
	SN_ERASE_ROLE_ONWARDS,
	SN_ERASE_ALL_ONWARDS,
	SN_ERASE_SCOPES
} sn_erase_scope;

typedef struct sn_erased_cell {
	int l, r;
	sn_erase_scope scope;
	sn_band x;                            /* X = 1 - S_erased / S, band over all erased cells */
	double control_label, control_random; /* their 95th percentiles over draws */
	sn_band gate, before;                 /* bits a fresh probe finds on erased and unerased rows */
	bool complete, counts;                /* the gate passed; X's lower bound is clear of both controls by 0.05 */
} sn_erased_cell;

typedef enum sn_answer { SN_ANSWER_NA, SN_ANSWER_NO, SN_ANSWER_UNDETERMINED, SN_ANSWER_YES } sn_answer;
typedef enum sn_verdict {
	SN_VERDICT_NA, /* no frame has the role, or the model makes no such choice */
	SN_VERDICT_TAUTOLOGY,
	SN_VERDICT_UNDETERMINED,
	SN_VERDICT_NEITHER,
	SN_VERDICT_ENCODED_UNUSED, /* encoded, not used from here on */
	SN_VERDICT_OTHER_ENCODING, /* passes here, not through this encoding */
	SN_VERDICT_NOT_LINEAR,     /* used, not linearly encoded */
	SN_VERDICT_USED,           /* encoded and used */
	SN_VERDICT_COUNT
} sn_verdict;

/* The inputs of one cell's verdict and the verdict. */
typedef struct sn_judgement {
	sn_answer encoded, e, e_sub;
	sn_verdict verdict;
} sn_judgement;

/* First of two consecutive layers above delta, with its distribution over resamples. */
typedef struct sn_first {
	const char *quantity;
	int role, point; /* -1: none */
	double *share;   /* [n_layer + 1], the last: none */
	int low, high;   /* 2.5 % and 97.5 % points; n_layer stands for none */
} sn_first;

typedef enum sn_stage {
	SN_STAGE_CHOICE,
	SN_STAGE_GATHER,
	SN_STAGE_PROBE,
	SN_STAGE_RANDOM,
	SN_STAGE_CONTROL,
	SN_STAGE_PROJECT,
	SN_STAGE_PATCH,
	SN_STAGE_PARTS,
	SN_STAGE_ERASE,
	SN_STAGE_REFIT,
	SN_STAGE_COUNT
} sn_stage;

/* Everything known about one model and one phenomenon. Lives in arena; items are borrowed. */
typedef struct sn_evidence {
	sn_arena *arena;
	const sn_model *model; /* set by sn_localize_run */
	bool russian;          /* the report's language; the caller sets it after the run */
	const sn_items *items;
	sn_localize_options options;
	int n_layer, n_role; /* boundaries; roles without "other" */
	const char **role;   /* [n_role + 1] */
	int64_t d;
	sn_boot *boot;

	/* chosen */
	int64_t n_member, *member; /* items that are in pairs */
	int64_t *slot;             /* [items->n] place among the members, -1 */
	double *ld;                /* [n_member] LD, mean over choice pairs, nats */
	double *ld_choice;         /* [n_member, n_choice] */
	int n_behaviour;
	sn_behaviour *behaviour; /* [0]: all */
	sn_band d_main;          /* D, nats */
	sn_band attractor_total; /* flip of the attractor itself, share of D; NaN without such pairs */
	bool chooses;

	/* encoded (label 0, the controller's feature) */
	int64_t n_probe, *probe;           /* probe prefixes */
	int64_t n_test, *test, *test_slot; /* those with a test lead-in; their place among them [items->n], -1 */
	float *random_bits;                /* [n_test, n_layer * n_role] held-out log2 p, mean over random models */
	double *strength;                  /* [n_layer * n_role] C that most blocks chose */
	sn_quantity info, random, surface, over_random, over_surface, over_embedding; /* bits */
	sn_quantity *info_condition;                                                  /* [n_condition] */
	sn_quantity *info_label;                                                      /* [n_label]; label 0 is info again */
	sn_share *accuracy;          /* [n_label, n_layer * n_role] balanced */
	sn_selectivity *selectivity; /* [n_layer * n_role] */
	int n_type;                  /* subject forms among the probe prefixes */
	int n_unconverged;           /* probe fits that stopped before their tolerance */
	double *norm_ratio;          /* [n_layer * n_role] median norm over the layer's */

	/* interchange */
	sn_leace *projection; /* [n_layer * n_role, n_fold] */
	sn_quantity e, e_sub; /* if swaps: less the RMS of the placebo */
	sn_quantity move, attractor, placebo, placebo_sub, main_rms;
	sn_quantity e_nats, e_sub_nats; /* numerators */
	sn_share *flip, *flip_sub;      /* [n_layer * (n_role + 1)], [n_layer * n_role]; both-correct pairs */
	int64_t n_flip_pair;
	bool subject_only; /* main pairs differ only where patching the subject exchanges them */
	bool swaps;        /* their members differ in the controller's lemma too: the feature is inherent (gender) */

	/* heads and MLPs */
	int n_part;              /* of one block: its heads, then its MLP; 0: not measured */
	sn_quantity part;        /* estimated, shares of D: [blocks, n_part * (n_role + 1)], part * (n_role + 1) + place */
	int n_top, *top;         /* its cells with the largest estimates, the largest first */
	sn_quantity top_patched; /* [1, n_top] their effects when patched */
	sn_quantity top_placebo; /* RMS of placebo pairs there; no band without such pairs */
	sn_quantity top_effect;  /* if swaps: the effects, less the placebo of their size; otherwise the effects */

	/* the choice, read from the last position at each boundary by the logit lens */
	sn_quantity lens; /* [n_layer, 1] share of D */
	sn_share *lens_right;
	sn_first lens_first; /* first of two consecutive boundaries with more than half of D */

	/* erasure */
	int n_erased;
	sn_erased_cell *erased;

	/* verdicts at delta, 0.05 and 0.20 */
	double delta[3];
	sn_judgement *judgement[3]; /* [n_layer * n_role] */
	int n_first;
	sn_first *first;
	double seconds[SN_STAGE_COUNT];
} sn_evidence;

/* Measures everything for token-space items on a model (no tokenizer needed). out's arrays come from arena. SN_EARG
 * for items that cannot be used (no pairs, fewer than 3 folds, no test lead-ins); SN_ECHECK when a tautology fails,
 * which would be a fault of the engine. A model that makes no such choice is SN_OK with chooses false. */
SN_CHECKED sn_status sn_localize_run(sn_evidence *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
									 const sn_localize_options *options, sn_arena *arena);

/* ---- quantities ---- */

/* Means over units of x [units->n, n_layer * n_col] with their resamples, no bands yet. */
SN_CHECKED sn_status sn_localize_quantity(sn_quantity *out, const sn_evidence *ev, const sn_boot_items *units,
										  const float *x, int n_layer, int n_col);
/* Computes the bands of q->reps. */
SN_CHECKED sn_status sn_localize_bands(sn_quantity *q, const sn_evidence *ev);
/* Repeats a's first layer n_layer times, no bands. */
SN_CHECKED sn_status sn_localize_spread(sn_quantity *out, const sn_evidence *ev, const sn_quantity *a, int n_layer);
/* a - b, cell by cell and resample by resample. */
SN_CHECKED sn_status sn_localize_difference(sn_quantity *out, const sn_evidence *ev, const sn_quantity *a,
											const sn_quantity *b);
/* What the bootstrap needs to know of a list of items. Strata are frames, or with label >= 0 (frame, sign of that
 * label). */
SN_CHECKED sn_status sn_localize_item_units(sn_boot_items *out, const sn_evidence *ev, const int64_t *item, int64_t n,
											int label);
/* The same for pairs (of one kind), listed by number. */
SN_CHECKED sn_status sn_localize_pair_units(sn_boot_items *out, const sn_evidence *ev, const int64_t *pair, int64_t n);
/* Lists the numbers of the pairs of a kind. */
SN_CHECKED sn_status sn_localize_pairs_of(const sn_evidence *ev, sn_pair_kind kind, int64_t **pair, int64_t *n);
/* A share with Wilson's interval. */
sn_share sn_localize_share(const sn_evidence *ev, double value, int64_t n_lemma);
/* Counts the subject lemmas of items that have a value (not NaN) in each column of x [n, n_cell]. */
SN_CHECKED sn_status sn_localize_count_lemmas(const sn_evidence *ev, const int64_t *item, int64_t n, const float *x,
											  int n_cell, int64_t *count);
/* Seconds since some moment; sn_localize_lap adds what passed since *since to a stage and restarts. */
double sn_localize_now(void);
void sn_localize_lap(sn_evidence *ev, sn_stage stage, double *since);

/* ---- parts of the run, in order ---- */

/* Sets up names, lists, draws of the bootstrap; checks what can be checked without a model. */
SN_CHECKED sn_status sn_localize_start(sn_evidence *ev, sn_ctx *ctx, const sn_items *items, int n_layer, int64_t d,
									   const sn_localize_options *options, sn_arena *arena);
/* Chosen: from ld and ld_choice to behaviour, d_main, chooses. */
SN_CHECKED sn_status sn_localize_chosen(sn_evidence *ev);
/* Whether the model prefers the right form at a member. */
bool sn_localize_right(const sn_evidence *ev, int64_t item);
/* D over some main pairs. */
SN_CHECKED sn_status sn_localize_d(sn_quantity *out, const sn_evidence *ev, const int64_t *pair, int64_t n);
/* Probes on randomly initialised models of the same shape, into random_bits. Comes before the model itself runs, so
 * that never two models' packed weights are in memory. */
SN_CHECKED sn_status sn_localize_random(sn_evidence *ev, sn_ctx *ctx, const sn_model *like);
/* Encoded: probes on the gathered residuals and on surface features, beside random_bits. */
SN_CHECKED sn_status sn_localize_encoded(sn_evidence *ev, sn_ctx *ctx, const sn_gather *gathered);
/* The plan of probes at role r for the first n_label labels: rows are g's rows there, training lead-ins fit, the
 * others are tested. */
SN_CHECKED sn_status sn_localize_plan(sn_probe_plan *plan, const sn_evidence *ev, const sn_gather *g, int r,
									  int n_label, sn_arena *arena);
/* Training variation: fits the probes of label 0 anew on n_refit resamples of lemmas, at the strengths chosen [cell,
 * fold], and replaces the resamples and bands of info, over_random and over_surface by theirs. */
SN_CHECKED sn_status sn_localize_refit(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g, const int *chosen);
/* Words at the roles up to role r and its position, one-hot: float32 [g->n[r], *width]. */
SN_CHECKED sn_status sn_localize_surface(const sn_evidence *ev, const sn_gather *g, int r, sn_arena *arena, float **x,
										 int64_t *width);
/* I = 1 + mean bits over the test prefixes; bits [n_test, n_layer * n_col] are log2 probabilities. */
SN_CHECKED sn_status sn_localize_info(sn_quantity *out, const sn_evidence *ev, const float *bits, int n_layer,
									  int n_col);
/* Control labellings of forms: z [n_draw, n_form], balanced within each sign of the feature; 0: form unused. */
SN_CHECKED sn_status sn_localize_control_labels(const sn_evidence *ev, uint64_t seed, int n_draw, uint64_t key,
												sn_arena *arena, int8_t **z);
SN_CHECKED sn_status sn_localize_selectivity(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g);
/* LEACE projections for each cell and fold. */
SN_CHECKED sn_status sn_localize_project(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g);
/* Interchange: LD after patches to quantities. ld [kind]: [pairs of the kind, n_patch], nats; patches are the cells of
 * E and after them, where sn_localize_patches says so, those of E_sub; NaN where a frame lacks the role. */
SN_CHECKED sn_status sn_localize_interchange(sn_evidence *ev, sn_ctx *ctx, const double *const ld[SN_PAIR_KINDS]);
/* Returns how many patches the pairs of a kind have: the cells of E, and those of E_sub for main pairs and, if these
 * swap lemmas, for the placebo that is taken off. */
int sn_localize_patches(const sn_evidence *ev, sn_pair_kind kind);
/* Runs the patches and calls the above. */
SN_CHECKED sn_status sn_localize_patch(sn_evidence *ev, sn_ctx *ctx, sn_model *model);
/* Heads and MLPs by attribution patching, the largest confirmed by patching and held beside the placebo. */
SN_CHECKED sn_status sn_localize_parts(sn_evidence *ev, sn_ctx *ctx, sn_model *model);
/* The choice, read at each boundary by the logit lens. */
SN_CHECKED sn_status sn_localize_lens(sn_evidence *ev, sn_ctx *ctx, sn_model *model);
/* The first of two consecutive layers of q's column r above `above`; cells where a patch of the kind that tautology
 * names (0: E, 1: E_sub; -1: none) is one count as absent. */
SN_CHECKED sn_status sn_localize_first(sn_first *out, const sn_evidence *ev, const char *name, const sn_quantity *q,
									   int r, int tautology, double above);
/* Verdicts and first layers of what is encoded and moved. */
SN_CHECKED sn_status sn_localize_judge(sn_evidence *ev);
/* Erasure at cells where E_sub is yes. */
SN_CHECKED sn_status sn_localize_erasure(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const sn_gather *g);

/* ---- verdicts ---- */

/* yes: lower simultaneous bound above delta; no: upper below; NaN: not applicable. */
sn_answer sn_answer_of(const sn_band *band, double delta);
/* Encoded: yes over both baselines, no over either. */
sn_answer sn_answer_both(sn_answer a, sn_answer b);
/* The table of verdicts. */
sn_verdict sn_verdict_of(sn_answer encoded, sn_answer e, sn_answer e_sub);
const char *sn_verdict_text(sn_verdict verdict);
const char *sn_answer_text(sn_answer answer);
/* Whether E (sub: E_sub) holds at this cell for any causal model, and then its value. */
bool sn_tautology(const sn_evidence *ev, bool sub, int l, int r, double *value);

#endif
