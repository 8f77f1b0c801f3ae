"""Random training scenes: one big picture or a 2x2 grid, with strong augmentation."""
import math
import random

import torch
import torch.nn.functional as F

from common import (COUNT_ALL_Q, GRID, KIND_Q, MEAN, NAME_Q, POSITIONS, STD, count_q,
                    position_q, where_q)


class Pictures:
    """Premultiplied float pictures at 96 and 48 pixels."""

    def __init__(self, npz, split):
        rgba = torch.from_numpy(npz["rgba"])
        meta = torch.from_numpy(npz["meta"])
        keep = (meta[:, 2] == 1) if split == "held" else (meta[:, 2] == 0)
        rgba, self.concept = rgba[keep].float().permute(0, 3, 1, 2) / 255, meta[keep, 0]
        rgba[:, :3] *= rgba[:, 3:]
        self.p96 = F.interpolate(rgba, size=96, mode="area")
        self.p48 = F.interpolate(rgba, size=48, mode="area")
        self.by_concept = [(self.concept == c).nonzero()[:, 0].tolist()
                           for c in range(int(meta[:, 0].max()) + 1)]


STRENGTH = 1.0      # of the augmentation, 0..1 (train.py --strength)


def u(n, lo, hi):
    return torch.rand(n) * (hi - lo) + lo


def warp(p, big, aug):
    """Random scale, turn, shear, flip and shift of each object inside its square."""
    n = len(p)
    if aug:
        k = STRENGTH
        s = u(n, 0.78 - 0.23 * k, 1.0 + 0.08 * k) if big else u(n, 0.78 - 0.1 * k, 1.0 + 0.08 * k)
        a = u(n, -0.35, 0.35) * k
        asp = torch.exp(u(n, -0.25, 0.25) * k)
        sh = u(n, -0.15, 0.15) * k
        flip = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    else:
        s, a, asp, sh, flip = u(n, 0.8, 0.95), torch.zeros(n), torch.ones(n), torch.zeros(n), torch.ones(n)
    room = (1 - s).clamp(min=0.05)
    tx, ty = u(n, -1, 1) * room, u(n, -1, 1) * room
    cx, cy = s * asp, s / asp
    cos, sin = torch.cos(a), torch.sin(a)
    # inverse map: canvas -> picture
    m = torch.zeros(n, 2, 3)
    m[:, 0, 0], m[:, 0, 1] = flip * cos / cx, (sin + sh) / cx
    m[:, 1, 0], m[:, 1, 1] = -flip * sin / cy, cos / cy
    m[:, 0, 2] = -(m[:, 0, 0] * tx + m[:, 0, 1] * ty)
    m[:, 1, 2] = -(m[:, 1, 0] * tx + m[:, 1, 1] * ty)
    g = F.affine_grid(m, list(p.shape), align_corners=False)
    return F.grid_sample(p, g, mode="bilinear", padding_mode="zeros", align_corners=False)


def recolour(p):
    n = len(p)
    rgb, al = p[:, :3], p[:, 3:]
    y = torch.tensor([0.299, 0.587, 0.114])
    k = STRENGTH
    sat = 1 + k * u(n, -0.55, 0.5)
    sat = torch.where(torch.rand(n) < 0.10 * k, torch.zeros(n), sat)
    hue = torch.where(torch.rand(n) < 0.6, k * u(n, -0.35, 0.35), u(n, -0.05, 0.05))
    hue = torch.where(torch.rand(n) < 0.04 * k, u(n, -math.pi, math.pi), hue)
    yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    inv = torch.linalg.inv(yiq)
    rot = torch.zeros(n, 3, 3)
    rot[:, 0, 0] = 1
    rot[:, 1, 1] = rot[:, 2, 2] = torch.cos(hue) * sat
    rot[:, 1, 2], rot[:, 2, 1] = -torch.sin(hue) * sat, torch.sin(hue) * sat
    gain = 1 + k * u(n, -0.3, 0.3)
    con = (1 + k * u(n, -0.3, 0.3)) * gain
    m = (inv @ rot @ yiq) * con[:, None, None]
    off = 0.5 * (gain - con) + u(n, -0.08, 0.08)
    white = torch.where(torch.rand(n) < 0.12 * k, u(n, 0.2, 0.7), torch.zeros(n))   # towards line art
    h, w = p.shape[-2:]
    rgb = torch.bmm(m, rgb.reshape(n, 3, -1)).reshape(n, 3, h, w) + off[:, None, None, None] * al
    rgb = rgb * (1 - white)[:, None, None, None] + white[:, None, None, None] * al
    # dark outline on some
    line = torch.where(torch.rand(n) < 0.15 * k, u(n, 0.4, 0.95), torch.zeros(n))
    i = line.nonzero()[:, 0]
    if len(i):
        a = al[i]
        inner = -F.max_pool2d(-a, 3, 1, 1)
        rgb[i] = rgb[i] * (1 - line[i][:, None, None, None] * (a - inner).clamp(0, 1))
    rgb = torch.minimum(rgb.clamp(min=0), al)
    return torch.cat([rgb, al], 1)


def cutout(p):
    n, _, h, w = p.shape
    yy, xx = torch.arange(h).view(1, h, 1) / h, torch.arange(w).view(1, 1, w) / w
    on = torch.rand(n) < 0.25 * STRENGTH
    cy, cx, sy, sx = (u(n, 0, 1).view(n, 1, 1) for _ in range(4))
    hole = ((yy - cy).abs() < 0.08 + 0.14 * sy) & ((xx - cx).abs() < 0.08 + 0.14 * sx)
    return p * (~(hole & on.view(n, 1, 1))).float().unsqueeze(1)


