"""The parts of the simulated cluster (provisioning/cluster/simulated.py).

``objects``: what is stored, in a SQLite file. ``admission``: what may come to be in it. ``charts``: what
a release consists of; ``releases``: Helm's records of it. ``course``: what has become of things by a
given moment, and what goes wrong in stores of some names; ``looking`` and ``evidence``: how they are seen.
"""
