/* Translators and their files: params.pt is the state dictionary of a list of torch.nn.Linear ("0.weight", "0.bias",
 * …), config.json what tuned_lens.nn.TunedLensConfig holds. */
#include "model/translators.h"

#include "io/json.h"
#include "io/tensor_file.h"
#include "io/torch_write.h"
#include "model/model.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

sn_status sn_translators_make(sn_translators *out, int n, int64_t d, sn_arena *arena)
{
	*out = (sn_translators){ .n = n, .d = d };
	SN_NEW(out->weight, arena, float, n *d *d);
	SN_NEW(out->bias, arena, float, n *d);
	return SN_OK;
}

/* ---- reading ---- */

static sn_status read_tensor(sn_ctx *ctx, const sn_tensor_file *file, int l, const char *what, int64_t d, int ndim,
                             float *out)
{
	char name[32];
	sn_format(name, sizeof name, "%d.%s", l, what);
	const sn_stored *t = sn_tensor_file_find(file, name);
	if (!t || !t->type->to_f32)
		return sn_fail(ctx, SN_ENOTFOUND, "%s: no tensor %s of numbers; a tuned lens has one for each layer",
		               sn_tensor_file_path(file), name);
	bool fits = t->ndim == ndim && t->dim[0] == d && (ndim == 1 || t->dim[1] == d);
	if (!fits)
		return sn_fail(ctx, SN_ESHAPE, "%s: tensor %s is of another width than the model's %lld",
		               sn_tensor_file_path(file), name, (long long)d);
	sn_stored_rows(t, 0, d, out);
	return SN_OK;
}

static sn_status read_all(sn_translators *out, sn_ctx *ctx, const sn_tensor_file *file)
{
	int64_t d = out->d;
	char name[32];
	for (int l = 0; l < out->n; l++) {
		SN_TRY(read_tensor(ctx, file, l, "weight", d, 2, out->weight + l * d * d));
		SN_TRY(read_tensor(ctx, file, l, "bias", d, 1, out->bias + l * d));
	}
	sn_format(name, sizeof name, "%d.weight", out->n);
	if (!sn_tensor_file_find(file, name)) return SN_OK;
	return sn_fail(ctx, SN_ESHAPE, "%s: more layers than the model's %d", sn_tensor_file_path(file), out->n);
}

sn_status sn_translators_read(sn_translators *out, sn_ctx *ctx, const sn_model *model, const char *folder,
                              sn_arena *arena)
{
	sn_tensor_file *file;
	char *path = sn_arena_format(arena, "%s/params.pt", folder);
	if (!path) return SN_ENOMEM;
	SN_TRY(sn_translators_make(out, model->shape.n_layer, model->shape.d_model, arena));
	SN_TRY(sn_tensor_file_open(&file, ctx, path));
	sn_status status = read_all(out, ctx, file);
	sn_tensor_file_close(file);
	return status;
}

/* ---- writing ---- */

static sn_status write_config(sn_ctx *ctx, const sn_model *model, const sn_translators *t, const char *path)
{
	const char *slash = strrchr(model->info.path, '/');
	json_t *config = json_pack("{s:s, s:i, s:i, s:b, s:s, s:n, s:n}", "base_model_name_or_path",
	                           slash ? slash + 1 : model->info.path, "d_model", (int)t->d, "num_hidden_layers", t->n,
	                           "bias", 1, "lens_type", "linear_tuned_lens", "base_model_revision", "unembed_hash");
	char *text = config ? json_dumps(config, JSON_INDENT(1)) : NULL;
	sn_status status = text ? sn_write_file(ctx, path, text, strlen(text)) : SN_ENOMEM;
	free(text);
	json_decref(config);
	return status;
}

static sn_status write_params(sn_ctx *ctx, const sn_translators *t, const char *path, sn_arena *arena)
{
	sn_torch_tensor *tensor;
	SN_NEW(tensor, arena, sn_torch_tensor, 2 * t->n);
	for (int l = 0; l < t->n; l++) {
		const char *weight = sn_arena_format(arena, "%d.weight", l), *bias = sn_arena_format(arena, "%d.bias", l);
		if (!weight || !bias) return SN_ENOMEM;
		tensor[2 * l] = (sn_torch_tensor){ weight, t->weight + l * t->d * t->d, 2, { t->d, t->d } };
		tensor[2 * l + 1] = (sn_torch_tensor){ bias, t->bias + l * t->d, 1, { t->d } };
	}
	return sn_torch_write(ctx, path, tensor, 2 * t->n);
}

sn_status sn_translators_write(sn_ctx *ctx, const sn_model *model, const sn_translators *t, const char *folder)
{
	sn_arena *arena;
	if (mkdir(folder, 0777) != 0 && errno != EEXIST) return sn_fail_errno(ctx, folder, "be made");
	SN_TRY(sn_arena_open(&arena, ctx));
	char *config = sn_arena_format(arena, "%s/config.json", folder);
	char *params = sn_arena_format(arena, "%s/params.pt", folder);
	sn_status status = config && params ? write_config(ctx, model, t, config) : SN_ENOMEM;
	if (status == SN_OK) status = write_params(ctx, t, params, arena);
	sn_arena_close(arena);
	return status;
}

/* ---- applying ---- */

/* y [n, d] = weight x + bias of boundary l, for x [n, d]. */
static sn_status map_layer(sn_model *model, const sn_translators *t, int l, const float *x, int64_t n, float *y)
{
	int64_t d = t->d;
	sn_packed *packed;
	SN_TRY(sn_gemm_pack(&packed, model->gemm, t->weight + l * d * d, d, d));
	sn_status status = sn_gemm_run(model->gemm, packed, x, n, y);
	sn_packed_free(model->gemm, packed);
	return status;
}

sn_status sn_translators_apply(sn_ctx *ctx, sn_model *model, const sn_translators *t, float *x, int64_t n,
                               sn_arena *arena)
{
	int64_t d = t->d, group = t->n + 1;
	float *own, *y;
	sn_mark mark = sn_arena_mark(arena);
	SN_NEW(own, arena, float, sn_gemm_room(n) * d);
	SN_NEW(y, arena, float, sn_gemm_room(n) * d);
	for (int l = 0; l < t->n; l++) {
		for (int64_t i = 0; i < n; i++) memcpy(own + i * d, x + (i * group + l) * d, (size_t)d * sizeof *x);
		SN_TRY(sn_poll(ctx));
		SN_TRY(map_layer(model, t, l, own, n, y));
		for (int64_t i = 0; i < n; i++) {
			model->kernels->add(x + (i * group + l) * d, y + i * d, d);
			model->kernels->add(x + (i * group + l) * d, t->bias + l * d, d);
		}
	}
	sn_arena_reset(arena, mark);
	return SN_OK;
}
