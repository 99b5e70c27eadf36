#include "planted/planted_ref.h"

#include <math.h>
#include <string.h>

static void norm(const double *x, const float *gain, double eps, double *out)
{
	double mean = 0;
	for (int i = 0; i < PLANTED_D; i++) mean += x[i] * x[i] / PLANTED_D;
	for (int i = 0; i < PLANTED_D; i++) out[i] = x[i] / sqrt(mean + eps) * gain[i];
}

static void product(int rows, const float (*weight)[PLANTED_D], const double *x, double *out)
{
	for (int r = 0; r < rows; r++) {
		out[r] = 0;
		for (int i = 0; i < PLANTED_D; i++) out[r] += weight[r][i] * x[i];
	}
}

/* Turns pairs (i, i + d_head / 2) of every head by position * base^(-2 i / d_head). */
static void rotate(double *x, int position, double base)
{
	for (int head = 0; head < PLANTED_HEADS; head++)
		for (int i = 0; i < PLANTED_D_HEAD / 2; i++) {
			double angle = position * pow(base, -2.0 * i / PLANTED_D_HEAD), *p = x + head * PLANTED_D_HEAD + i;
			double u = p[0], v = p[PLANTED_D_HEAD / 2];
			p[0] = u * cos(angle) - v * sin(angle);
			p[PLANTED_D_HEAD / 2] = v * cos(angle) + u * sin(angle);
		}
}

typedef double vectors[REF_MAX_TOKENS][PLANTED_D];

static void attend_one(int head, int to, vectors q, vectors k, vectors v, double *z)
{
	double score[REF_MAX_TOKENS], max = -INFINITY, sum = 0;
	int h0 = head * PLANTED_D_HEAD;
	for (int from = 0; from <= to; from++) {
		score[from] = 0;
		for (int i = h0; i < h0 + PLANTED_D_HEAD; i++) score[from] += q[to][i] * k[from][i] / sqrt(PLANTED_D_HEAD);
		max = fmax(max, score[from]);
	}
	for (int from = 0; from <= to; from++) sum += exp(score[from] - max);
	for (int i = h0; i < h0 + PLANTED_D_HEAD; i++) {
		z[i] = 0;
		for (int from = 0; from <= to; from++) z[i] += exp(score[from] - max) / sum * v[from][i];
	}
}

static void attention(const planted_weights *w, const planted_block *b, int n, vectors x)
{
	vectors q, k, v;
	for (int t = 0; t < n; t++) {
		double h[PLANTED_D];
		norm(x[t], b->attn_norm, w->shape.norm_eps, h);
		product(PLANTED_D, b->q, h, q[t]);
		product(PLANTED_D, b->k, h, k[t]);
		product(PLANTED_D, b->v, h, v[t]);
		rotate(q[t], t, w->shape.rope_base);
		rotate(k[t], t, w->shape.rope_base);
	}
	for (int t = 0; t < n; t++) {
		double z[PLANTED_D], out[PLANTED_D];
		for (int head = 0; head < PLANTED_HEADS; head++) attend_one(head, t, q, k, v, z);
		product(PLANTED_D, b->o, z, out);
		for (int i = 0; i < PLANTED_D; i++) x[t][i] += out[i];
	}
}

static void mlp(const planted_weights *w, const planted_block *b, double *x)
{
	double h[PLANTED_D], gate[PLANTED_MLP], up[PLANTED_MLP];
	norm(x, b->mlp_norm, w->shape.norm_eps, h);
	product(PLANTED_MLP, b->gate, h, gate);
	product(PLANTED_MLP, b->up, h, up);
	for (int i = 0; i < PLANTED_D; i++)
		for (int m = 0; m < PLANTED_MLP; m++) x[i] += b->down[i][m] * gate[m] / (1 + exp(-gate[m])) * up[m];
}

static void boundary(int l, int n, vectors x, const ref_edit *edit, ref_run *out)
{
	if (edit) edit->at(edit->arg, l, n, x);
	memcpy(out->x[l], x, (size_t)n * sizeof *x);
}

void ref_forward(const planted_weights *w, const int32_t *token, int n, const ref_edit *edit, ref_run *out)
{
	vectors x;
	SN_ASSERT(n > 0 && n <= REF_MAX_TOKENS);
	out->n = n;
	for (int t = 0; t < n; t++)
		for (int i = 0; i < PLANTED_D; i++) x[t][i] = w->embed[token[t]][i];
	for (int l = 0; l < PLANTED_BLOCKS; l++) {
		boundary(l, n, x, edit, out);
		attention(w, &w->block[l], n, x);
		for (int t = 0; t < n; t++) mlp(w, &w->block[l], x[t]);
	}
	boundary(PLANTED_BLOCKS, n, x, edit, out);
	double h[PLANTED_D];
	norm(x[n - 1], w->final_norm, w->shape.norm_eps, h);
	product(PT_VOCAB, w->unembed, h, out->logit);
}

void ref_item(const planted_weights *w, const sn_items *items, int64_t i, const ref_edit *edit, ref_run *out)
{
	ref_forward(w, items->token + items->start[i], (int)(items->start[i + 1] - items->start[i]), edit, out);
}

double ref_choice(const ref_run *run, const sn_items *items)
{
	double sum = 0;
	for (int k = 0; k < items->n_choice; k++)
		sum += run->logit[items->choice[k].form[0]] - run->logit[items->choice[k].form[1]];
	return sum / items->n_choice;
}
