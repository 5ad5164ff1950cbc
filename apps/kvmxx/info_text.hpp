// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vmm/host/examine.hpp>
#include <vmm/host/probe.hpp>

#include "json.hpp"

/// What `kvmxx info` and `kvmxx doctor` share: how a host's report is shown.
namespace kvmxx {

/// What `kvmxx doctor` ends with, beside status_ok, status_error and status_usage: guests run, but
/// less well than they could.
inline constexpr int status_degraded = 3;

/// Colours for a terminal, or nothing: where standard output is none, NO_COLOR is set or TERM is
/// dumb.
class Style {
public:
    Style();

    std::string bold(const std::string& text) const { return wrap("1", text); }
    std::string dim(const std::string& text) const { return wrap("2", text); }
    std::string red(const std::string& text) const { return wrap("1;31", text); }
    std::string green(const std::string& text) const { return wrap("32", text); }
    std::string yellow(const std::string& text) const { return wrap("33", text); }

private:
    std::string wrap(const char* code, const std::string& text) const;

    bool colour_;
};

/// --device, and --root for tests.
void add_probe_options(CLI::App& verb, vmm::host::ProbeOptions& options);

/// The first fault that keeps guests from running, "" if there is none: "there is no /dev/kvm: load
/// ...".
std::string first_failure(const std::vector<vmm::host::Finding>& findings);

/// The report as docs/program-info.md has it.
Json to_json(const vmm::host::Report& report);

/// The report for people, in lines.
std::string to_text(const vmm::host::Report& report, const Style& style);

/// Writes to standard output; main() sees to errors.
void print(const std::string& text);
void print(const Json& json);

}  // namespace kvmxx
