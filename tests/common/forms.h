/* Small models of random form: every switch that the generic block has, weights large enough that every term
 * matters. */
#ifndef SN_TEST_FORMS_H
#define SN_TEST_FORMS_H

#include "common/test.h"

#include "model/model.h"
#include "model/site.h"

enum { FORMS_VOCAB = 40, FORMS_LAYERS = 3 };

typedef struct forms_weights { uint64_t seed; sn_shape shape; } forms_weights;

/* A case: its model, and draws that follow from its number. */
typedef struct forms_case {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_model *model;
	uint64_t number;
	sn_rng rng;
	forms_weights w[2];                        /* seq2seq: the decoder's, the encoder's */
	sn_layer_kind kind[2][FORMS_LAYERS];
} forms_case;

/* Returns a random shape; kind: [FORMS_LAYERS], filled. */
sn_shape forms_random_shape(sn_rng *rng, sn_layer_kind *kind);
/* Makes a model with a shape, which is completed, and random weights; kind: [n_layer] or NULL. */
sn_model *forms_model(sn_ctx *ctx, forms_weights *w, const sn_layer_kind *kind);
/* Opens case number; seq2seq: a decoder with cross-attention and its encoder. */
void forms_open(forms_case *f, sn_ctx *ctx, uint64_t number, bool seq2seq);
void forms_close(forms_case *f);
/* Returns a random site of the model (of the decoder's own rows). attention: scores and patterns too. */
sn_site forms_random_site(forms_case *f, sn_rng *rng, bool attention);

#endif
