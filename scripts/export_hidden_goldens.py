#!/usr/bin/env python3
"""Hidden states of goldens by Hugging Face transformers (float32, CPU): tests/golden/hidden/<case>.safetensors.

  export_hidden_goldens.py [CASE ...]     all of CASES without names

`hidden_states` f32 [layers + 1, T, hidden]: record k is the residual stream behind k layers, the last one behind
the final norm, as `output_hidden_states=True` returns them. Inputs are the cases' own inputs.safetensors.
"""

import json
import sys

import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file

from export_goldens import GOLDEN, provenance, types

CASES = ["llama", "phi3", "gemma", "clip-qwen2", "siglip-llama", "llava-next", "internvl", "qwen2-vl", "paligemma"]


def export(name):
    folder = GOLDEN / name
    config = json.loads((folder / "config.json").read_text())
    model = getattr(transformers, config["architectures"][0])
    model = model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    inputs = load_file(folder / "inputs.safetensors")
    ids = inputs["input_ids"]
    with torch.no_grad():
        result = model(**inputs, **types(model, ids, ids.shape[1]), use_cache=False, output_hidden_states=True)
    states = torch.cat([state.float() for state in result.hidden_states])
    logits = load_file(folder / "outputs.safetensors")["logits"]
    apart = float((result.logits - logits).abs().max())
    assert apart < 1e-4, f"{name}: logits differ from the golden's by {apart}"
    save_file({"hidden_states": states.contiguous()}, GOLDEN / "hidden" / f"{name}.safetensors")
    print(f"{name:14} {list(states.shape)}")


def main():
    (GOLDEN / "hidden").mkdir(exist_ok=True)
    for name in sys.argv[1:] or CASES:
        export(name)
    provenance(GOLDEN / "hidden" / "provenance.toml", "scripts/export_hidden_goldens.py", cases=CASES)


main()
