#!/usr/bin/env python3
"""Writes tests/golden/processor/references.json and reference-pixels.json: pictures by schemes that Hugging Face's package
does not have.

usage: scripts/export_tiling_references.py            cuts of sizes; no packages needed
       scripts/export_tiling_references.py --pixels   pixels of pictures; needs Pillow, numpy, torch, torchvision

The functions below were written for this repository from what the papers and public codes say that each names; they
share nothing with host/src/image/tiling. `tests/golden/processor/README.md` says with what they were compared.
A case is a picture's size and, all in (width, height): `scaled`, the size it is scaled to before it is cut; `canvas`
where it is padded, with the picture's place `at`; `grid` in columns and rows; `whole`, the size of the whole picture's
tile, `first` or last.

Pixels are made with the libraries that each code uses: Pillow's resize of the picture, and for the whole picture of
InternLM-XComposer2-4KHD and Phi-3.5-V torch's interpolation of the padded, normalised picture. BlueLM-V has no code; its
tiles are made as Hugging Face's SigLIP processor makes pictures, with torchvision. A case has the SHA-256 of the 8-bit
tiles, where tiles are made of those, and some normalised values, of all tiles one behind the other.
"""

import hashlib
import itertools
import json
import math
import pathlib
import random
import sys

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "processor" / "references.json"


def bluelm(width, height, base=384, side=3, alpha=0.1):
    """BlueLM-V-3B, arXiv 2411.10640, algorithm of relaxed aspect-ratio matching; grids from large to small, of equal
    ones the wider first (the paper leaves that open)."""
    grids = sorted(itertools.product(range(side, 0, -1), repeat=2), key=lambda g: -g[0] * g[1])
    best, best_effective, best_wasted = None, 0, math.inf
    for columns, rows in grids:
        scale = min(columns * base / width, rows * base / height)
        effective = min(int(width * scale) * int(height * scale), width * height)
        wasted = columns * base * rows * base - effective
        much_more = effective - best_effective > alpha * best_effective
        as_good = best_effective - effective < alpha * best_effective and wasted < best_wasted
        if much_more or as_good:
            best, best_effective, best_wasted = (columns, rows), effective, wasted
    whole = None if best == (1, 1) else [base, base]
    return dict(scaled=[best[0] * base, best[1] * base], canvas=None, at=None, grid=list(best), whole=whole, first=False)


