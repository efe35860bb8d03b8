"""Feeding a record: deposits in, filed by themselves when the sender is known, waiting for the holder's word otherwise.

Making a deposit needs the recipient's card alone and gives no right to read. Normative text: spec/deposit.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vault.attachment import hash_seal, open_file, seal_file
from vault.certificate import refuse_payer
from vault.deposit import MAX_DEPOSIT, MAX_INLINE, Deposit, open_deposit, seal_deposit
from vault.document import CLINICAL, Attachment, Document
from vault.encoding import encode
from vault.errors import InputRefused, NotFound, RoleDenied, VaultError, VerificationFailed
from vault.identity import Card
from vault.keys import sync_folder
from vault.primitives import hash32, make_id, make_key
from vault.shape import to_document, to_state
from vault.store.grants import GrantStore
from vault.store.mailboxes import MailboxStore
from vault.store.outbox import OutboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

MAX_INLINE_TOTAL = 600 << 10
AROUND = 200_000  # of a deposit, for everything but its state and the files inside: up to 200 files are described
MAX_QUEUED = 100_000
DAY = 86_400
MAX_A_DAY = 200  # deposits of one sender that are filed without the holder's word
MAX_WAITING_OF_ONE, MAX_WAITING = 50, 500  # whoever has the card may send; nobody may fill the vault


@dataclass(frozen=True, slots=True)
class Waiting:
    """A deposit that waits for the holder's word. `reason`: why it could not be filed by itself."""

    id: str
    name: str
    role: str
    title: str
    received: int
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class Fetch:
    """A sealed file that lies at a relay: where, how to read it, where to put it. `fields` as in the document."""

    relay: str
    address: bytes
    token: bytes
    target: Path
    sha256: str
    fields: Mapping[str, Any]
    document: bytes = b""  # the document to which a grantee attached it


