"""The story, told with the product's own front doors: three vaults, an authority, a payer, a relay that hears it."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sync.client import RelayClient
from sync.exchange import Exchange
from tui import render
from tui.demo import payer
from tui.demo.telling import Teller
from tui.demo.wiretap import Wiretap
from tui.language import _, ngettext
from vault import Vault
from vault.adopting import adopt_treatments
from vault.authority import Office
from vault.document import Document
from vault.errors import VaultError
from vault.identity import Identity, make_card
from vault.intake import import_files
from vault.people import Person
from vault.primitives import BoxKey, SigningKey
from vault.review.medications import preoperative_list

FILES = Path(__file__).parent / "files"
PATIENT, BIRTH = "EXEMPLE-VAULT Zélie", "1984-04-12"
PHYSICIAN, LABORATORY, INSURER = "Docteur Aline FICTIVE", "Laboratoire IMAGINAIRE", "Mutuelle INVENTÉE"
IMPORTED = ("N3_VSM.xml", "N1_LDL-SES_pdf.xml", "N3_VAC.xml", "N3_eP-MED_avec_pdf.xml")
DEPOSITED = "N3_CR-BIO.xml"
SHORT = 5  # seconds of the last grant


class Story:
    def __init__(self, folder: Path, teller: Teller) -> None:
        self._folder = folder
        self._teller = teller
        self._passphrase = secrets.token_hex(16)
        self._vaults: list[Vault] = []
        self._exchanges: list[Exchange] = []
        self._relay: subprocess.Popen[str] | None = None
        self._tap: Wiretap | None = None

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *_: object) -> None:
        for exchange in self._exchanges:
            exchange.close()
        for vault in self._vaults:
            vault.lock()
        if self._tap is not None:
            self._tap.close()
        if self._relay is not None:
            self._relay.terminate()
            self._relay.wait(10)

    def tell(self) -> dict[str, Any]:
        start = time.perf_counter()
        self._start_relay()
        self._make_vaults()
        self._import()
        self._certify()
        self._refuse_insurer()
        self._catch_false_card()
        self._grant()
        self._open()
        self._write_both()
        self._conflict()
        self._deposit()
        self._preoperative()
        self._revoke()
        self._end()
        searched = self._payers_view()
        seconds = time.perf_counter() - start
        self._teller.line("\n" + _("The whole story took {seconds:.1f} s.").format(seconds=seconds))
        broken = self._teller.broken
        self._teller.line(
            _("Every promise was kept.")
            if not broken
            else ngettext("{n} promise was broken.", "{n} promises were broken.", broken).format(n=broken)
        )
        return {"steps": self._teller.steps, "seconds": round(seconds, 2), "broken": broken, "payer": searched}

    # The steps

    def _start_relay(self) -> None:
        with self._teller.step(_("A relay starts as a process of its own; somebody taps its wire")):
            store = self._folder / "relay"
            store.mkdir(mode=0o700)
            with (store / "log").open("w") as log:
                self._relay = subprocess.Popen(
                    [sys.executable, "-m", "tui.cli", "relay", "serve", "--db", str(store / "relay.db"), "--port", "0"],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            url = self._relay.stdout.readline().strip() if self._relay.stdout else ""
            self._tap = Wiretap(url)
            self._url = self._tap.url
            self._teller.say(_("relay"), url)

    def _make_vaults(self) -> None:
        with self._teller.step(_("A patient, a physician and a laboratory make their vaults")):
            self._patient, kit = self._vault("patient", PATIENT, birth=BIRTH)
            words = kit.words("fr")
            self._teller.say(_("patient"), _("recovery kit: {words} ...").format(words=" ".join(words[:3])))
            self._physician, _kit = self._vault("physician", PHYSICIAN, role="doctor")
            self._laboratory, _kit = self._vault("laboratory", LABORATORY, role="laboratory")
            self._at_patient, self._at_physician, self._at_laboratory = map(
                self._exchange, (self._patient, self._physician, self._laboratory)
            )
            self._patient.lock()
            self._vaults.remove(self._patient)
            again = Vault.recover(self._folder / "patient", " ".join(words), self._passphrase)
            self._teller.promise(again.holder_name == PATIENT, _("the 24 words open the vault again"))
            self._patient = again
            self._vaults.append(again)
            self._at_patient = self._exchange(again)

    def _import(self) -> None:
        with self._teller.step(_("The patient imports what she was given")):
            files = [
                FILES / name for name in ("N3_VSM.xml", "N1_LDL-SES_pdf.xml", "N3_VAC.xml", "N3_eP-MED_avec_pdf.xml")
            ]
            report = import_files(self._patient, files)
            for document in report.documents:
                held = render.counted(document.counts())
                self._teller.say(_("patient"), " - ".join(filter(None, (document.title, held))))
            again = import_files(self._patient, files)
            self._teller.promise(not again.documents, _("importing the same files again adds nothing"))
            self._letter = next(d.id for d in report.documents if d.type_code == "11490-0")
            self._section, copied = adopt_treatments(self._patient, on=date.today())
            self._teller.say(
                _("patient"), _("her own list of treatments: {names}").format(names=", ".join(m.label for m in copied))
            )

    def _certify(self) -> None:
        with self._teller.step(_("An authority certifies the physician, offline")):
            self._authority = Office.open("Ordre fictif", SigningKey.make(), self._now())
            card = self._physician.people.card()
            certificate = self._certificate(card, "RPPS-899900000001", "doctor")
            bulletin = self._authority.bulletin(self._now())
            self._person = self._patient.people.add(card, certificate=certificate, authority=bulletin)
            self._teller.say(_("authority"), _("{name}, doctor, 30 days").format(name=PHYSICIAN))
            number = self._patient.people.safety_number(self._person)
            self._teller.say(_("patient"), _("safety number {number} ...").format(number=" ".join(number.split()[:3])))
            self._patient.people.add(
                self._laboratory.people.card(),
                certificate=self._certificate(self._laboratory.people.card(), "FINESS-1", "laboratory"),
            )

    def _refuse_insurer(self) -> None:
        with self._teller.step(_("An insurer with a genuine certificate asks")):
            stranger = Identity(INSURER, "insurer", SigningKey.make(), BoxKey.make())
            card = self._card_of(stranger)
            person = self._patient.people.add(card, certificate=self._certificate(card, "SIREN-1", "insurer"))
            code = self._refusal(lambda: self._give(person, [self._letter], "read", _("reimbursement")))
            self._teller.say(_("insurer"), code)
            self._teller.promise(code == "role-denied", _("nothing is ever granted to a payer"))

    def _catch_false_card(self) -> None:
        with self._teller.step(_("The relay serves a false card in the physician's name")):
            false = self._card_of(Identity(PHYSICIAN, "doctor", SigningKey.make(), BoxKey.make()))
            genuine = self._certificate(self._physician.people.card(), "RPPS-899900000001", "doctor")
            code = self._refusal(lambda: self._patient.people.add(false, certificate=genuine))
            self._teller.say(_("patient"), code)
            self._teller.promise(code == "wrong-recipient", _("the certificate does not fit the false keys"))

    def _grant(self) -> None:
        with self._teller.step(_("24 hours for the physician: treatments to edit, the discharge letter to read")):
            purpose = _("Consultation before surgery")
            self._to_edit = self._give(self._person, [self._section], "edit", purpose)
            self._give(self._person, [self._letter], "read", purpose)
            start = time.perf_counter()
            self._at_patient.sync()
            self._at_physician.sync()
            self._teller.say(_("on its way"), _("{ms:.0f} ms").format(ms=(time.perf_counter() - start) * 1000))
            for visit in self._physician.visiting.grants():
                left = render.remaining(visit.until - self._now())
                self._teller.say(_("physician"), f"{visit.patient}: {visit.purpose}, {left}")

    def _open(self) -> None:
        with self._teller.step(_("The physician opens both; every opening leaves a trace")):
            self._opened = self._at_physician.open(self._section, _("Consultation before surgery"))
            letter = self._at_physician.open(self._letter, _("Consultation before surgery"))
            self._teller.say(_("physician"), ", ".join(e.text("label") for e in self._opened.document.entries))
            pages = letter.document.attachments
            whole = sum(len(piece) for file in pages for piece in letter.attachment(file.sha256))
            self._teller.say(_("physician"), f"{letter.document.title}, {render.size(whole)}")
            refused = self._refusal(lambda: letter.set_entry(None, "note", {"label": "?"}))
            self._teller.promise(refused == "right-missing", _("the right to read is not the right to write"))
            self._at_patient.sync()
            seen = [line for line in self._patient.sharing.trace() if line.state == "opened" and line.verified]
            for line in seen:
                self._teller.say(
                    _("patient"), _("trace: {who} opened {what}").format(who=line.person, what=line.document)
                )
            self._teller.promise(len(seen) == 2, _("both openings are in the trace, signed by the physician"))

    def _write_both(self) -> None:
        with self._teller.step(_("Offline, the patient changes one treatment; the physician adds another")):
            entries = self._patient.read(self._section).entries
            ramipril = next(e for e in entries if "RAMIPRIL" in e.text("label"))
            self._patient.amend_entry(self._section, ramipril.id, {"dose": "1 comprimé le matin et le soir"})
            self._opened.set_entry(
                None,
                "medication",
                {"label": "APIXABAN FICTIF 5 mg", "substance": "apixaban", "dose": "1 matin, 1 soir"},
            )
            self._at_patient.sync()
            self._opened.refresh()
            for party, document in ((_("patient"), self._mine()), (_("physician"), self._opened.document)):
                texts = [f"{e.text('label')}: {e.text('dose')}" for e in document.entries]
                self._teller.say(party, "\n".join(texts))
                both = any("APIXABAN" in t for t in texts) and any("matin et le soir" in t for t in texts)
                self._teller.promise(both, _("both changes are there"))

    def _conflict(self) -> None:
        with self._teller.step(_("Both change the dose of one treatment without knowing of each other")):
            bisoprolol = next(e for e in self._mine().entries if "BISOPROLOL" in e.text("label"))
            self._patient.amend_entry(self._section, bisoprolol.id, {"dose": "1/2 comprimé le matin"})
            self._opened.set_entry(bisoprolol.id, "medication", {"dose": "2 comprimés le matin"})
            self._at_patient.sync()
            self._opened.refresh()
            for party, document in ((_("patient"), self._mine()), (_("physician"), self._opened.document)):
                for conflict in document.conflicts:
                    sides = "\n".join(f"{value}  ({author}, {when})" for value, author, when in conflict.sides)
                    self._teller.say(party, sides)
                authors = {author for c in document.conflicts for _value, author, _when in c.sides}
                self._teller.promise(authors == {PATIENT, PHYSICIAN}, _("the conflict names both authors"))

    def _deposit(self) -> None:
        with self._teller.step(_("The laboratory deposits a result that it cannot read back")):
            from vault.importers import read_file

            reads = read_file((FILES / DEPOSITED).read_bytes(), DEPOSITED)
            card = self._patient.people.card()
            self._at_laboratory.deposit(card, [(read.document, read.files) for read in reads])
            read_card = self._patient.people.read_card(card)
            client = RelayClient(self._url)
            code = self._refusal(lambda: client.messages(read_card.inbox or b"", read_card.deposit or b"", 0))
            client.close()
            self._teller.say(_("laboratory"), _("asks for it back: {code}").format(code=code))
            self._teller.promise(code == "relay-refused", _("feeding a record gives no right to read it"))
            for event in self._at_patient.sync().events:
                if event.kind == "deposit-filed":
                    held = render.counted(self._patient.read(event.document_id).counts())
                    self._teller.say(_("patient"), f"{event.title} ({event.person}): {held}")
                    self._teller.promise(bool(held), _("it was filed by itself"))

    def _preoperative(self) -> None:
        with self._teller.step(_("Before surgery: every treatment, anticoagulant first")):
            items = preoperative_list(self._patient.entries("medication"), on=date.today())
            self._teller.say(_("patient"), render.medications(items, 60))
            stated = {m.label.split()[0] for m in items}
            everything = {"APIXABAN", "BISOPROLOL", "RAMIPRIL", "PARACETAMOL"}
            self._teller.promise(everything <= stated, _("no treatment is missing"))
            self._teller.promise("anticoagulant" in items[0].flags, _("the anticoagulant stands first"))

    def _revoke(self) -> None:
        with self._teller.step(_("The patient revokes, and goes on writing")):
            self._patient.sharing.revoke(self._to_edit)
            self._patient.add_entry(self._section, "medication", {"label": "SECRETINE FICTIVE 1 mg"})
            self._at_patient.sync()
            code = self._refusal(lambda: self._at_physician.open(self._section))
            self._teller.say(_("physician"), _("exit code 13: {code}").format(code=code))
            self._teller.promise(code == "access-ended", _("the next opening ends"))
            held = self._refusal(self._opened.refresh)
            self._teller.promise(held == "access-ended", _("what was written afterwards is closed to who had it open"))

    def _end(self) -> None:
        with self._teller.step(_("A grant of {n} s passes; then the physician's vault is seized").format(n=SHORT)):
            grant = self._give(self._person, [self._letter], "read", _("A short look"), seconds=SHORT)
            self._at_patient.sync()
            self._at_physician.sync()
            opened = self._at_physician.open(grant, _("A short look"))
            self._teller.say(_("physician"), opened.document.title)
            end = opened.until
            while time.time() < end + 1.2:
                time.sleep(0.1)
            code = self._refusal(lambda: opened.document.title)
            self._teller.say(_("physician"), code)
            self._teller.promise(code == "access-ended", _("the open screen has nothing left to show"))
            self._seize(grant)

    def _seize(self, grant: str) -> None:
        """A thief has the physician's device and passphrase, after the end, and asks the relay too."""
        copy = self._folder / "seized"
        self._vaults.remove(self._physician)
        self._physician.lock()
        shutil.copytree(self._folder / "physician", copy)
        thief = Vault.unlock(copy, self._passphrase)
        self._vaults.append(thief)
        asked = self._refusal(lambda: self._exchange(thief, known=True).open(grant))
        letter = self._patient.read(self._letter)
        secret = [letter.title, letter.text[:60]]
        tables = [row[0] for row in thief.store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        dump = repr([thief.store.rows(f'SELECT * FROM "{table}"') for table in tables]).encode()  # noqa: S608
        held = payer.search([word for word in secret if len(word) >= payer.SHORTEST], {}, {"seized": dump})
        self._teller.say(_("thief"), _("asks the relay: {code}").format(code=asked))
        self._teller.promise(asked == "access-ended", _("the relay has destroyed its half"))
        self._teller.promise(not held.found, _("the seized vault holds nothing of the document"))

    def _payers_view(self) -> dict[str, Any]:
        with self._teller.step(_("The payer buys the relay: everything stored, logged and sent is searched")):
            words = payer.words_of(self._patient) | {PHYSICIAN, LABORATORY, INSURER, "SECRETINE FICTIVE 1 mg"}
            keys = payer.keys_of(self._patient) | {"passphrase": self._passphrase.encode()}
            places = payer.files_of(self._folder / "relay") | {"wire": self._carried()}
            result = payer.search(words, keys, places)
            self._teller.say(
                _("payer"),
                _("{needles} names, titles, codes, values and keys in {patterns} spellings").format(
                    needles=result.needles, patterns=result.patterns
                ),
            )
            self._teller.say(
                _("payer"),
                _("looked for in {places} files and recordings, {size}").format(
                    places=result.places, size=render.size(result.size)
                ),
            )
            for leak in result.found[:10]:
                self._teller.say(_("payer"), f"{leak.what!r} {leak.encoding} {leak.place}")
            self._teller.promise(not result.found, _("nothing found"))
            control = payer.search([PATIENT], {}, {"control": b"..." + PATIENT.encode("utf-16-le")})
            self._teller.promise(bool(control.found), _("and the search does find what is planted"))
        return payer.as_json(result)

    # Inside

    def _vault(self, name: str, holder: str, *, birth: str = "", role: str = "") -> tuple[Vault, Any]:
        vault, kit = Vault.create(self._folder / name, name=holder, birth=birth, passphrase=self._passphrase, role=role)
        self._vaults.append(vault)
        return vault, kit

    def _exchange(self, vault: Vault, *, known: bool = False) -> Exchange:
        exchange = Exchange(vault)
        self._exchanges.append(exchange)
        if not known:
            exchange.set_relay(self._url)
            exchange.sync()
        return exchange

    def _give(self, person: Person, documents: list[str], right: str, purpose: str, seconds: int = 86_400) -> str:
        return self._patient.sharing.grant(person, documents, right=right, purpose=purpose, seconds=seconds).id

    def _certificate(self, card: bytes, unique_id: str, role: str) -> bytes:
        read = self._patient.people.read_card(card)
        return self._authority.certify(read, unique_id=unique_id, role=role, now=self._now(), days=30)

    def _card_of(self, stranger: Identity) -> bytes:
        own = self._patient.people.read_card(self._physician.people.card())
        return make_card(
            stranger, relay=own.relay, relay_key=own.relay_key, inbox=own.inbox, deposit=own.deposit, now=self._now()
        )

    def _mine(self) -> Document:
        return self._patient.read(self._section)

    def _carried(self) -> bytes:
        return self._tap.captured if self._tap is not None else b""

    def _refusal(self, act: Any) -> str:
        """The failure class with which `act` is refused, "" when it is not."""
        try:
            act()
        except VaultError as refused:
            return refused.code
        return ""

    def _now(self) -> int:
        return int(datetime.now(UTC).timestamp())
