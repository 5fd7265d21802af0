"""`feedline consume` in a process of its own: `python service_process.py MARKER ARGUMENT...`.

With a marker it stops itself as by SIGSTOP, once, in its first load: everything is staged, nothing is begun in the
warehouse. The marker is a file that says so; `-` for none.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from feedline import continuous
from feedline.cli import main
from feedline.warehouse.load import Step


def stop_in_load(marker: Path) -> None:
    load = continuous.load_batches

    def loading(*arguments, on_step, **more):
        def told(step):
            on_step(step)
            if step is Step.STAGED and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGSTOP)

        return load(*arguments, on_step=told, **more)

    continuous.load_batches = loading


if __name__ == "__main__":
    if sys.argv[1] != "-":
        stop_in_load(Path(sys.argv[1]))
    main(sys.argv[2:])
