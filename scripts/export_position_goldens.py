#!/usr/bin/env python3
"""Position schemes by Hugging Face transformers (float32, CPU): tests/golden/positions/<case>.safetensors.

usage: scripts/export_position_goldens.py

The checkpoints and inputs of other goldens with position ids of another scheme, which the language model takes as they
are, whole or not; for M-RoPE++ with rotary frequencies of another kind. `logits` [1, T, vocab] and `greedy`, the
continuation without a KV cache. The position ids are written here from the papers' rules, not taken from this project:
V2PE (arXiv 2412.09616), MouSi (arXiv 2401.17221), GIRAFFE (arXiv 2412.12735).
"""
import json
import math

import torch
import transformers
from safetensors.torch import load_file, save_file

from export_goldens import GOLDEN, GREEDY_TOKENS, IMAGE, provenance, types

OUT = GOLDEN / "positions"
CASES = {
    "v2pe-64": ("clip-llama", "v2pe=64"),
    "v2pe-16-two-images": ("two-images", "v2pe=16"),
    "rows": ("siglip-llama", "rows"),
    "one": ("internvl", "one"),
    "v2pe-1-paligemma": ("paligemma", "v2pe=1"),
    "mrope-stretch-4": ("qwen2-vl", "stretch=4"),
}


def position_ids(ids, scheme, columns):
    """One number for each token. Text: one more than the last, rounded up; the first row stands at 0."""
    out, column = [], 0
    for at, token in enumerate(ids):
        shown = token == IMAGE
        first = shown and (at == 0 or ids[at - 1] != IMAGE)
        column = 0 if first else column + 1
        if at == 0:
            out.append(0.0)
        elif not shown:
            out.append(math.ceil(out[-1]) + 1.0)
        elif scheme.startswith("v2pe="):
            out.append(out[-1] + int(scheme[5:]) / 256)
        elif scheme == "rows":
            out.append(out[-1] + (1.0 if column % columns == 0 else 0.0))
        else:
            out.append(out[-1] + (1.0 if first else 0.0))
    return out


def stretch(frequencies, sections, s):
    """GIRAFFE's M-RoPE++: time as it is, height between, width by 1 / s."""
    time, height, _ = sections
    factors = []
    for d in range(1, len(frequencies) + 1):
        ramp = 1.0 if d <= time else max(0.0, 1.0 - (d - time) / height)
        factors.append(1 / s + (1 - 1 / s) * ramp)
    return frequencies * torch.tensor(factors, dtype=torch.float32)


def main():
    OUT.mkdir(exist_ok=True)
    for name, (case, scheme) in CASES.items():
        folder = GOLDEN / case
        config = json.loads((folder / "config.json").read_text())
        model = getattr(transformers, config["architectures"][0])
        model = model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        inputs = load_file(folder / "inputs.safetensors")
        ids = inputs.pop("input_ids")
        prompt, greedy, first = ids.shape[1], [], None
        if scheme.startswith("stretch="):
            rotary = model.model.language_model.rotary_emb
            sections = config["text_config"]["rope_parameters"]["mrope_section"]
            rotary.inv_freq = stretch(rotary.inv_freq, sections, float(scheme[8:]))
        with torch.no_grad():
            while len(greedy) < GREEDY_TOKENS:
                more = {} if scheme.startswith("stretch=") else dict(
                    position_ids=torch.tensor([position_ids(ids[0].tolist(), scheme, columns(config))]))
                mask = torch.ones_like(ids)  # else transformers takes jumps of positions for other sequences
                logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **inputs, **more,
                               **types(model, ids, prompt)).logits.float()
                first = logits if first is None else first
                row = logits[0, -1].clone()
                row[IMAGE] = -float("inf")
                top = torch.topk(row, 2).values
                if float(top[0] - top[1]) < 1e-3 * float(first.max() - first.min()):
                    break
                greedy.append(int(row.argmax()))
                ids = torch.cat([ids, torch.tensor([[greedy[-1]]])], dim=1)
        plain = load_file(folder / "outputs.safetensors")["logits"]
        apart = float((first - plain).abs().max())
        assert apart > 1e-2, f"{name}: the scheme makes no difference"
        save_file({"logits": first.contiguous(), "greedy": torch.tensor(greedy)}, OUT / f"{name}.safetensors")
        print(f"{name:20} {case:12} {scheme:10} greedy={greedy} differs by {apart:.2f}")
    cases = [f"{name}: {case} {scheme}" for name, (case, scheme) in CASES.items()]
    provenance(OUT / "provenance.toml", "scripts/export_position_goldens.py", cases=cases)


def columns(config):
    """Visual tokens across a picture of one tile."""
    vision = config.get("vision_config", {})
    return vision.get("image_size", 1) // vision.get("patch_size", 1) if isinstance(vision.get("image_size", 1), int) else 1


main()
