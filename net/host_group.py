"""Which hosts count as one: the networks whose addresses an attacker gets by the dozen (GossipSub's P6 counts peers per group)."""

from ipaddress import IPv6Address, ip_address, ip_network


def host_group(host: str) -> str | None:
    """Name the network of an IP address in CIDR form: itself of IPv4, the /64 of IPv6; None for what is no address.

    One customer gets a whole /64 (RFC 6177), and one IPv4 address. An IPv4 address in IPv6 form is the IPv4 address.
    """
    try:
        address = ip_address(host.partition("%")[0])  # a link-local address may name its interface
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return f"{address}/32"
