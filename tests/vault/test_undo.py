"""An import taken back leaves the vault as if it had never been, except for what was added to it since."""

from __future__ import annotations

from pathlib import Path

import pytest

from vault import Document, Vault
from vault.errors import InputRefused, NotFound
from vault.intake import import_files
from vault.undo import undo_import

FIXTURES = Path(__file__).parent.parent / "fixtures"
PDFS, CDA = FIXTURES / "pdf_own", FIXTURES / "cda_fr_own"
TABLES = ("document", "content", "replica", "replica_archive", "source", "holding", "imported", "change")


def rows(vault: Vault) -> dict[str, int]:
    return {table: vault.store.rows(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


def test_what_came_in_together_goes_together(vault: Vault) -> None:
    vault.add(Document(title="Ancien"))
    before = rows(vault)
    first = import_files(vault, [PDFS])
    second = import_files(vault, [CDA], about_someone_else=True)
    assert second.id and first.id and first.id != second.id
    planned = undo_import(vault, dry_run=True)
    assert planned.id == second.id and vault.count() == 1 + len(first.documents) + len(second.documents)
    done = undo_import(vault)
    assert {title for _, title in done.removed} == {item.title for item in second.documents}
    assert not vault.search("vaccinations")
    assert undo_import(vault, first.id[:6]).id == first.id
    assert rows(vault) == before
    assert not list((vault.path / "attachments").iterdir())
    with pytest.raises(NotFound):
        undo_import(vault)
    with pytest.raises(NotFound):
        undo_import(vault, first.id)


def test_what_was_taken_back_can_come_in_again(vault: Vault) -> None:
    first = import_files(vault, [PDFS])
    undo_import(vault)
    again = import_files(vault, [PDFS])
    assert len(again.documents) == len(first.documents) and not again.duplicates
    found = vault.search("bio")
    assert found and found[0].summary.id in {item.id for item in again.documents}


def test_what_was_worked_on_stays(vault: Vault) -> None:
    report = import_files(vault, [PDFS])
    edited, attached = (item.id for item in report.documents)
    vault.add_entry(edited, "note", {"label": "à relire"})
    vault.attach(attached, b"x", name="x.txt", media_type="text/plain")
    done = undo_import(vault)
    assert (done.removed, {item.why for item in done.kept}) == ((), {"something was added to it since"})
    assert vault.count() == 2


def test_a_document_that_others_were_given_stays(vault: Vault) -> None:
    (first, second) = import_files(vault, [PDFS]).documents
    replica = vault.documents.replica(first.id)
    vault.documents.start_epoch(first.id, replica.save, replica.actor)
    done = undo_import(vault)
    assert [item.document for item in done.kept] == [first.id]
    assert "given access" in done.kept[0].why
    assert [document for document, _ in done.removed] == [second.id]
    with pytest.raises(InputRefused):
        vault.remove([first.id])


def test_the_words_of_a_removed_document_leave_the_index(vault: Vault) -> None:
    """Not only unfound: the index itself holds them no more."""

    def holds(word: bytes) -> bool:
        return any(word in bytes(block) for (block,) in vault.store.rows("SELECT block FROM search_data"))

    vault.add(Document(title="bleu"))
    made = vault.add(Document(title="zygomatique"))
    assert holds(b"zygomatique")
    vault.remove([made])
    assert not holds(b"zygom")
    assert holds(b"bleu") and vault.search("bleu")


def test_a_dry_run_and_an_empty_import_leave_nothing_to_take_back(vault: Vault, tmp_path: Path) -> None:
    assert import_files(vault, [PDFS], dry_run=True).id == ""
    assert import_files(vault, [tmp_path]).id == ""
    with pytest.raises(NotFound):
        undo_import(vault)
    import_files(vault, [PDFS])
    assert import_files(vault, [PDFS]).id == ""
    assert len(undo_import(vault).removed) == 2
