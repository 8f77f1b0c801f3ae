"""Greedy decode speed of a LLaVA checkpoint with transformers, float32, on this CPU.

Usage: bench_pytorch.py MODEL_DIR. Prints minimum, median and maximum over runs.
"""
import sys
import time

import torch
import transformers
from transformers import LlavaForConditionalGeneration

RUNS, NEW_TOKENS, TEXT_TOKENS = 5, 32, 16


def main() -> None:
    transformers.logging.set_verbosity_error()
    model = LlavaForConditionalGeneration.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    vision = model.config.vision_config
    visual = (vision.image_size // vision.patch_size) ** 2
    ids = torch.tensor([[model.config.image_token_id] * visual + [1] * TEXT_TOKENS])
    pixels = torch.linspace(-1, 1, 3 * vision.image_size**2).reshape(1, 3, vision.image_size, -1)
    prefill, decode = [], []
    with torch.inference_mode():
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            out = model(input_ids=ids, pixel_values=pixels, use_cache=True)
            prefill.append(time.perf_counter() - start)
            token, cache = out.logits[:, -1:].argmax(-1), out.past_key_values
            start = time.perf_counter()
            for _ in range(NEW_TOKENS):
                out = model(input_ids=token, past_key_values=cache, use_cache=True)
                token = out.logits[:, -1:].argmax(-1)
            decode.append(NEW_TOKENS / (time.perf_counter() - start))
    def spread(x):
        x = sorted(x[1:])  # the first run warms up
        return f"{x[0]:.1f} / {x[len(x) // 2]:.1f} / {x[-1]:.1f}"
    print(f"PyTorch {torch.__version__} float32, {torch.get_num_threads()} threads ({RUNS} runs; min / median / max)")
    print(f"  vision + prefill  {spread([1e3 * t for t in prefill])} ms wall")
    print(f"  decode   {spread(decode)} rows/s wall")


main()
