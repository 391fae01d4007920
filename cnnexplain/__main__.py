"""The program: `cnnexplain`, and `python -m cnnexplain`."""

import signal
import sys


def run() -> int:
    """Runs the command line and returns its exit code, after Ctrl-C at any moment without a traceback."""
    try:
        from cnnexplain.cli import environment

        environment.prepare()
        # Reading the modules takes long enough to be interrupted, too.
        from cnnexplain.cli.app import main

        return main()
    except (Exception, KeyboardInterrupt) as error:
        from cnnexplain.interruption import interrupted

        # Python makes another error of it while a class is made, of which reading modules is full.
        if not interrupted(error):
            raise
        print("Interrupted: nothing more was written.", file=sys.stderr)  # noqa: T201
        return 130
    finally:
        # If Ctrl-C comes while Python executes a string, as it does to create a dataclass, CPython takes it for unhandled
        # and ends with the signal instead of the exit code. Executing another string resets that.
        exec("")  # noqa: S102
        # What is left is Python's own end, which the signal then ends at once.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(run())
