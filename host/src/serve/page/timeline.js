// The request on the target's clock: vision, prefill, then every decode step.

const WIDTH = 600;
const TOP = 18;
const HEIGHT = 40;
const NAMESPACE = "http://www.w3.org/2000/svg";

function element(name, attributes, text) {
  const out = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) out.setAttribute(key, value);
  if (text !== undefined) out.textContent = text;
  return out;
}

// Spans of the request so far: [phase, start, end] in milliseconds. `decode` holds the accumulated decode
// time after each piece of text.
export function spans(vision, prefill, decode) {
  const out = [];
  let at = 0;
  const add = (phase, length) => {
    if (length > 0) out.push([phase, at, at + length]);
    at += length;
  };
  add("vision", vision);
  add("prefill", prefill);
  let before = 0;
  for (const total of decode) {
    add("decode", total - before);
    before = total;
  }
  return out;
}

export function draw(svg, list) {
  svg.replaceChildren();
  const end = list.length ? list[list.length - 1][2] : 0;
  if (end <= 0) return;
  const x = (ms) => (ms / end) * WIDTH;
  const totals = new Map();
  for (const [phase, from, to] of list) {
    const width = Math.max(x(to) - x(from) - 0.5, 0.5);
    const box = element("rect", { class: phase, x: x(from), y: TOP, width, height: HEIGHT });
    box.append(element("title", {}, `${phase}: ${(to - from).toFixed(3)} ms`));
    svg.append(box);
    totals.set(phase, (totals.get(phase) ?? 0) + to - from);
  }
  let left = 0;
  for (const [phase, ms] of totals) {
    svg.append(element("rect", { class: phase, x: left, y: 2, width: 9, height: 9 }));
    const label = element("text", { x: left + 13, y: 11 }, `${phase} ${ms.toFixed(2)} ms`);
    svg.append(label);
    left += 150;
  }
  svg.append(element("line", { x1: 0, x2: WIDTH, y1: TOP + HEIGHT + 4, y2: TOP + HEIGHT + 4 }));
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    const place = { x: share * WIDTH, y: TOP + HEIGHT + 18, "text-anchor": anchor };
    svg.append(element("text", place, `${(share * end).toFixed(2)} ms`));
  }
}
