"""Work in a thread of its own, of which only the newest order counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Order = TypeVar("Order")
Answer = TypeVar("Answer")


class Latest(Generic[Order, Answer]):
    """Does the newest order; orders that were waiting when a newer one came are dropped.

    Parameters
    ----------
    work : callable
        Makes the answer of an order.
    done : callable
        Called in the thread with an order and its answer, or the exception that `work` raised.

    Examples
    --------
    >>> answers = []
    >>> squares = Latest(lambda x: x * x, lambda x, answer: answers.append((x, answer)))
    >>> squares.put(3)
    >>> squares.close()
    >>> answers
    [(3, 9)]
    """

    def __init__(
        self, work: Callable[[Order], Answer], done: Callable[[Order, Answer | Exception], None]
    ) -> None:
        self._work, self._done = work, done
        self._changed = threading.Condition()
        self._waiting: list[Order] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="airtune-ui-latest", daemon=True)
        self._thread.start()

    def put(self, order: Order) -> None:
        """Order work; an order that has not begun yet is dropped for this one."""
        with self._changed:
            self._waiting = [order]
            self._changed.notify()

    def close(self) -> None:
        """Do what is still waiting, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                order = self._waiting.pop()
            answer: Answer | Exception
            try:
                answer = self._work(order)
            except Exception as error:  # told by who asked; the thread serves the next order
                answer = error
            self._done(order, answer)
