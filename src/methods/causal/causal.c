#include "methods/causal/causal.h"

#include <string.h>

/* ---- sites and places ---- */

sn_status sn_causal_items(sn_items **out, sn_ctx *ctx, const sn_input *input, bool any_length, sn_arena *arena)
{
	const sn_tokenizer *tokenizer = sn_model_tokenizer(input->model[0]);
	if (!tokenizer)
		return sn_fail(ctx, SN_ENOTFOUND, "%s has no tokenizer; items are text",
					   sn_model_get_info(input->model[0])->path);
	return sn_items_read(out, ctx, input->data[0], tokenizer, any_length, arena);
}

static sn_status open_sites(sn_causal *c, const char *sites, int every)
{
	bool thinned = every > 1 && strchr(sites, '*'); /* sites named one by one are all meant */
	sn_site *all;
	int n;
	SN_TRY(sn_site_expand(c->ctx, c->model, sites, c->arena, &all, &n));
	SN_NEW(c->site, c->arena, sn_site, n);
	SN_NEW(c->site_name, c->arena, const char *, n);
	for (int i = 0; i < n; i++) {
		char name[96];
		if (thinned && all[i].layer % every != 0) continue;
		sn_site_format(&all[i], name, sizeof name);
		if (sn_site_width(c->model, &all[i]) <= 0)
			return sn_fail(c->ctx, SN_EARG,
						   "--sites: %s has no vectors to edit; use residual streams, outputs, q, k, v or z", name);
		c->site[c->n_site] = all[i];
		if (!(c->site_name[c->n_site++] = sn_arena_string(c->arena, name))) return SN_ENOMEM;
	}
	if (c->n_site == 0) return sn_fail(c->ctx, SN_EARG, "--sites: %s names no site at every %d-th layer", sites, every);
	return SN_OK;
}

static int find_role(const sn_items *items, const char *name, size_t size)
{
	for (int r = 0; r < items->n_role; r++)
		if (strlen(items->role[r]) == size && memcmp(items->role[r], name, size) == 0) return r;
	return -1;
}

static sn_status add_place(sn_causal *c, sn_spot *place, sn_place kind, int32_t arg, const char *name)
{
	place[c->n_place] = (sn_spot){ .place = kind, .arg = arg };
	c->place_name[c->n_place++] = name;
	return name ? SN_OK : SN_ENOMEM;
}

static sn_status list_positions(sn_causal *c, sn_spot *place, int64_t longest)
{
	for (int32_t p = 1; p < longest; p++)
		SN_TRY(add_place(c, place, SN_PLACE_AT, -p, sn_arena_format(c->arena, "%d", -p)));
	return SN_OK;
}

static sn_status parse_places(sn_causal *c, sn_spot *place, const char *list)
{
	for (const char *word = list; *word;) {
		size_t size = strcspn(word, ",");
		int role = find_role(c->items, word, size);
		const char *name = sn_arena_copy(c->arena, word, size);
		if (!name) return SN_ENOMEM;
		if (role >= 0)
			SN_TRY(add_place(c, place, SN_PLACE_ROLE, role, name));
		else if (strcmp(name, "other") == 0)
			SN_TRY(add_place(c, place, SN_PLACE_OTHER, 0, name));
		else if (strcmp(name, "onward") == 0)
			SN_TRY(add_place(c, place, SN_PLACE_ONWARD, 0, name));
		else {
			sn_buf roles = { .ctx = c->ctx };
			for (int r = 0; r < c->items->n_role; r++) sn_buf_format(&roles, "%s, ", c->items->role[r]);
			sn_status status =
				sn_fail(c->ctx, SN_EARG, "--places: no place '%s'; there are %sother, onward, position, all", name,
						roles.data ? roles.data : "");
			sn_buf_free(&roles);
			return status;
		}
		word += size + (word[size] == ',');
	}
	return SN_OK;
}

static sn_status open_places(sn_causal *c, const char *places, bool with_other, sn_spot **out)
{
	int64_t longest = sn_items_longest(c->items),
			most = SN_MAX(longest, c->items->n_role + 1) + (int64_t)strlen(places);
	SN_NEW(*out, c->arena, sn_spot, most);
	SN_NEW(c->place_name, c->arena, const char *, most);
	if (strcmp(places, "position") == 0) return list_positions(c, *out, longest);
	if (strcmp(places, "all") != 0) return parse_places(c, *out, places);
	for (int r = 0; r < c->items->n_role; r++) SN_TRY(add_place(c, *out, SN_PLACE_ROLE, r, c->items->role[r]));
	return with_other ? add_place(c, *out, SN_PLACE_OTHER, 0, "other") : SN_OK;
}

static sn_status open_boot(sn_causal *c, int n_boot)
{
	bool *subject, *attractor;
	SN_NEW(subject, c->arena, bool, c->items->n_lemma);
	SN_NEW(attractor, c->arena, bool, c->items->n_lemma);
	for (int64_t i = 0; i < c->items->n; i++) {
		subject[c->items->item[i].lemma] = true;
		if (c->items->item[i].attractor >= 0) attractor[c->items->item[i].attractor] = true;
	}
	return sn_boot_open(&c->boot, c->arena, n_boot, c->items->n_lemma, subject, attractor, sn_ctx_seed(c->ctx),
						0x626f6f74);
}

