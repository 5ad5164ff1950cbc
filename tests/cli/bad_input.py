#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx run says in one line what is wrong with its input, and leaves nothing behind."""

import os
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import needs_kvm  # noqa: E402


def bzimage(size=64 << 10, init_size=1 << 20):
    """A bzImage as far as its header goes: boot protocol 2.15, 64-bit entry, 4 setup sectors."""
    image = bytearray(size)
    image[0x1f1] = 4  # setup_sects
    struct.pack_into("<I", image, 0x1f4, (size - 5 * 512) // 16)  # syssize
    struct.pack_into("<H", image, 0x1fe, 0xaa55)
    image[0x200:0x202] = b"\xeb\x6a"
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x020f)
    image[0x211] = 1  # LOADED_HIGH
    struct.pack_into("<I", image, 0x214, 0x100000)  # code32_start
    struct.pack_into("<I", image, 0x22c, 0x7fffffff)  # initrd_addr_max
    struct.pack_into("<I", image, 0x230, 0x200000)  # kernel_alignment
    image[0x234] = 1  # relocatable
    struct.pack_into("<H", image, 0x236, 1)  # xloadflags: 64-bit entry
    struct.pack_into("<I", image, 0x238, 255)  # cmdline_size
    struct.pack_into("<Q", image, 0x258, 0x1000000)  # pref_address
    struct.pack_into("<I", image, 0x260, init_size)
    return bytes(image)


