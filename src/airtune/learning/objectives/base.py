"""Client objectives: what clients minimise, as (init, step) with explicit state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airtune.learning.results import ClientState, Evaluation
from airtune.scenario.learning import Training

if TYPE_CHECKING:
    import torch

    from airtune.learning.data import Record
    from airtune.learning.model import AdapterModel
    from airtune.learning.text import Encoder, Example
    from airtune.learning.workers import Workers


CONTROL = "server_control"
"""Name in a client's state of what the server puts there, where an objective hears it."""


@dataclass(frozen=True)
class LocalTask:
    """What an objective may use in one round of one client.

    Attributes
    ----------
    model : AdapterModel
        The model; ``gradient_at`` and ``log_probabilities`` take an adapter, and
        ``reference.log_probabilities`` is that of the model at the start of fine-tuning.
    adapter : Tensor, float32, shape (d,)
        Global adapter of the round, where the local steps start.  Not to be changed.
    settings : Training
        The section `training`.
    random : Generator or None
        Source of the adapters' dropout; to be handed to ``gradient_at``.
    """

    model: AdapterModel
    adapter: torch.Tensor
    settings: Training
    random: torch.Generator | None = None


class ClientObjective(ABC):
    """The contract of a client objective.

    An entry of :data:`airtune.registry.CLIENT_OBJECTIVES` is an instance, named by
    `training.client_objective`.  It holds no state: one instance serves all clients and runs of a
    process, several threads at once.  What a client remembers from round to round is the dict of
    arrays that :meth:`init` makes and :meth:`start` and :meth:`step` replace; the run carries and
    saves it.  An objective's own hyperparameters are attributes of the instance.

    In a round a selected client calls :meth:`start` once and :meth:`step` for each of the H local
    steps; :mod:`airtune.learning.client` moves the adapter along the gradients, clips and sends.
    A client whose loss or update is not finite sends nothing and keeps the state that it had.

    Attributes
    ----------
    single_pass : bool
        A step is one forward and backward pass of the model at the adapter of the step, nothing
        else.  Threads may then share a model that cannot work on packed batches, and several
        clients a pass: ``gradient_at`` of a step's adapter and examples, without weights, is then
        known when the step asks for it.
    maps_batches : bool
        :meth:`evaluate` hands all forward passes to one ``workers.map`` over batches whose results
        do not depend on each other: an engine may then spread them over processes.
    hears_control : bool
        The server keeps a control variate, the running mean of the updates over H, broadcasts it
        beside the adapter, and puts it into the state of every selected client as
        :data:`CONTROL`, also of one that has no state yet: :meth:`init` is then left out, and
        :meth:`start` has to cope.
    forward_only : bool
        :meth:`loss` is there, so that schemes whose clients make forward passes only can use it.

    Examples
    --------
    Cross-entropy with a pull towards the global adapter of the round (FedProx)::

        class Proximal(SupervisedFineTuning):
            def __init__(self, pull):
                self.pull = pull

            def step(self, task, flat, examples, state):
                loss, gradient, state = super().step(task, flat, examples, state)
                away = flat - task.adapter
                loss += 0.5 * self.pull * float(away @ away)
                return loss, gradient + self.pull * away, state

        airtune.registry.CLIENT_OBJECTIVES.add("proximal", Proximal(0.1))
    """

    single_pass: bool = False
    hears_control: bool = False
    maps_batches: bool = False
    forward_only: bool = False

    def encode(self, encoder: Encoder, records: Sequence[Record]) -> Sequence[Example]:
        """Return the examples of `records`, in order: prompts with their answers by default.

        Parameters
        ----------
        encoder : Encoder
            Turns records into tokens.
        records : sequence of Record
            Training or validation records.

        Returns
        -------
        sequence of Example
            As many as records; subclasses of ``Example`` may carry more, as ``Pair`` does.

        Raises
        ------
        InputError
            The records lack what the objective reads.
        """
        return encoder.encode(records)

    def flop_per_sample(self, causal: Any, examples: Sequence[Example]) -> float:
        """Return the FLOP that a local step spends on one sample of mean length.

        By default 4 per weight and token: forward, and backward to the activations.

        Parameters
        ----------
        causal : transformers.PreTrainedModel
            The base model, without adapters.
        examples : sequence of Example
            Training examples of all clients.
        """
        from airtune.learning.model import weights_used

        return 4 * weights_used(causal, examples)

    def init(self, task: LocalTask) -> ClientState:
        """Return the state of a client before its first round: nothing by default.

        Parameters
        ----------
        task : LocalTask
            Of the client's first round.

        Returns
        -------
        dict of str to ndarray
            Its names and shapes stay the same.
        """
        return {}

    def start(self, task: LocalTask, state: ClientState) -> ClientState:
        """Return the state with which the local steps of a round begin: the same by default."""
        return state

    @abstractmethod
    def step(
        self, task: LocalTask, flat: torch.Tensor, examples: Sequence[Example], state: ClientState
    ) -> tuple[float, torch.Tensor, ClientState]:
        """Return loss and gradient of one local step, and the client's next state.

        Parameters
        ----------
        task : LocalTask
        flat : Tensor, float32, shape (d,)
            The adapter at this step.  Not to be changed.
        examples : sequence of Example
            Mini-batch.
        state : dict of str to ndarray
            Not to be changed in place.

        Returns
        -------
        loss : float
            Mean over the mini-batch [nat].
        gradient : Tensor, float32, shape (d,)
            The caller may change it.
        state : dict of str to ndarray
        """

    def loss(self, task: LocalTask, flat: torch.Tensor, examples: Sequence[Example]) -> float:
        """Return the loss of a mini-batch [nat] by a forward pass, without dropout.

        Only called where the objective is `forward_only`, by several threads at once where the
        model works on packed batches.

        Parameters
        ----------
        task : LocalTask
        flat : Tensor, float32, shape (d,)
            The adapter.  Not to be changed.
        examples : sequence of Example
            Mini-batch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no loss by forward passes alone")

    @abstractmethod
    def evaluate(
        self, task: LocalTask, examples: Sequence[Example], batch_size: int, workers: Workers
    ) -> Evaluation:
        """Score the global adapter on validation examples.

        Parameters
        ----------
        task : LocalTask
            With `adapter` loaded into the model, and no dropout.
        examples : sequence of Example
            Validation examples, at least one.
        batch_size : int
            Examples of one forward pass.
        workers : Workers
            Compute batches side by side.
        """
