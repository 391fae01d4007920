"""What is documented is what there is."""

import json
import re

import pytest

from cnnexplain import registry, sidecar, startup

ANALYSES = registry.load().analyses


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_has_a_page_with_its_options_paper_and_note(name, folder):
    analysis = ANALYSES[name]
    page = (folder / "docs" / "analyses" / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    rows = re.findall(r"^\| `(--[\w-]+)` \|.*\| (.*) \|$", page, re.MULTILINE)
    assert rows == [(option.flag, option.option.help) for option in analysis.options]
    numbers = re.findall(r"arXiv:[\d.]+", analysis.paper)
    assert numbers
    assert all(number in page for number in numbers)
    assert f"cnnexplain run {name}" in page
    assert f"examples/{name.replace('-', '_')}.py" in page


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_stands_in_the_readme(name, folder):
    analysis = ANALYSES[name]
    readme = (folder / "README.md").read_text()
    assert f"| [`{name}`](docs/analyses/{name}.md) | {analysis.summary} |" in readme


def test_the_keys_of_a_sidecar_are_documented_and_the_example_is_one(folder):
    page = (folder / "docs" / "models.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(--[\w-]+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    flags = {key: "--labels" if key == "labels" else f"--input-{key}" for key in sidecar.KEYS}
    assert rows == [(name, flags[name], key.help, key.expected) for name, key in sidecar.KEYS.items()]
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert sidecar.check(json.loads(example[1]))
    for name in startup.MODEL_OPTIONS:
        assert f"`--{name.replace('_', '-')}" in page


def test_the_pages_show_pictures_that_are_drawn_and_link_to_what_exists(folder):
    for page in [folder / "README.md", *(folder / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), (page.name, target)
