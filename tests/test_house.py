"""The rules of the house, checked by running it: who imports whom, what lies where, what must not be written down.

The import contracts stand once, in pyproject.toml. import-linter reads them there; this file reads the same table and
checks it in two other ways: by the syntax tree, which sees imports inside functions and by name, and by what is really
loaded when a room is imported.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.programs import need

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
ROOMS = ("vault", "sync", "tui")
# A translator's tool that lies beside its data and is never imported; it may use what developers have.
TOOLS = {ROOT / "tui/locale/build.py"}

# What a distribution is imported as, where that is not its name.
MODULES = {
    "ahocorasick-rs": "ahocorasick_rs",
    "markdown-it-py": "markdown_it",
    "linkify-it-py": "linkify_it",
    "pynacl": "nacl",
}

# Modules of the standard library that open connections; the vault has none of them.
NETWORK = {"asyncio", "ftplib", "http", "smtplib", "socket", "socketserver", "ssl", "urllib.request", "xmlrpc"}

# Code in a page of text.
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)

# The worker that merges foreign changes answers on one end of a socket pair; no address is ever connected to.
LOCAL = {("vault.quarantine", "socket")}

# What a name may not say about a value that `repr` shows.
SECRET_BYTES = re.compile(r"(^|_)(seed|secret|private|passphrase|token|half|key)$")
SECRET_TEXT = re.compile(r"(^|_)(seed|secret|private|passphrase|words|token)$")
SHOWN_KEYS = re.compile(r"(public|verify|reader|relay)_?key|public")


def sources(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py") if path not in TOOLS)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever in it and in whatever way, with the line."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.lineno


def inside(module: str, packages: list[str] | tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def loaded_by(statement: str) -> set[str]:
    """The top names of all modules that are loaded after a statement, in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def import_all(room: str) -> str:
    """A statement that imports every module of a room."""
    modules = [module_name(path) for path in sources(room.replace(".", "/")) if path.name != "__main__.py"]
    assert modules, f"{room} is empty"
    return "import " + ", ".join(modules)


def lock_text(name: str) -> str:
    return (ROOT / f".requirements/{name}.txt").read_text()


def tracked() -> list[Path]:
    git = need("git")
    done = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def texts() -> Iterator[tuple[Path, str]]:
    """Tracked files that are text, with what they say."""
    for path in tracked():
        try:
            yield path.relative_to(ROOT), path.read_text()
        except UnicodeDecodeError:
            continue


# --- who imports whom


def test_rooms_look_down_only() -> None:
    layers = CONTRACTS["direction"]["layers"]
    assert layers == ["tui", "sync", "vault"]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for height, room in enumerate(layers)
        for path in sources(room)
        for module, line in imports(path)
        if inside(module, [*layers[:height], "tests", "spec"])
    ]
    assert not wrong


@pytest.mark.parametrize("contract", [key for key, value in CONTRACTS.items() if value["type"] == "protected"])
def test_a_foreign_library_has_one_importer(contract: str) -> None:
    libraries, allowed = CONTRACTS[contract]["protected_modules"], CONTRACTS[contract]["allowed_importers"]
    importers = {
        f"{path.relative_to(ROOT)}:{line} imports {module}": module_name(path)
        for path in sources(*ROOMS)
        for module, line in imports(path)
        if inside(module, libraries)
    }
    assert importers, f"nobody imports {libraries}: take the contract and the dependency away"
    assert not [where for where, name in importers.items() if not inside(name, allowed)]


@pytest.mark.parametrize("contract", [key for key, value in CONTRACTS.items() if value["type"] == "forbidden"])
def test_what_is_forbidden_is_imported_nowhere(contract: str) -> None:
    """Not even inside a function, where it would load only on some path."""
    rooms, forbidden = CONTRACTS[contract]["source_modules"], CONTRACTS[contract]["forbidden_modules"]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(*ROOMS)
        if inside(module_name(path), rooms)
        for module, line in imports(path)
        if inside(module, forbidden)
    ]
    assert not wrong


