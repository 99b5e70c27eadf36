/* Running a method: defaults, provenance, the method itself. */
#include "base/checkpoint.h"
#include "base/option.h"
#include "base/work.h"
#include "data/result.h"
#include "tensor/gemm.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static sn_status set_time(sn_result *out)
{
	time_t now = time(NULL);
	struct tm utc;
	char text[32] = "unknown";
	if (gmtime_r(&now, &utc)) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	return sn_result_set(out, "time", "%s", text);
}

static sn_status set_context(sn_ctx *ctx, sn_result *out)
{
	char host[256] = "";
	if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
	SN_TRY(sn_result_set(out, "sonde version", "%s", sn_version()));
	SN_TRY(sn_result_set(out, "seed", "%llu", (unsigned long long)sn_ctx_seed(ctx)));
	SN_TRY(sn_result_set(out, "threads", "%d", sn_ctx_threads(ctx)));
	if (sn_rank_count(ctx) > 1) SN_TRY(sn_result_set(out, "ranks", "%d", sn_rank_count(ctx)));
	sn_precision asked = sn_ctx_precision(ctx), got = sn_gemm_precision(ctx);
	SN_TRY(sn_result_set(out, "precision", "%s%s%s%s", sn_precision_name(got), asked == got ? "" : " (",
	                     asked == got ? "" : sn_precision_name(asked),
	                     asked == got ? "" : " was asked; this processor has no bfloat16 instructions)"));
	SN_TRY(sn_result_set(out, "host", "%s", host));
	return set_time(out);
}

static sn_status set_text(sn_result *out, const char *key, const char *text)
{
	return text[0] ? sn_result_set(out, key, "%s", text) : SN_OK;
}

/* What the model is called in reports: a file's name, since the file is the artefact that figures hold for; a folder's
 * files are all called alike, and a model built in memory has no file: then its own name. */
static const char *short_name(const sn_model_info *m)
{
	const char *slash = strrchr(m->path, '/'), *file = slash ? slash + 1 : m->path;
	return file[0] && strncmp(file, "model.", 6) != 0 ? file : m->name;
}

static sn_status set_model(sn_ctx *ctx, const sn_input *input, sn_result *out)
{
	static const char *const key[][6] = {
		{ "model", "model name", "model path", "model sha256", "quantisation", "training" },
		{ "model 2", "model 2 name", "model 2 path", "model 2 sha256", "quantisation 2", "training 2" }
	};
	for (int i = 0; i < SN_COUNT(input->model); i++) {
		if (!input->model[i]) continue;
		SN_TRY(sn_model_hash(ctx, input->model[i]));
		const sn_model_info *m = sn_model_get_info(input->model[i]);
		const char *const text[] = { short_name(m), m->name, m->path, m->sha256, m->quantisation, m->training };
		for (int k = 0; k < SN_COUNT(text); k++) SN_TRY(set_text(out, key[i][k], text[k]));
	}
	return SN_OK;
}

static sn_status set_data(const sn_input *input, sn_result *out)
{
	for (int i = 0; i < SN_COUNT(input->data); i++) {
		const sn_dataset *data = input->data[i];
		if (!data) continue;
		char key[32], hash_key[32];
		sn_format(key, sizeof key, i ? "data %d" : "data", i + 1);
		sn_format(hash_key, sizeof hash_key, "%s sha256", key);
		SN_TRY(sn_result_set(out, key, "%s (%lld rows)", data->source ? data->source : "", (long long)data->n));
		if (data->sha256[0]) SN_TRY(sn_result_set(out, hash_key, "%s", data->sha256));
	}
	return SN_OK;
}

static sn_status fill_param(sn_ctx *ctx, const sn_method *method, sn_result *out, const void **param)
{
	if (*param || method->n_param == 0) return SN_OK;
	void *defaults = sn_arena_take(sn_result_arena(out), method->param_size);
	if (!defaults) return SN_ENOMEM;
	sn_param_table table = { method->param, method->n_param };
	for (int i = 0; i < table.n; i++)
		if (table.param[i].required)
			return sn_fail(ctx, SN_EARG, "%s needs --%s (%s)", method->name, table.param[i].name, table.param[i].help);
	*param = defaults;
	return sn_param_defaults(ctx, &table, sn_result_arena(out), defaults);
}

static sn_status check_input(sn_ctx *ctx, const sn_method *method, const sn_input *input)
{
	if ((method->needs & SN_NEEDS_MODEL) && !input->model[0])
		return sn_fail(ctx, SN_EARG, "%s needs a model; give --model FILE", method->name);
	if ((method->needs & SN_NEEDS_DATA) && !input->data[0])
		return sn_fail(ctx, SN_EARG, "%s needs data; give --data FILE", method->name);
	return SN_OK;
}

/* Whether a line of provenance is part of what the run is: not, if it changes no number. */
static bool is_identity(const char *key)
{
	static const char *const other[] = { "threads", "ranks", "host", "time", "model path" };
	for (int i = 0; i < SN_COUNT(other); i++)
		if (strcmp(key, other[i]) == 0) return false;
	return true;
}

/* Another rank may have found another file under the same name. */
static sn_status check_ranks(sn_ctx *ctx, uint64_t own)
{
	uint64_t first = own;
	SN_TRY(sn_team_agree(ctx, SN_OK));
	SN_TRY(sn_team_broadcast(ctx, &first, sizeof first));
	if (own == first) return sn_team_agree(ctx, SN_OK);
	return sn_team_agree(ctx, sn_fail(ctx, SN_EARG, "rank %d reads another model, other data or other options than "
	                                  "rank 0; all need the same files", sn_rank(ctx)));
}

/* What another run must have in common with this one to take up its work, and all ranks with one another. */
static sn_status identify(sn_ctx *ctx, const sn_method *method, const sn_result *out)
{
	const sn_line *line;
	uint64_t sum = SN_FNV_START;
	SN_TRY(sn_checkpoint_identify(ctx, "command", method->family));
	SN_TRY(sn_checkpoint_identify(ctx, "method", method->name));
	for (int i = 0; (line = sn_result_line(out, SN_LINE_PARAM, i)); i++) {
		char name[80];
		sn_format(name, sizeof name, "--%s", line->key);
		SN_TRY(sn_checkpoint_identify(ctx, name, line->text));
		sum = sn_fnv1a(sum, line->text, strlen(line->text) + 1);
	}
	for (int i = 0; (line = sn_result_line(out, SN_LINE_PROVENANCE, i)); i++) {
		if (!is_identity(line->key)) continue;
		SN_TRY(sn_checkpoint_identify(ctx, line->key, line->text));
		sum = sn_fnv1a(sum, line->text, strlen(line->text) + 1);
	}
	sn_checkpoint_announce(ctx);
	return check_ranks(ctx, sum);
}

sn_status sn_method_run(sn_ctx *ctx, const sn_method *method, const sn_input *input, const void *param, sn_result *out)
{
	SN_TRY(check_input(ctx, method, input));
	SN_TRY(fill_param(ctx, method, out, &param));
	if (param) SN_TRY(sn_result_set_param(out, param));
	SN_TRY(set_context(ctx, out));
	SN_TRY(set_model(ctx, input, out));
	SN_TRY(set_data(input, out));
	SN_TRY(identify(ctx, method, out));
	return method->run(ctx, input, param, out);
}
