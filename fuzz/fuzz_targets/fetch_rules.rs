//! Filters and rules about hidden refs: what is refused is refused with words, and rules fit only whole parts of names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packhouse_wire::{FilterSpec, HiddenRefs};

fn parts(spec: &FilterSpec) -> usize {
    match spec {
        FilterSpec::Combine(parts_of, _) => parts_of.iter().map(parts).sum(),
        _ => 1,
    }
}

fuzz_target!(|input: (&[u8], Vec<&[u8]>, &[u8], &[u8])| {
    let (spec, rules, namespace, name) = input;
    match FilterSpec::parse(spec) {
        Ok(parsed) => assert!(parts(&parsed) <= spec.len()),
        Err(message) => assert!(!message.is_empty() && message.len() < 1000),
    }
    let hidden = HiddenRefs::new(&rules);
    let whole = [namespace, name].concat();
    let hides = hidden.is_hidden(name, &whole);
    assert!(!hides || !hidden.is_empty());
    // Git's definition, word for word: the last rule that fits decides.
    let mut expected = false;
    for rule in &rules {
        let mut rule = *rule;
        while let Some(rest) = rule.strip_suffix(b"/") {
            rule = rest;
        }
        let shows = rule.first() == Some(&b'!');
        rule = if shows { &rule[1..] } else { rule };
        let subject = match rule.strip_prefix(b"^") {
            Some(rest) => {
                rule = rest;
                &whole[..]
            }
            None => name,
        };
        let fits = subject.starts_with(rule) && matches!(subject.get(rule.len()), None | Some(b'/'));
        if fits {
            expected = !shows;
        }
    }
    assert_eq!(hides, expected);
});
