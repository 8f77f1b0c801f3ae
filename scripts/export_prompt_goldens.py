#!/usr/bin/env python3
"""Writes tests/golden/prompts: whole requests as Hugging Face's processors make them of words, pictures and videos.

usage: scripts/export_prompt_goldens.py [FAMILY ...]    needs transformers, torch, torchvision, Pillow, numpy, num2words

A folder beside a golden checkpoint of the same family, whose ids of placeholders it shares: a tokenizer with the special
tokens of the published one and a letter a token, settings of small processors, a chat template, and `cases.json`: for each
request the text behind the template, the ids, the grids, and the seconds of a time of each video.

Pictures and frames are flat, of the sizes in the case: what is compared is the layout of the tokens. Pixel values are in
tests/golden/processor.
"""

import json
import pathlib
import shutil
import sys

import numpy
import tokenizers
import torch
import torchvision
import transformers
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.tokenization_utils_tokenizers import TokenizersBackend
from transformers.video_utils import VideoMetadata

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "prompts"
IMAGE, VIDEO = 7, 8  # of the golden checkpoints
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;?!'()<>/|_-"


def vocabulary(special, letters):
    """Ids of special tokens as given, of the others from 10 on."""
    vocab = dict(special)
    vocab |= {letter: at for at, letter in enumerate(letters, 10)}
    assert max(vocab.values()) < 128 and len(set(vocab.values())) == len(vocab)
    return vocab


def byte_level(special):
    """As Qwen2's: bytes spelled as letters, special tokens apart."""
    vocab = vocabulary(special, LETTERS + "\u0120\u010a")
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


