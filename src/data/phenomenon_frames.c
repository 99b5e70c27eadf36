/* Reads what a sentence is made of beside words: "polarity", "labels", "lead_ins", "choice", "frames", "roles". */
#include "data/phenomenon_read.h"

#include <string.h>

/* ---- polarity and labels ---- */

sn_status sn_read_polarity(sn_reading *r)
{
	json_t *object, *pair;
	const char *key;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "polarity", &object));
	json_object_foreach(object, key, pair) {
		if (r->n_polarity == SN_MAX_ROLE)
			return sn_json_fail(r->doc, pair, NULL, SN_EPARSE, "more than %d entries", SN_MAX_ROLE);
		sn_ref *ref = &r->polarity[r->n_polarity];
		sn_status status = sn_ref_parse(ref, r->ctx, &r->scope, key);
		if (status != SN_OK) return sn_read_expr_failed(r, pair, status);
		if (ref->feature < 0)
			return sn_json_fail(r->doc, pair, NULL, SN_EPARSE, "expected SLOT.FEATURE, found a lemma");
		for (int i = 0; i < 2; i++) {
			const json_t *value = json_array_get(pair, (size_t)i);
			const char *text = json_is_string(value) && json_array_size(pair) == 2 ? json_string_value(value) : "";
			int v = sn_feature_value(&r->p->feature[ref->feature], text, strlen(text));
			if (v < 0 || !(sn_slot_values(r->p, ref->slot, ref->feature) >> v & 1))
				return sn_json_fail(
					r->doc, pair, NULL, SN_EPARSE,
					"expected two values of %s that slot %s can have, that of -1 first (\"sg\", \"pl\")",
					r->p->feature[ref->feature].name, r->p->slot[ref->slot].name);
			r->polarity_value[r->n_polarity][1 - i] = v;
		}
		if (r->polarity_value[r->n_polarity][0] == r->polarity_value[r->n_polarity][1])
			return sn_json_fail(r->doc, pair, NULL, SN_EPARSE, "the two values are the same");
		r->n_polarity++;
	}
	if (r->n_polarity > 0) return SN_OK;
	return sn_json_fail(r->doc, object, NULL, SN_EPARSE,
						"expected the controller's feature: {\"S.number\": [\"sg\", \"pl\"]}");
}

/* A label takes the polarity of its own reference, or of the same feature elsewhere. */
static sn_status set_polarity(const sn_reading *r, json_t *at, const sn_ref *ref, sn_label_def *label)
{
	int found = -1;
	for (int i = 0; i < r->n_polarity; i++) {
		if (r->polarity[i].feature != ref->feature) continue;
		if (found < 0 || r->polarity[i].slot == ref->slot) found = i;
	}
	if (found < 0)
		return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "no polarity is given for %s; add it under \"polarity\"",
							ref->feature < 0 ? "a lemma" : r->p->feature[ref->feature].name);
	uint32_t values = sn_slot_values(r->p, ref->slot, ref->feature);
	for (int i = 0; i < 2; i++) {
		label->value[i] = r->polarity_value[found][i];
		if (!(values >> label->value[i] & 1))
			return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "slot %s never has the value %s; vary it there",
								r->p->slot[ref->slot].name, r->p->feature[ref->feature].value[label->value[i]]);
	}
	label->slot = ref->slot;
	label->feature = ref->feature;
	return SN_OK;
}

static sn_status read_label(sn_reading *r, const char *name, json_t *value)
{
	sn_phenomenon *p = r->p;
	sn_ref ref;
	SN_TRY(sn_read_name(r, value, name));
	SN_TRY(sn_read_ref(r, value, &ref));
	if (p->n_label == SN_MAX_ROLE)
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "more than %d labels", SN_MAX_ROLE);
	if (p->n_label == 0 && (ref.slot != r->polarity[0].slot || ref.feature != r->polarity[0].feature))
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "the first label must be the first entry of \"polarity\"");
	sn_label_def label = { .name = sn_arena_string(r->arena, name) };
	if (!label.name) return SN_ENOMEM;
	SN_TRY(set_polarity(r, value, &ref, &label));
	p->label[p->n_label++] = label;
	return SN_OK;
}

sn_status sn_read_labels(sn_reading *r)
{
	json_t *object, *value;
	const char *name;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "labels", &object));
	json_object_foreach(object, name, value) SN_TRY(read_label(r, name, value));
	if (r->p->n_label > 0) return SN_OK;
	return sn_json_fail(r->doc, object, NULL, SN_EPARSE,
						"expected at least the controller's label: {\"number\": \"S.number\"}");
}

/* ---- lead-ins ---- */

