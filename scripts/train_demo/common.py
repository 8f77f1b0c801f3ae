"""Text side, model shape and processor files, shared by training, export and evaluation."""
import json, random
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (CLIPImageProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig,
                          LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast)

IMAGE, PATCH, GRID = 96, 16, 6
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
POSITIONS = ["top left", "top right", "bottom left", "bottom right"]
PLURAL = {"jeans", "glasses", "sunglasses", "scissors", "cherries", "french fries", "grapes",
          "crossed swords", "chains", "control knobs", "clinking glasses", "paw prints", "hot springs"}
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ message['role'].upper() + ': ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for item in message['content'] if item['type'] == 'image' %}{{ '<image>\\n' }}{% endfor %}"
    "{% for item in message['content'] if item['type'] == 'text' %}{{ item['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'user' %}{{ ' ' }}{% else %}{{ '</s>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}")

NAME_Q = ["what is this?", "what is in the picture?"]
KIND_Q = ["what kind of thing is this?", "what sort of thing is this?"]
COUNT_ALL_Q = ["how many things are there?", "how many things are in the picture?"]


def count_q(name, rng=random):
    return f"how many {name} pictures are there?"


def position_q(p, rng=random):
    return rng.choice([f"what is at the {POSITIONS[p]}?", f"what is in the {POSITIONS[p]} corner?"])


def where_q(name):
    return f"where {'are' if name in PLURAL else 'is'} the {name}?"


def load_concepts(work):
    return json.load(open(Path(work) / "concepts.json"))


def build_tokenizer(concepts):
    texts = []
    for c in concepts:
        for q in NAME_Q:
            texts.append(f"USER: \n{q} ASSISTANT: {c['name']}")
        for q in KIND_Q:
            texts.append(f"USER: \n{q} ASSISTANT: {c['kind']}")
        for q in COUNT_ALL_Q + [count_q(c["name"])]:
            texts += [f"USER: \n{q} ASSISTANT: {n}" for n in range(1, 5)]
        for p in range(4):
            texts.append(f"USER: \nwhat is at the {POSITIONS[p]}? ASSISTANT: {c['name']}")
            texts.append(f"USER: \nwhat is in the {POSITIONS[p]} corner? ASSISTANT: {c['name']}")
            texts.append(f"USER: \n{where_q(c['name'])} ASSISTANT: {POSITIONS[p]}")
    tok = Tokenizer(models.BPE(byte_fallback=False))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<image>"]
    trainer = trainers.BpeTrainer(vocab_size=1024, min_frequency=2, special_tokens=special,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    tok.train_from_iterator(texts, trainer)
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tok.token_to_id("<s>"))])
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=["<image>"], padding_side="left", model_max_length=256,
        clean_up_tokenization_spaces=False)


def build_processor(tokenizer):
    ip = CLIPImageProcessor(do_resize=True, size={"height": IMAGE, "width": IMAGE}, resample=3,
                            do_center_crop=False, crop_size={"height": IMAGE, "width": IMAGE}, do_rescale=True, rescale_factor=1 / 255,
                            do_normalize=True, image_mean=MEAN, image_std=STD, do_convert_rgb=True)
    return LlavaProcessor(image_processor=ip, tokenizer=tokenizer, patch_size=PATCH,
                          vision_feature_select_strategy="default", chat_template=CHAT_TEMPLATE,
                          image_token="<image>", num_additional_image_tokens=1)


def build_model(tokenizer):
    vision = CLIPVisionConfig(hidden_size=160, intermediate_size=640, num_hidden_layers=5,
                              num_attention_heads=5, image_size=IMAGE, patch_size=PATCH,
                              projection_dim=160, hidden_act="gelu")
    text = LlamaConfig(vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512,
                       num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=2,
                       head_dim=32, max_position_embeddings=256, rms_norm_eps=1e-5,
                       tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
                       eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    cfg = LlavaConfig(vision_config=vision, text_config=text,
                      image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
                      projector_hidden_act="gelu", vision_feature_layer=-2,
                      vision_feature_select_strategy="default", image_seq_length=GRID * GRID,
                      tie_word_embeddings=True)
    return LlavaForConditionalGeneration(cfg)


def prompt(question):
    return f"USER: <image>\n{question} ASSISTANT:"


def visual_tokens(model, pixels):
    """What the projector hands to the decoder: hidden_states[-2] without [CLS].
    The last encoder layer is never run: nothing reads it."""
    vt = model.model.vision_tower
    vt = getattr(vt, "vision_model", vt)
    h = vt.pre_layrnorm(vt.embeddings(pixels))
    for layer in vt.encoder.layers[:-1]:
        h = layer(h, None)
        if isinstance(h, tuple):
            h = h[0]
    return model.model.multi_modal_projector(h[:, 1:])
