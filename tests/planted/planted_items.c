/* The planted models' items: token ids made in memory. */
#include "planted/planted.h"

#include <string.h>

enum {
	N_PROBE = 2 * 16 * PLANTED_LEMMAS,
	N_MAIN = 8 * PLANTED_LEMMAS,
	N_FLIP = 4 * PLANTED_LEMMAS,
	N_SWAP = 4 * PLANTED_LEMMAS,
	N_PAIR = N_MAIN + N_FLIP + N_SWAP,
	N_ITEM = N_PROBE + N_PAIR,
	MAX_TOKENS = 7
};

/* What an item is made of. Context 0, 1: attractor singular, plural; 2, 3: a filler in its place. */
typedef struct recipe {
	int lemma, n, g, context, turn; /* turn rotates lead-ins and neutral words */
	int attractor, attractor_n, attractor_g;
	bool test_lead;
} recipe;

typedef struct maker {
	sn_arena *arena;
	planted_feature controller;
	bool swap;
	sn_item *item;
	int32_t *token, (*span)[2];
	int64_t (*bytes)[2], *start, n;
	int8_t *z;
	sn_pair *pair;
	int64_t n_pair;
} maker;

/* Lemmas 4k .. 4k + 3 share an amplitude and hold all four (A, C): blocks of whole quadruples are balanced in both. */
static int fold_of(int lemma) { return lemma / 4 % PLANTED_FOLDS; }

/* Another lemma of the same block, step further on. */
static int neighbour(int lemma, int step)
{
	int other = lemma;
	while (step > 0) {
		other = (other + 1) % PLANTED_LEMMAS;
		if (fold_of(other) == fold_of(lemma) && other != lemma) step--;
	}
	return other;
}

static int noun(int lemma, int n, int g) { return 4 * lemma + (n > 0) + 2 * (g > 0); }

/* The attractor is of the subject's block; its idle feature takes turns, independent of everything else. */
static recipe start_recipe(int lemma, int context, int turn)
{
	return (recipe){ .lemma = lemma,
					 .n = 1,
					 .g = 1,
					 .context = context,
					 .turn = turn,
					 .attractor = context < 2 ? neighbour(lemma, 1 + turn % 3) : -1,
					 .attractor_n = context & 1 ? 1 : -1,
					 .attractor_g = turn & 1 ? 1 : -1 };
}

static int sign(int bit) { return bit & 1 ? 1 : -1; }

/* Lead-ins 0 .. 7 are for training, 8 .. 15 for tests; PT_TEST_LEAD follows PT_TRAIN_LEAD. */
static int lead_of(const recipe *r)
{
	return (5 * r->turn + 3 * r->context) % PLANTED_LEADS + (r->test_lead ? PLANTED_LEADS : 0);
}

static int write_tokens(const recipe *r, int32_t *t)
{
	int n = 0;
	t[n++] = PT_FIRST;
	t[n++] = PT_TRAIN_LEAD + lead_of(r);
	t[n++] = PT_SUBJECT + noun(r->lemma, r->n, r->g);
	if (r->context < 2) {
		t[n++] = PT_ATTRACTOR + noun(r->attractor, r->attractor_n, r->attractor_g);
	} else {
		t[n++] = PT_FILLER + (r->turn + r->context) % PLANTED_FILLERS;
		t[n++] = PT_WORD + (r->turn / 4 + 1) % PLANTED_FILLERS;
	}
	t[n++] = PT_WORD + r->turn / 2 % PLANTED_FILLERS;
	t[n++] = PT_LAST + (r->turn / 4 + r->context) % PLANTED_FILLERS;
	return n;
}

static const char *write_text(sn_arena *arena, const recipe *r)
{
	const char *s = r->n > 0 ? "pl" : "sg", *a = r->attractor_n > 0 ? "pl" : "sg";
	if (r->context >= 2)
		return sn_arena_format(arena, "lead%d noun%d.%s filler word word last", lead_of(r), r->lemma, s);
	return sn_arena_format(arena, "lead%d noun%d.%s noun%d.%s word last", lead_of(r), r->lemma, s, r->attractor, a);
}

/* Words stand one space apart, and token 0 is none of them. */
static void find_bytes(const char *text, const int32_t span[2], int64_t bytes[2])
{
	const char *word = text, *end;
	for (int i = 1; i < span[0]; i++) word = strchr(word, ' ') + 1;
	end = strchr(word, ' ');
	bytes[0] = span[0] < 0 ? -1 : word - text;
	bytes[1] = span[0] < 0 ? -1 : end ? end - text : (int64_t)strlen(text);
}

