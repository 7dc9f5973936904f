"""The sub-commands of `gatecast`, one file each; they import heavy modules only when they run."""
