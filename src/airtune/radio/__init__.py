"""The air: paths, movable arrays, over-the-air aggregation and the digital baseline.

Pure functions on numpy arrays.  Positions are in wavelengths, everything else in SI units unless a
name says otherwise (`_db`, `_dbm`).

The functions to start from, in the order of a round:

    units.LinkBudget.of             powers and noise of a scenario
    channels.cell.place_stations    where the transmitters stand
    channels.block_fading           the paths of each round; channels.base has the contract
    channels.path_file              from files; tr38901, deepmimo and scene beside it from others
    channels.tracks                 of clients that move; places by tracks, shadowing by a map
    plane_waves                     plane waves that stand for spherical ones
    layouts.fixed_array             positions of antennas that stay
    transmission.air_at             channels and covariance at the antennas
    scales.report_scales            what clients report; scales.normalise_updates sets the scales
    transmission.uniform_forcing    transmit scalars that align all clients;
                                    power_control.capped_alignment those of least error
    over_the_air.aggregate          send the updates and decode their mean
    quantisers.encode, access.upload    quantise an update, and send it digitally
    majority.vote_error             error of a majority vote over the air
    movement.movement               time and distance between two sets of positions

They are imported from their modules, for example ``from airtune.radio.transmission import air_at``.
"""
