/* The table of architectures: its rows stand in arch_*.c. */
#include "model/arch_rows.h"

#include "base/base.h"

#include <string.h>

static const struct { const sn_arch *const *row; const int *n; } family[] = {
	{ sn_arch_llamas, &sn_arch_n_llamas }, { sn_arch_gpts, &sn_arch_n_gpts },
	{ sn_arch_gemmas, &sn_arch_n_gemmas }, { sn_arch_encoders, &sn_arch_n_encoders },
	{ sn_arch_seq2seqs, &sn_arch_n_seq2seqs },
};

const sn_arch *sn_arch_at(int i)
{
	for (int f = 0; i >= 0 && f < SN_COUNT(family); i -= *family[f].n, f++)
		if (i < *family[f].n) return family[f].row[i];
	return NULL;
}

/* ---- finding ---- */

static const char *name_of(const sn_arch *arch, bool gguf) { return gguf ? arch->gguf_name : arch->model_type; }

/* Edit distance (Levenshtein) of two names, of which the first 63 characters count. */
static int distance(const char *a, const char *b)
{
	enum { MOST = 63 };
	int row[MOST + 1], n = (int)strnlen(b, MOST);
	for (int j = 0; j <= n; j++) row[j] = j;
	for (int i = 1; i <= MOST && a[i - 1]; i++) {
		int diagonal = row[0];
		row[0] = i;
		for (int j = 1; j <= n; j++) {
			int substituted = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = SN_MIN(substituted, SN_MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

static sn_status unknown(sn_ctx *ctx, const char *where, const char *key, const char *name, bool gguf)
{
	char known[1024] = "";
	const char *nearest = "";
	const sn_arch *arch;
	int used = 0, least = INT32_MAX;
	for (int i = 0; (arch = sn_arch_at(i)) && used < (int)sizeof known - 32; i++) {
		const char *other = name_of(arch, gguf);
		if (!other) continue;
		used += sn_format(known + used, sizeof known - (size_t)used, "%s%s", used ? ", " : "", other);
		int d = distance(name, other);
		if (d < least) least = d, nearest = other;
	}
	return sn_fail(ctx, SN_EUNKNOWN, "%s: %s is \"%.64s\", which this version does not know; nearest: %s; it knows: %s",
	               where, key, name, nearest, known);
}

static sn_status find(sn_ctx *ctx, const char *where, const char *key, const char *name, bool gguf, const sn_arch **out)
{
	for (int i = 0; (*out = sn_arch_at(i)); i++)
		if (name_of(*out, gguf) && strcmp(name_of(*out, gguf), name) == 0) return SN_OK;
	return unknown(ctx, where, key, name, gguf);
}

sn_status sn_arch_find_gguf(sn_ctx *ctx, const char *where, const char *name, const sn_arch **out)
{
	return find(ctx, where, "general.architecture", name, true, out);
}

sn_status sn_arch_find_hf(sn_ctx *ctx, const char *where, const char *model_type, const sn_arch **out)
{
	return find(ctx, where, "model_type", model_type, false, out);
}

/* ---- parts ---- */

#define BIT(id) SN_PART_BIT(id)

uint64_t sn_form_parts(const sn_form *form, uint64_t parts)
{
	bool rel = form->position == SN_POSITION_DISENTANGLED;
	uint64_t none = 0;
	if (!form->gated) none |= BIT(GATE) | BIT(GATE_B);
	if (form->parallel == SN_PARALLEL_ONE_NORM) none |= BIT(MLP_NORM) | BIT(MLP_NORM_B);
	if (!form->branch_norm) none |= BIT(ATTN_POST_NORM) | BIT(MLP_POST_NORM);
	if (!form->pre_norm && !form->post_norm)
		none |=
			BIT(ATTN_NORM) | BIT(ATTN_NORM_B) | BIT(MLP_NORM) | BIT(MLP_NORM_B) | BIT(CROSS_NORM) | BIT(CROSS_NORM_B);
	if (form->qk_norm == SN_QK_NORM_NONE) none |= BIT(Q_NORM) | BIT(K_NORM);
	if (form->position != SN_POSITION_LEARNED && !rel) none |= BIT(POS_EMBED);
	if (form->position != SN_POSITION_BUCKETS) none |= BIT(REL_BIAS);
	if (!rel)
		none |=
			BIT(REL_EMBED) | BIT(REL_NORM) | BIT(REL_NORM_B) | BIT(REL_Q) | BIT(REL_Q_B) | BIT(REL_K) | BIT(REL_K_B);
	if (!form->cross)
		none |= BIT(CROSS_NORM) | BIT(CROSS_NORM_B) | BIT(CROSS_Q) | BIT(CROSS_Q_B) | BIT(CROSS_K) | BIT(CROSS_K_B) |
		        BIT(CROSS_V) | BIT(CROSS_V_B) | BIT(CROSS_O) | BIT(CROSS_O_B);
	return parts & ~none;
}

uint64_t sn_arch_parts(const sn_arch *arch)
{
	uint64_t parts = 0;
	for (int part = 1; part < SN_PART_COUNT; part++)
		if (arch->hf[part].name || arch->gguf[part].name) parts |= UINT64_C(1) << part;
	return sn_form_parts(&arch->form, parts) & ~arch->optional;
}
