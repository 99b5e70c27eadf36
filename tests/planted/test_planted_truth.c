/* Do the planted models hold what they promise? Everything here is naive and in double: the reference forward pass, a
 * least-squares classifier for A, its projection for E_sub and X. No library code but memory and random draws. */
#include "common/test.h"
#include "planted/planted_ref.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { L = PLANTED_BLOCKS, D = PLANTED_D };

/* One variant's runs. */
typedef struct world {
	const sn_items *items;
	planted_weights w;
	ref_run *run; /* [items->n] */
} world;

/* A projection x -> u (v . x), and the mean of the rows it was fitted on. */
typedef struct fit {
	double u[D], v[D], mean[D];
	bool used;
} fit;
/* One for each boundary, role and block left out. */
typedef struct fits {
	fit at[L + 1][PLANTED_ROLES][PLANTED_FOLDS];
} fits;

static const double *vector(const ref_run *run, const sn_items *items, int64_t i, int l, int role)
{
	int pos = items->span[i * items->n_role + role][1] - 1;
	return pos < 0 ? NULL : run->x[l][pos];
}

/* Solves a x = b for symmetric positive a by elimination. */
static void solve(double a[D][D], const double *b, double *x)
{
	memcpy(x, b, D * sizeof *x);
	for (int i = 0; i < D; i++)
		for (int r = i + 1; r < D; r++) {
			double f = a[r][i] / a[i][i];
			for (int c = i; c < D; c++) a[r][c] -= f * a[i][c];
			x[r] -= f * x[i];
		}
	for (int i = D - 1; i >= 0; i--) {
		for (int c = i + 1; c < D; c++) x[i] -= a[i][c] * x[c];
		x[i] /= a[i][i];
	}
}

/* Rows with training lead-ins outside the block; ridge 1e-3. */
static void fit_one(const world *m, int l, int role, int fold, int label, fit *out)
{
	static double s[D][D];
	double xz[D] = { 0 }, norm = 0, n = 0;
	memset(s, 0, sizeof s);
	memset(out, 0, sizeof *out);
	for (int pass = 0; pass < 2; pass++)
		for (int64_t i = 0; i < m->items->n_probe; i++) {
			const double *x = vector(&m->run[i], m->items, i, l, role);
			if (!x || m->items->item[i].test_lead || m->items->item[i].fold == fold) continue;
			if (pass == 0) n++;
			for (int a = 0; a < D; a++) {
				if (pass == 0) {
					out->mean[a] += x[a];
					continue;
				}
				for (int b = 0; b < D; b++) s[a][b] += (x[a] - out->mean[a] / n) * (x[b] - out->mean[b] / n) / n;
				xz[a] += (x[a] - out->mean[a] / n) * m->items->z[i * m->items->n_label + label] / n;
			}
		}
	if (n == 0) return;
	for (int a = 0; a < D; a++) {
		s[a][a] += 1e-3;
		out->mean[a] /= n;
	}
	solve(s, xz, out->v);
	for (int a = 0; a < D; a++) norm += xz[a] * out->v[a];
	if (norm < 1e-12) return; /* nothing varies with the label */
	for (int a = 0; a < D; a++) out->u[a] = xz[a] / norm;
	out->used = true;
}

static double dot(const double *a, const double *b)
{
	double sum = 0;
	for (int i = 0; i < D; i++) sum += a[i] * b[i];
	return sum;
}

/* Held-out accuracy of the least-squares classifier: unseen lemmas, unseen lead-ins. */
static double accuracy(const world *m, const fits *f, int l, int role, int label)
{
	double right = 0, n = 0;
	for (int64_t i = 0; i < m->items->n_probe; i++) {
		const double *x = vector(&m->run[i], m->items, i, l, role);
		if (!x || !m->items->item[i].test_lead) continue;
		const fit *q = &f->at[l][role][m->items->item[i].fold];
		double score = dot(q->v, x) - dot(q->v, q->mean);
		right += !q->used ? 0.5 : score * m->items->z[i * m->items->n_label + label] > 0;
		n++;
	}
	return right / n;
}

/* ---- edits ---- */

