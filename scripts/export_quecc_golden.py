#!/usr/bin/env python3
"""Golden checkpoint of QueCC, which transformers does not have: tests/golden/quecc.

  export_quecc_golden.py             writes the folder

Tower and language model are those of transformers (CLIPVisionModel, LlamaForCausalLM; float32, CPU, eager attention), the
compressor between them is written here from its description: github.com/locuslab/llava-token-compression,
llava/model/multimodal_projector/quecc.py and llava/model/multimodal_encoder/clip_encoder.py. Names of tensors and keys
of config.json are that repository's; the tower, which it keeps apart, stands under vision_config and
model.vision_tower. Nothing comes from this project's own results. As in export_goldens.py, a seed whose top two logits are
close anywhere in the continuation gives way to the next; so does one whose question changes little.
"""

import json
import math
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parent))
from export_goldens import GOLDEN, GREEDY_TOKENS, provenance  # noqa: E402

FOLDER = GOLDEN / "quecc"
STATES = [12, 16, 22, 23]
HEADS = 8
SIDE = 3
IMAGE_TOKEN = 97
TEXT = dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
            tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
VISION = dict(hidden_size=24, intermediate_size=32, num_hidden_layers=24, num_attention_heads=4, image_size=24,
              patch_size=4, hidden_act="quick_gelu", projection_dim=16)
PROMPT = ([1, 5, 9], [13, 40, 33, 8, 61])
QUESTION = [1, 40, 33, 8, 61]
OTHER_QUESTION = [1, 77, 12, 5, 9, 30]
# Weights of the question's norm and of queries and keys: so large that the question matters.
LOUD = 2.0
# Two close logits would make equal tokens a matter of luck.
GAP = 0.02


def mlp(cols_in, cols):
    return nn.Sequential(nn.Linear(cols_in, cols), nn.GELU(), nn.Linear(cols, cols), nn.LayerNorm(cols, eps=1e-6))


class Compressor(nn.Module):
    """Windows of patches to one token each, for a question."""

    def __init__(self, cols, states, text_cols, side):
        super().__init__()
        self.side = side
        self.clip_attn = nn.MultiheadAttention(cols, HEADS, batch_first=True)
        self.q_proj = mlp(cols, cols)
        self.k_proj = mlp(states * cols, cols)
        self.v_proj = mlp(states * cols, cols)
        self.q_downsample = nn.Conv2d(cols, cols, side, stride=side, groups=cols)
        self.text_projection = nn.Sequential(nn.Linear(text_cols, cols), nn.LayerNorm(cols, eps=1e-6))

    def windows(self, rows):
        """[patches, cols] -> [windows, patches of one, cols]."""
        n = math.isqrt(len(rows))
        m = n // self.side
        return rows.view(m, self.side, m, self.side, -1).transpose(1, 2).reshape(m * m, self.side ** 2, -1)

    def forward(self, multi, x, question):
        n = math.isqrt(len(x))
        q = self.q_proj(x + self.text_projection(question))
        q = self.q_downsample(q.T.reshape(1, -1, n, n))[0].flatten(1).T
        out, _ = self.clip_attn(q[:, None], self.windows(self.k_proj(multi)), self.windows(self.v_proj(multi)))
        return out[:, 0]


def randomise(modules, seed):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda like, std: torch.randn(like.shape, generator=generator) * std
    with torch.no_grad():
        for module in modules:
            for name, p in module.named_parameters():
                if p.ndim == 1 and "norm" in name.lower() or name.endswith(("proj.3.weight", "projection.1.weight")):
                    p.copy_(normal(p, 0.1) + (1.0 if name.endswith("weight") else 0.0))
                elif p.ndim == 1:
                    p.copy_(normal(p, 0.2))
                elif "embed" in name:
                    p.copy_(normal(p, 1.0))
                else:
                    p.copy_(normal(p, 1.3 / math.sqrt(p[0].numel())))


