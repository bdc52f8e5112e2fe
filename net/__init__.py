"""Topics and bytes between peers: transports, the GossipSub router and the overlay an actor holds."""
