"""Shows a progress bar for a moment."""

import time

from cnnexplain.cli import console

with console.progress() as shown:
    shown.add_task("Working", total=3)
    time.sleep(0.3)
