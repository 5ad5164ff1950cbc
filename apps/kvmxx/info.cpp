// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/core.h>

#include <memory>

#include "info_text.hpp"
#include "verbs.hpp"

namespace kvmxx {

namespace {

struct InfoOptions {
    vmm::host::ProbeOptions probe;
    bool json = false;
};

int info(const InfoOptions& options) {
    const vmm::host::Report report = vmm::host::probe(options.probe);
    if (!report.kvm) {
        fmt::print(stderr, "kvmxx info: {}\n", first_failure(vmm::host::examine(report)));
    }
    options.json ? print(to_json(report)) : print(to_text(report, Style()));
    return report.kvm ? status_ok : status_error;
}

}  // namespace

void add_info(CLI::App& app, int& status) {
    const auto options = std::make_shared<InfoOptions>();
    CLI::App& verb = *app.add_subcommand("info", "What this host's KVM is and can do");
    add_probe_options(verb, options->probe);
    verb.add_flag("--json", options->json, "For programs: see docs/program-info.md");
    verb.callback([options, &status] { status = info(*options); });
}

}  // namespace kvmxx
