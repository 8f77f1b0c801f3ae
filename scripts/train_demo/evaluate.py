"""Greedy answers of a Hugging Face folder on a question file, plain transformers, float32, CPU.

    python evaluate.py --model tests/models/emoji-llava --questions tests/data/emoji-vqa/questions.jsonl --out transformers.json
"""
import argparse, json, platform
from collections import defaultdict
from pathlib import Path

import PIL
import torch
import transformers
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration


def clean(s):
    return s.strip().strip(".,!?;:'\"").strip().lower()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", type=Path, required=True)
    ap.add_argument("--questions", type=Path, required=True)
    ap.add_argument("--out", type=Path)
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    proc = AutoProcessor.from_pretrained(a.model)
    model = LlavaForConditionalGeneration.from_pretrained(a.model, dtype=torch.float32).eval()
    answers, per, styles = [], defaultdict(lambda: [0, 0]), defaultdict(lambda: [0, 0])
    for line in open(a.questions):
        r = json.loads(line)
        im = Image.open(a.questions.parent / r["image"]).convert("RGB")
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": r["question"]}]}]
        text = proc.apply_chat_template(chat, add_generation_prompt=True)
        x = proc(images=im, text=text, return_tensors="pt")
        with torch.no_grad():
            y = model.generate(**x, do_sample=False, max_new_tokens=16)
        ids = y[0, x["input_ids"].shape[1]:].tolist()
        got = proc.tokenizer.decode(ids, skip_special_tokens=True).strip()
        accept = r["answer"] if isinstance(r["answer"], list) else [r["answer"]]
        ok = clean(got) in [clean(s) for s in accept]
        answers.append(dict(image=r["image"], question=r["question"], kind=r["kind"],
                            expected=r["answer"], answer=got, token_ids=ids, correct=ok))
        for key, d in ((r["kind"], per), (r.get("style"), styles)):
            if key and (d is per or r["kind"] == "name"):
                d[key][0] += ok
                d[key][1] += 1
    good, n = sum(x["correct"] for x in answers), len(answers)
    res = dict(
        torch=torch.__version__, transformers=transformers.__version__, pillow=PIL.__version__,
        python=platform.python_version(), dtype="float32", device="cpu", decoding="greedy",
        exact_match=dict(correct=good, total=n, fraction=round(good / n, 4)),
        per_kind={k: dict(correct=c, total=t, fraction=round(c / t, 4)) for k, (c, t) in sorted(per.items())},
        answers=answers)
    if styles:
        res["name_per_style"] = {k: dict(correct=c, total=t) for k, (c, t) in sorted(styles.items())}
    if a.out:
        a.out.write_text(json.dumps(res, indent=1) + "\n")
    print(json.dumps({k: v for k, v in res.items() if k != "answers"}))


if __name__ == "__main__":
    main()
