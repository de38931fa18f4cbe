//! Packs that would take too much memory or time.

use std::time::{Duration, Instant};

use packhouse_object::{EntryKind, ObjectId, ObjectKind, ReceiveError, ReceiveLimits};

use super::{receive_with, refused, sample};
use crate::packs::crafted::{Crafted, Op, delta, tree};
use crate::packs::history;

#[test]
fn a_delta_bomb_is_refused_before_it_goes_off() {
    let limits = ReceiveLimits {
        object_bytes: 1 << 30,
        ..ReceiveLimits::default()
    };
    let mut crafted = Crafted::new();
    let base = crafted.object(ObjectKind::Blob, &vec![0; 0x10000]);
    // A result of exabytes.
    let distance = crafted.next_offset() - base;
    crafted.entry(
        EntryKind::OffsetDelta { distance },
        &delta(0x10000, 1 << 60, &[Op::Copy(0, 0x10000)]),
    );
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::TooLarge { size, .. } if size == 1 << 60),
        "{error}"
    );

    // Each is a hundred times the one before: the numbers add up before anything is made.
    let started = Instant::now();
    let mut crafted = Crafted::new();
    let mut last = crafted.object(ObjectKind::Blob, &vec![0; 0x10000]);
    let mut size = 0x10000;
    while size < 1 << 36 {
        let ops: Vec<Op<'_>> = (0..100).map(|_| Op::Copy(0, size.min(0xff_ffff))).collect();
        let result = ops.len() as u64 * size.min(0xff_ffff);
        let distance = crafted.next_offset() - last;
        last = crafted.entry(
            EntryKind::OffsetDelta { distance },
            &delta(size, result, &ops),
        );
        if result <= size {
            break;
        }
        size = result;
    }
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(matches!(error, ReceiveError::TooLarge { .. }), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn many_large_results_of_small_deltas_are_refused_together() {
    let limits = ReceiveLimits {
        expansion_bytes: 64 << 20,
        expansion_ratio: 10,
        ..ReceiveLimits::default()
    };
    let mut crafted = Crafted::new();
    let content = vec![7; 1 << 20];
    let base = crafted.object(ObjectKind::Blob, &content);
    for n in 0..1000u32 {
        let number = n.to_be_bytes();
        let ops = [Op::Copy(0, 1 << 20), Op::Insert(&number)];
        let distance = crafted.next_offset() - base;
        crafted.entry(
            EntryKind::OffsetDelta { distance },
            &delta(1 << 20, (1 << 20) + 4, &ops),
        );
    }
    let started = Instant::now();
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::ExpandsTooMuch { .. }),
        "{error}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn many_small_copies_from_a_large_base_are_charged_for() {
    // Base and delta are over what is in memory, so that each copy reads a file.
    let limits = ReceiveLimits {
        memory_bytes: 64 << 10,
        expansion_bytes: 64 << 20,
        expansion_ratio: 10,
        ..ReceiveLimits::default()
    };
    let mut crafted = Crafted::new();
    let content = history::Numbers::new(4).bytes(1 << 20);
    let base = crafted.object(ObjectKind::Blob, &content);
    let ops: Vec<Op<'_>> = (0..1u64 << 20)
        .map(|n| Op::Copy(n * 7919 % (1 << 20), 1))
        .collect();
    let distance = crafted.next_offset() - base;
    crafted.entry(
        EntryKind::OffsetDelta { distance },
        &delta(1 << 20, 1 << 20, &ops),
    );
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::ExpandsTooMuch { .. }),
        "{error}"
    );
}

#[test]
fn a_chain_of_deltas_is_followed_so_far() {
    let chain = |len: u32| {
        let mut crafted = Crafted::new();
        let mut last = crafted.object(ObjectKind::Blob, b"hello");
        for n in 0..len {
            let distance = crafted.next_offset() - last;
            let number = n.to_be_bytes();
            let ops = [Op::Copy(0, 5), Op::Insert(&number)];
            let size = if n == 0 { 5 } else { 9 };
            last = crafted.entry(EntryKind::OffsetDelta { distance }, &delta(size, 9, &ops));
        }
        crafted.finish()
    };
    let limits = ReceiveLimits {
        small_pack_bytes: 0,
        ..ReceiveLimits::default()
    };
    receive_with(&chain(4095), Vec::new(), &limits).unwrap();
    let error = receive_with(&chain(4096), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::DeltaTooDeep { limit: 4095, .. }),
        "{error}"
    );
}

#[test]
fn limits_on_size_and_number_are_kept() {
    let bytes = sample();
    let at = |change: fn(&mut ReceiveLimits)| {
        let mut limits = ReceiveLimits::default();
        change(&mut limits);
        receive_with(&bytes, Vec::new(), &limits).map(drop)
    };
    assert!(at(|limits| limits.objects = 6).is_ok());
    assert!(matches!(
        at(|limits| limits.objects = 5),
        Err(ReceiveError::TooManyObjects { .. })
    ));
    assert!(matches!(
        at(|limits| limits.object_bytes = 41),
        Err(ReceiveError::TooLarge { .. })
    ));
    // Files have a limit of their own.
    assert!(at(|limits| limits.link_bytes = 1 << 10).is_ok());
    assert!(matches!(
        at(|limits| limits.link_bytes = 30),
        Err(ReceiveError::TooLarge { limit: 30, .. })
    ));
    assert!(matches!(
        at(|limits| limits.pack_bytes = 100),
        Err(ReceiveError::PackTooLarge { .. })
    ));
}

#[test]
fn trees_that_name_ids_made_up_by_the_thousand_are_refused_early() {
    // More distinct ids than are gathered before any is looked up.
    let mut crafted = Crafted::new();
    let mut numbers = history::Numbers::new(5);
    for _ in 0..8 {
        let mut entries = Vec::new();
        for n in 0..40_000u32 {
            let raw: [u8; 20] = numbers.bytes(20).try_into().unwrap();
            entries.push((format!("{n:06}"), ObjectId::from(raw)));
        }
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, id)| (b"100644".as_slice(), name.as_bytes(), *id))
            .collect();
        crafted.object(ObjectKind::Tree, &tree(&entries));
    }
    let error = refused(&crafted.finish());
    assert!(
        matches!(error, ReceiveError::MissingObjects { .. }),
        "{error}"
    );
}
