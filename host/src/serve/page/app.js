import { draw, spans } from "/timeline.js";

const byId = (id) => document.getElementById(id);
// What the vision tower sees is far smaller; more pixels would only make the request longer.
const MAX_SIDE = 2048;

let model = null;
let picture = null; // data URL
let turns = []; // { role, content } as sent
let running = null; // AbortController

function headers() {
  const key = byId("key").value;
  return { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
}

function showError(message) {
  byId("error").textContent = message;
  byId("error").hidden = !message;
}

async function errorOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered ${response.status}`;
  }
}

async function connect() {
  try {
    const response = await fetch("/v1/models", { headers: headers() });
    if (response.status === 401) {
      byId("key-row").hidden = false;
      byId("model").textContent = "this server needs an API key";
      return;
    }
    model = (await response.json()).data[0];
    byId("model").textContent = `${model.id} on ${model.devices.join(", ")}, context ${model.max_model_len}`;
    byId("drop").hidden = !model.takes_images;
  } catch {
    byId("model").textContent = "the server does not answer";
  }
}

// PNG and JPEG of a sensible size go as they are; everything else that the browser can read becomes PNG.
async function toDataUrl(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  if (scale === 1 && ["image/png", "image/jpeg"].includes(file.type)) {
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(file);
    });
  }
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}

async function setPicture(file) {
  try {
    picture = file ? await toDataUrl(file) : null;
    showError("");
  } catch {
    picture = null;
    showError("the browser cannot read this file as a picture");
  }
  byId("picture").hidden = byId("remove").hidden = !picture;
  byId("drop").querySelector("p").hidden = Boolean(picture);
  if (picture) byId("picture").src = picture;
  startOver();
}

function startOver() {
  running?.abort();
  turns = [];
  byId("turns").replaceChildren();
}

function addTurn(role, text) {
  const item = document.createElement("li");
  item.className = role;
  item.textContent = text;
  byId("turns").append(item);
  return item;
}

const number = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(0)} %`);

function showFigures(device, decode) {
  const { phases, joules } = device;
  byId("basis").textContent = `${device.target} at ${device.clock_mhz} MHz, ${device.basis}`;
  byId("time-basis").textContent = device.basis;
  byId("rate").textContent = number(device.decode_tok_s, 1);
  byId("first").textContent = number((phases.vision_ms ?? 0) + (phases.prefill_ms ?? 0), 2);
  byId("joules").textContent = joules.mid.toPrecision(3);
  byId("joules-range").textContent = `${joules.low.toPrecision(2)} to ${joules.high.toPrecision(2)}`;
  byId("per-token").textContent = (joules.mid / Math.max(device.new_tokens, 1)).toPrecision(3);
  byId("bytes").textContent = number((device.hbm_bytes ?? 0) / 1e6, 1);
  byId("reused").textContent = device.reused_tokens;
  byId("hbm").value = device.hbm_utilization ?? 0;
  byId("hbm-text").textContent = percent(device.hbm_utilization);
  byId("mac").value = device.mac_utilization_prefill ?? 0;
  byId("mac-text").textContent = percent(device.mac_utilization_prefill);
  draw(byId("timeline"), spans(phases.vision_ms ?? 0, phases.prefill_ms ?? 0, decode));
}

// The data of each server-sent event.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:"));
      if (data.length) yield data.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}

function request(question) {
  const first = turns.length === 0 && picture;
  const image = { type: "image_url", image_url: { url: picture } };
  const content = first ? [image, { type: "text", text: question }] : question;
  turns.push({ role: "user", content });
  const temperature = Number(byId("temperature").value);
  return {
    model: model.id,
    messages: turns,
    max_tokens: Number(byId("tokens").value),
    ...(temperature > 0 && { temperature }),
    stream: true,
    device_figures: true,
  };
}

async function stream(body, item, signal) {
  const options = { method: "POST", headers: headers(), body: JSON.stringify(body), signal };
  const response = await fetch("/v1/chat/completions", options);
  if (!response.ok) throw new Error(await errorOf(response));
  const decode = [];
  for await (const data of events(response)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    item.textContent += chunk.choices[0]?.delta.content ?? "";
    if (chunk.device) {
      decode.push(chunk.device.phases.decode_ms ?? 0);
      showFigures(chunk.device, decode);
    }
  }
  throw new Error("the connection ended before the answer did");
}

async function ask(event) {
  event.preventDefault();
  const question = byId("question").value.trim();
  if (!question || running) return;
  if (!model) await connect();
  if (!model) return;
  showError("");
  addTurn("user", question);
  byId("question").value = "";
  const item = addTurn("assistant", "");
  item.classList.add("busy");
  running = new AbortController();
  byId("send").disabled = true;
  byId("stop").hidden = false;
  const start = performance.now();
  const mine = running;
  try {
    await stream(request(question), item, mine.signal);
    turns.push({ role: "assistant", content: item.textContent });
    byId("wall").textContent = `${((performance.now() - start) / 1000).toFixed(2)} s`;
  } catch (error) {
    turns.pop();
    if (error.name !== "AbortError") showError(error.message);
  } finally {
    item.classList.remove("busy");
    if (running === mine) running = null;
    byId("send").disabled = false;
    byId("stop").hidden = true;
  }
}

byId("form").addEventListener("submit", ask);
byId("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) byId("form").requestSubmit(), event.preventDefault();
});
byId("stop").addEventListener("click", () => running?.abort());
byId("fresh").addEventListener("click", startOver);
byId("remove").addEventListener("click", () => setPicture(null));
byId("file").addEventListener("change", (event) => setPicture(event.target.files[0]));
byId("key").addEventListener("change", connect);
const drop = byId("drop");
drop.addEventListener("click", () => byId("file").click());
drop.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") byId("file").click(), event.preventDefault();
});
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files[0]) setPicture(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
  if (file) setPicture(file);
});
connect();
