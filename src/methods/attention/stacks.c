/* The stacks of heads that a model has. */
#include "methods/attention/attention.h"
#include "model/model.h"

static void add(sn_attn_stacks *out, const char *name, sn_attn_kind kind, const sn_shape *shape)
{
	out->stack[out->n++] = (sn_attn_stack){ name, kind, shape->n_layer, shape->n_head, shape->n_kv_head, shape->d_head,
		                                    out->n_head };
	out->n_head += shape->n_layer * shape->n_head;
}

sn_attn_stacks sn_attn_stacks_of(const sn_model *model)
{
	sn_attn_stacks out = { 0 };
	if (model->encoder) add(&out, "encoder", SN_ATTN_ENCODER, &model->encoder->shape);
	add(&out, model->info.causal ? "decoder" : "encoder", SN_ATTN_SELF, &model->shape);
	if (model->encoder) add(&out, "cross", SN_ATTN_CROSS, &model->shape);
	return out;
}

sn_attn_place sn_attn_place_of(const sn_attn_stacks *stacks, int head)
{
	int s = stacks->n - 1;
	while (head < stacks->stack[s].first) s--;
	const sn_attn_stack *stack = &stacks->stack[s];
	int layer = (head - stack->first) / stack->n_head;
	return (sn_attn_place){ stack, layer, (head - stack->first) % stack->n_head,
		                    stack->first + layer * stack->n_head };
}

static sn_site site_of(const sn_attn_stack *stack, sn_site_kind own, sn_site_kind cross, int layer, int head)
{
	return (sn_site){ .kind = (uint16_t)(stack->kind == SN_ATTN_CROSS ? cross : own),
		              .stack = (uint8_t)(stack->kind == SN_ATTN_ENCODER ? SN_STACK_ENCODER : SN_STACK_ONLY),
		              .layer = (int16_t)layer, .head = (int16_t)(head + 1) };
}

sn_site sn_attn_z(const sn_attn_stack *stack, int layer, int head)
{
	return site_of(stack, SN_SITE_Z, SN_SITE_CROSS_Z, layer, head);
}

sn_site sn_attn_weights(const sn_attn_stack *stack, int layer)
{
	return site_of(stack, SN_SITE_PATTERN, SN_SITE_CROSS_PATTERN, layer, -1);
}

sn_site sn_attn_v(const sn_attn_stack *stack, int layer)
{
	return site_of(stack, SN_SITE_V, SN_SITE_CROSS_V, layer, -1);
}
