//! Input that nobody means well with.

use tidegate_config::{fuzz, load_str};

use crate::accepted::FULL;

const CLIENT: &str = r#"{"mcpServers": {"My A": {"command": "a", "args": ["x"], "env": {"K": "${K}", "L": 5}},
 "b": {"url": "http://b", "type": "sse", "headers": {"x": "Bearer ${env:T}"}, "disabled": true}},
 "inputs": []} // x"#;

/// Pieces that mean something in YAML or JSON.
const PIECES: [&str; 28] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ",",
    "\"",
    "'",
    "\n",
    "\n  ",
    "\t",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "!x ",
    "|",
    ">",
    "- ",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\0",
    "\u{feff}",
    "é",
    "${",
];

/// Numbers without a pattern, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end.max(1)
    }
}

#[test]
fn no_change_to_a_file_makes_it_panic() {
    let mut numbers = Numbers(7);
    for seed in [FULL, CLIENT] {
        for _ in 0..600 {
            let mut bytes = seed.as_bytes().to_vec();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(bytes.len());
                match numbers.below(4) {
                    0 => bytes.truncate(at),
                    1 => bytes[at] = u8::try_from(numbers.below(256)).expect("a byte"),
                    2 => {
                        let end = (at + numbers.below(40)).min(bytes.len());
                        bytes.drain(at..end);
                    }
                    _ => {
                        let piece = PIECES[numbers.below(PIECES.len())];
                        bytes.splice(at..at, piece.bytes());
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            fuzz(&bytes);
        }
    }
}

#[test]
fn no_heap_of_pieces_makes_it_panic() {
    let mut numbers = Numbers(11);
    let words = ["upstreams", "url", "command", "mcpServers", "env", "a", "1", "5s", "http://a", "null", "~"];
    for _ in 0..1500 {
        let text: String = (0..numbers.below(30))
            .map(|_| if numbers.below(2) == 0 { PIECES[numbers.below(28)] } else { words[numbers.below(11)] })
            .collect();
        fuzz(text.as_bytes());
    }
}

#[test]
fn every_prefix_of_a_file_is_read_or_refused() {
    for seed in [FULL, CLIENT] {
        for end in (0..seed.len()).step_by(7) {
            fuzz(&seed.as_bytes()[..end]);
        }
    }
}

fn refused(text: &str) -> String {
    load_str(text, "f").expect_err("it is refused").to_string()
}

#[test]
fn a_small_file_that_becomes_large_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let merges = (1..2000).fold("a0: &a0 {x: 1}\n".to_owned(), |text, n| {
        text + &format!("a{n}: &a{n} {{<<: [*a{0}, *a{0}], y{n}: 1}}\n", n - 1)
    });
    for text in [bomb, merges] {
        let error = refused(&text);
        assert!(error.ends_with("the file is too large, too deep or repeats too much"), "{error}");
    }
    assert!(refused("a: &a [*a]").starts_with("f:1:8: Recursive reference not allowed here"));
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        (0..2000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        "? ".repeat(10_000),
    ] {
        let error = refused(&text);
        let expected = ["the file is too large, too deep or repeats too much", "recursion limit exceeded"];
        assert!(expected.iter().any(|end| error.ends_with(end)), "{error}");
    }
}

/// Each of these would keep a computer busy for minutes if the work grew with the square of the size.
#[test]
fn wide_files_are_refused_with_few_words() {
    let keys: String = (0..30_000).map(|n| format!("k{n}: 1\n")).collect();
    let repeated = format!("upstreams:\n{}", "  a: {url: 'http://a'}\n".repeat(15_000));
    let new_names: String = (0..15_000).map(|n| format!("    k{n}: x\n")).collect();
    let new_names = format!("upstreams:\n  a:\n    url: http://a\n    aliases:\n{new_names}");
    let items = format!("endpoints: {{e: {{upstreams: [{}]}}}}", "x, ".repeat(30_000));
    for text in [keys, repeated, new_names, items] {
        let found = refused(&text);
        let last = found.lines().last().expect("at least one message");
        assert!(last.ends_with("there may be more faults than these"), "{last}");
        assert!(found.lines().count() < 200, "{found}");
    }
}
