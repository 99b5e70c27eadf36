/* Every architecture's tiny random model (tests/golden/arch, made by tests/oracles/tiny_arch.py) against transformers:
 * all sites, the loss and the logits, from the Hugging Face folder and from the GGUF file, whichever there are.
 *
 * usage: test_arch_oracle [VARIANT ...]   without variants all of the table below */
#include "common/site_oracle.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <string.h>
#include <unistd.h>

static const char *const table[] = {
	"albert", "bart", "bert", "bert-base-only", "bert-gamma", "bloom", "deberta-v2", "distilbert",
	"electra-discriminator", "electra-generator", "falcon-40b", "falcon-7b", "falcon-rw", "gemma", "gemma2",
	"gemma2-gguf", "gemma3", "gemma3-gguf", "gpt2", "gpt2-published", "gpt_neo", "gpt_neox", "gpt_neox-serial",
	"gptj", "llama", "llama-bias", "llama-dynamic", "llama-linear", "llama-yarn", "llama3-rope", "marian",
	"mbart", "mistral", "modernbert", "mt5", "olmo2", "opt", "opt-350m", "phi", "phi3", "phi3-longrope", "qwen2",
	"qwen2-window", "qwen3", "roberta", "smollm3", "stablelm", "stablelm-parallel", "starcoder2",
	"starcoder2-gguf", "t5", "t5-v1_1", "t5-v1_1-new", "xlm-roberta",
};

static int n_wanted;
static char **wanted;

/* Every matrix that the model has is given, and one that it has not is refused by name. */
static void check_matrices(site_oracle *o)
{
	const sn_model_info *info = sn_model_get_info(o->model);
	for (int matrix = SN_W_E; matrix <= SN_W_U; matrix++) {
		sn_tensor w;
		sn_status status = sn_weight(o->ctx, o->model, (sn_matrix)matrix, info->n_layer - 1, -1, o->arena, &w);
		bool may_lack = matrix == SN_W_GATE || (matrix == SN_W_U && !info->has_logits);
		if (may_lack && status == SN_EARG) {
			assert_non_null(strstr(sn_error(o->ctx), "has no matrix"));
			continue;
		}
		assert_ok(o->ctx, status);
		const float *x = w.data;
		for (int64_t i = 0; i < sn_tensor_count(&w); i++) assert_true(isfinite(x[i]));
	}
}

static void check_file(sn_ctx *ctx, const char *variant, const char *folder, const char *file)
{
	site_oracle o;
	site_oracle_open(&o, ctx, folder, file);
	assert_true(site_oracle_sites(&o) >= 8);
	site_oracle_claims(&o);
	site_oracle_loss(&o);
	site_oracle_logits(&o);
	check_matrices(&o);
	print_message("%s%s%s: largest relative error %.1e at %s\n", variant, *file ? "/" : "", file, o.worst, o.site);
	site_oracle_close(&o);
}

static void sites_agree_with_transformers(void **state)
{
	char folder[512], gguf[544], config[544];
	for (int i = 0; i < (n_wanted ? n_wanted : SN_COUNT(table)); i++) {
		const char *variant = n_wanted ? wanted[i] : table[i];
		snprintf(folder, sizeof folder, SN_TESTS "/golden/arch/%s", variant);
		snprintf(config, sizeof config, "%s/config.json", folder);
		snprintf(gguf, sizeof gguf, "%s/model.gguf", folder);
		bool has_config = access(config, R_OK) == 0, has_gguf = access(gguf, R_OK) == 0;
		assert_true(has_config || has_gguf);
		if (has_config) check_file(test_ctx(state), variant, folder, "");
		if (has_gguf) check_file(test_ctx(state), variant, folder, "model.gguf");
	}
}

static bool in_table(const char *variant)
{
	for (int i = 0; i < SN_COUNT(table); i++)
		if (strcmp(table[i], variant) == 0) return true;
	return false;
}

static void every_folder_is_tested(void **state)
{
	(void)state;
	DIR *dir = opendir(SN_TESTS "/golden/arch");
	assert_non_null(dir);
	int n = 0;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] == '.') continue;
		if (!in_table(entry->d_name)) fail_msg("tests/golden/arch/%s is not in the table", entry->d_name);
		n++;
	}
	closedir(dir);
	assert_int_equal(n, SN_COUNT(table));
}

int main(int argc, char **argv)
{
	n_wanted = argc - 1;
	wanted = argv + 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sites_agree_with_transformers),
		cmocka_unit_test(every_folder_is_tested),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
