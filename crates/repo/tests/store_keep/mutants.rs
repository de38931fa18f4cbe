//! Archives that were damaged at random: whatever becomes of them, nothing panics and nothing is half taken in.

use packhouse_repo::store::{
    ArchiveFormat, ArchiveIn, ArchiveLimits, NoProgress, Snapshot, WriteOptions,
};

use super::place::{Place, write};

const FORMATS: [ArchiveFormat; 5] = [
    ArchiveFormat::Zip,
    ArchiveFormat::Tar,
    ArchiveFormat::TarGz,
    ArchiveFormat::TarBz2,
    ArchiveFormat::TarXz,
];

const MUTANTS: u64 = 120;

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        start..(start + 1 + self.below(64)).min(len)
    }
}

fn mutate(whole: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut data = whole.to_vec();
    for _ in 0..=dice.below(3) {
        let range = dice.range(data.len());
        match dice.below(6) {
            0 | 1 => data[range.start] = dice.below(256) as u8,
            2 => drop(data.drain(range)),
            3 => {
                let again = data[range.clone()].to_vec();
                data.splice(range.start..range.start, again);
            }
            4 => data[range].fill([0, 0xff, b'/', b'.'][dice.below(4)]),
            _ => data.truncate(range.end),
        }
    }
    data
}

/// Makes the checksums of tar headers right again, so that what they say is looked at.
fn mend_tar(data: &mut [u8]) {
    for header in data.chunks_exact_mut(512) {
        if &header[257..262] == b"ustar" {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fn filled(place: &Place) -> Snapshot {
    let at = write(&place.main(), "plain.txt", "plain\n");
    let at = write(
        &at,
        &format!("deep/{}/file", "long".repeat(50)),
        "long name",
    );
    let at = write(&at, "more", "more of the same, ".repeat(90));
    at.write_symlink("bin/link", "../plain.txt", &WriteOptions::default())
        .unwrap()
}

#[test]
fn archives_damaged_at_random_are_taken_in_whole_or_not_at_all() {
    let source = Place::new();
    let snapshot = filled(&source);
    let options = ArchiveIn {
        limits: ArchiveLimits {
            bytes: 1 << 20,
            entries: 1000,
        },
        ..ArchiveIn::default()
    };
    let place = Place::new();
    let mut refused = 0;
    for format in FORMATS {
        let mut whole = Vec::new();
        snapshot
            .archive_out("", &mut whole, format, &NoProgress)
            .unwrap();
        for seed in 0..MUTANTS {
            let mut mutant = mutate(&whole, &mut Dice(seed));
            if format == ArchiveFormat::Tar && seed % 2 == 0 {
                mend_tar(&mut mutant);
            }
            let before = place.main();
            let taken = before.archive_in(&mut &*mutant, format, &options, &NoProgress);
            let now = place.main();
            match taken {
                Ok(taken) => assert_eq!(taken.commit(), now.commit()),
                Err(_) => {
                    refused += 1;
                    assert_eq!(now.commit(), before.commit(), "{format:?}, seed {seed}");
                }
            }
        }
    }
    assert!(refused > MUTANTS, "{refused}");
    // What was taken in is sound, and nothing of it is above the root.
    place.fsck();
    let outside = std::fs::read_dir(place.folder.path()).unwrap().count();
    assert_eq!(outside, 1);
}
