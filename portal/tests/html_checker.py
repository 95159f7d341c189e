"""The Nu HTML checker: one run of it for many pages. ``python -m portal.tests.html_checker`` gets it.

It comes as a package of npm, is kept in the user's cache folder and needs Java 17. Where tests are
required to have it (STOREYARD_REQUIRE), they get it themselves.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from devcluster.build import cache_folder
from devcluster.testing import needs, required

VERSION = "26.9.27"
SHA512 = (
    "4e441de4315f39a582f5e6edbe8cd3b2b1f655aa1dde3620faface791133217c"
    "417b12f3f7ead2d8336d8e7efe44f5226618258b44a0860057e9125135e6b428"
)
INSIDE = "package/build/dist/vnu.jar"
HOW = "install Java 17 (default-jre-headless) and npm, then run `make html-checker` once"
# What the checker says although it is as we want it, and why we do.
FINE = {
    # htmx's own attributes. Their valid twins (data-hx-…) say the same at more bytes on every row.
    r"Attribute “hx-[a-z-]+” not allowed on element": "htmx",
}
# A fragment is put into the smallest page that it can be a part of.
PAGE = '<!doctype html><html lang="en"><head><title>Fragment</title></head><body>{}</body></html>'


def jar() -> Path:
    folder = cache_folder().parent / f"vnu-{VERSION}"
    if not (folder / "vnu.jar").exists():
        if not required("html"):
            needs("html", HOW)
        fetch(folder)
    if shutil.which("java") is None:
        needs("html", HOW)
    return folder / "vnu.jar"


def fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run(
            ["npm", "pack", "--silent", f"vnu-jar@{VERSION}"], cwd=temporary, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        package = next(Path(temporary).glob("*.tgz"))
        if hashlib.sha512(package.read_bytes()).hexdigest() != SHA512:
            raise SystemExit(f"vnu-jar {VERSION} is not the package that we know.")
        with tarfile.open(package) as archive:
            archive.extract(INSIDE, temporary, filter="data")
        folder.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: others may be looking.
        partly = folder / "vnu.jar.partly"
        shutil.copyfile(Path(temporary) / INSIDE, partly)
        partly.replace(folder / "vnu.jar")


def errors(pages: dict[str, str], folder: Path) -> list[str]:
    """What is wrong with the HTML of ``pages``, by what they are called."""
    names = {}
    for number, (name, html) in enumerate(pages.items()):
        path = folder / f"{number}.html"
        whole = html.lstrip().lower().startswith("<!doctype")
        path.write_text(html if whole else PAGE.format(html))
        names[path.name] = name
    # Warnings are advice; among them are such for browsers of ten years ago.
    command = ["java", "-jar", str(jar()), "--format", "json", "--errors-only", "--no-langdetect"]
    told = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    return [
        f"{names[Path(found['url']).name]}: {found['message']} {found.get('extract', '')!r}"
        for found in json.loads(told.stderr)["messages"]
        if not any(re.match(fine, found["message"]) for fine in FINE)
    ]


if __name__ == "__main__":
    fetch(cache_folder().parent / f"vnu-{VERSION}")