class Feeding:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._grants = GrantStore(vault.store)
        self._mailboxes = MailboxStore(vault.store)
        self._outbox = OutboxStore(vault.store)
        self._folder = vault.path / "deposits"

    # Making

    def deposit(
        self,
        card: Card,
        document: Document,
        files: Mapping[str, bytes | Path],
        *,
        certificate: bytes | None = None,
        number: bytes | None = None,
    ) -> str:
        """Queue a document for somebody's inbox; its unique id is returned. Nothing of it stays readable here.

        `number` marks every queued call of this deposit: its files go before it, and it does not go without them.
        """
        if card.inbox is None or card.deposit is None or not card.relay:
            raise InputRefused("this card has no inbox", hint="ask for a new card, made after a first sync")
        if {attachment.sha256 for attachment in document.attachments} != files.keys():
            raise InputRefused("every attachment comes with its file, and every file with its attachment")
        if self._outbox.queued() >= MAX_QUEUED:
            raise InputRefused("too much waits to be sent already", limit=MAX_QUEUED)
        unique = derive_unique(document.source_id) if document.source_id else f"deposit:{make_key().hex()}"
        number = number or make_id()
        kem = self._vault.people.key_for(card)
        entries = tuple(entry if entry.id else replace(entry, id=make_id().hex()) for entry in document.entries)
        state = to_state(replace(document, source_id=unique, entries=entries))
        room = min(MAX_INLINE_TOTAL, MAX_DEPOSIT - AROUND - len(encode(state)))
        with self._store.transaction():
            described, small = [], 0
            for attachment in document.attachments:
                inline = attachment.size <= min(MAX_INLINE, room - small)
                small += attachment.size if inline else 0
                source = files[attachment.sha256]
                described.append(
                    self._inline(source, attachment) if inline else self._blob(source, attachment, card, number)
                )
            sealed = seal_deposit(
                self._vault.identity,
                card.box,
                card=self._vault.people.card(),
                certificate=certificate,
                authority=None,
                unique=unique,
                relay=card.relay,
                state=state,
                files=described,
                now=int(self._vault.clock()),
                kem=kem,
            )
            arguments = {"token": card.deposit, "relay_key": card.relay_key}
            self._outbox.queue(card.relay, "append", card.inbox, arguments, sealed, belongs=number)
        return unique

    def _inline(self, source: bytes | Path, attachment: Attachment) -> dict[str, Any]:
        data = source if isinstance(source, bytes) else source.read_bytes()
        if hashlib.sha256(data).hexdigest() != attachment.sha256:
            raise InputRefused("a file is not the one that its attachment names")
        return _stated(attachment, len(data)) | {
            "inline": data, "blob": None, "token": None, "key": None, "sealed_sha256": None, "sealed_size": 0,
        }  # fmt: skip

    def _blob(self, source: bytes | Path, attachment: Attachment, card: Card, number: bytes) -> dict[str, Any]:
        """The file sealed under a key of its own, to be put at the recipient's relay before the deposit."""
        address, owner, token, key = make_key(), make_key(), make_key(), make_key()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        target = self._folder / address.hex()
        sealed = seal_file(source, target, key)
        if sealed.sha256 != attachment.sha256:
            target.unlink(missing_ok=True)
            raise InputRefused("a file is not the one that its attachment names")
        tokens = [{"token": token, "right": "read", "until": None}]
        arguments = {"owner": owner, "tokens": tokens, "file": f"deposits/{address.hex()}", "relay_key": card.relay_key}
        self._outbox.queue(card.relay, "put_blob", address, arguments, belongs=number)
        return _stated(attachment, sealed.size) | {
            "inline": None,
            "blob": address,
            "token": token,
            "key": key,
            "sealed_sha256": bytes.fromhex(sealed.sealed_sha256),
            "sealed_size": sealed.sealed_size,
        }

    # Taking

    def receive(self, statement: bytes) -> tuple[str, str, str]:
        """Take a deposit from the inbox: (id, "known" or "waiting" or "repeated", title). Nothing is filed yet."""
        deposit = open_deposit(statement, self._vault.identity)
        deposit_id = derive_deposit_id(deposit)
        title = str(deposit.state["meta"].get("title", ""))[:500]
        if self._grants.deposit(deposit_id) is not None:
            return deposit_id.hex(), "repeated", title
        sealed = [file for file in deposit.files if file["blob"] is not None]
        if sealed and self._mailboxes.inbox(deposit.relay) is None:
            raise VerificationFailed("files of this deposit lie at a relay where this vault has no inbox")
        now, sender = int(self._vault.clock()), deposit.sender
        known, why = self._is_known(deposit, now), ""
        if known and self._grants.taken_since(sender.id, now - DAY) >= MAX_A_DAY:
            known, why = False, "too-many"
        if not known:
            theirs, everybody = self._grants.waiting(sender.id)
            if theirs >= MAX_WAITING_OF_ONE or everybody >= MAX_WAITING:
                raise InputRefused("too many deposits wait already", limit=MAX_WAITING_OF_ONE)
        state = "known" if known else "waiting"
        name = self._name(deposit)
        self._grants.add_deposit(deposit_id, sender.id, name, sender.role, title, statement, now, state, why)
        return deposit_id.hex(), state, title

    def _is_known(self, deposit: Deposit, now: int) -> bool:
        """Whether it may be filed without the holder's word."""
        people, sender = self._vault.people, deposit.sender
        person = people.get(sender.id)
        if is_payer(sender.role) or (person is not None and is_payer(person.role)):
            return False
        if person is None and people.vouched(sender, deposit.certificate) and deposit.certificate is not None:
            people.witness(deposit.certificate)
            return True
        return person is not None

    def _name(self, deposit: Deposit) -> str:
        """How the holder knows the sender; what the card says otherwise."""
        person = self._vault.people.get(deposit.sender.id)
        return person.name if person else deposit.sender.name

    def waiting(self) -> tuple[Waiting, ...]:
        """Deposits of people whom this vault does not know, oldest first."""
        return tuple(
            Waiting(row[0].hex(), row[2], row[3], row[4], row[5], row[6]) for row in self._grants.deposits("waiting")
        )

    def find(self, prefix: str) -> Waiting:
        low = prefix.strip().casefold()
        fitting = [item for item in self.waiting() if len(low) >= 4 and item.id.startswith(low)]
        if len(fitting) != 1:
            raise NotFound(f"{len(fitting)} waiting deposits fit {prefix!r}", wanted=prefix)
        return fitting[0]

    def accept(self, deposit_id: str) -> None:
        """The holder takes it: the next sync files it."""
        if deposit_id not in {item.id for item in self.waiting()}:
            raise NotFound("no such deposit waits", wanted=deposit_id)
        self._grants.settle_deposit(bytes.fromhex(deposit_id), "known", None)

    def refuse(self, deposit_id: str) -> None:
        self._grants.settle_deposit(bytes.fromhex(deposit_id), "refused", None, "refused by the holder")

    def to_file(self) -> tuple[str, ...]:
        """Ids of the deposits that are to be filed now."""
        return tuple(row[0].hex() for row in self._grants.deposits("known"))

    def fetches(self, deposit_id: str) -> tuple[Fetch, ...]:
        """What must be fetched from a relay before `file`."""
        deposit = self._opened(deposit_id)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return tuple(
            Fetch(deposit.relay, file["blob"], file["token"], self._folder / file["blob"].hex(), sha256, fields)
            for sha256, file, fields in _sealed_files(deposit)
        )

    def all_fetches(self) -> tuple[Fetch, ...]:
        """Every file that is still to be fetched."""
        deposits = [fetch for deposit_id in self.to_file() for fetch in self.fetches(deposit_id)]
        return (*deposits, *self.missing_files())

    def missing_files(self) -> tuple[Fetch, ...]:
        """Files that grantees attached to shared documents and that are still at the relay alone."""
        found = []
        for document, sha256, relay in self._mailboxes.wanted(int(self._vault.clock()) - DAY):
            fields = self._attached(document, sha256)
            if fields is None or self._vault.sealed_path(fields["sealed_sha256"]).exists():
                self._mailboxes.got(document, sha256)  # removed from the document meanwhile, or here already
                continue
            self._folder.mkdir(mode=0o700, exist_ok=True)
            address, token = bytes.fromhex(fields["blob"]), bytes.fromhex(fields["blob_token"])
            found.append(Fetch(relay, address, token, self._folder / fields["blob"], sha256, fields, document))
        return tuple(found)

    def put_off(self, fetched: Fetch) -> None:
        """What came was not the file: it is fetched again after a day, not with every exchange."""
        self._mailboxes.failed(fetched.document, fetched.sha256, int(self._vault.clock()))

    def _attached(self, document: bytes, sha256: str) -> dict[str, Any] | None:
        """The fields of a file that lies at a relay, if the document still names it."""
        if not self._vault.documents.exists(document.hex()):
            return None
        fields = self._vault.documents.flat(document.hex())["attachments"].get(sha256)
        return fields if fields and fields.get("blob") and fields.get("blob_token") else None

    def take_file(self, fetched: Fetch) -> None:
        """Keep a fetched file when it is the one that the document names; VerificationFailed otherwise, and it goes."""
        fields = fetched.fields
        if not fetched.target.is_file():
            raise VerificationFailed("the file at the relay did not come")
        try:
            if hash_seal(fetched.target) != fields["sealed_sha256"]:
                raise VerificationFailed("the file at the relay is not the one that the document names")
            key = bytes.fromhex(fields["key"])
            for _ in open_file(fetched.target, key, fields["size"], sha256=fetched.sha256):
                pass
        except VerificationFailed:
            fetched.target.unlink(missing_ok=True)
            raise
        fetched.target.rename(self._vault.sealed_path(fields["sealed_sha256"]))
        sync_folder(self._vault.path / "attachments")

    def file(self, deposit_id: str) -> tuple[str, Document]:
        """File a deposit as a document of this vault: (document id, document). Twice adds nothing."""
        number = bytes.fromhex(deposit_id)
        deposit = self._opened(deposit_id)
        source = f"deposit:{deposit.sender.id.hex()}:{deposit.unique}"[:1000]
        here = self._vault.find_source(source) or self._vault.find_source(deposit.unique)
        if here is None:
            document = self._document(deposit, source)
            for fetch in self.fetches(deposit_id):
                self.take_file(fetch)
            edits = [("set", ("attachments", sha256), dict(fields)) for sha256, _, fields in _sealed_files(deposit)]
            with self._store.transaction():
                here = self._vault.add(document, _inline_files(deposit))
                self._vault.edit(here, edits)
                self._grants.settle_deposit(number, "filed", bytes.fromhex(here))
        else:
            self._grants.settle_deposit(number, "filed", bytes.fromhex(here), "already there")
            for _, file, _ in _sealed_files(deposit):
                (self._folder / file["blob"].hex()).unlink(missing_ok=True)
        return here, self._vault.read(here)

    def fail(self, deposit_id: str, failure: VaultError) -> None:
        """What was promised did not come: the deposit waits, with the reason."""
        self._grants.settle_deposit(bytes.fromhex(deposit_id), "waiting", None, failure.code)

    def _document(self, deposit: Deposit, source: str) -> Document:
        stated = to_document({**deposit.state, "attachments": {}})
        by = self._name(deposit)
        # Who signed is shown whatever the document states of its author.
        author = by if stated.author in ("", by) else f"{stated.author[:700]} ({by})"
        attachments = tuple(_attachment(file) for file in deposit.files if file["inline"] is not None)
        # Never a section of the health profile, whatever it says: that is the holder's own.
        return replace(
            stated, id="", kind=CLINICAL, source_id=source, author=author, conflicts=(), attachments=attachments
        )

    def _opened(self, deposit_id: str) -> Deposit:
        row = self._grants.deposit(bytes.fromhex(deposit_id))
        if row is None or row[2] is None:
            raise NotFound("no such deposit", wanted=deposit_id)
        return open_deposit(row[2], self._vault.identity)


