"""Hosts that count as one."""

import pytest

from net.host_group import host_group


@pytest.mark.parametrize(
    "host, group",
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("example.org", None),
        ("", None),
    ],
)
def test_group_is_a_network(host: str, group: str | None) -> None:
    assert host_group(host) == group
