//! Headers that repeat the body.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use protocol::headers::{self, ParamRule, check_standard, decode, encode, param_rules};
use protocol::json::Kind;
use protocol::{Message, Method, Raw};
use serde_json::Value;

use crate::json::{is_ambiguous, raw};

/// A request, a tool's schema, and headers, each on a line of its own.
///
/// The first line is a message, the second the `inputSchema` of the tool that it calls, and the others are
/// headers, `name: value`.
///
/// * Any text survives being a header's value, and a value is decoded to a text in one way only: as it is, or
///   as the Base64 of it.
/// * Headers that say what the body says are taken. With one of them missing, doubled, or changed in case or
///   in any other character, they are refused.
/// * Headers of any kind that are taken agree with the body as `serde_json` reads it, and no argument that
///   they speak of is one that two readers could read differently.
/// * The rules of a schema do not depend on how the schema is spelled.
///
/// # Panics
/// Where one of these does not hold.
pub fn agreement(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let (message, schema) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let given: Vec<&str> = lines.collect();
    assert_codec(message);
    given.iter().for_each(|line| assert_codec(line));
    let came = headers_of(&given);
    let (method, params) = match Message::parse(Bytes::copy_from_slice(message.as_bytes())) {
        Ok(Message::Request(request)) => (request.method, request.params),
        _ => (Method::ToolsCall, raw(message)),
    };
    let params = params.filter(|params| params.object().is_ok());
    let target = method.mirrored().and_then(|member| params.as_ref()?.get(member));
    let target = target.as_ref().and_then(Raw::as_str);
    assert_standard(&method, target.as_deref(), &came);
    let Some(schema) = raw(schema) else { return };
    let rules = param_rules(&schema);
    assert_spelling(&schema, rules.as_ref().ok());
    let arguments = params.as_ref().and_then(|params| params.get("arguments"));
    for rule in rules.unwrap_or_default() {
        assert_param(&rule, arguments.as_ref(), &came);
    }
}

/// The headers that are ones.
fn headers_of(lines: &[&str]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines.iter().take(64) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = HeaderValue::from_str(value.trim_matches([' ', '\t', '\r']));
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.trim().as_bytes()), value) {
            map.append(name, value);
        }
    }
    map
}

fn assert_codec(text: &str) {
    let encoded = encode(text).into_owned();
    let value = HeaderValue::from_str(&encoded).expect("what is encoded fits into a header");
    assert_eq!(decode(&value).as_deref(), Some(text), "encoded and decoded");
    assert_eq!(encoded.trim_matches([' ', '\t']), encoded, "an encoded value keeps its ends on the wire");
    let wrapped = wrapped(text);
    assert!(encoded == text || encoded == wrapped, "encoded in a third way: {encoded}");
    if let Ok(value) = HeaderValue::from_str(text)
        && let Some(decoded) = decode(&value)
    {
        let canonical = *decoded == *text || crate::agreement::wrapped(&decoded) == text;
        assert!(canonical, "two spellings of one wrapped value: {text:?}");
    }
}

/// The Base64 form of a value, written a second time.
fn wrapped(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("=?base64?");
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out + "?="
}

fn assert_standard(method: &Method, target: Option<&str>, came: &HeaderMap) {
    let mut honest = vec![(headers::METHOD, method.as_str().to_owned())];
    if method.mirrored().is_some() {
        honest.push((headers::NAME, target.unwrap_or_default().to_owned()));
    }
    let check = |map: &HeaderMap| check_standard(map, method, target);
    assert_changes(&honest, check, |_, _| false);
    if check(came).is_ok() {
        for (name, said) in &honest {
            let values: Vec<_> = came.get_all(name).iter().collect();
            assert_eq!(values.len(), 1, "{name} is taken {} times", values.len());
            assert_eq!(decode(values[0]).as_deref(), Some(said.as_str()), "{name} differs and is taken");
        }
    }
}

/// Honest headers are taken, and with any one change they are not; `same` says what else means the same.
fn assert_changes<E: std::fmt::Debug>(
    honest: &[(HeaderName, String)],
    check: impl Fn(&HeaderMap) -> Result<(), E>,
    same: impl Fn(&str, &str) -> bool,
) {
    let value = |text: &str| HeaderValue::from_str(&encode(text)).expect("encoded");
    let map: HeaderMap = honest.iter().map(|(name, said)| (name.clone(), value(said))).collect();
    check(&map).expect("honest headers are taken");
    for (name, said) in honest {
        let mut other = map.clone();
        other.insert(name, HeaderValue::from_str(&wrapped(said)).expect("Base64"));
        check(&other).expect("a wrapped value is the same value");
        other.append(name, value(said));
        check(&other).expect_err("a doubled header is taken");
        other.remove(name);
        check(&other).expect_err("a missing header is taken");
        for changed in changes(said) {
            let mut other = map.clone();
            other.insert(name, value(&changed));
            if !same(said, &changed) {
                assert!(check(&other).is_err(), "{name} says {changed:?} and the body {said:?}");
            }
        }
    }
}

/// Other texts than this one.
fn changes(said: &str) -> Vec<String> {
    let flipped: String = said
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let mut shorter = said.to_owned();
    shorter.pop();
    let mut all =
        vec![flipped, shorter, format!("{said}a"), format!(" {said}"), format!("{said}\n"), String::new()];
    if let Some(first) = said.chars().next() {
        let next = char::from_u32(u32::from(first) ^ 1).unwrap_or('?');
        all.push(format!("{next}{}", &said[first.len_utf8()..]));
    }
    all.retain(|text| text != said);
    all
}

