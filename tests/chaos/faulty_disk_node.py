"""`exchange node` on a disk whose syncs take as long as a file says.

    python faulty_disk_node.py FILE node --id 1 ...

FILE holds a number of seconds, and is read again all the time: "inf" hangs until it says otherwise.
Without the file the disk is as it is.
"""

import sys
import time
from pathlib import Path

from cluster.disk import RealDiskFile
from exchange.cli import main

LOOK_AGAIN_S = 0.01


def wait_as_told(file: Path) -> None:
    """Return once the sync that began now has taken long enough."""
    begun_s = time.monotonic()
    while file.exists():
        left_s = float(file.read_text()) - (time.monotonic() - begun_s)
        if left_s <= 0:
            return
        time.sleep(min(left_s, LOOK_AGAIN_S))


def make_syncs_wait(file: Path) -> None:
    """Every fdatasync of this process asks the file first."""
    sync_data = RealDiskFile.sync_data

    def waiting_sync_data(self: RealDiskFile) -> None:
        wait_as_told(file)
        sync_data(self)

    RealDiskFile.sync_data = waiting_sync_data


if __name__ == "__main__":
    make_syncs_wait(Path(sys.argv.pop(1)))
    main()
