# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The parts of tools/lab: run a command inside a Linux that has a real hardware KVM."""


class LabError(Exception):
    """The lab cannot do its work; the text says why, in a sentence for the user."""


class LabCrash(LabError):
    """QEMU died or L1 hung: not the command's fault, and worth one more try."""
