//! Traces as an argument: the words of W3C Trace Context, and who makes spans.
//!
//! Nothing here records or sends anything. Who wants traces hands in a [`Tracer`]; without one no span is
//! made, and nothing is spent on it.

use std::fmt::Write as _;
use std::sync::Arc;

/// The longest `tracestate` that is kept, in bytes: what the specification asks everybody to pass on (W3C
/// Trace Context, section 3.3.1.5).
const STATE_BYTES_MAX: usize = 512;
/// The flag that says that the caller records this trace.
const SAMPLED: u8 = 1;

/// One span's place in its trace, as it travels (W3C Trace Context).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never all zeros.
    pub trace_id: [u8; 16],
    /// The span; never all zeros.
    pub span_id: [u8; 8],
    /// The trace's flags.
    pub flags: u8,
    /// The `tracestate` that came with it.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads `traceparent` and the `tracestate` beside it. `None`: this is no `traceparent`, and whoever
    /// reads it has to begin a trace of its own. A `tracestate` that is too long or no header text is left
    /// out.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let bytes = traceparent.as_bytes();
        let (version, rest) = bytes.split_at_checked(2)?;
        let version = hex::<1>(version)?[0];
        let well_formed = rest.len() >= 53 && rest[0] == b'-' && rest[33] == b'-' && rest[50] == b'-';
        // A later version may say more after what this one knows (section 3.2.4).
        let ends = rest.len() == 53 || (version > 0 && rest.get(53) == Some(&b'-'));
        if version == 0xff || !well_formed || !ends {
            return None;
        }
        let (trace_id, span_id) = (hex::<16>(&rest[1..33])?, hex::<8>(&rest[34..50])?);
        let flags = hex::<1>(&rest[51..53])?[0];
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        let plain = |s: &&str| {
            let text = s.trim();
            !text.is_empty()
                && text.len() <= STATE_BYTES_MAX
                && text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
        };
        let state = tracestate.filter(plain).map(|s| Arc::from(s.trim()));
        Some(Self { trace_id, span_id, flags, state })
    }

    /// The context as `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let mut out = String::with_capacity(55);
        out.push_str("00-");
        push_hex(&mut out, &self.trace_id);
        out.push('-');
        push_hex(&mut out, &self.span_id);
        out.push('-');
        push_hex(&mut out, &[self.flags]);
        out
    }

    /// The trace's id in hexadecimal, as logs show it.
    #[must_use]
    pub fn trace_id_text(&self) -> String {
        let mut out = String::with_capacity(32);
        push_hex(&mut out, &self.trace_id);
        out
    }

    /// Whether the caller records this trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// Lower-case hexadecimal only, as the specification asks.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(out)
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
}

/// The beginning of a text, at most so many bytes and whole characters of it: for names that others choose.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Which side of a request a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Who answers it.
    Server,
    /// Who sends it.
    Client,
}

/// What a span begins with.
#[derive(Debug)]
pub struct NewSpan<'a> {
    /// Which side.
    pub kind: SpanKind,
    /// Its name; from a small set.
    pub name: String,
    /// What it is a part of; `None` begins a trace.
    pub parent: Option<&'a TraceContext>,
    /// A span of another trace that it has to do with.
    pub link: Option<&'a TraceContext>,
}

/// The value of a span's attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanValue {
    /// A word that the gateway knows.
    Word(&'static str),
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&'static str> for SpanValue {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for SpanValue {
    fn from(number: u16) -> Self {
        Self::Number(i64::from(number))
    }
}

/// A span under way. It ends when it is dropped.
pub trait Span: Send + Sync {
    /// Its own place in the trace: what goes to the next hop.
    fn context(&self) -> &TraceContext;

    /// Whether anybody will see it. Attributes of a span that nobody sees need not be made.
    fn is_recording(&self) -> bool;

    /// Gives it another name, once more is known; from a small set.
    fn rename(&mut self, name: String);

    /// Sets an attribute.
    fn set(&mut self, name: &'static str, value: SpanValue);

    /// Marks it as failed. `kind` is from a small set; `message` is for people.
    fn fail(&mut self, kind: &str, message: &str);
}

/// What became of the spans of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceFigures {
    /// Taken by the collector.
    pub exported: u64,
    /// Dropped because too many waited.
    pub dropped_full: u64,
    /// Dropped because the collector did not take them.
    pub dropped_failed: u64,
}

/// Makes spans. An argument wherever one may be wanted; never blocks and never fails.
pub trait Tracer: Send + Sync {
    /// Begins a span now.
    fn start(&self, new: NewSpan<'_>) -> Box<dyn Span>;

    /// What became of the spans so far.
    fn figures(&self) -> TraceFigures;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = TraceContext::parse(PARENT, Some(" a=1,b=2 ")).expect("valid");
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.trace_id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((context.is_sampled(), context.state.as_deref()), (true, Some("a=1,b=2")));
        let unsampled = PARENT.replace("-01", "-00");
        assert!(!TraceContext::parse(&unsampled, None).expect("valid").is_sampled());
    }

    #[test]
    fn a_later_version_may_say_more_and_is_answered_in_ours() {
        let later = PARENT.replacen("00", "cc", 1) + "-what-the-future-will-be-like";
        assert_eq!(TraceContext::parse(&later, None).expect("valid").traceparent(), PARENT);
    }

    #[test]
    fn what_is_no_traceparent_begins_nothing() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let no_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let upper = PARENT.to_uppercase();
        let more = format!("{PARENT}-x");
        let newest = PARENT.replacen("00", "ff", 1);
        let long = format!("cc{}x", &PARENT[2..]);
        let cut = &PARENT[..54];
        for bad in ["", "00", "é", "00-zz", zeros, no_span, &upper, &more, &newest, &long, cut] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (max, left) in [(0, ""), (1, ""), (2, "é"), (3, "éa"), (9, "éa")] {
            assert_eq!(cut("éa", max), left);
        }
    }

    #[test]
    fn a_tracestate_that_cannot_be_passed_on_is_left_out() {
        for bad in ["", " ", "a=\nb", "a=é", &"x".repeat(513)] {
            assert_eq!(TraceContext::parse(PARENT, Some(bad)).expect("valid").state, None, "{bad}");
        }
    }
}