static sn_status read_leads(sn_reading *r, json_t *object, const char *key, int test)
{
	json_t *list, *value;
	size_t i, n;
	SN_TRY(sn_json_array(r->doc, object, key, &list));
	n = json_array_size(list);
	if (n == 0 || n > SN_MAX_LEAD)
		return sn_json_fail(r->doc, list, NULL, SN_EPARSE,
							"expected 1 to %d lead-ins (at least 8 for sound numbers), found %zu", SN_MAX_LEAD, n);
	SN_NEW(r->p->lead[test], r->arena, const char *, n);
	json_array_foreach(list, i, value) {
		const char *text;
		SN_TRY(sn_read_text(r, value, &text));
		for (int t = 0; t <= test; t++)
			for (int k = 0; k < r->p->n_lead[t]; k++)
				if (strcmp(r->p->lead[t][k], text) == 0)
					return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
										"\"%.60s\" stands twice; training and test lead-ins must be disjoint", text);
		r->p->lead[test][r->p->n_lead[test]++] = text;
	}
	return SN_OK;
}

sn_status sn_read_lead_ins(sn_reading *r)
{
	static const char *const key[] = { "train", "test" };
	json_t *object;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "lead_ins", &object));
	SN_TRY(sn_read_keys(r, object, key, SN_COUNT(key), false));
	for (int t = 0; t < 2; t++) SN_TRY(read_leads(r, object, key[t], t));
	return SN_OK;
}

/* ---- choice ---- */

static sn_status find_slot(const sn_reading *r, const json_t *at, const char *name, size_t size, int *out)
{
	for (int s = 0; s < r->p->n_slot; s++) {
		*out = s;
		if (strlen(r->p->slot[s].name) == size && memcmp(r->p->slot[s].name, name, size) == 0) return SN_OK;
	}
	return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "\"%.*s\" is no slot", (int)SN_MIN(size, 60u), name);
}

/* How many pairs of choice words must remain: 6, or fewer where the language has no more (reflexives). */
static sn_status read_least(sn_reading *r, const json_t *object)
{
	int64_t least = SN_LEAST_CHOICE;
	if (json_object_get(object, "least")) SN_TRY(sn_json_i64(r->doc, object, "least", &least));
	if (least < 1 || least > SN_LEAST_CHOICE)
		return sn_json_fail(r->doc, object, "least", SN_EPARSE, "expected 1 to %d, found %lld", SN_LEAST_CHOICE,
							(long long)least);
	r->p->least_choice = (int)least;
	return SN_OK;
}

sn_status sn_read_choice(sn_reading *r)
{
	static const char *const key[] = { "slot", "foil", "least" }, *const foil_key[] = { "flip" };
	sn_phenomenon *p = r->p;
	json_t *object, *foil;
	const char *slot, *flip;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "choice", &object));
	SN_TRY(sn_read_keys(r, object, key, SN_COUNT(key), false));
	SN_TRY(sn_read_member(r, object, "slot", &slot));
	SN_TRY(find_slot(r, json_object_get(object, "slot"), slot, strlen(slot), &p->choice));
	SN_TRY(sn_json_object(r->doc, object, "foil", &foil));
	SN_TRY(sn_read_keys(r, foil, foil_key, SN_COUNT(foil_key), false));
	SN_TRY(sn_read_member(r, foil, "flip", &flip));
	SN_TRY(read_least(r, object));
	int f = sn_feature_find(p->feature, p->n_feature, flip, strlen(flip));
	const sn_slot *s = &p->slot[p->choice];
	if (sn_slot_class(p, p->choice)->n > SN_MAX_CHOICE)
		return sn_json_fail(r->doc, object, "slot", SN_EPARSE, "more than %d choice words", SN_MAX_CHOICE);
	for (int a = 0; a < s->n_agree; a++)
		if (s->agree[a].feature == f && f == p->label[0].feature && s->agree[a].slot == p->label[0].slot &&
			s->n_vary == 0)
			return SN_OK;
	return sn_json_fail(r->doc, foil, "flip", SN_EPARSE,
						"slot %s must agree with %s in %s, the controller's feature, and vary nothing", s->name,
						p->slot[p->label[0].slot].name, p->feature[p->label[0].feature].name);
}

/* ---- frames ---- */

static sn_status add_text(const sn_reading *r, sn_frame *frame, const char *text, size_t size)
{
	if (size == 0) return SN_OK;
	const char *copy = sn_arena_copy(r->arena, text, size);
	frame->piece[frame->n_piece++] = (sn_frame_piece){ SN_PIECE_TEXT, copy };
	return copy ? SN_OK : SN_ENOMEM;
}

