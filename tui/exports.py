"""The whole record in a form that others read, into a file: for the command and for the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tui import render
from tui.files import new_private
from tui.language import N_, _, language

if TYPE_CHECKING:
    from vault import Attachment, Document, Vault
    from vault.exporters.archive import Written
    from vault.review.profile import Fact

Progress = Callable[[int, int], None]  # documents done, documents in all
WHOLE = {
    "archive": N_("everything in one zip: original files, summary, an index for any browser"),
    "ips": N_("the summary for other programs (FHIR)"),
    "xdm": N_("the files with their metadata for health software (IHE XDM)"),
    "summary": N_("the summary on paper (PDF)"),
    "preop": N_("treatments before surgery on one page (PDF)"),
}


def to_file(vault: Vault, what: str, path: Path, *, progress: Progress | None = None) -> Written | None:
    """Writes one of WHOLE into a new private file: whole, or none at all. What `progress` raises ends it."""
    with new_private(path) as target:
        return _WRITERS[what](vault, target, progress)


def _archive(vault: Vault, target: IO[bytes], progress: Progress | None) -> Written:
    from vault.exporters import archive

    made = int(vault.clock())
    return archive.write(
        target, _holder(vault), _documents(vault, progress), _content(vault), made=made, language=language()
    )


def _xdm(vault: Vault, target: IO[bytes], progress: Progress | None) -> Written:
    from vault.exporters import xdm

    made = int(vault.clock())
    return xdm.write(
        target, _holder(vault), _documents(vault, progress), _content(vault), made=made, language=language()
    )


def _ips(vault: Vault, target: IO[bytes], progress: Progress | None) -> None:
    from vault.exporters.ips import bundle

    target.write(bundle(_holder(vault), _profile(vault), made=int(vault.clock()), language=language()))


def _summary(vault: Vault, target: IO[bytes], progress: Progress | None) -> None:
    from vault.exporters.printed import Contact, summary

    profile = _profile(vault)
    named = [*profile.facts["trusted_person"], *profile.facts["contact"]]
    contacts = [Contact(fact.label, _reached(fact)) for fact in named if not fact.negated]
    contacts += [Contact(person.name, render.role(person.role)) for person in vault.people.list()]
    summary(target, _page(vault), profile, contacts)


def _reached(fact: Fact) -> str:
    """Who somebody is to the holder, and how they are reached."""
    known = [_("person of trust")] if fact.kind == "trusted_person" else []
    return ", ".join([*known, *(str(fact.fields[name]) for name in ("performer", "value") if fact.fields.get(name))])


def _preop(vault: Vault, target: IO[bytes], progress: Progress | None) -> None:
    from vault.exporters.printed import preoperative
    from vault.review.medications import preoperative_list

    day = date.fromtimestamp(vault.clock())
    preoperative(target, _page(vault), preoperative_list(vault.entries("medication"), on=day))


_WRITERS: dict[str, Callable[[Any, IO[bytes], Progress | None], Written | None]] = {
    "archive": _archive, "ips": _ips, "xdm": _xdm, "summary": _summary, "preop": _preop,
}  # fmt: skip


def _holder(vault: Vault) -> Any:
    from vault.exporters.ips import Holder

    return Holder(vault.holder_name, vault.holder_birth)


def _profile(vault: Vault) -> Any:
    from tui.overview import gather
    from vault.review.profile import profile

    return profile(gather(vault), on=date.fromtimestamp(vault.clock()))


def _page(vault: Vault) -> Any:
    from vault.exporters.printed import Page

    titles = {summary.id: summary.title for summary, _entry in vault.entries("medication")}
    return Page(_holder(vault), date.fromtimestamp(vault.clock()), language(), titles)


def _documents(vault: Vault, progress: Progress | None) -> Iterator[Document]:
    """Every document, page by page: the vault may hold more than memory does."""
    before, done, total = None, 0, vault.count()
    while True:
        page = vault.list(before=before)
        for summary in page.documents:
            if progress is not None:
                progress(done, total)
            done += 1
            yield vault.read(summary.id)
        if page.next is None:
            return
        before = page.next


def _content(vault: Vault) -> Callable[[Document, Attachment], Iterator[bytes]]:
    return lambda document, attachment: vault.attachment(document.id, attachment.sha256)


__all__ = ["WHOLE", "to_file"]
