"""
What the README says to type works.

A ```bash or ```console block right after a line `<!-- run -->` is run from the root, with .venv/bin/python standing for the
Python that runs the tests. In a console block the lines that begin with `$ ` are run, the others are what a reader may see.
A block that starts a server or takes minutes is left unmarked.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SECONDS = 120

MARKED = re.compile(r"^<!-- run -->\n+```(bash|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str) -> list[tuple[str, str]]:
    """(where, script) of each marked block."""
    found = []
    for match in MARKED.finditer(text):
        language, body = match.groups()
        if language == "console":
            body = "".join(line[2:] for line in body.splitlines(keepends=True) if line.startswith("$ "))
        line = text.count("\n", 0, match.start()) + 1
        found.append((f"README.md:{line}", body))
    return found


@pytest.mark.parametrize("where, script", [pytest.param(*block, id=block[0]) for block in blocks(README.read_text())])
def test_marked_blocks_run(where: str, script: str, tmp_path: Path) -> None:
    script = script.replace(".venv/bin/python", '"$PYTHON"')
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"


def test_each_mark_stands_before_a_block() -> None:
    text = README.read_text()
    assert text.count("<!-- run -->") == len(blocks(text))


def test_links_lead_somewhere() -> None:
    for document in ROOT.glob("*.md"):
        targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
        assert [target for target in targets if not (ROOT / target).exists()] == []


def test_console_blocks_lose_their_prompt() -> None:
    text = "x\n\n<!-- run -->\n```console\n$ echo a\na\n$ echo b\n```\n```bash\nrm -rf .\n```\n"
    assert blocks(text) == [("README.md:3", "echo a\necho b\n")]
