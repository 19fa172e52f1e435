"""Generate the data sample of the package with reasoning-gym (extra ``tasks``).

    python scripts/make_sample.py            write src/airtune/learning/samples/*.jsonl.gz
    python scripts/make_sample.py --check    compare two hash seeds, write nothing

A record takes its content and its answer from one reasoning-gym generator and words it as a short
prompt, so that a model of about a million weights learns it in minutes on a processor.  The general
mixture (phase 1) states bare skills; each domain (phase 2) applies one of them in words, and often
from a generator, that the mixture does not have.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reasoning_gym

SAMPLES = Path(__file__).parents[1] / "src" / "airtune" / "learning" / "samples"
SEEDS = {"general": 1, "domains": 2}
TRIES_PER_RECORD = 25
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TURNS = {90: "to the right", 180: "upside down", 270: "to the left"}

Facts = dict[str, Any]
Worded = tuple[str, str, str] | None


@dataclass(frozen=True)
class Task:
    """At most `count` records with distinct prompts, from the generator `source`.

    `word` turns a generator's answer and metadata into instruction, input and output, or into None
    for what does not fit the task.
    """

    name: str
    source: str
    config: dict[str, Any]
    count: int
    word: Callable[[str, Facts], Worded]


def generate(task: Task, seed: int) -> Iterator[dict[str, str]]:
    """Yield the task's records; stop early when its generator repeats itself."""
    tries = task.count * TRIES_PER_RECORD
    entries = reasoning_gym.create_dataset(task.source, size=tries, seed=seed, **task.config)
    seen: set[tuple[str, str]] = set()
    for i in range(tries):
        entry = entries[i]
        worded = task.word(str(entry["answer"]), entry["metadata"])
        if worded is None or worded[:2] in seen:
            continue
        seen.add(worded[:2])
        instruction, text, answer = worded
        yield {"instruction": instruction, "input": text, "output": answer, "domain": task.name}
        if len(seen) == task.count:
            return


def spaced(text: str) -> str:
    """Return the letters with spaces between, so that each is a token."""
    return " ".join(text)


def integers(numbers: list[str]) -> str:
    return " ".join(str(int(float(number))) for number in numbers)


def grid(rows: list[list[int]]) -> str:
    return " / ".join(" ".join(map(str, row)) for row in rows)


def weekday(facts: Facts) -> str:
    return DAYS[datetime.date.fromisoformat(facts["start_date"]).weekday()]


def animals(facts: Facts) -> tuple[str, int]:
    ((animal, number),) = facts["animals"].items()
    return animal, number


def short_word(facts: Facts) -> tuple[str, str] | None:
    """Return one word of a ciphered sentence and its cipher, both in letters."""
    clear, cipher = (facts[key].lower().split() for key in ("clear_text", "cipher_text"))
    short = [pair for pair in zip(clear, cipher, strict=True) if 3 <= len(pair[0]) <= 5]
    if not short:
        return None
    # The sentences are few, so a sentence that comes again gives another of its words.
    word, code = short[facts["source_index"] % len(short)]
    return spaced(word), spaced(code)


def one_of(facts: Facts, *wordings: str) -> str:
    """Return a wording that depends on the entry's number only."""
    return wordings[facts["source_index"] % len(wordings)]


# General mixture


def calculate(answer: str, facts: Facts) -> Worded:
    expression = facts["expression"]
    a, sign, b = expression.split()
    named = f"{b} plus {a}" if sign == "+" else f"{a} minus {b}"
    wordings = (f"Calculate {expression}.", f"What is {expression}?", f"How much is {named}?")
    return one_of(facts, *wordings), "", answer


def multiply(answer: str, facts: Facts) -> Worded:
    a, b = facts["expression"].split(" * ")
    wordings = (f"Multiply {a} by {b}.", f"What is {a} * {b}?", f"How much is {a} times {b}?")
    return one_of(facts, *wordings), "", answer


def order(answer: str, facts: Facts) -> Worded:
    numbers, ranked = facts["original_numbers"], facts["sorted_numbers"]
    way = facts["direction"]
    first = "smallest" if way == "ascending" else "largest"
    wordings = (f"Sort {way}.", f"Put in {way} order.", f"Sort the numbers, {first} first.")
    return one_of(facts, *wordings), integers(numbers), integers(ranked)


def keep(answer: str, facts: Facts) -> Worded:
    verb, relation = facts["operation"].split("_")
    if verb != "keep" or not facts["result"]:
        return None
    than = f"{relation} than {facts['filter_value']}"
    wordings = (f"Keep numbers {than}.", f"Which are {than}?", f"List those {than}.")
    return one_of(facts, *wordings), integers(facts["original_numbers"]), integers(facts["result"])


