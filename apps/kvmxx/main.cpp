// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "verbs.hpp"

#include <kvm/version.hpp>

int main(int argc, char** argv) {
    CLI::App app("kvmxx: virtual machines on Linux KVM", "kvmxx");
    app.set_version_flag("--version", kvm::version);
    app.require_subcommand(1);
    int status = kvmxx::status_ok;
    kvmxx::add_run(app, status);
    kvmxx::add_hello(app, status);
    kvmxx::add_info(app, status);
    kvmxx::add_doctor(app, status);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kvmxx::status_ok : kvmxx::status_usage;
    }
    return status;
}
