"""Hypothesis for the chain's tests: how long an example takes says nothing about whether it holds."""

from hypothesis import HealthCheck, settings

settings.register_profile("chain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chain")
