"""From a user's word for a cluster to a dask client. dask is imported late: only sweeps on a cluster need it."""

from __future__ import annotations

import json
import logging
import re
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokdyn.engine.store.files import first_line
from grokdyn.spec.errors import SpecError
from grokdyn.spec.paths import path_of

if TYPE_CHECKING:
    from distributed import Client

CLUSTERS = "local:N with N from 1 to 1024, tcp://HOST:PORT of a dask scheduler, its scheduler file *.json, or a Client"
LOCAL = re.compile(r"local:(\d{1,4})")
ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^/\s]+:\d{1,5}")
SAFE = ("tls://", "wss://")
MOST_WORKERS = 1024
CONNECT_SECONDS = 20.0


class ClusterError(ValueError):
    """A cluster that does not answer, or could not train a batch; what is finished is kept."""


def meant(cluster: str | Path | Client) -> int | str | Client:
    """Return what names a cluster: a number of workers on this machine, a scheduler's address, or a client.

    Raises:
        SpecError: if it is none of them.
    """
    if isinstance(cluster, Path):
        return address_in(cluster)
    if not isinstance(cluster, str):
        if hasattr(cluster, "submit") and not getattr(cluster, "asynchronous", True):
            return cluster
        raise SpecError("cluster", cluster, CLUSTERS)
    local = LOCAL.fullmatch(cluster)
    if local and 1 <= int(local[1]) <= MOST_WORKERS:
        return int(local[1])
    if ADDRESS.fullmatch(cluster):
        return cluster
    if cluster.endswith(".json"):
        return address_in(path_of(cluster, "cluster"))
    raise SpecError("cluster", cluster, CLUSTERS)


def address_in(file: Path) -> str:
    """Return the address in the file that ``dask scheduler --scheduler-file`` writes."""
    try:
        address = json.loads(file.read_text())["address"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        allowed = "the file that dask scheduler --scheduler-file has written"
        raise SpecError("scheduler_file", str(file), allowed, first_line(error)) from None
    if isinstance(address, str) and ADDRESS.fullmatch(address):
        return address
    raise SpecError("scheduler_file", address, "a file with the address of a scheduler")


@contextmanager
def connected(cluster: str | Path | Client) -> Iterator[Client]:
    """Yield a client of a cluster; a local cluster is started, and ended afterwards.

    Raises:
        SpecError: if what came names no cluster.
        ClusterError: if it does not answer, or dask is not installed.
    """
    wanted = meant(cluster)
    try:
        from distributed import Client

        from grokdyn.engine.machines.local import cluster_here
    except ImportError:
        raise ClusterError("cluster: dask.distributed is not installed; pip install 'grokdyn[cluster]'") from None
    if isinstance(wanted, int):
        with cluster_here(wanted) as made, Client(made, set_as_default=False) as client:
            yield client
    elif isinstance(wanted, str):
        with client_of(wanted) as client:
            yield client
    else:
        yield wanted


def client_of(address: str) -> Client:
    """Return a client of the scheduler at an address; dask's settings under ``distributed.comm.tls`` hold."""
    from distributed import Client

    for name in ("distributed.client", "distributed.utils"):  # tracebacks of what we tell in a line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # the last two: no key, or one is a must
        raise ClusterError(f"cluster: got {address!r}, but {why_not(error)}") from None
    if not address.startswith(SAFE):
        risk = "asks for no key: whoever reaches it can run code as its workers; safer: tls:// and dask's settings"
        print(f"grokdyn: cluster: {address} {risk} distributed.comm.tls", file=sys.stderr, flush=True)
    return client


def why_not(error: Exception) -> str:
    """Return why a scheduler could not be reached, and what is allowed."""
    told = first_line(error)
    if isinstance(error, FileNotFoundError | ssl.SSLError) or re.search("TLS|ssl|encryption", told):
        settings = "distributed.comm.tls, with ca-file, client.cert and client.key"
        return f"its keys do not fit ({told}); allowed: with dask's settings under {settings} as the scheduler's"
    return f"no dask scheduler answers there ({told}); allowed: the address of one that runs"


def workers(client: Client) -> list[dict[str, Any]]:
    """Return what the scheduler knows of every worker; waits for the first to join."""
    found = client.scheduler_info(n_workers=-1)["workers"]
    if not found:
        print("waiting for workers to join", file=sys.stderr, flush=True)
        client.wait_for_workers(1)
        found = client.scheduler_info(n_workers=-1)["workers"]
    return list(found.values())
