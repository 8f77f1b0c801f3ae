#!/usr/bin/env python3
"""Golden vectors: tiny checkpoints and what Hugging Face transformers (float32, CPU) makes of them.

  export_goldens.py [--only CASE ...]                   writes tests/golden/<case>/ for the tables below
  export_goldens.py --model DIR --questions FILE [...]  goldens of an existing model, weights not copied

A case folder holds config.json, model.safetensors (or shards and index), inputs.safetensors,
outputs.safetensors and provenance.toml. Outputs: `logits` f32 [1, T, vocab] of all rows, `greedy` int64,
the greedy continuation: 8 tokens for tiny models, as far as the end-of-sequence token for real ones. Models that
compare pictures with texts have `logits_per_image` f32 [pictures, texts], `image_embeds` and `text_embeds`.

Weights are random from a fixed seed, with standard deviations that keep logits apart: a case whose top
two logits are close anywhere in the continuation gets another seed, because token equality would be luck.
"""

import argparse
import hashlib
import json
import math
import pathlib
import platform
import shutil
import sys
import warnings
import zlib

import numpy
import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
GREEDY_TOKENS = 8
GAP_MIN = 1e-3  # of the logit range

IMAGE = 7  # placeholder id of the tiny models
VIDEO = 8  # placeholder id of videos
LINE_END = 9  # of Fuyu's pictures

CLIP = dict(model_type="clip_vision_model", hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, image_size=16, patch_size=8, projection_dim=16)
SIGLIP = dict(model_type="siglip_vision_model", hidden_size=32, intermediate_size=48,
              num_hidden_layers=2, num_attention_heads=4, image_size=18, patch_size=6,
              vision_use_head=False)
IDEFICS = dict(model_type="idefics3_vision", hidden_size=32, intermediate_size=48, num_hidden_layers=2,
               num_attention_heads=4, image_size=36, patch_size=6)
INTERNVIT = dict(model_type="internvl_vision", hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                 num_attention_heads=2, image_size=[24, 24], patch_size=[6, 6])
QWEN2_VISION = dict(depth=2, embed_dim=48, hidden_size=40, num_heads=3, mlp_ratio=2, patch_size=6)
QWEN25_VISION = dict(depth=3, hidden_size=48, out_hidden_size=40, num_heads=3, intermediate_size=52, patch_size=6,
                     window_size=36, fullatt_block_indexes=[1])
FASTVIT = dict(model_type="timm_wrapper", architecture="fastvit_mci3", hidden_size=128,
               model_args=dict(inference_mode=True, layers=[1, 2, 1, 2, 1], embed_dims=[8, 16, 32, 32, 64]))
TEXT = dict(hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=128, max_position_embeddings=128)
LLAMA = dict(TEXT, model_type="llama")
MISTRAL = dict(TEXT, model_type="mistral", sliding_window=None)
QWEN2 = dict(TEXT, model_type="qwen2")
QWEN2_VL = dict(TEXT, model_type="qwen2_vl_text", head_dim=10, rope_parameters=dict(
    rope_type="default", rope_theta=10000.0, mrope_section=[2, 2, 1]))
PHI3 = dict(TEXT, model_type="phi3", pad_token_id=0, bos_token_id=1, eos_token_id=2)
GEMMA = dict(TEXT, model_type="gemma", head_dim=12)
PERSIMMON = dict(model_type="persimmon", hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5,
                 vocab_size=128, max_position_embeddings=128, pad_token_id=0, rope_parameters=dict(
                     rope_type="default", rope_theta=25000.0, partial_rotary_factor=0.5))


def rope(rope_type, **values):
    return dict(rope_parameters=dict(rope_type=rope_type, rope_theta=10000.0, **values))


LONG = list(range(20, 60))  # longer than the 32 positions of the scalings' originals

