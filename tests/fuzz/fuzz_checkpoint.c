/* A checkpoint that is taken up: whatever stands there, records are whole or not there, and one can be added and read
 * back. */
#include "fuzz.h"

#include <string.h>

#include "base/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_ctx *ctx = fuzz_ctx();
	uint64_t value = 7, again = 0;
	if (size == 0) return 0;
	fuzz_write("checkpoint", bytes, size);
	if (!fuzz_ok(sn_checkpoint_attach(ctx, fuzz_path("checkpoint"), true))) return 0;
	(void)fuzz_ok(sn_checkpoint_identify(ctx, "seed", "1"));
	sn_checkpoint_announce(ctx);
	for (uint64_t i = 0; i < 4; i++)
		if (sn_checkpoint_has(ctx, 1, i, sizeof again))
			fuzz_require(fuzz_ok(sn_checkpoint_read(ctx, 1, i, &again, sizeof again)));
	fuzz_require(sn_checkpoint_marked(ctx, 2) == 0); /* there is no file that it could speak of */
	fuzz_require(fuzz_ok(sn_checkpoint_add(ctx, 1, 9, &value, sizeof value)));
	fuzz_require(sn_checkpoint_has(ctx, 1, 9, sizeof again));
	fuzz_require(fuzz_ok(sn_checkpoint_read(ctx, 1, 9, &again, sizeof again)) && again == value);
	sn_checkpoint_remove(ctx);
	return 0;
}