def xcomposer(width, height, base=336, most=55):
    """InternLM-XComposer2-4KHD, arXiv 2404.06512, and Phi-3.5-V: tiles across as many as `most` allows, lines padded
    to whole tiles in the middle, upright pictures lying on their side meanwhile."""
    upright = width < height
    w, h = (height, width) if upright else (width, height)
    across = 1
    while (across + 1) * math.ceil((across + 1) / (w / h)) <= most:
        across += 1
    new_w, new_h = across * base, int(across * base / (w / h))
    canvas_h = math.ceil(new_h / base) * base
    top = int((canvas_h - new_h) / 2)
    turn = (lambda a, b: [b, a]) if upright else (lambda a, b: [a, b])
    return dict(scaled=turn(new_w, new_h), canvas=turn(new_w, canvas_h), at=turn(0, top),
                grid=turn(across, canvas_h // base), whole=[base, base], first=True)


def minicpm(width, height, base=448, patch=14, most=9):
    """MiniCPM-V 2.5/2.6: the whole picture at a slice's area, then up to nine slices (OpenBMB/MiniCPM-V)."""
    def multiple(length, of):
        return max(round(length / of) * of, of)

    def sized(w, h, enlarge):
        if enlarge or w * h > base * base:
            ratio = w / h
            h = int(base / math.sqrt(ratio))
            w = int(h * ratio)
        return multiple(w, patch), multiple(h, patch)

    count = min(math.ceil(width * height / (base * base)), most)
    if count <= 1:
        return dict(scaled=None, canvas=None, at=None, grid=[0, 0], whole=list(sized(width, height, True)), first=True)
    grids = [(c, n // c) for n in (count - 1, count, count + 1) if 1 < n <= most for c in range(1, n + 1) if n % c == 0]
    wanted = math.log(width / height)
    columns, rows = min(grids, key=lambda g: abs(wanted - math.log(g[0] / g[1])))
    cell = sized(multiple(width, columns) / columns, multiple(height, rows) / rows, True)
    return dict(scaled=[cell[0] * columns, cell[1] * rows], canvas=None, at=None, grid=[columns, rows],
                whole=list(sized(width, height, False)), first=True)


def nvlm(width, height, base=448, most=6):
    """NVLM-D, arXiv 2409.11402: InternVL's tiles, six at most, the whole picture behind them."""
    grids = sorted({(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most}, key=lambda g: g[0] * g[1])
    best, least = (1, 1), math.inf
    for columns, rows in grids:
        apart = abs(width / height - columns / rows)
        if apart < least or (apart == least and width * height > 0.5 * base * base * columns * rows):
            best, least = (columns, rows), apart
    whole = None if best == (1, 1) else [base, base]
    return dict(scaled=[best[0] * base, best[1] * base], canvas=None, at=None, grid=list(best), whole=whole, first=False)


def nvlm_text(tiles, tokens):
    """1-D tile tags of NVLM-D: numbers from 1, the thumbnail last; a picture of one tile has the thumbnail's tag only."""
    tags = [f"<tile_{k}>" for k in range(1, tiles)] + ["<tile_global_thumbnail>"]
    return "<Image>" + "".join(tag + "x" * tokens for tag in tags) + "</Image>"


SCHEMES = {
    "bluelm": (bluelm, dict(image_processor_type="BlueLMVImageProcessor")),
    "bluelm-strict": (lambda w, h: bluelm(w, h, side=4, alpha=0.02),
                      dict(image_processor_type="BlueLMVImageProcessor", max_tiles_per_side=4, alpha=0.02)),
    "xcomposer-55": (xcomposer, dict(image_processor_type="XComposer2ImageProcessor")),
    "xcomposer-25": (lambda w, h: xcomposer(w, h, most=25), dict(image_processor_type="XComposer2ImageProcessor", hd_num=25)),
    "phi3v-16": (lambda w, h: xcomposer(w, h, most=16), dict(image_processor_type="Phi3VImageProcessor", num_crops=16)),
    "minicpm": (minicpm, dict(image_processor_type="MiniCPMVImageProcessor")),
    "minicpm-five": (lambda w, h: minicpm(w, h, base=224, most=5), dict(
        image_processor_type="MiniCPMVImageProcessor", max_slice_nums=5, scale_resolution=224)),
    "nvlm": (nvlm, dict(image_processor_type="NVLMImageProcessor")),
}


def sizes():
    """All pairs of sides that meet every branch, and sizes drawn from a fixed seed."""
    sides = [40, 100, 224, 336, 384, 448, 449, 600, 896, 1080, 1344, 1920, 3840]
    draw = random.Random(20)
    drawn = [(draw.randint(20, 4000), draw.randint(20, 4000)) for _ in range(150)]
    long = [(3000, 75), (75, 3000), (380, 76), (394, 390), (800, 600), (3840, 1600)]
    return [*itertools.product(sides, sides), *long, *drawn]


CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
HALF = ([0.5] * 3, [0.5] * 3)
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def to_tensor(picture, colours):
    """A Pillow picture as ToTensor and Normalize of torchvision make it."""
    from torchvision.transforms import functional
    return functional.normalize(functional.to_tensor(picture), *colours)


def pieces(picture, grid):
    """Tiles of a picture, row by row."""
    (columns, rows), (width, height) = grid, picture.size
    w, h = width // columns, height // rows
    return [picture.crop((x * w, y * h, (x + 1) * w, (y + 1) * h)) for y in range(rows) for x in range(columns)]


def xcomposer_pixels(picture, cut):
    """The picture on white, upright ones on their side meanwhile; the whole one between the values of that."""
    import torch
    from PIL import Image
    upright = picture.width < picture.height
    turn = (lambda p: p.transpose(Image.Transpose.TRANSPOSE)) if upright else (lambda p: p)
    scaled = turn(turn(picture).resize(cut["scaled"][::-1] if upright else cut["scaled"], Image.Resampling.BILINEAR))
    canvas = Image.new("RGB", cut["canvas"], (255, 255, 255))
    canvas.paste(scaled, cut["at"])
    tiles = pieces(canvas, cut["grid"])
    whole = torch.nn.functional.interpolate(to_tensor(canvas, CLIP)[None], size=cut["whole"][::-1], mode="bicubic")[0]
    return tiles, [whole, *(to_tensor(tile, CLIP) for tile in tiles)]


def pillow_pixels(picture, cut, colours):
    """MiniCPM-V, NVLM-D: everything of the picture itself, in Pillow's bicubic filter."""
    from PIL import Image
    tiles = []
    if cut["grid"] != [0, 0]:
        scaled = picture.resize(cut["scaled"], Image.Resampling.BICUBIC)
        tiles = pieces(scaled, cut["grid"])
    if cut["whole"]:
        tiles.insert(0 if cut["first"] else len(tiles), picture.resize(cut["whole"], Image.Resampling.BICUBIC))
    return tiles, [to_tensor(tile, colours) for tile in tiles]


def siglip_pixels(picture, cut):
    """BlueLM-V: the same with torchvision's filter, normalised as its SigLIP processor does, in whole grey levels."""
    from PIL import Image
    from torchvision.transforms.v2 import functional
    bicubic = functional.InterpolationMode.BICUBIC
    levels = functional.pil_to_tensor(picture)
    scale = lambda size: functional.to_pil_image(functional.resize(levels, size[::-1], interpolation=bicubic, antialias=True))
    tiles = pieces(scale(cut["scaled"]), cut["grid"])
    tiles += [scale(cut["whole"])] if cut["whole"] else []
    # That processor folds the division by 255 into mean and deviation.
    return tiles, [(functional.pil_to_tensor(tile).float() - 127.5) / 127.5 for tile in tiles]


PIXELS = {
    "bluelm": siglip_pixels,
    "xcomposer-25": xcomposer_pixels,
    "phi3v-16": xcomposer_pixels,
    "minicpm": lambda picture, cut: pillow_pixels(picture, cut, HALF),
    "minicpm-five": lambda picture, cut: pillow_pixels(picture, cut, HALF),
    "nvlm": lambda picture, cut: pillow_pixels(picture, cut, IMAGENET),
}


# Frames of videos by file, and how many: the frames go round in them.
VIDEOS = [(["rgb-96x96.png"], 1), (["rgb-96x96.png", "rgb-640x48.png"], 4), (["rgb-640x48.png"], 7),
          (["rgb-333x517.png", "rgb-96x96.png", "rgb-1001x333.png", "rgb-640x48.png", "rgb-33x7.png"], 20)]


def image_grid(frames):
    """IG-VLM, arXiv 2403.18406: six frames at equal distances, as small as the smallest, two columns of three, line by line
    in time, missing cells white. One frame is the picture itself."""
    from PIL import Image
    from torchvision.transforms.v2 import functional
    step = max(1, len(frames) // 6)
    chosen = frames[::step][:6]
    if len(chosen) == 1:
        return chosen[0]
    width, height = min(f.width for f in chosen), min(f.height for f in chosen)
    columns = round(math.sqrt(len(chosen)))
    out = Image.new("RGB", (columns * width, math.ceil(len(chosen) / columns) * height), "white")
    for at, frame in enumerate(chosen):
        cell = functional.resize(functional.pil_to_tensor(frame), [height, width], antialias=True,
                                 interpolation=functional.InterpolationMode.BILINEAR)
        out.paste(functional.to_pil_image(cell), (at % columns * width, at // columns * height))
    return out


# Flat frames of the same size with a black corner each: numbers of frames, and their colours.
TOTALS, SIZE = (1, 2, 3, 5, 6, 7, 11, 12, 13, 59), (7, 5)
COLOURS = [(4 * k + 3, 255 - 3 * k, 91 * k % 256) for k in range(max(TOTALS))]


def coloured_grids():
    """The same with Pillow alone: `cells` are the frames that are shown, row by row. Also an animation of 13 frames."""
    from PIL import Image
    frames = [Image.new("RGB", SIZE, colour) for colour in COLOURS]
    for frame in frames:
        frame.putpixel((0, 0), (0, 0, 0))
    cases = []
    for total in TOTALS:
        cells = list(range(total)) if total < 6 else [k * (total // 6) for k in range(6)]
        columns = {1: 1, 2: 1, 3: 2, 5: 2, 6: 2}[len(cells)]
        rows = -(-len(cells) // columns)
        grid = Image.new("RGB", (columns * SIZE[0], rows * SIZE[1]), (255, 255, 255))
        for at, cell in enumerate(cells):
            row, column = divmod(at, columns)
            grid.paste(frames[cell], (column * SIZE[0], row * SIZE[1]))
        cases.append(dict(frames=total, cells=cells, size=list(grid.size),
                          levels_sha256=hashlib.sha256(grid.tobytes()).hexdigest()))
    animation = "coloured-13.gif"
    frames[0].save(OUT.parent / animation, save_all=True, append_images=frames[1:13], duration=100, optimize=False)
    return dict(size=SIZE, colours=COLOURS, cases=cases, animation=dict(file=animation, frames=13))


def video_grids():
    from PIL import Image
    cases = []
    for files, count in VIDEOS:
        opened = [Image.open(OUT.parent / name).convert("RGB") for name in files]
        grid = image_grid([opened[at % len(files)] for at in range(count)])
        cases.append(dict(files=files, frames=count, size=list(grid.size),
                          levels_sha256=hashlib.sha256(grid.tobytes()).hexdigest()))
    return cases


def pixels():
    import numpy
    import PIL
    import torch
    import torchvision
    from PIL import Image
    cases = []
    for name, make in PIXELS.items():
        for path in ("rgb-333x517.png", "rgb-1001x333.png", "rgb-96x96.png", "rgb-640x48.png"):
            picture = Image.open(OUT.parent / path).convert("RGB")
            tiles, values = make(picture, SCHEMES[name][0](*picture.size))
            flat = torch.cat([value.reshape(-1) for value in values]).numpy()
            places = random.Random(len(cases)).sample(range(flat.size), 120)
            if name in ("xcomposer-25", "phi3v-16"):  # more of the whole picture
                places += random.Random(len(cases)).sample(range(values[0].numel()), 120)
            levels = hashlib.sha256(b"".join(tile.tobytes() for tile in tiles)).hexdigest()
            cases.append(dict(scheme=name, image=path, sizes=[list(value.shape[1:]) for value in values],
                              levels_sha256=levels, samples=[[at, float(flat[at])] for at in sorted(places)]))
    versions = dict(pillow=PIL.__version__, numpy=numpy.__version__, torch=torch.__version__,
                    torchvision=torchvision.__version__)
    out = OUT.parent / "reference-pixels.json"
    out.write_text(json.dumps(dict(versions=versions, cases=cases, video_grids=video_grids(),
                                   coloured_grids=coloured_grids())) + "\n")
    print(f"{len(cases)} pictures, {out.stat().st_size >> 10} KiB")


def main():
    if sys.argv[1:] == ["--pixels"]:
        return pixels()
    # Vectors of the papers and of runs of the public codes.
    assert [bluelm(*s)["grid"] for s in ((394, 390), (380, 76), (800, 600))] == [[1, 1], [1, 1], [2, 2]]
    assert [xcomposer(3840, 1600, most=n)["grid"] for n in (55, 25, 16)] == [[11, 5], [7, 3], [5, 3]]
    assert minicpm(800, 600)["whole"] == [518, 392] and minicpm(800, 600)["scaled"] == [1036, 784]
    assert minicpm(1920, 1080)["whole"] == [602, 336] and minicpm(1920, 1080)["scaled"] == [1680, 952]
    schemes = {name: dict(settings=settings, cuts=[[*size, *cut(*size).values()] for size in sizes()])
               for name, (cut, settings) in SCHEMES.items()}
    texts = [dict(tiles=tiles, tokens=2, text=nvlm_text(tiles, 2)) for tiles in (1, 3, 7)]
    fields = ["width", "height", *minicpm(9, 9)]
    OUT.write_text(json.dumps(dict(fields=fields, schemes=schemes, nvlm_texts=texts)) + "\n")
    print(f"{len(sizes())} sizes, {len(schemes)} schemes, {OUT.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
