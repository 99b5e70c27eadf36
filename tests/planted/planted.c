#include "planted/planted.h"

#include <math.h>
#include <string.h>

static const double bias = 128, noise = 0.05, first_score = 20, subject_score = 50, lemma_read = 0.3;

const char *const planted_name[PLANTED_VARIANTS] = { "base", "split", "nonlinear", "attract", "biased", "unread" };

/* ---- embedding ---- */

static int lemma_a(int lemma) { return lemma & 1 ? 1 : -1; }
static int lemma_c(int lemma) { return lemma & 2 ? 1 : -1; }

/* Eight levels, each shared by the four lemmas that differ in A and C, so neither tells anything about amplitudes.
 * Where an attractor pulls, they are near 1, so that 0.7 of any subject outweighs 0.3 of any attractor. */
static double amplitude(planted_variant variant, int lemma)
{
	static const double wide[] = { 0.05, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0 };
	return variant == PLANTED_ATTRACT ? 0.9 + 0.2 * (lemma / 4) / 7 : wide[lemma / 4];
}

static void add_noise(float *x, sn_rng *rng)
{
	for (int i = PC_A; i < PC_FIRST; i++) x[i] += (float)(noise * sn_rng_normal(rng));
}

static void fill_nouns(planted_weights *w, sn_rng *rng)
{
	for (int lemma = 0; lemma < PLANTED_LEMMAS; lemma++) {
		float own[PC_N - PC_LEMMA];
		for (int i = 0; i < SN_COUNT(own); i++) own[i] = (float)(sn_rng_uniform(rng) - 0.5);
		for (int form = 0; form < 8; form++) {
			int n = form & 1 ? 1 : -1, g = form & 2 ? 1 : -1;
			float *x = w->embed[(form & 4 ? PT_ATTRACTOR : PT_SUBJECT) + 4 * lemma + (form & 3)];
			memcpy(x + PC_LEMMA, own, sizeof own);
			x[PC_A] = (float)lemma_a(lemma);
			x[PC_C] = (float)lemma_c(lemma);
			x[PC_B] = (float)(n * lemma_a(lemma) * amplitude(w->variant, lemma));
			x[PC_E] = (float)(g * lemma_c(lemma));
			x[form & 4 ? PC_ATTRACTOR : PC_SUBJECT] = 1;
		}
	}
}

static void fill_embedding(planted_weights *w, uint64_t seed)
{
	sn_rng rng = sn_rng_make(seed, 1);
	fill_nouns(w, &rng);
	for (int i = 0; i < PLANTED_FILLERS; i++) {
		w->embed[PT_LAST + i][PC_LAST] = 1;
		w->embed[PT_FILLER + i][PC_ATTRACTOR] = 1;
	}
	w->embed[PT_FIRST][PC_FIRST] = 1;
	for (int token = 0; token < PT_VOCAB; token++) {
		w->embed[token][PC_BIAS] = (float)bias;
		if (token != PT_FIRST) add_noise(w->embed[token], &rng);
	}
}

/* ---- blocks ---- */

static void fill_gains(float *gain)
{
	for (int i = 0; i < PLANTED_D; i++) gain[i] = (float)(bias / sqrt(PLANTED_D));
}

/* Two neurons, silu(x) y - silu(-x) y = x y, from coordinates x and y to coordinate to. */
static void multiply(planted_block *b, int neuron, int x, int y, int to)
{
	b->gate[neuron][x] = 1;
	b->gate[neuron + 1][x] = -1;
	b->up[neuron][y] = b->up[neuron + 1][y] = 1;
	b->down[to][neuron] = 1;
	b->down[to][neuron + 1] = -1;
}

/* Scores of one head: first_score on the first token from every query, and from the last token subject_score on the
 * subject, minus gap nats on the attractor's flag (gap 0: not on it). The engine divides by sqrt(d_head). */
static void attend(planted_block *b, int head, double gap)
{
	int row = head * PLANTED_D_HEAD, slow = row + 3, slow_too = row + 7;
	double scale = sqrt(PLANTED_D_HEAD);
	b->q[slow][PC_BIAS] = (float)(first_score * scale / bias);
	b->k[slow][PC_FIRST] = 1;
	b->q[slow_too][PC_LAST] = (float)(subject_score * scale);
	b->k[slow_too][PC_SUBJECT] = 1;
	if (gap > 0) b->k[slow_too][PC_ATTRACTOR] = (float)(1 - gap / subject_score);
}

static void copy(planted_block *b, int head, int channel, int from, int to, double factor)
{
	int z = head * PLANTED_D_HEAD + channel;
	b->v[z][from] = (float)factor;
	b->o[to][z] = 1;
}

static void fill_readers(planted_weights *w, double gap)
{
	planted_block *b = &w->block[2];
	for (int head = 0; head < 3; head++) attend(b, head, gap);
	copy(b, 1, 0, PC_G, PC_G2, 1);
	copy(b, 2, 0, w->variant == PLANTED_NONLINEAR ? PC_SPARE : PC_N, PC_DEC, 1);
	copy(b, 0, 0, PC_LEMMA, PC_R, lemma_read);
	if (w->variant == PLANTED_NONLINEAR) {
		copy(b, 0, 1, PC_A, PC_A2, 1);
		copy(b, 0, 2, PC_B, PC_B2, 1);
		multiply(&w->block[3], 0, PC_A2, PC_B2, PC_R);
	} else {
		copy(b, 0, 1, PC_N, PC_R, w->variant == PLANTED_SPLIT ? 0.5 : 1);
	}
	if (w->variant == PLANTED_SPLIT) {
		attend(&w->block[1], 0, 0);
		copy(&w->block[1], 0, 1, PC_N, PC_R, 0.5);
	}
}

static void fill_unembedding(planted_weights *w)
{
	int read = w->variant == PLANTED_UNREAD ? PC_SPARE : PC_R;
	for (int k = 0; k < PLANTED_CHOICES; k++)
		for (int form = 0; form < 2; form++) {
			float *row = w->unembed[PT_CHOICE + 2 * k + form], sign = form == 0 ? 1 : -1;
			row[read] = sign * (float)(0.8 + 0.05 * k);
			if (w->variant == PLANTED_BIASED) row[PC_BIAS] = sign * (float)(5 / bias);
		}
}

void planted_fill(planted_weights *w, planted_variant variant, uint64_t seed)
{
	memset(w, 0, sizeof *w);
	w->variant = variant;
	w->shape = (sn_shape){ .n_layer = PLANTED_BLOCKS,
						   .n_head = PLANTED_HEADS,
						   .n_kv_head = PLANTED_HEADS,
						   .d_head = PLANTED_D_HEAD,
						   .d_model = PLANTED_D,
						   .d_mlp = PLANTED_MLP,
						   .d_vocab = PT_VOCAB,
						   .n_ctx = 64,
						   .norm_eps = 1e-5,
						   .rope_base = 1e12 };
	fill_embedding(w, seed);
	for (int l = 0; l < PLANTED_BLOCKS; l++) {
		fill_gains(w->block[l].attn_norm);
		fill_gains(w->block[l].mlp_norm);
	}
	fill_gains(w->final_norm);
	multiply(&w->block[0], 0, PC_A, PC_B, PC_N);
	multiply(&w->block[0], 2, PC_C, PC_E, PC_G);
	fill_readers(w, variant == PLANTED_ATTRACT ? log(7.0 / 3) : 0);
	fill_unembedding(w);
}
