//! Git's configuration, in files, on the command line and in variables: refused or read; settings that are written out in full are
//! read as the same.
//!
//! The readers are taken from their own source files: the crates around them would take much longer to build.
#![no_main]

use bstr::{BStr, ByteSlice};
use libfuzzer_sys::fuzz_target;
use packhouse_object::{ConfigItem, ConfigReading, read_config};

#[allow(dead_code)]
#[path = "../../crates/repo/src/directory/config.rs"]
mod config;
#[path = "../../crates/programs/src/config/number.rs"]
mod number;
#[path = "../../crates/programs/src/config/parameters.rs"]
mod parameters;

mod error {
    #[allow(dead_code)]
    #[derive(Debug)]
    pub enum ProgramError {
        Config(String),
    }
}

/// A setting: the whole name of its section, if it is in one, its key and its value.
type Setting = (Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>);

fuzz_target!(|data: &[u8]| {
    read_call(data.as_bstr());
    let (settings, is_whole) = settings(data);
    let parsed = config::Config::parse(data);
    let is_outside = settings.iter().any(|(section, _, _)| section.is_none());
    assert_eq!(parsed.is_ok(), is_whole && !is_outside);
    let text: Vec<u8> = settings.iter().flat_map(written).collect();
    let (again, is_whole) = self::settings(&text);
    assert!(is_whole);
    assert_eq!(again, settings);
    if let Ok(config) = parsed {
        for (section, key, _) in &settings {
            let section = section.as_deref().expect("it is in one").to_str();
            let (section, key) = (section.unwrap_or("."), key.to_str().expect("it is ASCII"));
            if !section.contains('.') {
                assert!(config.section(section).any(|(known, _)| known == key));
                let _ = (config.text(section, key), config.flag(section, key));
            }
        }
    }
});

/// What comes with a call: settings in a variable, numbers and truth values.
fn read_call(text: &BStr) {
    if let Ok(settings) = parameters::parameters(text) {
        for (_, value) in settings {
            let value = value.unwrap_or_default();
            let _ = (number::number(value.as_bstr()), number::truth(value.as_bstr()));
        }
    }
    let _ = (number::number(text), number::truth(text));
}

fn settings(text: &[u8]) -> (Vec<Setting>, bool) {
    let (mut settings, mut section) = (Vec::new(), None);
    let read = read_config(text, ConfigReading::File, &mut |_, item| {
        match item {
            ConfigItem::Section(name) => section = Some(name.to_vec()),
            ConfigItem::Setting { key, value } => {
                settings.push((section.clone(), key.to_vec(), value.map(<[u8]>::to_vec)));
            }
        }
        Ok(())
    });
    (settings, read.is_ok())
}

/// A setting as it may stand in a file.
fn written((section, key, value): &Setting) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(section) = section {
        text.push(b'[');
        match section.split_once_str(".") {
            Some((section, subsection)) => {
                text.extend_from_slice(section);
                text.extend_from_slice(b" \"");
                text.extend(escaped(subsection));
                text.push(b'"');
            }
            None => text.extend_from_slice(section),
        }
        text.extend_from_slice(b"]\n\t");
    }
    text.extend_from_slice(key);
    if let Some(value) = value {
        text.extend_from_slice(b" = \"");
        text.extend(escaped(value));
        text.push(b'"');
    }
    text.push(b'\n');
    text
}

fn escaped(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().flat_map(|byte| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        b'\n' => b"\\n".to_vec(),
        byte => vec![*byte],
    })
}
