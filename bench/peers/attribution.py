"""captum's integrated gradients of one sentence's choice; timed without loading, after one run to warm up.

usage: attribution.py run FOLDER RUNS OUT              50 equal steps from zero embeddings, 50 a batch
       attribution.py until FOLDER zero|mean MOST      twice as many steps until the gap is 1 % of the rise, or MOST
       attribution.py agree PEER OURS TOLERANCE [OURS TOLERANCE]...
f: the logit of " are" less that of " is" after the sentence. OUT: the tokens' scores, a JSON list.
"""
import json
import sys

from common import agreed, load, np, say, Timer, torch

TEXT = "The keys to the cabinet that the old man bought in the market yesterday"
STEPS = 50


def sentence(folder):
    """The choice as a function of embeddings, and the sentence's embeddings."""
    model, tokenizer = load(folder)
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    want, foil = (tokenizer(word)["input_ids"][0] for word in (" are", " is"))
    embeds = model.get_input_embeddings()(ids).detach()

    def choice(x):
        logits = model(inputs_embeds=x, use_cache=False, logits_to_keep=1).logits[:, -1]
        return logits[:, want] - logits[:, foil]

    return choice, embeds


def integrate(choice, embeds, baseline, steps):
    from captum.attr import IntegratedGradients
    return IntegratedGradients(choice).attribute(embeds, baseline, n_steps=steps, method="riemann_middle",
                                                 internal_batch_size=STEPS, return_convergence_delta=True)


def until(folder, name, most):
    choice, embeds = sentence(folder)
    baseline = torch.zeros_like(embeds) if name == "zero" else embeds.mean(1, keepdim=True).expand_as(embeds).contiguous()
    rise = float(choice(embeds) - choice(baseline))
    integrate(choice, embeds, baseline, STEPS)
    steps = STEPS
    while True:
        timer = Timer()
        gap = float(integrate(choice, embeds, baseline, steps)[1])
        seconds = timer.read()
        if abs(gap) <= 0.01 * abs(rise) or 2 * steps > int(most):
            break
        steps *= 2
    say(what=f"captum integrated gradients from {name}", points=steps, rise=round(rise, 5), gap=round(gap, 5),
        s=round(seconds["s"], 4), cpu_s=round(seconds["cpu_s"], 3))


def run(folder, runs, out):
    choice, embeds = sentence(folder)

    def once():
        return integrate(choice, embeds, torch.zeros_like(embeds), STEPS)
    once()
    timer = Timer()
    for _ in range(int(runs)):
        scores, delta = once()
    seconds = timer.read()
    with open(out, "w", encoding="utf8") as file:
        json.dump(scores.sum(-1)[0].tolist(), file)
    say(what="captum integrated gradients", tokens=embeds.shape[1], points=STEPS, gap=round(float(delta), 5),
        s=round(seconds["s"] / int(runs), 4), cpu_s=round(seconds["cpu_s"] / int(runs), 3))


def agree(peer, *ours):
    with open(peer, encoding="utf8") as file:
        expected = np.array(json.load(file))
    found = []
    for path, tolerance in zip(ours[::2], ours[1::2]):
        with open(path, encoding="utf8") as file:
            error = np.linalg.norm(np.array(json.load(file)) - expected) / np.linalg.norm(expected)
        found.append((error, float(tolerance)))
    return found


if __name__ == "__main__":
    if sys.argv[1] == "agree":
        found = agree(*sys.argv[2:])
        agreed(all(error <= most for error, most in found), "scores, relative: " + ", ".join(f"{error:.1e}" for error, _ in found))
    elif sys.argv[1] == "until":
        until(*sys.argv[2:])
    else:
        run(*sys.argv[2:])
