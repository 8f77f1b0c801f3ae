"""Train the demo model from nothing on CPU: dense vision steps, then mixed with VQA steps.

    python train.py --work WORKDIR --procs 2 --end-minutes 85 [--resume CKPT]

Every process is single-threaded; a step is a set of micro-batches which the processes take
from a shared counter, so a busy core slows a step down only by its share.
Schedule by wall clock (fractions of the whole run): --dense-only F1, then VQA-only until F2,
then a mix. Writes WORKDIR/log.csv, WORKDIR/last.pt (weights + EMA).
"""
import argparse, csv, math, os, random, time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

from common import build_model, build_processor, build_tokenizer, load_concepts, prompt, visual_tokens
import scenes
from scenes import Pictures, make, questions


class Texts:
    """Token layout identical to LlavaProcessor's: <s> USER: <image>*36 \\n question ASSISTANT: answer </s>"""

    def __init__(self, tok):
        self.tok, self.cache = tok, {}
        ids = tok("USER: <image>\n").input_ids
        self.prefix = ids[:-1 - 1]            # <s> USER : Ġ
        self.nl = ids[-1]
        assert ids[-2] == tok.convert_tokens_to_ids("<image>")
        self.eos = tok.eos_token_id

    def qa(self, q, a):
        if (q, a) not in self.cache:
            full = self.tok(prompt(q)).input_ids
            i = full.index(self.nl)
            self.cache[q, a] = (full[i:], self.tok(" " + a, add_special_tokens=False).input_ids + [self.eos])
        return self.cache[q, a]


def vlm_forward(model, texts, vis, qas, lens=0.0):
    """All questions of one picture share the picture's prefix: a block mask keeps them
    apart and each block's positions start right after the prefix, so every block sees
    exactly what it would see alone. Returns (loss, hits, total) over answer tokens."""
    emb = model.model.language_model.embed_tokens
    n, k = len(qas), len(qas[0])
    P = len(texts.prefix) + vis.shape[1]
    enc = [[texts.qa(q, a) for _, q, a in row] for row in qas]
    L = max(len(q) + len(a) - 1 for row in enc for q, a in row)
    ids = torch.zeros(n, k, L, dtype=torch.long)
    tgt = torch.full((n, k, L), -100, dtype=torch.long)
    for i, row in enumerate(enc):
        for j, (q, a) in enumerate(row):
            s = q + a
            ids[i, j, :len(s) - 1] = torch.tensor(s[:-1])
            tgt[i, j, len(q) - 1:len(s) - 1] = torch.tensor(a)
    pre = emb(torch.tensor(texts.prefix)).expand(n, -1, -1)
    x = torch.cat([pre, vis, emb(ids.view(n, -1))], 1)
    T = P + k * L
    block = torch.cat([torch.full((P,), -1), torch.arange(k).repeat_interleave(L)])
    posn = torch.cat([torch.arange(P), P + torch.arange(L).repeat(k)])
    ok = ((block[:, None] == block[None]) | (block[None] == -1)) & (posn[None] <= posn[:, None])
    mask = torch.where(ok, 0.0, float("-inf")).view(1, 1, T, T).expand(n, 1, T, T)
    mid = []
    lm = model.model.language_model
    hook = lm.layers[1].register_forward_hook(lambda m, i, o: mid.append(o[0] if isinstance(o, tuple) else o))
    h = model.model.language_model(inputs_embeds=x, attention_mask=mask,
                                   position_ids=posn.view(1, T).expand(n, T),
                                   use_cache=False).last_hidden_state[:, P:]
    hook.remove()
    t = tgt.view(n, -1)
    at = t != -100
    logits = F.linear(h[at], emb.weight)
    loss = F.cross_entropy(logits, t[at])
    if lens:
        # "where is the X?": half-way up, the last word of X should already say where X is
        # (read with the model's own final norm and embedding), for the layers above to copy
        spots = [(i, P + j * L + len(enc[i][j][0]) - 4, enc[i][j][1][:2])
                 for i, row in enumerate(qas) for j, (kind, _, _) in enumerate(row) if kind == "where"]
        if spots:
            hm = mid[0][[s[0] for s in spots], [s[1] for s in spots]]
            lp = F.linear(lm.norm(hm), emb.weight).log_softmax(-1)
            loss = loss - lens * 0.5 * lp.gather(1, torch.tensor([s[2] for s in spots])).sum(1).mean()
    return loss, logits.argmax(-1), at, t


