"""The web user interface: pages, forms and live updates over `actors.control`, which is all it sees of the rest."""
