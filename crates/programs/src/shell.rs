//! Commands of settings that may be more than the name of a program.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use bstr::{BStr, ByteSlice};

/// A command with any of these is the shell's to understand.
const FOR_SHELL: &[u8] = b"|&;<>()$`\\\"' \t\n*?[#~=%";

/// A command as git runs those of its settings: by the shell, if it has anything that one understands. Arguments that it is given
/// follow its own.
pub(crate) fn set_command(text: &BStr) -> Command {
    if text.find_byteset(FOR_SHELL).is_none() {
        return Command::new(OsStr::from_bytes(text));
    }
    let script = [text, b" \"$@\"".as_slice()].concat();
    let mut shell = Command::new("sh");
    shell.args([OsStr::new("-c"), OsStr::from_bytes(&script)]);
    shell.arg(OsStr::from_bytes(text));
    shell
}
