//! Random changes of inputs: the same for the same seed.

/// Makes new inputs from old ones.
pub struct Mutator {
    state: u64,
    inputs: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
}

/// Bytes with a meaning in some format.
const BYTES: &[u8] = b"\0\t\n\r \"%*,-./0:;<=>?\\@[]Wq\x7f\x80\xfe\xff";

impl Mutator {
    /// With at least one input, and words to insert.
    pub fn new(seed: u64, inputs: Vec<Vec<u8>>, tokens: Vec<Vec<u8>>) -> Self {
        let mut mutator = Self {
            // Zero would stay zero.
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            inputs,
            tokens,
        };
        for _ in 0..8 {
            mutator.below(2);
        }
        mutator
    }

    /// The next input, at most `longest` bytes.
    pub fn next(&mut self, longest: usize) -> Vec<u8> {
        let mut input = self.any_input();
        // Usually few changes: an input with many errors is refused at the first.
        for _ in 0..=self.below(6).min(self.below(6)) {
            self.change(&mut input);
        }
        input.truncate(longest);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = (at + 1 + self.below(8)).min(input.len());
        match self.below(9) {
            0 => drop(input.drain(at..end)),
            1 => {
                let byte = BYTES[self.below(BYTES.len())];
                input.insert(at, byte);
            }
            2 if at < input.len() => input[at] = BYTES[self.below(BYTES.len())],
            3 if at < input.len() => input[at] ^= 1 << self.below(8),
            // A digit becomes its neighbour: mistakes are at bounds.
            4 if at < input.len() => input[at] = input[at].wrapping_add(1),
            5 => {
                let token = self.any_token();
                input.splice(at..at, token);
            }
            6 => {
                let token = self.any_token();
                input.splice(at..end, token);
            }
            7 => {
                let piece = input[at..].to_vec();
                let times = 1 + self.below(3);
                input.splice(at..at, piece.repeat(times));
            }
            _ => {
                let other = self.any_input();
                let from = self.below(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
        }
    }

    fn any_input(&mut self) -> Vec<u8> {
        let index = self.below(self.inputs.len());
        self.inputs[index].clone()
    }

    fn any_token(&mut self) -> Vec<u8> {
        let index = self.below(self.tokens.len());
        self.tokens[index].clone()
    }

    /// A number below `end` (xorshift64*).
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        (number as usize) % end.max(1)
    }
}

/// Removes bytes while the input still fails.
pub fn shrunk(mut input: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut size = input.len().next_power_of_two();
    while size > 0 {
        let mut at = 0;
        while at < input.len() {
            let end = (at + size).min(input.len());
            let shorter = [&input[..at], &input[end..]].concat();
            match fails(&shorter) {
                true => input = shorter,
                false => at = end,
            }
        }
        size /= 2;
    }
    input
}

/// The words of a dictionary in libFuzzer's format: `name="word"`, with `\"`, `\\` and `\xHH`.
pub fn tokens(dictionary: &str) -> Vec<Vec<u8>> {
    let lines = dictionary.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| Some(token(line.split_once('=')?.1)))
        .collect()
}

fn token(quoted: &str) -> Vec<u8> {
    let inside = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let mut rest = inside.expect("quotes").as_bytes();
    let mut word = Vec::new();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |digit: u8| char::from(digit).to_digit(16).expect("a hex digit");
                word.push((digit(*high) * 16 + digit(*low)) as u8);
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                word.push(*escaped);
                rest = after;
            }
            _ => word.push(*byte),
        }
    }
    word
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let mutator = |seed| Mutator::new(seed, vec![b"GET /".to_vec()], vec![b"HTTP".to_vec()]);
    let inputs = |mut mutator: Mutator| (0..50).map(|_| mutator.next(99)).collect::<Vec<_>>();
    assert_eq!(inputs(mutator(7)), inputs(mutator(7)));
    assert_ne!(inputs(mutator(7)), inputs(mutator(8)));
}

#[test]
fn a_failing_input_is_reduced() {
    let fails = |input: &[u8]| input.contains(&b'x') && input.contains(&b'y');
    assert_eq!(shrunk(b"some x and some y, too".to_vec(), fails), b"xy");
}

#[test]
fn words_are_read_with_their_escapes() {
    let words = tokens("# words\na=\"x=\\x0d\\x0A\"\nb=\"\\\"\\\\\"\n");
    assert_eq!(words, [b"x=\r\n".as_slice(), b"\"\\"]);
}