class OptionValues(program.ProgramTest):
    def test_sizes_of_memory_that_are_none_are_refused(self):
        for text in ("", "x", "12Q", "1.5G", "-1", "99999999999999999999", "16777216T", "0x", "4097"):
            with self.subTest(text):
                self.assert_refused(2, ["--memory"], "run", "x", f"--memory={text}")

    @needs_kvm
    def test_disks_that_are_none_are_refused_by_name(self):
        kernel, odd, good = self.file("kernel", b"\xf4"), self.file("odd", bytes(1000)), self.file("good", bytes(4096))
        for options, words in (([f"path={odd}.missing"], "No such file"), (["path=/tmp"], "Is a directory"),
                               (["path=/dev/null"], "neither a file nor a block device"),
                               ([f"path={odd}"], "no multiple of 512"),
                               ([f"path={good}", f"path={good}"], "is in use")):
            with self.subTest(words):
                self.assert_refused(2, ["--disk: ", words], "run", "--flat16", "0x1000", kernel,
                                    *(f"--disk={option}" for option in options))

    def test_memory_that_cannot_be_had_is_refused_by_option(self):
        short = self.file("short", b"x")
        for options, words in ((["--memory-backing", "file=/nonexistent"], ["--memory-backing", "/nonexistent", "No such file"]),
                               (["--memory-backing", f"file={short}"], ["--memory-backing", short, "the file has 0x1"]),
                               (["--memory-backing", "file=/dev/null"], ["--memory-backing", "not a regular file"]),
                               (["--memory-backing", "memfd,shared"], ["--memory-backing: shared: goes with"]),
                               (["--memory-backing", "hugetlb", "--memory", "3M"], ["--memory: ", "2 MiB"]),
                               (["--memory-backing", "memfd", "--merge-memory"], ["--merge-memory: "])):
            with self.subTest(options=options):
                self.assert_refused(2, words, "run", self.file("guest", b"\xf4"), "--flat16", "0x1000", *options)

    @needs_kvm
    def test_what_cannot_be_is_refused_by_option_before_there_is_a_machine(self):
        kernel, disk = self.file("kernel", b"\xf4"), self.file("disk", bytes(4096))
        missing = os.path.join(self.dir, "missing")
        for options, line in (
                (["--cpu-affinity", "0=4000"], "--cpu-affinity: 0=4000: the host has no CPU 4000"),
                (["--cpu-affinity", "7=0"], "--cpu-affinity: 7=0: there is no CPU 7, cpus is 1"),
                (["--fw-cfg", f"a={disk}", "--fw-cfg", f"a={disk}"], "--fw-cfg: there are two files 'a'"),
                (["--fw-cfg", "x" * 56 + "=" + disk], f"--fw-cfg: '{'x' * 56}' is no name of 1 to 55 bytes"),
                (["--fw-cfg", f"a={missing}"], f"--fw-cfg: {missing}: No such file or directory"),
                (["--disk", f"path={disk},readonly"] * 12, "--disk: there is no place for more than 11 virtio devices, and "
                 "these are 12 (virtio-transport pci has more)"),
                (["--disk", f"path={disk},readonly,bus=nvme"] * 32,
                 "--disk: PCI has no place for more than 31 devices, and these are 32"),
                (["--net", "user"] * 12, "--net: there is no place for more than 11 virtio devices, and these are 12 "
                 "(virtio-transport pci has more)")):
            with self.subTest(line):
                ended = self.assert_refused(2, [], "run", "--flat16", "0x1000", kernel, *options)
                self.assertEqual(ended.err, f"kvmxx: {line}\n")

    @needs_kvm
    def test_a_value_of_a_configuration_file_s_is_refused_by_file_and_line(self):
        self.file("guest", b"\xf4")
        path = os.path.join(self.dir, "vm.toml")
        for text, words in (("kernel = 'guest'\nmemory = 4097\n", "2: memory: 4097 is no multiple"),
                            ("kernel = 'guest'\n[[disk]]\npath = 'none'\n", f"2: disk: {self.dir}/none: No such file"),
                            ("cpus = 0\nkernel = 'guest'\n", "1: cpus: a machine needs one")):
            with self.subTest(text):
                self.file("vm.toml", text.encode())
                self.assert_refused(2, [f"kvmxx: {path}:{words}"], "run", "--config", path, "--flat16", "0x1000")
        self.file("vm.toml", b"kernel = 'guest'\ncpus = 0\n")
        self.assert_refused(2, ["kvmxx: --memory: 4097 is"], "run", "--config", path, "--cpus", "1", "--memory", "4097",
                            "--flat16", "0x1000")
        self.assert_refused(2, ["kvmxx: --cpus: a machine"], "run", "--config", path, "--cpus", "0", "--flat16", "0x1000")

    def test_no_memory_is_refused(self):
        self.assert_refused(2, ["--memory"], "run", "x", "--memory", "0")

    def test_more_memory_than_the_host_has_is_refused(self):
        self.assert_refused(2, ["--memory", "1000 TiB", "more than the host has"], "run", "x", "--memory", "1000T")

    def test_numbers_of_cpus_that_are_none_are_refused(self):
        for text in ("0", "-1", "x", "1.5", "", "99999999999"):
            with self.subTest(text):
                self.assert_refused(2, ["--cpus"], "run", "x", f"--cpus={text}")

    @needs_kvm
    def test_more_cpus_than_kvm_has_are_refused(self):
        self.assert_refused(2, ["--cpus", "100000", "at most"], "run", "x", "--cpus", "100000")

    def test_timeouts_that_are_none_are_refused(self):
        for text in ("0", "-1", "x", "", "nan", "inf", "1e99"):
            with self.subTest(text):
                self.assert_refused(2, ["--timeout"], "run", "x", f"--timeout={text}")

    def test_addresses_that_are_none_are_refused(self):
        for option, text in (("--flat16", "x"), ("--flat16", "0x100000"), ("--flat16", ""),
                             ("--flat64", "-1"), ("--flat64", "0x100000000"), ("--flat64", "1M")):
            with self.subTest(option + " " + text):
                self.assert_refused(2, [option], "run", "x", f"{option}={text}")

    def test_configuration_files_are_refused_by_file_line_and_key(self):
        path = os.path.join(self.dir, "vm.toml")
        for text, words in (("cpus = 1\nmemroy = '1G'\n", ["2: memroy"]), ("\nmemory = '12Q'\n", ["2: memory", "12Q"]),
                            ("cpus = \n", ["1: "]), ("flat16 = 1\nflat64 = 2\n", ["flat16", "flat64"])):
            with self.subTest(text):
                self.file("vm.toml", text.encode())
                self.assert_refused(2, [path + ":", *words], "run", "--config", path)
        self.assert_refused(2, ["missing.toml", "No such file"], "run", "--config", os.path.join(self.dir, "missing.toml"))
        self.assert_refused(2, [self.dir, "Is a directory"], "run", "--config", self.dir)

    def test_options_override_the_configuration_file_and_all_of_it_is_printed_as_one(self):
        path = self.file("vm.toml", b"kernel = 'k'\ncpus = 3\nmemory = '1G'\n")
        ended = self.kvmxx("run", "--config", path, "--cpus", "5", "--timeout", "2", "--print-config")
        self.assertEqual((ended.status, ended.err), (0, ""))
        lines = ended.out.splitlines()
        for line in (f'kernel = "{self.dir}/k"', 'memory = "1G"', "cpus = 5", "timeout = 2"):
            self.assertIn(line, lines)
        again = self.kvmxx("run", "--config", self.file("again.toml", ended.out.encode()), "--print-config")
        self.assertEqual((again.status, again.out), (0, ended.out))


