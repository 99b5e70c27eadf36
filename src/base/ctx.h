/* The context's inside; only base includes it. */
#ifndef SN_BASE_CTX_H
#define SN_BASE_CTX_H

#include "base/base.h"

struct sn_ctx {
	sn_options options;   /* all defaults filled */
	volatile sig_atomic_t cancelled;
	char error[2048];
};

#endif