def backward(answer: str, facts: Facts) -> Worded:
    word = facts["word"].lower()
    wordings = ("Spell backward.", "Reverse the letters.", "Write it from the end.")
    return one_of(facts, *wordings), spaced(word), spaced(word[::-1])


def decrypt(answer: str, facts: Facts) -> Worded:
    found = short_word(facts)
    wordings = ("Decrypt.", "Shift each letter back by one.", "Decode the word.")
    return found and (one_of(facts, *wordings), found[1], found[0])


def to_binary(answer: str, facts: Facts) -> Worded:
    value = facts["decimal_value"]
    wordings = (
        f"Convert {value} to binary.",
        f"Write {value} in base 2.",
        f"What is {value} in bits?",
    )
    return one_of(facts, *wordings), "", spaced(f"{value:b}")


def day_offset(answer: str, facts: Facts) -> Worded:
    days, start = facts["offset_days"], weekday(facts)
    if days == 0:
        return None
    count = f"{abs(days)} days"
    after = f"{count} {'after' if days > 0 else 'before'}"
    later = f"in {count}" if days > 0 else f"{count} ago"
    wordings = (f"Which day is {after} {start}?", f"It is {start}. Which day is {later}?")
    return one_of(facts, *wordings), "", answer


def legs(answer: str, facts: Facts) -> Worded:
    animal, number = animals(facts)
    these = f"{number} {animal}s"
    return one_of(facts, f"How many legs have {these}?", f"Count the legs of {these}."), "", answer


def rotate(answer: str, facts: Facts) -> Worded:
    turn = f"{90 * facts['num_rotations'] % 360} degrees"
    if turn == "0 degrees":
        return None
    wordings = (f"Rotate by {turn}.", f"Turn the matrix {turn}.", f"Rotate {turn} clockwise.")
    return one_of(facts, *wordings), grid(facts["matrix"]), grid(facts["solution"])


def spiral(answer: str, facts: Facts) -> Worded:
    wordings = ("Read in a spiral.", "List in spiral order.", "Give the spiral of the matrix.")
    return one_of(facts, *wordings), grid(facts["matrix"]), " ".join(map(str, facts["solution"]))


# Domains


def price(answer: str, facts: Facts) -> Worded:
    a, b = facts["expression"].split(" * ")
    wordings = (
        f"How much is {a} pens at {b} each?",
        f"How much is {a} rows of {b} seats?",
        f"What is {a} bags by {b} kilos?",
    )
    return one_of(facts, *wordings), "", answer


def coins(answer: str, facts: Facts) -> Worded:
    a, sign, b = facts["expression"].split()
    earns = sign == "+"
    wordings = (
        f"How much is {a} coins {'earned' if earns else 'owed'} {b}?",
        f"What is {a} after {'income' if earns else 'rent'} of {b}?",
    )
    return one_of(facts, *wordings), "", answer


def ranking(answer: str, facts: Facts) -> Worded:
    first = "best" if facts["direction"] == "descending" else "worst"
    numbers, ranked = facts["original_numbers"], facts["sorted_numbers"]
    return f"Rank the scores, {first} first.", integers(numbers), integers(ranked)


def palindrome(answer: str, facts: Facts) -> Worded:
    word = facts["generated_palindrome"]
    half = len(word) // 2
    if len(word) % 2:
        return None
    return "Complete the palindrome.", spaced(word[:half]), spaced(word[half:])


def spy(answer: str, facts: Facts) -> Worded:
    found = short_word(facts)
    return found and ("What does the spy say?", found[1], found[0])


def travel(answer: str, facts: Facts) -> Worded:
    days, start = facts["offset_days"], weekday(facts)
    if days == 0:
        return None
    late = f"{abs(days)} days {'late' if days > 0 else 'early'}"
    wordings = (
        f"Which day is the bus {late} from {start}?",
        f"It was {start}. Which day is the ship, {late}?",
    )
    return one_of(facts, *wordings), "", answer


def shoes(answer: str, facts: Facts) -> Worded:
    animal, number = animals(facts)
    return f"Buy shoes for {number} {animal}s. How many?", "", answer


def tiles(answer: str, facts: Facts) -> Worded:
    (step,) = facts["operations"]
    turn = TURNS.get(int(step.get("degrees", 0)) % 360) if step["transform"] == "rotate" else None
    return turn and (f"Turn the tile {turn}.", grid(facts["matrix"]), grid(facts["solution"]))


def lamps(answer: str, facts: Facts) -> Worded:
    value = facts["decimal_value"]
    wordings = (
        f"What is {value} in lamps?",
        f"Write {value} on the switches.",
        f"Punch {value} to card.",
        f"What is {value} in levers?",
    )
    return one_of(facts, *wordings), "", spaced(f"{value:b}")


