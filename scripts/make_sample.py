"""Generate the data sample of the package with reasoning-gym (extra ``tasks``).

    python scripts/make_sample.py            write src/airtune/learning/samples/*.jsonl.gz
    python scripts/make_sample.py --check    compare two hash seeds, write nothing

Each task takes its content from one reasoning-gym generator and words it as a short prompt, so that
a model of about a million weights can learn it in minutes on a processor.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reasoning_gym

SAMPLES = Path(__file__).parents[1] / "src" / "airtune" / "learning" / "samples"
Entry = dict[str, Any]
Triple = tuple[str, str, str]


@dataclass(frozen=True)
class Task:
    """One task: `count` distinct prompts from the generator `source`, worded by `word`."""

    name: str
    source: str
    config: dict[str, Any]
    count: int
    word: Callable[[Entry], Triple | None]


def generate(task: Task, seed: int) -> Iterator[dict[str, str]]:
    """Yield the task's records, prompts distinct; stop when its generator repeats itself."""
    tries = task.count * 30
    entries = reasoning_gym.create_dataset(task.source, size=tries, seed=seed, **task.config)
    seen: set[tuple[str, str]] = set()
    for i in range(tries):
        triple = task.word(entries[i])
        if triple is None or triple[:2] in seen:
            continue
        seen.add(triple[:2])
        instruction, text, answer = triple
        yield {"instruction": instruction, "input": text, "output": answer, "domain": task.name}
        if len(seen) == task.count:
            return


def spaced(text: str) -> str:
    return " ".join(text)


def whole(numbers: list[str]) -> str:
    return " ".join(str(int(float(n))) for n in numbers)


def grid(rows: list[list[int]]) -> str:
    return " / ".join(" ".join(map(str, row)) for row in rows)


def calculate(entry: Entry) -> Triple:
    return f"Calculate {entry['metadata']['expression']}.", "", entry["answer"]


def multiply(entry: Entry) -> Triple:
    a, b = entry["metadata"]["expression"].split(" * ")
    return f"Multiply {a} by {b}.", "", entry["answer"]


def sort_up(entry: Entry) -> Triple | None:
    m = entry["metadata"]
    if m["direction"] != "ascending":
        return None
    return "Sort ascending.", whole(m["original_numbers"]), whole(m["sorted_numbers"])


def sort_down(entry: Entry) -> Triple | None:
    m = entry["metadata"]
    if m["direction"] != "descending":
        return None
    return "Rank the scores, best first.", whole(m["original_numbers"]), whole(m["sorted_numbers"])


def keep(entry: Entry) -> Triple | None:
    m = entry["metadata"]
    verb, relation = m["operation"].split("_")
    if not m["result"]:
        return None
    text = f"{verb.capitalize()} numbers {relation} than {m['filter_value']}."
    return text, whole(m["original_numbers"]), whole(m["result"])


def backward(entry: Entry) -> Triple:
    word = entry["metadata"]["word"].lower()
    return "Spell backward.", spaced(word), spaced(word[::-1])


def palindrome(entry: Entry) -> Triple:
    word = entry["metadata"]["generated_palindrome"]
    half = (len(word) + 1) // 2
    return "Complete the palindrome.", spaced(word[:half]), spaced(word[half:])


def decrypt(entry: Entry) -> Triple | None:
    m = entry["metadata"]
    if not 3 <= len(m["clear_text"]) <= 5 or not m["clear_text"].isalpha():
        return None
    return "Decrypt.", spaced(m["cipher_text"].lower()), spaced(m["clear_text"].lower())


def encrypt(entry: Entry) -> Triple | None:
    found = decrypt(entry)
    return found and ("Write it in the secret code.", found[2], found[1])


def to_binary(entry: Entry) -> Triple:
    value = entry["metadata"]["decimal_value"]
    return f"Convert {value} to binary.", "", spaced(f"{value:b}")


def from_binary(entry: Entry) -> Triple:
    value = entry["metadata"]["decimal_value"]
    return "Which number do these switches show?", spaced(f"{value:b}"), str(value)


def count_bits(entry: Entry) -> Triple:
    m = entry["metadata"]
    return "How many ones?", spaced(m["binary"]), entry["answer"]


def count_letter(entry: Entry) -> Triple | None:
    m = entry["metadata"]
    text = "".join(m["span"]).lower()
    if not text.isalpha() or not text.isascii() or len(text) > 8:
        return None
    letter = m["target_letter"].lower()
    return f"Count the letter {letter}.", spaced(text), str(text.count(letter))


DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def day_after(entry: Entry) -> Triple | None:
    import datetime

    m = entry["metadata"]
    day = DAYS[datetime.date.fromisoformat(m["start_date"]).weekday()]
    n = m["offset_days"]
    if n <= 0:
        return None
    return f"Which day is {n} days after {day}?", "", entry["answer"]


def day_before(entry: Entry) -> Triple | None:
    import datetime

    m = entry["metadata"]
    day = DAYS[datetime.date.fromisoformat(m["start_date"]).weekday()]
    n = m["offset_days"]
    if n >= 0:
        return None
    return f"It is {day}. What was it {-n} days ago?", "", entry["answer"]