# name -> family, vision, text, keys of the whole configuration, prompt (negative: -k means "the k-th picture"), options
CASES = {
    "clip-llama": dict(vision=dict(CLIP, num_hidden_layers=3), text=LLAMA, prompt=[1, 20, -1, 33, 64, 90]),
    "clip-mistral": dict(vision=dict(CLIP, hidden_act="gelu"), text=MISTRAL,
                         keys=dict(vision_feature_layer=1, multimodal_projector_bias=False),
                         prompt=[1, -1, 33, 64, 2, 90, 101]),
    "clip-qwen2": dict(vision=CLIP, text=QWEN2, keys=dict(vision_feature_layer=-1),
                       prompt=[1, 20, -1, 33, 64]),
    "siglip-llama": dict(vision=SIGLIP, text=LLAMA,
                         keys=dict(vision_feature_layer=-1, vision_feature_select_strategy="full"),
                         prompt=[1, -1, 5, 6]),
    "siglip-qwen2-tied": dict(vision=SIGLIP, text=dict(QWEN2, tie_word_embeddings=True),
                              keys=dict(vision_feature_layer=-2, vision_feature_select_strategy="full",
                                         tie_word_embeddings=True),
                              prompt=[1, 9, -1, 5, 6, 100]),
    "siglip-llama-default": dict(vision=dict(SIGLIP, vision_use_head=True), text=LLAMA, prompt=[1, -1, 5, 6]),
    "clip-llama-full": dict(vision=CLIP, text=LLAMA, keys=dict(vision_feature_select_strategy="full"),
                            prompt=[1, -1, 5, 6]),
    "llama-all-biases": dict(text=dict(LLAMA, attention_bias=True, mlp_bias=True),
                             prompt=[1, 40, 41, 42, 77]),
    "odd-sizes": dict(vision=dict(CLIP, hidden_size=40, num_attention_heads=5, intermediate_size=52,
                                  image_size=30, patch_size=10),
                      text=dict(LLAMA, hidden_size=40, head_dim=20, num_attention_heads=5,
                                num_key_value_heads=1, intermediate_size=52, vocab_size=131,
                                rope_parameters=dict(rope_type="default", rope_theta=500.0)),
                      prompt=[1, 130, -1, 11]),
    "two-images": dict(vision=CLIP, text=LLAMA, prompt=[1, -1, 33, -2, 64, 90]),
    "llava-text-prompt": dict(vision=CLIP, text=LLAMA, prompt=[1, 33, 64, 90, 91, 92],
                              dtype="bfloat16"),
    "llama": dict(text=LLAMA, prompt=[1, 40, 41, 42, 77, 3]),
    "llama-16-heads": dict(text=dict(LLAMA, hidden_size=128, num_attention_heads=16, num_key_value_heads=16),
                           prompt=[1, 40, 41, 42, 77, 3, *range(50, 80)]),
    "llama-18-heads": dict(text=dict(LLAMA, hidden_size=72, num_attention_heads=18, num_key_value_heads=6),
                           prompt=[1, 40, 41, 42, 77, 3, *range(80, 110)]),
    "llama-rope-llama3": dict(text=dict(LLAMA, rope_parameters=dict(
        rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32)), prompt=list(range(20, 60))),
    "llama-rope-linear": dict(text=dict(LLAMA, **rope("linear", factor=4.0)), prompt=LONG),
    # The frequencies change with every token: only a run with a cache is what generation does.
    "llama-rope-dynamic": dict(text=dict(LLAMA, max_position_embeddings=32, **rope("dynamic", factor=4.0)),
                               prompt=LONG, cache=True),
    "llama-rope-yarn": dict(text=dict(LLAMA, **rope(
        "yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=8.0)), prompt=LONG),
    "phi3": dict(text=PHI3, prompt=[1, 40, 41, 42, 77, 3]),
    "phi3-longrope": dict(text=dict(PHI3, head_dim=10, original_max_position_embeddings=32, **rope(
        "longrope", original_max_position_embeddings=32, short_factor=[1.0, 1.1, 1.2, 1.3],
        long_factor=[1.0, 1.5, 3.0, 4.0], partial_rotary_factor=0.8)), prompt=LONG),
    "gemma": dict(text=GEMMA, prompt=[1, 40, 41, 42, 77, 3]),
    "mistral": dict(text=MISTRAL, prompt=[1, 40, 41, 42, 77, 3]),
    "qwen2-tied": dict(text=dict(QWEN2, tie_word_embeddings=True), prompt=[1, 40, 41, 42]),
    "llava-next": dict(family="LlavaNext", vision=CLIP, text=LLAMA, sizes=[[20, 45], [40, 17]],
                       keys=dict(image_grid_pinpoints=[[16, 32], [32, 16], [32, 32], [48, 16]]),
                       prompt=[1, 20, -1, 33, -2, 64]),
    "llava-next-mistral": dict(family="LlavaNext", vision=dict(CLIP, hidden_act="gelu"), text=MISTRAL,
                               sizes=[[33, 31]], keys=dict(image_grid_pinpoints=[[16, 32], [32, 32]]),
                               prompt=[1, -1, 64, 90]),
    "llava-onevision": dict(family="LlavaOnevision", vision=SIGLIP, text=QWEN2, sizes=[[20, 45]],
                            keys=dict(image_grid_pinpoints=[[18, 36], [36, 18], [36, 36], [54, 18]]),
                            prompt=[1, 20, -1, 33, 64]),
    "llava-onevision-thumbnails": dict(family="LlavaOnevision", vision=SIGLIP, text=QWEN2, sizes=[[20, 45], [40, 17]],
                                       together=True, keys=dict(image_grid_pinpoints=[[18, 36], [36, 18]]),
                                       prompt=[1, -1, 33, -2, 64]),
    "smolvlm": dict(family="SmolVLM", vision=dict(IDEFICS, model_type="smolvlm_vision"),
                    text=dict(LLAMA, tie_word_embeddings=True, pad_token_id=0),
                    keys=dict(scale_factor=3, tie_word_embeddings=True),
                    prompt=[1, 20, -1, 33, -2, 64, 90]),
    # SmolVLM-256M's own factor: a token is 16 patches.
    "smolvlm-factor-4": dict(family="SmolVLM", vision=dict(IDEFICS, model_type="smolvlm_vision", image_size=48),
                             text=dict(LLAMA, tie_word_embeddings=True, pad_token_id=0),
                             keys=dict(scale_factor=4, tie_word_embeddings=True),
                             prompt=[1, 20, -1, 33, -2, 64, 90]),
    # Tiles of 4 x 4 patches with a table of 6 x 6: positions are spread over it.
    "idefics3-small-tiles": dict(family="Idefics3", vision=dict(IDEFICS, hidden_size=40, num_attention_heads=5),
                                 text=dict(LLAMA, pad_token_id=0), side=24, keys=dict(scale_factor=2),
                                 prompt=[1, -1, 5, -2, 6]),
    "internvl": dict(family="InternVL", vision=INTERNVIT, text=QWEN2, keys=dict(tie_word_embeddings=False),
                     prompt=[1, 20, -1, 33, -2, 64]),
    "internvl-6b": dict(family="InternVL", vision=dict(INTERNVIT, norm_type="rms_norm", use_qk_norm=True,
                                                       use_mean_pooling=False, attention_bias=True),
                        text=LLAMA, keys=dict(tie_word_embeddings=False), prompt=[1, -1, 64]),
    "qwen2-vl": dict(family="Qwen2VL", vision=QWEN2_VISION, text=QWEN2_VL, grids=[[4, 6], [6, 2]],
                     prompt=[1, 20, -1, 33, 34, -2, 64, 90]),
    # Windows of 3 x 3 tokens: 36, 12, 24 and 8 rows of the first picture, 12 of the second.
    "qwen2.5-vl": dict(family="Qwen2_5_VL", vision=QWEN25_VISION, text=dict(QWEN2_VL, model_type="qwen2_5_vl_text"),
                       grids=[[10, 8], [2, 6]], prompt=[1, 20, -1, 33, 34, -2, 64, 90]),
    # Videos of three and of two times in front of and behind a picture; the second ends the prompt's visual part.
    "qwen2-vl-video": dict(family="Qwen2VL", vision=QWEN2_VISION, text=QWEN2_VL, grids=[[6, 2]],
                           videos=[[3, 4, 6], [2, 2, 4]], keys=dict(video_token_id=VIDEO), cache=True,
                           prompt=[1, 20, "video", 33, -1, 34, "video", 64, 90]),
    # A time takes 9 and 2.5 positions, so that the last ones lie behind the text.
    "qwen2.5-vl-video": dict(family="Qwen2_5_VL", vision=dict(QWEN25_VISION, tokens_per_second=2),
                             text=dict(QWEN2_VL, model_type="qwen2_5_vl_text"), grids=[[2, 6]],
                             videos=[[3, 6, 8], [3, 2, 4]], seconds=[4.5, 1.25], keys=dict(video_token_id=VIDEO),
                             cache=True, prompt=[1, "video", 33, -1, 34, "video", 64, 90]),
    "persimmon": dict(text=PERSIMMON, prompt=[1, 40, 41, 42, 77, 3]),
    # Heads of 48 columns, of which 12 turn.
    "persimmon-wide": dict(text=dict(PERSIMMON, hidden_size=96, num_attention_heads=2, rope_parameters=dict(
        rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25)), prompt=LONG),
    # 3 lines of 4 patches, each with its end (token 9).
    "fuyu": dict(family="Fuyu", text=PERSIMMON, keys=dict(patch_size=5, image_size=20), lines=[3, 4],
                 prompt=[-1, 1, 33, 64, 4]),
    # A picture, and a video of 3 frames, whose class rows stay.
    "video-llava": dict(family="VideoLlava", vision=dict(CLIP, num_hidden_layers=3), text=LLAMA, frames=3,
                        keys=dict(video_token_index=VIDEO), prompt=[1, "video", 20, -1, 33, 64]),
    # 128 x 128 pixels, 2 x 2 tokens.
    "fastvlm": dict(family="FastVlm", vision=FASTVIT, text=QWEN2, keys=dict(image_seq_length=4),
                    prompt=[1, 20, -1, 33, 64]),
    "paligemma": dict(family="PaliGemma", vision=SIGLIP, text=GEMMA, keys=dict(projection_dim=40, hidden_size=40),
                      prompt=[-1, *range(20, 90)]),  # more than a tile
    "clip-llama-sharded": dict(vision=CLIP, text=LLAMA, prompt=[1, 20, -1, 33, 64, 90],
                               shard="100KB"),
    "clip-llama-f16": dict(vision=CLIP, text=LLAMA, prompt=[1, 20, -1, 33, 64, 90], dtype="float16"),
    "clip-llama-bf16": dict(vision=CLIP, text=LLAMA, prompt=[1, 20, -1, 33, 64, 90], dtype="bfloat16"),
}

# Contrastive models: towers, texts (rows of ids, padded behind the end of text), pictures.
CLIP_TEXT = dict(hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, vocab_size=99,
                 max_position_embeddings=40, bos_token_id=97, eos_token_id=98, pad_token_id=98)
CONTRASTIVE = {
    # The longest text is more than a tile of the smallest kind.
    "clip": dict(family="CLIP", vision=CLIP, text=CLIP_TEXT, keys=dict(projection_dim=24), pictures=2,
                 texts=[[97, 5, 6, 98], [97, 33, *range(60, 92), 7, 98], [97, 8, 9, 10, 98]]),
    # An end id of 2 stands for the highest id of the text.
    "clip-old-end": dict(family="CLIP", vision=dict(CLIP, hidden_act="gelu"), text=dict(CLIP_TEXT, eos_token_id=2, projection_dim=48),
                         keys=dict(projection_dim=48), pictures=1, texts=[[97, 5, 2, 98], [97, 8, 9, 10, 98]]),
    "siglip": dict(family="Siglip", vision=dict(SIGLIP, vision_use_head=True),
                   text=dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                             vocab_size=99, max_position_embeddings=20, projection_size=32, pad_token_id=1),
                   keys={}, pictures=2, texts=[[5, 6, 1], [33, *range(60, 70), 1], [8, 9, 10, 1]], pad=1),
}


def sub_config(values):
    values = dict(values)
    return transformers.AutoConfig.for_model(values.pop("model_type"), **values)


def build(case):
    """The untouched model of a case."""
    text = sub_config(case["text"])
    if case.get("family") == "Fuyu":
        config = transformers.FuyuConfig(text_config=text.to_dict(), image_token_id=IMAGE, **case["keys"])
        return transformers.FuyuForCausalLM(config)
    if "vision" not in case:
        return transformers.AutoModelForCausalLM.from_config(text, dtype=torch.float32)
    family = case.get("family", "Llava")
    token = "image_token_id" if family in ("Idefics3", "SmolVLM", "InternVL", "Qwen2VL", "Qwen2_5_VL") else "image_token_index"
    parts = dict(vision_config=case["vision"], text_config=text)
    if family not in ("Qwen2VL", "Qwen2_5_VL"):
        parts["vision_config"] = sub_config(case["vision"])
    else:
        parts["text_config"] = text.to_dict()
    config = getattr(transformers, family + "Config")(**parts, **{token: IMAGE}, **case.get("keys", {}))
    return getattr(transformers, family + "ForConditionalGeneration")(config)


def randomise(model, seed):
    """Norm weights about 1, everything else about 0, with spreads that keep the logits varied."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name or "layrnorm" in name or ".bn." in name
            if name in ("logit_scale", "logit_bias"):
                parameter.fill_(1.5)
            elif (is_norm and name.endswith("weight")) or "lambda_" in name or "ln_q.weight" in name or "gamma" in name:
                parameter.copy_(1.0 + 0.2 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            elif "embed" in name or "newline" in name or "cls_token" in name:
                parameter.copy_(0.3 * noise)
            else:
                parameter.copy_(noise * min(0.3, 1.5 / parameter[0].numel() ** 0.5))


    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            noise = 0.2 * torch.randn(buffer.shape, generator=generator)
            buffer.copy_(1.0 + noise.abs() if name.endswith("var") else noise)


def round_parameters(model, dtype):
    """Rounds the parameters only: buffers such as the rotary frequencies stay float32, as on loading."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).float())


def draw(generator, *shape):
    return torch.randn(*shape, generator=generator)


def pictures(model, case, count, generator):
    """Processor tensors of `count` pictures, and the visual tokens of each."""
    family = case.get("family", "Llava")
    if family == "Fuyu":
        (height, width), columns = case["lines"], 3 * model.config.patch_size ** 2
        values = draw(generator, 1, height * width, columns)
        return dict(pixel_values=values), [([IMAGE] * width + [LINE_END]) * height]
    vision = model.config.vision_config
    if family in ("Qwen2VL", "Qwen2_5_VL"):
        grids = torch.tensor([[1, *grid] for grid in case["grids"][:count]])
        columns = 3 * vision.temporal_patch_size * vision.patch_size ** 2
        values = draw(generator, int(grids.prod(dim=1).sum()), columns)
        tensors = dict(pixel_values=values, image_grid_thw=grids)
        return tensors, [int(grid.prod()) // vision.spatial_merge_size ** 2 for grid in grids]
    if family == "FastVlm":
        size = 64 * math.isqrt(model.config.image_seq_length)
    else:
        size = vision.image_size if isinstance(vision.image_size, int) else vision.image_size[0]
    if family in ("LlavaNext", "LlavaOnevision"):
        from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches
        sizes = torch.tensor(case["sizes"][:count])
        used = [image_size_to_num_patches(s, model.config.image_grid_pinpoints, size) for s in sizes]
        values = torch.zeros(count, max(used), 3, size, size)
        for tiles, n in zip(values, used):
            tiles[:n] = draw(generator, n, 3, size, size)
        tensors = dict(pixel_values=values, image_sizes=sizes)
        if case.get("together"):  # several pictures of one prompt: thumbnails
            tensors["batch_num_images"] = torch.tensor([count])
    elif family in ("Idefics3", "SmolVLM"):
        tensors = dict(pixel_values=draw(generator, 1, count, 3, case.get("side", size), case.get("side", size)))
    else:
        tensors = dict(pixel_values=torch.stack([draw(generator, 3, size, size) for _ in range(count)]))
    with torch.no_grad():
        features = model.model.get_image_features(**tensors)
    features = getattr(features, "pooler_output", features)
    counts = [feature.shape[0] for feature in features]
    if family in ("Idefics3", "SmolVLM"):  # all tiles of a prompt in one piece
        counts = [sum(counts) // count] * count
    return tensors, counts


def qwen_videos(model, case, generator, tensors):
    """Draws the pixels of the videos; their visual tokens."""
    vision = model.config.vision_config
    grids = torch.tensor(case["videos"])
    columns = 3 * vision.temporal_patch_size * vision.patch_size ** 2
    tensors["pixel_values_videos"] = draw(generator, int(grids.prod(dim=1).sum()), columns)
    tensors["video_grid_thw"] = grids
    if "seconds" in case:
        tensors["second_per_grid_ts"] = torch.tensor(case["seconds"])
    return [int(grid.prod()) // vision.spatial_merge_size ** 2 for grid in grids]


def make_inputs(model, case, seed):
    """Expands pictures into placeholders and draws their pixels."""
    count = sum(item != "video" and item < 0 for item in case["prompt"])
    tensors, rows = {}, []
    generator = torch.Generator().manual_seed(seed + 1)
    if count:
        tensors, rows = pictures(model, case, count, generator)
    ids, videos = [], None
    for item in case["prompt"]:
        if item == "video" and "videos" in case:
            videos = videos or qwen_videos(model, case, generator, tensors)
            ids.extend([VIDEO] * videos.pop(0))
            continue
        if item == "video":
            side = model.config.vision_config.image_size
            tensors["pixel_values_videos"] = draw(generator, 1, case["frames"], 3, side, side)
            with torch.no_grad():
                features = model.model.get_video_features(tensors["pixel_values_videos"]).pooler_output
            ids.extend([VIDEO] * (features.shape[0] * features.shape[1]))
            continue
        shown = None if item >= 0 else rows[-item - 1]
        ids.extend([item] if shown is None else shown if isinstance(shown, list) else [IMAGE] * shown)
    return {"input_ids": torch.tensor([ids]), **tensors}


def types(model, ids, prompt):
    """Kinds of tokens, for models that ask for them; the prompt has `prompt` tokens."""
    if model.config.model_type in ("qwen2_vl", "qwen2_5_vl"):
        return {"mm_token_type_ids": (ids == IMAGE).int() + 2 * (ids == model.config.video_token_id).int()}
    if model.config.model_type == "paligemma":
        return {"token_type_ids": (torch.arange(ids.shape[1]) >= prompt).long()[None]}
    return {}


def reference(model, inputs, stop=(), cache=False):
    """Logits of all rows and the greedy continuation, without a KV cache, so that it is independent; with
    one where the model's result depends on it.

    The continuation ends after a token of `stop`, and before a near tie."""
    pixels = {key: value for key, value in inputs.items() if key != "input_ids"}
    placeholder = getattr(model.config, "image_token_id", None)
    ids, greedy = inputs["input_ids"], []
    prompt = ids.shape[1]
    with torch.no_grad():
        past = transformers.DynamicCache(config=model.config) if cache else None
        logits = model(input_ids=ids, use_cache=cache, past_key_values=past, **pixels, **types(model, ids, prompt)).logits.float()
        spread = float(logits.max() - logits.min())
        row = logits[0, -1].clone()
        while len(greedy) < GREEDY_TOKENS and not (greedy and greedy[-1] in stop):
            for token in (placeholder, getattr(model.config, "video_token_id", None)):
                if token is not None and token < row.numel():
                    row[token] = -float("inf")
            top = torch.topk(row, 2).values
            if float(top[0] - top[1]) < GAP_MIN * spread:
                break
            greedy.append(int(row.argmax()))
            last = torch.tensor([[greedy[-1]]])
            if cache:
                row = model(input_ids=last, use_cache=True, past_key_values=past).logits[0, -1].float()
                continue
            ids = torch.cat([ids, last], dim=1)
            row = model(input_ids=ids, use_cache=False, **pixels, **types(model, ids, prompt)).logits[0, -1].float()
    return {"logits": logits.contiguous(), "greedy": torch.tensor(greedy, dtype=torch.int64)}


def provenance(path, command, cache="no KV cache", **extra):
    fields = dict(
        command=command, transformers=transformers.__version__, torch=torch.__version__,
        safetensors=safetensors.__version__, numpy=numpy.__version__, python=platform.python_version(),
        reference=f"float32, CPU, eager attention, {cache}", **extra)
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    path.write_text("\n".join(lines) + "\n")


def export_case(name, case):
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    first = zlib.crc32(name.encode()) % 100_000
    for seed in range(first, first + 20):
        model = build(case).eval()  # anew: some rotary modules remember the longest sequence
        randomise(model, seed)
        if "dtype" in case:
            round_parameters(model, getattr(torch, case["dtype"]))
        model.set_attn_implementation("eager")
        inputs = make_inputs(model, case, seed)
        outputs = reference(model, inputs, cache=case.get("cache", False))
        if len(outputs["greedy"]) == GREEDY_TOKENS:
            break
    else:
        raise SystemExit(f"{name}: near ties with every seed")
    stored = model.to(getattr(torch, case["dtype"])) if "dtype" in case else model
    stored.save_pretrained(folder, **({"max_shard_size": case["shard"]} if "shard" in case else {}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_file(inputs, folder / "inputs.safetensors")
    save_file(outputs, folder / "outputs.safetensors")
    provenance(folder / "provenance.toml", f"scripts/export_goldens.py --only {name}",
               "KV cache" if case.get("cache") else "no KV cache", seed=seed)
    spread = float(outputs["logits"].max() - outputs["logits"].min())
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:22} T={inputs['input_ids'].shape[1]:3} range={spread:7.2f} "
          f"greedy={outputs['greedy'].tolist()} {size // 1024} KB")


def export_contrastive(name, case):
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seed = zlib.crc32(name.encode()) % 100_000
    vision = {key: value for key, value in case["vision"].items() if key != "model_type"}
    config = getattr(transformers, case["family"] + "Config")(
        text_config=case["text"], vision_config=vision, **case["keys"])
    model = getattr(transformers, case["family"] + "Model")(config).eval()
    randomise(model, seed)
    model.set_attn_implementation("eager")
    length = max(map(len, case["texts"])) if "pad" not in case else case["text"]["max_position_embeddings"]
    pad = case.get("pad", case["text"].get("pad_token_id"))
    rows = [text + [pad] * (length - len(text)) for text in case["texts"]]
    inputs = dict(input_ids=torch.tensor(rows))
    if "pad" not in case:  # others see the padding
        inputs["attention_mask"] = torch.tensor([[1] * len(t) + [0] * (length - len(t)) for t in case["texts"]])
    size = case["vision"]["image_size"]
    inputs["pixel_values"] = draw(torch.Generator().manual_seed(seed + 1), case["pictures"], 3, size, size)
    with torch.no_grad():
        result = model(**inputs)
    outputs = {key: result[key].float().contiguous() for key in ("logits_per_image", "image_embeds", "text_embeds")}
    model.save_pretrained(folder)
    save_file(inputs, folder / "inputs.safetensors")
    save_file(outputs, folder / "outputs.safetensors")
    provenance(folder / "provenance.toml", f"scripts/export_goldens.py --only {name}", seed=seed)
    print(f"{name:22} logits_per_image={outputs['logits_per_image'].tolist()}")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def chosen_questions(path):
    """Three picture questions of different kinds, spread over the file, and one text-only question."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    pictures = [row for row in rows if row.get("image")]
    by_kind = {}
    for row in pictures:
        by_kind.setdefault(row.get("kind", ""), row)
    chosen = list(by_kind.values())[:3]
    chosen += [row for row in pictures if row not in chosen][:3 - len(chosen)]
    text = [row for row in rows if not row.get("image")][:1]
    return chosen + (text or [{"image": None, "question": "What is this?"}])


def export_model(model_dir, questions, out):
    """Goldens of a real checkpoint: the processor's own inputs, the weights left where they are."""
    from PIL import Image

    processor = transformers.AutoProcessor.from_pretrained(model_dir)
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="eager").eval()
    stop = model.generation_config.eos_token_id
    stop = [stop] if isinstance(stop, int) else stop or []
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    asked = []
    for index, row in enumerate(chosen_questions(questions)):
        images = row["image"] if isinstance(row["image"], list) else [row["image"]] if row["image"] else []
        content = [{"type": "image"} for _ in images] + [{"type": "text", "text": row["question"]}]
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True)
        pictures = [Image.open(questions.parent / image).convert("RGB") for image in images]
        encoded = processor(text=prompt, images=pictures or None, return_tensors="pt")
        inputs = {key: encoded[key].contiguous() for key in ("input_ids", "pixel_values")
                  if key in encoded}
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].float()
        save_file(inputs, out / f"{index}.inputs.safetensors")
        outputs = reference(model, inputs, stop)
        save_file(outputs, out / f"{index}.outputs.safetensors")
        said = processor.tokenizer.decode(outputs["greedy"], skip_special_tokens=True)
        asked.append({"image": row["image"], "question": row["question"], "prompt": prompt,
                      "answer": row.get("answer"), "said": said})
    (out / "questions.json").write_text(json.dumps(asked, indent=1, ensure_ascii=False) + "\n")
    relative = lambda path: str(path.resolve().relative_to(ROOT))
    provenance(out / "provenance.toml",
               f"scripts/export_goldens.py --model {relative(model_dir)} --questions {relative(questions)}",
               model=relative(model_dir), model_sha256=sha256(model_dir / "model.safetensors"))
    print(f"{out.name}: {len(asked)} questions")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted([*CASES, *CONTRASTIVE]), metavar="CASE")
    parser.add_argument("--model", type=pathlib.Path, help="folder of an existing checkpoint")
    parser.add_argument("--questions", type=pathlib.Path, help="JSON lines with image and question")
    parser.add_argument("--out", type=pathlib.Path, help="folder to write (with --model)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if arguments.model:
        if not arguments.questions:
            parser.error("--model needs --questions")
        export_model(arguments.model, arguments.questions, arguments.out or GOLDEN / arguments.model.name)
        return
    for name in arguments.only or [*CASES, *CONTRASTIVE]:
        if name in CASES:
            export_case(name, CASES[name])
        else:
            export_contrastive(name, CONTRASTIVE[name])


if __name__ == "__main__":
    sys.exit(main())
