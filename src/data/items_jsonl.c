/* Items as JSONL, one prefix a line; docs/phenomena.md has the schema. */
#include "base/write.h"
#include "data/items.h"
#include "data/phenomenon.h"

static const char *const kind_name[] = { "main", "attractor", "placebo" };

static void add_text(sn_buf *out, const char *key, const char *text)
{
	sn_buf_format(out, ", \"%s\": ", key);
	sn_write_json(out, text);
}

static void add_roles(sn_buf *out, const sn_items *items, int64_t i)
{
	sn_buf_puts(out, ", \"roles\": {");
	for (int r = 0; r < items->n_role; r++) {
		const int64_t *bytes = items->bytes[i * items->n_role + r];
		if (r) sn_buf_puts(out, ", ");
		sn_write_json(out, items->role[r]);
		sn_buf_format(out, ": [%lld, %lld]", (long long)bytes[0], (long long)bytes[1]);
	}
	sn_buf_puts(out, "}");
}

static void add_labels(sn_buf *out, const sn_items *items, int64_t i)
{
	sn_buf_puts(out, ", \"labels\": {");
	for (int l = 0; l < items->n_label; l++) {
		int z = items->z[i * items->n_label + l];
		if (l) sn_buf_puts(out, ", ");
		sn_write_json(out, items->label[l]);
		sn_buf_puts(out, ": ");
		sn_write_json(out, z == 0 ? NULL : items->value[l][z < 0]);
	}
	sn_buf_puts(out, "}, \"values\": {");
	for (int l = 0; l < items->n_label; l++) {
		if (l) sn_buf_puts(out, ", ");
		sn_write_json(out, items->label[l]);
		sn_buf_format(out, ": \"%s/%s\"", items->value[l][0], items->value[l][1]);
	}
	sn_buf_puts(out, "}");
}

static void add_choices(sn_buf *out, const sn_items *items, const sn_item *item)
{
	sn_buf_puts(out, ", \"choices\": \"");
	for (int c = 0; c < items->n_choice; c++) {
		const sn_choice *choice = &items->choice[item->choice_set * items->n_choice + c];
		sn_buf_format(out, "%s%s/%s", c ? "|" : "", choice->text[0], choice->text[1]);
	}
	sn_buf_puts(out, "\"");
	if (items->least_choice > 0 && items->least_choice < SN_LEAST_CHOICE)
		sn_buf_format(out, ", \"least_choices\": %d", items->least_choice);
}

static void add_names(sn_buf *out, const sn_items *items, const sn_item *item)
{
	add_text(out, "frame", items->frame[item->frame]);
	add_text(out, "condition", item->condition < 0 ? NULL : items->condition[item->condition]);
	add_text(out, "lemma", items->lemma[item->lemma]);
	add_text(out, "form", items->form[item->form]);
	add_text(out, "group", items->group[item->group]);
	add_text(out, "frequency", sn_frequency_name(item->frequency));
	add_text(out, "attractor_lemma", item->attractor < 0 ? NULL : items->lemma[item->attractor]);
	sn_buf_format(out, ", \"n\": %d, \"attractor_n\": %d, \"fold\": %d", item->n, item->attractor_n, item->fold);
	add_text(out, "lead_in", items->lead[item->lead]);
	add_text(out, "lead_set", item->test_lead ? "test" : "train");
}

static void add_line(sn_buf *out, const sn_items *items, int64_t i)
{
	const sn_item *item = &items->item[i];
	int64_t pair = i < items->n_probe ? -1 : (i - items->n_probe) / 2;
	sn_buf_puts(out, "{\"text\": ");
	sn_write_json(out, item->text);
	add_text(out, "use", pair < 0 ? "probe" : kind_name[items->pair[2 * pair].kind]);
	if (pair < 0)
		sn_buf_format(out, ", \"unit\": %lld", (long long)i / 2);
	else
		sn_buf_format(out, ", \"unit\": %lld", (long long)pair);
	add_roles(out, items, i);
	add_labels(out, items, i);
	add_names(out, items, item);
	add_choices(out, items, item);
	sn_buf_format(out, ", \"n_fold\": %d", items->n_fold);
	add_text(out, "phenomenon", items->id);
	add_text(out, "lang", items->lang);
	sn_buf_puts(out, "}\n");
}

void sn_items_jsonl(sn_buf *out, const sn_items *items)
{
	for (int64_t i = 0; i < items->n; i++) add_line(out, items, i);
}
