//! Lists and objects as text, in the styles of OpenAPI.

use protocol::Raw;
use protocol::json::Kind;

use crate::ArgumentFault;
use crate::limits::{FORM_DEPTH_MAX, PAIRS_MAX};
use crate::operation::{Parameter, Place, Style};

/// A value as far as styles can say it.
pub(super) enum Shape {
    One(String),
    List(Vec<String>),
    Pairs(Vec<(String, String)>),
}

/// A text, a number as it is spelled, or a truth.
pub(super) fn scalar(value: &Raw) -> Option<String> {
    match value.kind() {
        Kind::String => value.as_str().map(std::borrow::Cow::into_owned),
        Kind::Number | Kind::Bool => Some(value.as_text().to_owned()),
        Kind::Null => Some(String::new()),
        Kind::Object | Kind::Array => None,
    }
}

impl Shape {
    pub(super) fn read(argument: &str, value: &Raw) -> Result<Self, ArgumentFault> {
        let fault = |what| ArgumentFault::value(argument, what);
        let inner = |value: &Raw| {
            scalar(value).ok_or_else(|| fault("has lists or objects inside, which its place cannot say"))
        };
        match value.kind() {
            Kind::Array => {
                let items = value.items().unwrap_or_default();
                if items.len() > PAIRS_MAX {
                    return Err(fault("has too many members"));
                }
                Ok(Self::List(items.iter().map(inner).collect::<Result<_, _>>()?))
            }
            Kind::Object => {
                let object = value.object().ok().flatten().ok_or_else(|| fault("has a name twice"))?;
                if object.len() > PAIRS_MAX {
                    return Err(fault("has too many members"));
                }
                let pairs = object.iter().map(|(name, value)| Ok((name.into_owned(), inner(&value)?)));
                Ok(Self::Pairs(pairs.collect::<Result<_, _>>()?))
            }
            _ => scalar(value).map(Self::One).ok_or_else(|| fault("is no text")),
        }
    }
}

/// A value in one piece, as `simple`, `label` and `matrix` write it.
pub(super) fn whole(parameter: &Parameter, shape: &Shape, encode: fn(&str) -> String) -> String {
    let name = encode(&parameter.name);
    let explode = parameter.explode;
    let pairs = |pairs: &[(String, String)], inner: &str, outer: &str| {
        let written: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}{inner}{}", encode(name), encode(value))).collect();
        written.join(outer)
    };
    let list = |items: &[String], between: &str| {
        items.iter().map(|item| encode(item)).collect::<Vec<_>>().join(between)
    };
    let named = |value: &str| if value.is_empty() { format!(";{name}") } else { format!(";{name}={value}") };
    match (parameter.style, shape) {
        (Style::Label, Shape::One(text)) => format!(".{}", encode(text)),
        (Style::Label, Shape::List(items)) => format!(".{}", list(items, if explode { "." } else { "," })),
        (Style::Label, Shape::Pairs(all)) if explode => format!(".{}", pairs(all, "=", ".")),
        (Style::Label, Shape::Pairs(all)) => format!(".{}", pairs(all, ",", ",")),
        (Style::Matrix, Shape::One(text)) => named(&encode(text)),
        (Style::Matrix, Shape::List(items)) if explode => {
            items.iter().map(|item| named(&encode(item))).collect()
        }
        (Style::Matrix, Shape::List(items)) => named(&list(items, ",")),
        (Style::Matrix, Shape::Pairs(all)) if explode => format!(";{}", pairs(all, "=", ";")),
        (Style::Matrix, Shape::Pairs(all)) => named(&pairs(all, ",", ",")),
        (_, Shape::One(text)) => encode(text),
        (_, Shape::List(items)) => list(items, ","),
        (_, Shape::Pairs(all)) if explode => pairs(all, "=", ","),
        (_, Shape::Pairs(all)) => pairs(all, ",", ","),
    }
}

/// How names and values of pairs are written.
#[derive(Clone, Copy)]
pub(super) struct Spelling {
    pub(super) name: fn(&str) -> String,
    pub(super) value: fn(&str) -> String,
    pub(super) space: &'static str,
}

/// A value as pairs of a query, a cookie or a form, encoded.
pub(super) fn pairs(
    parameter: &Parameter,
    value: &Raw,
    spelling: Spelling,
) -> Result<Vec<(String, String)>, ArgumentFault> {
    let Spelling { name: encode_name, value: encode, space } = spelling;
    let name = encode_name(&parameter.name);
    if parameter.style == Style::Deep {
        let mut out = Vec::new();
        deep(parameter, &parameter.name, value, 0, spelling, &mut out)?;
        return Ok(out);
    }
    let between = match parameter.style {
        Style::Space => space,
        Style::Pipe => "%7C",
        _ => ",",
    };
    Ok(match Shape::read(&parameter.argument, value)? {
        Shape::One(text) => vec![(name, encode(&text))],
        Shape::List(items) if parameter.explode => {
            items.iter().map(|item| (name.clone(), encode(item))).collect()
        }
        Shape::List(items) => {
            vec![(name, items.iter().map(|item| encode(item)).collect::<Vec<_>>().join(between))]
        }
        Shape::Pairs(all) if parameter.explode => {
            all.iter().map(|(name, value)| (encode_name(name), encode(value))).collect()
        }
        Shape::Pairs(all) => {
            let written: Vec<String> =
                all.iter().flat_map(|(name, value)| [encode(name), encode(value)]).collect();
            vec![(name, written.join(between))]
        }
    })
}

/// `filter[a][b]=c`. How lists are written is not said anywhere; most servers take `a[0]=x`.
fn deep(
    parameter: &Parameter,
    name: &str,
    value: &Raw,
    depth: usize,
    spelling: Spelling,
    out: &mut Vec<(String, String)>,
) -> Result<(), ArgumentFault> {
    let fault = |what| ArgumentFault::value(&parameter.argument, what);
    if depth > FORM_DEPTH_MAX || out.len() >= PAIRS_MAX {
        return Err(fault("is too deep or has too many members"));
    }
    match value.kind() {
        Kind::Object => {
            let object = value.object().ok().flatten().ok_or_else(|| fault("has a name twice"))?;
            for (member, inner) in object.iter() {
                deep(parameter, &format!("{name}[{member}]"), &inner, depth + 1, spelling, out)?;
            }
        }
        Kind::Array => {
            for (at, inner) in value.items().unwrap_or_default().iter().enumerate() {
                deep(parameter, &format!("{name}[{at}]"), inner, depth + 1, spelling, out)?;
            }
        }
        _ => {
            let text = scalar(value).ok_or_else(|| fault("is no text"))?;
            out.push(((spelling.name)(name), (spelling.value)(&text)));
        }
    }
    Ok(())
}

/// Whether a parameter's value would be of more than one pair with names of its own, which another place's
/// names could be hidden in.
pub(super) fn brings_names(parameter: &Parameter, value: &Raw) -> bool {
    matches!(parameter.place, Place::Query | Place::Cookie)
        && parameter.style == Style::Form
        && parameter.explode
        && value.kind() == Kind::Object
}
