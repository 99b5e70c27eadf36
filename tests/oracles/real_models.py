"""Reference numbers of real models other than SmolLM2: Gemma 3 270M (GGUF, dequantised) and all-MiniLM-L6-v2, float32.

Of each text: ids, the norm of the residual stream at every position of every layer, and, of Gemma, the losses."""
import torch
import transformers
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from common import GOLDEN, SMOLLM2, versions, write_json

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
MODELS = SMOLLM2.parent
GEMMA, MINILM = "gemma-3-270m-q4_k_m.gguf", "all-MiniLM-L6-v2"
TEXTS = ["The keys to the cabinet are on the table.", "Ключи от шкафа лежат на столе."]


def norms(hidden):
    """[layers][positions]"""
    return [[float(f"{v:.7g}") for v in h[0].double().norm(dim=-1).tolist()] for h in hidden]


@torch.no_grad()
def record(model, ids, loss):
    out = model(torch.tensor([ids]), output_hidden_states=True)
    made = {"ids": ids, "norms": norms(out.hidden_states)}
    if loss:
        logp = out.logits[0, :-1].double().log_softmax(-1)
        made["mean_loss"] = -float(logp.gather(-1, torch.tensor(ids[1:])[:, None]).mean())
    return made


def write(name, model, tokenizer, loss):
    texts = [{"text": text, **record(model, tokenizer(text)["input_ids"], loss)} for text in TEXTS]
    write_json(GOLDEN / name / "reference.json", dict(
        made_by="tests/oracles/real_models.py", dtype="float32", versions=versions("transformers", "torch", "tokenizers"),
        about="norms: of the residual stream entering each block, then of what the last hidden state of transformers is",
        texts=texts))


write("minilm", AutoModel.from_pretrained(MODELS / MINILM, dtype=torch.float32, attn_implementation="eager").eval(),
      AutoTokenizer.from_pretrained(MODELS / MINILM), False)
write("gemma3", AutoModelForCausalLM.from_pretrained(MODELS, gguf_file=GEMMA, dtype=torch.float32,
                                                     attn_implementation="eager").eval(),
      AutoTokenizer.from_pretrained(MODELS, gguf_file=GEMMA), True)
