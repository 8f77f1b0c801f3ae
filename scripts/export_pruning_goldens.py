#!/usr/bin/env python3
"""Golden vectors of visual-token pruning and merging: which tokens stay or are averaged, by what transformers computes.

  export_pruning_goldens.py          writes tests/golden/pruning/kept.json

The checkpoints are those of tests/golden and the demo model; the tower runs in float32 with eager attention, whose
maps give the scores. FasterVLM (github.com/Theia-4869/FasterVLM): attention of the class row in the block that made the
features, mean over heads, highest T, raster order; towers without a class row take the mean over all rows. HiRED
(github.com/hasanar1f/HiRED): half of the budget to the thumbnail, the rest shared by the number of its marked tokens
(the half with the highest attention in block 0) in a tile's region: its quadrant, or with `hired-bands` the band of the
raster that the released code takes. What truncation leaves goes to the largest fractions, so that the length is fixed.
FOLDER and Turbo (github.com/anakin-skywalker-Joseph/Folder): rounds of bipartite matching, tokens at even places of the
raster are sources, those at odd places destinations; cos of the features (FOLDER), or cos of the mean over heads of the
last block's keys less 30 times the mean attention of the source (Turbo); at most half of the tokens merge in a round; a
group is the average of its members, sizes accumulate, and destinations keep their places. Where the projector is a
plain one, the logits behind a prompt with the averages in it are stored too.
Qwen2-VL keeps the positions of its three axes: those of the whole prompt (`get_rope_index`), without those of the tokens
that are dropped. The attention is summed here from the maps; nothing comes from this project's own results.
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
    ("clip-llama", [("fastervlm", 1), ("fastervlm", 3), ("folder", 1), ("folder", 2), ("turbo", 1), ("turbo", 3)]),
    ("clip-qwen2", [("fastervlm", 2), ("hired", 2), ("folder", 3), ("turbo", 2)]),
    ("two-images", [("fastervlm", 2), ("folder", 2), ("turbo", 2)]),
    ("siglip-llama", [("fastervlm", 3), ("fastervlm", 5), ("folder", 2), ("folder", 4), ("turbo", 3)]),
    ("internvl", [("fastervlm", 2), ("folder", 2)]),
    ("llava-next", [("fastervlm", 3), ("hired", 2), ("hired", 3), ("hired-bands", 3), ("folder", 3), ("turbo", 2)]),
    ("emoji-llava", [("fastervlm", 2), ("fastervlm", 4), ("fastervlm", 9), ("fastervlm", 18), ("folder", 4),
                     ("folder", 9), ("folder", 18), ("turbo", 4), ("turbo", 9), ("turbo", 18)]),
]
# Tokens of Qwen2-VL's tiles that stay; a golden of its own, for its tower takes all pictures at once.
QWEN_TOKENS = [1, 2, 4]
# Checkpoints whose logits are stored, of a prompt with these ids around the first picture's placeholders.
LOGITS = ["clip-llama", "clip-qwen2", "siglip-llama"]
AROUND = ([1], [5, 6])


def top(scores, candidates, count):
    return sorted(candidates, key=lambda i: (-scores[i], i))[:count]


def tower(model, tiles):
    """Per tile: attention of each patch in the first and in the last used block ([tiles, rows]), the keys of the latter,
    mean over heads, and the features ([tiles, rows, columns])."""
    vision = model.model.vision_tower
    config = model.config
    layer = config.vision_feature_layer
    vision.set_attn_implementation("eager")
    keys = []
    hooks = [module.register_forward_hook(lambda m, i, out: keys.append(out))
             for name, module in vision.named_modules() if name.endswith("k_proj")]
    with torch.no_grad():
        out = vision(tiles, output_attentions=True, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    maps = out.attentions
    used = len(maps) + layer + 1 if layer < 0 else layer
    whole = out.last_hidden_state if "Intern" in type(vision).__name__ else out.hidden_states[used]
    has_class = maps[0].shape[-1] != tokens_of(config) * merge(config) ** 2
    rows = [m.mean(1)[:, 0] if has_class else m.mean(1).mean(1) for m in (maps[0], maps[used - 1])]
    heads = maps[0].shape[1]
    key = keys[used - 1].unflatten(-1, (heads, -1)).mean(2)
    skip = 1 if has_class else 0
    return [x[:, skip:].numpy() for x in (*rows, key, whole)]


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


def concatenate(rows, config):
    """Vectors of the patches of a token behind each other."""
    m = merge(config)
    side = round(len(rows) ** 0.5)
    grid = numpy.asarray(rows).reshape(side // m, m, side // m, m, -1)
    return grid.transpose(0, 2, 1, 3, 4).reshape((side // m) ** 2, -1)


def fold(vectors, attention, shown, count):
    """Groups of the tokens `shown` in raster order: the token whose place it takes, its members; and how far apart the
    scores that decided were."""
    place = list(shown)
    members = [[t] for t in shown]
    metric = [numpy.asarray(vectors[t], dtype=numpy.float64) for t in shown]
    weight = [0.0 if attention is None else float(attention[t]) for t in shown]
    gap = numpy.inf
    while len(place) > count:
        n = len(place)
        cut = min(n - count, max(1, (n - 1) // 2))
        unit = numpy.stack([v / numpy.linalg.norm(v) for v in metric])
        scores = unit[0::2] @ unit[1::2].T - 30 * numpy.array(weight[0::2])[:, None]
        target = scores.argmax(1)
        best = scores.max(1)
        order = numpy.argsort(-best, kind="stable")
        for s in order[:cut]:
            others = numpy.delete(scores[s], target[s])
            gap = min(gap, best[s] - others.max()) if len(others) else gap
        if cut < len(order):
            gap = min(gap, best[order[cut - 1]] - best[order[cut]])
        gone = set()
        for s in sorted(order[:cut]):
            source, into = 2 * s, 2 * target[s] + 1
            a, b = len(members[into]), len(members[source])
            metric[into] = (a * metric[into] + b * metric[source]) / (a + b)
            weight[into] += weight[source]
            members[into] = members[into] + members[source]
            gone.add(source)
        rest = [i for i in range(n) if i not in gone]
        place, members, metric, weight = ([x[i] for i in rest] for x in (place, members, metric, weight))
    return [(p, sorted(m)) for p, m in zip(place, members)], float(gap)


def logits(model, groups, features):
    """Logits of the last row of a prompt that shows one tile's groups."""
    rows = torch.stack([torch.from_numpy(features[m]).mean(0) for _, m in groups])
    with torch.no_grad():
        visual = model.model.multi_modal_projector(rows[None])
        embed = model.get_input_embeddings()
        before, behind = (embed(torch.tensor([ids])) for ids in AROUND)
        hidden = model.model.language_model(inputs_embeds=torch.cat([before, visual, behind], dim=1))
        return model.lm_head(hidden.last_hidden_state[0, -1])