typedef struct patch {
	int l, pos;
	const double *source, *mean;
	const fit *q;
} patch;

/* x <- source, or x <- x + u v.(target - x). */
static void apply(void *arg, int l, int n, double (*x)[D])
{
	const patch *p = arg;
	(void)n;
	if (l != p->l) return;
	double *at = x[p->pos], delta = 0;
	if (!p->q) {
		memcpy(at, p->source, D * sizeof *at);
		return;
	}
	const double *target = p->source ? p->source : p->mean;
	for (int i = 0; i < D; i++) delta += p->q->v[i] * (target[i] - at[i]);
	for (int i = 0; i < D; i++) at[i] += p->q->u[i] * delta;
}

static double edited(const world *m, int64_t item, const patch *p)
{
	ref_run run;
	ref_edit edit = { apply, (void *)(uintptr_t)p };
	ref_item(&m->w, m->items, item, &edit, &run);
	return ref_choice(&run, m->items);
}

/* Sums over frames, of which the mean of means is taken. */
typedef struct frame_mean {
	double sum[2], n[2];
} frame_mean;
static void put(frame_mean *f, int frame, double x)
{
	f->sum[frame] += x;
	f->n[frame]++;
}
static double get(const frame_mean *f)
{
	double sum = 0, n = 0;
	for (int k = 0; k < 2; k++)
		if (f->n[k] > 0) sum += f->sum[k] / f->n[k], n++;
	return sum / n;
}

/* What the table of the planted models is about. */
typedef struct truth {
	double d, accuracy, mismatch, positive; /* D, nats; share right, on mismatches; share of positive LD */
	double a[L + 1][PLANTED_ROLES], e[L + 1][PLANTED_ROLES], sub[L + 1][PLANTED_ROLES], x[L + 1][PLANTED_ROLES];
	double product; /* accuracy of sign(A2 B2) at the last token after block 2: what a probe that multiplies finds */
	double flip;    /* attractor pairs: what the flip does, nats */
} truth;

static double choice(const world *m, int64_t item) { return ref_choice(&m->run[item], m->items); }

static void behaviour(const world *m, truth *t)
{
	frame_mean d = { 0 }, right = { 0 }, mismatch = { 0 }, positive = { 0 }, flip = { 0 };
	for (int64_t p = 0; p < m->items->n_pair; p++) {
		int64_t b = m->items->pair[p].base;
		const sn_item *item = &m->items->item[b];
		double ld = choice(m, b), change = ld - choice(m, m->items->pair[p].source);
		if (m->items->pair[p].kind == SN_PAIR_ATTRACTOR) put(&flip, item->frame, item->attractor_n * change);
		if (m->items->pair[p].kind != SN_PAIR_MAIN) continue;
		put(&d, item->frame, item->n * change);
		put(&right, item->frame, item->n * ld > 0);
		put(&positive, item->frame, ld > 0);
		if (item->condition == 1) put(&mismatch, item->frame, item->n * ld > 0);
	}
	*t = (truth){ .d = get(&d),
				  .accuracy = get(&right),
				  .mismatch = get(&mismatch),
				  .positive = get(&positive),
				  .flip = get(&flip) };
}

/* Every fifth main pair, both directions; unit: nats to divide by, 0: the same pairs' own D. */
static void cell(const world *m, const fits *f, int l, int role, double unit, truth *t)
{
	frame_mean d = { 0 }, e = { 0 }, sub = { 0 }, s = { 0 }, erased = { 0 };
	for (int64_t p = 0; p < m->items->n_pair; p++) {
		int64_t b = m->items->pair[p].base, source = m->items->pair[p].source;
		int pos = m->items->span[b * PLANTED_ROLES + role][0];
		if (m->items->pair[p].kind != SN_PAIR_MAIN || p / 2 % 5 != 0 || pos < 0) continue;
		const sn_item *item = &m->items->item[b];
		const fit *q = &f->at[l][role][item->fold];
		const double *x = m->run[source].x[l][pos], ld = choice(m, b);
		put(&d, item->frame, item->n * (ld - choice(m, source)));
		put(&e, item->frame, item->n * (ld - edited(m, b, &(patch){ l, pos, x, NULL, NULL })));
		put(&sub, item->frame, item->n * (ld - edited(m, b, &(patch){ l, pos, x, NULL, q })));
		put(&s, item->frame, item->n * ld);
		put(&erased, item->frame, item->n * edited(m, b, &(patch){ l, pos, NULL, q->mean, q }));
	}
	if (unit == 0) unit = get(&d);
	t->e[l][role] = get(&e) / unit;
	t->sub[l][role] = get(&sub) / unit;
	t->x[l][role] = 1 - get(&erased) / get(&s);
}

