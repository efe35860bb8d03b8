"""Takes the strings out of tui/*.py into the .po files, and compiles the .mo files beside them. Needs Babel (dev only).

    python tui/locale/build.py            extract, merge, compile; lists what is not translated yet
    python tui/locale/build.py --check    changes nothing; exit 1 when a catalogue is stale or has gaps

English is its own translation. French gets its spaces and apostrophes here, so that translators need not type them.
Catalogues are sorted and carry no line numbers and no dates: two people's additions merge, two builds are equal.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

LOCALE = Path(__file__).resolve().parent
TUI = LOCALE.parent
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "# Elpis, Apache-2.0. Written by tui/locale/build.py; only the msgstr lines are edited by hand."


def build(language: str) -> tuple[bytes, bytes, list[str]]:
    """(.po bytes, .mo bytes, the strings that have no translation)."""
    catalogue = _merged(language)
    for message in _messages(catalogue):
        if language == "en":
            message.string = message.id
        elif isinstance(message.id, str):
            message.string = french_typography(str(message.string or ""))
        else:
            message.string = tuple(french_typography(form) for form in message.string or ("", ""))
    po, mo = io.BytesIO(), io.BytesIO()
    write_po(po, catalogue, width=120, sort_output=True, include_lineno=False, ignore_obsolete=True)
    write_mo(mo, catalogue)
    gaps = [_first(message) for message in _messages(catalogue) if not _complete(message)]
    return po.getvalue(), mo.getvalue(), gaps


def french_typography(text: str) -> str:
    """No-break spaces before double punctuation and inside quotation marks; the apostrophe of print."""
    text = re.sub(r"(?<=\w)'(?=\w)", "\u2019", text)
    text = re.sub(r" ([:;!?»])", "\u00a0\\1", text)
    return re.sub(r"« ", "«\u00a0", text)


def _merged(language: str) -> Catalog:
    template = Catalog(charset="utf-8")
    for name, _line, strings, _comments, context in extract_from_dir(
        TUI, method_map=[("**.py", "python")], keywords=KEYWORDS, directory_filter=_wanted
    ):
        if strings and strings != "":
            template.add(strings, None, [(f"tui/{name}", 0)], context=context)
    path = _folder(language) / "elpis.po"
    catalogue = Catalog(locale=language, charset="utf-8")
    if path.exists():
        with path.open("rb") as source:
            catalogue = read_po(source, locale=language, charset="utf-8")
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.header_comment = HEADER
    catalogue.project, catalogue.version = "elpis-vault", "1"
    catalogue.msgid_bugs_address = catalogue.last_translator = catalogue.language_team = ""
    catalogue.creation_date = catalogue.revision_date = EPOCH
    catalogue.fuzzy = False
    return catalogue


def _wanted(folder: str | Path) -> bool:
    return Path(folder).name not in ("locale", "__pycache__")


def _folder(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES"


def _messages(catalogue: Catalog) -> Iterator[Message]:
    return (message for message in catalogue if message.id)


def _first(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _complete(message: Message) -> bool:
    return bool(message.string) if isinstance(message.string, str) else all(message.string or ())


def main(say: Callable[[str], object] = print) -> int:
    check = "--check" in sys.argv[1:]
    wrong = 0
    for language in ("en", "fr"):
        po, mo, gaps = build(language)
        folder = _folder(language)
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in ((folder / "elpis.po", po), (folder / "elpis.mo", mo)):
            if check and (not path.exists() or path.read_bytes() != data):
                say(f"stale: {path.relative_to(TUI.parent)}")
                wrong += 1
            elif not check:
                path.write_bytes(data)
        for gap in gaps:
            say(f"{language}: not translated: {gap!r}")
        wrong += len(gaps)
    return 1 if wrong and check else 0


if __name__ == "__main__":
    sys.exit(main())
