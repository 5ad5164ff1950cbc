// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "verbs.hpp"

namespace kvmxx {

void add_doctor(CLI::App& app, int& status) {
    app.add_subcommand("doctor")->callback([&status] { status = status_error; });
}

}  // namespace kvmxx
