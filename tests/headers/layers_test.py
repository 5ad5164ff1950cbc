#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Headers include only what lies in a layer above them, and nothing of the kernel's or of the heavy kind."""

import sys
import unittest

from headers import INCLUDE, OPT_IN, STANDARD, includes, kvm_layer, public_headers, vmm_layer


class Layers(unittest.TestCase):
    def check_order(self, product, layer_of):
        for header in public_headers(product):
            layer = layer_of(header)
            self.assertIsNotNone(layer, f"{header} has no layer: name it in tests/headers/headers.py")
            for included in includes(header):
                if not included.startswith(product + "/"):
                    continue
                other = layer_of(included)
                self.assertIsNotNone(other, f"{header} includes {included}, which has no layer")
                with self.subTest(header=header, includes=included):
                    self.assertTrue(other[0] < layer[0] or other == layer and layer[1],
                                    "a layer includes only layers above it")

    def test_core_headers_include_only_layers_above_them(self):
        self.check_order("kvm", kvm_layer)

    def test_toolkit_headers_include_only_layers_above_them(self):
        self.check_order("vmm", vmm_layer)

    def test_core_includes_no_kernel_header_and_little_of_the_standard_library(self):
        for header in public_headers("kvm"):
            allowed = STANDARD | ({"exception"} if header == "kvm/throw.hpp" else set())
            for included in includes(header):
                with self.subTest(header=header, includes=included):
                    self.assertTrue(included.startswith("kvm/") or included in allowed,
                                    "not one of the headers that the core's public headers may include")

    def test_toolkit_includes_no_kernel_header(self):
        for header in public_headers("vmm"):
            for included in includes(header):
                with self.subTest(header=header, includes=included):
                    self.assertFalse(included.startswith(("linux/", "asm/")))

    def test_opt_in_headers_are_included_by_no_other(self):
        for header in public_headers("kvm"):
            self.assertFalse(OPT_IN & set(includes(header)), header)

    def test_every_included_header_exists(self):
        for header in public_headers("kvm") + public_headers("vmm"):
            for included in includes(header):
                if included.startswith(("kvm/", "vmm/")):
                    self.assertTrue((INCLUDE / included).exists(), f"{header}: {included}")

    def test_architecture_is_asked_in_one_header_only(self):
        for header in public_headers("kvm"):
            if header != "kvm/arch.hpp":
                text = (INCLUDE / header).read_text()
                for macro in "__x86_64__", "__aarch64__", "__riscv":
                    self.assertNotIn(macro, text, header)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