def _attachment(file: Mapping[str, Any]) -> Attachment:
    return Attachment(file["sha256"].hex(), file["media_type"], file["size"], plain_name(file["name"]))


def plain_name(name: str) -> str:
    """A file's name from outside, as it is kept: no folders, nothing that a screen would obey."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(letter for letter in last if letter.isprintable())
    return "" if plain in (".", "..") else plain


def is_payer(role: str) -> bool:
    try:
        refuse_payer(role)
    except RoleDenied:
        return True
    return False


def derive_deposit_id(deposit: Deposit) -> bytes:
    return hash32(deposit.sender.id + deposit.unique.encode())[:16]


def derive_unique(source_id: str) -> str:
    return source_id if len(source_id) <= 300 else f"hash:{hash32(source_id.encode()).hex()}"


def _stated(attachment: Attachment, size: int) -> dict[str, Any]:
    return {
        "sha256": bytes.fromhex(attachment.sha256), "media_type": attachment.media_type[:200],
        "name": attachment.name[:300], "size": size,
    }  # fmt: skip


def _inline_files(deposit: Deposit) -> dict[str, bytes]:
    return {file["sha256"].hex(): file["inline"] for file in deposit.files if file["inline"] is not None}


def _sealed_files(deposit: Deposit) -> list[tuple[str, Mapping[str, Any], dict[str, Any]]]:
    """(sha256, the file as it was stated, the attachment's fields) of every file that is not inside."""
    found = []
    for file in deposit.files:
        if file["inline"] is not None:
            continue
        fields = {
            "media_type": file["media_type"], "size": file["size"], "name": plain_name(file["name"]),
            "key": file["key"].hex(), "sealed_sha256": file["sealed_sha256"].hex(), "sealed_size": file["sealed_size"],
            "blob": "", "blob_token": "",
        }  # fmt: skip
        found.append((file["sha256"].hex(), file, fields))
    return found
