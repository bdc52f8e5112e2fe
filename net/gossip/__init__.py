"""The GossipSub v1.1 state machine: no sockets, no clock, no tasks."""
