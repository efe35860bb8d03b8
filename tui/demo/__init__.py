"""`elpis demo`: the whole story on one machine, with a relay as a process of its own and real input files."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from tui.language import _


def run(args: argparse.Namespace) -> int:
    """Tell the story; 0 when everything happened as promised, 14 when a promise was broken."""
    from tui.demo.story import Story
    from tui.demo.telling import Teller

    keep = getattr(args, "keep", None)
    if keep:
        Path(keep).mkdir(mode=0o700, parents=True, exist_ok=True)
    with nullcontext(keep) if keep else tempfile.TemporaryDirectory(prefix="elpis-demo-") as folder:
        teller = Teller(sys.stderr if args.json else sys.stdout)
        with Story(Path(folder), teller) as story:
            outcome = story.tell()
    if args.json:
        sys.stdout.write(json.dumps(outcome, ensure_ascii=False, indent=1) + "\n")
    elif keep:
        teller.line(_("Everything is left in {folder}.").format(folder=keep))
    return 0 if teller.broken == 0 else 14
