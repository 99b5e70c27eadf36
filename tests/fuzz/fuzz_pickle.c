/* Pickles: the tree, walked to a bounded depth, holds only values of the kinds there are, and none is called. */
#include "fuzz.h"

#include "io/pickle.h"

enum { DEPTH = 6, VISITS = 100000 };

static int visits;

static void walk(const sn_pickle_value *v, int depth)
{
	fuzz_require(v != NULL && v->kind <= SN_PICKLE_PERSISTENT);
	fuzz_require(v->kind != SN_PICKLE_DICT || v->n % 2 == 0);
	fuzz_require(v->kind != SN_PICKLE_CALL || (v->n == 2 && v->item[0]->kind == SN_PICKLE_GLOBAL));
	fuzz_require(sn_pickle_kind_name(v)[0] != '\0');
	if (v->kind == SN_PICKLE_GLOBAL) fuzz_require(strlen(v->text) == v->text_size);
	if (v->kind < SN_PICKLE_TUPLE || v->kind == SN_PICKLE_GLOBAL || depth == DEPTH) return;
	for (uint32_t i = 0; i < v->n && visits < VISITS; i++, visits++) walk(v->item[i], depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const global[] = { "collections.OrderedDict", "torch._utils._rebuild_tensor_v2",
										  "torch.FloatStorage", "a.b", NULL };
	sn_pickle_options options = { global, 1 << 20 };
	sn_pickle pickle;
	sn_arena *arena;
	fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
	if (fuzz_ok(sn_pickle_read(&pickle, arena, "input", 0, bytes, size, &options))) {
		fuzz_require(pickle.size <= size);
		visits = 0;
		walk(pickle.root, 0);
		(void)sn_pickle_get(pickle.root, "a");
	}
	sn_arena_close(arena);
	return 0;
}
