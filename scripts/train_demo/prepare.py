"""Fetch pinned npm packages, join them by emoji, choose the concepts by a
written rule and render every picture to RGBA.

    python prepare.py --work WORKDIR

writes WORKDIR/pictures.npz (rgba [N,144,144,4] uint8) and WORKDIR/concepts.json.
"""
import argparse, hashlib, io, json, re, subprocess, tarfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGES = [
    "@lobehub/fluent-emoji-3d@1.1.0",
    "@iconify-json/noto@1.2.9",
    "@iconify-json/noto-v1@1.2.5",
    "@iconify-json/twemoji@1.2.5",
    "@iconify-json/fluent-emoji-flat@1.2.6",
    "@iconify-json/fxemoji@1.2.2",
    "@iconify-json/emojione@1.2.3",
    "@iconify-json/streamline-emojis@1.2.4",
    "emojibase-data@17.0.0",
]
STYLES = ["noto", "noto-v1", "twemoji", "fluent-emoji-flat", "fluent-3d",
          "fxemoji", "emojione", "streamline-emojis"]
SIZE = 144
N_CONCEPTS = 132

# emojibase subgroup -> answer to "what kind of thing is this?"
KIND = {
    "animal-mammal": "animal", "animal-bird": "animal", "animal-amphibian": "animal",
    "animal-reptile": "animal", "animal-marine": "animal", "animal-bug": "animal",
    "plant-flower": "plant", "plant-other": "plant",
    "food-fruit": "food", "food-vegetable": "food", "food-prepared": "food",
    "food-asian": "food", "food-sweet": "food", "food-marine": "food", "drink": "drink",
    "dishware": "tool",
    "place-building": "place", "place-geographic": "place", "place-other": "place",
    "transport-ground": "vehicle", "transport-water": "vehicle", "transport-air": "vehicle",
    "sport": "sport", "game": "toy", "event": "toy",
    "clothing": "clothing",
    "sound": "music", "music": "music", "musical-instrument": "music",
    "phone": "device", "computer": "device", "light-video": "device",
    "book-paper": "paper", "mail": "paper", "writing": "tool", "office": "tool",
    "lock": "tool", "tool": "tool", "science": "tool", "medical": "tool",
    "household": "household", "money": "money", "sky-weather": "sky",
}
# names to choose from
WANTED = {w.strip() for line in open(Path(__file__).with_name("concepts.txt"))
          if not line.startswith("#") for w in line.split(",") if w.strip()}


def norm(s):
    return re.sub(r"[^a-z0-9]", "", s.lower())


def slug(s):
    return re.sub(r"[^a-z0-9]+", "-", s.lower().replace("’", "").replace("'", "")).strip("-")


def fetch(work):
    npm = work / "npm"
    npm.mkdir(parents=True, exist_ok=True)
    for spec in PACKAGES:
        name, version = spec.rsplit("@", 1)
        base = name.lstrip("@").replace("/", "-") + "-" + version
        tgz = npm / (base + ".tgz")
        if not tgz.exists():
            subprocess.run(["npm", "pack", "--silent", spec], cwd=npm, check=True)
        out = npm / base
        if not out.exists():
            with tarfile.open(tgz) as t:
                t.extractall(npm / (base + ".x"), filter="data")
            (npm / (base + ".x") / "package").rename(out)
    return npm


def load_icons(npm):
    sets = {}
    for s in STYLES:
        if s == "fluent-3d":
            continue
        d = next(p for p in npm.iterdir()
                 if p.is_dir() and re.fullmatch(rf"iconify-json-{re.escape(s)}-[0-9.]+", p.name))
        j = json.load(open(d / "icons.json"))
        table = {}
        for k, v in j["icons"].items():
            table.setdefault(norm(k), (v, j))
        for k, v in j.get("aliases", {}).items():
            if v["parent"] in j["icons"] and set(v) == {"parent"}:
                table.setdefault(norm(k), (j["icons"][v["parent"]], j))
        sets[s] = table
    return sets


