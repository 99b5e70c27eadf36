/* Cutting a batch into waves: greedily, each as large as tokens and memory allow. */
#include "model/waves.h"

#include <string.h>

typedef struct cutter {
	const sn_compiled *c;
	sn_waves *out;
	int64_t taken, most_tokens, most_bytes;   /* beside the steps; limits of a wave */
	sn_cost sum;                              /* of the wave being filled, which has whole families only */
	int32_t first;                            /* its first row in order */
	sn_arena *scratch;                        /* of the family being cut */
} cutter;

static const sn_mark empty;

enum { MOST_GRADIENT_TOKENS = 1024 };   /* what a block computes is saved for its way down */

static void add_atom(const cutter *k, sn_cost *sum, int32_t atom)
{
	const sn_order *o = &k->out->order;
	for (int32_t i = o->atom[atom]; i < o->atom[atom + 1]; i++) sn_cost_add(k->c, sum, o->row[i]);
}

/* Families are not cut where a pass goes back through them, or where the plan wants all rows in one. */
static bool uncut(const cutter *k) { return k->c->gradient || k->c->plan->whole; }

static bool fits(const cutter *k, const sn_cost *sum, int64_t held)
{
	return k->taken + held + sn_cost_bytes(k->c, sum) <= k->most_bytes;
}

static sn_status push_wave(cutter *k, sn_wave wave)
{
	sn_waves *w = k->out;
	if (w->n == w->room) {
		int32_t room = SN_MAX(2 * w->room, 16);
		sn_wave *old = w->wave;
		SN_NEW(w->wave, k->c->arena, sn_wave, room);
		if (w->n) memcpy(w->wave, old, (size_t)w->n * sizeof *old);
		w->room = room;
	}
	for (int32_t i = 0; i < wave.n; i++) w->part[w->order.row[wave.first + i]] = w->n;
	w->wave[w->n++] = wave;
	return SN_OK;
}

/* Closes the wave of whole families before the row whose index in order is end. */
static sn_status close_wave(cutter *k, int32_t end)
{
	sn_cost sum = k->sum;
	int32_t first = k->first;
	k->sum = (sn_cost){ 0 };
	k->first = end;
	if (end == first) return SN_OK;
	int64_t bytes = sn_cost_bytes(k->c, &sum), saved = bytes + sn_cost_saving(k->c, &sum);
	bool twice = k->c->plan->lean || k->taken + saved > k->most_bytes;
	return push_wave(k, (sn_wave){ .first = first, .n = end - first, .tokens = sum.tokens,
	                               .bytes = twice ? bytes : saved, .twice = twice });
}

/* ---- a family that is too large for one wave ---- */

typedef struct family {
	int32_t atom, end;    /* its atoms */
	int32_t row, n;       /* its rows in order */
	sn_held *held;        /* as if every atom were a wave of its own: no less than what any cut leaves */
	int32_t *ends, *next; /* [n] rows (index in order, less row) whose last reader is at an index, as lists; -1: end */
} family;

static sn_status open_family(const cutter *k, int32_t number, family *f)
{
	const sn_order *o = &k->out->order;
	*f = (family){ .atom = o->family[number], .end = o->family[number + 1] };
	f->row = o->atom[f->atom];
	f->n = o->atom[f->end] - f->row;
	SN_NEW(f->ends, k->scratch, int32_t, f->n);
	SN_NEW(f->next, k->scratch, int32_t, f->n);
	for (int32_t a = f->atom; a < f->end; a++)
		for (int32_t i = o->atom[a]; i < o->atom[a + 1]; i++) k->out->part[o->row[i]] = a;
	SN_TRY(sn_held_plan(&f->held, k->c, o, f->row, f->n, k->out->part, k->scratch));
	for (int32_t i = 0; i < f->n; i++) f->ends[i] = -1;
	for (int32_t i = 0; i < f->n; i++) {
		int32_t last;
		sn_held_bytes(f->held, o->row[f->row + i], &last);
		if (last < 0) continue;
		f->next[i] = f->ends[last - f->row];
		f->ends[last - f->row] = i;
	}
	return SN_OK;
}

/* What an atom's rows leave, less what nobody reads behind them any more of rows from the index since on. */
static int64_t left_by(const cutter *k, const family *f, int32_t atom, int32_t since, int64_t *ended)
{
	const sn_order *o = &k->out->order;
	int64_t more = 0;
	for (int32_t i = o->atom[atom]; i < o->atom[atom + 1]; i++) {
		int32_t last;
		more += sn_held_bytes(f->held, o->row[i], &last);
		for (int32_t j = f->ends[i - f->row]; j >= 0; j = f->next[j]) {
			int64_t bytes = sn_held_bytes(f->held, o->row[f->row + j], &last);
			if (f->row + j >= since) more -= bytes;
			else *ended += bytes;
		}
	}
	return more;
}

/* The longest wave from an atom on that fits; 0 atoms where none does. held: bytes of earlier rows that it or later
 * ones read; then those that are still held behind it. */