def main():
    transformers.logging.set_verbosity_error()
    side = VISION["image_size"] // VISION["patch_size"]
    for seed in range(4711, 4811):
        torch.manual_seed(seed)
        vision = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VISION)).eval()
        text = transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT)).eval()
        cols, hidden = VISION["hidden_size"], TEXT["hidden_size"]
        compressor = Compressor(cols, len(STATES), hidden, SIDE).eval()
        projector = nn.Sequential(compressor, nn.Linear(cols, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        randomise([vision, text, projector], seed)
        with torch.no_grad():
            compressor.text_projection[1].weight.mul_(LOUD)
            compressor.clip_attn.in_proj_weight[:2 * cols].mul_(LOUD)
        for model in (vision, text):
            model.set_attn_implementation("eager")
        pixels = torch.randn(1, 3, VISION["image_size"], VISION["image_size"],
                             generator=torch.Generator().manual_seed(seed + 1))
        embed = text.get_input_embeddings()
        with torch.no_grad():
            states = [s[0, 1:] for s in vision(pixels, output_hidden_states=True).hidden_states]

            def prompt(question):
                """Rows of the prompt with the picture compressed for a question."""
                state = text(torch.tensor([question]), output_hidden_states=True).hidden_states[-1][0, -1]
                tokens = compressor(torch.cat([states[i] for i in STATES], dim=1), states[-2], state)
                visual = projector[3](projector[2](projector[1](tokens)))
                return torch.cat([embed(torch.tensor(PROMPT[0])), visual, embed(torch.tensor(PROMPT[1]))])

            rows, other = prompt(QUESTION), prompt(OTHER_QUESTION)
            logits, otherwise = (text(inputs_embeds=x[None], use_cache=False).logits for x in (rows, other))
            same = float(torch.cosine_similarity(logits[0, -1], otherwise[0, -1], dim=0))
            visual_tokens = len(rows) - len(PROMPT[0]) - len(PROMPT[1])
            greedy, last = [], logits[0, -1]
            while len(greedy) < GREEDY_TOKENS:
                best = last.topk(2).values
                if best[0] - best[1] < GAP * (logits.max() - logits.min()):
                    break
                greedy.append(int(last.argmax()))
                rows = torch.cat([rows, embed(torch.tensor(greedy[-1:]))])
                last = text(inputs_embeds=rows[None], use_cache=False).logits[0, -1]
        if len(greedy) == GREEDY_TOKENS and len(set(greedy)) > 3 and same < 0.995:
            break
    else:
        raise SystemExit("near ties, one word again and again, or a question that changes nothing, with every seed")
    config = dict(
        TEXT, architectures=["LlavaLlamaForCausalLM"], model_type="llava_llama", image_token_index=IMAGE_TOKEN,
        mm_vision_tower="vision_config below", mm_hidden_size=cols, mm_projector_type="mlp2x_gelu",
        mm_vision_select_layer=-2, mm_vision_select_feature="patch", mm_vision_token_compression_type="quecc",
        mm_vision_token_compression_kernel_size=SIDE, mm_vision_token_compression_stride=SIDE,
        mm_vision_output_token_count=side * side, mm_vision_output_text_embedding_size=hidden,
        vision_config=dict(VISION, model_type="clip_vision_model"))
    tensors = {name: p for name, p in text.state_dict().items()}
    tensors |= {f"model.mm_projector.{name}": p for name, p in projector.state_dict().items()}
    root = "model.vision_tower.vision_tower."
    prefix = "" if any(name.startswith("vision_model.") for name in vision.state_dict()) else "vision_model."
    tensors |= {root + prefix + name: p for name, p in vision.state_dict().items() if "position_ids" not in name}
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({name: p.contiguous() for name, p in tensors.items()}, FOLDER / "model.safetensors")
    ids = PROMPT[0] + [IMAGE_TOKEN] * visual_tokens + PROMPT[1]
    save_file({"input_ids": torch.tensor([ids]), "pixel_values": pixels, "question_ids": torch.tensor([QUESTION])},
              FOLDER / "inputs.safetensors")
    save_file({"logits": logits.contiguous(), "greedy": torch.tensor(greedy)}, FOLDER / "outputs.safetensors")
    provenance(FOLDER / "provenance.toml", "scripts/export_quecc_golden.py", seed=seed)
    print(f"quecc T={len(ids)} range={float(logits.max() - logits.min()):.2f} greedy={greedy} seed={seed}; "
          f"cosine for another question {same:.5f}")


if __name__ == "__main__":
    main()
