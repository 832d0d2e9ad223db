"""The connection to a Ray cluster, of which a process has one."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket

from shotsmith.errors import InputError

_OBJECT_STORE = 100_000_000
"""Bytes of shared memory where Ray starts on this machine: what is sent is small."""
_KNOCK_SECONDS = 10.0


def check_ray(setting: str) -> None:
    """Raise InputError naming the setting where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("it needs the package ray: pip install 'shotsmith[ray]'", field=setting)


def connect(address: str | None, setting: str) -> None:
    """Use the Ray that runs in this process already, else connect to a cluster, else start one on this machine.

    Raises InputError naming the setting where the cluster is not there.
    """
    # Ray reads these when it is imported: it would report to its makers, and print each death on stdout.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    import ray

    if ray.is_initialized():
        return
    quiet = logging.ERROR
    if address is None:
        shared = _OBJECT_STORE
        ray.init("local", include_dashboard=False, object_store_memory=shared, logging_level=quiet, log_to_driver=False)
        return
    try:
        if address != "auto":
            _knock(address)
        ray.init(address, logging_level=quiet, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"no Ray cluster can be reached: {error}", field=f"{setting}.address") from error


def _knock(address: str) -> None:
    """Raises OSError where nothing listens, ValueError where this is no host:port: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()
