"""Compare three schemes in a small cell with settings of one's own.

python examples/compare_schemes.py
"""

from __future__ import annotations

from airtune import compare, load_scenario

SETTINGS = [
    "schemes=[movable, fixed, digital]",
    "clients.count=6",
    "clients.tx_power_dbm=-5",
    "radio.interferers.count=1",
    "array.antennas=4",
    "training.rounds=8",
    "evaluation.records=100",
]


def main() -> None:
    scenario = load_scenario("quickstart", SETTINGS)
    results = compare(scenario)  # writes runs/quickstart-<time> with report.html

    print(f"{'scheme':10} {'loss':>6} {'air error [dB]':>15} {'time [s]':>9} {'energy [J]':>11}")
    for name, entry in results["schemes"].items():
        error = "none" if entry["mse_db"] is None else f"{entry['mse_db']:.1f}"
        last = entry["history"][-1]
        print(
            f"{name:10} {entry['final_loss']:6.3f} {error:>15} "
            f"{last['time_s']:9.2f} {last['energy_j']:11.3f}"
        )


if __name__ == "__main__":
    main()
