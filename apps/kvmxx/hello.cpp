// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "verbs.hpp"

namespace kvmxx {

void add_hello(CLI::App& app, int& status) {
    app.add_subcommand("hello")->callback([&status] { status = status_error; });
}

}  // namespace kvmxx
