"""Build the picture-question benchmark from held-out drawings only.

    python build_vqa.py --work WORKDIR --out tests/data/emoji-vqa

Fixed seed; nothing here looks at a model. Writes images/*.png and questions.jsonl.
With --extra it writes the larger sets of the results table instead
(every held-out drawing, every seen drawing, more scenes).
"""
import argparse, json, random
from pathlib import Path

import numpy as np
from PIL import Image

from common import COUNT_ALL_Q, KIND_Q, NAME_Q, POSITIONS, count_q, load_concepts, position_q, where_q


def ground(rng):
    return (255, 255, 255) if rng.random() < 0.3 else tuple(rng.randint(185, 255) for _ in range(3))


def paste(canvas, rgba, box, rng):
    """Put a drawing at 80-95 % of the box's shorter side, anywhere that fits."""
    x0, y0, w, h = box
    side = max(8, round(min(w, h) * rng.uniform(0.8, 0.95)))
    im = Image.fromarray(rgba).convert("RGBa").resize((side, side), Image.LANCZOS).convert("RGBA")
    x, y = x0 + rng.randint(0, w - side), y0 + rng.randint(0, h - side)
    canvas.paste(im, (x, y), im)


def single(rgba, size, rng):
    im = Image.new("RGB", size, ground(rng))
    paste(im, rgba, (0, 0, *size), rng)
    return im


def grid(cells, pick, size, rng):
    im = Image.new("RGB", size, ground(rng))
    w, h = size[0] // 2, size[1] // 2
    for p, c in enumerate(cells):
        if c is not None:
            paste(im, pick(c), (w * (p % 2), h * (p // 2), w, h), rng)
    return im


def layout(n, k, rng):
    """k different things in a 2x2 grid."""
    cells = [None] * 4
    for p, c in zip(rng.sample(range(4), k), rng.sample(range(n), k)):
        cells[p] = c
    return cells


def repeated(n, k, m, rng):
    """k things of which exactly m are the same; returns cells and that thing."""
    cs = rng.sample(range(n), k - m + 1)
    order = [cs[0]] * m + cs[1:]
    cells = [None] * 4
    for p, c in zip(rng.sample(range(4), k), order):
        cells[p] = c
    return cells, cs[0]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--extra", choices=["held", "seen"])
    a = ap.parse_args()
    info = load_concepts(a.work)
    concepts = info["concepts"]
    npz = np.load(a.work / "pictures.npz")
    rgba, meta = npz["rgba"], npz["meta"]
    want = 0 if a.extra == "seen" else 1
    by = [[i for i in np.nonzero((meta[:, 0] == c) & (meta[:, 2] == want))[0]] for c in range(len(concepts))]
    rng = random.Random(20261123 + {None: 0, "held": 1, "seen": 2}[a.extra])

    def pick(c):
        return rgba[rng.choice(by[c])]

    (a.out / "images").mkdir(parents=True, exist_ok=True)
    for old in (a.out / "images").glob("*.png"):
        old.unlink()
    rows = []

    def save(im, stem):
        rel = f"images/{stem}.png"
        im.save(a.out / rel, optimize=True)
        return rel

    def ask(rel, kind, q, ans, style=None):
        r = dict(image=rel, question=q, answer=ans, kind=kind)
        if a.extra and style is not None:
            r["style"] = style
        rows.append(r)

    def sizes(j):
        return (96, 96) if a.extra else {5: (128, 128), 9: (160, 120), 16: (128, 128)}.get(j, (96, 96))

    order = rng.sample(range(len(concepts)), len(concepts))
    n_name, n_kind, n_scene = (84, 44, 44) if not a.extra else (len(order), 0, 60)
    odd = {3: (128, 128), 17: (160, 120), 31: (128, 128), 45: (120, 160), 59: (200, 200), 73: (160, 120),
           90: (128, 128), 110: (160, 160)} if not a.extra else {}
    for j, c in enumerate(order[:n_name + n_kind] if not a.extra else order):
        idx = rng.choice(by[c])
        rel = save(single(rgba[idx], odd.get(j, (96, 96)), rng), f"one-{j:03d}")
        style = info["styles"][meta[idx][1]]
        if j < n_name:
            ask(rel, "name", rng.choice(NAME_Q), concepts[c]["name"], style)
        if a.extra or j >= n_name:
            ask(rel, "kind", rng.choice(KIND_Q), concepts[c]["kind"], style)
    for j in range(n_scene):
        k = [4, 3, 4, 2, 4][j % 5]
        cells = layout(len(concepts), k, rng)
        rel = save(grid(cells, pick, sizes(j), rng), f"scene-{j:03d}")
        there = [p for p in range(4) if cells[p] is not None]
        p = rng.choice(there)
        ask(rel, "position", position_q(p, rng), concepts[cells[p]]["name"])
        p = rng.choice(there)
        ask(rel, "where", where_q(concepts[cells[p]]["name"]), POSITIONS[p])
    for j in range(n_scene):
        if j % 2 == 0:
            k = 1 + (j // 2) % 4
            cells = layout(len(concepts), k, rng)
            q, ans = rng.choice(COUNT_ALL_Q), k
        else:
            ans, k = [(1, 2), (2, 3), (3, 4), (4, 4), (2, 4), (1, 3), (3, 3), (2, 2), (1, 4)][(j // 2) % 9]
            cells, x = repeated(len(concepts), k, ans, rng)
            q = count_q(concepts[x]["name"])
        rel = save(grid(cells, pick, sizes(j), rng), f"count-{j:03d}")
        ask(rel, "count", q, str(ans))
    with open(a.out / "questions.jsonl", "w") as fh:
        for r in rows:
            fh.write(json.dumps(r) + "\n")
    from collections import Counter
    print(len(rows), Counter(r["kind"] for r in rows), "answers to count:",
          Counter(r["answer"] for r in rows if r["kind"] == "count"))


if __name__ == "__main__":
    main()