def qwen_tower(model, pixels, grids):
    """Per picture of Qwen2-VL: attention of each patch in the first and the last block, keys of the latter behind their
    rotary turn (mean over heads), the features; in tower order, in which the patches of a token follow each other."""
    from transformers.models.qwen2_vl import modeling_qwen2_vl as qwen

    maps = []

    def recorded(module, query, key, value, *args, **kwargs):
        out, weights = qwen.eager_attention_forward(module, query, key, value, *args, **kwargs)
        maps.append((weights[0], key[0]))
        return out, weights

    qwen.ALL_ATTENTION_FUNCTIONS.register("recorded", recorded)
    vision = model.model.visual
    vision.config._attn_implementation = "recorded"
    features = []
    hook = vision.blocks[-1].register_forward_hook(lambda m, i, out: features.append(out))
    counts = [int(g.prod()) for g in grids]
    with torch.no_grad():
        vision(pixels, grid_thw=grids)
    hook.remove()
    of = lambda block: maps[block * len(counts):][:len(counts)]
    blocks = len(vision.blocks)
    first, last = ([m.mean(0).mean(0) for m, _ in of(b)] for b in (0, blocks - 1))
    keys = [k.mean(0) for _, k in of(blocks - 1)]
    return [[x[None].numpy() for x in row] for row in zip(first, last, keys, features[0].split(counts))]


