"""The details that the vault and the client give with an error, in the language spoken now.

The rooms below know no language: they state a fact in English, once. Here are the facts that people meet; what is not
here (the inside of a damaged file, say) is for whoever repairs it, and stays as it is.
"""

from __future__ import annotations

import re
from functools import cache

from tui.language import N_, _

# {names} stand for what varies. tests/tui/test_wording.py finds each of them in the sources again.
FACTS = (
    N_("the grant is over"), N_("this grant is over"), N_("this grant is already over"),
    N_("this access was given by an earlier version"),
    N_("Ask for the access again: whoever gave it has to give it anew."),
    N_("this document was closed"), N_("this document is closed to you now"), N_("this file is closed to you now"),
    N_("the relay does not answer"), N_("this relay shows another key than before"),
    N_("the relay signed a shorter history than before"), N_("the relay left entries out"),
    N_("the relay signed another history"), N_("two histories signed by one relay"),
    N_("this relay's key has changed"),
    N_("no relay is remembered yet"), N_("run `elpis sync --relay URL` once"),
    N_("this person's card has no inbox"), N_("this card has no inbox"),
    N_("ask for a new card, made after a first sync"), N_("this is your own card"), N_("the card's text is damaged"),
    N_("no such grant"), N_("no such deposit"), N_("this document has no such attachment"),
    N_("this grant holds no such document"), N_("no document {text}"), N_("no entry {text} in this document"),
    N_("no document begins with {text}"), N_("more than one document begins with {text}"),
    N_("Give at least 4 characters of its id."), N_("no granted document fits {text}"),
    N_("no grant fits {text}"), N_("several grants fit {text}"), N_("{n} people fit {text}"),
    N_("{n} waiting deposits fit {text}"),
    N_("nothing is ever granted to a payer"), N_("this role is not one that can be granted to"),
    N_("no pinned authority vouches for this person and the safety number is not compared"),
    N_("another authority issued this certificate"),
    N_("only the short card of this person is here"), N_("Ask for the card as a file."),
    N_("this card asks for a weaker protection than this person had before"), N_("Ask the person for a new card."),
    N_("sealed in another suite than was signed"),
    N_("the certificate is not in the authority's log"), N_("the authority revoked the certificate"),
    N_("the authority contradicted itself"), N_("the authority signed two histories of its log"),
    N_("the authority's log has become smaller"), N_("the authority signed two lists of one number"),
    N_("the authority's list of revoked certificates is too old"),
    N_("Get the newest file of the authority: `elpis authority update FILE`."),
    N_("the authority's file does not reach back to what this vault saw"),
    N_("the authority's file is damaged: its log does not give its root"),
    N_("this log is not the one that the authority's file shows"),
    N_("the authority's log is not the one that its last file shows"),
    N_("no running certificate fits"), N_("this certificate is not in the log of this authority"),
    N_("this certificate was revoked: look at the person's card again"), N_("no authority in {path}"),
    N_("there is an authority in this folder already"), N_("valid for more than {n} days"),
    N_("a list is believed for 1 to {n} days"),
    N_("the authority that issued this certificate is not one that you pinned"),
    N_("the certificate is outside of its dates"), N_("the certificate is for another name"),
    N_("the certificate is for other keys"), N_("an older certificate for other keys of a person you know"),
    N_("a certificate is valid for 1 to {n} days"), N_("a certificate needs the person's unique id"),
    N_("the end of a grant lies in the future, at most ten years away"), N_("a grant is for 1 to {n} documents"),
    N_("this grant is for reading"),
    N_("no room is left on the disk"), N_("the database is damaged"), N_("the database cannot be opened"),
    N_("the file `keyslots` of this vault is missing"),
    N_("Nothing else opens it. The rest was left as it is: put that file back from a copy."),
    N_("the vault did not open"), N_("Nothing was changed. Check the passphrase, and the keyboard."),
    N_("these are not the words of a recovery kit"), N_("Nothing was changed. Check each of the 24 words."),
    N_("{n} words are here, a recovery kit has 24"), N_("word {n} is not in the list of words"),
    N_("share {number} has {n} words, not 33"), N_("share {number}: word {n} is not in the list of words"),
    N_("share {number}: word {n} is not the one that was printed"),
    N_("share {number}: several words, or their order, are not as printed"),
    N_("share {number} is not of a recovery kit of Elpis"),
    N_("{n} different shares are here, {needed} are needed"), N_("these shares are of different kits"),
    N_("these shares do not fit together"),
    N_("Nothing was changed. Bring more shares of the same set."),
    N_("Nothing was changed. Compare it with the sheet, letter by letter."),
    N_("Nothing was changed. A share is copied whole, word by word."),
    N_("Nothing was changed. Each sheet names its set: bring shares of one set."),
    N_("something else is there already"), N_("the backup of another vault is there"),
    N_("It was left as it is. Name a new or an empty folder, or a new file."),
    N_("there is something in {path} already"), N_("It was left as it is. Choose another folder."),
    N_("there is no backup here"), N_("{n} sealed files of the backup are missing or damaged"),
    N_("Nothing was restored. Everything else can be, when you say so: --partial."),
    N_("no copy in this backup can be read"), N_("no copy of that time or earlier"),
    N_("not the file that was put there"), N_("a backup is a folder, or a file whose name ends with .zip"),
    N_("a passphrase has at least {n} characters"), N_("a passphrase has at most {n} characters"),
    N_("Several words that mean something only to you are easy to keep."),
    N_("a vault has the name of its holder, at most 200 characters"),
    N_("another Elpis has this vault open"), N_("Close it there, or wait."),
    N_("no vault in {path}"), N_("there is a vault in {path}"), N_("`elpis init` makes one."),
    N_("It was left as it is."), N_("this vault was written by a newer Elpis"),
    N_("Nothing was changed. Update Elpis."),
    N_("this vault is older than when it was last used here"), N_("the head file is missing or was changed"),
    N_("the attachment's file is missing"), N_("the attachment's file cannot be read"),
    N_("the attachment could not be kept"), N_("{file} cannot be written"),
    N_("the vault's folder cannot be used"), N_("the vault's folder cannot be prepared"),
    N_("the format is not known"), N_("the file is empty"), N_("the file is too large to be read"),
    N_("this file is too large"), N_("the file cannot be read: {why}"), N_("not readable as XML: {why}"),
    N_("not readable as JSON"),
    N_("the file could not be read in the time and memory that a file may take"),
    N_("Nothing of it was kept. It may be damaged, or made to do harm."),
    N_("an archive that Elpis exported comes in by import only"),
    N_("stopped before its end: nothing of it was kept"), N_("stopped before its end: there is no backup"),
    N_("stopped before its end: there is no new copy, and sealed files of it stay until the next backup"),
    N_("the archive holds too many files"), N_("the archive unpacks to more than is read"),
    N_("the archive unpacks to a suspicious size"), N_("Unpack it yourself and import the files."),
    N_("record.json is not one that Elpis writes"), N_("this export was written by a newer Elpis"),
    N_("about somebody else than the holder of this vault ({why})"),
    N_("Check whose it is. It can be imported all the same when you say so."),
    N_("Add it to a document as an attachment, with a title and a date."),
    N_("Open it with its own program and save it again."),
    N_("Nothing is lost: it goes with the next sync."),
    N_("{fact}, taken as asked"),
    N_("the name is another"), N_("the birth date is another"), N_("the INS is another"),
    N_("names more than one patient"), N_("names nobody, in a file that also names somebody else"),
    N_("this is no INS"), N_("It has 15 characters: the number of the carte Vitale with its key."),
    N_("its text was read from the picture by tesseract and may hold mistakes"),
    N_("an older version of FHIR ({version}): read as far as it is the same, and kept whole"),
    N_("others were given access to it"), N_("something was added to it since"),
    N_("the number is not the same: somebody may stand between the devices"), N_("no device is being added"),
    N_("`elpis device add` shows a code"), N_("`elpis device add` shows another one"), N_("the code is too old"),
    N_("no device has come yet"), N_("something of this device is not sent yet"), N_("not the code of a device"),
    N_("run `elpis sync`, then try again"), N_("the other device does not answer"), N_("another device came first"),
    N_("run `elpis device add` there, and keep it open"), N_("begin again with a new code"),
    N_("the other device has not taken the number"), N_("the other device did not take the number"),
    N_("this meeting is over"), N_("`elpis device add` shows another code"), N_("no such device"),
    N_("{n} devices fit {text}"), N_("this is the device that you are using"), N_("remove it from another one"),
    N_("this device takes no part any more"), N_("Another of your devices decides that now."),
    N_("this is not the device that showed the code"), N_("this device did not read the code"),
    N_("your other devices have it"), N_("the holder's other devices have this document"),
    N_("It stays: they would not forget."),
    N_("there is no import to take back"), N_("no import {text}"),
    N_("names nobody: taken for the holder's"),
    N_("has the identifier of another document with other content: both are kept"),
    N_("kept in the original file only: {n} x {what}"),
    N_("repaired: text was not UTF-8, read as Windows-1252"), N_("repaired: stray '<' or '&' in the text"),
    N_("an embedded file is cut short; what is there was kept"), N_("an embedded PDF has no readable text"),
    N_("the embedded PDF has no readable text"), N_("a picture: its text is not searchable"),
    N_("this is the card of a professional, not of a patient"), N_("Check whose card it is."),
    N_("a newer card of this person is in the roster already"),
    N_("this card is somebody else's: the name is another"), N_("Check whose number it is."),
    N_("an identifier of a patient is an INS, a number, or SYSTEM|NUMBER"),
    N_("somebody else in the roster has this identifier"), N_("no roster of patients in this file"),
    N_("{n} patients have the identifier {text}"), N_("too much waits to be sent already"),
    N_("the file cannot be moved into that folder"), N_("the roster cannot be written"),
    N_("this address cannot be listened on: {why}"),
    N_("the same resource stands in the file more than once and was read once"),
)  # fmt: skip


def translated(fact: str) -> str:
    """`fact` in the language spoken now; itself when it is none of those above."""
    for template, pattern in _patterns():
        found = pattern.fullmatch(fact)
        if found:
            return _(template).format(**{name: translated(part) for name, part in found.groupdict().items()})
    return fact


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The longest first: one fact may begin like another."""
    ordered = sorted(FACTS, key=len, reverse=True)
    return tuple((fact, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(fact)))) for fact in ordered)
