/* The methods, in the order they are listed. A new method is one file that ends in its row, and two lines here. */
#include "sonde.h"

#include <string.h>

/* X(variable of the row), e.g. X(sn_method_probe_linear) */
#define METHODS(X)                                                                                                    \
	X(sn_method_localize)                                                                                             \
	X(sn_method_capture)                                                                                              \
	X(sn_method_run_plan)                                                                                             \
	X(sn_method_generate)                                                                                             \
	X(sn_method_behaviour_pairs)                                                                                      \
	X(sn_method_behaviour_surprisal)                                                                                  \
	X(sn_method_behaviour_cloze)                                                                                      \
	X(sn_method_behaviour_templates)                                                                                  \
	X(sn_method_probe_linear)                                                                                         \
	X(sn_method_probe_mlp)                                                                                            \
	X(sn_method_causal_patch)                                                                                         \
	X(sn_method_causal_erase)                                                                                         \
	X(sn_method_attribute_saliency)                                                                                   \
	X(sn_method_attribute_gradient_x_input)                                                                           \
	X(sn_method_attribute_smoothgrad)                                                                                 \
	X(sn_method_attribute_integrated_gradients)                                                                       \
	X(sn_method_attribute_deeplift)                                                                                   \
	X(sn_method_attribute_patching)                                                                                   \
	X(sn_method_attribute_ablation)                                                                                   \
	X(sn_method_attribute_occlusion)                                                                                  \
	X(sn_method_attribute_leave_one_out)                                                                              \
	X(sn_method_attention_maps)                                                                                       \
	X(sn_method_attention_heads)                                                                                      \
	X(sn_method_attention_prune)                                                                                      \
	X(sn_method_attention_knockout)                                                                                   \
	X(sn_method_attention_explanation_tests)                                                                          \
	X(sn_method_lens_logit)                                                                                           \
	X(sn_method_lens_tuned)                                                                                           \
	X(sn_method_lens_direct)                                                                                          \
	X(sn_method_lens_neurons)                                                                                         \
	X(sn_method_lens_matrices)                                                                                        \
	X(sn_method_lens_gradients)                                                                                       \
	X(sn_method_lens_recall)                                                                                          \
	X(sn_method_model_check)

#define DECLARE(row) extern const sn_method row;
METHODS(DECLARE)

#define ADDRESS(row) &row,
static const sn_method *const methods[] = { METHODS(ADDRESS) NULL };

const sn_method *sn_method_at(int i)
{
	int n = (int)(sizeof methods / sizeof methods[0]) - 1;
	return i >= 0 && i < n ? methods[i] : NULL;
}

const sn_method *sn_method_find(const char *family, const char *name)
{
	for (int i = 0; methods[i]; i++)
		if (strcmp(methods[i]->family, family) == 0 && strcmp(methods[i]->name, name) == 0) return methods[i];
	return NULL;
}
