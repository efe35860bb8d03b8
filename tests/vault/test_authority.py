"""An authority's office: what it signs, what its books survive, and what a vault believes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parties import START
from tests.persons import DAY, DOCTOR, card_of
from vault import Vault
from vault import authority as rooms
from vault.authority import KEY_FILE, LOG_FILE, PUBLIC_FILE, Folder, Office, read_log
from vault.bulletin import read_bulletin
from vault.certificate import read_certificate
from vault.errors import (
    AuthorityContradiction,
    InputRefused,
    Malformed,
    NotCertified,
    NotFound,
    StorageFailed,
    VaultError,
    VerificationFailed,
)
from vault.identity import make_card
from vault.primitives import SigningKey

KEY = SigningKey.from_seed(b"o" * 32)
CARD = make_card(DOCTOR, now=START)


def certified(office: Office, now: int = START, unique_id: str = "RPPS 1", days: int = 90) -> bytes:
    return office.certify(card_of(DOCTOR), unique_id=unique_id, role="doctor", now=now, days=days)


@pytest.fixture
def office() -> Office:
    return Office.open("Ordre", KEY, START)


@pytest.fixture
def clock() -> list[int]:
    return [START]


@pytest.fixture
def holder(vault_factory: object, clock: list[int]) -> Vault:
    return vault_factory(clock=lambda: clock[0])  # type: ignore[operator, no-any-return]


def refused(holder: Vault) -> tuple[str, str]:
    person = holder.people.find("Ndiaye")
    return person.reason, person.detail


def test_a_revoked_certificate_counts_no_more_even_for_somebody_met(holder: Vault, office: Office) -> None:
    holder.people.add(CARD, certificate=certified(office), authority=office.bulletin(START), met=True)
    assert refused(holder) == ("", "")
    assert [one.fields["id"] for one in office.revoke("RPPS 1", now=START)] == ["RPPS 1"]
    holder.people.update_authority(office.bulletin(START + 1))
    assert refused(holder) == ("not-certified", "revoked")
    with pytest.raises(NotCertified):
        holder.people.need_grantable(holder.people.find("Ndiaye"))
    with pytest.raises(NotCertified) as caught:
        holder.people.add(CARD, certificate=certified(Office.open("Ordre", KEY, START)))
    assert caught.value.facts["reason"] == "revoked"
    with pytest.raises(NotFound):
        office.revoke("RPPS 1", now=START)


def test_a_list_is_believed_for_thirty_days(holder: Vault, office: Office, clock: list[int]) -> None:
    holder.people.add(CARD, certificate=certified(office), authority=office.bulletin(START))
    clock[0] = START + 30 * DAY - 1
    assert refused(holder) == ("", "")
    clock[0] += 1
    assert refused(holder) == ("not-certified", "list-too-old")
    holder.people.update_authority(office.bulletin(clock[0]))
    assert refused(holder) == ("", "")
    holder.people.set_met(holder.people.find("Ndiaye").id)
    clock[0] += 31 * DAY
    assert refused(holder) == ("", ""), "who was met is known without a list"


def test_an_older_file_takes_nothing_back(holder: Vault, office: Office) -> None:
    old, certificate = office.bulletin(START), certified(office)
    office.revoke("RPPS 1", now=START)
    holder.people.pin_authority(office.bulletin(START))
    known = holder.people.update_authority(old)
    assert (known.revoked, known.certificates) == (1, 1)
    with pytest.raises(NotCertified):
        holder.people.add(CARD, certificate=certificate)


def test_a_certificate_that_is_not_logged_is_refused(holder: Vault, office: Office) -> None:
    certified(office, unique_id="somebody")
    holder.people.pin_authority(office.bulletin(START))
    beside = Office.open("Ordre", KEY, START)  # the same key, without its books
    with pytest.raises(AuthorityContradiction):
        holder.people.add(CARD, certificate=certified(beside))
    assert holder.people.authorities()[0].contradicted and holder.people.list() == ()


@pytest.mark.parametrize("fault", ["fork", "shrink", "promise"])
def test_a_log_that_forks_or_shrinks_is_caught_for_good(holder: Vault, office: Office, fault: str) -> None:
    first, certificate = office.bulletin(START), certified(office)
    holder.people.add(CARD, certificate=certificate, authority=first if fault == "promise" else office.bulletin(START))
    other = Office.open("Ordre", KEY, START)
    for n in range(0 if fault == "shrink" else 3):
        certified(other, unique_id=str(n))
    for _ in range(3):
        other.bulletin(START)  # numbers go on
    with pytest.raises(AuthorityContradiction):
        holder.people.update_authority(other.bulletin(START + 9))
    assert refused(holder) == ("not-certified", "contradiction")
    for _ in range(9):
        office.bulletin(START)
    assert holder.people.update_authority(office.bulletin(START + 20)).contradicted, "there is no way back"
    row = holder.store.row("SELECT first, second FROM authority")
    assert row is not None and row[0] != row[1] and None not in row


def test_only_a_pinned_authority_is_updated(holder: Vault, office: Office) -> None:
    with pytest.raises(NotCertified):
        holder.people.update_authority(office.bulletin(START))
    assert holder.people.authorities() == ()
    holder.people.pin_authority(office.bulletin(START))
    known = holder.people.authorities()[0]
    assert (known.name, known.certificates, known.revoked, known.until) == ("Ordre", 0, 0, START + 30 * DAY)


def test_a_renewal_says_the_same_for_longer(office: Office) -> None:
    first = certified(office, days=10)
    second = office.renew(first, now=START + 5 * DAY, days=90)
    old, new = (read_certificate(data, office.authority) for data in (first, second))
    assert (new.id, new.name, new.role, new.sign, new.box) == (old.id, old.name, old.role, old.sign, old.box)
    assert (new.start, new.until, new.index) == (START + 5 * DAY, START + 95 * DAY, 1)
    office.revoke(second, now=START)
    for data, days, failure in ((second, 9, InputRefused), (first, 91, InputRefused), (first, 0, InputRefused)):
        with pytest.raises(failure):
            office.renew(data, now=START, days=days)
    with pytest.raises(NotFound):
        Office.open("Autre", SigningKey.from_seed(b"p" * 32), START).renew(first, now=START, days=9)


def test_a_list_forgets_what_has_ended_by_itself(office: Office) -> None:
    certified(office, days=1)
    office.revoke("RPPS 1", now=START)
    assert len(read_bulletin(office.bulletin(START)).revocations.entries) == 1
    assert not read_bulletin(office.bulletin(START + DAY)).revocations.entries
    for days in (0, 31):
        with pytest.raises(InputRefused):
            office.bulletin(START, days)


def test_a_long_log_is_published_from_what_still_counts(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "WHOLE", 4)
    for n in range(10):
        certified(office, unique_id=str(n), days=1 if n < 3 else 90)
    early, late = read_bulletin(office.bulletin(START)), read_bulletin(office.bulletin(START + 2 * DAY))
    assert (early.extract.start, late.extract.start, late.head.size) == (0, 3, 10)
    monkeypatch.setattr(rooms, "MAX_LEAVES", 6)
    with pytest.raises(InputRefused):
        office.bulletin(START + 2 * DAY)


def test_a_folder_keeps_the_books(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path / "order", "Ordre", START)
    certificate = certified(folder)
    folder.publish(START)
    again = Folder(tmp_path / "order")
    again.renew(certificate, now=START + 1, days=30)
    again.revoke(certificate, now=START + 1)
    again.publish(START + 2)
    bulletin = read_bulletin((tmp_path / "order" / PUBLIC_FILE).read_bytes())
    log = list(read_log((tmp_path / "order" / LOG_FILE).read_bytes(), bulletin))
    assert [(one.fields["id"], revoked) for one, revoked in log] == [("RPPS 1", START + 1), ("RPPS 1", None)]
    assert bulletin.revocations.number == 3
    assert (tmp_path / "order" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputRefused):
        Folder.create(tmp_path / "order", "Ordre", START)
    with pytest.raises(NotFound):
        Folder(tmp_path / "nowhere")


def test_a_rehearsal_writes_nothing(tmp_path: Path) -> None:
    Folder.create(tmp_path, "Ordre", START)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    rehearsal = Folder(tmp_path, rehearse=True)
    certified(rehearsal)
    rehearsal.publish(START)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_crash_before_the_head_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    """Signed, appended, never covered by a head: half a record goes, a whole one stays, and nothing shrinks."""
    folder = Folder.create(tmp_path, "Ordre", START)
    certified(folder)
    whole = (tmp_path / LOG_FILE).read_bytes()
    (tmp_path / LOG_FILE).write_bytes(whole + whole[:70])
    again = Folder(tmp_path)
    certified(again, unique_id="RPPS 2")
    again.publish(START + 1)
    log = list(read_log((tmp_path / LOG_FILE).read_bytes(), read_bulletin((tmp_path / PUBLIC_FILE).read_bytes())))
    assert [one.fields["id"] for one, _ in log] == ["RPPS 1", "RPPS 2"]


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (lambda data: data[:-1], VerificationFailed),
        (lambda data: b"", VerificationFailed),
        (lambda data: data[:40] + b"x" + data[41:], VerificationFailed),
        (lambda data: b"\xff" * 8 + data, Malformed),
    ],
)
def test_a_log_that_was_changed_signs_nothing_more(tmp_path: Path, change: object, failure: type[VaultError]) -> None:
    folder = Folder.create(tmp_path, "Ordre", START)
    certified(folder)
    folder.publish(START)
    data = change((tmp_path / LOG_FILE).read_bytes())  # type: ignore[operator]
    (tmp_path / LOG_FILE).write_bytes(data)
    with pytest.raises(failure):
        Folder(tmp_path)
    with pytest.raises(failure):
        list(read_log(data, read_bulletin((tmp_path / PUBLIC_FILE).read_bytes())))


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path, "Ordre", START)
    (tmp_path / LOG_FILE).unlink()
    (tmp_path / LOG_FILE).mkdir()
    with pytest.raises(StorageFailed):
        certified(folder)
    (tmp_path / f"{PUBLIC_FILE}.new").mkdir()
    with pytest.raises(StorageFailed):
        folder.publish(START)