static sn_status add_slot(const sn_reading *r, json_t *at, sn_frame *frame, const char *name, size_t size)
{
	int s = SN_PIECE_LEAD;
	bool lead = size == 4 && memcmp(name, "lead", 4) == 0;
	if (lead != (frame->n_piece == 0))
		return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "a frame starts with its only {lead}");
	if (!lead) {
		SN_TRY(find_slot(r, at, name, size, &s));
		if (s == r->p->choice || frame->slots >> s & 1)
			return sn_json_fail(r->doc, at, NULL, SN_EPARSE,
								"{%s} stands twice, or before \"|\" though it is the choice", r->p->slot[s].name);
		frame->slots |= 1u << s;
	}
	frame->piece[frame->n_piece++] = (sn_frame_piece){ s, NULL };
	return SN_OK;
}

/* The prefix: "{lead} the {S} often", without a space at its end. */
static sn_status read_prefix(const sn_reading *r, json_t *at, sn_frame *frame, const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t n = 0;
		while (i + n < size && text[i + n] != '{' && text[i + n] != '}') n++;
		if (frame->n_piece == 0 && n > 0)
			return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "a frame starts with its only {lead}");
		SN_TRY(add_text(r, frame, text + i, n));
		i += n;
		if (i == size) break;
		const char *close = memchr(text + i, '}', size - i);
		if (text[i] == '}' || !close) return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "a brace without its partner");
		if (frame->n_piece > SN_MAX_PIECE - 2)
			return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "more than %d pieces", SN_MAX_PIECE);
		SN_TRY(add_slot(r, at, frame, text + i + 1, (size_t)(close - text) - i - 1));
		i = (size_t)(close - text) + 1;
	}
	return SN_OK;
}

static sn_status read_frame_text(const sn_reading *r, json_t *object, sn_frame *frame)
{
	const sn_phenomenon *p = r->p;
	const char *text, *bar;
	SN_TRY(sn_read_member(r, object, "text", &text));
	json_t *at = json_object_get(object, "text");
	bar = strchr(text, '|');
	char tail[SN_MAX_TEXT + 8];
	sn_format(tail, sizeof tail, " | {%s}", p->slot[p->choice].name);
	if (!bar || bar == text || strcmp(bar - 1, tail) != 0)
		return sn_json_fail(r->doc, at, NULL, SN_EPARSE,
							"expected the text to end with \"%s\": the choice ends a frame", tail);
	SN_TRY(read_prefix(r, at, frame, text, (size_t)(bar - 1 - text)));
	for (int s = 0; s < p->n_slot; s++)
		if ((frame->slots >> s & 1) && p->slot[s].n_agree > 0 && !(frame->slots >> p->slot[s].agree[0].slot & 1))
			return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "{%s} agrees with {%s}, which is missing", p->slot[s].name,
								p->slot[p->slot[s].agree[0].slot].name);
	if (frame->slots >> p->label[0].slot & 1) return SN_OK;
	return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "the controller {%s} is missing", p->slot[p->label[0].slot].name);
}

static sn_status read_conditions(const sn_reading *r, json_t *object, sn_frame *frame)
{
	json_t *conditions, *value;
	const char *name, *text;
	SN_TRY(sn_json_object_or(r->doc, object, "conditions", &conditions));
	json_object_foreach(conditions, name, value) {
		if (frame->n_condition == SN_MAX_ROLE)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "more than %d conditions", SN_MAX_ROLE);
		sn_condition *c = &frame->condition[frame->n_condition++];
		SN_TRY(sn_read_name(r, value, name));
		SN_TRY(sn_read_text(r, value, &text));
		c->name = sn_arena_string(r->arena, name);
		if (!c->name) return SN_ENOMEM;
		sn_status status = sn_expr_parse(&c->when, r->ctx, &r->scope, text, -1, r->arena);
		if (status != SN_OK) return sn_read_expr_failed(r, value, status);
		if (sn_expr_slots(c->when) & ~frame->slots)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "speaks of a slot that this frame does not have");
	}
	return SN_OK;
}

static sn_status read_one_with(const sn_reading *r, json_t *value, const char *key, const sn_frame *frame, sn_with *out)
{
	const sn_phenomenon *p = r->p;
	const char *text;
	sn_status status = sn_ref_parse(&out->ref, r->ctx, &r->scope, key);
	if (status != SN_OK) return sn_read_expr_failed(r, value, status);
	SN_TRY(sn_read_text(r, value, &text));
	int slot = out->ref.slot, f = out->ref.feature;
	if (f < 0 || !(frame->slots >> slot & 1) || (slot == p->label[0].slot && f == p->label[0].feature))
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
							"expected SLOT.FEATURE of a slot of this frame, and not the feature studied");
	out->value = sn_feature_value(&p->feature[f], text, strlen(text));
	if (out->value >= 0 && (sn_slot_values(p, slot, f) >> out->value & 1)) return SN_OK;
	return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected a value of %s that slot %s can have, found \"%.40s\"",
						p->feature[f].name, p->slot[slot].name, text);
}

