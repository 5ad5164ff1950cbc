#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""consumer_test.py HOW BUILD SOURCE WORK COMPILER: a project that uses kvmxx builds and runs.

HOW is install (the prefix that the next ones use), find_package, find_package_vmm, pkg_config,
pkg_config_vmm or fetch_content. The prefix is moved after the installation: nothing may remember where
it was. Whatever the build was configured with is what is installed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

HOW, BUILD, SOURCE, WORK, COMPILER = sys.argv[1:6]
APP = pathlib.Path(__file__).resolve().parent / "app"
WORK = pathlib.Path(WORK)
PREFIX = WORK / "moved prefix"  # a space, which a careless script stumbles over
VERSION = re.search(r'version = "(.*)"', pathlib.Path(SOURCE, "include/kvm/version.hpp").read_text()).group(1)


def run(*command, **options):
    print("+", *command, flush=True)
    return subprocess.run([str(word) for word in command], check=True, text=True, **options)


def works(program):
    output = run(program, stdout=subprocess.PIPE).stdout
    print(output)
    assert output.startswith(f"kvmxx {VERSION}: "), output


def install():
    shutil.rmtree(WORK, ignore_errors=True)
    for component in "kvm", "vmm", "program":
        run("cmake", "--install", BUILD, "--prefix", WORK / "prefix", "--component", component)
    (WORK / "prefix").rename(PREFIX)
    for name in "LICENSE-MIT", "LICENSE-APACHE", "kvm.hpp", "libkvmxx_kvm.a", "kvmxx-config.cmake":
        assert list(PREFIX.rglob(name)), f"{name} is not installed"
    for path in PREFIX.rglob("*"):
        if path.suffix in (".cmake", ".pc"):
            text = path.read_text()
            for where in SOURCE, BUILD, str(WORK):
                assert where not in text, f"{path} names {where}"


def cmake(directory, *options):
    run("cmake", "-G", "Ninja", "-S", APP, "-B", directory, f"-DCMAKE_CXX_COMPILER={COMPILER}",
        "-DCMAKE_BUILD_TYPE=Debug", *options)
    run("cmake", "--build", directory)


def find_package(components, program):
    directory = WORK / f"find_package_{program}"
    cmake(directory, f"-DCMAKE_PREFIX_PATH={PREFIX}", f"-DCOMPONENTS={components}")
    works(directory / program)


def pkg_config(package, program):
    where = next(PREFIX.rglob(f"{package}.pc")).parent
    environment = os.environ | {"PKG_CONFIG_PATH": str(where)}
    assert run("pkg-config", "--modversion", package, env=environment,
               stdout=subprocess.PIPE).stdout.strip() == VERSION
    # As make does it: the shell splits what pkg-config quotes.
    run("sh", "-ec", f'eval "{COMPILER} -std=c++23 {APP}/{program}.cpp -o {program} '
        f'$(pkg-config --cflags --libs {package})"', env=environment, cwd=WORK)
    works(WORK / program)


def fetch_content():
    directory = WORK.with_name("fetch_content")
    cmake(directory, f"-DKVMXX_SOURCE={SOURCE}")
    works(directory / "core")


{"install": install,
 "find_package": lambda: find_package("kvm", "core"),
 "find_package_vmm": lambda: find_package("kvm;vmm", "toolkit"),
 "pkg_config": lambda: pkg_config("kvmxx-kvm", "core"),
 "pkg_config_vmm": lambda: pkg_config("kvmxx-vmm", "toolkit"),
 "fetch_content": fetch_content}[HOW]()
