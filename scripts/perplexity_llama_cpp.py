"""Perplexity by llama.cpp with its own tokenizer; see scripts/perplexity_llama_cpp."""
import json
import os
import pathlib
import sys

import llama_cpp
import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tests" / "results" / "accuracy.json"
WINDOW = 512


def surprise(logits, next_tokens):
    """Sum of the negative log probabilities of `next_tokens` [n] under `logits` [n, vocab]."""
    logits = logits.astype(numpy.float64)
    top = logits.max(axis=1)
    total = numpy.log(numpy.exp(logits - top[:, None]).sum(axis=1)) + top
    return float((total - logits[numpy.arange(len(next_tokens)), next_tokens]).sum())


def main():
    model, text, limit = sys.argv[1:]
    threads = len(os.sched_getaffinity(0))
    engine = llama_cpp.Llama(model, n_ctx=WINDOW, n_batch=WINDOW, n_threads=threads, n_threads_batch=threads,
                             logits_all=True, verbose=False)
    ids = engine.tokenize(pathlib.Path(text).read_bytes(), add_bos=False, special=False)[:int(limit)]
    loss, scored = 0.0, 0
    for start in range(0, len(ids), WINDOW):
        window = ids[start:start + WINDOW]
        engine.reset()
        engine.eval(window)
        loss += surprise(engine.scores[:len(window) - 1], window[1:])
        scored += len(window) - 1
    row = {"version": f"llama-cpp-python {llama_cpp.__version__}", "file": pathlib.Path(model).name,
           "perplexity": round(float(numpy.exp(loss / scored)), 4), "tokens": scored}
    print(json.dumps(row))
    results = json.loads(RESULTS.read_text())
    results["llama_cpp"] = row
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


main()
