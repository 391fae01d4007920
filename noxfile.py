"""Test and lint sessions: `nox -l` lists them, `nox -s tests` runs one. `.ci/run` does the same on a fresh machine."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "uv|virtualenv"

CORE = (
    *("-m", "numeric and not slow"),
    *("-k", "not test_matrix or mobile"),
    "tests/numeric",
)
"""The tests of what is computed, on one model of the matrix and without the plugins' own."""

BROWSER = ("tests/end_to_end/test_browser.py",)


@nox.session
def tests(session: nox.Session) -> None:
    """The fast tests; arguments after -- are passed to pytest."""
    session.install(".[test]")
    session.run("pytest", "-q", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The slow tests, which also build the documentation. They need Chromium and its driver."""
    session.install(".[test,docs]")
    session.run("pytest", "-q", "-n", "2", "-m", "slow", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The HTML pages in Chromium, which has to be installed with its driver."""
    session.install(".[test]")
    session.run("pytest", "-q", "-m", "", *BROWSER, *session.posargs)


@nox.session
@nox.parametrize("backend", ["tensorflow", "jax", "torch"])
def numeric(session: nox.Session, backend: str) -> None:
    """The tests of what is computed, on one backend of Keras."""
    session.install(".[test]" if backend == "tensorflow" else f".[test,{backend}]")
    settings = {"KERAS_BACKEND": backend}
    if backend == "jax":
        # JAX spends more time on optimizing the compiled code than on running it.
        settings["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    if backend == "torch":
        # The threads of several PyTorch processes would compete for the cores.
        settings["OMP_NUM_THREADS"] = "1"
    session.run("pytest", "-q", *CORE, *session.posargs, env=settings)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, mypy and import-linter."""
    session.install(".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site, in the folder `site` of the session."""
    session.install(".[docs]")
    session.run("mkdocs", "build", "--strict", "--site-dir", f"{session.create_tmp()}/site")


@nox.session
def oldest(session: nox.Session) -> None:
    """The tests of what is computed, with the oldest versions that pyproject.toml allows."""
    constraints = f"{session.create_tmp()}/oldest.txt"
    listed = session.run("python", ".ci/lowest.py", silent=True)
    with open(constraints, "w", encoding="utf-8") as file:
        file.write(str(listed))
    session.install("--constraint", constraints, ".[test]")
    session.run("cnnexplain", "run", "all", "--out", session.create_tmp())
    session.run("pytest", "-q", *CORE, *session.posargs)
