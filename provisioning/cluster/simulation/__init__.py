"""The parts of the simulated cluster (provisioning/cluster/simulated.py).

``objects``: what is stored, in a SQLite file. ``charts``: what a release consists of.
``course``: what has become of it by a given moment, and what goes wrong in stores of some names.
"""