static int32_t longest_wave(const cutter *k, const family *f, int32_t atom, int64_t *held, sn_wave *wave)
{
	const sn_order *o = &k->out->order;
	sn_cost now = { 0 };
	int64_t own = 0, ended = 0, after = *held;
	int32_t best = 0;
	*wave = (sn_wave){ .first = o->atom[atom], .kin = f->row, .n_kin = f->n };
	for (int32_t a = atom; a < f->end; a++) {
		add_atom(k, &now, a);
		own += left_by(k, f, a, o->atom[atom], &ended);
		if (a > atom && (now.tokens > k->most_tokens || !fits(k, &now, *held))) break;
		if (!fits(k, &now, *held + own)) continue;
		best = a + 1 - atom;
		wave->n = o->atom[a + 1] - wave->first;
		wave->tokens = now.tokens;
		wave->bytes = sn_cost_bytes(k->c, &now);
		wave->held = *held + own;
		after = *held - ended + own;
	}
	*held = after;
	return best;
}

/* The smallest budget with which a family can be cut, every atom alone; or that of the family whole, if that is
 * less. */
static sn_status smallest_of_family(const cutter *k, int32_t number, int64_t *smallest)
{
	family f;
	sn_cost all = { 0 };
	SN_TRY(open_family(k, number, &f));
	int64_t held = 0, most = 0;
	for (int32_t a = f.atom; a < f.end; a++) {
		sn_cost one = { 0 };
		int64_t ended = 0, own = left_by(k, &f, a, k->out->order.atom[a], &ended);
		add_atom(k, &one, a);
		add_atom(k, &all, a);
		most = SN_MAX(most, held + own + sn_cost_bytes(k->c, &one));
		held += own - ended;
	}
	int64_t whole = sn_cost_bytes(k->c, &all);
	if (uncut(k) || (all.tokens <= k->most_tokens && whole < most)) most = whole;
	*smallest = SN_MAX(*smallest, k->taken + most);
	sn_arena_reset(k->scratch, empty);
	return SN_OK;
}

static sn_status too_small(const cutter *k)
{
	int64_t smallest = 0, mib = 1 << 20;
	sn_arena_reset(k->scratch, empty);
	for (int32_t i = 0; i < k->out->order.n_family; i++) SN_TRY(smallest_of_family(k, i, &smallest));
	return sn_fail(k->c->ctx, SN_ENOMEM,
	               "this run takes at least %lld MiB (%lld of them weights and what is kept); the memory budget "
	               "is %lld MiB: give --memory %lldM, shorter rows or less to read at once",
	               (long long)((smallest + mib - 1) / mib), (long long)(k->taken / mib),
	               (long long)(k->most_bytes / mib), (long long)((smallest + mib - 1) / mib));
}

static sn_status cut_family(cutter *k, int32_t number)
{
	family f;
	SN_TRY(open_family(k, number, &f));
	int64_t held = 0;
	for (int32_t a = f.atom, n; a < f.end; a += n) {
		sn_wave wave;
		n = longest_wave(k, &f, a, &held, &wave);
		if (n == 0) return too_small(k);
		SN_TRY(push_wave(k, wave));
	}
	k->first = f.row + f.n;
	sn_arena_reset(k->scratch, empty);
	return SN_OK;
}

/* ---- all of them ---- */

/* Joins a family to the wave being filled, or begins another, or cuts it. */
static sn_status place_family(cutter *k, int32_t number)
{
	const sn_order *o = &k->out->order;
	sn_cost with = k->sum, alone = { 0 };
	for (int32_t a = o->family[number]; a < o->family[number + 1]; a++) {
		add_atom(k, &with, a);
		add_atom(k, &alone, a);
	}
	if (k->sum.tokens == 0 || (with.tokens <= k->most_tokens && fits(k, &with, 0))) alone = with;
	else SN_TRY(close_wave(k, o->atom[o->family[number]]));
	bool single = uncut(k) || o->family[number + 1] == o->family[number] + 1;   /* not cut but for memory */
	if (fits(k, &alone, 0) && (alone.tokens <= k->most_tokens || single)) return k->sum = alone, SN_OK;
	SN_TRY(close_wave(k, o->atom[o->family[number]]));
	if (uncut(k)) return too_small(k);
	return cut_family(k, number);
}

sn_status sn_waves_cut(const sn_compiled *c, int64_t taken, sn_waves *out)
{
	cutter k = { .c = c, .out = out, .taken = taken, .most_tokens = sn_ctx_tokens_per_step(c->ctx),
	             .most_bytes = sn_ctx_memory(c->ctx) };
	*out = (sn_waves){ 0 };
	if (c->gradient) k.most_tokens = SN_MIN(k.most_tokens, (int64_t)MOST_GRADIENT_TOKENS);
	SN_TRY(sn_order_find(c, &out->order));
	SN_NEW(out->part, c->arena, int32_t, c->batch->n);
	SN_TRY(sn_arena_open(&k.scratch, c->ctx));
	sn_status status = SN_OK;
	for (int32_t i = 0; i < out->order.n_family && status == SN_OK; i++) status = place_family(&k, i);
	sn_arena_close(k.scratch);
	return status == SN_OK ? close_wave(&k, c->batch->n) : status;
}
