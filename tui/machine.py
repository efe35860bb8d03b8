"""What this machine is called, as the first name of a device. Only the holder's own devices are told."""

from __future__ import annotations

import platform
import socket


def machine_name() -> str:
    """The first label of its host name, without the network's part; the kind of its system when it has none."""
    label = socket.gethostname().partition(".")[0]
    return label if label.casefold() not in ("", "localhost") else platform.system()


__all__ = ["machine_name"]
