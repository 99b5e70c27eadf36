/* Declarations of the result tables; the report is drawn from these alone. */
#include "methods/localize/tables.h"

/* a column a line, which clang-format cannot keep */
/* clang-format off */
#define LAYER { .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Layer" }
#define ROLE { .name = "role", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Role" }
#define FACET(n, t) { .name = n, .type = SN_TYPE_TEXT, .role = SN_FACET, .title = t }
#define WORDS(n, t) { .name = n, .type = SN_TYPE_TEXT, .role = SN_TEXT, .title = t }
#define NUMBER(n, u, t) { .name = n, .unit = u, .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = t }
#define BETTER(n, u, t) { .name = n, .unit = u, .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1, .title = t }
#define BOUNDS(n) \
	{ .name = n "_low", .of = n, .type = SN_TYPE_FLOAT, .role = SN_LOW }, \
	{ .name = n "_high", .of = n, .type = SN_TYPE_FLOAT, .role = SN_HIGH }
#define BASE(n, m, t) { .name = n, .of = m, .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = t }
#define CERTAIN(m) \
	{ .name = "certain", .of = m, .type = SN_TYPE_BOOL, .role = SN_HATCH, .title = "Holds for any causal model" }
#define PHENOMENON { .name = "phenomenon", .type = SN_TYPE_TEXT, .role = SN_FACET, .title = "Phenomenon" }
#define COUNT(n, t) { .name = n, .type = SN_TYPE_INT, .role = SN_COUNT_OF, .title = t }

#define VERDICTS \
	LAYER, \
	ROLE, \
	{ .name = "verdict", .type = SN_TYPE_TEXT, .role = SN_MEASURE, .title = "Verdict" }, \
	CERTAIN(NULL), \
	WORDS("encoded", "Encoded"), \
	WORDS("passes", "E"), \
	WORDS("through", "E_sub"),
static const sn_col verdicts[] = { VERDICTS };
static const sn_col all_verdicts[] = { PHENOMENON, VERDICTS };
#define CURVES \
	LAYER, \
	ROLE, \
	BETTER("I", "bits", "I: encoded here"), \
	BOUNDS("I"), \
	BASE("surface", "I", "surface probe"), \
	BASE("random", "I", "random models"), \
	BETTER("E", "share of D", "E: the choice passes here"), \
	BOUNDS("E"), \
	BASE("placebo", "E", "placebo floor (RMS)"), \
	CERTAIN("E"), \
	BETTER("E_sub", "share of D", "E_sub: through the encoding"), \
	BOUNDS("E_sub"), \
	{ .name = "certain_sub", .of = "E_sub", .type = SN_TYPE_BOOL, .role = SN_HATCH },
