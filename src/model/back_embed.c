/* Embeddings on the way down, to the sum of words, positions and token types. */
#include "model/back.h"

#include <string.h>

static sn_status project_back(sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	if (!p->model->project.w) return SN_OK;
	SN_TRY(sn_affine_back(p, p->model->project_back, p->back->dx, p->now.m, p->h));
	memcpy(p->back->dx, p->h, (size_t)(p->now.m * s->d_embed) * sizeof *p->h);
	return SN_OK;
}

/* A table's rows have the sum's derivative; edits of them end here. */
static sn_status table_back(sn_pass *p, sn_site_kind site)
{
	int64_t d = sn_sum_width(&p->model->shape);
	if (!sn_pass_touched(p, site)) return SN_OK;
	memcpy(p->h, p->back->dx, (size_t)(p->now.m * d) * sizeof *p->h);
	return sn_visit_back(p, site, p->h, d);
}

sn_status sn_embed_back(sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	int64_t d = sn_sum_width(s);
	SN_TRY(sn_model_need_ends_back(p->ctx, p->model));
	if (!s->form.project_first) SN_TRY(project_back(p));
	if (p->model->embed_norm.weight) SN_TRY(sn_visit_back(p, SN_SITE_FULL_EMBED, p->back->dx, d));
	SN_TRY(sn_norm_back(p, &p->model->embed_norm, &p->back->norm[SN_SAVED_EMBED - SN_SAVED_IN_BLOCK], p->back->dx, d,
	                    SN_SITE_EMBED_LN_SCALE, SN_SITE_EMBED_LN_NORMALIZED));
	SN_TRY(table_back(p, SN_SITE_TOKEN_TYPE_EMBED));
	SN_TRY(table_back(p, SN_SITE_POS_EMBED));
	return sn_visit_back(p, SN_SITE_EMBED, p->back->dx, d);
}
