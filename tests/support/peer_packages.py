# SPDX-License-Identifier: Apache-2.0
"""Real packages to test against, installed by pip into virtual environments.

`./dev test --long` asks for such tests by PETNET_LONG, and for keeping the environments in PETNET_PEERS_DIR."""
import os
import subprocess
import sys
import tempfile

_scratch = None


def skip(reason):
    """Ends the program as CTest's SKIP_RETURN_CODE."""
    print("skipped: " + reason)
    sys.exit(77)


def is_long_run():
    return "PETNET_LONG" in os.environ


def require_long_run():
    """Ends the program unless the long run of the tests was asked for."""
    if not is_long_run():
        skip("left for the long run: ./dev test --long runs it")


def environment(name, packages):
    """The bin folder of a virtual environment with these packages; ends the program where pip reaches no index."""
    global _scratch
    folder = os.environ.get("PETNET_PEERS_DIR")
    if folder is None:
        _scratch = _scratch or tempfile.TemporaryDirectory()
        folder = _scratch.name
    place = os.path.join(folder, name)
    programs = os.path.join(place, "bin")
    if not os.path.exists(os.path.join(place, "complete")):
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        pip = subprocess.run([os.path.join(programs, "python"), "-m", "pip", "install", "--quiet", *packages],
                             capture_output=True, text=True)
        if pip.returncode != 0:
            if "Could not find a version" in pip.stderr or "connection" in pip.stderr.lower():
                skip("pip cannot install " + " ".join(packages))
            sys.exit(pip.stderr)
        open(os.path.join(place, "complete"), "w").close()
    return programs