def legs(entry: Entry) -> Triple:
    ((animal, n),) = entry["metadata"]["animals"].items()
    return f"How many legs have {n} {animal}s?", "", entry["answer"]


def farm(entry: Entry) -> Triple:
    ((animal, n),) = entry["metadata"]["animals"].items()
    return f"A farmer buys {n} {animal}s. Shoes needed?", "", entry["answer"]


def rotate(entry: Entry) -> Triple | None:
    m = entry["metadata"]
    turns = m["num_rotations"] % 4
    if turns == 0:
        return None
    return f"Rotate by {90 * turns} degrees.", grid(m["matrix"]), grid(m["solution"])


def mirror(entry: Entry) -> Triple | None:
    m = entry["metadata"]
    if len(m["operations"]) != 1 or m["operations"][0]["transform"] not in ("transpose", "hmirror"):
        return None
    kind = m["operations"][0]["transform"]
    return f"Apply {kind}.", grid(m["matrix"]), grid(m["solution"])


def solve(entry: Entry) -> Triple:
    return f"Solve {entry['metadata']['equation']}.", "", entry["answer"]


DIGIT = {"min_digits": 1, "max_digits": 1}
DIGITS = {"min_decimals": 0, "max_decimals": 0, "min_value": 0, "max_value": 9}
LIST = {"min_numbers": 3, "max_numbers": 4, **DIGITS}
SUM = {"min_terms": 2, "max_terms": 2, **DIGIT}
EASY = {"operators": ("+", "-"), "allow_parentheses": False, "allow_negation": False}
ROT = {"min_words": 1, "max_words": 1, "min_rotation": 1, "max_rotation": 1}
BASE = {"min_base": 2, "max_base": 3, "max_value": 63}
SHIFT = {"tasks": ["weekday_offset"], "offset_upper_bound": 9}
ANIMAL = {"min_animals": 1, "max_animals": 1, "max_instances": 9}
GENERAL = [
    Task("calculate", "basic_arithmetic", {**SUM, **EASY}, 200, calculate),
    Task("multiply", "products", {"max_digits": 1}, 100, multiply),
    Task("sort", "number_sorting", LIST, 3000, sort_up),
    Task("filter", "number_filtering", LIST, 3000, keep),
    Task("backward", "spell_backward", {"min_word_len": 3, "max_word_len": 5}, 3000, backward),
    Task("decrypt", "caesar_cipher", ROT, 1000, decrypt),
    Task("binary", "base_conversion", BASE, 64, to_binary),
    Task("count", "letter_counting", {"min_words": 1, "max_words": 2}, 3000, count_letter),
    Task("weekday", "calendar_arithmetic", SHIFT, 63, day_after),
    Task("legs", "leg_counting", ANIMAL, 360, legs),
    Task("rotate", "rotate_matrix", {"min_n": 2, "max_n": 2}, 3000, rotate),
    Task(
        "solve", "simple_equations", {"min_terms": 2, "max_terms": 2, "max_value": 9}, 1000, solve
    ),
]
DOMAINS = [
    Task("ranking", "number_sorting", LIST, 500, sort_down),
    Task(
        "palindromes", "palindrome_generation", {"min_length": 5, "max_length": 8}, 500, palindrome
    ),
    Task("secrets", "caesar_cipher", ROT, 500, encrypt),
    Task("switches", "base_conversion", BASE, 64, from_binary),
    Task("bits", "count_bits", {"max_n": 511}, 500, count_bits),
    Task("calendar", "calendar_arithmetic", SHIFT, 63, day_before),
    Task("farm", "leg_counting", ANIMAL, 360, farm),
    Task(
        "pictures",
        "manipulate_matrix",
        {"min_rows": 2, "max_rows": 2, "min_cols": 2, "max_cols": 2, "num_transforms": 1}
        if False
        else {"min_rows": 2, "max_rows": 2, "min_cols": 2, "max_cols": 2},
        500,
        mirror,
    ),
    Task("letters", "letter_counting", {"min_words": 1, "max_words": 2}, 500, count_letter),
    Task(
        "equations",
        "simple_equations",
        {"min_terms": 2, "max_terms": 2, "max_value": 9},
        300,
        solve,
    ),
]


def part(tasks: list[Task], seed: int) -> bytes:
    """Return the JSONL bytes of all `tasks`, records shuffled."""
    rows = [row for i, task in enumerate(tasks) for row in generate(task, 1000 * seed + i)]
    random.Random(seed).shuffle(rows)  # noqa: S311
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def main() -> None:
    SAMPLES.mkdir(exist_ok=True)
    for seed, (name, tasks) in enumerate({"general": GENERAL, "domains": DOMAINS}.items()):
        (SAMPLES / f"{name}.jsonl.gz").write_bytes(gzip.compress(part(tasks, seed), 9, mtime=0))


if __name__ == "__main__":
    main()