def render_icon(entry):
    import resvg_py
    v, j = entry
    w, h = v.get("width", j.get("width", 16)), v.get("height", j.get("height", 16))
    l, t = v.get("left", j.get("left", 0)), v.get("top", j.get("top", 0))
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
           f'viewBox="{l} {t} {w} {h}" width="{SIZE}" height="{SIZE}">{v["body"]}</svg>')
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def tidy(im):
    """Crop to the drawing and centre it on a square with a small margin."""
    box = im.getchannel("A").point(lambda a: 255 if a > 16 else 0).getbbox()
    if box is None:
        return None
    im = im.crop(box)
    side = max(im.size)
    sq = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    sq.paste(im, ((side - im.width) // 2, (side - im.height) // 2))
    # resample with premultiplied alpha
    return sq.convert("RGBa").resize((SIZE, SIZE), Image.LANCZOS).convert("RGBA")


def thumb(im):
    """8x8 premultiplied-on-grey colour thumbnail plus alpha: a crude 'how does it look'."""
    bg = Image.new("RGBA", im.size, (128, 128, 128, 255))
    bg.alpha_composite(im)
    a = np.asarray(bg.convert("RGB").resize((8, 8), Image.BOX), np.float32).reshape(-1) / 255
    b = np.asarray(im.getchannel("A").resize((8, 8), Image.BOX), np.float32).reshape(-1) / 255
    return np.concatenate([a, b])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", type=Path, required=True)
    work = ap.parse_args().work
    npm = fetch(work)
    eb = npm / "emojibase-data-17.0.0"
    data = json.load(open(eb / "en/data.json"))
    groups = json.load(open(eb / "meta/groups.json"))
    uni = json.load(open(eb / "meta/unicode-names.json"))
    icons = load_icons(npm)
    webp = {p.stem.replace("-fe0f", ""): p
            for p in (npm / "lobehub-fluent-emoji-3d-1.1.0/assets").glob("*.webp")}

    # 1. candidates: the names of concepts.txt that exist in at least six styles
    cands = []
    for e in data:
        sub = groups["subgroups"].get(str(e.get("subgroup")))
        name = e["label"].lower().replace("’", "'")
        if sub not in KIND or name not in WANTED:
            continue
        hexc = e["hexcode"].lower().replace("-fe0f", "")
        if "-" in hexc:
            continue
        keys = [norm(name), norm(uni.get(e["hexcode"], name)), norm(uni.get(hexc.upper(), name))]
        have = {}
        for s in STYLES:
            if s == "fluent-3d":
                if hexc in webp:
                    have[s] = webp[hexc]
            else:
                for k in keys:
                    if k in icons[s]:
                        have[s] = icons[s][k]
                        break
        if len(have) >= 6:
            cands.append((name, KIND[sub], hexc, have))
    print(len(cands), "candidates with >= 6 styles")

    # 2. render
    out = []
    for name, kind, hexc, have in cands:
        pics = {}
        for s, src in have.items():
            im = Image.open(src).convert("RGBA") if s == "fluent-3d" else render_icon(src)
            im = tidy(im)
            if im is not None:
                pics[s] = im
        out.append((name, kind, hexc, pics))

    # 3. held-out style: styles in rotation by a hash of the code point, so that it
    #    cannot depend on any result; a drawing whose thumbnail nearly equals that of
    #    another style (a redrawn copy) may not be the held-out one
    rows = []
    for name, kind, hexc, pics in out:
        th = {s: thumb(im) for s, im in pics.items()}
        ss = sorted(pics)
        h = int(hashlib.sha256(hexc.encode()).hexdigest(), 16) % len(ss)
        held = None
        for i in range(len(ss)):
            s = ss[(h + i) % len(ss)]
            if min(np.abs(th[s] - th[o]).mean() for o in ss if o != s) > 0.03:
                held = s
                break
        if held is None or len(pics) < 6:
            continue
        train = np.stack([th[s] for s in ss if s != held])
        spread = np.linalg.norm(train - train.mean(0), axis=1).mean()
        rows.append(dict(name=name, kind=kind, hex=hexc, pics=pics, held=held,
                         mean=train.mean(0), spread=float(spread)))

    # 4. choice: the concepts whose TRAINING drawings agree with each other most
    #    relative to the nearest other chosen concept; greedy removal of the worst.
    #    The held-out drawing takes no part.
    m = np.stack([r["mean"] for r in rows])
    d = np.linalg.norm(m[:, None] - m[None], axis=-1)
    np.fill_diagonal(d, 1e9)
    sp = np.array([r["spread"] for r in rows])
    nst = np.array([len(r["pics"]) for r in rows])
    alive = list(range(len(rows)))
    while len(alive) > N_CONCEPTS:
        sub = d[np.ix_(alive, alive)]
        score = sub.min(1) / sp[alive] + 0.1 * nst[alive]
        alive.pop(int(np.argmin(score)))
    chosen = sorted((rows[i] for i in alive), key=lambda r: r["name"])

    rgba, meta, concepts = [], [], []
    for ci, r in enumerate(chosen):
        concepts.append(dict(name=r["name"], kind=r["kind"], hex=r["hex"], held=r["held"],
                             styles=sorted(r["pics"])))
        for s in sorted(r["pics"]):
            meta.append((ci, STYLES.index(s), int(s == r["held"])))
            rgba.append(np.asarray(r["pics"][s]))
    np.savez(work / "pictures.npz", rgba=np.stack(rgba), meta=np.array(meta, np.int64))
    json.dump(dict(styles=STYLES, concepts=concepts), open(work / "concepts.json", "w"), indent=1)
    from collections import Counter
    print(len(concepts), "concepts", len(rgba), "pictures",
          Counter(c["kind"] for c in concepts), Counter(c["held"] for c in concepts))
    print(", ".join(c["name"] for c in concepts))
    print("left out:", ", ".join(r["name"] for i, r in enumerate(rows) if i not in set(alive)))


if __name__ == "__main__":
    main()
