"""learning-curve.csv -> learning-curve.svg, no plotting library needed.

    python plot.py tests/models/emoji-llava/learning-curve.csv
"""
import csv, sys
from pathlib import Path

SERIES = [("held_dense", "#888888", "vision tower alone"), ("held_name", "#d62728", "name"),
          ("held_kind", "#ff7f0e", "kind"), ("held_count", "#2ca02c", "count"),
          ("held_position", "#1f77b4", "position"), ("held_where", "#9467bd", "where")]


def main():
    src = Path(sys.argv[1])
    rows = list(csv.DictReader(open(src)))
    W, H, L, T, R, B = 760, 420, 60, 30, 170, 50
    tmax = max(float(r["seconds"]) for r in rows) / 60

    def at(t, v):
        return L + (W - L - R) * t / tmax, T + (H - T - B) * (1 - v)

    o = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="12">',
         f'<rect width="{W}" height="{H}" fill="#fff"/>']
    for k in range(0, 11, 2):
        x, y = at(0, k / 10)
        o.append(f'<path d="M{x:.1f} {y:.1f}H{W - R}" stroke="#ddd"/>'
                 f'<text x="{L - 8}" y="{y + 4:.1f}" text-anchor="end">{k * 10} %</text>')
    step = max(5, round(tmax / 8 / 5) * 5)
    for k in range(0, int(tmax) + 1, step):
        x, y = at(k, 0)
        o.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{k}</text>')
    o.append(f'<text x="{(L + W - R) / 2}" y="{H - 12}" text-anchor="middle">minutes of training</text>')
    o.append(f'<text x="{L}" y="18">exact match on drawings never seen in training</text>')
    for i, (key, colour, label) in enumerate(SERIES):
        pts = [at(float(r["seconds"]) / 60, float(r[key])) for r in rows if r.get(key)]
        if pts:
            o.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
                     + " ".join(f"{x:.1f},{y:.1f}" for x, y in pts) + '"/>')
        y = T + 20 + 20 * i
        o.append(f'<path d="M{W - R + 12} {y - 4}h20" stroke="{colour}" stroke-width="2"/>'
                 f'<text x="{W - R + 38}" y="{y}">{label}</text>')
    o.append("</svg>")
    src.with_suffix(".svg").write_text("\n".join(o) + "\n")


if __name__ == "__main__":
    main()
