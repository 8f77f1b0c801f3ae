"""Write a checkpoint's EMA weights as a Hugging Face folder (bfloat16).

    python export.py --work WORKDIR --ckpt WORKDIR/last.pt --out tests/models/emoji-llava
"""
import argparse, csv
from pathlib import Path

import torch
from transformers import GenerationConfig

from common import build_model, build_processor, build_tokenizer, load_concepts


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--ckpt", type=Path, required=True)
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--raw", action="store_true", help="the live weights instead of their average")
    a = ap.parse_args()
    concepts = load_concepts(a.work)["concepts"]
    tok = build_tokenizer(concepts)
    proc = build_processor(tok)
    torch.manual_seed(0)
    model = build_model(tok)
    ck = torch.load(a.ckpt, weights_only=True)
    own = dict(model.named_parameters())
    src = ck["params"] if a.raw else ck["ema"]
    with torch.no_grad():
        for n, v in zip(ck["names"], src):
            if n in own:
                own[n].copy_(v)
    model.tie_weights()
    model = model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=16, bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id)
    a.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(a.out)
    proc.save_pretrained(a.out)
    proc.image_processor.save_pretrained(a.out)      # preprocessor_config.json, for other readers
    for f in a.out.iterdir():
        f.chmod(0o644)
    print("step", ck["step"], "elapsed", round(ck["elapsed"]), "s ->", sorted(p.name for p in a.out.iterdir()))


if __name__ == "__main__":
    main()