def test_every_foreign_library_has_a_contract() -> None:
    """A new dependency is a decision: it gets its one importer in pyproject.toml, and leaves with its last importer."""
    known = {name for value in CONTRACTS.values() for name in value.get("protected_modules", [])}
    known |= set(sys.stdlib_module_names) | set(ROOMS)
    wrong = {
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(*ROOMS)
        for module, line in imports(path)
        if module.partition(".")[0] not in known
    }
    assert not wrong
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["imaging"]]
    assert {MODULES.get(name, name.replace("-", "_")) for name in (Requirement(line).name for line in asked)} <= known


def test_the_relay_is_blind() -> None:
    """A relay process never even loads what could decode or decrypt a record."""
    loaded = loaded_by(import_all("sync.relay"))
    assert "sync.relay" in loaded
    assert not [name for name in loaded if inside(name, CONTRACTS["blind"]["forbidden_modules"])]


def test_the_vault_is_offline() -> None:
    loaded = loaded_by(import_all("vault"))
    assert not [name for name in loaded if inside(name, [*CONTRACTS["offline"]["forbidden_modules"], "sync", "tui"])]


def test_the_vault_opens_no_connection() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources("vault")
        for module, line in imports(path)
        if inside(module, list(NETWORK)) and (module_name(path), module) not in LOCAL
    ]
    assert not wrong


def test_a_command_starts_light() -> None:
    """Reading the command line loads no screen, no server, no HTTP client and no file-format library."""
    heavy = [
        "textual",
        "asyncio",
        "starlette",
        "uvicorn",
        "httpx2",
        "lxml",
        "pypdfium2",
        "pydicom",
        "reportlab",
        "segno",
    ]
    assert not [name for name in loaded_by("import tui.cli") if inside(name, heavy)]


def test_a_relay_runs_on_its_own_lock(tmp_path: Path) -> None:
    """`elpis relay serve` starts where nothing but .requirements/relay.txt is installed."""
    base, relay = (set(re.findall(r"^([a-z0-9-]+)==", lock_text(name), re.M)) for name in ("base", "relay"))
    absent = sorted({MODULES.get(name, name.replace("-", "_")) for name in base - relay})
    assert {"automerge", "cbor2", "sqlcipher3", "textual", "rich"} <= set(absent)
    script = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent}))\nfrom tui.cli import main\n"
        f"raise SystemExit(main(['relay', 'serve', '--db', {str(tmp_path / 'relay.db')!r}, '--port', '0']))"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert re.match(r"http://127\.0\.0\.1:\d+$", server.stdout.readline().strip())
        finally:
            server.terminate()


# --- what lies where


def test_the_top_floor() -> None:
    """What stands at the top was fixed by the person the house is built for."""
    fixed = {"pyproject.toml", "README.md", "vault", "sync", "tui", "tests", "spec"}
    customary = {"LICENSE", "CHANGELOG.md", "Makefile"}
    top = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert fixed <= top
    assert {name for name in top if not name.startswith(".")} <= fixed | customary


def test_every_command_is_described() -> None:
    """README.md names every command, and those of a group each with its group."""
    from tui.cli import VERBS

    names = [f"{verb.name} {inner}" for verb in VERBS for inner, _help in verb.verbs]
    names += [verb.name for verb in VERBS if not verb.verbs]
    readme = (ROOT / "README.md").read_text()
    assert not [name for name in names if f"`{name}`" not in readme]


def test_links_lead_somewhere() -> None:
    """Every relative link and picture in a page of text is a file or folder of this tree."""
    wrong = [
        f"{path} -> {link}"
        for path, text in texts()
        if path.suffix == ".md"
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", CODE.sub("", text))
        if "://" not in link and not (ROOT / path.parent / link).exists()
    ]
    assert not wrong


def test_the_changelog_knows_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[0] == PROJECT["project"]["version"]


