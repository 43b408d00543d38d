//! Damage: what is done to an input of the corpus to make the next one.

/// Makes inputs out of inputs.
pub(crate) struct Mutator {
    state: u64,
    words: &'static [&'static str],
}

/// Bytes that mean something to somebody.
const BYTES: &[u8] = b"\0\xff\x80\x7f\n\t \"'`${}[]()<>=,.:;!%\\/#*-+01";

impl Mutator {
    pub(crate) const fn new(seed: u64, words: &'static [&'static str]) -> Self {
        Self { state: seed, words }
    }

    /// splitmix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.random() % end.max(1) as u64) as usize
    }

    /// So many percent.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.random() % 100 < percent
    }

    /// The next input.
    pub(crate) fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let at = self.below(corpus.len());
        let mut input = corpus.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.below(6) {
            self.damage(&mut input, corpus);
        }
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + 1 + self.below(24)).min(input.len()).max(at);
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = BYTES[self.below(BYTES.len())],
            2 => input.insert(at, BYTES[self.below(BYTES.len())]),
            3 => {
                input.drain(at..end);
            }
            4 => {
                // The same again, sometimes so often that it nests.
                let part = input[at..end].to_vec();
                let times = if self.chance(10) { 200 } else { 1 };
                input.splice(at..at, part.repeat(times));
            }
            5 => {
                let word = self.words.get(self.below(self.words.len())).copied();
                input.splice(at..at, word.unwrap_or("a").bytes());
            }
            6 => {
                // The end of another input behind the beginning of this one.
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            7 => input.truncate(at),
            _ => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let until = (from + 1 + self.below(80)).min(other.len()).max(from);
                input.splice(at..at, other[from..until].iter().copied());
            }
        }
    }
}
