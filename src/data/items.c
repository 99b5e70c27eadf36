/* How many items the presets ask for. */
#include "data/items.h"

sn_items_size sn_items_preset(sn_effort effort)
{
	static const sn_items_size size[] = {
		[SN_EFFORT_QUICK] = { .probe = 480, .pair = { 48, 24, 24 } },
		[SN_EFFORT_STANDARD] = { .probe = 960, .pair = { 120, 60, 60 } },
		[SN_EFFORT_THOROUGH] = { .probe = 4000, .pair = { 400, 200, 200 } },
	};
	SN_ASSERT((unsigned)effort < SN_EFFORTS);
	return size[effort];
}

sn_items_size sn_items_share(int64_t n)
{
	sn_items_size standard = sn_items_preset(SN_EFFORT_STANDARD), size = standard;
	int64_t all = standard.probe;
	for (int k = 0; k < SN_PAIR_KINDS; k++) all += 2 * standard.pair[k];
	size.probe = SN_MAX(2, n * standard.probe / all);
	for (int k = 0; k < SN_PAIR_KINDS; k++) size.pair[k] = SN_MAX(1, n * standard.pair[k] / all);
	return size;
}
