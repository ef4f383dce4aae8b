"""A queue over a blob store against the same model as any queue: no step may leave a blob without a job."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from blob_trials import OffloadedTrial
from contract.test_queue_machine import RULES, QueueMachine
from queue_trials import MemoryTrial

EXAMPLES = 40


def test_a_queue_over_a_folder_is_as_its_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Machine(QueueMachine):
        def __init__(self) -> None:
            super().__init__(OffloadedTrial(MemoryTrial(RULES), tmp_path_factory.mktemp("blobs")))

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