def sentence_piece(model, special):
    """Words begin with U+2581, also the first one."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


def llama(special):
    """As Llama's, with the start token in front of all."""
    tokenizer = sentence_piece(models.BPE(vocabulary(special, LETTERS + "\u2581\n"), [], unk_token="<unk>"), special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", special["<s>"])])
    return tokenizer


def persimmon(special):
    """As Persimmon's: the most likely pieces, and the words of pictures are pieces like others."""
    vocab = vocabulary(special, LETTERS + "\u2581\n")
    piece = {at: piece for piece, at in vocab.items()}
    scores = [(piece.get(at, f"<unused{at}>"), 0.0 if at < 10 else -3.0) for at in range(max(vocab.values()) + 1)]
    return sentence_piece(models.Unigram(scores, unk_id=0, byte_fallback=False), ["<unk>", "<s>", "</s>"])


def gemma(special):
    """Blanks become U+2581, words are not prefixed, and the start token stands in front."""
    tokenizer = Tokenizer(models.BPE(vocabulary(special, LETTERS + "\u2581\n"), [], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", special["<bos>"])])
    return tokenizer


QWEN = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<|vision_start|>": 3, "<|vision_end|>": 4,
        "<|vision_pad|>": 5, "<|image_pad|>": IMAGE, "<|video_pad|>": VIDEO}
FASTVLM = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<image>": IMAGE}
LLAMA = {"<unk>": 0, "<s>": 1, "</s>": 2, "<image>": IMAGE, "<video>": VIDEO}
FUYU = {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x00>": 3, "<0x01>": 4, "<0x04>": 5, "|SPEAKER|": IMAGE, "|NEWLINE|": 9}

NEXT = {"<unk>": 0, "<s>": 1, "</s>": 2, "<image>": IMAGE}
ONEVISION = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<image>": IMAGE, "<video>": VIDEO}
INTERNVL = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<img>": 3, "</img>": 4, "<video>": VIDEO,
            "<IMG_CONTEXT>": IMAGE}
PALIGEMMA = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<image>": IMAGE}
AROUND = {"<fake_token_around_image>": 3, "<global-img>": 4, "<image>": IMAGE}


def rows_and_columns(side):
    """Tags of the tiles of `side` rows and columns."""
    return {f"<row_{y}_col_{x}>": 100 + side * (y - 1) + x - 1 for y in range(1, side + 1) for x in range(1, side + 1)}


SMOLVLM = {"<|endoftext|>": 0, "<|im_start|>": 1, "<end_of_utterance>": 2} | AROUND | rows_and_columns(4)
IDEFICS3 = {"<|end_of_text|>": 0, "<|begin_of_text|>": 1, "<end_of_utterance>": 2} | AROUND | rows_and_columns(5)

QWEN_TEMPLATE = """{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}{{ message['content'] }}
{%- else %}{%- for part in message['content'] %}
{%- if part['type'] == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- elif part['type'] == 'video' %}{{ '<|vision_start|><|video_pad|><|vision_end|>' }}
{%- elif part['type'] == 'text' %}{{ part['text'] }}{%- endif %}{%- endfor %}{%- endif %}{{ '<|im_end|>\\n' }}
{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"""

FASTVLM_TEMPLATE = """{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{%- endfor %}
{%- for part in message['content'] if part['type'] == 'text' %}{{ '\\n' + part['text'] }}{%- endfor %}{{ '<|im_end|>\\n' }}
{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"""

INTERNVL_TEMPLATE = """{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- for part in message['content'] %}
{%- if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}{%- elif part['type'] == 'text' %}{{ part['text'] }}{%- endif %}
{%- endfor %}{{ '<|im_end|>\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"""

TURNS = """{%- for message in messages %}{{ message['role'] | capitalize + ':' }}
{%- if message['content'][0]['type'] != 'image' %}{{ ' ' }}{%- endif %}{%- for part in message['content'] %}
{%- if part['type'] == 'image' %}{{ '<image>' }}{%- elif part['type'] == 'text' %}{{ part['text'] }}{%- endif %}
{%- endfor %}{{ '<end_of_utterance>\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{ 'Assistant:' }}{%- endif %}"""
SMOLVLM_TEMPLATE = "<|im_start|>" + TURNS
IDEFICS3_TEMPLATE = "<|begin_of_text|>" + TURNS

LLAVA_TEMPLATE = """{%- for message in messages %}{{ message['role'].upper() + ': ' }}
{%- for part in message['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{%- endfor %}
{%- for part in message['content'] if part['type'] == 'video' %}{{ '<video>\\n' }}{%- endfor %}
{%- for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{%- endfor %}
{%- endfor %}{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{%- endif %}"""


def qwen(kind):
    patches = dict(patch_size=6, merge_size=2, temporal_patch_size=2)
    tokenizer = TokenizersBackend(tokenizer_object=byte_level(QWEN), eos_token="<|im_end|>", pad_token="<|endoftext|>")
    return getattr(transformers, kind)(
        image_processor=transformers.Qwen2VLImageProcessor(**patches, size=dict(shortest_edge=144, longest_edge=1152)),
        video_processor=transformers.Qwen2VLVideoProcessor(**patches, size=dict(shortest_edge=288, longest_edge=720)),
        tokenizer=tokenizer, chat_template=QWEN_TEMPLATE)


def video_llava():
    tokenizer = TokenizersBackend(tokenizer_object=llama(LLAMA), bos_token="<s>", eos_token="</s>",
                                  unk_token="<unk>", pad_token="<unk>")
    sizes = dict(size=dict(shortest_edge=16), crop_size=dict(height=16, width=16))
    return transformers.VideoLlavaProcessor(
        image_processor=transformers.VideoLlavaImageProcessor(**sizes),
        video_processor=transformers.VideoLlavaVideoProcessor(**sizes), tokenizer=tokenizer, patch_size=8,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=LLAVA_TEMPLATE)


def llava():
    tokenizer = TokenizersBackend(tokenizer_object=llama(NEXT), bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                                  pad_token="<unk>")
    return transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(size=dict(shortest_edge=16), crop_size=dict(height=16, width=16)),
        tokenizer=tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE)


def fastvlm():
    tokenizer = TokenizersBackend(tokenizer_object=byte_level(FASTVLM), eos_token="<|im_end|>", pad_token="<|endoftext|>")
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(size=dict(shortest_edge=128), crop_size=dict(height=128, width=128),
                                                        image_mean=[0.0] * 3, image_std=[1.0] * 3),
        tokenizer=tokenizer, chat_template=FASTVLM_TEMPLATE)
    processor.patch_size = 64  # of all stages together, as transformers' conversion writes it
    return processor


def fuyu():
    tokenizer = TokenizersBackend(tokenizer_object=persimmon(FUYU), bos_token="<s>", eos_token="</s>",
                                  unk_token="<unk>", pad_token="<unk>")
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return transformers.FuyuProcessor(
        image_processor=transformers.FuyuImageProcessor(size=dict(height=20, width=35), patch_size=dict(height=5, width=5)),
        tokenizer=tokenizer)


