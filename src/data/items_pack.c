/* Rows become items: names are numbered in the order of their first use, tokens packed, pairs listed in both
 * directions. */
#include "data/items_rows.h"

#include <string.h>

/* ---- names ---- */

typedef struct names {
	const char **name;
	int32_t n, mask, *slot; /* open addressing: number + 1 */
} names;

static sn_status names_open(names *out, sn_arena *arena, int64_t most)
{
	int32_t size = 16;
	while (size < 2 * most) size *= 2;
	out->n = 0;
	out->mask = size - 1;
	SN_NEW(out->name, arena, const char *, most);
	SN_NEW(out->slot, arena, int32_t, size);
	return SN_OK;
}

/* Returns the name's number, a new one where it is new; -1 for NULL. */
static int32_t number_of(names *t, const char *name)
{
	if (!name) return -1;
	uint32_t h = (uint32_t)sn_fnv1a(SN_FNV_START, name, strlen(name)) & (uint32_t)t->mask;
	while (t->slot[h]) {
		int32_t i = t->slot[h] - 1;
		if (strcmp(t->name[i], name) == 0) return i;
		h = (h + 1) & (uint32_t)t->mask;
	}
	t->name[t->n] = name;
	t->slot[h] = ++t->n;
	return t->n - 1;
}

/* ---- packing ---- */

typedef struct packing {
	const sn_item_rows *rows;
	sn_items *out;
	sn_item *item;
	int32_t *token, (*span)[2];
	int64_t *start, (*bytes)[2];
	int8_t *z;
	names frame, condition, lemma, form, group, lead;
} packing;

static sn_status open_names(packing *k)
{
	names *const all[] = { &k->frame, &k->condition, &k->lemma, &k->form, &k->group, &k->lead };
	const sn_item_rows *rows = k->rows;
	for (int i = 0; i < SN_COUNT(all); i++) SN_TRY(names_open(all[i], rows->arena, 2 * rows->n + 1));
	return SN_OK;
}

static sn_status open_arrays(packing *k)
{
	const sn_item_rows *rows = k->rows;
	int64_t n = rows->n, n_token = 0;
	for (int64_t i = 0; i < n; i++) n_token += rows->row[i].n_token;
	SN_NEW(k->item, rows->arena, sn_item, n);
	SN_NEW(k->bytes, rows->arena, sn_i64_pair, n * rows->n_role);
	SN_NEW(k->z, rows->arena, int8_t, n * rows->n_label);
	if (!rows->tokenizer) return SN_OK;
	SN_NEW(k->token, rows->arena, int32_t, n_token);
	SN_NEW(k->start, rows->arena, int64_t, n + 1);
	SN_NEW(k->span, rows->arena, sn_i32_pair, n * rows->n_role);
	return SN_OK;
}

static void pack_item(packing *k, int64_t i)
{
	const sn_item_row *r = &k->rows->row[i];
	bool probe = r->kind == SN_NO_PAIR;
	k->item[i] = (sn_item){
		.text = r->text,
		.frame = number_of(&k->frame, r->frame),
		.condition = number_of(&k->condition, r->condition),
		.n = r->z[0],
		.attractor_n = r->attractor_n,
		.lemma = number_of(&k->lemma, r->lemma),
		.attractor = number_of(&k->lemma, r->attractor),
		.form = number_of(&k->form, r->form),
		.group = number_of(&k->group, r->group),
		.frequency = r->frequency,
		.fold = r->fold,
		.lead = number_of(&k->lead, r->lead),
		.test_lead = r->test_lead,
		.twin = probe ? i ^ 1 : -1,
		.choice_set = r->choice_set,
	};
	memcpy(k->bytes[i * k->rows->n_role], r->bytes, (size_t)k->rows->n_role * sizeof r->bytes[0]);
	memcpy(k->z + i * k->rows->n_label, r->z, (size_t)k->rows->n_label);
	if (!k->token) return;
	memcpy(k->token + k->start[i], r->token, (size_t)r->n_token * sizeof *r->token);
	k->start[i + 1] = k->start[i] + r->n_token;
	memcpy(k->span[i * k->rows->n_role], r->span, (size_t)k->rows->n_role * sizeof r->span[0]);
}