class Dense(torch.nn.Module):
    """Stage-1 head: each visual token must point at the word embedding of what it shows
    (cosine, so it is the projector output itself that is trained), plus where it is."""

    def __init__(self, tok, concepts, dim):
        super().__init__()
        ids = [tok(" " + c["name"], add_special_tokens=False).input_ids for c in concepts]
        self.w = torch.zeros(len(concepts), len(tok))
        for i, row in enumerate(ids):
            for t in row:
                self.w[i, t] += 1 / len(row)
        self.background = torch.nn.Parameter(torch.randn(1, dim) * 0.05)
        self.temp = torch.nn.Parameter(torch.tensor(2.5))
        self.where = torch.nn.Linear(dim, 36)

    def logits(self, vis, table):
        e = torch.cat([self.w @ table, self.background])
        return self.temp.exp() * F.normalize(vis, dim=-1) @ F.normalize(e, dim=-1).T

    def loss(self, vis, labels, table):
        n, c = len(vis), self.w.shape[0]
        lg = self.logits(vis, table)
        lab = labels.view(-1)
        ce = F.cross_entropy(lg.view(-1, c + 1), lab.clamp(min=0), reduction="none",
                             label_smoothing=0.05).view(n, -1)
        # each object counts once however many patches it covers; background 0.3 a picture
        w = torch.zeros_like(ce)
        for cell in range(4):
            gy, gx = 3 * (cell // 2), 3 * (cell % 2)
            v = ((labels >= 0) & (labels < c)).view(n, 6, 6)[:, gy:gy + 3, gx:gx + 3].float()
            w.view(n, 6, 6)[:, gy:gy + 3, gx:gx + 3] = v / v.sum((1, 2), keepdim=True).clamp(min=1)
        bg = (labels == c).float()
        w = w + 0.3 * bg / bg.sum(1, keepdim=True).clamp(min=1)
        loss = (ce * w).sum() / w.sum().clamp(min=1)
        rms = vis.pow(2).mean().sqrt()
        pos = F.cross_entropy(self.where(vis / (vis.pow(2).mean(-1, keepdim=True).sqrt() + 1e-6)).view(-1, 36),
                              torch.arange(36).repeat(n))
        return loss + 0.1 * pos + 0.1 * (rms / 0.3).log().pow(2), lg


def evaluate(model, dense, texts, pics, concepts, n=264, seed=5, with_lm=True):
    """Held-out drawings in clean layouts. Teacher-forced exact match (every answer token
    the arg-max given the right ones before it) equals greedy exact match."""
    rng, st = random.Random(seed), torch.get_rng_state()
    torch.manual_seed(seed)
    res = {}
    with torch.no_grad():
        px, sc, lab = make(pics, n, 0.5, aug=False, rng=rng)
        vis = torch.cat([visual_tokens(model, px[i:i + 33]) for i in range(0, n, 33)])
        lg = dense.logits(vis, model.model.language_model.embed_tokens.weight)[..., :-1]
        hit = tot = 0
        for i, s in enumerate(sc):
            if isinstance(s, int):
                tot += 1
                hit += int(lg[i][(lab[i] >= 0) & (lab[i] < len(concepts))].log_softmax(-1).mean(0).argmax() == s)
        res["dense"] = hit / max(tot, 1)
        if with_lm:
            qas = [questions(s, concepts, 5, rng) for s in sc]
            kinds = {}
            for i in range(0, n, 33):
                _, am, at, t = vlm_forward(model, texts, vis[i:i + 33], qas[i:i + 33])
                pred = torch.full_like(t, -100)
                pred[at] = am
                good = (pred == t).view(len(t), 5, -1).all(-1)
                for row, g in zip(qas[i:i + 33], good.tolist()):
                    for (kd, _, _), ok in zip(row, g):
                        a = kinds.setdefault(kd, [0, 0])
                        a[0] += ok
                        a[1] += 1
            for kd, (a, b) in kinds.items():
                res[kd] = a / b
    torch.set_rng_state(st)
    return res


def worker(rank, args, counter, stop):
    torch.set_num_threads(1)
    scenes.STRENGTH = args.strength
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(args.port))
    dist.init_process_group("gloo", rank=rank, world_size=args.procs)
    torch.manual_seed(0)
    info = load_concepts(args.work)
    concepts = info["concepts"]
    tok = build_tokenizer(concepts)
    build_processor(tok)
    texts = Texts(tok)
    model = build_model(tok)
    torch.nn.init.normal_(model.model.language_model.embed_tokens.weight, std=0.05)
    dense = Dense(tok, concepts, 192)
    npz = np.load(args.work / "pictures.npz")
    train, held = Pictures(npz, "train"), Pictures(npz, "held") if rank == 0 else None
    unused = set(id(p) for n, p in model.named_parameters()
                 if "post_layernorm" in n or "encoder.layers.4." in n)
    named = [(n, p) for n, p in list(model.named_parameters()) + list(dense.named_parameters())
             if id(p) not in unused]
    params = [p for _, p in named]
    decay = [p for n, p in named if p.ndim >= 2 and "embed" not in n]
    rest = [p for n, p in named if not (p.ndim >= 2 and "embed" not in n)]
    opt = torch.optim.AdamW([dict(params=decay, weight_decay=0.05), dict(params=rest, weight_decay=0.0)],
                            lr=1e-3, betas=(0.9, 0.98), fused=True)
    ema = [p.detach().clone() for p in params]
    step, elapsed0 = 0, 0.0
    if args.resume:
        ck = torch.load(args.resume, weights_only=True)
        for p, q in zip(params, ck["params"]):
            p.data.copy_(q)
        ema = ck["ema"]
        if not args.fresh_opt:
            opt.load_state_dict(ck["opt"])
        step, elapsed0 = ck["step"], ck["elapsed"]
    random.seed(1000 * rank + step + 1)
    torch.manual_seed(1000 * rank + step + 1)
    total, t0 = args.end_minutes * 60, time.time() - elapsed0
    log = open(args.work / "log.csv", "a", newline="") if rank == 0 else None
    wr = csv.writer(log) if rank == 0 else None
    flat = torch.zeros(sum(p.numel() for p in params) + 6)
    avg = {"dense": None, "vlm": None}
    last_eval = last_save = time.time()
    mixrng = random.Random(step)
    seen = {"dense": 0, "vlm": 0}
    while True:
        ctl = torch.tensor([time.time() - t0, 0.0])
        dist.broadcast(ctl, 0)
        el = float(ctl[0])
        f = el / total
        if f >= 1:
            break
        lr = args.lr * min(1, (step + 1) / 150)
        if f > args.hold:
            lr *= 0.5 * (1 + math.cos(math.pi * (f - args.hold) / (1 - args.hold))) * 0.98 + 0.02
        for g in opt.param_groups:
            g["lr"] = lr
        r = mixrng.random()
        mode = "dense" if f < args.dense_only else "vlm" if f < args.vlm_only or r > args.dense_mix else "dense"
        need = 4
        mb = args.dense_mb if mode == "dense" else args.vlm_mb
        opt.zero_grad(set_to_none=True)
        ls, k = [0.0, 0.0, 0.0], 0
        while True:
            with counter.get_lock():
                if counter.value >= need * (step + 1):
                    break
                if counter.value < need * step:
                    counter.value = need * step
                counter.value += 1
            k += 1
            if mode == "dense":
                px, sc, lab = make(train, mb, 0.35)
                vis = visual_tokens(model, px)
                loss, lg = dense.loss(vis, lab, model.model.language_model.embed_tokens.weight)
                with torch.no_grad():
                    v = (lab >= 0) & (lab < len(concepts))
                    acc = (lg.argmax(-1) == lab)[v].float().mean()
                ls[0] += float(loss)
                ls[1] += float(acc)
            else:
                px, sc, lab = make(train, mb, args.vlm_single)
                if args.freeze_vision and el < args.freeze_vision * total:
                    with torch.no_grad():
                        vis = visual_tokens(model, px)
                    aux = 0.0
                else:
                    vis = visual_tokens(model, px)
                    aux, _ = dense.loss(vis, lab, model.model.language_model.embed_tokens.weight)
                qas = [questions(s, concepts, 5) for s in sc]
                loss, am, at, t = vlm_forward(model, texts, vis, qas, args.lens)
                ls[0] += float(loss)
                ls[1] += float((am == t[at]).float().mean())
                loss = loss + args.aux * aux
            loss.backward()
        o = 0
        for p in params:
            n = p.numel()
            if p.grad is None:
                flat[o:o + n] = 0
            else:
                flat[o:o + n] = p.grad.reshape(-1)
            o += n
        flat[o:] = torch.tensor([k, *ls, 0, 0])
        dist.all_reduce(flat)
        flat /= flat[o].clone()
        tail = flat[o + 1:].tolist()
        norm = float(flat[:o].norm())
        if math.isfinite(norm):
            sc_ = min(1.0, 1.0 / (norm + 1e-6))
            o = 0
            for p in params:
                n = p.numel()
                # parameters this kind of step does not reach keep still (no Adam drift)
                g = flat[o:o + n]
                p.grad = (g.view_as(p) * sc_) if g.any() else None
                o += n
            opt.step()
        with torch.no_grad():
            d = min(args.ema, (step + 1) / (step + 20))
            torch._foreach_lerp_(ema, [p.detach() for p in params], 1 - d)
        seen[mode] += 4 * mb
        step += 1
        if rank == 0:
            a = avg[mode]
            avg[mode] = [tail[0], tail[1]] if a is None else [0.98 * a[0] + 0.02 * tail[0], 0.98 * a[1] + 0.02 * tail[1]]
            now = time.time()
            if now - last_eval > args.eval_every:
                live = [p.detach().clone() for p in params]
                for p, e in zip(params, ema):
                    p.data.copy_(e)
                model.eval()
                res = evaluate(model, dense, texts, held, concepts, with_lm=f >= args.dense_only)
                model.train()
                for p, l in zip(params, live):
                    p.data.copy_(l)
                row = [f"{el:.0f}", step, mode, f"{lr:.2e}",
                       *(f"{x:.4f}" if avg[m] else "" for m in ("dense", "vlm") for x in (avg[m] or [0, 0])),
                       *(f"{res[q]:.4f}" if q in res else "" for q in ("dense", "name", "kind", "count", "position", "where"))]
                wr.writerow(row)
                log.flush()
                print(" ".join(map(str, row)), seen, f"gn {norm:.2f}", flush=True)
                last_eval = time.time()
            if now - last_save > args.save_every or f > 0.999:
                ck = dict(params=[p.detach() for p in params], ema=ema, opt=opt.state_dict(), step=step,
                          elapsed=el, names=[n for n, _ in named])
                torch.save(ck, args.work / "last.tmp")
                os.replace(args.work / "last.tmp", args.work / "last.pt")
                last_save = now
    if rank == 0:
        ck = dict(params=[p.detach() for p in params], ema=ema, opt=opt.state_dict(), step=step,
                  elapsed=time.time() - t0, names=[n for n, _ in named])
        torch.save(ck, args.work / "last.tmp")
        os.replace(args.work / "last.tmp", args.work / "last.pt")
        print("done", step, flush=True)
    dist.barrier()


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--procs", type=int, default=2)
    ap.add_argument("--end-minutes", type=float, default=85)
    ap.add_argument("--dense-only", type=float, default=0.14)
    ap.add_argument("--vlm-only", type=float, default=0.0)
    ap.add_argument("--dense-mix", type=float, default=0.4)
    ap.add_argument("--vlm-single", type=float, default=0.25, help="share of one-drawing pictures in VQA steps")
    ap.add_argument("--hold", type=float, default=0.6)
    ap.add_argument("--freeze-vision", type=float, default=0.0)
    ap.add_argument("--aux", type=float, default=0.5)
    ap.add_argument("--strength", type=float, default=0.45)
    ap.add_argument("--ema", type=float, default=0.998)
    ap.add_argument("--lens", type=float, default=0.0, help="weight of the half-way loss on 'where' questions")
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--dense-mb", type=int, default=24)
    ap.add_argument("--vlm-mb", type=int, default=12)
    ap.add_argument("--eval-every", type=float, default=90)
    ap.add_argument("--save-every", type=float, default=60)
    ap.add_argument("--port", type=int, default=29511)
    ap.add_argument("--resume", type=Path)
    ap.add_argument("--fresh-opt", action="store_true")
    args = ap.parse_args()
    counter = mp.get_context("spawn").Value("q", 0)
    if not args.resume:
        with open(args.work / "log.csv", "w") as fh:
            fh.write("seconds,step,mode,lr,dense_loss,dense_train_patch_acc,vqa_loss,vqa_train_token_acc,"
                     "held_dense,held_name,held_kind,held_count,held_position,held_where\n")
    mp.spawn(worker, (args, counter, None), nprocs=args.procs)
