// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "verbs.hpp"

namespace kvmxx {

void add_run(CLI::App& app, int& status) {
    app.add_subcommand("run")->callback([&status] { status = status_error; });
}

}  // namespace kvmxx