def llava_next():
    tokenizer = TokenizersBackend(tokenizer_object=llama(NEXT), bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                                  pad_token="<unk>")
    return transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessor(
            size=dict(shortest_edge=16), crop_size=dict(height=16, width=16),
            image_grid_pinpoints=[[16, 32], [32, 16], [32, 32], [48, 16]]),
        tokenizer=tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE)


def onevision():
    tokenizer = TokenizersBackend(tokenizer_object=byte_level(ONEVISION), eos_token="<|im_end|>", pad_token="<|endoftext|>")
    return transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(
            size=dict(height=18, width=18), image_grid_pinpoints=[[18, 36], [36, 18], [36, 36], [54, 18]]),
        video_processor=transformers.LlavaOnevisionVideoProcessor(size=dict(height=18, width=18)),
        tokenizer=tokenizer, num_image_tokens=9, vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_9",
        chat_template=FASTVLM_TEMPLATE)


def internvl():
    names = dict(start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>",
                 video_token="<video>")
    tokenizer = TokenizersBackend(tokenizer_object=byte_level(INTERNVL), eos_token="<|im_end|>", pad_token="<|endoftext|>",
                                  extra_special_tokens=names)
    return transformers.InternVLProcessor(
        # As published: the processor cuts pictures all the same.
        image_processor=transformers.GotOcr2ImageProcessor(size=dict(height=24, width=24), crop_to_patches=False,
                                                           min_patches=1, max_patches=12),
        video_processor=transformers.InternVLVideoProcessor(size=dict(height=24, width=24)),
        tokenizer=tokenizer, image_seq_length=4, chat_template=INTERNVL_TEMPLATE)


def paligemma():
    tokenizer = TokenizersBackend(tokenizer_object=gemma(PALIGEMMA), bos_token="<bos>", eos_token="<eos>",
                                  unk_token="<unk>", pad_token="<pad>")
    images = transformers.SiglipImageProcessor(size=dict(height=18, width=18))
    images.image_seq_length = 9
    return transformers.PaliGemmaProcessor(image_processor=images, tokenizer=tokenizer)


def smolvlm(side=36, **settings):
    tokenizer = TokenizersBackend(tokenizer_object=byte_level(SMOLVLM), bos_token="<|im_start|>",
                                  eos_token="<end_of_utterance>", pad_token="<|endoftext|>")
    return transformers.SmolVLMProcessor(
        image_processor=transformers.SmolVLMImageProcessor(size=dict(longest_edge=144), max_image_size=dict(longest_edge=side),
                                                           **settings),
        video_processor=transformers.SmolVLMVideoProcessor(size=dict(longest_edge=side), max_image_size=dict(longest_edge=side)),
        tokenizer=tokenizer, image_seq_len=4, chat_template=SMOLVLM_TEMPLATE)


def idefics3():
    tokenizer = byte_level(IDEFICS3)
    # As Llama 3's: the start token in front of all.
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", IDEFICS3["<|begin_of_text|>"])])
    tokenizer = TokenizersBackend(tokenizer_object=tokenizer, bos_token="<|begin_of_text|>",
                                  eos_token="<end_of_utterance>", pad_token="<|end_of_text|>")
    return transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessor(size=dict(longest_edge=120), max_image_size=dict(longest_edge=24)),
        tokenizer=tokenizer, image_seq_len=4, chat_template=IDEFICS3_TEMPLATE)


TEXTS = ["what is this?", "", "  two  words, (9/3)!", "a < b\nc"]
SIZES = [(24, 24), (36, 12), (13, 50), (70, 41), (5, 5)]  # width, height


def qwen_requests():
    videos = [dict(total=total, fps=fps, size=size) for total, fps in ((4, 2.0), (7, 2.0), (20, 5.0), (9, 30.0))
              for size in ((24, 36), (50, 20), (12, 12))]
    for at, size in enumerate(SIZES):
        yield dict(pictures=[size], videos=[], text=TEXTS[at % 4])
    for at, video in enumerate(videos):
        yield dict(pictures=[], videos=[video], text=TEXTS[at % 4])
        yield dict(pictures=[SIZES[at % 5]], videos=[video], text=TEXTS[(at + 1) % 4])
    yield dict(pictures=SIZES[:2], videos=videos[::6], text=TEXTS[0])
    yield dict(pictures=[], videos=[], text=TEXTS[0])
    yield from conversations(videos)


