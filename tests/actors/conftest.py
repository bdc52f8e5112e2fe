"""Settings of all tests of actors."""

from hypothesis import HealthCheck, settings

# How long an example takes is the machine's affair, and no property.
settings.register_profile("actors", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("actors")
