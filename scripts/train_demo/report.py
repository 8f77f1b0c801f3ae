"""Fill the results into the README files, between <!-- x --> and <!-- /x --> marks.

    python report.py --model tests/models/emoji-llava --vqa tests/data/emoji-vqa/transformers.json \
        --held held.json --seen seen.json
"""
import argparse, json, re
from pathlib import Path

KINDS = ["name", "kind", "count", "position", "where"]


def cell(r, k):
    p = r["per_kind"].get(k)
    return f"{100 * p['fraction']:.1f} % ({p['correct']}/{p['total']})" if p else "-"


def total(r):
    e = r["exact_match"]
    return f"{100 * e['fraction']:.1f} % ({e['correct']}/{e['total']})"


def fill(path, mark, text):
    s = path.read_text()
    s = re.sub(rf"<!-- {mark} -->.*?<!-- /{mark} -->",
               lambda _: f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->", s, flags=re.S)
    path.write_text(s)


def main():
    ap = argparse.ArgumentParser()
    for k in ("model", "vqa", "held", "seen"):
        ap.add_argument("--" + k, type=Path, required=True)
    a = ap.parse_args()
    vqa, held, seen = (json.load(open(p)) for p in (a.vqa, a.held, a.seen))
    t = ["| question | benchmark, held-out drawings | larger held-out set | seen drawings, new layouts |", "|---|---|---|---|"]
    t += [f"| {k} | {cell(vqa, k)} | {cell(held, k)} | {cell(seen, k)} |" for k in KINDS]
    t.append(f"| all | {total(vqa)} | {total(held)} | {total(seen)} |")
    fill(a.model / "README.md", "results", "\n".join(t))
    s = ["| held-out style | right / all |", "|---|---|"]
    s += [f"| {k} | {v['correct']}/{v['total']} |" for k, v in held["name_per_style"].items()]
    fill(a.model / "README.md", "styles", "\n".join(s))
    b = ["| kind | questions | right |", "|---|---|---|"]
    b += [f"| {k} | {vqa['per_kind'][k]['total']} | {vqa['per_kind'][k]['correct']} |" for k in KINDS]
    b.append(f"| all | {vqa['exact_match']['total']} | {vqa['exact_match']['correct']} |")
    fill(a.vqa.parent / "README.md", "results", "\n".join(b))


if __name__ == "__main__":
    main()
