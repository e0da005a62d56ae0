"""report: raw samples in, medians and ratios out, as text for a terminal or Markdown for docs/performance.md.

Invariants: a ratio compares with direct Redis in the same round, and the median is taken over these ratios,
            so that a machine that slows down between rounds moves no ratio.
"""
import datetime
import statistics

import peers

DIRECT = "redis"


def summarize(samples):
    """[{row, pipeline, cells: {target: {rps, p50, p99, ratio, added_p50}}, fastest}] in the order of measuring."""
    groups = {}
    for sample in samples:
        groups.setdefault((sample["row"], sample["pipeline"]), []).append(sample)
    return [summarize_row(row, pipeline, group) for (row, pipeline), group in groups.items()]


def summarize_row(row, pipeline, group):
    direct = {s["round"]: s for s in group if s["target"] == DIRECT}
    cells = {}
    for target in dict.fromkeys(s["target"] for s in group):
        own = [s for s in group if s["target"] == target]
        cells[target] = {key: statistics.median(s[key] for s in own) for key in ("rps", "p50", "p99")}
        ratios = [s["rps"] / direct[s["round"]]["rps"] for s in own]
        cells[target].update(ratio=statistics.median(ratios), ratio_low=min(ratios), ratio_high=max(ratios))
        cells[target]["added_p50"] = statistics.median(s["p50"] - direct[s["round"]]["p50"] for s in own)
    proxies = [target for target in cells if target != DIRECT]
    fastest = max(proxies, key=lambda target: cells[target]["ratio"]) if len(proxies) > 1 else None
    return {"row": row, "pipeline": pipeline, "cells": cells, "fastest": fastest}


SHOWN = {DIRECT: "direct", "sqlite": "SQLite", "mongo": "stand-in for MongoDB"}


def shown(target):
    return SHOWN.get(target, target)


def text_table(summary):
    lines = [f"{'':24}{'req/s':>12}{'x direct':>10}{'in all rounds':>15}{'p50 ms':>9}{'p99 ms':>9}{'p50 over direct':>17}"]
    for group in summary:
        lines.append(f"{group['row']}, P={group['pipeline']}")
        lines += [text_line(group, target) for target in group["cells"]]
    lines.append("* fastest proxy of the row")
    return "\n".join(lines)


def text_line(group, target):
    cell = group["cells"][target]
    mark = "*" if target == group["fastest"] else " "
    span = "" if target == DIRECT else f"{cell['ratio_low']:.2f} - {cell['ratio_high']:.2f}"
    added = "" if target == DIRECT else f"{cell['added_p50'] * 1000:+.0f} us"
    return (f"  {mark} {shown(target):20}{cell['rps']:>12,.0f}{cell['ratio']:>10.2f}{span:>15}{cell['p50']:>9.3f}"
            f"{cell['p99']:>9.3f}{added:>17}").rstrip()


def text_memory(memory):
    return "\n".join(f"{name:12} {m['before'] / 2**20:6.1f} MiB at rest, {m['per_client'] / 1024:6.2f} KiB for each of "
                     f"{m['clients']:,} idle clients{limit_note(m)}" for name, m in memory.items())


def limit_note(m):
    return "" if m["clients"] == m["wanted"] else f" (the limit on open files allows no more; {m['wanted']:,} wanted)"


def markdown(result):
    """Everything between the markers of docs/performance.md."""
    archive = [group for group in result["summary"] if set(group["cells"]) & set(peers.ARCHIVES)]
    others = [group for group in result["summary"] if group not in archive]
    parts = [markdown_machine(result)]
    if others:
        parts += ["Requests a second (× direct):\n\n" + markdown_speed(others), markdown_latency(others)]
    if archive:
        parts += ["The archive, without Redis, requests a second (× direct):\n\n" + markdown_speed(archive),
                  markdown_latency(archive)]
    if result["memory"]:
        parts.append(markdown_memory(result["memory"]))
    return "\n\n".join(parts)


def markdown_machine(result):
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (f"Measured {result['date']} with `{result['command']}`: {machine['cores']} cores ({machine['cpu']}), "
            f"Linux {machine['kernel']}; {versions}. Rounds: {result['rounds']}; "
            f"load average before the start: {machine['load']:.1f}.")


def table(header, rows):
    head = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(head + ["| " + " | ".join(row) + " |" for row in rows])


def columns(summary):
    return list(dict.fromkeys(target for group in summary for target in group["cells"]))


def markdown_speed(summary):
    targets = columns(summary)
    rows = []
    for group in summary:
        row = [group["row"], str(group["pipeline"])]
        for target in targets:
            row.append(speed_cell(group, target))
        rows.append(row)
    return table(["", "P"] + [shown(t) for t in targets], rows)


def speed_cell(group, target):
    cell = group["cells"].get(target)
    if cell is None:
        return ""
    text = f"{cell['rps']:,.0f}" + ("" if target == DIRECT else f" ({cell['ratio']:.2f})")
    return f"**{text}**" if target == group["fastest"] else text


def markdown_latency(summary):
    targets = columns(summary)
    rows = []
    for group in summary:
        row = [group["row"], str(group["pipeline"])]
        for target in targets:
            row.append(latency_cell(group["cells"].get(target), target))
        rows.append(row)
    title = "Latency in ms: p50 / p99 (p50 over direct, µs); of a whole batch where P is 16:\n\n"
    return title + table(["", "P"] + [shown(t) for t in targets], rows)


def latency_cell(cell, target):
    if cell is None:
        return ""
    added = "" if target == DIRECT else f" ({cell['added_p50'] * 1000:+.0f})"
    return f"{cell['p50']:.3f} / {cell['p99']:.3f}{added}"


def markdown_memory(memory):
    rows = [[name, f"{m['before'] / 2**20:.1f} MiB", f"{m['per_client'] / 1024:.2f} KiB",
             f"{m['clients']:,}{limit_note(m)}"] for name, m in memory.items()]
    return "Memory (resident):\n\n" + table(["", "at rest", "each idle client", "clients"], rows)


def today():
    return datetime.date.today().isoformat()


def replace_section(path, name, text):
    """Puts text between the lines `<!-- NAME:begin … -->` and `<!-- NAME:end -->` of the file."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    begin = [i for i, line in enumerate(lines) if line.startswith(f"<!-- {name}:begin")]
    end = [i for i, line in enumerate(lines) if line.startswith(f"<!-- {name}:end")]
    if len(begin) != 1 or len(end) != 1 or end[0] < begin[0]:
        raise peers.BenchError(f"{path} has no pair of markers {name}:begin and {name}:end")
    lines[begin[0] + 1:end[0]] = ["", text, ""]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines))
