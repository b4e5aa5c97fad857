"""Chromium without a window: what it says about a page, how wide the page is, the page as a PDF."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = next(
    (name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
    "--allow-file-access-from-files", "--virtual-time-budget=20000",
)  # fmt: skip

# Frames are as narrow as they are told to be; windows are not. Print rules are tried by making them rules for all.
_MEASURE = """
<!doctype html><title>measure</title>
<iframe id=w400 width=400 height=800 src="PAGE"></iframe>
<iframe id=w1200 width=1200 height=800 src="PAGE"></iframe>
<iframe id=print width=688 height=972 src="PRINTED"></iframe>
<script>
window.onload = () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, wide = page.documentElement;
    const all = [...page.querySelectorAll("body *")];
    found[frame.id] = {
      width: wide.scrollWidth,
      asked: frame.clientWidth,
      requests: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
      hidden: [...page.querySelectorAll("pre, details table")].filter(e => !e.checkVisibility()).length,
      small: all.filter(e => e.childElementCount == 0 && e.textContent.trim() && e.checkVisibility()
        && !e.closest("svg") && parseFloat(frame.contentWindow.getComputedStyle(e).fontSize) < 9).length,
      focusable: page.querySelectorAll("a[href], summary, [tabindex='0']").length,
    };
  }
  document.body.dataset.found = JSON.stringify(found);
};
</script>
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Chromium with a profile of its own."""
    command = [str(CHROMIUM), *_OPTIONS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def measure(page: Path, folder: Path) -> tuple[dict[str, dict[str, object]], str]:
    """For widths of 400 and 1,200 pixels and a printed page of A4: what the page is like; and what the browser said."""
    printed = folder / "printed.html"
    printed.write_text(page.read_text().replace("@media print", "@media all"))
    frame = folder / "measure.html"
    frame.write_text(_MEASURE.replace("PAGE", page.as_uri()).replace("PRINTED", printed.as_uri()))
    done = run(folder, "--dump-dom", frame.as_uri())
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, done.stderr
    return json.loads(unescape(found.group(1))), done.stderr


def pdf(page: Path, folder: Path) -> bytes:
    """The page as it is printed."""
    to = folder / "page.pdf"
    done = run(folder, f"--print-to-pdf={to}", "--no-pdf-header-footer", page.as_uri())
    assert to.is_file(), done.stderr
    return to.read_bytes()