def sensors(answer: str, facts: Facts) -> Worded:
    verb, relation = facts["operation"].split("_")
    if verb != "keep" or not facts["result"]:
        return None
    where = "above" if relation == "larger" else "below"
    text = f"Report values {where} {facts['filter_value']}."
    return text, integers(facts["original_numbers"]), integers(facts["result"])


DIGIT = {"min_digits": 1, "max_digits": 1}
SUM = {"min_terms": 2, "max_terms": 2, **DIGIT}
PLAIN = {"operators": ("+", "-"), "allow_parentheses": False, "allow_negation": False}
LIST = {
    "min_numbers": 3,
    "max_numbers": 4,
    "min_decimals": 0,
    "max_decimals": 0,
    "min_value": 0,
    "max_value": 9,
}
WORD = {"min_word_len": 3, "max_word_len": 4}
CIPHER = {"min_words": 3, "max_words": 20, "min_rotation": 1, "max_rotation": 1}
BASE = {"min_base": 2, "max_base": 3, "max_value": 63}
OFFSET = {"tasks": ["weekday_offset"], "offset_upper_bound": 5}
ANIMAL = {"min_animals": 1, "max_animals": 1, "max_instances": 9}
PALINDROME = {"min_length": 6, "max_length": 8}
SQUARE = {"min_n": 2, "max_n": 2}
MATRIX = {
    "min_rows": 2,
    "max_rows": 2,
    "min_cols": 2,
    "max_cols": 2,
    "min_transforms": 1,
    "max_transforms": 1,
    **{f"w_{name}": 0 for name in ("hmirror", "vmirror", "dmirror", "cmirror", "map", "crop")},
    **{f"w_{name}": 0 for name in ("remove_every_nth_row", "remove_every_nth_col")},
    "w_zero_divisible": 0,
}
GENERAL = (
    Task("arithmetic", "basic_arithmetic", {**SUM, **PLAIN}, 600, calculate),
    Task("multiplication", "products", DIGIT, 300, multiply),
    Task("sorting", "number_sorting", LIST, 5000, order),
    Task("filtering", "number_filtering", LIST, 5000, keep),
    Task("spelling", "spell_backward", WORD, 5000, backward),
    Task("ciphers", "caesar_cipher", CIPHER, 1000, decrypt),
    Task("binary", "base_conversion", BASE, 192, to_binary),
    Task("weekdays", "calendar_arithmetic", OFFSET, 140, day_offset),
    Task("legs", "leg_counting", ANIMAL, 660, legs),
    Task("matrices", "rotate_matrix", SQUARE, 5000, rotate),
    Task("spirals", "spiral_matrix", SQUARE, 3000, spiral),
)
DOMAINS = (
    Task("prices", "products", DIGIT, 300, price),
    Task("coins", "chain_sum", SUM, 350, coins),
    Task("ranking", "number_sorting", LIST, 350, ranking),
    Task("palindromes", "palindrome_generation", PALINDROME, 350, palindrome),
    Task("spies", "caesar_cipher", CIPHER, 350, spy),
    Task("travel", "calendar_arithmetic", OFFSET, 140, travel),
    Task("farm", "leg_counting", ANIMAL, 333, shoes),
    Task("tiles", "manipulate_matrix", MATRIX, 350, tiles),
    Task("lamps", "base_conversion", BASE, 256, lamps),
    Task("sensors", "number_filtering", LIST, 350, sensors),
)


def part(tasks: tuple[Task, ...], seed: int) -> bytes:
    """Return the JSONL bytes of all `tasks`, records shuffled."""
    rows = [row for i, task in enumerate(tasks) for row in generate(task, 1000 * seed + i)]
    random.Random(seed).shuffle(rows)  # noqa: S311
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parts() -> dict[str, bytes]:
    """Return the uncompressed files of the sample by name."""
    tasks = {"general": GENERAL, "domains": DOMAINS}
    return {name: part(tasks[name], seed) for name, seed in SEEDS.items()}


def digests() -> str:
    return " ".join(hashlib.sha256(data).hexdigest() for data in parts().values())


def check() -> None:
    """Stop with an error if the sample changes with Python's hash seed."""
    found = set()
    for seed in ("1", "2"):
        command = [sys.executable, __file__, "--digests"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)  # noqa: S603
        found.add(run.stdout)
    if len(found) > 1:
        sys.exit("the sample depends on PYTHONHASHSEED")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare two hash seeds")
    parser.add_argument("--digests", action="store_true", help="print the hashes only")
    arguments = parser.parse_args()
    if arguments.check:
        check()
    elif arguments.digests:
        print(digests())
    else:
        SAMPLES.mkdir(exist_ok=True)
        for name, data in parts().items():
            (SAMPLES / f"{name}.jsonl.gz").write_bytes(gzip.compress(data, 9, mtime=0))


if __name__ == "__main__":
    main()
