"""The cases, in the order in which they are shown."""

from __future__ import annotations

from cnnexplain.evaluation.truth import designed, digits, grid, tetrominoes
from cnnexplain.evaluation.truth.case import CaseMaker

MAKERS: dict[str, CaseMaker] = {
    maker.name: maker
    for maker in (
        CaseMaker("linear", designed.linear),
        CaseMaker("rectified-sum", designed.rectified_sum),
        CaseMaker("maximum", designed.maximum),
        CaseMaker("exclusive-or", designed.exclusive_or),
        CaseMaker("pooled-patterns", designed.pooled_patterns),
        CaseMaker("ignored-half", designed.ignored_half),
        CaseMaker(
            "grid",
            grid.disconnected_grid,
            "Böhle, Fritz, Schiele 2021 (arXiv:2104.00032); Rao, Böhle, Schiele 2022 (arXiv:2205.10435)",
        ),
        CaseMaker("block-digits", digits.block_digits, "Shah, Jain, Netrapalli 2021 (arXiv:2102.12781)", trained=True),
        CaseMaker("decoy-digits", digits.decoy_digits, "Ross, Hughes, Doshi-Velez 2017 (arXiv:1703.03717)", trained=True),
        *(
            CaseMaker(scenario.name, scenario.case, "Clark, Wilming, Haufe 2023 (arXiv:2306.12816)", trained=True)
            for scenario in tetrominoes.SCENARIOS
        ),
    )
}
"""What makes each case, by its name."""
