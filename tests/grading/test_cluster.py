"""The cluster: a real scheduler and several workers give what the pool gives, whoever of them dies."""

import json
import os
import signal
import time
from contextlib import contextmanager

import pytest

from autograder import cluster, pool
from autograder.course_files import Course, CourseError
from autograder.ingest import Ungradable
from autograder.run import Limits, SandboxUnavailable

dask = pytest.importorskip("dask", reason="needs the extra `cluster`")
distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
pytestmark = pytest.mark.sandbox
SET = "ps1_rnn"


@contextmanager
def importable(root):
    """Workers start with our search path, and must find the stand-ins below."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(root)
        yield


@pytest.fixture(scope="module")
def local(root):
    """A scheduler and two worker processes on this machine, as `dask scheduler` and `dask worker` start them."""
    with (
        importable(root),
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, host="127.0.0.1", dashboard_address=None
        ) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def job(root):
    return pool.Job(SET, Course.at(root / "autograder/course").released(SET), 7, Limits(), True)


@pytest.fixture(scope="module")
def submissions(sample_class):
    answers = [*sample_class.RIGHT.values(), *(pair[0] for pair in sample_class.WRONG.values())]
    made = [(f"s{i:02}", json.dumps(sample_class._answered(*answers[i % len(answers)])).encode()) for i in range(24)]
    return [*made, ("broken", b"{"), ("nobody", Ungradable("There is no notebook."))]


def workers(local):
    with distributed.Client(local.scheduler_address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_a_cluster_gives_what_the_pool_gives_though_a_worker_is_killed(local, job, submissions):
    expected = dict(pool.grade_many(job, submissions, workers=2))
    graded = {}
    before = workers(local)
    for student, result in cluster.grade_many(job, submissions, local.scheduler_address):
        graded[student] = result
        if len(graded) == 5:
            os.kill(before[0], signal.SIGKILL)
    assert graded == expected
    assert before[0] not in workers(local)


def kill_or_grade(job, raw, code, real=cluster._grade_there):
    """Stands in for grading: one submission ends its worker, as where the system has no memory left."""
    if raw == b"kill":
        time.sleep(2)  # Dask gives up a worker that dies while it is still being started
        os.kill(os.getpid(), signal.SIGKILL)
    return real(job, raw, code)


def test_a_submission_that_ends_its_workers_costs_only_itself(local, job, submissions, monkeypatch):
    monkeypatch.setattr(cluster, "_grade_there", kill_or_grade)
    some = [*submissions[:3], ("bad", b"kill"), *submissions[3:6]]
    graded = dict(cluster.grade_many(job, some, local.scheduler_address))
    assert {student: result.ended for student, result in graded.items()} == {
        "bad": "grader failed",
        **{student: "finished" for student, _ in submissions[:6]},
    }
    assert "ended every worker" in graded["bad"].detail


def test_no_more_is_read_than_is_under_way(local, job, submissions):
    read = []
    lazily = (read.append(one[0]) or one for one in submissions[:16])
    for done, _ in enumerate(cluster.grade_many(job, lazily, local.scheduler_address), start=1):
        assert len(read) <= done + 2 * 2


def no_sandbox(job, raw):
    raise SandboxUnavailable("bubblewrap is not installed")


def without_sandbox(job, raw, code, real=cluster._grade_there):
    pool.grade_one, whole = no_sandbox, pool.grade_one
    try:
        return real(job, raw, code)
    finally:
        pool.grade_one = whole


def test_a_worker_without_a_sandbox_stops_the_run_and_is_named(local, job, submissions, monkeypatch):
    monkeypatch.setattr(cluster, "_grade_there", without_sandbox)
    with pytest.raises(SandboxUnavailable, match=r"On the worker .+: bubblewrap is not installed"):
        list(cluster.grade_many(job, submissions, local.scheduler_address))


def test_a_worker_with_other_code_is_refused(local, job, submissions, monkeypatch):
    monkeypatch.setattr(cluster, "code_version", lambda: "another")
    with pytest.raises(CourseError, match="another version of rnn-notebooks"):
        list(cluster.grade_many(job, submissions, local.scheduler_address))


def test_an_address_where_nobody_answers_is_said_in_a_sentence(job, submissions, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1"):
        with pytest.raises(CourseError, match="No Dask scheduler answers"):
            list(cluster.grade_many(job, submissions, address))


def test_a_cluster_that_loses_all_workers_ends_the_run_with_what_to_do(job, submissions, monkeypatch):
    monkeypatch.setattr(cluster, "EMPTY_SECONDS", 0.1)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.1)
    with (
        distributed.LocalCluster(n_workers=0, processes=True, host="127.0.0.1", dashboard_address=None) as empty,
        pytest.raises(CourseError, match="no workers"),
    ):
        list(cluster.grade_many(job, submissions, empty.scheduler_address))


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for the loopback address."""
    from datetime import datetime, timedelta

    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "grading")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now() - timedelta(days=1))
        .not_valid_after(datetime.now() + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_tls_is_taken_from_dasks_configuration(certificate, job, submissions):
    """As the docstring of autograder.cluster says; without the certificate nobody gets in."""
    cert, key = (str(path) for path in certificate)
    pair = {"cert": cert, "key": key}
    tls = {f"distributed.comm.tls.{role}": pair for role in ("scheduler", "worker", "client")}
    tls |= {"distributed.comm.tls.ca-file": cert, "distributed.comm.require-encryption": True}
    with (
        dask.config.set(tls),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls",
            security=distributed.Security(),
            dashboard_address=None,
        ) as secure,
    ):
        assert secure.scheduler_address.startswith("tls://")
        graded = dict(cluster.grade_many(job, submissions[:1], secure.scheduler_address))
        assert graded["s00"].ended == "finished"
        nothing = {"distributed.comm.tls.client": {"cert": None, "key": None}}
        with dask.config.set(nothing), pytest.raises(CourseError, match="No Dask scheduler answers"):
            list(cluster.grade_many(job, submissions[:1], secure.scheduler_address))