def test_what_is_installed_is_complete(tmp_path: Path) -> None:
    """The wheel holds every file of the three rooms: schemas, catalogues, terminologies, styles, the demo's input."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = set(wheel.namelist())
    files = {path.relative_to(ROOT).as_posix() for path in tracked() if path.relative_to(ROOT).parts[0] in ROOMS}
    assert not files - packed


@pytest.mark.parametrize("lock", ["base", "relay", "dev"])
def test_a_lock_pins_by_hash_and_names_no_place(lock: str) -> None:
    text = lock_text(lock)
    entries = re.split(r"\n(?=\S)", text.partition("\n")[2].strip())
    assert all(re.match(r"[a-z0-9-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "/" not in text and "@" not in text


def test_the_locks_agree_with_the_project() -> None:
    """Each library that pyproject.toml asks for is locked at a version inside the range it asks for."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "base": project["dependencies"],
        "relay": extras["relay"],
        "dev": [*project["dependencies"], *(line for extra in extras.values() for line in extra)],
    }
    locked: dict[str, dict[str, set[str]]] = {}
    for lock in wanted:
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock_text(lock), re.M):
            locked.setdefault(lock, {}).setdefault(name, set()).add(version)
    wrong = [
        f"{lock}: {line}"
        for lock, lines in wanted.items()
        for line in lines
        if (asked := Requirement(line)).name != project["name"]
        and not all(
            asked.specifier.contains(version, prereleases=True) for version in locked[lock].get(asked.name, {"0"})
        )
    ]
    assert not wrong
    assert all(locked["dev"][name] == pins for lock in ("base", "relay") for name, pins in locked[lock].items())


def test_the_relays_lock_is_blind_too() -> None:
    """Nobody who runs a relay installs what could decode or decrypt a record."""
    text = lock_text("relay")
    assert not [name for name in CONTRACTS["blind"]["forbidden_modules"] if f"\n{name}==" in text]


# --- what must not be written down


def test_no_place_of_a_machine_is_written_down() -> None:
    """No path of the machine it was written on and no address of a package registry: they are nobody else's."""
    places = re.compile(
        r"/wor[k]/|/far[m]/|/roo[t]/|/tm[p]/[a-z]|/hom[e]/[a-z]|py[p]i\.org|pythonhos[t]ed|registry\.npm[j]s|de[b]\.debian\.org"
    )
    wrong = [
        f"{path}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]}"
        for path, text in texts()
        for hit in places.finditer(text)
    ]
    assert not wrong


def test_no_promise_is_made_that_nobody_can_keep() -> None:
    """An ended access is not an erased memory (spec/threat-model.md). What people read never says otherwise."""
    promises = re.compile(
        r"access (is|was|has been) (deleted|erased)|accès (est |a été )?(supprimé|effacé)"
        r"|unbreakable|inviolable|100 ?% (safe|secure|sûr)",
        re.I,
    )
    read_by_people = (".md", ".po", ".svg", ".txt")
    wrong = [
        f"{path}: {hit[0]}"
        for path, text in texts()
        if path.suffix in read_by_people and path.parts[0] not in {"spec", ".requirements"}
        for hit in promises.finditer(text)
    ]
    assert not wrong


def hides(node: ast.expr) -> bool:
    """Whether a decorator or a field is called with repr=False."""
    return isinstance(node, ast.Call) and any(
        word.arg == "repr" and isinstance(word.value, ast.Constant) and word.value.value is False
        for word in node.keywords
    )


def shown_secrets(cls: ast.ClassDef) -> Iterator[str]:
    """The fields of a dataclass that are named like key material and stand in its repr."""
    decorators = [node for node in cls.decorator_list if ast.unparse(node).startswith("dataclass")]
    own = any(isinstance(item, ast.FunctionDef) and item.name == "__repr__" for item in cls.body)
    if own or not decorators or any(map(hides, decorators)):
        return
    for item in cls.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            name, kind = item.target.id, ast.unparse(item.annotation)
            pattern = {"bytes": SECRET_BYTES, "str": SECRET_TEXT}.get(kind.partition(" ")[0])
            secret = pattern is not None and pattern.search(name) and not SHOWN_KEYS.search(name)
            if secret and not (item.value is not None and hides(item.value)):
                yield f"{cls.name}.{name}"


def test_no_repr_shows_a_secret() -> None:
    """A dataclass that holds key material hides it from tracebacks, logs and test reports."""
    shown = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("vault", "sync")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        for name in shown_secrets(node)
    ]
    assert not shown


def test_the_vault_keeps_no_log() -> None:
    """What is never written cannot leak: the vault neither prints nor logs."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources("vault")
        for module, line in imports(path)
        if inside(module, ["logging", "syslog"])
    ]
    wrong += [
        f"{path.relative_to(ROOT)}:{node.lineno} prints"
        for path in sources("vault")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not wrong
