//! Random texts, and random changes of them.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(super) struct Chance {
    random: StdRng,
    /// How many different lines there are: few make texts that repeat themselves.
    words: usize,
}

type Text = Vec<Vec<u8>>;

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        let mut chance = Chance {
            random: StdRng::seed_from_u64(seed),
            words: 0,
        };
        chance.words = chance.one_of([2, 4, 12, 60, 1000, 100_000]);
        chance
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end.max(1))
    }

    pub(super) fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    pub(super) fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[self.below(N)]
    }

    pub(super) fn lines(&mut self, number: usize) -> Text {
        (0..number).map(|_| self.line()).collect()
    }

    /// Indented, blank, with spaces inside, with CRLF.
    fn line(&mut self) -> Vec<u8> {
        let mut line = match self.below(8) {
            0 => String::new(),
            1 => "    }".to_owned(),
            2 => "\t".to_owned(),
            _ => format!(
                "{}w{}{}",
                " ".repeat(4 * self.below(4)),
                self.below(self.words),
                if self.one_in(5) { " x  y" } else { "" }
            ),
        };
        if self.one_in(12) {
            line.push('\r');
        }
        line.push('\n');
        line.into_bytes()
    }

    pub(super) fn edited(&mut self, text: &Text) -> Text {
        let mut text = text.clone();
        let most = self.one_of([3, 10, 40, 400]).min(text.len() / 2 + 2);
        for _ in 0..=self.below(most) {
            self.edit(&mut text);
        }
        text
    }

    fn edit(&mut self, text: &mut Text) {
        let at = self.below(text.len() + 1);
        let most = self.one_of([2, 6, 30]);
        let lines = 1 + self.below(most);
        let end = (at + lines).min(text.len());
        match self.below(6) {
            0 => drop(text.splice(at..at, self.lines(lines))),
            1 => drop(text.drain(at..end)),
            2 => drop(text.splice(at..end, self.lines(lines))),
            3 => drop(text.splice(at..at, text[at..end].to_vec())),
            4 => {
                let moved: Text = text.drain(at..end).collect();
                let to = self.below(text.len() + 1);
                text.splice(to..to, moved);
            }
            _ if at < text.len() => {
                let place = self.below(text[at].len());
                let byte = self.one_of(*b" \tz");
                text[at].insert(place, byte);
            }
            _ => {}
        }
    }

    /// The text in one piece; now and then its last line has no line break.
    pub(super) fn joined(&mut self, text: &Text) -> Vec<u8> {
        let mut joined = text.concat();
        if self.one_in(5) && joined.ends_with(b"\n") {
            joined.pop();
        }
        joined
    }
}
