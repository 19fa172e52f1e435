"""ROUGE-L of written answers against their references, by the package rouge-score."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Scripts without blanks between words are compared sign by sign.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")


class Words:
    """Splits text into lower-case words of any script; on ASCII as rouge-score's own tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text."""
        return _WORD.findall(text.lower())


def rouge_l(references: Sequence[str], answers: Sequence[str]) -> list[float | None]:
    """Return the ROUGE-L F-measure of each answer, in [0, 1]; None where the reference is empty.

    Twice the longest common subsequence of words over the words of both.

    Parameters
    ----------
    references, answers : sequence of str, equal lengths

    Examples
    --------
    >>> rouge_l(["a red apple"], ["the red apple"])  # doctest: +ELLIPSIS
    [0.666...]
    >>> rouge_l([""], ["anything"])
    [None]

    References
    ----------
    C.-Y. Lin: ROUGE: A package for automatic evaluation of summaries, 2004, section 3.
    """
    words = Words()
    if not any(words.tokenize(reference) for reference in references):
        return [None] * len(references)
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=words)
    return [
        float(scorer.score(reference, answer)["rougeL"].fmeasure)
        if words.tokenize(reference)
        else None
        for reference, answer in zip(references, answers, strict=True)
    ]
