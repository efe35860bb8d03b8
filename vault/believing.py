"""What a row of another device says must read: a row that would stop this vault whenever it is shown is refused.

A device that is about to be removed may write whatever it likes. Normative text: spec/vault-channel.md, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vault.bulletin import restore
from vault.deposit import open_deposit
from vault.errors import Malformed
from vault.feeding import derive_deposit_id
from vault.grant import terms
from vault.identity import read_card, relay_url
from vault.log import LEAF
from vault.primitives import hash32

if TYPE_CHECKING:
    from vault.identity import Identity

Values = Mapping[str, Any]
_URL = relay_url()


def believe(name: str, key: str, values: Values, me: Identity) -> None:
    """VerificationFailed for a row whose columns are well formed and whose content is none."""
    if name == "relay":
        _URL(key, "row relay.url")
    if "relay" in values:
        _URL(values["relay"], f"row {name}.relay")
    if (check := _CHECKS.get(name)) is not None:
        check(key, values, me)


def _person(key: str, values: Values, _: Identity) -> None:
    card = read_card(values["card"])
    if (card.data, card.id.hex(), card.role) != (values["card"], key, values["role"]):
        raise Malformed("a row of a person with another person's card")
    if values["kem"] is not None and hash32(values["kem"]) != card.kem_hash:
        raise Malformed("a row of a person with a key that the card does not name")


def _authority(key: str, values: Values, _: Identity) -> None:
    peaks = values["peaks"]
    fields = {"authority": values["data"], **{name: values[name] for name in ("list", "head", "start", "leaves")}}
    fields["peaks"] = [peaks[at : at + LEAF] for at in range(0, len(peaks), LEAF)]
    if restore(fields).authority.sign.hex() != key or (values["first"] is None) != (values["second"] is None):
        raise Malformed("a row of an authority with another one's file, or with half of the evidence against it")


def _given(_: str, values: Values, __: Identity) -> None:
    if hash32(values["body"]) != values["hash"]:
        raise Malformed("a row of an access with another one's body")
    terms(values["body"])


def _deposit(key: str, values: Values, me: Identity) -> None:
    if values["sealed"] is None:
        if values["state"] == "known":
            raise Malformed("a deposit that is to be filed and is not here")
        return
    deposit = open_deposit(values["sealed"], me)
    if derive_deposit_id(deposit).hex() != key:
        raise Malformed("a row of a deposit with another one's content")


_CHECKS: Mapping[str, Callable[[str, Values, Identity], None]] = {
    "person": _person,
    "authority": _authority,
    "given": _given,
    "deposit": _deposit,
}
