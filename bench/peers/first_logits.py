"""usage: first_logits.py FOLDER   transformers from process start to the log-probability of a short sentence"""
import sys

from common import load, say, torch

model, tokenizer = load(sys.argv[1])
ids = tokenizer("The keys to the cabinet are on the table.", return_tensors="pt")["input_ids"]
with torch.no_grad():
    loss = model(ids, labels=ids).loss.item()
say(what="transformers first logits", mean_loss=round(loss, 6))
