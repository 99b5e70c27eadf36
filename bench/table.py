"""From the records of bench.py to the table (Markdown) and a line of history.tsv."""
import statistics


def values(records, row, side, value):
    """Sorted values of a side's runs; value: a key of the records, or a function of one (None: it has none)."""
    read = value if callable(value) else lambda record: record.get(value)
    found = [read(r) for r in records if r["row"] == row["name"] and r["side"] == side and r["exit"] == 0]
    return sorted(x for x in found if x is not None)


def find(row, name):
    return next(side for side in row["side"] if side["name"] == name)


def key_of(row, side):
    return side.get("value", row.get("value", "wall_s"))


def median(found):
    return statistics.median(found) if found else None


def better(a, b, direction):
    """How many times better a is than b."""
    if a is None or b is None or min(a, b) <= 0:
        return None
    return a / b if direction == "higher" else b / a


def ratio(row, records, compare):
    direction = compare.get("better", row.get("better", "lower"))
    a, b = (median(values(records, row, compare[who], compare.get("value", key_of(row, find(row, compare[who])))))
            for who in ("ours", "theirs"))
    return better(a, b, direction)


def processor_ratio(row, records, compare):
    """The same of processor time: what other programs on the machine disturb less."""
    if "value" in compare or row.get("unit", "s") in ("GB", "GFLOP/s"):
        return None
    direction = row.get("better", "lower")

    def adjusted(key):
        def of(record):
            seconds, cpu = record.get("s", record["wall_s"]), record["cpu_s"]
            if key not in record or seconds <= 0 or cpu <= 0:
                return None
            return record[key] * (seconds / cpu if direction == "higher" else cpu / seconds)
        return of

    a, b = (median(values(records, row, compare[who], adjusted(key_of(row, find(row, compare[who]))))) for who in ("ours", "theirs"))
    return better(a, b, direction)


def number(x):
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def side_line(row, records, side):
    name = side["name"]
    found, memory, cpu = (values(records, row, name, key) for key in (key_of(row, side), "rss_gb", "cpu_s"))
    if not found:
        return f"| {name} | – | | | |"
    shares = values(records, row, name, "share")
    note = f" (measured {100 * shares[0]:.2g} %, scaled)" if shares and shares[0] < 1 else ""
    return (f"| {name}{note} | {number(median(found))} [{number(found[0])}, {number(found[-1])}] | {len(found)} | "
            f"{number(median(cpu))} | {max(memory):.2f} |")


def compare_line(row, records, compare):
    what = f"{compare.get('label', '')}{compare['ours']} / {compare['theirs']}"
    found = ratio(row, records, compare)
    if found is None:
        return f"{what}: not measured"
    by_cpu = processor_ratio(row, records, compare)
    reach = compare.get("reach")
    return (f"{what}: **{found:.2f}**" + (f" (by processor time {by_cpu:.2f})" if by_cpu else "")
            + ("" if reach is None else f"; to reach {reach:g}: {'met' if found >= reach else 'missed'}"))


def limit_line(row, records, limit):
    found = values(records, row, limit["side"], limit["value"])
    if not found:
        return f"{limit['side']}: not measured"
    return f"{limit['side']}: {found[-1]:.3g} {limit['unit']}; at most {limit['at_most']:g}: {'met' if found[-1] <= limit['at_most'] else 'missed'}"


def row_text(row, records):
    lines = [f"### {row['title']}", "", row["work"], ""]
    if row.get("side"):
        lines += [f"| | median [least, most], {row.get('unit', 's')} | runs | processor s | peak GB |", "|---|---|---|---|---|"]
        lines += [side_line(row, records, side) for side in row["side"]] + [""]
    lines += [f"- {compare_line(row, records, compare)}" for compare in row.get("compare", [])]
    lines += [f"- {limit_line(row, records, limit)}" for limit in row.get("limit", [])]
    for r in records:
        if r["row"] == row["name"] and r["kind"] == "agree":
            text = r.get("agreement", f"no answer, exit code {r['exit']}")
            lines.append(f"- {r['side']}: {text}{'' if r.get('ok', False) else ' – NOT OK'}")
    return "\n".join(lines) + "\n"


def markdown(rows, records, head):
    busy = " – the machine was busy: compare processor times" if head["load"] > 0.5 * head["processors"] else ""
    top = f"{head['when']}, commit {head['commit']}, {head['processor']}, {head['processors']} processors, load {head['load']}{busy}\n"
    return top + "\n" + "\n".join(row_text(row, records) for row in rows)


def figures(rows, records):
    line = {}
    for row in rows:
        for side in row.get("side", []):
            found, memory = values(records, row, side["name"], key_of(row, side)), values(records, row, side["name"], "rss_gb")
            if "history" in side and found:
                line[side["history"]] = median(found)
            if "history_rss" in side and memory:
                line[side["history_rss"]] = memory[-1]
        for compare in row.get("compare", []):
            found = ratio(row, records, compare)
            if "history" in compare and found is not None:
                line[compare["history"]] = found
    return line


def add_line(path, head, rows, records):
    """Adds a line; columns that are new are appended, and are - in older lines."""
    old = [line.split("\t") for line in path.read_text(encoding="utf8").splitlines()] if path.exists() else [["commit"]]
    columns, lines = old[0], [dict(zip(old[0], line)) for line in old[1:]]
    new = {"commit": head["commit"], "processor": head["processor"]} | {k: f"{v:.4g}" for k, v in figures(rows, records).items()}
    columns += [name for name in new if name not in columns]
    text = ["\t".join(columns)] + ["\t".join(line.get(name, "-") for name in columns) for line in lines + [new]]
    path.write_text("\n".join(text) + "\n", encoding="utf8")