static sn_status pack_pairs(const sn_item_rows *rows, sn_items *out)
{
	while (out->n_probe < rows->n && rows->row[out->n_probe].kind == SN_NO_PAIR) out->n_probe++;
	sn_pair *pair;
	SN_NEW(pair, rows->arena, sn_pair, rows->n - out->n_probe);
	for (int64_t i = out->n_probe; i + 1 < rows->n; i += 2) {
		sn_pair_kind kind = (sn_pair_kind)rows->row[i].kind;
		pair[out->n_pair++] = (sn_pair){ i, i + 1, kind };
		pair[out->n_pair++] = (sn_pair){ i + 1, i, kind };
		if (rows->row[i].n_token != rows->row[i + 1].n_token) out->n_unequal += 2;
	}
	out->pair = pair;
	return SN_OK;
}

/* Sets of choice words are numbered by first use too; one that no item uses is left out. */
static sn_status pack_choices(const packing *k)
{
	const sn_item_rows *rows = k->rows;
	int32_t *number, n = rows->n_choice, n_set = 0;
	sn_choice *choice;
	SN_NEW(number, rows->arena, int32_t, rows->n_choice_set);
	SN_NEW(choice, rows->arena, sn_choice, n * rows->n_choice_set);
	for (int64_t i = 0; i < rows->n; i++) {
		int32_t from = k->item[i].choice_set;
		for (int32_t c = 0; c < n && number[from] == 0; c++) {
			choice[n_set * n + c] = rows->choice_token[from * n + c];
			memcpy(choice[n_set * n + c].text, rows->choice[from * n + c], sizeof rows->choice[0]);
		}
		if (number[from] == 0) number[from] = ++n_set;
		k->item[i].choice_set = number[from] - 1;
	}
	k->out->choice = choice;
	k->out->n_choice = n;
	k->out->n_choice_set = n_set;
	k->out->least_choice = rows->least_choice;
	return SN_OK;
}

static sn_status set_head(const sn_item_rows *rows, sn_items *out)
{
	const char **role, **label;
	const char *(*value)[2];
	SN_NEW(role, rows->arena, const char *, rows->n_role);
	SN_NEW(label, rows->arena, const char *, rows->n_label);
	SN_NEW(value, rows->arena, sn_text_pair, rows->n_label);
	memcpy(role, rows->role, (size_t)rows->n_role * sizeof *role);
	memcpy(label, rows->label, (size_t)rows->n_label * sizeof *label);
	memcpy(value, rows->value, (size_t)rows->n_label * sizeof *value);
	*out = (sn_items){ .id = rows->id,
					   .source = rows->source,
					   .lang = rows->lang,
					   .n = rows->n,
					   .n_role = rows->n_role,
					   .role = role,
					   .n_label = rows->n_label,
					   .label = label,
					   .value = value,
					   .n_fold = rows->n_fold,
					   .n_generated = rows->n_generated,
					   .n_dropped = rows->n_dropped,
					   .n_drop = rows->n_drop,
					   .drop = rows->drop };
	return SN_OK;
}

static void set_names(const packing *k)
{
	sn_items *out = k->out;
	out->n_frame = k->frame.n, out->frame = k->frame.name;
	out->n_condition = k->condition.n, out->condition = k->condition.name;
	out->n_group = k->group.n, out->group = k->group.name;
	out->n_lemma = k->lemma.n, out->lemma = k->lemma.name;
	out->n_form = k->form.n, out->form = k->form.name;
	out->n_lead = k->lead.n, out->lead = k->lead.name;
}

sn_status sn_item_rows_pack(sn_items **out, sn_item_rows *rows)
{
	packing k = { .rows = rows };
	*out = NULL;
	SN_NEW(k.out, rows->arena, sn_items, 1);
	SN_TRY(set_head(rows, k.out));
	SN_TRY(open_names(&k));
	SN_TRY(open_arrays(&k));
	for (int64_t i = 0; i < rows->n; i++) pack_item(&k, i);
	SN_TRY(pack_pairs(rows, k.out));
	SN_TRY(pack_choices(&k));
	set_names(&k);
	k.out->item = k.item;
	k.out->token = k.token, k.out->start = k.start, k.out->span = k.span;
	k.out->bytes = k.bytes, k.out->z = k.z;
	*out = k.out;
	return SN_OK;
}
