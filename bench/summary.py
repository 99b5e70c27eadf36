"""usage: summary.py RUNS.jsonl COMMIT HISTORY.tsv   prints medians, ranges and ratios; appends one line to the history."""
import json, os, statistics, sys

rows = [json.loads(line) for line in open(sys.argv[1])]


def values(what, key):
    return sorted(r[key] for r in rows if r["what"] == what and key in r)


def show(title, unit, ours, theirs, better):
    a, b = statistics.median(ours), statistics.median(theirs)
    ratio = a / b if better == "higher" else b / a
    print(f"{title}: sonde {a:.2f} [{ours[0]:.2f}, {ours[-1]:.2f}], peer {b:.2f} [{theirs[0]:.2f}, {theirs[-1]:.2f}] {unit}; "
          f"ratio {ratio:.2f} ({len(ours)} runs each, median [min, max])")
    return ratio


line = {"commit": sys.argv[2]}
line["forward_ratio"] = show("forward + all residual streams to a file", "tokens/s", values("sonde forward", "tok_s"),
                             values("transformers forward", "tok_s"), "higher")
line["forward_tok_s"] = statistics.median(values("sonde forward", "tok_s"))
line["forward_rss_gb"] = max(values("sonde forward", "rss_gb"))
print(f"  peak memory: sonde {line['forward_rss_gb']:.2f} GB, transformers {max(values('transformers forward', 'rss_gb')):.2f} GB")
show("start to first logits", "s", values("sonde first logits", "wall_s"), values("transformers first logits", "wall_s"), "lower")
line["first_logits_s"] = statistics.median(values("sonde first logits", "wall_s"))
if values("sonde probes", "s"):
    line["probe_ratio"] = show("probes: eight sites, task and control, five strengths", "ms a fit", values("sonde probes", "ms_fit"),
                               values("scikit-learn probes", "ms_fit"), "lower")
for r in rows:
    if r["what"] == "agreement":
        print(f"agreement: same ids {r['same_ids']}, largest relative difference of a residual stream {r['largest_relative_difference']:.1e}")
        line["agreement"] = r["largest_relative_difference"]
    if r["what"] == "probe agreement":
        print(f"probes: sonde's objective is not above the peer's in {r['objective_not_above']} of {r['fits']} fits; same predictions {r['same_predictions']:.4f}")
    if r["what"].startswith("sonde localize"):
        print(f"{r['what']}: {r['wall_s']:.1f} s, {r['cpu_s']:.1f} processor seconds, peak {r['rss_gb']:.2f} GB")
        line[r["what"].replace(" ", "_") + "_s"] = r["wall_s"]
new = not os.path.exists(sys.argv[3])
with open(sys.argv[3], "a") as history:
    if new:
        print("\t".join(line), file=history)
    print("\t".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in line.values()), file=history)
