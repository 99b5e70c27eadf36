/* Planted truth: six small Llama models whose every number is set by hand, so that what must be found in them is known,
 * and the items they read. Shared by the tests of patching, erasure, probes and localize.
 *
 * d 32, 4 heads of 8, 4 blocks, MLP 8. Every token has a large constant coordinate BIAS: the root mean square of a
 * residual is that of BIAS to within 1e-3, so RMSNorm (whose gains undo the division) is nearly the identity. Rotation:
 * base 1e12 and contents of queries and keys in the last pair of a head only, which turns by 1e-9 a position.
 *
 *   Embedding  A = ±1 and C = ±1 by lemma, B = n A amp, E = g C: number n and the idle feature g are XORs of two bits,
 * not linear in the embedding; 15 random lemma coordinates; noise 0.05 everywhere but in BIAS and the flags. Block 0
 * MLP: silu(A) B - silu(-A) B = A B = n amp -> N, and C E = g -> G. Block 2    every query scores 20 on the first token
 * (whose values are 0); the last token's scores 30 more on the subject's flag. Head 0: N + 0.3 (a lemma coordinate) ->
 * R, head 1: G -> G2, head 2: N -> DEC. Unembed    the two forms of choice word k read ± kappa_k / 2 of R. Nothing
 * reads G2 and DEC.
 *
 * The lemmas' amplitudes amp run from 0.05 to 2, so a mean of ratios would be ruled by the small ones. */
#ifndef SN_PLANTED_H
#define SN_PLANTED_H

#include "base/base.h"
#include "data/items.h"
#include "model/weights.h"

typedef enum planted_variant {
	PLANTED_BASE,
	PLANTED_SPLIT,     /* blocks 1 and 2 both copy half of N to R */
	PLANTED_NONLINEAR, /* head 0 copies A and B; block 3's MLP multiplies them into R; N is written but not read */
	PLANTED_ATTRACT, /* the last token attends 0.7 to the subject, 0.3 to the attractor (or the filler in its place) */
	PLANTED_BIASED,  /* the unembedding favours the plural forms by 10 nats */
	PLANTED_UNREAD,  /* the unembedding does not read R */
	PLANTED_VARIANTS
} planted_variant;

extern const char *const planted_name[PLANTED_VARIANTS];

enum {
	PLANTED_D = 32,
	PLANTED_HEADS = 4,
	PLANTED_D_HEAD = 8,
	PLANTED_BLOCKS = 4,
	PLANTED_MLP = 8,
	PLANTED_LEMMAS = 32,
	PLANTED_FOLDS = 5,
	PLANTED_CHOICES = 8,
	PLANTED_LEADS = 8,
	PLANTED_FILLERS = 4
};

/* Coordinates of the residual stream. */
enum {
	PC_BIAS,
	PC_A,
	PC_B,
	PC_C,
	PC_E,
	PC_LEMMA,
	PC_N = PC_LEMMA + 15,
	PC_G,
	PC_R,
	PC_G2,
	PC_DEC,
	PC_A2,
	PC_B2,
	PC_SPARE,
	PC_FIRST,
	PC_SUBJECT,
	PC_ATTRACTOR,
	PC_LAST
};

/* Token numbers. Subject and attractor nouns: + noun(lemma, n, g). */
enum {
	PT_FIRST,
	PT_TRAIN_LEAD,
	PT_TEST_LEAD = PT_TRAIN_LEAD + PLANTED_LEADS,
	PT_SUBJECT = PT_TEST_LEAD + PLANTED_LEADS,
	PT_ATTRACTOR = PT_SUBJECT + 4 * PLANTED_LEMMAS,
	PT_FILLER = PT_ATTRACTOR + 4 * PLANTED_LEMMAS,
	PT_WORD = PT_FILLER + PLANTED_FILLERS,
	PT_LAST = PT_WORD + PLANTED_FILLERS,
	PT_CHOICE = PT_LAST + PLANTED_FILLERS,
	PT_VOCAB = PT_CHOICE + 2 * PLANTED_CHOICES
};

/* Roles: subject, attractor, last; what stands between is "other". */
enum { PR_SUBJECT, PR_ATTRACTOR, PR_LAST, PLANTED_ROLES };

/* Weights in the layout of sn_source: [rows, columns] row-major. */
typedef struct planted_block {
	float attn_norm[PLANTED_D], mlp_norm[PLANTED_D];
	float q[PLANTED_D][PLANTED_D], k[PLANTED_D][PLANTED_D], v[PLANTED_D][PLANTED_D], o[PLANTED_D][PLANTED_D];
	float gate[PLANTED_MLP][PLANTED_D], up[PLANTED_MLP][PLANTED_D], down[PLANTED_D][PLANTED_MLP];
} planted_block;

typedef struct planted_weights {
	planted_variant variant;
	sn_shape shape;
	float embed[PT_VOCAB][PLANTED_D], unembed[PT_VOCAB][PLANTED_D], final_norm[PLANTED_D];
	planted_block block[PLANTED_BLOCKS];
} planted_weights;

/* Sets all weights of a variant; seed draws lemma coordinates and noise. */
void planted_fill(planted_weights *w, planted_variant variant, uint64_t seed);
/* Opens an engine model over w, which must live longer. */
SN_CHECKED sn_status planted_open(sn_model **out, sn_ctx *ctx, const planted_weights *w);

/* Which feature the controller's column holds: n, or the idle g (whose pairs flip g and hold n); or n as if it were
 * inherent in lemmas, so that main pairs swap the lemma too. */
typedef enum planted_feature { PLANTED_NUMBER, PLANTED_IDLE, PLANTED_INHERENT } planted_feature;

/* Makes the items (the same for all variants and seeds): 1,024 probe prefixes - lemma x n x g x {attractor singular,
 * attractor plural, two fillers} with twins - and pairs: 256 main, 128 attractor, 128 placebo, both directions. Two
 * frames: "attractor" of 6 tokens, "filler" of 7. Labels: the controller's feature, the other one. Groups: the four
 * values of (A, C). */
SN_CHECKED sn_status planted_items(sn_items *out, sn_arena *arena, planted_feature controller);

#endif
