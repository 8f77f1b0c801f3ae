#!/usr/bin/env python3
"""Writes a checkpoint of a real shape with random bfloat16 weights: config.json and model.safetensors.

usage: scripts/random_checkpoint.py tests/data/shapes/llava-1.5-7b target/random/llava-1.5-7b

For measuring the compiler on models whose weights are not at hand; only the standard library is needed.
"""
import json
import os
import random
import shutil
import struct
import sys


def text_tensors(c, prefix, head):
    d, ff = c["hidden_size"], c["intermediate_size"]
    heads = c["num_attention_heads"]
    head_dim = c.get("head_dim", d // heads)
    q, kv = heads * head_dim, c.get("num_key_value_heads", heads) * head_dim
    yield f"{prefix}model.embed_tokens.weight", [c["vocab_size"], d]
    for i in range(c["num_hidden_layers"]):
        layer = f"{prefix}model.layers.{i}."
        for name, shape in [
            ("input_layernorm.weight", [d]),
            ("self_attn.q_proj.weight", [q, d]),
            ("self_attn.k_proj.weight", [kv, d]),
            ("self_attn.v_proj.weight", [kv, d]),
            ("self_attn.o_proj.weight", [d, q]),
            ("post_attention_layernorm.weight", [d]),
            ("mlp.gate_proj.weight", [ff, d]),
            ("mlp.up_proj.weight", [ff, d]),
            ("mlp.down_proj.weight", [d, ff]),
        ]:
            yield layer + name, shape
    yield f"{prefix}model.norm.weight", [d]
    if not c.get("tie_word_embeddings", False):
        yield f"{head}lm_head.weight", [c["vocab_size"], d]


def clip_tensors(c, prefix):
    d, ff, p = c["hidden_size"], c["intermediate_size"], c["patch_size"]
    yield f"{prefix}embeddings.class_embedding", [d]
    yield f"{prefix}embeddings.patch_embedding.weight", [d, 3, p, p]
    yield f"{prefix}embeddings.position_embedding.weight", [(c["image_size"] // p) ** 2 + 1, d]
    norms = ["pre_layrnorm", "post_layernorm"]
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layers.{i}."
        norms += [layer + "layer_norm1", layer + "layer_norm2"]
        for name, rows, cols in [
            ("self_attn.q_proj", d, d),
            ("self_attn.k_proj", d, d),
            ("self_attn.v_proj", d, d),
            ("self_attn.out_proj", d, d),
            ("mlp.fc1", ff, d),
            ("mlp.fc2", d, ff),
        ]:
            yield f"{prefix}{layer}{name}.weight", [rows, cols]
            yield f"{prefix}{layer}{name}.bias", [rows]
    for n in norms:
        yield f"{prefix}{n}.weight", [d]
        yield f"{prefix}{n}.bias", [d]


def tensors(config):
    if config["model_type"] != "llava":
        yield from text_tensors(config, "", "")
        return
    text, vision = config["text_config"], config["vision_config"]
    yield from text_tensors(text, "language_model.", "language_model.")
    yield from clip_tensors(vision, "vision_tower.")
    d = text["hidden_size"]
    for i, cols in [(1, vision["hidden_size"]), (2, d)]:
        yield f"multi_modal_projector.linear_{i}.weight", [d, cols]
        yield f"multi_modal_projector.linear_{i}.bias", [d]


def random_block(size_bytes, seed):
    """Finite bfloat16 values of either sign around 2^-8 .. 2^-3."""
    generator = random.Random(seed)
    high = bytes(generator.choice([0x3B, 0x3C, 0x3D, 0xBB, 0xBC, 0xBD]) for _ in range(256))
    block = bytearray(size_bytes)
    block[0::2] = generator.randbytes(size_bytes // 2)
    block[1::2] = generator.randbytes(size_bytes // 2).translate(high)
    return bytes(block)


def main():
    source, out = sys.argv[1:]
    with open(os.path.join(source, "config.json")) as f:
        config = json.load(f)
    os.makedirs(out, exist_ok=True)
    shutil.copy(os.path.join(source, "config.json"), out)
    header, at = {}, 0
    for name, shape in tensors(config):
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    blocks = [random_block(32 << 20, seed) for seed in range(3)]
    with open(os.path.join(out, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        left, i = at, 0
        while left:
            piece = blocks[i % 3][: min(left, len(blocks[0]))]
            f.write(piece)
            left, i = left - len(piece), i + 1
    print(f"{out}: {len(header)} tensors, {at} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
