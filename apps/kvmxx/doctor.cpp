// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/core.h>

#include <memory>

#include "info_text.hpp"
#include "verbs.hpp"

namespace kvmxx {

namespace {

using vmm::host::Finding;
using vmm::host::Verdict;

struct DoctorOptions {
    vmm::host::ProbeOptions probe;
    bool quiet = false;
    bool json = false;
};

const char* diagnosis(Verdict verdict) {
    switch (verdict) {
        case Verdict::ok:
        case Verdict::note:
            return "healthy";
        case Verdict::warn:
            return "degraded";
        case Verdict::fail:
            break;
    }
    return "broken";
}

std::string mark(Verdict verdict, const Style& style) {
    const std::string text = fmt::format("{:<4}", name(verdict));
    switch (verdict) {
        case Verdict::ok:
            return style.green(text);
        case Verdict::note:
            return style.dim(text);
        case Verdict::warn:
            return style.yellow(text);
        case Verdict::fail:
            break;
    }
    return style.red(text);
}

std::string findings_text(const std::vector<Finding>& findings, bool quiet) {
    const Style style;
    std::string text;
    for (const Finding& finding : findings) {
        if (quiet && finding.verdict < Verdict::warn) {
            continue;
        }
        text += fmt::format("{}  {}\n", mark(finding.verdict, style), finding.text);
        if (!finding.remedy.empty()) {
            text += fmt::format("      {}\n", finding.remedy);
        }
    }
    if (!quiet) {
        switch (worst(findings)) {
            case Verdict::ok:
            case Verdict::note:
                text += "This host runs guests.\n";
                break;
            case Verdict::warn:
                text += "This host runs guests, but not as well as it could.\n";
                break;
            case Verdict::fail:
                text += "This host runs no guests until that is mended.\n";
                break;
        }
    }
    return text;
}

nlohmann::ordered_json findings_json(const std::vector<Finding>& findings) {
    nlohmann::ordered_json json;
    json["schema"] = 1;
    json["diagnosis"] = diagnosis(worst(findings));
    json["checks"] = nlohmann::ordered_json::array();
    for (const Finding& finding : findings) {
        nlohmann::ordered_json check{
            {"check", finding.check},
            {"verdict", finding.verdict == Verdict::fail ? "fail" : name(finding.verdict)},
            {"text", finding.text}};
        if (!finding.remedy.empty()) {
            check["remedy"] = finding.remedy;
        }
        json["checks"].push_back(std::move(check));
    }
    return json;
}

int doctor(const DoctorOptions& options) {
    const auto findings = vmm::host::examine(vmm::host::probe(options.probe));
    options.json ? print(findings_json(findings)) : print(findings_text(findings, options.quiet));
    switch (worst(findings)) {
        case Verdict::ok:
        case Verdict::note:
            return status_ok;
        case Verdict::warn:
            return status_degraded;
        case Verdict::fail:
            break;
    }
    return status_error;
}

}  // namespace

void add_doctor(CLI::App& app, int& status) {
    const auto options = std::make_shared<DoctorOptions>();
    CLI::App& verb =
        *app.add_subcommand("doctor", "What is wrong with this host, and how to mend it");
    add_probe_options(verb, options->probe);
    verb.add_flag("-q,--quiet", options->quiet, "Only what needs mending");
    verb.add_flag("--json", options->json, "For programs: see docs/program-info.md");
    verb.footer(
        "Status: 0 guests run; 1 no guest runs; 2 a wrong option; 3 guests run, but less well than they "
        "could, for instance interpreted.");
    verb.callback([options, &status] { status = doctor(*options); });
}

}  // namespace kvmxx