/* Share of probe prefixes whose number is the sign of A2 B2 at the last token. */
static double product_accuracy(const world *m)
{
	double right = 0;
	for (int64_t i = 0; i < m->items->n_probe; i++) {
		const double *x = vector(&m->run[i], m->items, i, 3, PR_LAST);
		right += x[PC_A2] * x[PC_B2] * m->items->item[i].n > 0;
	}
	return right / (double)m->items->n_probe;
}

static void print_truth(const char *name, const truth *t)
{
	if (!getenv("SN_VERBOSE")) return;
	print_message("%s: D %.3f accuracy %.3f mismatch %.3f positive %.3f flip %.3f\n", name, t->d, t->accuracy,
				  t->mismatch, t->positive, t->flip / t->d);
	for (int role = 0; role < PLANTED_ROLES; role++)
		for (int l = 0; l <= L; l++)
			print_message("  role %d l %d  A %6.3f  E %6.3f  E_sub %6.3f  X %6.3f\n", role, l, t->a[l][role],
						  t->e[l][role], t->sub[l][role], t->x[l][role]);
}

static void measure(const sn_items *items, planted_variant variant, uint64_t seed, double unit, truth *t)
{
	static fits f;
	static world m;
	m.items = items;
	planted_fill(&m.w, variant, seed);
	m.run = calloc((size_t)items->n, sizeof *m.run);
	assert_non_null(m.run);
	for (int64_t i = 0; i < items->n; i++) ref_item(&m.w, items, i, NULL, &m.run[i]);
	behaviour(&m, t);
	t->product = product_accuracy(&m);
	for (int l = 0; l <= L; l++)
		for (int role = 0; role < PLANTED_ROLES; role++) {
			for (int fold = 0; fold < PLANTED_FOLDS; fold++) fit_one(&m, l, role, fold, 0, &f.at[l][role][fold]);
			t->a[l][role] = accuracy(&m, &f, l, role, 0);
			cell(&m, &f, l, role, unit, t);
		}
	free(m.run);
	print_truth(planted_name[variant], t);
}

/* ---- the table ---- */

static sn_arena *arena;
static sn_items number, idle;

static int open_items(void **state)
{
	if (test_open(state) != 0) return -1;
	return sn_arena_open(&arena, *state) != SN_OK || planted_items(&number, arena, PLANTED_NUMBER) != SN_OK ||
		   planted_items(&idle, arena, PLANTED_IDLE) != SN_OK;
}

static int close_items(void **state)
{
	sn_arena_close(arena);
	return test_close(state);
}

static void near(double x, double want, double tolerance, const char *what, int l)
{
	if (fabs(x - want) <= tolerance) return;
	print_error("%s at boundary %d: %g, expected %g within %g\n", what, l, x, want, tolerance);
	fail();
}

/* Expected values at boundaries 0 .. 4 of one role; A above half is only bounded below: amplitudes of 0.05 drown in the
 * noise. */
typedef struct expected {
	double a[L + 1], e[L + 1], sub[L + 1], x[L + 1];
} expected;

static void check(const truth *t, int role, const expected *want)
{
	for (int l = 0; l <= L; l++) {
		if (want->a[l] == 1)
			assert_true(t->a[l][role] > 0.9);
		else
			near(t->a[l][role], want->a[l], 0.1, "A", l);
		near(t->e[l][role], want->e[l], 0.02, "E", l);
		near(t->sub[l][role], want->sub[l], 0.05, "E_sub", l);
		near(t->x[l][role], want->x[l], 0.05, "X", l);
	}
}

