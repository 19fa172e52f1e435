"""Rays of 3GPP TR 38.901 drawn by Sionna PHY, each as a path of its own.

Sionna adds the rays of a cluster up for antennas that are fixed when the model is made.  Here every
ray becomes a path with one antenna at the origin, which keeps its coefficient (polarisation,
element patterns, random phases) and its direction of arrival; the far-field phases of moved
antennas then follow from the directions alone (system model, section 3).

Some of what is needed stands in private fields of Sionna, so its version is pinned
(:data:`RELEASE`); tests check that the fields are there and that moved arrays agree.

References
----------
3GPP TR 38.901, "Study on channel model for frequencies from 0.5 to 100 GHz", V19.2, section 7.5
(steps 5 to 12) and 7.7.1 (CDL).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Complex, Mask, Real

RELEASE = "2.2."
"""Releases of Sionna PHY whose private fields are known."""

SPECIFICATION = "19.2"
"""Version of TR 38.901 whose tables are used."""


@dataclass(frozen=True)
class Rays:
    """Rays of K transmitters to one base station; L the same for all, with gains of 0 to fill up.

    Attributes
    ----------
    gains : ndarray, complex, shape (K, L)
        Amplitudes at time 0; the first is that of the line of sight.
    directions : ndarray, float, shape (K, L, 2)
        In-plane part `u` in the frame of the array: horizontal and upright.
    delays : ndarray, float, shape (K, L)
        Excess delays, those of sub-clusters included [s].
    doppler : ndarray, float, shape (K, L)
        Doppler shifts by the transmitter's motion [Hz].
    sight : ndarray, bool, shape (K,)
        Whether there is a line of sight.
    """

    gains: Complex
    directions: Real
    delays: Real
    doppler: Real
    sight: Mask


@dataclass(frozen=True)
class Site:
    """What one group of transmitters is drawn for.

    Attributes
    ----------
    model : str
        umi, uma, rma, or the letter of a CDL model.
    carrier_hz : float  [Hz]
    pattern : str
        omni or sector: of the base station's antennas.
    places : ndarray, float, shape (K, 3)
        Of the transmitters; the array stands above the origin and faces +x [m].
    velocities : ndarray, float, shape (K, 3)  [m/s]
    base_height_m : float  [m]
    indoor : ndarray, bool, shape (K,)
    sight : bool or None
        Whether those outdoors have a line of sight; None: drawn.
    delay_spread_s : float
        Of the CDL models [s].
    """

    model: str
    carrier_hz: float
    pattern: str
    places: Real
    velocities: Real
    base_height_m: float
    indoor: Mask
    sight: bool | None
    delay_spread_s: float


def check_installed(channel: str) -> str:
    """Return Sionna's version.

    Raises
    ------
    InputError
        It is not installed, or not in a release that is known.
    """
    need = (
        f"radio.channel = {channel}: needs sionna-no-rt {RELEASE}* (pip install 'airtune[sionna]')"
    )
    for package in ("sionna-no-rt", "sionna"):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if not version.startswith(RELEASE):
            raise InputError(f"{need}, installed is {package} {version}")
        return version
    raise InputError(f"{need}, which is not installed")


def draw(site: Site, seed: int) -> Rays:
    """Draw the rays of a group of transmitters.

    Parameters
    ----------
    site : Site
        Of K transmitters, at least 1.
    seed : int
        Below 2^31; Sionna draws everything from it.

    Returns
    -------
    Rays
    """
    with _own_stream():
        return rays_of(site, drawn(site, seed))


@contextmanager
def _own_stream() -> Iterator[None]:
    """Put torch's own generators back afterwards: Sionna seeds them, when imported and later."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


@dataclass(frozen=True)
class Drawn:
    """What Sionna has drawn, in its own objects, with clients as transmitters.

    Attributes
    ----------
    k_factor, rays, topology, cluster_spread
        Arguments of Sionna's generator of coefficients.
    gain : ndarray, float, shape (K,)
        Amplitude of path loss and shadowing; 1 for CDL.
    """

    k_factor: Any
    rays: Any
    topology: Any
    cluster_spread: Any
    gain: Real


def drawn(site: Site, seed: int) -> Drawn:
    """Let Sionna draw large-scale parameters, clusters, rays and their phases."""
    from sionna.phy import config
    from sionna.phy.channel.tr38901.channel_coefficients import ChannelCoefficientsGenerator

    class Recorder(ChannelCoefficientsGenerator):  # type: ignore[misc]  # Sionna has no types
        """Notes what coefficients are made of."""

        def __call__(
            self,
            num_time_samples: int,
            sampling_frequency: float,
            k_factor: Any,
            rays: Any,
            topology: Any,
            c_ds: Any = None,
        ) -> Any:
            if rays.phases is None:
                rays.phases = self._step_10(rays.aoa.shape)
            self.made_of = (k_factor, rays, topology, c_ds)
            return super().__call__(num_time_samples, sampling_frequency, *self.made_of)

    config.seed = seed
    system_level = len(site.model) > 1
    recorder = Recorder(
        site.carrier_hz,
        antenna(site.carrier_hz),
        antenna(site.carrier_hz, site.pattern),
        subclustering=system_level,
        **_EXACT,
    )
    gain = _run_system_level(site, recorder) if system_level else _run_cdl(site, recorder)
    return Drawn(*recorder.made_of, gain)