/// A schema's rules are those of the same schema, spelled by `serde_json`.
fn assert_spelling(schema: &Raw, rules: Option<&Vec<ParamRule>>) {
    if is_ambiguous(schema) {
        return;
    }
    let headers = |rules: &[ParamRule]| rules.iter().map(|rule| rule.header.clone()).collect::<Vec<_>>();
    let escaped = raw(&escaped(schema.as_text())).and_then(|schema| param_rules(&schema).ok());
    let (found, again) = (rules.map(|rules| headers(rules)), escaped.map(|rules| headers(&rules)));
    assert_eq!(found, again, "the rules depend on escapes in {schema}");
    let Ok(value) = serde_json::from_slice::<Value>(schema.as_bytes()) else { return };
    let again = param_rules(&Raw::from_value(&value)).ok();
    assert_eq!(rules, again.as_ref(), "the rules depend on the spelling of {schema}");
    for rule in rules.into_iter().flatten() {
        let place = rule.path.iter().try_fold(&value, |at, step| at.get("properties")?.get(step));
        let said = place.and_then(|at| at.get("x-mcp-header")).and_then(Value::as_str);
        let name = said.map(|said| format!("mcp-param-{}", said.to_ascii_lowercase()));
        assert_eq!(name.as_deref(), Some(rule.header.as_str()), "a rule that no schema has");
    }
}

/// The same JSON, with every letter of its strings as an escape.
fn escaped(text: &str) -> String {
    let (mut out, mut in_string) = (String::new(), false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => (in_string, out) = (!in_string, out + "\""),
            '\\' => {
                let kind = chars.next().expect("an escape has a letter");
                let digits = if kind == 'u' { 4 } else { 0 };
                out.extend(['\\', kind].into_iter().chain(chars.by_ref().take(digits)));
            }
            _ if in_string && c.is_ascii_alphanumeric() => out += &format!("\\u{:04x}", u32::from(c)),
            _ => out.push(c),
        }
    }
    out
}

fn assert_param(rule: &ParamRule, arguments: Option<&Raw>, came: &HeaderMap) {
    let check = |map: &HeaderMap| rule.check(map, arguments);
    match argument(rule, arguments) {
        Argument::Unreadable => {
            check(&HeaderMap::new()).expect_err("an argument that nobody can agree on is taken");
            check(&one(rule, "a")).expect_err("an argument that nobody can agree on is taken");
        }
        Argument::Absent => {
            assert_eq!(rule.value(arguments), None, "the value of no argument");
            check(&HeaderMap::new()).expect("no header and no argument");
            check(&one(rule, "")).expect_err("a header without an argument is taken");
        }
        Argument::Found(argument) => {
            let said = rule.value(arguments).expect("the value of an argument");
            let number = |text: &str| text.parse::<f64>().ok().filter(|_| argument.kind() == Kind::Number);
            // A number has many spellings, and any of them is the same argument.
            let same = |a: &str, b: &str| number(a).is_some() && number(a) == number(b);
            assert_changes(&[(rule.header.clone(), said)], check, same);
        }
    }
    if check(came).is_ok() {
        assert_truth(rule, arguments, came);
    }
}

/// What a rule speaks of.
enum Argument {
    /// There is none, or a null, or none that a header could repeat.
    Absent,
    /// Two readers could read it differently, or one not at all.
    Unreadable,
    Found(Raw),
}

fn argument(rule: &ParamRule, arguments: Option<&Raw>) -> Argument {
    let Some(mut at) = arguments.cloned() else { return Argument::Absent };
    for step in &rule.path {
        match at.object() {
            Err(_) => return Argument::Unreadable,
            Ok(object) => match object.and_then(|object| object.get(step)) {
                Some(value) => at = value,
                None => return Argument::Absent,
            },
        }
    }
    match at.kind() {
        Kind::Object | Kind::Array | Kind::Null => Argument::Absent,
        Kind::String if at.as_str().is_none() => Argument::Unreadable,
        _ => Argument::Found(at),
    }
}

fn one(rule: &ParamRule, said: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&encode(said)).expect("encoded");
    HeaderMap::from_iter([(rule.header.clone(), value)])
}

/// What is taken is what the body says.
fn assert_truth(rule: &ParamRule, arguments: Option<&Raw>, came: &HeaderMap) {
    let values: Vec<_> = came.get_all(&rule.header).iter().collect();
    assert!(values.len() < 2, "{} stands twice and is taken", rule.header);
    let header = values.first().map(|value| decode(value).expect("it is taken"));
    let Some(body) = arguments.and_then(|raw| serde_json::from_slice::<Value>(raw.as_bytes()).ok()) else {
        return;
    };
    let argument = rule.path.iter().try_fold(&body, |at, step| at.get(step)).unwrap_or(&Value::Null);
    match (argument, header.as_deref()) {
        (Value::Null | Value::Object(_) | Value::Array(_), header) => {
            assert_eq!(header, None, "there is no such argument");
        }
        (Value::String(text), Some(header)) => assert_eq!(text, header),
        (Value::Bool(flag), Some(header)) => assert_eq!(flag.to_string(), header),
        (Value::Number(number), Some(header)) => {
            let same = header.parse::<f64>().ok().zip(number.as_f64()).is_some_and(|(a, b)| a == b);
            assert!(same || header == number.to_string(), "{number} is said to be {header}");
        }
        (argument, None) => panic!("{argument} is not in the headers"),
    }
}
