"""Local worker processes with one thread each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

import torch


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor | None]:
    """Worker processes, or None for this process with one thread, as a worker has; started when first needed.

    An interrupt ends them at once; after an error, what they are at is waited for, and nothing more is begun.
    """
    if processes > 0:
        context = multiprocessing.get_context("spawn")
        theirs, ours = context.Pipe(duplex=False)
        with ours, ProcessPoolExecutor(processes, context, begin, (1, theirs)) as workers:
            try:
                yield workers
            except (KeyboardInterrupt, SystemExit):
                ours.close()
                raise
            except BaseException:
                workers.shutdown(cancel_futures=True)
                raise
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield None
    finally:
        torch.set_num_threads(before)


def cpus() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until this is over; processes started meanwhile never hear of it, so that the first one decides.

    They inherit the blocked signal. In this process that is not enough: the system gives the signal to a thread that
    does not block it, and Python's handler then runs in the main thread all the same, so the handler waits, too.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    arrived: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    waits = threading.current_thread() is threading.main_thread() and callable(handler)
    if waits:
        signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if waits:
            signal.signal(signal.SIGINT, handler)
    if arrived and callable(handler):
        handler(signal.SIGINT, None)


def begin(threads: int = 1, needed: Connection | None = None) -> None:
    """In each worker: so many threads, deaf to Ctrl-C, and gone when the process that started it is.

    Args:
        threads: of this process.
        needed: the worker also goes when the other end of this is closed.
    """
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    if parent is None:  # no worker
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ends = [parent.sentinel, *([] if needed is None else [needed])]

    def watch() -> None:
        wait(ends)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
