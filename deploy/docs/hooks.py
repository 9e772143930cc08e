"""What the site does with links: the pages are written for a clone, where README and manual lie outside `docs`.

A link to a page of the site leads there; of one to another file of the repository only its text is kept.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OUTSIDE = {"start.md": "README.md", "rules.md": "rules/README.md"}
"""Pages of the site by their files in the repository, where these lie outside `docs`."""

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#:]*)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside `docs`."""
    for page, file in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its links as the site needs them."""
    here = page.file.src_uri
    file = OUTSIDE.get(here, f"docs/{here}")
    pages = {name: place for place, name in OUTSIDE.items()}
    pages |= {
        f"docs/{each.src_uri}": each.src_uri for each in files.documentation_pages() if each.src_uri not in OUTSIDE
    }

    def rewritten(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if not target:
            return found[0]
        to = pages.get(posixpath.normpath(posixpath.join(posixpath.dirname(file), target)))
        if to is None:
            return text
        return f"[{text}]({posixpath.relpath(to, posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(rewritten, markdown).replace("](docs/images/", "](images/")
