/* Holds a model against a sites.safetensors file of tests/golden (its README says what is in one): every site, loss and
 * logits of its rows. A difference fails the test and names the site. */
#ifndef SN_TEST_SITE_ORACLE_H
#define SN_TEST_SITE_ORACLE_H

#include "common/test.h"
#include "io/tensor_file.h"

typedef struct site_oracle {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_model *model;
	sn_tensor_file *file;
	sn_batch batch;      /* the file's rows */
	sn_batch encoder;    /* the rows that an encoder-decoder's encoder reads; batch.enc points to it */
	double worst;        /* largest relative error of a site so far */
	const char *site;    /* where: "row0/blocks.1.attn.hook_z" */
} site_oracle;

/* Opens folder/sites.safetensors and the model folder/file ("" for file: the folder itself). */
void site_oracle_open(site_oracle *o, sn_ctx *ctx, const char *folder, const char *file);
void site_oracle_close(site_oracle *o);
/* Taps every site the file names: relative L2 error at most 1e-5, masked scores aside. Returns how many sites. */
int64_t site_oracle_sites(site_oracle *o);
/* Every site of every kind that the model says it has must be in the file for its first row, unless the file keeps the
 * residual streams only. */
void site_oracle_claims(site_oracle *o);
/* SN_LOSS of each row against the file's mean next-token loss, to 1e-5; nothing where the file has no loss. */
void site_oracle_loss(site_oracle *o);
/* SN_LOGIT of every token, summed over each row, against the file's logits, after soft-caps and biases; nothing where
 * the file has no loss. */
void site_oracle_logits(site_oracle *o);

#endif