_EXACT = {"precision": "double", "device": "cpu"}
"""In single precision moved arrays differ from Sionna's own by a thousandth."""


def antenna(carrier_hz: float, pattern: str = "omni", **panel: Any) -> Any:
    """Return Sionna's panel of vertically polarised antennas: one, unless `panel` says more."""
    from sionna.phy.channel.tr38901 import PanelArray

    return PanelArray(
        **{"num_rows_per_panel": 1, "num_cols_per_panel": 1, **panel},
        polarization="single",
        polarization_type="V",
        antenna_pattern="38.901" if pattern == "sector" else "omni",
        carrier_frequency=carrier_hz,
        **_EXACT,
    )


def _run_system_level(site: Site, recorder: Any) -> Real:
    """Draw umi, uma or rma into the recorder; return amplitudes of path loss and shadowing."""
    import torch
    from sionna.phy.channel import tr38901

    count, carrier = len(site.places), site.carrier_hz
    arrays = {"ut_array": antenna(carrier), "bs_array": antenna(carrier, site.pattern)}
    options = {"spec_version": SPECIFICATION, **_EXACT}
    if site.model == "rma":
        model = tr38901.RMa(carrier_frequency=carrier, direction="uplink", **arrays, **options)
        more = {"in_car": torch.zeros((1, count), dtype=torch.bool)}
    else:
        kind = {"umi": tr38901.UMi, "uma": tr38901.UMa}[site.model]
        model = kind(
            carrier_frequency=carrier, o2i_model="low", direction="uplink", **arrays, **options
        )
        more = {}
    model._cir_sampler = recorder
    model.set_topology(
        ut_loc=_tensor(site.places)[None],
        bs_loc=_tensor([[[0.0, 0.0, site.base_height_m]]]),
        ut_orientations=_tensor(np.zeros((1, count, 3))),
        bs_orientations=_tensor(np.zeros((1, 1, 3))),
        ut_velocities=_tensor(site.velocities)[None],
        in_state=torch.as_tensor(site.indoor)[None],
        los="random" if site.sight is None else site.sight,
        **more,
    )
    model(1, 1.0)
    scales = model._lsp
    loss, shadow = scales.pathloss[0, 0].numpy(), scales.sf[0, 0].numpy()
    return np.asarray(10.0 ** (-loss / 20.0) * np.sqrt(shadow))


def _run_cdl(site: Site, recorder: Any) -> Real:
    """Draw a CDL model for each transmitter, the array turned so that it stands at its angle."""
    from sionna.phy.channel.tr38901 import CDL

    count = len(site.places)
    turn = np.zeros((count, 3))
    turn[:, 0] = -np.arctan2(site.places[:, 1], site.places[:, 0])
    model = CDL(
        site.model,
        site.delay_spread_s,
        site.carrier_hz,
        ut_array=antenna(site.carrier_hz),
        bs_array=antenna(site.carrier_hz, site.pattern),
        direction="uplink",
        bs_orientation=_tensor(turn),
        ut_velocity=_tensor(site.velocities),
        spec_version=SPECIFICATION,
        **_EXACT,
    )
    model._cir_gen = recorder
    model(count, 1, 1.0)
    return np.ones(count)


def _tensor(values: Any) -> Any:
    import torch

    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def rays_of(site: Site, made: Drawn) -> Rays:
    """Return what Sionna has drawn as paths, one a ray, the line of sight first."""
    rays, topology = made.rays, made.topology
    count = len(site.places)
    sight = topology.los.numpy().reshape(count)
    k_factor = np.where(sight, made.k_factor.numpy().reshape(count), 0.0)
    direct, scattered = _coefficients(site, made)
    gains = np.concatenate(
        [
            (np.sqrt(k_factor / (1.0 + k_factor)) * made.gain)[:, None] * direct,
            (np.sqrt(1.0 / (1.0 + k_factor)) * made.gain)[:, None] * scattered,
        ],
        axis=1,
    )

    def angles(name: str) -> Real:
        first = getattr(topology, f"los_{name}").numpy().reshape(count, 1)
        return np.concatenate([first, getattr(rays, name).numpy().reshape(count, -1)], axis=1)

    arrival = _unit(angles("zoa"), angles("aoa"))
    facing = _rotation(topology.rx_orientations.numpy())  # (batch, 1, 3, 3)
    frame = np.broadcast_to(facing[:, 0], (count, 3, 3))
    local = np.einsum("kji,klj->kli", frame, arrival)
    departure = _unit(angles("zod"), angles("aod"))
    speed = np.einsum("kld,kd->kl", departure, site.velocities)
    wavelength = 299_792_458.0 / site.carrier_hz
    first = np.zeros((count, 1))
    u = local[..., 1:] / np.maximum(1.0, np.linalg.norm(local[..., 1:], axis=-1, keepdims=True))
    return Rays(
        gains=np.where(sight[:, None] | (np.arange(gains.shape[1]) > 0), gains, 0.0),
        directions=np.ascontiguousarray(u),
        delays=np.concatenate([first, _delays(made).reshape(count, -1)], axis=1),
        doppler=speed / wavelength,
        sight=sight,
    )


