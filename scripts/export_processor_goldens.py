"""Writes tests/golden/processor: what Hugging Face's image processors make of a few pictures.

    python scripts/export_processor_goldens.py

Needs torch, torchvision, transformers 5 and Pillow. The pictures are drawn here from fixed seeds;
`host/tests/processor_golden.rs` and `text_golden.rs` read the result. For each case the file
keeps a hash of the 8-bit picture after resize and crop, a hash of the normalised float32 values,
and eight of those.
"""

import hashlib
import itertools
import json
import math
import pathlib
import random
import sys
import tempfile
import types

import numpy
import PIL
import tokenizers
import torch
import torchvision
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, CLIPImageProcessor, SiglipImageProcessor
from transformers.image_transforms import convert_to_rgb
from transformers.image_utils import load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "processor"


def noise(width, height, channels, seed):
    generator = numpy.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, channels), dtype=numpy.uint8)


def pattern(width, height, channels, seed):
    """Edges, gradients and flat areas: large, and small once compressed."""
    y, x = numpy.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        wave = numpy.sign(numpy.sin((x * (c + 1) + y * (seed + c)) / (9 + 4 * c)))
        planes.append(128 + 120 * wave * (y % 37 > 9) + (x // 8 + y // 16) % 8)
    return numpy.clip(numpy.stack(planes, axis=-1), 0, 255).astype(numpy.uint8)


def pictures():
    """Name -> Pillow image, one per size and colour type."""
    yield "rgb-1x1", Image.fromarray(noise(1, 1, 3, 1))
    yield "rgb-7x33", Image.fromarray(noise(7, 33, 3, 2))
    yield "rgb-33x7", Image.fromarray(noise(33, 7, 3, 3))
    yield "rgb-96x96", Image.fromarray(noise(96, 96, 3, 4))
    yield "rgb-640x48", Image.fromarray(noise(640, 48, 3, 5))
    yield "rgb-333x517", Image.fromarray(pattern(333, 517, 3, 6))
    yield "rgb-1001x333", Image.fromarray(pattern(1001, 333, 3, 7))
    yield "rgba-41x30", Image.fromarray(noise(41, 30, 4, 8))
    yield "la-30x41", Image.fromarray(noise(30, 41, 2, 9))
    yield "grey-50x20", Image.fromarray(noise(50, 20, 1, 10)[..., 0])
    yield "grey16-20x20", Image.fromarray(noise(20, 20, 2, 11).view("<u2")[..., 0])
    yield "bilevel-40x40", Image.fromarray(noise(40, 40, 1, 12)[..., 0]).convert("1")
    yield "palette-clear-45x45", Image.fromarray(noise(45, 45, 3, 13)).quantize(16)


def processors():
    """Name -> settings as they stand in preprocessor_config.json."""
    clip, siglip = "CLIPImageProcessor", "SiglipImageProcessor"
    return {
        "clip-224": {"image_processor_type": clip},
        "clip-64": {
            "image_processor_type": clip,
            "size": {"shortest_edge": 64},
            "crop_size": {"height": 64, "width": 64},
        },
        "clip-pad": {
            "image_processor_type": clip,
            "size": {"shortest_edge": 29},
            "crop_size": {"height": 48, "width": 64},
            "resample": 2,
        },
        "clip-crop-only": {
            "image_processor_type": clip,
            "do_resize": False,
            "crop_size": {"height": 33, "width": 40},
        },
        "siglip-96": {"image_processor_type": siglip, "size": {"height": 96, "width": 96}},
        "siglip-bilinear": {
            "image_processor_type": siglip,
            "size": {"height": 60, "width": 130},
            "resample": 2,
        },
        "siglip-lanczos": {
            "image_processor_type": siglip,
            "size": {"height": 70, "width": 50},
            "resample": 1,
        },
        "siglip-448": {"image_processor_type": siglip, "size": {"height": 448, "width": 448}},
        "rescale-only": {
            "image_processor_type": siglip,
            "size": {"height": 48, "width": 48},
            "do_normalize": False,
        },
    }


def build(settings, backend):
    """The processor that transformers makes of these settings."""
    classes = {
        ("CLIPImageProcessor", "torchvision"): CLIPImageProcessor,
        ("SiglipImageProcessor", "torchvision"): SiglipImageProcessor,
        ("CLIPImageProcessor", "pil"): CLIPImageProcessorPil,
        ("SiglipImageProcessor", "pil"): SiglipImageProcessorPil,
    }
    keys = dict(settings)
    return classes[keys.pop("image_processor_type"), backend](**keys)


def digest(array):
    return hashlib.sha256(numpy.ascontiguousarray(array).tobytes()).hexdigest()


def case(picture, settings, backend, dump):
    processor = build(settings, backend)
    plain = {"do_rescale": False, "do_normalize": False}
    levels = processor(picture, return_tensors="np", **plain)["pixel_values"][0]
    values = processor(picture, return_tensors="np")["pixel_values"][0].astype(numpy.float32)
    assert numpy.array_equal(levels, levels.astype(numpy.uint8)), "levels are not whole"
    interleaved = numpy.moveaxis(levels.astype(numpy.uint8), 0, -1)
    if dump is not None:
        dump.write_bytes(numpy.ascontiguousarray(interleaved).tobytes())
    places = numpy.linspace(0, values.size - 1, 8).astype(int)
    return {
        "shape": list(values.shape),
        "levels_sha256": digest(interleaved),
        "values_sha256": digest(values.astype("<f4")),
        "samples": [[int(i), float(values.reshape(-1)[i])] for i in places],
    }


def main():
    dump = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    FOLDER.mkdir(parents=True, exist_ok=True)
    decoded, cases = {}, []
    for name, picture in pictures():
        path = FOLDER / f"{name}.png"
        options = {"transparency": 3} if "clear" in name else {}
        picture.save(path, optimize=True, **options)
        picture = Image.open(path)
        rgb = convert_to_rgb(picture, return_numpy=True)
        decoded[path.name] = digest(rgb)
        if dump is not None:
            (dump / f"{name}.rgb").write_bytes(rgb.tobytes())
        for processor, settings in processors().items():
            plain = name.startswith("rgb")
            if not plain and processor != "siglip-96":
                continue
            if name in ("rgb-1x1", "rgb-640x48") and processor == "clip-224":
                continue
            for backend in ("torchvision", "pil"):
                target = dump / f"{name}.{processor}.{backend}" if dump else None
                result = case(picture, settings, backend, target)
                key = {"image": path.name, "processor": processor, "backend": backend}
                cases.append(key | result)
    golden = {"processors": processors(), "decoded_sha256": decoded, "jpeg": jpeg(), "cases": cases}
    (FOLDER / "cases.json").write_text(json.dumps(golden, indent=1) + "\n")
    (FOLDER / "tilings.json").write_text(json.dumps(sweep()) + "\n")
    (FOLDER / "videos.json").write_text(json.dumps(videos()) + "\n")
    text = json.dumps(conversations(), indent=1, ensure_ascii=False)
    (FOLDER / "text.json").write_text(text + "\n")
    provenance()


def tilings():
    """Name -> settings and model class of processors that cut pictures, with tiles small enough to sweep."""
    next_ = {"image_processor_type": "LlavaNextImageProcessor", "size": {"shortest_edge": 32},
             "crop_size": {"height": 32, "width": 32},
             "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96], [96, 64]]}
    smol = {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 32}}
    return {
        "llava-pad": {"image_processor_type": "LlavaImageProcessor", "do_pad": True,
                      "size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}},
        "llava-next": next_,
        "llava-next-larger": next_ | {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
        "llava-onevision": {"image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 32, "width": 32},
                            "image_grid_pinpoints": next_["image_grid_pinpoints"]},
        "smolvlm": {"image_processor_type": "SmolVLMImageProcessor", **smol},
        "idefics3-bilinear": {"image_processor_type": "Idefics3ImageProcessor", **smol, "resample": 2},
        "idefics3-whole": {"image_processor_type": "Idefics3ImageProcessor", **smol, "do_image_splitting": False},
        "internvl": {"image_processor_type": "GotOcr2ImageProcessor", "crop_to_patches": True,
                     "size": {"height": 28, "width": 28}, "min_patches": 1, "max_patches": 12},
        "internvl-six": {"image_processor_type": "GotOcr2ImageProcessor", "crop_to_patches": True,
                         "size": {"height": 28, "width": 28}, "min_patches": 2, "max_patches": 6},
        "qwen2-vl": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 7, "merge_size": 2,
                     "size": {"shortest_edge": 1568, "longest_edge": 12544}},
        "video-llava": {"image_processor_type": "VideoLlavaImageProcessor", "size": {"shortest_edge": 48},
                        "crop_size": {"height": 48, "width": 48}},
        "video-llava-frames": {"video_processor_type": "VideoLlavaVideoProcessor", "size": {"shortest_edge": 48},
                               "crop_size": {"height": 48, "width": 48}},
        # As transformers' conversion of the checkpoints writes it.
        "fastvlm": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 1024},
                    "crop_size": {"height": 1024, "width": 1024}, "image_mean": [0.0] * 3, "image_std": [1.0] * 3},
        "fuyu": {"image_processor_type": "FuyuImageProcessor", "size": {"height": 60, "width": 96},
                 "patch_size": {"height": 6, "width": 6}},
    }


# Sides whose ratios meet every branch of the schemes; all pairs of them are swept.
SIDES = [9, 28, 29, 31, 45, 64, 97, 150, 233]


def cut(settings, picture):
    """Tiles [n, 3, height, width] that a processor makes of one picture, and the grid it reports."""
    keys = dict(settings)
    if kind := keys.pop("video_processor_type", None):
        frames = numpy.stack([numpy.asarray(picture)] * 2)
        values = getattr(transformers, kind)(**keys)([frames], return_tensors="np")["pixel_values_videos"]
        return values[0][:1].astype(numpy.float32), None
    kind = keys.pop("image_processor_type")
    processor = getattr(transformers, kind)(**keys)
    if kind == "VideoLlavaImageProcessor":
        return processor(picture, return_tensors="np")["pixel_values_images"].astype(numpy.float32), None
    if kind == "FuyuImageProcessor":
        return fuyu_patches(processor, picture)
    rows = {"return_row_col_info": True} if kind in ("SmolVLMImageProcessor", "Idefics3ImageProcessor") else {}
    result = processor(picture, return_tensors="np", **rows)
    values = result["pixel_values"]
    if kind == "Qwen2VLImageProcessor":
        return values[None].astype(numpy.float32), [int(n) for n in result["image_grid_thw"][0]]
    grid = [int(result["rows"][0][0]), int(result["cols"][0][0])] if rows else None
    values = values.astype(numpy.float32)
    return values.reshape(-1, *values.shape[-3:]), grid


def fuyu_patches(processor, picture):
    """Patches of the part that FuyuProcessor keeps of the padded picture."""
    result = processor(picture, return_tensors="pt")
    patch = processor.patch_size.height
    kept = [math.ceil(int(result[f"image_unpadded_{side}"][0][0]) / patch) * patch for side in ("heights", "widths")]
    image = result["images"][0][..., :kept[0], :kept[1]]
    return processor.patchify_image(image).numpy(), [1, kept[0] // patch, kept[1] // patch]


def sweep():
    """Tile counts, sizes and grids for all pairs of sides; pixels for a few pictures."""
    from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
    out = {}
    for name, settings in tilings().items():
        sizes = []
        for width, height in itertools.product(SIDES, SIDES):
            tiles, grid = cut(settings, Image.new("RGB", (width, height)))
            entry = {"size": [width, height], "shape": list(tiles.shape), "grid": grid}
            if name == "llava-next":
                holder = types.SimpleNamespace(
                    image_processor=transformers.LlavaNextImageProcessor(
                        image_grid_pinpoints=settings["image_grid_pinpoints"]),
                    patch_size=8, num_additional_image_tokens=0)
                holder._get_unpadded_features = types.MethodType(LlavaNextProcessor._get_unpadded_features, holder)
                count = LlavaNextProcessor._get_number_of_features
                entry["tokens"] = int(count(holder, height, width, 32, 32))
            sizes.append(entry)
        pixels = []
        for path in ("rgb-33x7", "rgb-96x96", "rgb-333x517", "rgb-640x48"):
            tiles, _ = cut(settings, Image.open(FOLDER / f"{path}.png"))
            pixels.append({"image": f"{path}.png", "values_sha256": digest(tiles.astype("<f4")),
                           "samples": [[int(i), float(tiles.reshape(-1)[i])]
                                       for i in numpy.linspace(0, tiles.size - 1, 8).astype(int)]})
        out[name] = {"settings": settings, "sizes": sizes, "pixels": pixels}
    texts = []
    from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string
    for rows, columns in ((0, 0), (1, 2), (3, 2)):
        text = get_image_prompt_string(rows, columns, 3, "<fake_token_around_image>", "<image>", "<global-img>")
        texts.append({"grid": [columns, rows], "tokens": 3, "text": text})
    return {"schemes": out, "smolvlm_texts": texts, "minicpm_texts": slices()}


def slices():
    """MiniCPM-V: slices of pictures of many sizes, and the text around them. The class is that of 4.6, which cuts and
    writes as 2.6 does; numbers of visual tokens are made up, one more with every slice, as each has its own."""
    names = {"image": "<image>{}</image>", "slice": "<slice>{}</slice>", "image_id": "<image_id>{}</image_id>"}
    ends = {f"{name}_{end}_token": spelling.split("{}")[end == "end"]
            for name, spelling in names.items() for end in ("start", "end")}
    processor = types.SimpleNamespace(image_token="x", slice_mode=True, **ends)
    cuts, writes = transformers.MiniCPMV4_6ImageProcessor(), transformers.MiniCPMV4_6Processor
    sides = [40, 100, 336, 448, 449, 600, 896, 1080, 1344, 1920, 3840]
    draw, out = random.Random(21), []
    sizes = [*itertools.product(sides, sides), *((draw.randint(20, 4000), draw.randint(20, 4000)) for _ in range(200))]
    for at, (width, height) in enumerate(sizes):
        rows, columns = cuts.get_sliced_grid((height, width), 9, 448) or (0, 0)
        counts = [2 + n for n in range(1 + rows * columns)]
        cut = {"grids": [[rows, columns]], "num_patches_per_image": [len(counts)],
               "target_sizes": torch.tensor([[count, 1] for count in counts])}
        text = writes.replace_image_token(processor, cut, image_idx=0, image_token_divisor=1)
        before = at % 3
        text = writes._prepend_local_ids(processor, ["x" * (before + 1)], [""] * before + [text], "x")[before]
        out.append({"size": [width, height], "grid": [columns, rows], "at": before, "counts": counts, "text": text})
    return out


def frames_of(picture, count):
    """A video that is easily made again: the picture, mirrored, in negative, mirrored in negative, and so on."""
    still = numpy.asarray(picture.convert("RGB"))
    mirrored = still[:, ::-1]
    return numpy.stack([[still, mirrored, 255 - still, 255 - mirrored][at % 4] for at in range(count)])


def videos():
    """Qwen2-VL's videos: grids for all pairs of sides, pixels of a few, and which frames of how many are shown."""
    base = {"patch_size": 7, "merge_size": 2, "size": {"shortest_edge": 1568, "longest_edge": 12544}}
    out = {}
    for name, settings in {"per-frame": base, "capped": base | {"cap_pixels_per_frame": True, "max_video_tokens": 100},
                           "defaults": {}}.items():
        processor = transformers.Qwen2VLVideoProcessor(**settings)
        run = lambda frames: processor([frames], return_tensors="np", do_sample_frames=False)
        sizes, pixels = [], []
        sides = SIDES if settings else [29, 97, 233]
        for width, height in itertools.product(sides, sides):
            for count in (1, 2, 5):
                grid = run(frames_of(Image.new("RGB", (width, height)), count))["video_grid_thw"][0]
                sizes.append({"size": [width, height], "frames": count, "grid": [int(n) for n in grid]})
        for path in ("rgb-33x7", "rgb-96x96", "rgb-333x517", "rgb-640x48") if settings else ("rgb-33x7",):
            for count in (3, 4):
                made = run(frames_of(Image.open(FOLDER / f"{path}.png"), count))
                values = made["pixel_values_videos"].astype("<f4")
                pixels.append({"image": f"{path}.png", "frames": count, "values_sha256": digest(values),
                               "grid": [int(n) for n in made["video_grid_thw"][0]],
                               "samples": [[int(i), float(values.reshape(-1)[i])]
                                           for i in numpy.linspace(0, values.size - 1, 8).astype(int)]})
        settings = {"video_processor_type": "Qwen2VLVideoProcessor", **settings}
        out[name] = {"settings": settings, "sizes": sizes, "pixels": pixels}
    return {"processors": out, "sampling": sampling()}


def sampling():
    """Frames that are shown, and how many of them a second has. Lengths with which transformers asks for a frame behind
    the last one, by a rounding of `arange`, are left out."""
    cases = []
    for settings in ({"fps": 2.0}, {"fps": 2.0, "min_frames": 6, "max_frames": 12}, {"num_frames": 6}, {"fps": 1.5}):
        processor = transformers.Qwen2VLVideoProcessor(**settings)
        for total, rate in itertools.product([6, 7, 8, 11, 20, 33, 60, 100, 299], [0.5, 2.0, 5.0, 12.5, 24.0, 30.0]):
            metadata = transformers.video_utils.VideoMetadata(total_num_frames=total, fps=rate)
            places = processor.sample_frames(metadata).tolist()
            if places[-1] >= total:
                continue
            metadata.frames_indices = places
            cases.append({"settings": settings, "total": total, "fps": rate, "places": places,
                          "sampled_fps": metadata.sampled_fps})
    assert len(cases) > 180, len(cases)
    return cases


def jpeg():
    """A camera-like JPEG: chroma subsampled, stored on its side (EXIF orientation 6)."""
    path = FOLDER / "rotated-48x32.jpg"
    picture = Image.fromarray(pattern(48, 32, 3, 2)).resize((48, 32), Image.BILINEAR)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(path, quality=92, exif=exif)
    upright = numpy.array(load_image(str(path)))
    height, width, _ = upright.shape
    rgb = upright.tobytes().hex()
    return {"image": path.name, "width": width, "height": height, "rgb_hex": rgb}


def conversations():
    """What the demo model's own processor makes of whole requests, and its decoded answers."""
    folder = FOLDER.parent.parent / "models" / "emoji-llava"
    processor = AutoProcessor.from_pretrained(folder)
    pictures = ["rgb-333x517.png", "rgba-41x30.png"]
    words = "  naïve café, 日本 🦀!"
    texts = ["what is this?", "How many  cats?\n", words, "red-apple's <s> \"x\"", ""]
    cases = []
    for count, text in [(n, t) for n in range(3) for t in texts]:
        content = [{"type": "image"}] * count + [{"type": "text", "text": text}]
        turn = {"role": "user", "content": content}
        prompt = processor.apply_chat_template([turn], add_generation_prompt=True)
        images = [Image.open(FOLDER / name) for name in pictures[:count]] or None
        inputs = processor(text=prompt, images=images, return_tensors="np")
        cases.append(
            {
                "images": pictures[:count],
                "text": text,
                "prompt": prompt,
                "ids": numpy.array(inputs["input_ids"])[0].tolist(),
                "values_sha256": [digest(v.astype("<f4")) for v in inputs.get("pixel_values", [])],
            }
        )
    generator = numpy.random.default_rng(21)
    decoded = []
    for _ in range(40):
        ids = generator.integers(0, len(processor.tokenizer), 12).tolist()
        decoded.append({"ids": ids, "text": processor.decode(ids, skip_special_tokens=True)})
    return {"model": "emoji-llava", "requests": cases, "decoded": decoded}


def provenance():
    default = AutoImageProcessor.from_pretrained
    chosen = {}
    for cls in (CLIPImageProcessor, SiglipImageProcessor):
        with tempfile.TemporaryDirectory() as folder:
            cls().save_pretrained(folder)
            chosen[cls.__name__] = default(folder).backend
    lines = [
        '# What tests/golden/processor was made with, and what is compared.',
        'command = "python scripts/export_processor_goldens.py"',
        f'transformers = "{transformers.__version__}"',
        f'torch = "{torch.__version__}"',
        f'torchvision = "{torchvision.__version__}"',
        f'pillow = "{PIL.__version__}"',
        f'numpy = "{numpy.__version__}"',
        f'torch_cpu_capability = "{torch.backends.cpu.get_cpu_capability()}"',
        'pictures = "drawn by the script from fixed seeds; no outside data"',
        f'tokenizers = "{tokenizers.__version__}"',
        'exact_text = "prompts, token ids and decoded text of the demo model"',
        'exact_pixels = "decoded PNG, 8-bit after resize and crop, normalised float32 values"',
        'not_exact = "JPEG decoding: another decoder than libjpeg-turbo, bounded in the test"',
        "",
        "# The backend AutoImageProcessor picks when torchvision is installed.",
        "[auto_image_processor]",
    ]
    lines += [f'{name} = "{backend}"' for name, backend in chosen.items()]
    (FOLDER / "provenance.toml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
