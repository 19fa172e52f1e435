"""The setting that was likely meant: by names of other tools, by a path's end, by its letters."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache

from pydantic import BaseModel

from airtune.errors import clip
from airtune.scenario.scenario import Scenario

OTHER_NAMES = {
    "training.learning_rate": "lr eta server_lr global_lr server_learning_rate step_size",
    "training.local_learning_rate": "client_lr local_lr client_learning_rate",
    "training.batch_size_max": "batch_size bs batch train_batch_size micro_batch_size "
    "per_device_train_batch_size local_batch_size client_batch_size minibatch_size",
    "training.rounds": "epochs num_epochs n_epochs num_train_epochs max_steps train_steps rounds "
    "num_rounds n_rounds num_server_rounds global_rounds comm_rounds communication_rounds",
    "training.local_steps": "local_epochs local_iterations num_local_steps num_steps_local "
    "tau_local client_epochs gradient_accumulation_steps",
    "training.clip_norm": "max_grad_norm grad_clip gradient_clip gradient_clipping clip clipping",
    "training.server_optimizer": "optimizer optim optimiser server_opt server_optimiser fedopt",
    "training.client_objective": "loss loss_type loss_fn objective trainer dpo",
    "training.epsilon": "adam_epsilon eps",
    "training.beta1": "adam_beta1",
    "training.beta2": "adam_beta2",
    "training.beta": "dpo_beta",
    "clients.count": "num_clients n_clients client_count clients_count num_users n_users users "
    "num_devices devices num_workers_total num_supernodes k",
    "clients.concurrency": "clients_per_round num_clients_per_round sample_clients participants "
    "num_participants fraction_fit fraction_train client_fraction sample_fraction min_fit_clients",
    "clients.antennas": "num_tx n_tx tx_antennas nt client_antennas num_client_antennas",
    "clients.tx_power_dbm": "snr snr_db tx_power transmit_power p_max pmax power power_dbm",
    "radio.noise_psd_dbm_hz": "noise noise_power noise_power_dbm noise_psd noise_variance n0",
    "radio.carrier_hz": "carrier carrier_frequency center_frequency frequency freq fc f_c "
    "wavelength carrier_ghz",
    "radio.bandwidth_hz": "bandwidth bw bandwidth_mhz uplink_bandwidth",
    "radio.resource_blocks": "subbands subcarriers prbs num_rbs wideband",
    "radio.channel": "channel_model",
    "radio.paths.fading": "fading small_scale_fading",
    "radio.paths.count": "num_paths n_paths paths_count l",
    "radio.paths.doppler_hz": "doppler f_d",
    "radio.paths.rician_k_db": "k_factor rice_factor rician_k",
    "radio.interferers.count": "num_interferers n_interferers",
    "array.antennas": "antennas num_antennas n_antennas num_rx n_rx rx_antennas nr n",
    "array.region": "region_size aperture move_region",
    "array.spacing": "min_distance antenna_spacing min_spacing",
    "array.speed_mps": "speed velocity antenna_speed",
    "model.source": "model_name model_name_or_path base_model base_model_name_or_path model_id "
    "model_path pretrained_model_name_or_path pretrained",
    "model.dtype": "torch_dtype dtype precision bf16 fp16 fp32 mixed_precision",
    "model.quantization": "load_in_4bit load_in_8bit quantization_config bnb qlora",
    "model.lora.rank": "r lora_r lora_rank lora_dim",
    "model.lora.alpha": "lora_alpha",
    "model.lora.dropout": "lora_dropout",
    "model.lora.rslora": "use_rslora",
    "model.lora.target_modules": "lora_target_modules lora_target modules target",
    "data.source": "dataset dataset_name dataset_path data_path data_files train_file train_data",
    "data.max_tokens": "max_length max_seq_length max_seq_len model_max_length cutoff_len "
    "seq_len seq_length sequence_length block_size context_length",
    "data.max_records": "max_samples max_train_samples num_samples limit",
    "data.template": "chat_template prompt_template",
    "data.partition": "partitioner non_iid noniid iid split_method",
    "data.dirichlet_alpha": "dir_alpha partition_alpha concentration",
    "data.validation_fraction": "val_size test_size val_fraction validation_split val_split",
    "pretraining.steps": "pretrain_steps pretraining_steps warmup_steps",
    "evaluation.every": "eval_every eval_steps eval_interval eval_freq evaluation_interval",
    "evaluation.batch_size": "per_device_eval_batch_size eval_batch_size val_batch_size",
    "evaluation.records": "max_eval_samples eval_samples num_eval_samples",
    "budget.latency_s": "latency deadline max_time time_budget time_limit max_latency tau_max",
    "budget.energy_j": "energy energy_budget max_energy e_max",
    "aggregation.robust": "defense defence robust_aggregation aggregation_rule aggregator",
    "faults.poison.kind": "attack attack_type",
    "aggregation.truncation_db": "truncation threshold truncation_threshold",
    "digital.bits": "quantization_bits quant_bits num_bits n_bits",
    "seed": "random_seed rng_seed manual_seed random_state",
    "seeds": "num_seeds n_seeds repetitions repeats trials num_runs n_runs num_trials",
    "schemes": "scheme method methods algorithm algorithms strategy baselines",
    "threads": "num_threads n_threads n_jobs num_workers cpus",
    "engine.name": "backend",
    "engine.address": "cluster ray_address superlink",
    "model.device": "accelerator device_map",
    "model.autocast": "amp",
    "cache": "cache_dir",
}
"""What other tools and papers call a setting: names with blanks between them, in small letters."""


@cache
def paths() -> tuple[str, ...]:
    """Return the dotted paths of all settings and sections."""
    return tuple(_paths(Scenario, ""))


def _paths(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _paths(field.annotation, f"{prefix}{name}.")


def alternatives(path: str) -> str:
    """Say which setting may have been meant, or which there are beside an unknown one.

    Parameters
    ----------
    path : str
        Dotted path of the unknown setting.

    Examples
    --------
    >>> alternatives("lora.r")
    'did you mean model.lora.rank?'
    >>> alternatives("radio.carier")
    'did you mean radio.carrier_hz?'
    >>> alternatives("budget.zzz")
    'allowed are budget.latency_s, budget.client_energy_j, budget.energy_j'
    """
    found = likely(path)
    if found:
        return f"did you mean {' or '.join(found[:3])}?"
    parent = path.rpartition(".")[0]
    while parent and parent not in paths():
        parent = parent.rpartition(".")[0]
    start = f"{parent}." if parent else ""
    inside = [x for x in paths() if x.startswith(start) and "." not in x.removeprefix(start)]
    return f"allowed are {', '.join(inside)}" if inside else f"{clip(parent)} is no section"


def likely(path: str) -> list[str]:
    """Return the settings that an unknown dotted path may mean, likeliest first."""
    name = path[:100].strip().casefold().replace("-", "_")
    section, _, last = name.rpartition(".")
    inside = [x for x in paths() if x.rpartition(".")[0].casefold() == section]
    same_end = [x for x in paths() if f".{x}".casefold().endswith(f".{name}")]
    other = [x for x, names in OTHER_NAMES.items() if last in names.split()]
    same_last = [x for x in paths() if x.rpartition(".")[2].casefold() == last]
    known_section = not section or any(x.casefold() == section for x in paths())
    steps = (
        [x for x in inside if x in other],  # its name elsewhere, in the section named
        _twins(other, section, inside),
        same_end if len(same_end) == 1 else [],
        [] if known_section else _respelled(name),
        _close(last, inside, 0.75) if known_section and section else [],
        _of_stem(last, inside) if section else [],
        other,
        same_end or same_last,
        _close(last, inside, 0.6) if known_section else [],
        [x for x in paths() if f".{last}_" in f".{x}_" and len(last) > 2],
        _close(last, list(paths()), 0.75),
    )
    return next((found for found in steps if found), [])


def _respelled(name: str) -> list[str]:
    """Return the path whose parts are spelled like those of a path, one by one."""
    found = ""
    for part in name.split("."):
        inside = [x for x in paths() if x.rpartition(".")[0] == found]
        close = _close(part, inside, 0.6)
        if not close:
            return []
        found = close[0]
    return [found]


def _twins(other: list[str], section: str, inside: list[str]) -> list[str]:
    """Return settings of a section that are called as those meant are called in theirs."""
    lasts = {x.rpartition(".")[2] for x in other}
    return [x for x in inside if section and x.rpartition(".")[2] in lasts]


def _of_stem(name: str, inside: list[str]) -> list[str]:
    """Return settings of a section whose first word begins one word: clip_db for clipping."""
    stems = {x: x.rpartition(".")[2].split("_")[0] for x in inside}
    return [
        x
        for x, stem in stems.items()
        if len(stem) > 3 and "_" not in name and name.startswith(stem)
    ]


def _close(name: str, candidates: list[str], cutoff: float) -> list[str]:
    """Return the path whose last part is spelled most alike."""
    by_last: dict[str, str] = {}
    for path in candidates:
        by_last.setdefault(path.rpartition(".")[2].casefold(), path)
    return [by_last[x] for x in difflib.get_close_matches(name, list(by_last), 1, cutoff)]
