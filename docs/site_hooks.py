"""Hooks of mkdocs.yml: pages of the repository's root, and links to files that are no pages.

The Markdown files link to each other as a reader of the repository sees them. Here README.md
becomes the site's first page, and a linked file outside of docs/ (compose.yaml, a benchmark) is
copied to files/.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=(?:#[^)]*)?\))")


def source_of(uri: str) -> str:
    """The path in the repository of a page of the site."""
    return SOURCES.get(uri, f"docs/{uri}")


def target_of(link: str, uri: str) -> str:
    """The path in the site of what a page's link leads to in the repository."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(uri)), link))
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"


def linked_files(files: Files) -> Iterator[str]:
    """Paths in the repository of the files outside of docs/ that pages link to."""
    for page in files.documentation_pages():
        for link in LINK.findall(page.content_string):
            target = target_of(link, page.src_uri)
            if target.startswith("files/"):
                yield target.removeprefix("files/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root and the files that pages link to."""
    for source, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text("utf-8")))
    for path in sorted(set(linked_files(files))):
        files.append(File.generated(config, f"files/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of the repository into those of the site."""
    uri = page.file.src_uri

    def turned(match: re.Match[str]) -> str:
        return posixpath.relpath(target_of(match[1], uri), posixpath.dirname(uri) or ".")

    return LINK.sub(turned, markdown)
