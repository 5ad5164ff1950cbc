# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What L1 boots: its kernel, unpacked, and its initramfs."""

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess

from . import LabError

HERE = os.path.dirname(os.path.realpath(__file__))


def filter_through(tool, data):
    """Unpack with a program for what this Python cannot."""
    if not shutil.which(tool):
        raise LabError(f"needs the program '{tool}' to unpack the kernel: run tools/deps lab")
    # The kernel's build appends the unpacked size to the payload: the tool may complain about that.
    return subprocess.run([tool, "-dc"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


UNPACKERS = {
    b"\x7fELF": lambda data: data,
    b"\x1f\x8b\x08": lambda data: gzip.decompress(data[:-4]),
    b"\xfd7zXZ\0": lambda data: lzma.LZMADecompressor().decompress(data),
    b"BZh": lambda data: bz2.BZ2Decompressor().decompress(data),
    b"\x02\x21\x4c\x18": lambda data: filter_through("lz4", data[:-4]),
    b"\x28\xb5\x2f\xfd": lambda data: filter_through("zstd", data[:-4]),
}


def vmlinux(path):
    """The ELF kernel inside a bzImage; the boot protocol (2.08 and later) says where it is."""
    with open(path, "rb") as file:
        image = file.read()
    if image[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        raise LabError(f"{path} is not a bzImage of boot protocol 2.08 or later")
    setup_size = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup_size + offset:][:length]
    for magic, unpack in UNPACKERS.items():
        if payload.startswith(magic):
            elf = unpack(payload)
            if not elf.startswith(b"\x7fELF"):
                raise LabError(f"the payload of {path} does not unpack to an ELF file")
            return elf
    raise LabError(f"{path} is packed in an unknown way (it begins {payload[:6].hex()})")


def cpio(files):
    """A newc archive of {name: (mode, bytes)}."""
    archive = bytearray()
    entries = [*files.items(), ("TRAILER!!!", (0, b""))]
    for inode, (name, (mode, data)) in enumerate(entries, 1):
        fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4)
        archive += data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def module_name(path):
    """The name that the kernel gives to a module file."""
    return re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")


def modules_in_order(tree, wanted):
    """The paths, below `tree`, of the modules named and all they need, each after what it needs."""
    needs = {}
    with open(f"{tree}/modules.dep") as file:
        for line in file:
            path, _, others = line.partition(":")
            needs[module_name(path)] = path, others.split()
    order = []

    def add(name):
        if name in needs:  # else it is built in
            path, others = needs[name]
            for other in others:
                add(module_name(other))
            if path not in order:
                order.append(path)

    for name in wanted.split():
        add(name.replace("-", "_"))
    return order


def initramfs(root, release, modules):
    """L1's whole user space until it mounts the host's: busybox, modules, and init.sh as /init."""
    program, directory = stat.S_IFREG | 0o755, stat.S_IFDIR | 0o755
    files = {name: (directory, b"") for name in ("bin", "dev", "proc", "sys", "modules")}
    with open(f"{HERE}/init.sh", "rb") as init, open(f"{root}/bin/busybox", "rb") as busybox:
        files["init"] = program, init.read()
        files["bin/busybox"] = program, busybox.read()
    order = []
    tree = f"{root}/lib/modules/{release}"
    for path in modules_in_order(tree, modules):
        with open(f"{tree}/{path}", "rb") as file:
            data = file.read()
        if path.endswith(".xz"):
            data = lzma.decompress(data)
        order.append(module_name(path) + ".ko")
        files["modules/" + order[-1]] = program, data
    files["modules/order"] = program, "\n".join(order).encode()
    return cpio(files)
