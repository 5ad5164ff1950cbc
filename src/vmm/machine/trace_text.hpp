// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <string>
#include <vmm/machine/trace.hpp>

/// Recordings as text: docs/machine.md has the format.
namespace vmm::detail {

/// The first line.
inline constexpr std::string_view trace_head = "kvmxx-trace 1\n";

/// Whether a recording has this setting.
bool is_recorded(std::string_view setting);
/// A text as one line, as recordings have it: "\n" and "\\" for a newline and a backslash.
std::string escaped(std::string_view text);
/// The lines that say what the machine is made of.
std::string config_lines(const MachineConfig& config);
/// An event's line, and one for each of its effects.
std::string event_lines(const TraceEvent& event);
/// "irq gsi=4 level=1"
std::string effect_text(const TraceEffect& effect);
/// "io_out port=0x3f8 size=1 data=48": an exit without when and where.
std::string exit_text(const fake::ExitData& exit);

/// "reset", ...: EndReason's name.
std::string_view reason_word(EndReason reason);

}  // namespace vmm::detail