sn_status sn_causal_open(sn_causal *c, sn_ctx *ctx, sn_model *model, const sn_items *items, const char *sites,
						 int every, const char *places, bool with_other, int n_boot, sn_arena *arena)
{
	sn_spot *place;
	*c = (sn_causal){ .ctx = ctx, .model = model, .items = items, .arena = arena };
	SN_TRY(open_sites(c, sites, every));
	SN_TRY(open_places(c, places, with_other, &place));
	c->n_spot = c->n_site * c->n_place;
	SN_NEW(c->spot, arena, sn_spot, c->n_spot);
	for (int s = 0; s < c->n_spot; s++) {
		c->spot[s] = place[s % c->n_place];
		c->spot[s].site = c->site[s / c->n_place];
	}
	return open_boot(c, n_boot);
}

int sn_causal_label(const sn_causal *c, const char *name)
{
	if (!name || !name[0]) return 0;
	for (int k = 0; k < c->items->n_label; k++)
		if (strcmp(c->items->label[k], name) == 0) return k;
	sn_fail(c->ctx, SN_EARG, "--label: %s has no label '%s' (its first is '%s')", c->items->source, name,
			c->items->n_label ? c->items->label[0] : "");
	return -1;
}

/* ---- pairs and units ---- */

/* Chooses, of the pairs first[0..n) (numbers of their first directions), a share keep / n of each frame at random. */
static sn_status choose(const sn_causal *c, const int64_t *first, int64_t n, int64_t keep, bool *chosen)
{
	const sn_items *items = c->items;
	sn_rng rng = sn_rng_make(sn_ctx_seed(c->ctx), 0x7061697273);
	int64_t *of_frame, *order, seen = 0;
	SN_NEW(of_frame, c->arena, int64_t, n);
	SN_NEW(order, c->arena, int64_t, n);
	for (int f = 0; f < items->n_frame; f++) {
		int64_t m = 0;
		for (int64_t k = 0; k < n; k++)
			if (items->item[items->pair[first[k]].base].frame == f) of_frame[m++] = k;
		int64_t share = (seen + m) * keep / n - seen * keep / n;
		sn_rng_permute(&rng, order, m);
		for (int64_t i = 0; i < share; i++) chosen[of_frame[order[i]]] = true;
		seen += m;
	}
	return SN_OK;
}

sn_status sn_causal_pairs(const sn_causal *c, sn_pair_kind kind, int64_t limit, sn_pair **pair, int64_t *n)
{
	static const char *const name[] = { "main", "attractor", "placebo" };
	const sn_items *items = c->items;
	int64_t *first, whole = 0;
	bool *chosen;
	*n = 0;
	SN_NEW(first, c->arena, int64_t, items->n_pair);
	SN_NEW(chosen, c->arena, bool, items->n_pair);
	for (int64_t p = 0; p + 1 < items->n_pair; p += 2)
		if (items->pair[p].kind == kind) first[whole++] = p;
	if (whole == 0) return sn_fail(c->ctx, SN_EARG, "%s: no %s pairs", items->source, name[kind]);
	SN_TRY(choose(c, first, whole, limit > 0 ? SN_MIN(SN_MAX(limit / 2, 1), whole) : whole, chosen));
	SN_NEW(*pair, c->arena, sn_pair, 2 * whole);
	for (int64_t k = 0; k < whole; k++)
		for (int d = 0; d < 2 && chosen[k]; d++) (*pair)[(*n)++] = items->pair[first[k] + d];
	return SN_OK;
}

sn_status sn_causal_units(const sn_causal *c, const int64_t *item, int64_t n, bool by_sign, sn_arena *arena,
						  sn_boot_items *out)
{
	int32_t *subject, *attractor, *frame;
	SN_NEW(subject, arena, int32_t, n);
	SN_NEW(attractor, arena, int32_t, n);
	SN_NEW(frame, arena, int32_t, n);
	for (int64_t i = 0; i < n; i++) {
		const sn_item *it = &c->items->item[item[i]];
		subject[i] = it->lemma;
		attractor[i] = it->attractor;
		frame[i] = by_sign ? 2 * it->frame + (it->n > 0) : it->frame;
	}
	*out = (sn_boot_items){ .n = n,
							.subject = subject,
							.attractor = attractor,
							.n_frame = c->items->n_frame * (by_sign ? 2 : 1),
							.frame = frame };
	return SN_OK;
}

sn_status sn_causal_pair_units(const sn_causal *c, const sn_pair *pair, int64_t n, sn_boot_items *out)
{
	int64_t *base;
	int32_t *partner;
	SN_NEW(base, c->arena, int64_t, n);
	SN_NEW(partner, c->arena, int32_t, n);
	for (int64_t p = 0; p < n; p++) {
		base[p] = pair[p].base;
		partner[p] = c->items->item[pair[p].source].lemma;
	}
	SN_TRY(sn_causal_units(c, base, n, false, c->arena, out));
	if (n == 0 || pair[0].kind != SN_PAIR_PLACEBO) return SN_OK;
	out->partner = partner;
	out->attractor = NULL;
	return SN_OK;
}

const sn_col sn_causal_choice_columns[SN_CAUSAL_CHOICE_COLUMNS] = {
	{ .name = "quantity", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "value", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "low", .of = "value", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "high", .of = "value", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "unit", .type = SN_TYPE_TEXT, .role = SN_TEXT },
};
