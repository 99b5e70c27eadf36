#include "model/pooling.h"

#include "io/json.h"

#include <string.h>
#include <unistd.h>

enum { POOLING_BYTES = 1 << 16 };

static bool is_on(const json_t *config, const char *key) { return json_is_true(json_object_get(config, key)); }

static sn_status read_config(sn_ctx *ctx, const char *path, sn_pooling *out)
{
	sn_json *json;
	SN_TRY(sn_json_load(&json, ctx, path, POOLING_BYTES));
	bool first = is_on(json->root, "pooling_mode_cls_token"), mean = is_on(json->root, "pooling_mode_mean_tokens");
	sn_json_close(json);
	*out = first ? SN_POOL_FIRST : SN_POOL_MEAN;
	if (first != mean) return SN_OK;
	return sn_fail(ctx, SN_EARG, "%s: expected pooling_mode_mean_tokens or pooling_mode_cls_token alone to be true",
	               path);
}

sn_status sn_model_pooling(sn_ctx *ctx, const sn_model *model, sn_arena *arena, sn_pooling *out)
{
	const char *weights = sn_model_get_info(model)->path, *slash = strrchr(weights, '/');
	const char *path = sn_arena_format(arena, "%.*s1_Pooling/config.json", slash ? (int)(slash + 1 - weights) : 0,
	                                   weights);
	if (!path) return SN_ENOMEM;
	*out = SN_POOL_MEAN;
	return access(path, F_OK) == 0 ? read_config(ctx, path, out) : SN_OK;
}