def _coefficients(site: Site, made: Drawn) -> tuple[Complex, Complex]:
    """Return the coefficients of lines of sight (K, 1) and rays (K, L), one antenna each end."""
    import torch
    from sionna.phy.channel.tr38901.channel_coefficients import (
        ChannelCoefficientsGenerator,
        Topology,
    )
    from sionna.phy.channel.tr38901.rays import Rays as SionnaRays

    generator = ChannelCoefficientsGenerator(
        site.carrier_hz,
        antenna(site.carrier_hz),
        antenna(site.carrier_hz, site.pattern),
        subclustering=False,
        **_EXACT,
    )
    rays, topology, count = made.rays, made.topology, len(site.places)
    links, per_cluster = rays.aoa.shape[:3], rays.aoa.shape[4]

    def alone(values: Any) -> Any:
        return values.reshape(*links, -1, 1, *values.shape[5:])

    def seen(sight: bool) -> Any:
        state = torch.full_like(topology.los, sight)
        return Topology(**{**vars(topology), "los": state})

    powers = (rays.powers / per_cluster).unsqueeze(-1).expand(rays.aoa.shape)
    each = {
        "powers": powers.reshape(*links, -1),
        **{name: alone(getattr(rays, name)) for name in ("aoa", "aod", "zoa", "zod", "xpr")},
        "phases": alone(rays.phases),
    }
    # The generator sorts by delay, and rays of a cluster have the same: these keep the order.
    order = torch.arange(each["powers"].shape[-1], dtype=torch.float64)
    each["delays"] = order.expand(each["powers"].shape)
    scattered, _ = generator(
        1, 1.0, torch.ones_like(made.k_factor), SionnaRays(**each), seen(False)
    )
    none = SionnaRays(**{**each, "powers": torch.zeros_like(each["powers"])})
    direct, _ = generator(1, 1.0, torch.ones_like(made.k_factor), none, seen(True))
    # With a K-factor of 1 the line of sight has half of the power.
    return (
        np.sqrt(2.0) * direct.numpy().reshape(count, -1)[:, :1],
        scattered.numpy().reshape(count, -1),
    )


def _delays(made: Drawn) -> Real:
    """Return the delays of the rays, shape (..., clusters, rays); sub-clusters by Table 7.5-5."""
    rays = made.rays
    delays = np.repeat(rays.delays.numpy()[..., None], rays.aoa.shape[4], axis=-1)
    if made.cluster_spread is None:
        return delays
    strongest = rays.strongest_cluster_indices
    if strongest is None:
        strongest = rays.powers.argsort(dim=-1, descending=True)[..., :2]
    offsets = np.zeros(delays.shape[-1])
    offsets[[8, 9, 10, 11, 16, 17]], offsets[[12, 13, 14, 15]] = 1.28, 2.56
    is_strong = np.zeros(rays.delays.shape)
    np.put_along_axis(is_strong, strongest.numpy(), 1.0, axis=-1)
    spread = made.cluster_spread.numpy()[..., None, None]
    return np.asarray(delays + is_strong[..., None] * spread * offsets)


def _unit(zenith: Real, azimuth: Real) -> Real:
    """Return unit vectors, shape (..., 3) (TR 38.901, 7.1-6)."""
    sine = np.sin(zenith)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(zenith)], axis=-1)


def _rotation(angles: Real) -> Real:
    """Return the matrices that turn local into global vectors (TR 38.901, 7.1-4)."""
    (ca, cb, cg), (sa, sb, sg) = (f(np.moveaxis(angles, -1, 0)) for f in (np.cos, np.sin))
    rows = [
        [ca * cb, ca * sb * sg - sa * cg, ca * sb * cg + sa * sg],
        [sa * cb, sa * sb * sg + ca * cg, sa * sb * cg - ca * sg],
        [-sb, cb * sg, cb * cg],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
