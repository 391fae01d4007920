"""Test and lint sessions: `nox -l` lists them, `nox -s tests` runs one. `.ci/run` runs them all on a fresh machine."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "uv|virtualenv"

SOURCE = os.environ.get("CNNEXPLAIN_WHEEL", ".")
"""What is installed: this folder, or the wheel that .ci/run has built of it."""

JAX = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""JAX spends more time on optimizing the compiled code than on running it."""

XLA_FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
"""They halve the time in which JAX compiles. XLA ends the process if a version of it lacks one of them."""

TORCH = {"OMP_NUM_THREADS": "1"}
"""The threads of several PyTorch processes would compete for the cores."""


def install(session: nox.Session, *extras: str) -> None:
    """Installs the package with some of its extras."""
    session.install(f"{SOURCE}[{','.join(extras)}]")


def accepted_flags(session: nox.Session) -> dict[str, str]:
    """`XLA_FLAGS`, if the version of XLA in the session accepts them."""
    program = "import jax; jax.devices(); print('accepted')"
    flags = {"XLA_FLAGS": XLA_FLAGS}
    printed = session.run("python", "-c", program, env=flags, silent=True, success_codes=range(-64, 256))
    return flags if "accepted" in str(printed) else {}


@nox.session
def tests(session: nox.Session) -> None:
    """The fast tests; arguments after -- are passed to pytest."""
    install(session, "test")
    session.run("pytest", "-q", "--durations=25", *session.posargs)


@nox.session
def unit(session: nox.Session) -> None:
    """The tests that need no Keras, which take seconds."""
    install(session, "test")
    session.run("pytest", "-q", "tests/unit", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The slow tests, which also build the documentation. They need Chromium and its driver."""
    install(session, "test", "docs")
    # Tests install packages with it, which environments by uv lack.
    session.install("pip")
    session.run("pytest", "-q", "-n", "3", "-m", "slow and not backends", "--durations=25", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The HTML pages in Chromium, which has to be installed with its driver."""
    install(session, "test")
    session.run("pytest", "-q", "-m", "", "tests/end_to_end/test_browser.py", *session.posargs)


@nox.session
@nox.parametrize("backend", ["tensorflow", "jax", "torch"])
def numeric(session: nox.Session, backend: str) -> None:
    """What all analyses are made of, and a golden file of each analysis, on one backend of Keras."""
    install(session, *(["test"] if backend == "tensorflow" else ["test", backend]))
    settings = {"KERAS_BACKEND": backend, **{"jax": JAX, "torch": TORCH}.get(backend, {})}
    if backend == "jax":
        settings |= accepted_flags(session)
    session.run("cnnexplain", "run", "saliency", "--out", session.create_tmp(), env=settings)
    session.run("pytest", "-q", "-n", "1", "-m", "backends", *session.posargs, env=settings)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, mypy and import-linter."""
    install(session, "test")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site, in the folder `site` of the session."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", "--site-dir", f"{session.create_tmp()}/site")


@nox.session
def cold_start(session: nox.Session) -> None:
    """How long the program takes to start, beside Python's own imports."""
    install(session, "test")
    session.run("python", "benchmarks/run.py", "cold", "--rounds", "3")


@nox.session
def redraw(session: nox.Session) -> None:
    """Saved results, in the folders after --, are drawn again where there is no Keras."""
    session.install("--no-deps", SOURCE)
    session.install("jinja2", "matplotlib", "numpy", "pillow", "pluggy", "rich", "typer")
    session.run("python", "-c", "import importlib.util; assert importlib.util.find_spec('keras') is None")
    for folder in session.posargs:
        session.run("cnnexplain", "redraw", folder, "--format", "svg")


@nox.session
def oldest(session: nox.Session) -> None:
    """What all analyses are made of, with the oldest versions that pyproject.toml allows."""
    constraints = Path(session.create_tmp()) / "oldest.txt"
    constraints.write_text(str(session.run_install("python", ".ci/lowest.py", silent=True)), encoding="utf-8")
    session.install("--constraint", str(constraints), f"{SOURCE}[test]")
    session.run("cnnexplain", "run", "all", "--out", session.create_tmp())
    session.run("pytest", "-q", "-n", "1", "-m", "backends", *session.posargs)