def background(n, aug):
    if not aug:
        return (1 - 0.25 * torch.rand(n, 3)).view(n, 3, 1, 1).expand(n, 3, 96, 96)
    kind = torch.rand(n)
    flat = torch.rand(n, 3, 1, 1)
    pale = 1 - 0.3 * torch.rand(n, 3, 1, 1)
    base = torch.where((kind < 0.7 - 0.3 * STRENGTH).view(n, 1, 1, 1), pale, flat).expand(n, 3, 2, 2).clone()
    white = kind < 0.2
    base[white] = 1.0
    grad = kind > 0.85 - 0.2 * STRENGTH
    k = int(grad.sum())
    if k:
        base[grad] = torch.rand(k, 3, 1, 1) * 0.6 + 0.4 * torch.rand(k, 3, 2, 2)
    return F.interpolate(base, size=96, mode="bilinear", align_corners=False)


MEAN_T, STD_T = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)


def make(pics, n, p_single, aug=True, rng=random):
    """Returns normalised pixels [n,3,96,96], cells (list of 4 concepts or None, or a
    single concept), and patch labels [n,36] (-1 = ignore, C = background)."""
    nc = len(pics.by_concept)
    single = [rng.random() < p_single for _ in range(n)]
    scenes, big, big_at, small, small_at = [], [], [], [], []
    for i, one in enumerate(single):
        if one:
            c = rng.randrange(nc)
            scenes.append(c)
            big.append(rng.choice(pics.by_concept[c]))
            big_at.append(i)
            continue
        k = rng.choices([1, 2, 3, 4], [0.1, 0.17, 0.2, 0.53])[0]
        pool = [rng.randrange(nc) for _ in range(4)]
        if rng.random() < 0.45:
            pool = pool[:rng.choice([1, 2, 2])]
        cells = [None] * 4
        for pos in rng.sample(range(4), k):
            c = rng.choice(pool) if len(pool) < 4 else pool[pos]
            cells[pos] = c
            small.append(rng.choice(pics.by_concept[c]))
            small_at.append((i, pos))
        scenes.append(cells)
    layer = torch.zeros(n, 4, 96, 96)
    obj = torch.full((n, GRID, GRID), -1, dtype=torch.long)   # concept owning the patch
    for src, at, is_big in ((big, big_at, True), (small, small_at, False)):
        if not src:
            continue
        p = (pics.p96 if is_big else pics.p48)[src]
        if aug:
            p = cutout(recolour(p))
        p = warp(p, is_big, aug)
        con = pics.concept[src]
        if is_big:
            layer[at] = p
            obj[at] = con.view(-1, 1, 1).expand(-1, GRID, GRID)
        else:
            for pos in range(4):
                sel = [j for j, (_, q) in enumerate(at) if q == pos]
                if sel:
                    rows = [at[j][0] for j in sel]
                    y, x = 48 * (pos // 2), 48 * (pos % 2)
                    layer[rows, :, y:y + 48, x:x + 48] = p[sel]
                    gy, gx = 3 * (pos // 2), 3 * (pos % 2)
                    obj[rows, gy:gy + 3, gx:gx + 3] = con[sel].view(-1, 1, 1).expand(-1, 3, 3)
    cover = F.avg_pool2d(layer[:, 3:], 16)[:, 0]
    labels = torch.where(cover > 0.12, obj, torch.full_like(obj, -1))
    labels = torch.where(cover < 0.02, torch.full_like(obj, nc), labels)
    img = layer[:, :3] + (1 - layer[:, 3:]) * background(n, aug)
    if aug:
        b = (torch.rand(n) < 0.12 * STRENGTH).nonzero()[:, 0]
        if len(b):
            img[b] = F.avg_pool2d(img[b], 3, 1, 1, count_include_pad=False)
        b = (torch.rand(n) < 0.15 * STRENGTH).nonzero()[:, 0]
        if len(b):
            img[b] = img[b] + 0.04 * torch.randn_like(img[b])
    img = (img.clamp(0, 1) * 255).round() / 255
    return (img - MEAN_T) / STD_T, scenes, labels.flatten(1)


def questions(scene, concepts, k=5, rng=random):
    """k (kind, question, answer) triples for one scene."""
    if isinstance(scene, int):
        c = concepts[scene]
        out = [("name", rng.choice(NAME_Q), c["name"]), ("name", rng.choice(NAME_Q), c["name"]),
               ("kind", rng.choice(KIND_Q), c["kind"]),
               ("count", rng.choice(COUNT_ALL_Q), "1"),
               ("count", count_q(c["name"], rng), "1")]
        return out[:k] if k >= 5 else rng.sample(out, k)
    there = [p for p in range(4) if scene[p] is not None]
    names = [concepts[scene[p]]["name"] for p in there]
    unique = [p for p in there if scene.count(scene[p]) == 1]
    pos = [("position", position_q(p, rng), concepts[scene[p]]["name"]) for p in there]
    where = [("where", where_q(concepts[scene[p]]["name"]), POSITIONS[p]) for p in unique]
    count = [("count", rng.choice(COUNT_ALL_Q), str(len(there)))]
    x = rng.choice(names)
    count.append(("count", count_q(x, rng), str(names.count(x))))
    rng.shuffle(pos), rng.shuffle(where), rng.shuffle(count)
    if len(there) == 1:
        c = concepts[scene[there[0]]]
        out = pos + where + [("name", rng.choice(NAME_Q), c["name"]),
                             ("kind", rng.choice(KIND_Q), c["kind"])] + count
    else:
        out = pos[:2] + where[:2] + count[:1] + pos[2:] + count[1:] + where[2:]
    while len(out) < k:
        out.append(rng.choice(out))
    return out[:k]
