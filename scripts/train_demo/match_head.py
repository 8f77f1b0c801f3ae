"""Point one attention head of the decoder's first layer at content, in a checkpoint.

    python match_head.py --work WORKDIR fit      # WORKDIR/last.pt -> WORKDIR/match.pt
    python match_head.py --work WORKDIR apply    # puts match.pt into WORKDIR/last.pt (training stopped)

"where is the X?" needs a head in which the word X looks at the visual tokens that show X. Left alone the
decoder had not found one after 600 VQA steps. The vision stage has already put visual tokens near the word
embeddings, so a query projection for one head can be fitted in seconds: keys, and everything else, stay as
they are, and training then goes on with all weights free.
"""
import argparse, random
from pathlib import Path

import numpy as np
import torch

from common import build_model, build_tokenizer, load_concepts, visual_tokens
from scenes import Pictures, make

HEAD, LOW = 2, 7          # query head; rotary pairs LOW..15 turn slowly enough to compare content


def rope(x, p):
    inv = 10000.0 ** (-torch.arange(16) / 16)
    a = p[:, None].float() * inv
    c, s = torch.cat([a.cos(), a.cos()], -1), torch.cat([a.sin(), a.sin()], -1)
    return x * c + torch.cat([-x[..., 16:], x[..., :16]], -1) * s


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("what", choices=["fit", "apply"])
    a = ap.parse_args()
    key = "model.language_model.layers.0.self_attn.q_proj.weight"
    ck = torch.load(a.work / "last.pt", weights_only=True)
    at = ck["names"].index(key)
    if a.what == "apply":
        rows = torch.load(a.work / "match.pt", weights_only=True)
        for src in (ck["params"], ck["ema"]):
            src[at][32 * HEAD:32 * HEAD + 32] = rows
        torch.save(ck, a.work / "last.pt")
        return
    torch.set_num_threads(1)
    random.seed(1)
    torch.manual_seed(1)
    con = load_concepts(a.work)["concepts"]
    tok = build_tokenizer(con)
    model = build_model(tok)
    own = dict(model.named_parameters())
    for n, v in zip(ck["names"], ck["params"]):
        if n in own:
            own[n].data.copy_(v)
    pics = Pictures(np.load(a.work / "pictures.npz"), "train")
    layer, E = model.model.language_model.layers[0], model.model.language_model.embed_tokens.weight
    W = layer.self_attn.k_proj.weight.detach()[32 * (HEAD // 3):32 * (HEAD // 3) + 32]
    keep = torch.zeros(32, dtype=torch.bool)
    keep[LOW:16] = keep[16 + LOW:] = True
    with torch.no_grad():
        K, Q, Y = [], [], []
        for _ in range(6):
            px, sc, _ = make(pics, 64, 0.0)
            k = rope(layer.input_layernorm(visual_tokens(model, px)) @ W.T, torch.arange(36) + 4)
            for i, s in enumerate(sc):
                for p in [p for p in range(4) if s[p] is not None and s.count(s[p]) == 1]:
                    y = torch.zeros(6, 6)
                    y[3 * (p // 2):3 * (p // 2) + 3, 3 * (p % 2):3 * (p % 2) + 3] = 1
                    for t in tok(" " + con[s[p]]["name"], add_special_tokens=False).input_ids:
                        K.append(k[i])
                        Q.append(layer.input_layernorm(E[t]))
                        Y.append(y.view(36).bool())
        K, Q, Y = torch.stack(K), torch.stack(Q), torch.stack(Y)
        Wl = W[keep]
        S = torch.linalg.svdvals(Wl)
        q = torch.zeros(32, 192)
        q[keep] = torch.linalg.solve(Wl @ Wl.T + 1e-2 * S.max() ** 2 * torch.eye(len(Wl)), Wl)
    q.requires_grad_(True)
    start = q.detach().clone()
    n = len(Q) * 4 // 5
    opt = torch.optim.Adam([q], lr=3e-3)
    for it in range(150):
        j = torch.randint(0, n, (256,))
        lg = torch.einsum("nd,nkd->nk", rope(Q[j] @ q.T, torch.randint(44, 52, (256,))), K[j]) / 32 ** 0.5
        loss = -(lg.logsumexp(-1).neg() + lg.masked_fill(~Y[j], -1e9).logsumexp(-1)).mean()
        loss = loss + 1e-3 * (q - start).pow(2).sum()
        opt.zero_grad()
        loss.backward()
        opt.step()
        if it % 30 == 0 or it == 149:
            with torch.no_grad():
                lg = torch.einsum("nd,nkd->nk", rope(Q[n:] @ q.T, torch.full((len(Q) - n,), 47)), K[n:]) / 32 ** 0.5
                m = (lg.softmax(-1) * Y[n:]).sum(-1)
                print(it, f"loss {loss.item():.3f} attention on the right cell {m.mean():.3f}", len(Q), q.norm().item(), flush=True)
    torch.save(q.detach(), a.work / "match.pt")


if __name__ == "__main__":
    main()
