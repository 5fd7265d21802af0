"""Makes `.venv` and installs the lock into it; does nothing when that is done already. Called by make.

Parses under any Python 3, so that a version that is too old is told so in one line.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"
BOOTSTRAP, LOCK = "requirements-bootstrap.txt", "requirements.txt"
NO_INDEX = "the package index cannot be reached, or does not have what the lock names"


def main():
    """Installs unless the stamp says that this lock is installed."""
    use_fitting_python()
    wanted = digest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        STAMP.touch()
        return
    sys.stderr.write("installing the packages of requirements.txt into .venv\n")
    if not PYTHON.exists():
        run([sys.executable, "-m", "venv", "--clear", VENV], "a virtual environment cannot be made")
    if not (VENV / "bin" / "uv").exists():
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        run([*pip, "-r", BOOTSTRAP], NO_INDEX)
    uv = [PYTHON, "-m", "uv", "--quiet", "pip"]
    # The bootstrap lock is given again because whatever is not named is removed.
    sync = [*uv, "sync", "--python", PYTHON, "--require-hashes", BOOTSTRAP, LOCK]
    # Without an index its cache may still hold all that is needed.
    run(sync, NO_INDEX, second=[*sync, "--offline"])
    editable = [*uv, "install", "--python", PYTHON, "--no-deps", "--no-build-isolation", "--editable", "."]
    run(editable, "feedline itself cannot be installed")
    # Once a machine, so that no task or program has to wait for it later.
    warm_up = "from feedline.batch.warm_up import compile_kernels; compile_kernels()"
    run([PYTHON, "-c", warm_up], "the codec cannot be compiled")
    STAMP.write_text(wanted)


def use_fitting_python():
    """Goes on under a Python of a fitting version, or ends with one line."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        # A version manager's stand-in may be there for a version that is not chosen.
        if found and attempt([found, "--version"]).returncode == 0:
            os.execv(found, [found, *sys.argv])  # noqa: S606
    this = ".".join(map(str, sys.version_info[:2]))
    sys.exit(f"feedline needs Python 3.11, 3.12 or 3.13; this is {this} and no other is on the PATH")


def digest():
    """What is to be installed, as one hash."""
    sources = (BOOTSTRAP, LOCK, "pyproject.toml")
    return hashlib.sha256(b"".join(Path(name).read_bytes() for name in sources)).hexdigest()


def index_settings():
    """The environment, with what pip is told of its index passed on to uv, which reads other settings."""
    settings = dict(os.environ)
    settings.pop("VIRTUAL_ENV", None)
    names = (("index-url", "UV_DEFAULT_INDEX"), ("extra-index-url", "UV_INDEX"), ("cert", "SSL_CERT_FILE"))
    for pip_name, uv_name in names:
        value = settings.get("PIP_" + pip_name.upper().replace("-", "_")) or pip_config(f"global.{pip_name}")
        if value:
            settings.setdefault(uv_name, value)
    return settings


def pip_config(name):
    """A setting of pip's configuration files; None when there is none."""
    if not PYTHON.exists():
        return None
    found = attempt([PYTHON, "-m", "pip", "config", "get", name])
    return found.stdout.decode().strip() if found.returncode == 0 else None


def attempt(command, environment=None):
    """The command's end, with its output kept."""
    return subprocess.run(
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def run(command, otherwise, second=None):
    """Runs a command in silence; when it fails, its output goes to a file and the line that counts to the terminal."""
    settings = index_settings()
    done = attempt(command, settings)
    if done.returncode == 0 or (second and attempt(second, settings).returncode == 0):
        return
    text = done.stdout.decode(errors="replace")
    VENV.mkdir(exist_ok=True)
    log = VENV / "install.log"
    log.write_text(text)
    said = [line.strip(" \t|") for line in text.splitlines() if line.strip() and not line.startswith("[notice]")]
    sys.exit(f"{otherwise}: {said[-1][:300] if said else 'no reason given'} (all of it: {log})")


if __name__ == "__main__":
    main()
