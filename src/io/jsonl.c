/* JSON Lines. */
#include "io/jsonl.h"

sn_status sn_jsonl_next(sn_ctx *ctx, sn_lines *lines, json_t **out)
{
	sn_slice text;
	*out = NULL;
	do {
		if (!sn_lines_next(lines, &text)) return SN_OK;
	} while (sn_slice_blank(text));
	json_error_t error;
	*out = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
	if (*out && json_is_object(*out)) return SN_OK;
	if (*out) {
		json_decref(*out);
		*out = NULL;
		return sn_fail(ctx, SN_EPARSE, "%s: line %lld: expected a JSON object {...}", lines->source,
					   (long long)lines->line);
	}
	if (json_error_code(&error) == json_error_out_of_memory)
		return sn_fail(ctx, SN_ENOMEM, "%s: line %lld: out of memory", lines->source, (long long)lines->line);
	return sn_fail(ctx, SN_EPARSE, "%s: line %lld, column %d: %s; correct the JSON there", lines->source,
				   (long long)lines->line, error.column, error.text);
}
