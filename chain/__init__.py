"""Bytes to blocks and state: values, contracts, ledgers. Knows neither network nor actors nor a clock."""