static sn_status add_item(maker *m, const recipe *r, int64_t *out)
{
	int64_t i = m->n++;
	int feature = m->controller == PLANTED_NUMBER ? r->n : r->g, other = m->controller == PLANTED_NUMBER ? r->g : r->n;
	bool attracted = r->context < 2;
	int attractor = !attracted ? 0 : m->controller == PLANTED_NUMBER ? r->attractor_n : r->attractor_g;
	int length = write_tokens(r, m->token + m->start[i]);
	m->start[i + 1] = m->start[i] + length;
	m->item[i] = (sn_item){ .text = write_text(m->arena, r),
							.frame = attracted ? 0 : 1,
							.condition = !attracted             ? -1
										 : attractor == feature ? 0
																: 1,
							.n = (int8_t)feature,
							.attractor_n = (int8_t)attractor,
							.lemma = r->lemma,
							.attractor = r->attractor,
							.form = noun(r->lemma, r->n, r->g),
							.group = r->lemma % 4,
							.frequency = -1,
							.fold = fold_of(r->lemma),
							.lead = lead_of(r),
							.test_lead = r->test_lead,
							.twin = -1 };
	if (!m->item[i].text) return SN_ENOMEM;
	int32_t(*span)[2] = m->span + i * PLANTED_ROLES;
	span[PR_SUBJECT][0] = 2, span[PR_SUBJECT][1] = 3;
	span[PR_ATTRACTOR][0] = attracted ? 3 : -1, span[PR_ATTRACTOR][1] = attracted ? 4 : -1;
	span[PR_LAST][0] = length - 1, span[PR_LAST][1] = length;
	m->z[2 * i] = (int8_t)feature;
	m->z[2 * i + 1] = (int8_t)other;
	for (int role = 0; role < PLANTED_ROLES; role++)
		find_bytes(m->item[i].text, span[role], m->bytes[i * PLANTED_ROLES + role]);
	*out = i;
	return SN_OK;
}

static sn_status add_probes(maker *m)
{
	for (int lemma = 0; lemma < PLANTED_LEMMAS; lemma++)
		for (int cell = 0; cell < 16; cell++) {
			recipe r = start_recipe(lemma, cell >> 2, lemma);
			int64_t twin[2];
			r.n = sign(cell);
			r.g = sign(cell >> 1);
			SN_TRY(add_item(m, &r, &twin[0]));
			r.test_lead = true;
			SN_TRY(add_item(m, &r, &twin[1]));
			m->item[twin[0]].twin = twin[1];
			m->item[twin[1]].twin = twin[0];
		}
	return SN_OK;
}

static sn_status add_pair(maker *m, sn_pair_kind kind, recipe a, recipe b)
{
	int64_t i, j;
	a.test_lead = b.test_lead = true;
	SN_TRY(add_item(m, &a, &i));
	SN_TRY(add_item(m, &b, &j));
	m->pair[m->n_pair++] = (sn_pair){ i, j, kind };
	m->pair[m->n_pair++] = (sn_pair){ j, i, kind };
	return SN_OK;
}

/* Flips the controller's feature in every lemma and context; the other feature takes turns. */
static sn_status add_main(maker *m)
{
	for (int lemma = 0; lemma < PLANTED_LEMMAS; lemma++)
		for (int context = 0; context < 4; context++) {
			recipe r = start_recipe(lemma, context, lemma + 8), s;
			r.n = r.g = sign(lemma / 4 + context / 2);
			if (m->swap && r.attractor >= 0) r.attractor = neighbour(lemma, 2);
			s = r;
			if (m->swap) s.lemma = neighbour(lemma, 1);
			if (m->controller == PLANTED_NUMBER)
				r.n = 1, s.n = -1;
			else
				r.g = 1, s.g = -1;
			SN_TRY(add_pair(m, SN_PAIR_MAIN, r, s));
		}
	return SN_OK;
}

static sn_status add_attractor(maker *m)
{
	for (int lemma = 0; lemma < PLANTED_LEMMAS; lemma++)
		for (int k = 0; k < 2; k++) {
			recipe r = start_recipe(lemma, 0, lemma + 16), s;
			r.n = sign(k);
			r.g = sign(lemma / 4);
			s = r;
			if (m->controller == PLANTED_NUMBER)
				r.attractor_n = 1, s.attractor_n = -1;
			else
				r.attractor_g = 1, s.attractor_g = -1;
			SN_TRY(add_pair(m, SN_PAIR_ATTRACTOR, r, s));
		}
	return SN_OK;
}

/* Swaps the subject's lemma within its block, once with an attractor (of a third lemma) and once without. */
static sn_status add_placebo(maker *m)
{
	for (int lemma = 0; lemma < PLANTED_LEMMAS; lemma++)
		for (int k = 0; k < 2; k++) {
			recipe r = start_recipe(lemma, 3 * k, lemma + 24), s;
			r.n = sign(lemma / 4 + k);
			r.g = sign(lemma);
			if (r.attractor >= 0) r.attractor = neighbour(lemma, 2);
			s = r;
			s.lemma = neighbour(lemma, 1);
			SN_TRY(add_pair(m, SN_PAIR_PLACEBO, r, s));
		}
	return SN_OK;
}