static const sn_col curves[] = { CURVES };
static const sn_col all_curves[] = { PHENOMENON, CURVES };
static const sn_col heat[] = {
	LAYER,
	ROLE,
	FACET("quantity", "Quantity"),
	NUMBER("value", NULL, "Value"),
	CERTAIN("value"),
	{ .name = "mark", .type = SN_TYPE_TEXT, .role = SN_MARK },
};
#define PARTS \
	{ .name = "part", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Part and role" }, \
	{ .name = "how", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "How" }, \
	NUMBER("effect", "share of D", "The choice passes this part"), \
	BOUNDS("effect"),
static const sn_col parts[] = { PARTS };
static const sn_col all_parts[] = { PHENOMENON, PARTS };
#define LENS \
	LAYER, \
	ROLE, \
	BETTER("lens", "share of D", "The choice read here by the model's own end"), \
	BOUNDS("lens"), \
	BETTER("right", "share", "Right choices read here"), \
	BOUNDS("right"), \
	BASE("chance", "right", "chance"),
static const sn_col lens[] = { LENS };
static const sn_col all_lens[] = { PHENOMENON, LENS };
static const sn_col part_map[] = {
	{ .name = "block", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Block" },
	{ .name = "part", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Part" },
	FACET("role", "Role"),
	NUMBER("estimate", "share of D", "Estimated effect"),
	BOUNDS("estimate"),
};
#define BEHAVIOUR \
	{ .name = "subset", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Prefixes" }, \
	BETTER("accuracy", "share", "Accuracy"), \
	BOUNDS("accuracy"), \
	BASE("chance", "accuracy", "chance"), \
	BETTER("S", "nats", "Sensitivity S"), \
	BOUNDS("S"), \
	NUMBER("bias", "nats", "Bias"), \
	BOUNDS("bias"), \
	COUNT("n", "Prefixes"), \
	COUNT("lemmas", "Lemmas"),
static const sn_col behaviour[] = { BEHAVIOUR };
static const sn_col all_behaviour[] = { PHENOMENON, BEHAVIOUR };
static const sn_col words[] = {
	{ .name = "pair", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Choice words" },
	BETTER("accuracy", "share", "Accuracy"),
	BOUNDS("accuracy"),
	BETTER("S", "nats", "Sensitivity S"),
	BOUNDS("S"),
	NUMBER("bias", "nats", "Bias"),
	BOUNDS("bias"),
};
#define FIRST \
	{ .name = "quantity", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Quantity" }, \
	ROLE, \
	{ .name = "first", .unit = "layer", .type = SN_TYPE_INT, .role = SN_MEASURE, .title = "First layer" }, \
	{ .name = "first_low", .of = "first", .type = SN_TYPE_INT, .role = SN_LOW }, \
	{ .name = "first_high", .of = "first", .type = SN_TYPE_INT, .role = SN_HIGH }, \
	NUMBER("none", "share of resamples", "No such layer"),
static const sn_col first[] = { FIRST };
static const sn_col all_first[] = { PHENOMENON, FIRST };
static const sn_col accuracy[] = {
	LAYER,
	ROLE,
	BETTER("A", "share", "Balanced accuracy A, unseen lemmas"),
	BOUNDS("A"),
	NUMBER("task", "share", "Same forms: the feature"),
	BASE("control", "task", "control labels"),
	NUMBER("selectivity", "share", "Selectivity"),
};
static const sn_col other_pairs[] = {
	LAYER,
	ROLE,
	NUMBER("attractor", "share of D", "Attractor's feature flipped"),
	BOUNDS("attractor"),
	NUMBER("placebo", "share of D", "Placebo: another lemma (RMS)"),
	BOUNDS("placebo"),
	BASE("main", "placebo", "main pairs (RMS)"),
};
static const sn_col conditions[] = {
	LAYER, ROLE, FACET("condition", "Condition"), BETTER("I", "bits", "I"), BOUNDS("I"),
};
static const sn_col erasure[] = {
	LAYER,
	ROLE,
	WORDS("scope", "Erased"),
	NUMBER("X", "share of S", "X"),
	BOUNDS("X"),
	BASE("labels", "X", "control labels, 95 %"),
	BASE("directions", "X", "random directions, 95 %"),
	NUMBER("gate", "bits", "Left for a fresh probe"),
	BOUNDS("gate"),
	BASE("before", "gate", "before erasing"),
	WORDS("outcome", "Outcome"),
};
#define EXAMPLES \
	WORDS("text", "Prefix"), \
	WORDS("condition", "Condition"), \
	WORDS("frame", "Frame"), \
	WORDS("feature", "Controller"), \
	NUMBER("LD", "nats", "LD: +1 form over −1 form"), \
	WORDS("right", "Right"),
static const sn_col examples[] = { EXAMPLES };
static const sn_col all_examples[] = { PHENOMENON, EXAMPLES };
#define DROPS \
	WORDS("reason", "Reason"), \
	WORDS("group", "Group"), \
	WORDS("frequency", "Frequency"), \
	{ .name = "dropped", .type = SN_TYPE_INT, .role = SN_MEASURE, .title = "Dropped" },
static const sn_col drops[] = { DROPS };
static const sn_col all_drops[] = { PHENOMENON, DROPS };
#define TOKENS \
	{ .name = "role", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Role" }, \
	NUMBER("tokens", "tokens", "Tokens a word"), \
	NUMBER("single", "share", "Words of one token"), \
	COUNT("n", "Words"),
static const sn_col tokens[] = { TOKENS };
static const sn_col all_tokens[] = { PHENOMENON, TOKENS };
static const sn_col labels[] = {
	LAYER,
	ROLE,
	FACET("label", "Label"),
	BETTER("I", "bits", "I"),
	BOUNDS("I"),
	BETTER("A", "share", "Balanced accuracy"),
	BOUNDS("A"),
};
static const sn_col moves[] = {
	LAYER,
	ROLE,
	NUMBER("move", "share of D", "ΔE(l) = E(l) − E(l − 1)"),
	BOUNDS("move"),
};
static const sn_col flips[] = {
	LAYER,
	ROLE,
	NUMBER("flip", "share", "Choices flipped"),
	BOUNDS("flip"),
	NUMBER("flip_sub", "share", "Flipped through the encoding"),
	BOUNDS("flip_sub"),
	NUMBER("E_nats", "nats", "E in nats"),
	BOUNDS("E_nats"),
	NUMBER("E_sub_nats", "nats", "E_sub in nats"),
	BOUNDS("E_sub_nats"),
	COUNT("lemmas", "Lemmas"),
};
static const sn_col over[] = {
	LAYER,
	ROLE,
	NUMBER("over_random", "bits", "I over random models"),
	BOUNDS("over_random"),
	NUMBER("over_surface", "bits", "I over the surface probe"),
	BOUNDS("over_surface"),
	NUMBER("over_embedding", "bits", "I over the embedding"),
	BOUNDS("over_embedding"),
	NUMBER("norm", "x the layer's median", "Norm"),
	WORDS("flag", "Flag"),
	WORDS("constant", "No variation"),
};
static const sn_col first_shares[] = {
	LAYER,
	ROLE,
	FACET("quantity", "Quantity"),
	NUMBER("share", "share of resamples", "First layer here"),
};
static const sn_col thresholds[] = {
	LAYER,
	ROLE,
	FACET("delta", "Threshold"),
	{ .name = "verdict", .type = SN_TYPE_TEXT, .role = SN_MEASURE, .title = "Verdict" },
	CERTAIN(NULL),
};
/* clang-format on */
static const sn_col times[] = {
	{ .name = "stage", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Stage" },
	NUMBER("seconds", "s", "Time"),
};

#define COLUMNS(c) .col = (c), .n_col = SN_COUNT(c)
const sn_table sn_localize_tables[SN_LOCALIZE_TABLES] = {
	[SN_T_VERDICTS] = { .name = "verdicts",
						.title = "Verdicts",
						COLUMNS(verdicts),
						.view = SN_VIEW_HEAT,
						.caption = "One verdict for each layer boundary (0: the embedding) and role: is the feature "
								   "encoded, does the choice pass here, does "
								   "it pass through this encoding? Undetermined: an interval that contains the "
								   "threshold. Hatched: true of any causal model." },
	[SN_T_CURVES] = { .name = "curves",
					  .title = "Encoded, passing, used",
					  COLUMNS(curves),
					  .view = SN_VIEW_LINE,
					  .caption = "I: bits that a linear probe reads from unseen lemmas. E: share of the choice that "
								 "changes when the whole vector comes from "
								 "the prefix with the other value; E_sub: when only its encoding does. Bands: "
								 "simultaneous 95 % intervals over all "
								 "cells of a quantity, lemmas resampled. Hollow: true of any causal model." },
	[SN_T_HEAT] = { .name = "heat",
					.title = "Layer by role",
					COLUMNS(heat),
					.view = SN_VIEW_HEAT,
					.caption = "I in bits, E and E_sub as shares of D. + above the threshold, ? undetermined, ! "
							   "vectors more than ten times as long as "
							   "the layer's median." },
	[SN_T_PARTS] = { .name = "parts",
					 .title = "Heads and MLPs",
					 COLUMNS(parts),
					 .view = SN_VIEW_BAR,
					 .caption =
						 "The heads and MLPs through which the choice passes: ranked by attribution patching (the "
						 "gradient's estimate), each confirmed by patching its output at that role. Placebo: the "
						 "lemma alone swapped (RMS). Whiskers: simultaneous 95 % bands." },
	[SN_T_LENS] = { .name = "lens",
					.title = "Where the choice is decided",
					COLUMNS(lens),
					.view = SN_VIEW_LINE,
					.caption = "What the last position's vector at each layer would choose if the model ended there "
							   "(logit lens): the share of D that its pairs move, and how often the right form is the "
							   "more probable one." },
	[SN_T_BEHAVIOUR] = { .name = "behaviour",
						 .title = "Behaviour by condition",
						 COLUMNS(behaviour),
						 .view = SN_VIEW_BAR,
						 .caption = "How often the right form is the more probable one (Wilson intervals, n = lemmas); "
									"S: how many nats the feature moves the "
									"choice; bias: preference for the +1 form that does not depend on it." },
	[SN_T_WORDS] = { .name = "words",
					 .title = "Choice words",
					 COLUMNS(words),
					 .view = SN_VIEW_TABLE,
					 .caption =
						 "All pairs of choice words are scored at each prefix and averaged; here each on its own." },
	[SN_T_FIRST] = { .name = "first_layers",
					 .title = "First layers",
					 COLUMNS(first),
					 .view = SN_VIEW_TABLE,
					 .caption = "The first of two consecutive layers above the threshold, and the middle 95 % of its "
								"distribution over resampled lemmas." },
	[SN_T_ACCURACY] = { .name = "accuracy",
						.title = "Accuracy and selectivity",
						COLUMNS(accuracy),
						.view = SN_VIEW_LINE,
						.caption = "A: unseen lemmas, Wilson intervals over lemmas. Task against control labels drawn "
								   "at random for each subject form: same "
								   "forms, unseen lead-ins, equal strength. Selectivity is no part of a verdict." },
	[SN_T_OTHER_PAIRS] = { .name = "other_pairs",
						   .title = "Attractor and placebo pairs",
						   COLUMNS(other_pairs),
						   .view = SN_VIEW_LINE,
						   .caption = "What patches move when the pair differs in the attractor's feature, or in the "
									  "subject's lemma alone." },
	[SN_T_CONDITIONS] = { .name = "conditions",
						  .title = "Encoded, by condition",
						  COLUMNS(conditions),
						  .view = SN_VIEW_LINE,
						  .caption = "One probe trained on all prefixes, tested on each condition apart." },
	[SN_T_ERASURE] = { .name = "erasure",
					   .title = "Erasure",
					   COLUMNS(erasure),
					   .view = SN_VIEW_TABLE,
					   .caption = "X: share of the sensitivity lost when the encoding is erased. It counts when its "
								  "lower bound exceeds both controls by 0.05 "
								  "and a fresh probe finds nothing left. X is of all members of pairs, the controls of "
								  "at most 64 of them." },
	[SN_T_EXAMPLES] = { .name = "examples", .title = "Example prefixes", COLUMNS(examples), .view = SN_VIEW_TEXT },
	[SN_T_DROPS] = { .name = "drops", .title = "Items dropped", COLUMNS(drops), .view = SN_VIEW_TABLE },
	[SN_T_TOKENS] = { .name = "tokens",
					  .title = "Words and tokens",
					  COLUMNS(tokens),
					  .view = SN_VIEW_TABLE,
					  .caption = "A role's vector is that of its word's last token; morphology splits words." },
	[SN_T_LABELS] = { .name = "labels",
					  .title = "Other labels",
					  COLUMNS(labels),
					  .view = SN_VIEW_LINE,
					  .appendix = true,
					  .caption = "The same probes for the items' other labels; no verdicts depend on them." },
	[SN_T_MOVES] = { .name = "moves",
					 .title = "Moves",
					 COLUMNS(moves),
					 .view = SN_VIEW_LINE,
					 .appendix = true,
					 .caption = "Where E changes from layer to layer." },
	[SN_T_FLIPS] = { .name = "flips",
					 .title = "Flips, and effects in nats",
					 COLUMNS(flips),
					 .view = SN_VIEW_LINE,
					 .appendix = true,
					 .caption = "Share of right choices that a patch turns, among pairs with both members right." },
	[SN_T_PART_MAP] = { .name = "part_estimates",
						.title = "Heads and MLPs, all estimates",
						COLUMNS(part_map),
						.view = SN_VIEW_HEAT,
						.appendix = true,
						.caption = "Attribution patching of every head and MLP at every role, in shares of D." },
	[SN_T_OVER] = { .name = "baselines",
					.title = "Encoded over each baseline",
					COLUMNS(over),
					.view = SN_VIEW_LINE,
					.appendix = true,
					.caption = "Paired differences over resampled lemmas." },
	[SN_T_FIRST_SHARES] = { .name = "first_shares",
							.title = "First layers over resamples",
							COLUMNS(first_shares),
							.view = SN_VIEW_LINE,
							.appendix = true },
	[SN_T_THRESHOLDS] = { .name = "thresholds",
						  .title = "Verdicts at other thresholds",
						  COLUMNS(thresholds),
						  .view = SN_VIEW_HEAT,
						  .appendix = true },
	[SN_T_ALL_VERDICTS] = { .name = "compared_verdicts",
							.title = "Verdicts, compared",
							COLUMNS(all_verdicts),
							.view = SN_VIEW_HEAT,
							.caption = "One verdict for each layer boundary and role, phenomenon by phenomenon, on one "
									   "model." },
	[SN_T_ALL_CURVES] = { .name = "compared_curves",
						  .title = "Encoded, passing, used, compared",
						  COLUMNS(all_curves),
						  .view = SN_VIEW_LINE,
						  .caption = "I in bits, E and E_sub as shares of each phenomenon's own D, side by side; bands "
									 "are simultaneous within a phenomenon." },
	[SN_T_ALL_PARTS] = { .name = "compared_parts",
						 .title = "Heads and MLPs, compared",
						 COLUMNS(all_parts),
						 .view = SN_VIEW_BAR,
						 .caption =
							 "Each phenomenon's largest estimates, confirmed by patching, in shares of its own D." },
	[SN_T_ALL_LENS] = { .name = "compared_lens",
						.title = "Where the choice is decided, compared",
						COLUMNS(all_lens),
						.view = SN_VIEW_LINE,
						.caption =
							"The choice read from the last position by the logit lens, phenomenon by phenomenon." },
	[SN_T_ALL_BEHAVIOUR] = { .name = "compared_behaviour",
							 .title = "Behaviour, compared",
							 COLUMNS(all_behaviour),
							 .view = SN_VIEW_TABLE,
							 .caption = "Shares of D compare across phenomena; nats do only where the choice words are "
										"alike." },
	[SN_T_ALL_FIRST] = { .name = "compared_first_layers",
						 .title = "First layers, compared",
						 COLUMNS(all_first),
						 .view = SN_VIEW_TABLE,
						 .caption = "The first of two consecutive layers above the threshold, for each phenomenon." },
	[SN_T_ALL_TOKENS] = { .name = "compared_tokens",
						  .title = "Words and tokens, compared",
						  COLUMNS(all_tokens),
						  .view = SN_VIEW_TABLE,
						  .caption = "Tokens a word at each role: where languages differ, so may the work of the first "
									 "layers." },
	[SN_T_ALL_EXAMPLES] = { .name = "compared_examples",
							.title = "Example prefixes, compared",
							COLUMNS(all_examples),
							.view = SN_VIEW_TEXT,
							.caption = "One prefix of each frame, condition and value, for each phenomenon." },
	[SN_T_ALL_DROPS] = { .name = "compared_drops",
						 .title = "Items dropped, compared",
						 COLUMNS(all_drops),
						 .view = SN_VIEW_TABLE,
						 .caption = "What the tokenizer and the gates cost each phenomenon." },
	[SN_T_TIMES] = { .name = "times", .title = "Time", COLUMNS(times), .view = SN_VIEW_TABLE, .appendix = true },
};