def video_llava_requests():
    videos = [dict(total=total, fps=5.0, size=size) for total in (8, 3, 40) for size in SIZES]
    for at, video in enumerate(videos):
        yield dict(pictures=[], videos=[video], text=TEXTS[at % 4])
        yield dict(pictures=[SIZES[(at + 1) % 5]], videos=[video], text=TEXTS[(at + 2) % 4])
    for at, size in enumerate(SIZES):
        yield dict(pictures=[size, size][:1 + at % 2], videos=[], text=TEXTS[at % 4])
    yield dict(pictures=[], videos=[], text=TEXTS[2])
    yield from conversations(videos)


def one_size_requests():
    for at, size in enumerate([*SIZES, (300, 100)]):
        yield dict(pictures=[size, SIZES[0]][:1 + at % 2], videos=[], text=TEXTS[at % 4])
    yield dict(pictures=[], videos=[], text=TEXTS[0])
    yield from conversations()


def fuyu_requests():
    for at, size in enumerate([*SIZES, (35, 20), (36, 20), (100, 10), (10, 100), (6, 11)]):
        for text in TEXTS:
            yield dict(pictures=[size], videos=[], text=text)


SWEEP = [*SIZES, (18, 18), (16, 32), (48, 16), (100, 20), (20, 100), (37, 36), (144, 144), (145, 72), (72, 109), (1, 40),
         (90, 31)]


PICTURE, FILM = dict(type="image"), dict(type="video")


def said(text):
    return dict(type="text", text=text)


# Turns with parts; pictures and videos are in the order of the parts.
CONVERSATIONS = [
    [("user", [PICTURE, said("what is this?")]), ("assistant", [said("a cat.")]), ("user", [said("where?")])],
    [("user", [PICTURE, said("and")]), ("assistant", [said("yes")]), ("user", [PICTURE, said(" this, too?")])],
    [("user", [said("hi")]), ("assistant", [said("hello!")]), ("user", [PICTURE, PICTURE, said("which?")])],
    # Text in front of, between and behind pictures.
    [("user", [said("this "), PICTURE, said(" or "), PICTURE, said("?")]), ("assistant", [said("this.")]),
     ("user", [said("and"), PICTURE, said(", now?")])],
    [("system", [said("be brief.")]), ("user", [PICTURE, said("what?")]), ("assistant", [said("a dog")]),
     ("user", [said("why?")]), ("assistant", [said("it is.")]), ("user", [said("sure? "), PICTURE])],
]
WITH_VIDEOS = [
    [("user", [FILM, said("what happens?")]), ("assistant", [said("a walk.")]), ("user", [said("where?")])],
    [("user", [PICTURE, said("in "), FILM, said("?")]), ("assistant", [said("no")]),
     ("user", [FILM, said(" or "), PICTURE, said(" here?")])],
]


def conversations(shown=()):
    """Requests of several turns, those with videos where there are some to show."""
    for at, turns in enumerate(CONVERSATIONS + WITH_VIDEOS * bool(shown)):
        kinds = [part["type"] for _, parts in turns for part in parts]
        for shift in (0, 3):
            sizes = [SWEEP[(2 * at + shift + i) % len(SWEEP)] for i in range(kinds.count("image"))]
            videos = [shown[(shift + i) % len(shown)] for i in range(kinds.count("video"))]
            yield dict(pictures=sizes, videos=videos, turns=[dict(role=role, content=parts) for role, parts in turns])


def sweep_requests():
    for at, size in enumerate(SWEEP):
        yield dict(pictures=[size], videos=[], text=TEXTS[at % 4])
        if at % 3 == 0:
            yield dict(pictures=[size, SWEEP[(at + 1) % len(SWEEP)]], videos=[], text=TEXTS[at % 4])
    yield dict(pictures=[], videos=[], text=TEXTS[0])
    yield from conversations()


def paligemma_requests():
    for at, size in enumerate(SIZES):
        yield dict(pictures=[size], videos=[], text=TEXTS[at % 4])
    yield dict(pictures=SIZES[:2], videos=[], text=TEXTS[0])