static const expected silent = { .a = { 0.5, 0.5, 0.5, 0.5, 0.5 } };
static const expected subject = { .a = { 0.5, 1, 1, 1, 1 }, .e = { 1, 1, 1 }, .sub = { 0, 1, 1 }, .x = { 0, 1, 1 } };
static const expected last = { { 0.5, 0.5, 0.5, 1, 1 }, { 0, 0, 0, 1, 1 }, { 0, 0, 0, 1, 1 }, { 0, 0, 0, 1, 1 } };

static void test_base(void **state)
{
	truth t, g;
	(void)state;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		measure(&number, PLANTED_BASE, seed, 0, &t);
		assert_true(t.d > 3 && t.accuracy > 0.9 && t.accuracy < 1);
		check(&t, PR_SUBJECT, &subject);
		check(&t, PR_LAST, &last);
		check(&t, PR_ATTRACTOR, &silent);
		near(t.flip / t.d, 0, 0.01, "attractor flip", 0);
	}
	measure(&idle, PLANTED_BASE, 2, t.d, &g);
	for (int role = 0; role < PLANTED_ROLES; role++)
		for (int l = 0; l <= L; l++) {
			near(g.e[l][role], 0, 0.02, "E of g", l);
			near(g.sub[l][role], 0, 0.02, "E_sub of g", l);
			near(g.a[l][role], t.a[l][role] > 0.9 ? 1 : 0.5, 0.1, "A of g", l);
		}
}

static void test_split(void **state)
{
	static const expected s = { { 0.5, 1, 1, 1, 1 }, { 1, 1, 0.5 }, { 0, 1, 0.5 }, { 0, 1, 0.5 } };
	static const expected z = { { 0.5, 0.5, 1, 1, 1 }, { 0, 0, 0.5, 1, 1 }, { 0, 0, 0.5, 1, 1 }, { 0, 0, 0.5, 1, 1 } };
	truth t;
	(void)state;
	measure(&number, PLANTED_SPLIT, 1, 0, &t);
	check(&t, PR_SUBJECT, &s);
	check(&t, PR_LAST, &z);
	check(&t, PR_ATTRACTOR, &silent);
}

static void test_nonlinear(void **state)
{
	static const expected s = { { 0.5, 1, 1, 1, 1 }, { 1, 1, 1 }, { 0 }, { 0 } };
	static const expected z = { { 0.5, 0.5, 0.5, 0.5, 1 }, { 0, 0, 0, 1, 1 }, { 0, 0, 0, 0, 1 }, { 0, 0, 0, 0, 1 } };
	truth t;
	(void)state;
	measure(&number, PLANTED_NONLINEAR, 1, 0, &t);
	check(&t, PR_SUBJECT, &s);
	check(&t, PR_LAST, &z);
	assert_true(t.product > 0.9);
}

static void test_attract(void **state)
{
	truth t;
	(void)state;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		measure(&number, PLANTED_ATTRACT, seed, 0, &t);
		near(t.flip / t.d, 0.3 / 0.7, 0.02, "attractor flip", 0);
		assert_true(t.mismatch == 1);
		check(&t, PR_SUBJECT, &subject);
		check(&t, PR_LAST, &last);
	}
}

static void test_biased(void **state)
{
	truth t;
	(void)state;
	measure(&number, PLANTED_BIASED, 1, 0, &t);
	assert_true(t.accuracy == 0.5 && t.positive == 1);
	check(&t, PR_SUBJECT, &subject);
	check(&t, PR_LAST, &last);
}

static void test_unread(void **state)
{
	truth t;
	(void)state;
	measure(&number, PLANTED_UNREAD, 1, 0, &t);
	assert_true(fabs(t.d) < 0.01 && t.a[1][PR_SUBJECT] > 0.9 && t.a[3][PR_LAST] > 0.9);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_base),      cmocka_unit_test(test_split),
										cmocka_unit_test(test_nonlinear), cmocka_unit_test(test_attract),
										cmocka_unit_test(test_biased),    cmocka_unit_test(test_unread) };
	return cmocka_run_group_tests(tests, open_items, close_items);
}