@needs_kvm
class Images(program.ProgramTest):
    def assert_image_refused(self, path, words, *args):
        with self.subTest(os.path.basename(path)):
            self.assert_refused(1, [path, *words], "run", path, *args)

    def test_missing_image_is_named(self):
        self.assert_image_refused(os.path.join(self.dir, "missing"), ["No such file"])

    def test_an_image_that_has_a_setting_s_name_is_a_file_still(self):
        for name in ("kernel", "memory"):
            ended = self.assert_refused(1, [], "run", name)
            self.assertEqual(ended.err, f"kvmxx: {name}: No such file or directory\n")

    def test_directory_is_no_image(self):
        self.assert_image_refused(self.dir, ["Is a directory"])

    def test_device_is_no_image(self):
        self.assert_image_refused("/dev/zero", ["not a regular file"])

    def test_empty_image_is_named(self):
        self.assert_image_refused(self.file("empty"), ["empty"])

    def test_image_of_no_known_kind_is_named(self):
        self.assert_image_refused(self.file("text", b"It is a truth universally acknowledged\n" * 50), ["no known kind"])

    def test_compressed_image_is_told_by_its_kind(self):
        self.assert_image_refused(self.file("kernel.gz", b"\x1f\x8b\x08" + bytes(100)), ["gzip"])
        self.assert_image_refused(self.file("kernel.xz", b"\xfd7zXZ\x00" + bytes(100)), ["xz"])

    def test_images_for_other_machines_are_told_by_their_kind(self):
        arm64 = bytearray(4096)
        arm64[0x38:0x3c] = b"ARM\x64"
        self.assert_image_refused(self.file("Image", bytes(arm64)), ["arm64"])
        elf = bytearray(4096)
        elf[0:7] = b"\x7fELF\x02\x01\x01"
        struct.pack_into("<HH", elf, 0x10, 2, 183)  # EM_AARCH64
        self.assert_image_refused(self.file("vmlinux-arm64", bytes(elf)), [])

    def test_program_for_linux_is_no_kernel(self):
        self.assert_image_refused(os.path.realpath("/bin/true"), ["no kernel"])

    def test_truncated_bzimage_is_named_at_every_length(self):
        whole = bzimage()
        # syssize is in units of 16 bytes, rounded up: fewer may be missing.
        for size in (1, 511, 512, 0x1f1, 0x202, 0x206, 0x230, 0x264, 1024, 2559, 2560, len(whole) - 16):
            self.assert_image_refused(self.file(f"bzImage-{size}", whole[:size]), [])

    def test_bzimage_that_does_not_fit_is_named(self):
        self.assert_image_refused(self.file("bzImage", bzimage(init_size=64 << 20)), ["16 MiB"], "--memory", "16M")

    def test_flat_binary_that_does_not_fit_is_named(self):
        self.assert_image_refused(self.file("flat", size=3 << 30), ["3 GiB"], "--flat64", "0x100000", "--memory", "64M")

    def test_missing_empty_and_oversized_initrds_are_named(self):
        kernel = self.file("bzImage", bzimage())
        missing, empty = os.path.join(self.dir, "missing"), self.file("empty")
        big = self.file("big", b"070701", size=300 << 20)
        for initrd, words in ((missing, ["No such file"]), (empty, ["empty"]), (big, ["300 MiB"]), (self.dir, [])):
            with self.subTest(initrd):
                self.assert_refused(2, [f"kvmxx: --initrd: {initrd}: ", *words], "run", kernel, "--initrd", initrd,
                                    "--memory", "256M")

    def test_command_line_that_is_too_long_is_a_bad_option(self):
        self.assert_refused(2, ["--cmdline", "255"], "run", self.file("bzImage", bzimage()), "--cmdline", "x" * 3000)

    def test_unreadable_image_is_named(self):
        path = self.file("secret", program.HALT)
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            self.skipTest("this user may read everything")
        self.assert_image_refused(path, ["Permission denied"])


class Device(program.ProgramTest):
    """Without /dev/kvm, and without permission for it, in a mount namespace of our own."""

    def in_namespace(self, script):
        root = os.geteuid() == 0
        command = ["unshare", "-m" if root else "-Urm", "sh", "-ec", script + '\nexec "$@"', "sh", program.PROGRAM]
        probe = subprocess.run([*command[:-1], "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if probe.returncode != 0:
            self.skipTest("no mount namespace: " + probe.stdout.decode().strip().replace("\n", " "))
        return command

    def test_without_the_device_the_line_says_so(self):
        command = self.in_namespace("mount -t tmpfs none /dev")
        for verb in (["run", self.file("halt", program.HALT), "--flat16", "0x1000"], ["hello"]):
            self.assert_refused(1, ["/dev/kvm", "No such file"], *verb, command=command)

    def test_without_permission_the_line_says_so(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become somebody without permission")
        script = "mount -t tmpfs none /dev; mknod -m 600 /dev/kvm c 10 232"
        command = self.in_namespace(script)
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
        reachable = subprocess.run([*drop, "test", "-x", program.PROGRAM])
        if reachable.returncode != 0:
            self.skipTest("nobody may not run the program from here")
        command[-1:] = [*drop, program.PROGRAM]
        self.assert_refused(1, ["/dev/kvm", "Permission denied", "kvm"], "hello", command=command)

    def test_another_file_in_the_device_s_place_is_told(self):
        if not os.path.exists("/dev/kvm"):
            self.skipTest("needs /dev/kvm, to put something in its place")
        command = self.in_namespace("mount --bind /dev/null /dev/kvm")
        self.assert_refused(1, ["KVM_GET_API_VERSION", "not KVM"], "hello", command=command)


if __name__ == "__main__":
    program.main()
