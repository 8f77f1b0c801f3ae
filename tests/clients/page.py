#!/usr/bin/env python3
"""The web page in headless Chromium: `page.py URL PICTURE [SCREENSHOT]`.

Drops a picture, asks twice, and checks the answer, the device's figures and the timeline. Exit code 77 when
Playwright or Chromium is not installed; FLIGHTVLM_CHROMIUM names another browser binary.
"""

import os
import shutil
import sys

try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    print("the Python package playwright is not installed")
    sys.exit(77)

DROP = """(target, [name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
  target.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def ask(page, question, answers):
    page.fill("#question", question)
    page.click("#send")
    expect(page.locator("#turns li.assistant")).to_have_count(answers)
    expect(page.locator("#turns li.busy")).to_have_count(0, timeout=60_000)
    answer = page.locator("#turns li.assistant").last.inner_text()
    assert answer.strip(), "the answer is empty"
    return answer


def main(url, picture, screenshot=None):
    browser = os.environ.get("FLIGHTVLM_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        print("chromium is not installed")
        sys.exit(77)
    with sync_playwright() as playwright:
        # Computers that test are busy.
        expect.set_options(timeout=60_000)
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"], timeout=120_000)
        page = chromium.new_page(viewport={"width": 1100, "height": 720})
        page.set_default_timeout(60_000)
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.goto(url)
        expect(page.locator("#model")).to_contain_text("context")
        page.locator("#drop").evaluate(DROP, ["picture.png", list(open(picture, "rb").read())])
        expect(page.locator("#picture")).to_be_visible()
        answer = ask(page, "what is this?", 1)
        for figure in ["rate", "first", "joules", "per-token", "bytes"]:
            value = float(page.locator(f"#{figure}").inner_text())
            assert value > 0, figure
        assert "simulated" in page.locator("#basis").inner_text()
        assert page.locator("#timeline rect.vision").count() > 0
        assert page.locator("#timeline rect.decode").count() > 1
        ask(page, "what colour is it?", 2)
        assert int(page.locator("#reused").inner_text()) > 0, "the conversation was not continued"
        if screenshot:
            page.screenshot(path=screenshot, full_page=True)
        page.click("#fresh")
        expect(page.locator("#turns li")).to_have_count(0)
        assert not faults, faults
        chromium.close()
    print(f"page: {answer!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
