#!/usr/bin/env python3
"""The official `openai` package against a running server: `openai_client.py URL PICTURE`.

Exit code 77 when the package is not installed. The reference for what a client expects is the package itself:
its types are checked on every answer.
"""

import base64
import sys

try:
    import openai
except ImportError:
    print("the Python package openai is not installed")
    sys.exit(77)


def main(url, picture):
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    model = client.models.list().data[0].id
    assert client.models.retrieve(model).id == model

    data = base64.b64encode(open(picture, "rb").read()).decode()
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    messages = [{"role": "user", "content": [image, {"type": "text", "text": "what is this?"}]}]

    whole = client.chat.completions.create(model=model, messages=messages, max_tokens=12, seed=1)
    answer = whole.choices[0].message.content
    assert answer and whole.choices[0].finish_reason == "stop", whole
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    pieces, usage = [], None
    stream = client.chat.completions.create(
        model=model, messages=messages, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage or usage
    assert "".join(pieces) == answer, pieces
    assert usage.prompt_tokens_details.cached_tokens > 0, usage

    text = client.completions.create(model=model, prompt="what is this?", max_tokens=3, temperature=0.7, top_p=0.9, seed=5)
    again = client.completions.create(model=model, prompt="what is this?", max_tokens=3, temperature=0.7, top_p=0.9, seed=5)
    assert text.choices[0].text == again.choices[0].text and text.object == "text_completion"

    # The package asks for base64 and decodes it.
    vectors = [item.embedding for item in client.embeddings.create(model=model, input=["a red heart", "a cat", "a red heart"]).data]
    assert vectors[0] == vectors[2] != vectors[1] and abs(sum(x * x for x in vectors[0]) - 1) < 1e-3, vectors
    floats = client.embeddings.create(model=model, input="a cat", encoding_format="float")
    assert max(abs(a - b) for a, b in zip(floats.data[0].embedding, vectors[1])) < 1e-6, floats

    for call, error in [
        (lambda: client.chat.completions.create(model="gpt", messages=messages), openai.NotFoundError),
        (lambda: client.chat.completions.create(model=model, messages=[]), openai.BadRequestError),
        (lambda: client.chat.completions.create(model=model, messages=messages, n=2), openai.BadRequestError),
        (lambda: client.embeddings.create(model=model, input=[]), openai.BadRequestError),
    ]:
        try:
            call()
        except error as raised:
            assert raised.body["message"] and raised.code, raised.body
        else:
            raise AssertionError(f"expected {error.__name__}")
    print(f"openai {openai.__version__}: {answer!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
