// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <vmm/machine/settings/config_text.hpp>
#include <vmm/machine/settings/key_values.hpp>

namespace vmm::detail {
namespace {

constexpr std::array keys{
    Key{"path", KeyKind::path, KeyCount::required},
    Key{"readonly", KeyKind::flag},
    Key{"serial", KeyKind::text},
    Key{"forward", KeyKind::text, KeyCount::many},
    Key{"huge", KeyKind::either},
};

std::string refusal(std::string_view text) {
    const auto values = parse_key_values(text, keys);
    EXPECT_TRUE(values || values.error().code == EINVAL);
    return values ? "taken" : values.error().message;
}

TEST(KeyValues, AreReadByName) {
    const auto values =
        parse_key_values("path=x.img,readonly,serial=a=b,forward=1,huge,forward=2", keys);
    ASSERT_TRUE(values) << values.error().message;
    EXPECT_EQ(*values->find("path"), "x.img");
    EXPECT_TRUE(values->has("readonly"));
    EXPECT_EQ(*values->find("serial"), "a=b");
    EXPECT_EQ(values->all("forward"), (std::vector<std::string>{"1", "2"}));
    EXPECT_EQ(*values->find("huge"), "");
    EXPECT_FALSE(values->has("size"));
    EXPECT_EQ(values->find("size"), nullptr);
    EXPECT_TRUE(values->all("size").empty());
    EXPECT_EQ(*parse_key_values("huge=2M,path=x", keys)->find("huge"), "2M");
}

TEST(KeyValues, SayWhichKeyIsWrongAndHow) {
    EXPECT_EQ(refusal("path=x,foo=1"),
              "'foo': there is no such key: path, readonly, serial, forward or huge");
    EXPECT_EQ(refusal("path"), "path: needs a value, path=...");
    EXPECT_EQ(refusal("path="), "path: needs a value, path=...");
    EXPECT_EQ(refusal("path=x,huge="), "huge: needs a value, huge=...");
    EXPECT_EQ(refusal("path=x,readonly=1"), "readonly: takes no value");
    EXPECT_EQ(refusal("path=x,path=y"), "path: is given twice");
    EXPECT_EQ(refusal("path=x,readonly,readonly"), "readonly: is given twice");
    EXPECT_EQ(refusal("readonly"), "path: is missing");
    EXPECT_EQ(refusal(""), "is empty: give path, readonly, serial, forward or huge");
    for (const char* text : {"path=x,", ",", "=x", "path=x, readonly", "PATH=x"}) {
        EXPECT_NE(refusal(text).find("there is no such key"), std::string::npos) << text;
    }
}

TEST(KeyValues, HaveCommasThatAreWrittenTwice) {
    const auto values = parse_key_values("path=,,a,,b,,,readonly", keys);
    ASSERT_TRUE(values) << values.error().message;
    EXPECT_EQ(*values->find("path"), ",a,b,");
    EXPECT_TRUE(values->has("readonly"));
}

TEST(KeyValues, ArePrintedAsTheyAreRead) {
    KeyValues made;
    made.add("path", ",a,,b=c,").add_if(true, "readonly").add_if(false, "serial", "x");
    made.add("forward", "1").add("forward", "2").add("huge");
    const auto again = parse_key_values(made.text(), keys);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(std::ranges::equal(again->parts(), made.parts())) << made.text();
    EXPECT_EQ(again->text(), made.text());
}

TEST(KeyValues, NameTheKeyOfAValueThatIsNoGood) {
    const auto error = about_key("size", Error{"'12Q' is not a size", EINVAL}).error();
    EXPECT_EQ(error.message, "size: '12Q' is not a size");
    EXPECT_EQ(error.code, EINVAL);
}

// Settings of a test: they keep in fw_cfg what they are given.
constexpr std::array kept{
    Setting{"disk", SettingKind::list, "", "", "",
            [](MachineConfig& c, const std::string& text) {
                c.fw_cfg.push_back({"disk", text});
                return parse_key_values(text, keys) ? Result<void>() : fail("no good", EINVAL);
            },
            [](const MachineConfig&) { return std::vector<std::string>(); }, keys},
    Setting{"memory", SettingKind::text, "", "", "",
            [](MachineConfig& c, const std::string& text) {
                c.fw_cfg.push_back({"memory", text});
                return Result<void>();
            },
            [](const MachineConfig&) { return std::vector<std::string>(); }, keys},
};

/// What such settings get from a file /d/vm.toml, in lines, or the error.
std::string got(std::string_view text) {
    MachineConfig config;
    if (const auto done = read_config_text(config, text, "/d/vm.toml", kept); !done) {
        EXPECT_EQ(done.error().code, EINVAL);
        EXPECT_TRUE(config.fw_cfg.empty()) << "a refused file changes nothing";
        return done.error().message;
    }
    std::string lines;
    for (const FwCfgFile& file : config.fw_cfg) {
        lines += file.name + ":" + file.path + "\n";
    }
    return lines;
}

TEST(ConfigFiles, HaveTablesForValuesMadeOfParts) {
    const std::string want =
        "disk:path=/d/x.img,readonly,serial=a,,b,forward=1,forward=2,huge=2M\n"
        "disk:path=/y.img,huge\n";
    EXPECT_EQ(got("[[disk]]\npath = 'x.img'\nreadonly = true\nserial = 'a,b'\n"
                  "forward = [1, '2']\nhuge = '2M'\n"
                  "[[disk]]\npath = '/y.img'\nreadonly = false\nhuge = true\n"),
              want);
    EXPECT_EQ(got("disk = ['path=x.img,readonly,serial=a,,b,forward=1,forward=2,huge=2M', "
                  "'path=/y.img,huge']"),
              want);
    EXPECT_EQ(got("disk = ['path=x', {path = 'y'}]"), "disk:path=/d/x\ndisk:path=/d/y\n");
    EXPECT_EQ(got("[memory]\npath = 'x'"), "memory:path=/d/x\n");
    EXPECT_EQ(got("memory = 'path=x'"), "memory:path=/d/x\n");
}

TEST(ConfigFiles, NameTheKeyOfATableThatIsNoGood) {
    const std::string disk = "/d/vm.toml:1: disk: ";
    EXPECT_EQ(got("disk = [{path = 'x', foo = 1}]"),
              disk + "'foo': there is no such key: path, readonly, serial, forward or huge");
    EXPECT_EQ(got("disk = [{readonly = true}]"), disk + "path: is missing");
    EXPECT_EQ(got("disk = [{}]"), disk + "is empty: give path, readonly, serial, forward or huge");
    EXPECT_EQ(got("disk = [{path = ''}]"), disk + "path: is empty");
    EXPECT_EQ(got("disk = [{path = true}]"), disk + "path: is not text or a number");
    EXPECT_EQ(got("disk = [{path = ['x']}]"), disk + "path: is not text or a number");
    EXPECT_EQ(got("disk = [{path = 'x', forward = [[1]]}]"),
              disk + "forward: is not text or a number");
    EXPECT_EQ(got("disk = [{path = 'x', readonly = 1}]"), disk + "readonly: is not true or false");
    EXPECT_EQ(got("disk = [['path=x']]"), disk + "is not text or a number");
    EXPECT_EQ(got("disk = ['path=x,path=y']"), disk + "path: is given twice");
    EXPECT_EQ(got("[disk]\npath = 'x'"), disk + "is not a list, [...]");
    EXPECT_EQ(got("\n[[disk]]\npath = 'x'\n[[disk]]\nsize = 1"),
              "/d/vm.toml:4: disk: 'size': there is no such key: path, readonly, serial, forward "
              "or huge");
}

}  // namespace
}  // namespace vmm::detail
