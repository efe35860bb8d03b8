"""spec/keyslots.md: the file of keyslots, and the words of a recovery kit."""

from __future__ import annotations

import unicodedata
from typing import Any

from spec.vectors.writing import Vectors, fixed, flip
from vault import keys, primitives
from vault.encoding import encode
from vault.primitives import derive_key, derive_passphrase_key, seal_box
from vault.recovery import RecoveryKit

PASSPHRASE = "sept crayons verts"
VAULT, KEY = fixed("vault id", 16), fixed("vault key")
KIT = RecoveryKit(fixed("kit"))
OPS, MEMORY = primitives.ARGON_OPS, primitives.ARGON_MEMORY


def slot(kind: str, key: bytes, name: str = "", *, box: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """A slot whose box is right for what the slot says, unless a box is given."""
    costs = {"ops": OPS, "memory": MEMORY} if kind == "passphrase" else {"ops": 0, "memory": 0}
    told: dict[str, Any] = {"kind": kind, "id": fixed(f"{kind} id", 16), "salt": fixed(f"{kind} salt", 16), **costs}
    told |= changes
    aad = encode(["keyslot", 1, VAULT, kind, told["id"], told["salt"], told["ops"], told["memory"]])
    made = seal_box(key, keys.LABEL[kind], KEY, aad, nonce=fixed(f"{kind} nonce {name}", 24))
    return told | {"box": made if box is None else box}


def file(slots: list[dict[str, Any]], /, *, key: bytes = KEY, **changes: Any) -> bytes:
    """A file whose authentication is right for its slots."""
    mac = derive_key(key, "elpis-slots", encode([1, VAULT, slots]))
    return encode({"suite": 1, "vault": VAULT, "slots": slots, "mac": mac} | changes)


def make() -> list[Vectors]:
    return [_keyslots(), _words()]


def _keyslots() -> Vectors:
    vectors = Vectors("keyslots")
    stretched = derive_passphrase_key(PASSPHRASE, fixed("passphrase salt", 16), OPS, MEMORY)
    phrase, kit = slot("passphrase", stretched), slot("kit", KIT.entropy)
    good = file([phrase, kit])

    def valid(name: str, description: str, data: bytes, **by: Any) -> None:
        vectors.valid(name, description, {"file": data} | by, {"key": KEY})

    def refused(name: str, description: str, data: bytes, **by: Any) -> None:
        vectors.refused(name, description, "unlock-failed", {"file": data} | (by or {"kit": KIT.entropy}))

    valid("passphrase", "opened by the passphrase", good, passphrase=PASSPHRASE)
    valid("kit", "opened by the recovery kit", good, kit=KIT.entropy)
    damaged = file([phrase | {"box": flip(phrase["box"], 60)}, kit])
    valid("kit-repairs", "the passphrase slot damaged: the kit opens the file all the same", damaged, kit=KIT.entropy)
    spelt = f"  {unicodedata.normalize('NFKD', PASSPHRASE).replace('sept', 'ｓｅｐｔ')}\n"
    valid("passphrase-respelt", "the same passphrase in wide letters, with white space around", good, passphrase=spelt)
    valid("kit-no-mac", "another authentication: the kit does not ask for it", file([phrase, kit], mac=bytes(32)),
          kit=KIT.entropy)  # fmt: skip
    spoilt = kit | {"id": fixed("spoilt id", 16)}
    valid("kit-second", "two slots of the kit, of which the second opens", file([spoilt, kit]), kit=KIT.entropy)
    valid("eight-slots", "as many slots as are read, of which the last opens", file([spoilt] * 7 + [kit]),
          kit=KIT.entropy)  # fmt: skip
    refused("slots-moved", "the slots in another order", file([phrase, kit], slots=[kit, phrase]),
            passphrase=PASSPHRASE)  # fmt: skip
    refused("ops-over", "one pass more than a file may ask for", file([phrase | {"ops": 11}, kit]),
            passphrase=PASSPHRASE)  # fmt: skip
    refused("memory-one-over", "one KiB more than a file may ask for",
            file([phrase | {"memory": (2 << 30) + 1024}, kit]), passphrase=PASSPHRASE)  # fmt: skip
    refused("memory-one-below", "one KiB under the floor", file([phrase | {"memory": MEMORY - 1024}, kit]),
            passphrase=PASSPHRASE)  # fmt: skip
    refused("memory-not-kib", "memory that Argon2 would round down", file([phrase | {"memory": MEMORY + 1}, kit]),
            passphrase=PASSPHRASE)  # fmt: skip
    refused("salt-changed", "a slot with another salt", file([phrase | {"salt": fixed("other salt", 16)}, kit]),
            passphrase=PASSPHRASE)  # fmt: skip
    refused("kit-ops", "passes of Argon2id that the kit's box does not name", file([phrase, kit | {"ops": 3}]))
    refused("passphrase-surrogate", "a passphrase that has no UTF-8 form", good, passphrase=f"{PASSPHRASE}\ud800")
    refused("other-passphrase", "another passphrase", good, passphrase="sept crayons rouges")
    refused("other-kit", "another kit", good, kit=fixed("another kit"))
    refused("passphrase-slot-damaged", "one bit of the passphrase slot", damaged, passphrase=PASSPHRASE)
    refused("kit-slot-damaged", "one bit of the kit slot", file([phrase, kit | {"box": flip(kit["box"], -1)}]))
    refused(
        "ops-below", "one pass fewer, under the floor", file([phrase | {"ops": OPS - 1}, kit]), passphrase=PASSPHRASE
    )
    refused(
        "memory-below",
        "less memory, under the floor",
        file([phrase | {"memory": MEMORY // 2}, kit]),
        passphrase=PASSPHRASE,
    )
    refused(
        "memory-over",
        "more memory than a file may ask for",
        file([phrase | {"memory": 4 << 30}, kit]),
        passphrase=PASSPHRASE,
    )
    refused("vault-other", "the slots of another vault", file([phrase, kit], vault=fixed("other vault", 16)))
    refused("id-changed", "a slot under another id", file([phrase, kit | {"id": fixed("other id", 16)}]))
    refused(
        "kind-changed",
        "the kit's box in a passphrase slot",
        file([kit | {"kind": "passphrase", "ops": OPS, "memory": MEMORY}]),
    )
    refused(
        "slot-added",
        "a slot added by somebody who has no key",
        file([phrase, kit], slots=[phrase, kit, kit]),
        passphrase=PASSPHRASE,
    )
    refused("slot-removed", "the kit's slot removed", file([phrase, kit], slots=[phrase]), passphrase=PASSPHRASE)
    refused("mac-changed", "one bit of the authentication", file([phrase, kit], mac=bytes(32)), passphrase=PASSPHRASE)
    refused("no-slots", "no slot at all", file([]))
    refused("nine-slots", "more slots than are read", file([kit] * 9))
    refused("suite-2", "an unknown suite", file([phrase, kit], suite=2))
    refused("kind-unknown", "a slot of an unknown kind", file([kit | {"kind": "pin"}]))
    refused("box-short", "a box one byte short", file([kit | {"box": kit["box"][:-1]}]))
    refused("field-unknown", "one field more", file([phrase, kit], hint="x"))
    refused("trailing", "one byte more", good + b"\0")
    refused("too-large", "over its size limit", encode({"x": bytes(9000)}))
    refused("nothing", "an empty file", b"")
    return vectors


def _words() -> Vectors:
    vectors = Vectors("recovery-words")
    told = {
        "entropy": KIT.entropy,
        "root": KIT.root_key().public,
        "fingerprint": KIT.fingerprint(),
        "fr": " ".join(KIT.words("fr")),
        "en": " ".join(KIT.words("en")),
    }
    french, english = KIT.words("fr"), KIT.words("en")
    for name, description, words in (
        ("french", "in French", " ".join(french)),
        ("english", "in English: the same kit", " ".join(english)),
        ("capitals", "in capitals", " ".join(french).upper()),
        ("no-accents", "without accents", " ".join(french).replace("\u00e9", "e").replace("\u00e8", "e")),
        ("commas", "with commas and line ends", ", \n".join(french)),
    ):
        vectors.valid(name, description, {"words": words}, told)
    zeros = RecoveryKit(bytes(32))
    vectors.valid(
        "zeros",
        "the BIP 39 test of 32 zero bytes",
        {"words": "abandon " * 23 + "art"},
        {
            "entropy": bytes(32),
            "root": zeros.root_key().public,
            "fingerprint": zeros.fingerprint(),
            "fr": " ".join(zeros.words("fr")),
            "en": "abandon " * 23 + "art",
        },
    )
    for name, description, given in (
        ("checksum", "one word replaced", [*english[:-1], "abandon" if english[-1] != "abandon" else "zoo"]),
        ("order", "two words swapped", [english[1], english[0], *english[2:]]),
        ("23-words", "one word missing", english[:-1]),
        ("25-words", "one word too many", [*english, "zoo"]),
        ("not-a-word", "a word that is on no list", ["elpis", *english[1:]]),
        ("two-languages", "half in each language", [*french[:12], *english[12:]]),
        ("nothing", "no word", []),
    ):
        vectors.refused(name, description, "unlock-failed", {"words": " ".join(given)})
    return vectors
