//! Inputs that are nearly like those of the corpus, the same in every run.

/// Numbers without a pattern, the same for the same seed.
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Numbers that follow from these bytes.
    pub(crate) fn of(seed: &[u8]) -> Self {
        let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash | 1)
    }

    /// One below `end`; 0 where there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end.max(1)
    }
}

/// Pieces that mean something to one target or the other.
const PIECES: [&str; 56] = [
    "\"",
    "\\",
    "\\u0061",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "1.0",
    "-0",
    "1e400",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "\0",
    "\u{feff}",
    "\u{e9}",
    "data: ",
    "id: ",
    "retry: 5",
    "event: x",
    ": ",
    "\n\n",
    "=?base64?",
    "?=",
    "YQ==",
    "mcp-name: ",
    "\"id\":1,",
    "\"jsonrpc\":\"2.0\",",
    "\"params\":{},",
    "\"result\":{},",
    "\"_meta\":{},",
    "\"type\":\"audio\",",
    "\"resultType\":\"input_required\",",
    "\"inputRequests\":{},",
    "\"method\":\"roots/list\",",
    "{\"a\":1,\"a\":2}",
    "\"structuredContent\":[1],",
    "&a ",
    "*a",
    "<<: ",
    "!x ",
    "|\n",
    "- ",
    "? ",
    "---\n",
    "${X}",
    "//",
    "/*",
    "upstreams",
];

/// How large an input may become.
const BYTES_MAX: usize = 4 * 1024;

/// One more input, out of `seed` and another one of the corpus.
pub(crate) fn mutated(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + 1 + numbers.below(24)).min(bytes.len());
        match numbers.below(9) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = u8::try_from(numbers.below(256)).expect("a byte"),
            2 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            3 => drop(bytes.drain(at..end)),
            4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            5 => {
                let from = numbers.below(other.len());
                let to = (from + 1 + numbers.below(40)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            6 => swap_lines(&mut bytes, numbers),
            _ => drop(bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].bytes())),
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

/// Events in another order, or one of them twice.
fn swap_lines(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let (a, b) = (numbers.below(lines.len()), numbers.below(lines.len()));
    if numbers.below(2) == 0 {
        lines.swap(a, b);
    } else {
        lines.insert(a, lines[b].clone());
    }
    *bytes = lines.join(&b'\n');
}
