"""The Java programs of the local stack: resolved once from Maven coordinates, checked, kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedline.errors import ConfigurationError

CACHE_VARIABLE = "FEEDLINE_CACHE"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class JavaProgram:
    """A Maven coordinate, and the SHA-256 over the names and SHA-256s of the files that it resolves to.

    archive: classifier and packaging of a ready-to-run archive, or None to resolve the jar with its dependencies.
    besides: further jars that it needs to run and does not name, as group, artifact and version; they alone.
    """

    name: str
    group: str
    artifact: str
    version: str
    digest: str
    archive: tuple[str, str] | None = None
    besides: tuple[tuple[str, str, str], ...] = ()

    @property
    def folder(self) -> str:
        """Its name in the cache: another release of ours that wants other files finds them beside these."""
        return f"{self.artifact}-{self.version}-{self.digest[:8]}"


KAFKA = JavaProgram(
    name="Apache Kafka",
    group="org.apache.kafka",
    artifact="kafka_2.13",
    version="4.4.0",
    digest="98d35db37b03cc7124f6a6cce2220db914d744805087e99974d45472339a3ad0",
    # What carries Kafka's log (SLF4J 1.7) to Log4j. Kafka's own archive has it, its Maven coordinate does not name it,
    # and without it a broker says nothing at all.
    besides=(("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),),
)
REGISTRY = JavaProgram(
    name="Apicurio Registry",
    group="io.apicurio",
    artifact="apicurio-registry-app",
    version="3.3.3",
    digest="0bf46bea407341bc5cc35b01fb72338a16472ffe506ca53a26bd8af8a41157cb",
    archive=("all", "tar.gz"),
)


def cache_folder() -> Path:
    """`$FEEDLINE_CACHE`, else `feedline` in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feedline"


def program_folder(program: JavaProgram, report: Report = lambda _: None) -> Path:
    """The folder that holds the program's files, downloaded on the first call.

    Raises ConfigurationError when the download fails or is not what it was when the digest was taken.
    """
    folder = cache_folder() / program.folder
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            report(f"downloading {program.name} {program.version} (once)")
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _fill(partial, program)
            # The folder appears whole or not at all, so a killed download starts over.
            partial.rename(folder)
    return folder


def _fill(folder: Path, program: JavaProgram) -> None:
    files = _download(program)
    found = _digest(files)
    if found != program.digest:
        for file in files:
            file.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{program.name} {program.version} is not what it was when this release was made: its download was "
            f"deleted, try again, and check the package index if it comes back (digest {found})"
        )
    if program.archive:
        with tarfile.open(files[0]) as archive:
            archive.extractall(folder, filter="data")
        return
    for file in files:
        shutil.copyfile(file, folder / file.name)


def _download(program: JavaProgram) -> list[Path]:
    # Imported late: only the first start of a fresh machine needs it.
    import requests  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    try:
        context = MavenContext(repo_cache=cache_folder() / "maven", timeout=60)
        component = context.project(program.group, program.artifact).at_version(program.version)
        if program.archive:
            return [Path(component.artifact(*program.archive).resolve())]
        further = [context.project(group, name).at_version(version) for group, name, version in program.besides]
        wanted = [*_with_dependencies(context, component.artifact()), *(one.artifact() for one in further)]
        return sorted({Path(artifact.resolve()) for artifact in wanted})
    except (requests.RequestException, OSError, RuntimeError, ValueError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigurationError(
            f"the package index cannot be reached: {program.name} {program.version} was not downloaded ({first_line})"
        ) from error


def _with_dependencies(context: Any, artifact: Any) -> Iterable[Any]:
    from jgo.maven import Dependency  # noqa: PLC0415

    inputs, transitive = context.resolver.resolve([Dependency(artifact, scope="compile")])
    yield from (d.artifact for d in inputs)
    yield from (d.artifact for d in transitive if d.scope in ("compile", "runtime"))


def _digest(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.name):
        with file.open("rb") as content:
            total.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