FAMILIES = {
    "clip-llama": (llava, one_size_requests),
    "llava-next": (llava_next, sweep_requests),
    "llava-onevision": (onevision, sweep_requests),
    "internvl": (internvl, sweep_requests),
    "paligemma": (paligemma, paligemma_requests),
    "smolvlm": (smolvlm, sweep_requests),
    # Pictures stay whole; four tokens of 16 patches each.
    "smolvlm-factor-4": (lambda: smolvlm(48, do_image_splitting=False), one_size_requests),
    "idefics3-small-tiles": (idefics3, sweep_requests),
    "qwen2-vl-video": (lambda: qwen("Qwen2VLProcessor"), qwen_requests),
    "qwen2.5-vl-video": (lambda: qwen("Qwen2_5_VLProcessor"), qwen_requests),
    "video-llava": (video_llava, video_llava_requests),
    "fastvlm": (fastvlm, one_size_requests),
    "fuyu": (fuyu, fuyu_requests),
}


def shown(video, family):
    """Frames of a video, and what is known of it."""
    frames = numpy.zeros((video["total"], video["size"][1], video["size"][0], 3), dtype=numpy.uint8)
    if family == "video-llava":  # as in the class's example
        return frames[numpy.arange(0, len(frames), len(frames) / 8).astype(int)], None
    return frames, VideoMetadata(total_num_frames=video["total"], fps=video["fps"])


def case(processor, family, request):
    pictures = [Image.new("RGB", size) for size in request["pictures"]]
    videos = [shown(video, family) for video in request["videos"]]
    text = request.get("text")
    if "turns" in request:
        text = processor.apply_chat_template(request["turns"], add_generation_prompt=True)
    elif family == "paligemma":
        # The class puts the pictures' tokens in front.
        text = "<image>" * len(pictures) + text
        pictures = [pictures]
    elif family != "fuyu":
        content = [{"type": "video"} for _ in videos] + [{"type": "image"} for _ in pictures]
        turn = {"role": "user", "content": [*content, {"type": "text", "text": text}]}
        text = processor.apply_chat_template([turn], add_generation_prompt=True)
    if family == "llava-onevision" and pictures:
        # As apply_chat_template does: several pictures of one conversation are shown as thumbnails.
        pictures = [pictures]
    options = dict(images=pictures or None, return_tensors="pt")
    if videos and family == "video-llava":
        options["videos"] = [frames for frames, _ in videos]
    elif videos:
        options |= dict(videos=[frames for frames, _ in videos], video_metadata=[known for _, known in videos],
                        do_sample_frames=True, fps=2.0)
    if getattr(processor, "chat_template", None) and text.startswith(processor.tokenizer.bos_token or "\0"):
        # As apply_chat_template does: no second start token.
        options["add_special_tokens"] = False
    if family == "fuyu":
        options.pop("return_tensors")
    made = processor(text=text, **options)
    ids = torch.as_tensor(made["input_ids"][0]).tolist()
    out = {**request, "prompt": text, "ids": ids}
    for key in ("image_grid_thw", "video_grid_thw", "second_per_grid_ts"):
        if key in made:
            out[key] = torch.as_tensor(made[key]).tolist()
    if "image_patches" in made:
        out["patches"] = list(torch.as_tensor(made["image_patches"]).shape)
    return out


def main():
    transformers.logging.set_verbosity_error()
    for family in sys.argv[1:] or FAMILIES:
        build, requests = FAMILIES[family]
        processor = build()
        cases = [case(processor, family, request) for request in requests()]
        folder = FOLDER / family
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        processor.save_pretrained(folder)
        (folder / "cases.json").write_text(json.dumps(cases) + "\n")
        versions = dict(command=f"scripts/export_prompt_goldens.py {family}", transformers=transformers.__version__,
                        tokenizers=tokenizers.__version__, torch=torch.__version__, torchvision=torchvision.__version__)
        (folder / "provenance.toml").write_text("".join(f'{key} = "{value}"\n' for key, value in versions.items()))
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{family}: {len(cases)} requests of {min(len(c['ids']) for c in cases)} to "
              f"{max(len(c['ids']) for c in cases)} tokens, {size >> 10} KiB in {sorted(f.name for f in folder.iterdir())}")


if __name__ == "__main__":
    main()
