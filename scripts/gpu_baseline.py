#!/usr/bin/env python3
"""Energy of a (vision-)language model at batch 1 on an NVIDIA GPU, by the board's own energy counter.

    scripts/gpu_baseline.py MODEL_DIR --out DIR [--rungs eager,graph,w4a16] [--prompt-tokens 64] [--new-tokens 128]

MODEL_DIR needs only `config.json`: weights are drawn at random on the GPU (zeros would draw less power). Every rung is
one software stack, from the plainest to the best that PyTorch alone has:

    eager    Transformers as it comes, bf16
    graph    static cache, compiled, CUDA graphs, bf16
    w4a16    the same with 4-bit weights in the language model, torch's packed int4 kernel (groups of 128)

Method. Windows of whole requests (picture and prompt to the last token) and windows of requests that end at the first
token; both last at least --window seconds, --trials times, with the GPU synchronised around every reading, a pause in
between and a random phase, because the counter moves in steps and some boards sample only a part of the time
(arXiv:2312.02741). A decode step's energy is the difference of the two over the steps. Gross energy is the headline;
net takes off the idle power with the model loaded.

A record is written only if it can be vouched for: windows long enough, enough trials, enough steps of the counter, no
throttling, no partitioned GPU. `flightvlm compare --baseline DIR` checks the same again. Clocks, limits and modes are
never touched. `--rehearse` runs every rung on the CPU with a tiny window and writes nothing: it shows that the
software works, not what it costs.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

# Nothing is downloaded: the configuration is all that is needed.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

SCHEMA = "flightvlm-baseline-1"
VERSION = "1"
MIN_WINDOW_S, MIN_TRIALS, MIN_PERIODS = 30.0, 3, 20
GROUP = 128
# Reasons that hold clocks down; idle and user-set clocks are no throttling.
THROTTLE = {0x4: "sw_power_cap", 0x8: "hw_slowdown", 0x20: "sw_thermal", 0x40: "hw_thermal", 0x80: "hw_power_brake"}


class Refused(Exception):
    """Something that cannot be vouched for."""


class Board:
    """NVML: what the driver knows about GPU 0."""

    def __init__(self):
        try:
            import pynvml
        except ImportError:
            raise Refused("nvidia-ml-py is not installed (pip install nvidia-ml-py)")
        self.nvml = pynvml
        try:
            pynvml.nvmlInit()
            self.handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            self.energy_mj()
        except pynvml.NVMLError as error:
            raise Refused(f"no GPU whose energy counter can be read: {error}")
        self.max_w = 0.0

    def ask(self, name, *arguments, default=None):
        try:
            value = getattr(self.nvml, f"nvmlDeviceGet{name}")(self.handle, *arguments)
            return value.decode() if isinstance(value, bytes) else value
        except self.nvml.NVMLError:
            return default

    def energy_mj(self):
        return self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)

    def watch(self):
        self.max_w = max(self.max_w, (self.ask("PowerUsage", default=0)) / 1e3)

    def temperature(self):
        return float(self.ask("Temperature", 0, default=0))

    def throttle_reasons(self):
        bits = self.ask("CurrentClocksThrottleReasons", default=0)
        return [name for bit, name in THROTTLE.items() if bits & bit]

    def counter_period_ms(self, seconds=5.0):
        """Mean time between changes of the counter, read at about 1 kHz."""
        end, last, changes = time.perf_counter() + seconds, self.energy_mj(), []
        while time.perf_counter() < end:
            now = self.energy_mj()
            if now != last:
                changes.append(time.perf_counter())
                last = now
            time.sleep(0.001)
        if len(changes) < 3:
            raise Refused("the energy counter does not move")
        return 1e3 * (changes[-1] - changes[0]) / (len(changes) - 1)

    def mean_power(self, seconds):
        start, energy = time.perf_counter(), self.energy_mj()
        time.sleep(seconds)
        return (self.energy_mj() - energy) / 1e3 / (time.perf_counter() - start)

    def describe(self):
        serial = str(self.ask("UUID", default="")).encode()
        mig = self.ask("MigMode", default=[0])
        limit, standard = self.ask("EnforcedPowerLimit"), self.ask("PowerManagementDefaultLimit")
        ecc = self.ask("EccMode")
        system = pathlib.Path("/sys/class/dmi/id/product_name")
        product = system.read_text().lower() if system.exists() else ""
        return {
            "name": self.ask("Name"),
            "kind": "gpu",
            "uuid_hash": hashlib.sha256(serial).hexdigest()[:16],
            "driver": str(self.nvml.nvmlSystemGetDriverVersion()),
            "power_limit_w": limit and limit / 1e3,
            "default_power_limit_w": standard and standard / 1e3,
            "ecc": None if ecc is None else bool(ecc[0]),
            "mig": bool(mig[0]),
            "vm": any(word in product for word in ("virtual", "kvm", "standard pc", "ec2", "compute engine")),
        }


class Rehearsal:
    """Stands for the board on a computer without one; its figures are never written."""

    max_w = 0.0

    def energy_mj(self):
        return int(time.perf_counter() * 1e3)

    def watch(self):
        pass


def build(folder, device):
    """The model with random weights, and a function that makes its inputs."""
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    vision = getattr(config, "vision_config", None)
    if vision is not None and config.model_type != "llava":
        raise Refused(f"model_type {config.model_type}: pictures are measured for llava only")
    kind = transformers.AutoModelForImageTextToText if vision is not None else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    with torch.device(device):
        model = kind.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
    text = getattr(config, "text_config", config)
    visual = 0 if vision is None else (vision.image_size // vision.patch_size) ** 2

    def inputs(prompt_tokens):
        ids = torch.randint(3, text.vocab_size - 100, (1, prompt_tokens), device=device)
        out = {}
        if vision is not None:
            image = torch.full((1, visual), config.image_token_id, device=device)
            ids = torch.cat([ids[:, :1], image, ids[:, 1:]], dim=1)
            out["pixel_values"] = torch.randn(1, 3, vision.image_size, vision.image_size, device=device, dtype=torch.bfloat16)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **out}

    return model, inputs, visual, vision


def language_layers(model):
    """Linear layers that a decode step reads, with their parents."""
    import torch

    for name, module in list(model.named_modules()):
        for child_name, child in list(module.named_children()):
            inside = f"{name}.{child_name}"
            if isinstance(child, torch.nn.Linear) and "vision" not in inside and "projector" not in inside:
                yield module, child_name, child


def quantise(model):
    """4-bit weights in torch's packed layout; multiplied without being unpacked to memory."""
    import torch

    class Int4(torch.nn.Module):
        def __init__(self, linear):
            super().__init__()
            weight = linear.weight.detach().float()
            self.rows, self.columns = weight.shape
            groups = weight.reshape(self.rows, -1, GROUP)
            low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
            scale = ((high - low) / 15).clamp(min=1e-6)
            codes = ((groups - low) / scale).round().clamp(0, 15).to(torch.int32).reshape(self.rows, self.columns)
            # The kernel computes (code - 8) * scale + zero.
            zero = low + 8 * scale
            pairs = torch.cat([scale, zero], -1).transpose(0, 1).contiguous().to(torch.bfloat16)
            self.register_buffer("pairs", pairs)
            expanded = ((codes - 8).reshape(groups.shape) * scale + zero).reshape(self.rows, self.columns)
            if weight.is_cuda:
                packed = (codes[:, ::2] << 4 | codes[:, 1::2]).to(torch.uint8)
                self.register_buffer("packed", torch._convert_weight_to_int4pack(packed, 8))
                self.multiply = torch._weight_int4pack_mm
            else:
                self.register_buffer("packed", torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1))
                self.multiply = torch.ops.aten._weight_int4pack_mm_for_cpu
            # Layouts differ between devices and versions: a kernel that multiplies other weights is no baseline.
            x = torch.randn(1, self.columns, device=weight.device, dtype=torch.bfloat16)
            expected = x.float() @ expanded.to(weight.device).float().T
            error = (self.forward(x).float() - expected).abs().max() / expected.abs().max()
            if not error < 0.05:
                raise Refused(f"torch's int4 kernel multiplies wrongly here (relative error {float(error):.3f})")

        def forward(self, x):
            flat = x.reshape(-1, self.columns)
            return self.multiply(flat, self.packed, GROUP, self.pairs).reshape(*x.shape[:-1], self.rows)

    for parent, name, linear in language_layers(model):
        if linear.in_features % GROUP == 0 and linear.out_features % 32 == 0 and linear.bias is None:
            setattr(parent, name, Int4(linear))
    return model


