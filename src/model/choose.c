/* From logits to a token: penalties, filters, the draw. */
#include "model/decode.h"

#include <math.h>
#include <stdlib.h>

static const uint64_t DRAW_KEY = 0x67656e6572617465; /* keeps these draws apart from others of the same seed */

double sn_decode_lse(const sn_decoder *k, const float *logits)
{
	float maximum = -INFINITY;
	double sum = 0;
	k->model->kernels->logsumexp(logits, k->V, &maximum, &sum);
	return maximum + log(sum);
}

/* ---- processors of every kind of search ---- */

/* Every token of the row so far, once: x / penalty where x > 0, x * penalty where it is not (Keskar et al. 2019). */
static void penalise(sn_decoder *k, const sn_draft *line)
{
	double penalty = k->d->repetition_penalty;
	if (penalty == 1) return;
	for (int32_t i = 0; i < line->n; i++) {
		int32_t id = line->token[i];
		if (id >= k->V || k->seen[id]) continue;
		k->seen[id] = 1;
		k->score[id] = k->score[id] < 0 ? k->score[id] * penalty : k->score[id] / penalty;
	}
	for (int32_t i = 0; i < line->n; i++)
		if (line->token[i] < k->V) k->seen[line->token[i]] = 0;
}

static void force(sn_decoder *k, int32_t id)
{
	for (int64_t i = 0; i < k->V; i++) k->score[i] = -INFINITY;
	k->score[id] = 0;
}

void sn_decode_process(sn_decoder *k, const sn_draft *line, const float *logits, double shift)
{
	const sn_decoding *d = k->d;
	for (int64_t i = 0; i < k->V; i++) k->score[i] = logits[i] - shift;
	penalise(k, line);
	for (int i = 0; i < d->n_suppress; i++) k->score[d->suppress[i]] = -INFINITY;
	if (d->forced_bos >= 0 && line->n == 1) force(k, d->forced_bos);
	if (d->forced_eos >= 0 && line->n == k->group[line->prompt].most - 1) force(k, d->forced_eos);
}

/* ---- drawing: filters over what is left, each of them by the probabilities among these ---- */

static int compare_scores(const void *a, const void *b)
{
	const sn_candidate *x = a, *y = b;
	if (x->score != y->score) return x->score < y->score ? -1 : 1;
	return (y->id > x->id) - (y->id < x->id);
}

static int64_t list_candidates(sn_decoder *k)
{
	int64_t n = 0;
	for (int64_t i = 0; i < k->V; i++)
		if (k->score[i] > -INFINITY)
			k->candidate[n++] = (sn_candidate){ .score = k->score[i] / k->d->temperature, .id = (int32_t)i };
	return n;
}

/* Returns the k-th largest score, 1 <= k <= n; k->score is scratch by now. */
static double kth_score(sn_decoder *k, int64_t n, int64_t kth)
{
	double *x = k->score;
	int64_t lo = 0, hi = n - 1, want = kth - 1;
	for (int64_t i = 0; i < n; i++) x[i] = k->candidate[i].score;
	while (lo < hi) {   /* Hoare's selection, largest first */
		double pivot = x[(lo + hi) / 2];
		int64_t i = lo, j = hi;
		while (i <= j) {
			while (x[i] > pivot) i++;
			while (x[j] < pivot) j--;
			if (i <= j) {
				double t = x[i];
				x[i++] = x[j];
				x[j--] = t;
			}
		}
		if (want <= j) hi = j;
		else if (want >= i) lo = i;
		else break;
	}
	return x[want];
}

/* Keeps the candidates whose score is at least so much; returns how many. */
static int64_t keep_scores(sn_candidate *c, int64_t n, double least)
{
	int64_t m = 0;
	for (int64_t i = 0; i < n; i++)
		if (c[i].score >= least) c[m++] = c[i];
	return m;
}

/* p of each candidate, not normed; returns their sum and the largest score. */
static double weigh(sn_candidate *c, int64_t n, double *maximum)
{
	double sum = 0;
	*maximum = -INFINITY;
	for (int64_t i = 0; i < n; i++) *maximum = SN_MAX(*maximum, c[i].score);
	for (int64_t i = 0; i < n; i++) sum += c[i].p = exp(c[i].score - *maximum);
	return sum;
}

/* Drops the improbable tail whose probabilities sum to at most 1 - top_p (Holtzman et al. 2020). What is less probable
 * than (1 - top_p) / n each is in it for certain, and need not be sorted. */
static int64_t keep_nucleus(sn_candidate *c, int64_t n, double top_p)
{
	double maximum, sum = weigh(c, n, &maximum), tail = 0, most = 1 - top_p;
	int64_t m = 0, first = 0;
	for (int64_t i = 0; i < n; i++) {
		if (c[i].p / sum * (double)n < most && c[i].score < maximum) tail += c[i].p / sum;
		else c[m++] = c[i];
	}
	qsort(c, (size_t)m, sizeof *c, compare_scores);
	for (; first < m - 1; first++) {
		tail += c[first].p / sum;
		if (tail > most) break;
	}
	for (int64_t i = first; i < m; i++) c[i - first] = c[i];
	return m - first;
}

/* A uniform number in [0, 1) for the token at a line's end, whatever else is computed. */
static double draw(const sn_decoder *k, const sn_draft *line)
{
	int64_t item = k->prompts->item ? k->prompts->item[line->prompt] : line->prompt;
	sn_rng rng = sn_rng_make(sn_ctx_seed(k->ctx), sn_rng_bits(DRAW_KEY, (uint64_t)item, (uint64_t)line->number));
	rng.counter = (uint64_t)line->n;
	return sn_rng_uniform(&rng);
}

static int32_t draw_token(sn_decoder *k, const sn_draft *line)
{
	const sn_decoding *d = k->d;
	sn_candidate *c = k->candidate;
	int64_t n = list_candidates(k);
	double maximum, sum;
	if (d->top_k > 0 && d->top_k < n) n = keep_scores(c, n, kth_score(k, n, d->top_k));
	if (d->top_p < 1) n = keep_nucleus(c, n, d->top_p);
	sum = weigh(c, n, &maximum);
	if (d->min_p > 0) {
		n = keep_scores(c, n, maximum + log(d->min_p));
		sum = weigh(c, n, &maximum);
	}
	double left = draw(k, line) * sum;
	for (int64_t i = 0; i < n - 1; i++) {
		left -= c[i].p;
		if (left < 0) return c[i].id;
	}
	return n ? c[n - 1].id : 0;
}

static int32_t best_token(const sn_decoder *k)
{
	int32_t best = 0;
	for (int64_t i = 1; i < k->V; i++)
		if (k->score[i] > k->score[best]) best = (int32_t)i;
	return best;
}

int32_t sn_decode_choose(sn_decoder *k, const sn_draft *line)
{
	return k->d->sample ? draw_token(k, line) : best_token(k);
}
