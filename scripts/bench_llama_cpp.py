"""Decode tokens per second of llama.cpp (Q8_0) and of iss, one run each in turn; see scripts/bench_llama_cpp."""
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import time

import llama_cpp

PROMPT_TOKENS = 16


def q8_0(source):
    """The model again, all matrices as Q8_0."""
    target = source.with_name("SmolLM2-135M-Instruct.Q8_0.gguf")
    if not target.exists():
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
        parameters.allow_requantize = True
        partial = target.with_suffix(".partial")
        failed = llama_cpp.llama_model_quantize(
            str(source).encode(), str(partial).encode(), ctypes.byref(parameters)
        )
        if failed:
            sys.exit(f"error: llama.cpp could not quantise {source}")
        partial.rename(target)
    return target


def llama(model, threads, new_tokens):
    """Seconds per decoded token, greedy, behind a short prompt."""
    engine = llama_cpp.Llama(str(model), n_ctx=256, n_threads=threads, n_threads_batch=threads, verbose=False)
    engine.eval(list(range(1000, 1000 + PROMPT_TOKENS)))
    token = engine.sample(temp=0.0)
    start = time.perf_counter()
    for _ in range(new_tokens):
        engine.eval([token])
        token = engine.sample(temp=0.0)
    return (time.perf_counter() - start) / new_tokens


def iss(flightvlm, program, threads, new_tokens):
    command = [flightvlm, "bench", program, "--device", "iss", "--untimed", "--runs", "1", "--json"]
    command += ["--prompt-tokens", str(PROMPT_TOKENS), "--new-tokens", str(new_tokens)]
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    decode = next(p for p in json.loads(result.stdout)[0]["phases"] if p["phase"] == "decode")
    return 1.0 / decode["rows_per_s"][1]


def main():
    flightvlm, program, source, new_tokens = sys.argv[1:]
    threads = len(os.sched_getaffinity(0))
    model = q8_0(pathlib.Path(source))
    ours, theirs = [], []
    # In turn, so that other load on the computer meets both; the best of each counts.
    for _ in range(3):
        theirs.append(1.0 / llama(model, threads, int(new_tokens)))
        ours.append(1.0 / iss(flightvlm, program, threads, int(new_tokens)))
    for name, rates in (("llama.cpp Q8_0", theirs), ("iss W8", ours)):
        print(f"{name:<15} {max(rates):8.1f} tokens/s (runs: {', '.join(f'{r:.1f}' for r in rates)})")
    print(f"ratio iss / llama.cpp {max(ours) / max(theirs):.2f} with {threads} threads, {new_tokens} tokens decoded")


main()