def bytes_per_token(model):
    """Weights that a decode step reads."""
    import torch

    seen = 0
    for name, module in model.named_modules():
        if "vision" in name or "projector" in name:
            continue
        if isinstance(module, torch.nn.Linear):
            seen += module.weight.numel() * module.weight.element_size()
        elif hasattr(module, "packed"):
            seen += module.packed.numel() * module.packed.element_size() + module.pairs.numel() * 2
    return seen


def generator(model, inputs, rung, synchronise):
    """A function that answers one request with so many tokens and waits for its end."""
    import torch

    options = {"do_sample": False, "use_cache": True, "eos_token_id": None, "pad_token_id": 0}
    if rung != "eager":
        options["cache_implementation"] = "static"

    def answer(tokens):
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=tokens, min_new_tokens=tokens, **options)
        synchronise()
        new = out.shape[1] - inputs["input_ids"].shape[1]
        if new != tokens:
            raise Refused(f"asked for {tokens} tokens, got {new}")

    return answer


def window(board, answer, tokens, seconds):
    """Requests for some time: (seconds each, joules each, counter before, after, requests, times)."""
    times, start_mj, start = [], board.energy_mj(), time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        answer(tokens)
        times.append(time.perf_counter() - before)
        board.watch()
    length, end_mj = time.perf_counter() - start, board.energy_mj()
    return length, (end_mj - start_mj) / 1e3 / len(times), start_mj, end_mj, len(times), times


