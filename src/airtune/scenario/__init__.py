"""Every setting of a study, once: typed, documented, validated."""

from airtune.scenario.array import DRIVES, Array, Drive
from airtune.scenario.base import CALIBRATE, Settings
from airtune.scenario.digital import Digital
from airtune.scenario.faults import Faults
from airtune.scenario.hardware import Hardware
from airtune.scenario.learning import (
    TEMPLATES,
    Data,
    Evaluation,
    Fields,
    Lora,
    Model,
    Pretraining,
    SmallLlama,
    Training,
)
from airtune.scenario.mobility import Mobility
from airtune.scenario.paths import Csi, Paths
from airtune.scenario.placement import PlacementSettings
from airtune.scenario.planning import Bound, Budget, Calibration, Planning
from airtune.scenario.poison import Poison
from airtune.scenario.radio import Aggregation, Clients, Interferers, Radio
from airtune.scenario.ris import Ris
from airtune.scenario.scenario import Engine, Processor, Scenario, Server

__all__ = [
    "CALIBRATE",
    "DRIVES",
    "TEMPLATES",
    "Aggregation",
    "Array",
    "Bound",
    "Budget",
    "Calibration",
    "Clients",
    "Csi",
    "Data",
    "Digital",
    "Drive",
    "Engine",
    "Evaluation",
    "Faults",
    "Fields",
    "Hardware",
    "Interferers",
    "Lora",
    "Mobility",
    "Model",
    "Paths",
    "PlacementSettings",
    "Planning",
    "Poison",
    "Pretraining",
    "Processor",
    "Radio",
    "Ris",
    "Scenario",
    "Server",
    "Settings",
    "SmallLlama",
    "Training",
]
