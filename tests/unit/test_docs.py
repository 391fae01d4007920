"""What is documented is what there is."""

import importlib.util
import json
import re
from typing import Annotated, Literal

import pytest

from cnnexplain.cli import model_options
from cnnexplain.loading import sidecar
from cnnexplain.plugin import Analysis, Option, registry

ANALYSES = registry.load().analyses

METRICS = registry.load().metrics


def loaded(path):
    """A script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hooks(folder):
    return loaded(folder / "docs" / "hooks.py")


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_has_a_complete_page(name, folder, hooks):
    analysis = ANALYSES[name]
    text = (folder / "docs" / "analyses" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n\n<!-- about: {name} -->\n")
    assert "\n## Options\n" in text.partition(f"\n<!-- options: {name} -->\n")[0]
    page = hooks.on_page_markdown(text)
    assert "<!-- " not in page
    # A page that is read without the site names the papers too.
    numbers = re.findall(r"arXiv:[\d.]*\d", analysis.paper)
    assert numbers
    assert all(number in text for number in numbers)
    for said in (analysis.summary, analysis.how_to_read, analysis.limitations):
        assert said
        assert said in page
    rows = re.findall(r"^\| `(--[\w-]+)` \|.*\| (.*) \|$", page, re.MULTILINE)
    assert rows == [(option.flag, option.option.help.replace("|", "\\|")) for option in analysis.options]
    assert f"cnnexplain run {name}" in text
    example = folder / "examples" / f"{name.replace('-', '_')}.py"
    assert not example.exists() or example.read_text() in page


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_section_with_what_it_says_of_itself(name, folder, hooks):
    metric = METRICS[name]
    text = (folder / "docs" / "benchmark.md").read_text()
    assert f"\n### {name}\n\n<!-- metric: {name} -->\n" in text
    page = hooks.on_page_markdown(text)
    for said in (metric.summary, metric.protocol, metric.limitations, *metric.scores):
        assert said in page


def test_option_tables_have_types_and_defaults(hooks):
    def run(
        classifier,
        *,
        layer: Annotated[str | None, Option("One layer.")] = None,
        rule: Annotated[tuple[Literal["a", "b"], ...], Option("Some a|b.")] = ("a",),
        steps: Annotated[int, Option("A count.", min=1)] = 200,
        share: Annotated[float, Option("A part.", min=0, max=1)] = 0.5,
        fast: Annotated[bool, Option("In a hurry.")] = False,
    ):
        """Shows something."""

    rows = hooks.options(Analysis("mine", run, None, "Nobody 2026", overview=lambda record: {})).splitlines()[2:]
    assert rows == [
        "| `--layer` | text | – | One layer. |",
        "| `--rule` | `a`, `b`; repeatable | `a` | Some a\\|b. |",
        "| `--steps` | integer, at least 1 | `200` | A count. |",
        "| `--share` | number, 0 to 1 | `0.5` | A part. |",
        "| `--fast` | flag | no | In a hurry. |",
    ]


def test_cli_reference_is_up_to_date(folder):
    made = loaded(folder / "docs" / "make_cli_reference.py").reference()
    assert (folder / "docs" / "cli.md").read_text() == made, "regenerate it: python docs/make_cli_reference.py"
    for name in ANALYSES:
        assert f"\n## cnnexplain run {name}\n" in made


def test_tutorial_commands_are_those_of_its_script(folder):
    text = (folder / "docs" / "tutorial.md").read_text()
    commands = re.findall(r"^cnnexplain .*$", "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)), re.MULTILINE)
    shown = re.findall(r"!\[.{20,}\]\(tutorial/([\w-]+)\.webp\)", text)
    pictures = loaded(folder / "docs" / "make_pictures.py").PICTURES
    assert commands == [command for command, _ in pictures.values()]
    assert shown == list(pictures)
    kept = list((folder / "docs" / "tutorial").iterdir())
    assert {path.name for path in kept} == {f"{name}.webp" for name in pictures}
    assert sum(path.stat().st_size for path in kept) < 3e6


@pytest.mark.parametrize(
    ("page", "module"), [("api.md", "cnnexplain"), ("api-plugins.md", "cnnexplain.plugin")], ids=["users", "plugins"]
)
def test_every_public_name_is_in_the_python_reference(page, module, folder):
    documented = re.findall(rf"^::: {module}\.(\w+)$", (folder / "docs" / page).read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(importlib.import_module(module).__all__)


def test_plugin_modules_are_in_the_python_reference(folder):
    page = (folder / "docs" / "api-plugins.md").read_text()
    for module in ("draw", "optimize", "testing"):
        assert f"\n::: cnnexplain.{module}\n" in page


def test_analysis_tables_are_up_to_date(folder):
    made = loaded(folder / "docs" / "make_tables.py").pages()
    assert len(made) == 2
    for page, text in made.items():
        assert page.read_text() == text, "regenerate it: python docs/make_tables.py"
    for name, analysis in ANALYSES.items():
        assert f"| [`{name}`](docs/analyses/{name}.md) | {analysis.summary} |" in made[folder / "README.md"]
        assert f"| [{name}](analyses/{name}.md) | {analysis.how_to_read} |" in made[folder / "docs" / "methods.md"]


def test_readme_is_short(folder):
    lines = (folder / "README.md").read_text().splitlines()
    # A row for each analysis, of which there were twelve in 150 lines.
    assert len(lines) - len(ANALYSES) <= 138


def test_every_page_is_in_the_navigation(folder):
    navigation = (folder / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    # The pages of the analyses are added by docs/hooks.py.
    assert set(re.findall(r": ([\w-]+\.md)$", navigation, re.MULTILINE)) == {
        path.name for path in (folder / "docs").glob("*.md")
    }


def test_architecture_page_names_every_package(folder):
    page = (folder / "docs" / "architecture.md").read_text()
    for path in (folder / "cnnexplain").iterdir():
        if (path / "__init__.py").exists():
            assert f"`cnnexplain.{path.name}`" in page


def test_architecture_page_lists_every_module(folder, hooks):
    page = hooks.on_page_markdown((folder / "docs" / "architecture.md").read_text())
    for package in ("cnnexplain", "plugins/cnnexplain_plugins"):
        files = [path for path in (folder / package).rglob("*.py") if path.name != "__init__.py"]
        rows = re.findall(r"^    - `(\w+\.py)`: \S+", hooks.modules(folder / package), re.MULTILINE)
        assert sorted(rows) == sorted(path.name for path in files)
        assert hooks.modules(folder / package) in page


def test_sidecar_keys_are_documented_and_the_example_is_valid(folder):
    page = (folder / "docs" / "models.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:`(--[\w-]+)` )?\| (.*) \| (.*) \|$", page, re.MULTILINE)
    beside = {"labels": "--labels", "fixed": "--fixed", "head": "", "unit": "--value-unit", "training_figures": ""}
    flags = {key: sidecar.flag(key) for key in sidecar.KEYS} | beside
    assert rows == [(name, flags[name], key.help, key.expected) for name, key in sidecar.KEYS.items()]
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert sidecar.check(json.loads(example[1]))
    for name in model_options.MODEL_OPTIONS:
        assert f"`--{name.replace('_', '-')}" in page


def test_gallery_has_every_analysis_and_no_unused_picture(folder, hooks):
    gallery = hooks.on_page_markdown((folder / "docs" / "gallery.md").read_text())
    for name, analysis in ANALYSES.items():
        kinds = ("digit", "cat", "espresso") if "images" in analysis.inputs else ("digits", "photographs")
        for kind in kinds:
            assert re.search(rf"\]\(images/{name}-{kind}[\w-]*\.webp\)", gallery), (name, kind)
    pages = "".join(page.read_text() for page in [folder / "README.md", *(folder / "docs").rglob("*.md")]) + gallery
    kept = list((folder / "docs" / "images").iterdir())
    assert [path.name for path in kept if f"images/{path.name}" not in pages] == []
    assert sum(path.stat().st_size for path in kept) < 6e6


def test_pages_have_no_dead_pictures_or_links(folder):
    for page in [folder / "README.md", *(folder / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), (page.name, target)


def test_all_analyses_with_a_map_of_the_image_are_compared_with_the_truth(folder):
    methods = {each.partition(":")[0] for each in loaded(folder / "docs" / "make_truth.py").METHODS}
    own = {name for name, analysis in ANALYSES.items() if ANALYSES.suppliers[name].distribution == "cnnexplain"}
    assert methods == {name for name in own if ANALYSES[name].maps}
    page = (folder / "docs" / "ground-truth.md").read_text()
    assert all(f"| `{each}` | " in page for each in methods)
