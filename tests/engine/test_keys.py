"""Only the processes of a local cluster can talk to it: nobody without the key that was made for it."""

import asyncio
import socket
import ssl
import stat
import threading
import urllib.error
import urllib.request
from pathlib import Path

import dask
import pytest
from distributed import Client, Nanny
from distributed import comm as dask_comm

import grokdyn as gd
from grokdyn.engine.machines import connect, keys, local


def test_the_arithmetic_is_that_of_the_curve():
    x, y = keys.BASE
    assert (y * y - x**3 + 3 * x - 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B) % keys.FIELD == 0
    assert keys.times(keys.ORDER, keys.BASE) is None
    assert keys.times(keys.ORDER - 1, keys.BASE) == (x, keys.FIELD - y)
    assert keys.times(2, keys.BASE)[0] == 0x7CF27B188D034F7E8A52380304B51AC3C08969E277F21B35A60B48FC47669978
    many = keys.times(12345, keys.BASE)
    assert keys.add(many, keys.times(54321, keys.BASE)) == keys.times(66666, keys.BASE)


def test_a_signature_is_verified_by_the_public_key_and_by_no_other():
    def verified(message, r, s, public):
        digest, inverse = int.from_bytes(keys.hashlib.sha256(message).digest()), pow(s, -1, keys.ORDER)
        two = (keys.times(digest * inverse % keys.ORDER, keys.BASE), keys.times(r * inverse % keys.ORDER, public))
        return keys.add(*two)[0] % keys.ORDER == r

    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721  # RFC 6979, A.2.5
    public = keys.times(secret, keys.BASE)
    assert public[0] == 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
    signed = keys.signature(b"sample", secret)
    assert verified(b"sample", *signed, public)
    assert not verified(b"simple", *signed, public)
    assert not verified(b"sample", *signed, keys.times(secret + 1, keys.BASE))


def contexts(pair, trusted):
    """Return how both ends of a connection are set up, by the strictest rules."""
    made = []
    for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH):
        context = ssl.create_default_context(purpose, cadata=trusted)
        context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(*pair)
        made.append(context)
    return made


def talk(server, client):
    """Shake hands over a pair of sockets; return what the server made of it."""
    here, there = socket.socketpair()
    found = []

    def serve():
        try:
            with server.wrap_socket(here, server_side=True) as wrapped:
                found.append(wrapped.recv(9))
        except ssl.SSLError as error:
            found.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(there) as wrapped:
            wrapped.sendall(b"hello")
    except (ssl.SSLError, OSError):
        there.close()
    thread.join()
    return found[0]


def test_openssl_takes_the_pair_and_refuses_another(tmp_path):
    files = []
    for name in ("one", "two"):
        key, certificate = keys.pair("grokdyn")
        (tmp_path / f"{name}.pem").write_text(certificate + key)
        files.append((tmp_path / f"{name}.pem", certificate))
    (mine, known), (other, unknown) = files
    server, client = contexts([mine], known)
    assert talk(server, client) == b"hello"
    stranger = contexts([other], unknown)[1]
    stranger.verify_mode = ssl.CERT_NONE  # trusts any server; it is the server that must not trust it
    assert isinstance(talk(server, stranger), ssl.SSLError)
    nobody = ssl.create_default_context(cadata=known)
    nobody.check_hostname = False
    assert isinstance(talk(server, nobody), ssl.SSLError)


async def opened(address, **known):
    found = await dask_comm.connect(address, timeout=2, **known)
    await found.close()


def test_nobody_without_the_key_can_talk_to_a_local_cluster():
    with local.cluster_here(1) as made, Client(made, set_as_default=False) as client:
        address = made.scheduler_address
        (worker,) = client.scheduler_info()["workers"]
        (nanny,) = (each.address for each in made.workers.values() if isinstance(each, Nanny))
        scratch = Path(client.run(lambda dask_worker: dask_worker.local_directory)[worker])
        assert client.submit(pow, 2, 5).result() == 32
        for each in (address, worker, nanny):
            assert each.startswith("tls://127.0.0.1:")
            asyncio.run(opened(each, **made.security.get_connection_args("client")))
            stranger = local.security().get_connection_args("client")
            for wrong in ({"address": each, **stranger}, {"address": each.replace("tls", "tcp")}):
                with pytest.raises((OSError, RuntimeError)):
                    asyncio.run(opened(**wrong))
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{made.scheduler.http_server.port}/health")
        (folder,) = (p for p in scratch.parents if p.name.startswith("grokdyn-"))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert dask.config.get("distributed.scheduler.http.routes"), "the user's own settings are as before"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1.0)


def test_a_scheduler_that_asks_for_no_key_is_told_of(capsys, quick):
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL",
                      protocol="tcp://", host="127.0.0.1") as made:  # fmt: skip
        connect.client_of(made.scheduler_address).close()
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 1
        assert f"{made.scheduler_address} asks for no key" in told[0]
        with (
            pytest.raises(gd.ClusterError, match="its keys do not fit"),
            dask.config.set({"distributed.comm.require-encryption": True}),
        ):
            connect.client_of(made.scheduler_address)


def test_dasks_own_settings_give_the_key_of_a_remote_scheduler(tmp_path, capsys, quick):
    with local.cluster_here(0) as made:
        address, known = made.scheduler_address, made.security
        with pytest.raises(gd.ClusterError, match=r"its keys do not fit .*; allowed: with dask's settings"):
            connect.client_of(address)
        file = tmp_path / "pair.pem"
        file.write_text(known.tls_client_cert + known.tls_client_key)
        tls = "distributed.comm.tls"
        settings = {f"{tls}.{name}": str(file) for name in ("ca-file", "client.cert", "client.key")}
        with dask.config.set(settings):
            connect.client_of(address).close()
        with (
            dask.config.set({**settings, f"{tls}.ca-file": "no.pem"}),
            pytest.raises(gd.ClusterError, match="its keys do not fit"),
        ):
            connect.client_of(address)
    assert capsys.readouterr().err == ""
