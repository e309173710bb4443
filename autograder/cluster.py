"""Grade many submissions on a Dask cluster: the pool's functions on other machines, its interface here.

Start it with Dask's own commands, this project installed alike everywhere (workers that differ are refused):

    dask scheduler
    dask worker tcp://SCHEDULER:8786 --nworkers auto --nthreads 1
    autograder grade ps1_rnn --cluster tcp://SCHEDULER:8786

Whoever reaches a scheduler can run code on its workers, and submissions are other people's work: beyond one machine
use TLS. Dask takes the certificates from its configuration (`~/.config/dask/*.yaml` or `DASK_...` variables), the same
for scheduler, workers and this command:

    distributed:
      comm:
        require-encryption: true
        tls:
          ca-file: ca.pem
          scheduler: {cert: scheduler.pem, key: scheduler.key}
          worker: {cert: worker.pem, key: worker.key}
          client: {cert: client.pem, key: client.key}

    autograder grade ps1_rnn --cluster tls://SCHEDULER:8786

Workers only grade: they touch no gradebook and no file of the course, and learners' code runs in each worker's own
sandbox. Results travel to the one writer, the process that runs this. A lost worker's submissions go to another; how
many workers one submission may end is the scheduler's `distributed.scheduler.allowed-failures`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from autograder import pool
from autograder.course_files import CourseError
from autograder.pipeline import Graded
from autograder.run import SandboxUnavailable
from autograder.version import code_version

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 30
EMPTY_SECONDS = 300  # how long a cluster may be without workers before the run stops
LOOK_SECONDS = 2  # between two looks at the workers while nothing comes back


def grade_many(
    job: pool.Job, submissions: Iterable[tuple[str, pool.Read]], address: str
) -> Iterator[tuple[str, Graded]]:
    """Grade submissions on a cluster, in whatever order they finish.

    Args:
        job: what to grade against.
        submissions: student and file, or student and the reason why there is none. Read lazily: two for each worker
            are under way at a time.
        address: the scheduler's, "tcp://HOST:PORT" or "tls://HOST:PORT".

    Raises:
        CourseError: no scheduler answers, no workers are left, or a worker's code differs from ours.
        SandboxUnavailable: a worker, named in the message, cannot start its sandbox.
    """
    remaining = iter(submissions)
    suspects: dict[str, pool.Handed] = {}
    running: dict[Future, tuple[str, pool.Handed]] = {}
    with _connected(address) as client:
        workers = _Workers(client, address)
        while True:
            room = 0 if suspects else max(0, 2 * workers.count() - len(running))
            for student, raw in islice(remaining, room):
                if not isinstance(raw, Exception):
                    running[_submit(client, job, raw)] = student, raw
                else:
                    yield student, pool.unread(job, raw)
            if not running and not suspects and room:
                break
            for future in _finished(running, workers):
                student, raw = running.pop(future)
                graded = _result(future, address)
                if graded is None:
                    suspects[student] = raw
                else:
                    yield student, graded
            if suspects and not running:
                for student, raw in suspects.items():
                    yield student, _grade_alone(client, workers, job, raw, address)
                suspects = {}


def _connected(address: str) -> Client:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise CourseError(f'{error}. --cluster needs its extra: pip install "rnn-notebooks[cluster]"') from None
    try:
        return Client(address, set_as_default=False, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(f"No Dask scheduler answers at {address} ({str(error) or type(error).__name__}).") from None


class _Workers:
    """How many worker processes there are, and since when there are none."""

    def __init__(self, client: Client, address: str) -> None:
        self.client, self._address = client, address
        self._seen = time.monotonic()

    def count(self) -> int:
        """Waits where there are none.

        Raises:
            CourseError: there have been none for EMPTY_SECONDS, or the scheduler is gone.
        """
        while True:
            try:
                found = len(self.client.nthreads())
            except (OSError, ValueError) as error:
                raise CourseError(
                    f"The scheduler at {self._address} is gone ({error}). What was finished is saved."
                ) from None
            if found:
                self._seen = time.monotonic()
                return found
            if time.monotonic() - self._seen > EMPTY_SECONDS:
                raise CourseError(
                    f"The cluster at {self._address} has had no workers for {EMPTY_SECONDS} s. What was finished is "
                    "saved; start workers (dask worker ADDRESS) and run the same command to go on."
                )
            time.sleep(LOOK_SECONDS)


def _submit(client: Client, job: pool.Job, raw: pool.Handed) -> Future:
    return client.submit(_grade_there, job, raw, code_version(), pure=False)


def _finished(running: dict[Future, Any], workers: _Workers) -> list[Future]:
    """The futures that are done, once there is one."""
    from distributed import wait

    while running:
        try:
            with workers.client.as_current():
                return list(wait(list(running), timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            workers.count()
    return []


def _result(future: Future, address: str) -> Graded | None:
    """What came back; None where the workers died of it, or beside it.

    Raises:
        CourseError: the cluster failed: `grade_one` makes a record of whatever else goes wrong.
    """
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return None
    except (SandboxUnavailable, CourseError):
        raise
    except Exception as error:
        raise CourseError(
            f"The cluster at {address} failed, and no submission did ({type(error).__name__}: {str(error)[:300]}). "
            "What was finished is saved; run the same command to go on."
        ) from error


def _grade_alone(client: Client, workers: _Workers, job: pool.Job, raw: pool.Handed, address: str) -> Graded:
    """Grade a submission with nothing beside it: only now is a worker's death its own."""
    (future,) = _finished({_submit(client, job, raw): None}, workers)
    ended_all = RuntimeError("it ended every worker that it was given to")
    return _result(future, address) or pool.our_fault(job, ended_all)


# ---- on a worker -------------------------------------------------------------------------------------------------

_one_at_a_time = Lock()  # a sandbox is used by one thread at a time, and a worker may have several


def _grade_there(job: pool.Job, raw: pool.Handed, code: str) -> Graded:
    """What a worker runs. Errors that stop the run name the machine."""
    if code != code_version():
        raise CourseError(f"The worker on {socket.gethostname()} has another version of rnn-notebooks installed.")
    with _one_at_a_time:
        try:
            return pool.grade_one(job, raw)
        except SandboxUnavailable as error:
            raise SandboxUnavailable(f"On the worker {socket.gethostname()}: {error}") from None