/* {"L.kind": "adverb"}: only words with these values stand in this frame. */
static sn_status read_with(const sn_reading *r, json_t *object, sn_frame *frame)
{
	json_t *with, *value;
	const char *key;
	SN_TRY(sn_json_object_or(r->doc, object, "with", &with));
	json_object_foreach(with, key, value) {
		if (frame->n_with == SN_MAX_ROLE)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "more than %d entries", SN_MAX_ROLE);
		SN_TRY(read_one_with(r, value, key, frame, &frame->with[frame->n_with++]));
	}
	return SN_OK;
}

static sn_status read_frame(sn_reading *r, json_t *object, sn_frame *frame)
{
	static const char *const key[] = { "id", "order", "text", "with", "conditions" };
	frame->order = "";
	if (!json_is_object(object))
		return sn_json_fail(r->doc, object, NULL, SN_EPARSE, "expected an object, found %s", sn_json_type_name(object));
	SN_TRY(sn_read_keys(r, object, key, SN_COUNT(key), false));
	SN_TRY(sn_read_member(r, object, "id", &frame->id));
	SN_TRY(sn_read_name(r, json_object_get(object, "id"), frame->id));
	if (json_object_get(object, "order")) SN_TRY(sn_read_member(r, object, "order", &frame->order));
	SN_TRY(read_frame_text(r, object, frame));
	SN_TRY(read_with(r, object, frame));
	return read_conditions(r, object, frame);
}

sn_status sn_read_frames(sn_reading *r)
{
	json_t *list, *value;
	size_t i, n;
	SN_TRY(sn_json_array(r->doc, r->doc->root, "frames", &list));
	n = json_array_size(list);
	if (n == 0 || n > SN_MAX_FRAME)
		return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "expected 1 to %d frames, found %zu", SN_MAX_FRAME, n);
	SN_NEW(r->p->frame, r->arena, sn_frame, n);
	json_array_foreach(list, i, value) {
		SN_TRY(read_frame(r, value, &r->p->frame[i]));
		for (size_t k = 0; k < i; k++)
			if (strcmp(r->p->frame[k].id, r->p->frame[i].id) == 0)
				return sn_json_fail(r->doc, value, "id", SN_EPARSE, "\"%.60s\" is another frame's id",
									r->p->frame[i].id);
	}
	r->p->n_frame = (int)n;
	return SN_OK;
}

/* ---- roles ---- */

static sn_status read_role(sn_reading *r, const char *name, json_t *value)
{
	sn_phenomenon *p = r->p;
	const char *text;
	SN_TRY(sn_read_name(r, value, name));
	SN_TRY(sn_read_text(r, value, &text));
	if (p->n_role == SN_MAX_ROLE)
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "more than %d roles", SN_MAX_ROLE);
	sn_role_def *role = &p->role[p->n_role++];
	*role = (sn_role_def){ sn_arena_string(r->arena, name), -1 };
	if (!role->name) return SN_ENOMEM;
	bool before = strncmp(text, "before:", 7) == 0;
	const char *slot = before ? text + 7 : text;
	SN_TRY(find_slot(r, value, slot, strlen(slot), &role->slot));
	if (before != (role->slot == p->choice))
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected a slot of the prefix, or \"before:%s\"",
							p->slot[p->choice].name);
	if (before) role->slot = -1;
	return SN_OK;
}

sn_status sn_read_roles(sn_reading *r)
{
	json_t *object, *value;
	const char *name;
	sn_phenomenon *p = r->p;
	SN_TRY(sn_json_object(r->doc, r->doc->root, "roles", &object));
	json_object_foreach(object, name, value) SN_TRY(read_role(r, name, value));
	bool good = p->n_role >= 2 && p->role[0].slot == p->label[0].slot && p->role[p->n_role - 1].slot < 0;
	for (int i = 0; i < p->n_role; i++)
		for (int k = 0; k < i; k++) good = good && p->role[i].slot != p->role[k].slot;
	if (good) return SN_OK;
	return sn_json_fail(r->doc, object, NULL, SN_EPARSE,
						"expected the controller's slot %s first, \"before:%s\" last, and each slot once",
						p->slot[p->label[0].slot].name, p->slot[p->choice].name);
}
