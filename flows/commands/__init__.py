"""The sub-commands of `gatecast`, one file each; they import what is heavy when they run."""