def vision_ms(model, inputs, synchronise):
    import torch

    if "pixel_values" not in inputs:
        return None
    times = []
    with torch.inference_mode():
        for _ in range(12):
            start = time.perf_counter()
            model.get_image_features(pixel_values=inputs["pixel_values"])
            synchronise()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def measure(board, model, inputs, rung, args, synchronise):
    """All windows of a rung: timing and energy of the record, without what is asked of the board."""
    answer = generator(model, inputs, rung, synchronise)
    for _ in range(3):
        answer(args.new_tokens)
        answer(1)
    start, warm = time.perf_counter(), 0
    while time.perf_counter() - start < args.warmup:
        answer(args.new_tokens)
        warm += 1
    steps = args.new_tokens - 1
    whole, first = [], []
    for _ in range(args.trials):
        time.sleep(args.cooldown * (0.9 + 0.2 * random.random()))
        whole.append(window(board, answer, args.new_tokens, args.window))
        first.append(window(board, answer, 1, args.window))
    # Seconds and joules of a request and of its beginning; a decode step is the difference.
    request_s = [sum(w[5]) / w[4] for w in whole]
    first_s = [sum(w[5]) / w[4] for w in first]
    step_s = [(r - f) / steps for r, f in zip(request_s, first_s)]
    step_j = [(w[1] - f[1]) / steps for w, f in zip(whole, first)]
    each = sorted((t - statistics.mean(first_s)) / steps for w in whole for t in w[5])
    see = vision_ms(model, inputs, synchronise)
    deviation = statistics.stdev(step_j) if len(step_j) > 1 else 0.0
    timing = {
        "tok_s": 1 / statistics.mean(step_s),
        "vision_ms": see,
        "prefill_ms": 1e3 * statistics.mean(first_s) - (see or 0),
        "decode_ms_p50": 1e3 * each[len(each) // 2],
        "decode_ms_p90": 1e3 * each[int(0.9 * (len(each) - 1))],
        "warmup_iters": warm * args.new_tokens,
        "iters": sum(w[4] for w in whole) * args.new_tokens,
        "window_s": min(w[0] for w in whole + first),
    }
    energy = {
        "method": "counter",
        "counter_start_mj": whole[0][2],
        "counter_end_mj": first[-1][3],
        "p_mean_w": statistics.mean(step_j) / statistics.mean(step_s),
        "gross_j_per_token": statistics.mean(step_j),
        "gross_j_per_request": statistics.mean(w[1] for w in whole),
        "trials": args.trials,
        "stdev": deviation,
        # Student's t for few trials.
        "ci95": deviation / len(step_j) ** 0.5 * {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78}.get(len(step_j), 2.6),
    }
    return timing, energy, statistics.mean(step_s), statistics.mean(request_s)


def vouch(record):
    """What must hold before a joule is printed; the same rules as in host/src/compare/check.rs."""
    timing, energy = record["timing"], record["energy"]
    if timing["window_s"] < MIN_WINDOW_S:
        raise Refused(f"a window lasted {timing['window_s']:.1f} s; at least {MIN_WINDOW_S} are needed")
    if energy["trials"] < MIN_TRIALS:
        raise Refused(f"{energy['trials']} trials; at least {MIN_TRIALS} are needed")
    if timing["window_s"] * 1e3 / energy["observed_counter_period_ms"] < MIN_PERIODS:
        raise Refused("the energy counter moves too rarely for these windows")
    if record["state"]["throttle_reasons"]:
        raise Refused(f"the GPU was throttled: {', '.join(record['state']['throttle_reasons'])}")
    if record["device"]["mig"]:
        raise Refused("the GPU is partitioned: its counter counts other people's work too")
    if energy["gross_j_per_token"] <= 0 or timing["tok_s"] <= 0:
        raise Refused("the two kinds of windows do not differ: more new tokens are needed")


def copy_rate(device):
    """Bytes a second that a copy reads and writes: the roof for a decode step."""
    import torch

    source = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    for _ in range(3):
        target.copy_(source)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        target.copy_(source)
    torch.cuda.synchronize()
    return 20 * 2 * source.numel() / (time.perf_counter() - start)


def drop_none(value):
    return {k: drop_none(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def git_revision():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=pathlib.Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or None


def run(args):
    import torch
    import transformers

    board = Rehearsal() if args.rehearse else Board()
    device = "cpu" if args.rehearse else "cuda"
    synchronise = (lambda: None) if args.rehearse else torch.cuda.synchronize
    if args.rehearse:
        args.window, args.warmup, args.cooldown, args.trials = 0.01, 0.0, 0.0, 2
        period = idle = about = None
    else:
        if not torch.cuda.is_available():
            raise Refused("this PyTorch has no CUDA device")
        about = {**board.describe(), "cuda": torch.version.cuda}
        if about["mig"]:
            raise Refused("the GPU is partitioned (MIG): its counter counts other people's work too")
        # Before anything runs on the GPU.
        idle = board.mean_power(20)
        period = board.counter_period_ms()
    config = pathlib.Path(args.model, "config.json").read_bytes()
    for rung in args.rungs:
        started = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        model, make_inputs, visual, vision = build(args.model, device)
        inputs = make_inputs(args.prompt_tokens)
        text = getattr(model.config, "text_config", model.config)
        parameters = sum(linear.weight.numel() for _, _, linear in language_layers(model)) + text.vocab_size * text.hidden_size
        if rung == "w4a16":
            model = quantise(model)
        board.max_w = 0.0
        before_c = None if args.rehearse else board.temperature()
        idle_context = None if args.rehearse else board.mean_power(10)
        timing, energy, step_s, request_s = measure(board, model, inputs, rung, args, synchronise)
        compiled = getattr(model, "_compiled_call", None) is not None
        if args.rehearse:
            print(f"rehearsed {rung}: {parameters} parameters, {bytes_per_token(model)} bytes a step; nothing was measured")
            continue
        if rung != "eager" and not compiled:
            raise Refused(f"{rung}: this Transformers did not compile the static-cache step, so the rung is not what it says")
        energy.update(
            observed_counter_period_ms=period,
            p_max_w=board.max_w,
            p_idle_w=idle,
            p_idle_context_w=idle_context,
            net_j_per_token=energy["gross_j_per_token"] - idle_context * step_s,
            net_j_per_request=energy["gross_j_per_request"] - idle_context * request_s,
        )
        bits = 4 if rung == "w4a16" else 16
        record = drop_none({
            "schema": SCHEMA,
            "name": f"{about['name']} {rung} {pathlib.Path(args.model).name}",
            "grade": "measured",
            "power_kind": "measured",
            "boundary": "board",
            "tool_version": VERSION,
            "git_rev": git_revision(),
            "started_utc": started,
            "device": about,
            "software": {
                "framework": "transformers + torch",
                "version": f"{transformers.__version__}, {torch.__version__}",
                "attention": "sdpa",
                "kernel_path": "torch int4pack_mm" if bits == 4 else "torch bf16 matmul",
                "cuda_graphs": compiled,
                "compile": compiled,
            },
            "model": {
                "id": pathlib.Path(args.model).name,
                "config_hash": hashlib.sha256(config).hexdigest()[:16],
                "weights": "random",
                "params_b": parameters / 1e9,
                "w_bits": bits,
                "a_bits": 16,
                "kv_bits": 16,
                "bytes_per_token": bytes_per_token(model),
            },
            "workload": {
                "batch": 1,
                "prompt_tokens": inputs["input_ids"].shape[1],
                "image_tokens": visual,
                "image_px": None if vision is None else vision.image_size,
                "output_tokens": args.new_tokens,
                "greedy": True,
                "seed": 0,
            },
            "timing": timing,
            "energy": energy,
            "state": {
                "temp_before_c": before_c,
                "temp_after_c": board.temperature(),
                "sm_clock": float(board.ask("ClockInfo", 1, default=0)),
                "mem_clock": float(board.ask("ClockInfo", 2, default=0)),
                "throttle_reasons": board.throttle_reasons(),
            },
        })
        vouch(record)
        path = pathlib.Path(args.out, f"{rung}.json")
        path.write_text(json.dumps(record, indent=2) + "\n")
        read = record["model"]["bytes_per_token"] * timing["tok_s"]
        share = 100 * read / copy_rate(device)
        print(
            f"{record['name']}: {timing['tok_s']:.1f} tok/s, {energy['gross_j_per_token']:.3f} J/token "
            f"(± {energy['ci95']:.3f}), {energy['gross_j_per_request']:.1f} J/request; {share:.0f} % of the copy rate -> {path}"
        )
        if rung == "graph" and share < 60:
            print("  note: under 60 % of the copy rate; a better bf16 stack exists, so this is no best case")
        del model
        torch.cuda.empty_cache()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="folder with config.json")
    parser.add_argument("--out", help="folder for the records")
    parser.add_argument("--rungs", default="eager,graph,w4a16", help="software stacks to measure")
    parser.add_argument("--prompt-tokens", type=int, default=64, help="text tokens of the prompt")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--window", type=float, default=MIN_WINDOW_S, help="seconds")
    parser.add_argument("--trials", type=int, default=MIN_TRIALS)
    parser.add_argument("--warmup", type=float, default=15.0, help="seconds")
    parser.add_argument("--cooldown", type=float, default=10.0, help="seconds")
    parser.add_argument("--rehearse", action="store_true", help="run on the CPU, measure and write nothing")
    args = parser.parse_args()
    args.rungs = args.rungs.split(",")
    unknown = set(args.rungs) - {"eager", "graph", "w4a16"}
    if unknown or args.new_tokens < 2 or args.prompt_tokens < 2:
        parser.error(f"unknown rungs {sorted(unknown)}" if unknown else "at least 2 prompt and 2 new tokens are needed")
    if not args.rehearse and (not args.out or not pathlib.Path(args.out).is_dir()):
        parser.error("--out must name a folder")
    if not pathlib.Path(args.model, "config.json").is_file():
        parser.error(f"{args.model} has no config.json")
    try:
        run(args)
    except Refused as refused:
        sys.exit(f"gpu_baseline.py: refused: {refused}")
    except ImportError as missing:
        sys.exit(f"gpu_baseline.py: {missing}; it needs torch, transformers and nvidia-ml-py")


if __name__ == "__main__":
    main()
