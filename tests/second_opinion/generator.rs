//! Random heads, combined of parts of those in the corpus.
//!
//! Each head has a seed, so one that fails in a long run can be repeated alone.

/// A source of numbers (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// Texts to insert: each was once parsed differently by some server.
const SNIPPETS: [&[u8]; 58] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\0",
    b" ",
    b"  ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\x01",
    b"\x1b",
    b"\x80",
    b"\xa0",
    b"\xc3\xbc",
    b"\xff",
    b":",
    b"::",
    b",",
    b";",
    b"=",
    b"\"",
    b"/",
    b"//",
    b"\\",
    b".",
    b"..",
    b"/../",
    b"/./",
    b"%",
    b"%2e",
    b"%2F",
    b"%00",
    b"%5c",
    b"%zz",
    b"%41",
    b"#",
    b"?",
    b"@",
    b"*",
    b"[",
    b"]",
    b"0",
    b"9",
    b"-",
    b"+",
    b"x",
    b"http://",
    b"http://a",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"close",
    b"keep-alive",
    b"chunked",
    b"100-continue",
    b"\r\n ",
];

/// Fields without an effect.
const HARMLESS: [&[u8]; 4] = [
    b"X: y\r\n",
    b"Accept: */*\r\n",
    b"User-Agent: a/1\r\n",
    b"Content-Length: 0\r\n",
];

/// The parts of the corpus.
pub struct Generator {
    whole: Vec<Vec<u8>>,
    lines: Vec<Vec<u8>>,
    fields: Vec<Vec<u8>>,
}

impl Generator {
    pub fn new(corpus: &[Vec<u8>]) -> Self {
        // Long heads are slow, and are in the corpus already.
        let short = corpus.iter().filter(|head| head.len() < 400);
        let whole: Vec<_> = short.cloned().collect();
        let (mut lines, mut fields) = (Vec::new(), Vec::new());
        for head in &whole {
            let mut parts = head.split_inclusive(|&byte| byte == b'\n');
            lines.extend(parts.next().map(<[u8]>::to_vec));
            fields.extend(parts.filter(|part| part.len() > 2).map(<[u8]>::to_vec));
        }
        lines.sort();
        lines.dedup();
        fields.sort();
        fields.dedup();
        Self {
            whole,
            lines,
            fields,
        }
    }

    /// One head, or several: always the same for the same seed.
    pub fn heads(&self, seed: u64) -> Vec<u8> {
        let mut dice = Dice::new(seed);
        let mut bytes = self.head(&mut dice);
        while dice.one_in(4) {
            bytes.extend(self.head(&mut dice));
        }
        bytes
    }

    fn head(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = match dice.below(3) {
            0 => dice.pick(&self.whole).clone(),
            _ => self.composed(dice),
        };
        let mutations = *dice.pick(&[0, 0, 0, 0, 1, 1, 2, 3]);
        for _ in 0..mutations {
            mutate(&mut bytes, dice);
        }
        bytes
    }

    /// The request line of one head, and fields of others.
    fn composed(&self, dice: &mut Dice) -> Vec<u8> {
        // Most parts are valid, or nearly all heads would be refused.
        let mut bytes = match dice.one_in(2) {
            true => b"GET /a HTTP/1.1\r\n".to_vec(),
            false => dice.pick(&self.lines).clone(),
        };
        if !dice.one_in(10) {
            bytes.extend(b"Host: a\r\n");
        }
        for _ in 0..dice.below(4) {
            match dice.one_in(2) {
                true => bytes.extend(*dice.pick(&HARMLESS)),
                false => bytes.extend(dice.pick(&self.fields)),
            }
        }
        bytes.extend(b"\r\n");
        if dice.one_in(6) {
            bytes.extend(*dice.pick::<&[u8]>(&[
                b"12345",
                b"0\r\n\r\n",
                b"5\r\n12345\r\n0\r\n\r\n",
                b"\r\n",
            ]));
        }
        bytes
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let length = (1 + dice.below(6)).min(bytes.len() - at);
    match dice.below(6) {
        0 | 1 => drop(bytes.splice(at..at, dice.pick(&SNIPPETS).iter().copied())),
        2 => drop(bytes.splice(at..at + length, dice.pick(&SNIPPETS).iter().copied())),
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let copy = bytes[at..at + length].to_vec();
            let to = dice.below(bytes.len() + 1);
            drop(bytes.splice(to..to, copy));
        }
        _ => {
            let byte = dice.roll() as u8;
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
    }
}
