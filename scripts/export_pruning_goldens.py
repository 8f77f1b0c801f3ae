#!/usr/bin/env python3
"""Golden vectors of visual-token pruning: which tokens stay, by the attention maps of transformers.

  export_pruning_goldens.py          writes tests/golden/pruning/kept.json

The checkpoints are those of tests/golden and the demo model; the tower runs in float32 with eager attention, whose
maps give the scores. FasterVLM (github.com/Theia-4869/FasterVLM): attention of the class row in the block that made the
features, mean over heads, highest T, raster order; towers without a class row take the mean over all rows. HiRED
(github.com/hasanar1f/HiRED): half of the budget to the thumbnail, the rest shared by the number of its marked tokens
(the half with the highest attention in block 0) in a tile's region: its quadrant, or with `hired-bands` the band of the
raster that the released code takes. What truncation leaves goes to the largest fractions, so that the length is fixed.
The attention is summed here from the maps; nothing comes from this project's own results.
"""

import json
import pathlib
import platform

import numpy
import torch
import transformers
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
DEMO = ROOT / "tests" / "models" / "emoji-llava"

# Folder of the checkpoint, its inputs, settings. `grid`: tiles down and across behind the thumbnail.
CASES = [
    ("clip-llama", [("fastervlm", 1), ("fastervlm", 3)]),
    ("clip-qwen2", [("fastervlm", 2), ("hired", 2)]),
    ("two-images", [("fastervlm", 2)]),
    ("siglip-llama", [("fastervlm", 3), ("fastervlm", 5)]),
    ("internvl", [("fastervlm", 2)]),
    ("llava-next", [("fastervlm", 3), ("hired", 2), ("hired", 3), ("hired-bands", 3)]),
    ("emoji-llava", [("fastervlm", 2), ("fastervlm", 4), ("fastervlm", 9), ("fastervlm", 18)]),
]


def top(scores, candidates, count):
    return sorted(candidates, key=lambda i: (-scores[i], i))[:count]


def attention(model, tiles):
    """Per tile: scores of each token by the first and by the last used block (torch, [tiles, rows])."""
    vision = model.model.vision_tower
    config = model.config
    layer = config.vision_feature_layer
    vision.set_attn_implementation("eager")
    with torch.no_grad():
        maps = vision(tiles, output_attentions=True).attentions
    used = len(maps) + layer + 1 if layer < 0 else layer
    has_class = maps[0].shape[-1] != tokens_of(config) * merge(config) ** 2
    rows = [m.mean(1)[:, 0] if has_class else m.mean(1).mean(1) for m in (maps[0], maps[used - 1])]
    return [r[:, 1:] if has_class else r for r in rows]


def merge(config):
    return round(1 / getattr(config, "downsample_ratio", 1.0))


def tokens_of(config):
    side = config.vision_config.image_size
    patch = config.vision_config.patch_size
    side, patch = (x[0] if isinstance(x, (list, tuple)) else x for x in (side, patch))
    return (side // patch // merge(config)) ** 2


def join(scores, config):
    """Sum over the patches of a token: blocks of merge x merge of the raster."""
    m = merge(config)
    side = round(len(scores) ** 0.5)
    grid = numpy.asarray(scores).reshape(side // m, m, side // m, m)
    return grid.sum(axis=(1, 3)).reshape(-1)


def shown_tokens(config, size):
    """LLaVA-NeXT: grid of tiles, and for each tile the tokens inside the unpadded picture, in raster order."""
    from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image

    side = config.vision_config.image_size
    n = side // config.vision_config.patch_size
    down, across = get_anyres_image_grid_shape(size, config.image_grid_pinpoints, side)
    ids = torch.arange(down * across * n * n).view(down, across, n, n).permute(0, 2, 1, 3)
    ids = ids.reshape(1, down * n, across * n)
    inside = unpad_image(ids, size)[0].flatten().tolist()
    tiles = [list(range(n * n))] + [[] for _ in range(down * across)]
    for i in inside:
        tiles[1 + i // (n * n)].append(i % (n * n))
    return (down, across), tiles


def keep(first, last, shown, method, tokens, grid):
    """Kept tokens of each tile in raster order."""
    budgets = [min(tokens, len(s)) for s in shown]
    if method != "fastervlm" and grid:
        down, across = grid
        total = len(shown) * tokens
        n = len(first[0])
        side = round(n ** 0.5)
        thumbnail = min(int(total * 0.5), n)
        others = min(total - thumbnail, sum(len(s) for s in shown[1:]))
        marks = [0] * (down * across)
        for token in top(first[0], range(n), int(n * 0.5)):
            if method == "hired":
                region = (token // side) * down // side * across + (token % side) * across // side
            else:
                region = token * len(marks) // n
            marks[region] += 1
        exact = [others * m / max(sum(marks), 1) for m in marks]
        parts = [min(int(e + 1e-9), len(s)) for e, s in zip(exact, shown[1:])]
        order = sorted(range(len(parts)), key=lambda i: (-round(exact[i] - int(exact[i] + 1e-9), 9), i))
        while sum(parts) < others:
            for i in order:
                if sum(parts) < others and parts[i] < len(shown[1 + i]):
                    parts[i] += 1
        budgets = [thumbnail] + parts
    return [sorted(top(scores, candidates, budget))
            for scores, candidates, budget in zip(last, shown, budgets)]


def main():
    transformers.logging.set_verbosity_error()
    cases = []
    for name, settings in CASES:
        demo = name == "emoji-llava"
        folder = DEMO if demo else GOLDEN / name
        inputs = GOLDEN / name / ("0.inputs.safetensors" if demo else "inputs.safetensors")
        tensors = load_file(inputs)
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager").eval()
        pixels = tensors["pixel_values"].float()
        sizes = tensors.get("image_sizes")
        # Pictures: tiles, tokens shown, grid.
        if sizes is None:
            pictures = [(t[None], None, None) for t in pixels.reshape(-1, *pixels.shape[-3:])]
        else:
            pictures = []
            for tiles, size in zip(pixels, sizes):
                grid, shown = shown_tokens(model.config, size.tolist())
                pictures.append((tiles[:len(shown)], shown, grid))
        for method, tokens in settings:
            kept, gaps = [], []
            for tiles, shown, grid in pictures:
                first, last = ([join(r, model.config) for r in a.numpy()] for a in attention(model, tiles))
                shown_here = shown or [list(range(len(s))) for s in last]
                kept.append(keep(first, last, shown_here, method, tokens, grid))
                for scores, stay in zip(last, kept[-1]):
                    rest = [scores[i] for i in range(len(scores)) if i not in stay]
                    if stay and rest:
                        gaps.append(float(min(scores[i] for i in stay) - max(rest)))
            cases.append({"model": str(folder.relative_to(ROOT / "tests")), "inputs": str(inputs.relative_to(ROOT / "tests")),
                          "method": method, "tokens": tokens, "kept": kept})
            print(name, method, tokens, kept, min(gaps))
    out = GOLDEN / "pruning"
    out.mkdir(exist_ok=True)
    about = {"command": "scripts/export_pruning_goldens.py", "transformers": transformers.__version__,
             "torch": torch.__version__, "python": platform.python_version(),
             "reference": "float32, CPU, eager attention"}
    (out / "kept.json").write_text(json.dumps({"provenance": about, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
