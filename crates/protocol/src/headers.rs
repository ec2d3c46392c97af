//! Headers that repeat the body (2026-07-28, transports, "Standard headers" and "Custom headers"; SEP-2243).
//!
//! The body is the truth. A header that disagrees with it is refused before anything is routed: whoever
//! trusts the header and whoever trusts the body must see the same call.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::json::{Kind, Raw};
use crate::{Method, RpcError};

/// `MCP-Protocol-Version`
pub const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Mcp-Session-Id` (legacy)
pub const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The beginning of the headers that repeat tool arguments, in lower case.
pub const PARAM_PREFIX: &str = "mcp-param-";

const WRAP_START: &str = "=?base64?";
const WRAP_END: &str = "?=";

/// The largest integer that may be mirrored: 2^53 - 1.
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// A value as a header may carry it: as it is, or wrapped in Base64.
#[must_use]
pub fn encode(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\t');
    let bare = !value.starts_with([' ', '\t']) && !value.ends_with([' ', '\t']);
    let wrapped = value.starts_with(WRAP_START) && value.ends_with(WRAP_END);
    if plain && bare && !wrapped && !value.is_empty() {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("{WRAP_START}{}{WRAP_END}", STANDARD.encode(value)))
    }
}

/// The value that a header carries. `None`: badly wrapped, or not text.
#[must_use]
pub fn decode(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = value.to_str().ok()?;
    let Some(inner) = text.strip_prefix(WRAP_START).and_then(|rest| rest.strip_suffix(WRAP_END)) else {
        return Some(Cow::Borrowed(text));
    };
    let bytes = STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The one value of a header. `Ok(None)`: absent.
///
/// # Errors
/// -32020 where it stands twice: intermediaries differ on which one counts.
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, RpcError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(RpcError::header_mismatch(format!("Header mismatch: {name} stands more than once")));
    }
    Ok(first)
}

/// Checks that `Mcp-Method` and `Mcp-Name` say what the body says.
///
/// `target` is the value of the member that [`Method::mirrored`] names.
///
/// # Errors
/// -32020 where a header is missing, stands twice, is badly encoded or differs.
pub fn check_standard(headers: &HeaderMap, method: &Method, target: Option<&str>) -> Result<(), RpcError> {
    check_one(headers, &METHOD, method.as_str())?;
    if method.mirrored().is_some() {
        check_one(headers, &NAME, target.unwrap_or_default())?;
    }
    Ok(())
}

fn check_one(headers: &HeaderMap, name: &HeaderName, body: &str) -> Result<(), RpcError> {
    let Some(value) = single(headers, name)? else {
        return Err(RpcError::header_mismatch(format!("Header mismatch: the {name} header is missing")));
    };
    match decode(value) {
        Some(value) if value == body => Ok(()),
        Some(_) => Err(RpcError::header_mismatch(format!("Header mismatch: {name} differs from the body"))),
        None => Err(RpcError::header_mismatch(format!("Header mismatch: {name} is not properly encoded"))),
    }
}

/// One `x-mcp-header` annotation of a tool's input schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamRule {
    /// The header's full name, in lower case.
    pub header: HeaderName,
    /// Where the argument stands, from the root of `arguments`.
    pub path: Vec<String>,
    kind: ParamKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParamKind {
    String,
    Integer,
    Boolean,
}

/// The most annotations that one tool may have, and the deepest that one may stand.
const RULES_MAX: usize = 64;
const DEPTH_MAX: usize = 16;

/// Reads the `x-mcp-header` annotations of a tool's `inputSchema`.
///
/// # Errors
/// What is wrong: one bad annotation makes the whole tool invalid, and a client drops it from its list.
pub fn param_rules(input_schema: &Raw) -> Result<Vec<ParamRule>, &'static str> {
    // The name may be spelled with escapes, which only a look at each member can tell.
    let holds = |needle: &[u8]| memchr::memmem::find(input_schema.as_bytes(), needle).is_some();
    if !holds(b"x-mcp-header") && !holds(b"\\u") {
        return Ok(Vec::new());
    }
    let mut rules = Vec::new();
    let mut counted = 0;
    collect_rules(input_schema, &mut Vec::new(), &mut rules, &mut counted)?;
    if counted != count_annotations(input_schema)? {
        return Err("x-mcp-header stands where it is not reachable through properties alone");
    }
    Ok(rules)
}

fn collect_rules(
    schema: &Raw,
    path: &mut Vec<String>,
    rules: &mut Vec<ParamRule>,
    counted: &mut usize,
) -> Result<(), &'static str> {
    let Some(properties) = schema.get("properties").and_then(|p| p.object().ok().flatten()) else {
        return Ok(());
    };
    if path.len() == DEPTH_MAX {
        return Ok(());
    }
    for (name, property) in properties.iter() {
        path.push(name.into_owned());
        if let Some(annotation) = property.get("x-mcp-header") {
            *counted += 1;
            let rule = rule(&annotation, &property, path)?;
            if rules.len() == RULES_MAX {
                return Err("more than 64 x-mcp-header annotations");
            }
            if rules.iter().any(|r| r.header == rule.header) {
                return Err("two x-mcp-header annotations of one name");
            }
            rules.push(rule);
        }
        collect_rules(&property, path, rules, counted)?;
        path.pop();
    }
    Ok(())
}

fn rule(annotation: &Raw, property: &Raw, path: &[String]) -> Result<ParamRule, &'static str> {
    let name = annotation.as_str().ok_or("x-mcp-header must be a string")?;
    if name.is_empty() {
        return Err("x-mcp-header must not be empty");
    }
    let header = HeaderName::from_bytes(format!("{PARAM_PREFIX}{name}").as_bytes())
        .map_err(|_| "x-mcp-header must be an HTTP token")?;
    let kind = match property.get("type").as_ref().and_then(Raw::as_str).as_deref() {
        Some("string") => ParamKind::String,
        Some("integer") => ParamKind::Integer,
        Some("boolean") => ParamKind::Boolean,
        _ => return Err("x-mcp-header stands on a property that is no string, integer or boolean"),
    };
    Ok(ParamRule { header, path: path.to_vec(), kind })
}

/// How many schemas anywhere in the tree carry the annotation, properties of that name not counted.
fn count_annotations(schema: &Raw) -> Result<usize, &'static str> {
    fn walk(value: &Raw, is_map_of_schemas: bool) -> Result<usize, &'static str> {
        if value.kind() == Kind::Array {
            return value.items().unwrap_or_default().iter().map(|item| walk(item, false)).sum();
        }
        let Some(members) = value.object().map_err(|_| "the schema names a member twice")? else {
            return Ok(0);
        };
        let count = |(name, inner): (Cow<'_, str>, Raw)| match &*name {
            "x-mcp-header" if !is_map_of_schemas => Ok(1),
            "const" | "default" | "enum" | "examples" if !is_map_of_schemas => Ok(0),
            "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas"
                if !is_map_of_schemas =>
            {
                walk(&inner, true)
            }
            _ => walk(&inner, false),
        };
        members.iter().map(count).sum()
    }
    walk(schema, false)
}

impl ParamRule {
    /// The argument that the rule speaks of; `None` where it is absent, null, or of a kind that no header
    /// repeats.
    fn argument(&self, arguments: Option<&Raw>) -> Result<Option<Raw>, &'static str> {
        let Some(mut at) = arguments.cloned() else { return Ok(None) };
        for step in &self.path {
            let object = at.object().map_err(|_| "stands twice")?;
            let Some(value) = object.and_then(|object| object.get(step)) else { return Ok(None) };
            at = value;
        }
        match at.kind() {
            Kind::Object | Kind::Array | Kind::Null => Ok(None),
            Kind::String if at.as_str().is_none() => Err("is no text"),
            Kind::String | Kind::Number | Kind::Bool => Ok(Some(at)),
        }
    }

    /// The header's value for these arguments, not yet encoded. `None`: the header must be absent.
    #[must_use]
    pub fn value(&self, arguments: Option<&Raw>) -> Option<String> {
        self.argument(arguments).ok().flatten().and_then(|argument| value(&argument))
    }

    /// Checks the header against the arguments.
    ///
    /// # Errors
    /// -32020 where it is missing, stands twice, is badly encoded, differs, or is there without an argument;
    /// also where the argument stands twice or is no text, because then no header says the same to everybody.
    pub fn check(&self, headers: &HeaderMap, arguments: Option<&Raw>) -> Result<(), RpcError> {
        let name = &self.header;
        let found = single(headers, name)?;
        let argument = self.argument(arguments).map_err(|what| {
            RpcError::header_mismatch(format!("Header mismatch: the argument behind {name} {what}"))
        })?;
        let is_number = argument.as_ref().is_some_and(|argument| argument.kind() == Kind::Number);
        let Some(expected) = argument.as_ref().and_then(value) else {
            return if found.is_none() {
                Ok(())
            } else {
                Err(RpcError::header_mismatch(format!("Header mismatch: {name} repeats no argument")))
            };
        };
        let Some(found) = found else {
            return Err(RpcError::header_mismatch(format!("Header mismatch: the {name} header is missing")));
        };
        let Some(found) = decode(found) else {
            return Err(RpcError::header_mismatch(format!(
                "Header mismatch: {name} is not properly encoded"
            )));
        };
        let numeric = || match (self.kind, found.parse::<f64>(), expected.parse::<f64>()) {
            (ParamKind::Integer, Ok(a), Ok(b)) if is_number => a == b && a.abs() <= INTEGER_MAX,
            _ => false,
        };
        if found == expected || numeric() {
            Ok(())
        } else {
            Err(RpcError::header_mismatch(format!("Header mismatch: {name} differs from the argument")))
        }
    }
}

/// An argument as a header says it, not yet encoded.
fn value(argument: &Raw) -> Option<String> {
    match argument.kind() {
        Kind::String => argument.as_str().map(Cow::into_owned),
        Kind::Bool => Some(argument.as_text().to_owned()),
        Kind::Number => {
            Some(integer(argument).map_or_else(|| argument.as_text().to_owned(), |n| n.to_string()))
        }
        Kind::Object | Kind::Array | Kind::Null => None,
    }
}

/// An integer in any spelling (`42`, `42.0`, `4.2e1`).
fn integer(raw: &Raw) -> Option<i64> {
    raw.as_i64().or_else(|| {
        let n = raw.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be an integer within 2^53")]
        (n.fract() == 0.0 && n.abs() <= INTEGER_MAX).then_some(n as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        map
    }

    #[test]
    fn values_survive_the_header() {
        for text in ["a", "a b", " a", "a ", "\ta", "é", "", "=?base64?YQ==?=", "a\nb", "日本", "a=b?"] {
            let encoded = encode(text).into_owned();
            let value = HeaderValue::from_str(&encoded).expect("a header value");
            assert_eq!(decode(&value).as_deref(), Some(text), "{encoded}");
        }
        for bad in ["=?base64?%%%?=", "=?base64?/w==?="] {
            assert_eq!(decode(&HeaderValue::from_static(bad)), None);
        }
    }

    #[test]
    fn a_header_that_differs_from_the_body_is_refused() {
        let ok = headers(&[("mcp-method", "tools/call"), ("mcp-name", "a")]);
        assert!(check_standard(&ok, &Method::ToolsCall, Some("a")).is_ok());
        for bad in [
            headers(&[("mcp-method", "tools/call")]),
            headers(&[("mcp-name", "a")]),
            headers(&[("mcp-method", "tools/Call"), ("mcp-name", "a")]),
            headers(&[("mcp-method", "tools/call"), ("mcp-name", "A")]),
            headers(&[("mcp-method", "tools/call"), ("mcp-name", "a"), ("mcp-name", "a")]),
            headers(&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?!?=")]),
        ] {
            let error = check_standard(&bad, &Method::ToolsCall, Some("a")).expect_err("differs");
            assert_eq!(error.code, crate::code::HEADER_MISMATCH);
        }
        assert!(check_standard(&headers(&[("mcp-method", "tools/list")]), &Method::ToolsList, None).is_ok());
    }

    #[test]
    fn annotations_become_rules_and_rules_check_arguments() {
        let schema = Raw::literal(
            r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},
                "in":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}"#,
        );
        let rules = param_rules(&schema).expect("valid");
        assert_eq!(rules.len(), 2);
        let arguments = Raw::literal(r#"{"region":"eu west","in":{"n":42.0}}"#);
        let good = headers(&[("mcp-param-region", "eu west"), ("mcp-param-n", "42")]);
        assert!(rules.iter().all(|r| r.check(&good, Some(&arguments)).is_ok()));
        assert_eq!(rules[1].value(Some(&arguments)).as_deref(), Some("42"));
        let absent = Raw::literal(r#"{"region":null}"#);
        assert!(rules.iter().all(|r| r.check(&HeaderMap::new(), Some(&absent)).is_ok()));
        assert!(rules[0].check(&good, Some(&absent)).is_err());
        assert!(rules[0].check(&HeaderMap::new(), Some(&arguments)).is_err());
    }

    #[test]
    fn an_argument_that_two_readers_read_differently_is_refused_with_any_header() {
        let schema = Raw::literal(
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},
                "in":{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}"#,
        );
        let rules = param_rules(&schema).expect("valid");
        for (rule, arguments) in [
            (&rules[0], r#"{"a":"us","a":"eu"}"#),
            (&rules[0], r#"{"a":"us","\u0061":"eu"}"#),
            (&rules[0], r#"{"a":"\ud800"}"#),
            (&rules[1], r#"{"in":{"n":1,"n":2}}"#),
            (&rules[1], r#"{"in":{"n":1},"in":{}}"#),
        ] {
            for given in [headers(&[]), headers(&[("mcp-param-a", "us"), ("mcp-param-n", "1")])] {
                assert!(rule.check(&given, Some(&Raw::literal(arguments))).is_err(), "{arguments}");
            }
        }
    }

    #[test]
    fn only_numbers_have_several_spellings() {
        let schema = Raw::literal(r#"{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}}"#);
        let rules = param_rules(&schema).expect("valid");
        let given = headers(&[("mcp-param-n", "42.0")]);
        assert!(rules[0].check(&given, Some(&Raw::literal(r#"{"n":42}"#))).is_ok());
        assert!(rules[0].check(&given, Some(&Raw::literal(r#"{"n":"42"}"#))).is_err());
    }

    #[test]
    fn an_annotation_counts_in_any_spelling_and_beside_any_text() {
        let escaped = r#"{"properties":{"a":{"type":"string","x-mcp-h\u0065ader":"A"}}}"#;
        assert_eq!(param_rules(&Raw::literal(escaped)).map(|rules| rules.len()), Ok(1));
        let hidden = concat!(
            r#"{"description":"\ud800","#,
            r#""oneOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#
        );
        assert!(param_rules(&Raw::literal(hidden)).is_err(), "a text of no meaning hides nothing");
    }

    #[test]
    fn a_bad_annotation_makes_the_tool_invalid() {
        for schema in [
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A","x-mcp-header":"B"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":1}}}"#,
            concat!(
                r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"#,
                r#""b":{"type":"string","x-mcp-header":"a"}}}"#
            ),
            r#"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"oneOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
        ] {
            assert!(param_rules(&Raw::literal(schema)).is_err(), "{schema}");
        }
        let named = r#"{"properties":{"x-mcp-header":{"type":"string"},"b":{"const":{"x-mcp-header":1}}}}"#;
        assert_eq!(param_rules(&Raw::literal(named)), Ok(Vec::new()), "a property may have that name");
    }
}