def qwen_logits(model, pixels, grid, groups):
    """Logits of the last row of a prompt that shows one picture's groups."""
    config = model.config
    tokens = int(grid.prod()) // config.vision_config.spatial_merge_size ** 2
    ids = torch.tensor([AROUND[0] + [config.image_token_id] * tokens + AROUND[1]])
    kinds = (ids == config.image_token_id).int()
    positions, _ = model.model.get_rope_index(ids, kinds, image_grid_thw=grid[None])
    with torch.no_grad():
        visual = model.model.visual(pixels, grid_thw=grid[None]).pooler_output
        rows = model.get_input_embeddings()(ids)[0]
        first = len(AROUND[0])
        rows[first:first + tokens] = visual
        stay = list(range(first)) + [first + t for t, _ in groups] + list(range(first + tokens, len(rows)))
        hidden = model.model.language_model(inputs_embeds=rows[None, stay], position_ids=positions[:, :, stay])
        return model.lm_head(hidden.last_hidden_state[0, -1])


def qwen_cases():
    folder = GOLDEN / "qwen2-vl"
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    tensors = load_file(folder / "inputs.safetensors")
    pixels, grids = tensors["pixel_values"].float(), tensors["image_grid_thw"]
    read = qwen_tower(model, pixels, grids)
    joined = model.config.vision_config.spatial_merge_size ** 2
    model.model.visual.config._attn_implementation = "eager"
    for tokens in QWEN_TOKENS:
        groups = []
        for _, last, _, _ in read:
            scores = last[0].reshape(-1, joined).sum(1)
            stay = sorted(top(scores, range(len(scores)), min(tokens, len(scores))))
            rest = [scores[i] for i in range(len(scores)) if i not in stay]
            print("qwen2-vl fastervlm", tokens, stay, min(scores[stay]) - max(rest, default=0))
            groups.append([[(t, [t]) for t in stay]])
        logits = qwen_logits(model, pixels[:int(grids[0].prod())], grids[0], groups[0][0])
        yield {"model": "golden/qwen2-vl", "inputs": "golden/qwen2-vl/inputs.safetensors", "method": "fastervlm",
               "tokens": tokens, "kept": [[[t for t, _ in g] for g in p] for p in groups],
               "logits": [round(x, 6) for x in logits.tolist()]}


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
        read = [tower(model, tiles) for tiles, _, _ in pictures]
        for method, tokens in settings:
            groups, gaps = [], []
            for (tiles, shown, grid), (first, last, keys, features) in zip(pictures, read):
                first, last = ([join(r, model.config) for r in a] for a in (first, last))
                shown_here = shown or [list(range(len(s))) for s in last]
                if method in ("folder", "turbo"):
                    vectors = features if method == "folder" else keys
                    of_tiles = []
                    for i, tokens_shown in enumerate(shown_here):
                        scores = None if method == "folder" else last[i]
                        vector = concatenate(vectors[i], model.config)
                        made, gap = fold(vector, scores, tokens_shown, min(tokens, len(tokens_shown)))
                        of_tiles.append(made)
                        gaps.append(gap)
                else:
                    kept = keep(first, last, shown_here, method, tokens, grid)
                    of_tiles = [[(t, [t]) for t in stay] for stay in kept]
                    for scores, stay in zip(last, kept):
                        rest = [scores[i] for i in range(len(scores)) if i not in stay]
                        if stay and rest:
                            gaps.append(float(min(scores[i] for i in stay) - max(rest)))
                groups.append(of_tiles)
            case = {"model": str(folder.relative_to(ROOT / "tests")), "inputs": str(inputs.relative_to(ROOT / "tests")),
                    "method": method, "tokens": tokens, "kept": [[[t for t, _ in g] for g in p] for p in groups]}
            if method in ("folder", "turbo"):
                case["members"] = [[[m for _, m in g] for g in p] for p in groups]
            if name in LOGITS:
                case["logits"] = [round(x, 6) for x in logits(model, groups[0][0], read[0][3][0]).tolist()]
            cases.append(case)
            print(name, method, tokens, groups, min(gaps))
    cases += qwen_cases()
    out = GOLDEN / "pruning"
    out.mkdir(exist_ok=True)
    about = {"command": "scripts/export_pruning_goldens.py", "transformers": transformers.__version__,
             "torch": torch.__version__, "python": platform.python_version(),
             "reference": "float32, CPU, eager attention"}
    (out / "kept.json").write_text(json.dumps({"provenance": about, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
