/* The context's inside; only base includes it. */
#ifndef SN_BASE_CTX_H
#define SN_BASE_CTX_H

#include "base/base.h"

typedef struct sn_checkpoint sn_checkpoint;

struct sn_ctx {
	sn_options options;   /* all defaults filled */
	sn_checkpoint *checkpoint;   /* NULL: none */
	uint64_t n_work;      /* lists of work so far; the same in all ranks and in a run that is taken up again */
	bool parted;          /* the ranks' run has ended: nothing is exchanged any more */
	volatile sig_atomic_t cancelled;
	char error[2048];
};

/* Closes the context's checkpoint, if it has one; the file stays. */
void sn_checkpoint_close(sn_ctx *ctx);

#endif