static sn_status add_names(sn_items *out, sn_arena *arena)
{
	static const char *const role[] = { "subject", "attractor", "last" }, *const frame[] = { "attractor", "filler" };
	static const char *const condition[] = { "match", "mismatch" }, *const group[] = { "A-C-", "A+C-", "A-C+", "A+C+" };
	const char **lemma, **form, **lead;
	SN_NEW(lemma, arena, const char *, PLANTED_LEMMAS);
	SN_NEW(form, arena, const char *, 4 * PLANTED_LEMMAS);
	for (int i = 0; i < PLANTED_LEMMAS; i++)
		if (!(lemma[i] = sn_arena_format(arena, "noun%d", i))) return SN_ENOMEM;
	for (int i = 0; i < 4 * PLANTED_LEMMAS; i++)
		if (!(form[i] = sn_arena_format(arena, "noun%d.%s.%c", i / 4, i & 1 ? "pl" : "sg", i & 2 ? 'x' : 'y')))
			return SN_ENOMEM;
	SN_NEW(lead, arena, const char *, 2 * PLANTED_LEADS);
	for (int i = 0; i < 2 * PLANTED_LEADS; i++)
		if (!(lead[i] = sn_arena_format(arena, "lead%d", i))) return SN_ENOMEM;
	out->n_lead = 2 * PLANTED_LEADS, out->lead = lead;
	out->n_role = PLANTED_ROLES, out->role = role;
	out->n_frame = 2, out->frame = frame;
	out->n_condition = 2, out->condition = condition;
	out->n_group = 4, out->group = group;
	out->n_lemma = PLANTED_LEMMAS, out->lemma = lemma;
	out->n_form = 4 * PLANTED_LEMMAS, out->form = form;
	out->n_fold = PLANTED_FOLDS;
	return SN_OK;
}

static sn_status add_choices(sn_items *out, sn_arena *arena)
{
	sn_choice *choice;
	SN_NEW(choice, arena, sn_choice, PLANTED_CHOICES);
	for (int k = 0; k < PLANTED_CHOICES; k++)
		for (int form = 0; form < 2; form++) {
			choice[k].form[form] = PT_CHOICE + 2 * k + form;
			choice[k].text[form] = sn_arena_format(arena, "verb%d.%s", k, form == 0 ? "pl" : "sg");
			if (!choice[k].text[form]) return SN_ENOMEM;
		}
	out->n_choice = PLANTED_CHOICES;
	out->n_choice_set = 1;
	out->choice = choice;
	return SN_OK;
}

static sn_status open_maker(maker *m, sn_arena *arena, planted_feature controller)
{
	*m = (maker){ .arena = arena, .controller = controller };
	SN_NEW(m->item, arena, sn_item, N_ITEM);
	SN_NEW(m->token, arena, int32_t, (N_ITEM)*MAX_TOKENS);
	SN_NEW(m->start, arena, int64_t, N_ITEM + 1);
	m->span = sn_arena_take(arena, sn_size3(sizeof *m->span, N_ITEM, PLANTED_ROLES));
	m->bytes = sn_arena_take(arena, sn_size3(sizeof *m->bytes, N_ITEM, PLANTED_ROLES));
	if (!m->span || !m->bytes) return SN_ENOMEM;
	SN_NEW(m->z, arena, int8_t, 2 * (N_ITEM));
	SN_NEW(m->pair, arena, sn_pair, N_PAIR);
	return SN_OK;
}

sn_status planted_items(sn_items *out, sn_arena *arena, planted_feature controller)
{
	static const char *const number[] = { "number", "idle" }, *const idle[] = { "idle", "number" };
	static const char *number_value[][2] = { { "pl", "sg" }, { "x", "y" } },
					  *idle_value[][2] = { { "x", "y" }, { "pl", "sg" } };
	maker m;
	*out = (sn_items){ 0 };
	bool swap = controller == PLANTED_INHERENT;
	if (swap) controller = PLANTED_NUMBER;
	SN_TRY(open_maker(&m, arena, controller));
	m.swap = swap;
	SN_TRY(add_probes(&m));
	SN_TRY(add_main(&m));
	SN_TRY(add_attractor(&m));
	SN_TRY(add_placebo(&m));
	SN_TRY(add_names(out, arena));
	SN_TRY(add_choices(out, arena));
	out->id = controller == PLANTED_NUMBER ? "planted/number" : "planted/idle";
	out->source = "memory", out->lang = "en";
	out->n = m.n, out->item = m.item, out->token = m.token, out->start = m.start;
	out->span = (const int32_t(*)[2])m.span;
	out->n_label = 2, out->label = controller == PLANTED_NUMBER ? number : idle, out->z = m.z;
	out->value = controller == PLANTED_NUMBER ? number_value : idle_value;
	out->bytes = (const int64_t(*)[2])m.bytes;
	out->n_probe = N_PROBE;
	out->n_pair = m.n_pair, out->pair = m.pair;
	out->n_generated = m.n;
	return SN_OK;
}
