//! Forms of `elicitation/create` in 2025-06-18, which has fewer kinds of fields.

use protocol::Raw;
use protocol::json::{Object, array};

use super::splice::{object, says};

/// A form's schema as 2025-06-18 knows it (client/elicitation, "Requested schema"): a choice with titles
/// (SEP-1330) becomes `enum` with `enumNames`. Default values (SEP-1034) stay: that revision does not forbid
/// them.
///
/// # Errors
/// What the form needs and the revision lacks: a field with several choices.
pub(super) fn in_2025_06_18(schema: &Raw) -> Result<Raw, &'static str> {
    let Some(root) = object(schema) else { return Ok(schema.clone()) };
    let Some(fields) = root.get("properties").as_ref().and_then(object) else { return Ok(schema.clone()) };
    let mut edit = fields.edit();
    for (name, field) in fields.iter() {
        let Some(field) = object(&field) else { continue };
        if says(&field, "type", "array") {
            return Err("a form field with several choices");
        }
        if let Some(choice) = choice(&field) {
            edit = edit.set(name, choice);
        }
    }
    Ok(root.edit().set("properties", edit.finish()).finish())
}

/// A choice with titles as `enum` with `enumNames`; `None`: the field is none.
fn choice(field: &Object) -> Option<Raw> {
    let member = ["oneOf", "anyOf"].into_iter().find(|name| field.has(name))?;
    let options = field.get(member)?.items()?;
    let mut values = Vec::with_capacity(options.len());
    let mut names = Vec::with_capacity(options.len());
    for option in &options {
        let option = object(option)?;
        let value = option.get("const")?;
        names.push(option.get("title").unwrap_or_else(|| value.clone()));
        values.push(value);
    }
    let edit = field.edit().remove(member).set("enum", array(&values)).set("enumNames", array(&names));
    Some(edit.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::line;

    fn form(text: &'static str) -> Result<String, &'static str> {
        in_2025_06_18(&Raw::literal(text)).map(|raw| raw.to_string())
    }

    #[test]
    fn titles_become_enum_names_and_the_rest_of_the_field_stays() {
        let schema = line(
            r#"{"type":"object","properties":{"c":{"type":"string","title":"Colour",
            "oneOf":[{"const":"r","title":"Red"},{"const":"g"}],"default":"r"},
            "n":{"type":"integer","default": 1.0}},"required":["c"]}"#,
        );
        let want = line(
            r#"{"type":"object","properties":{"c":{"type":"string","title":"Colour","default":"r",
            "enum":["r","g"],"enumNames":["Red","g"]},"n":{"type":"integer","default": 1.0}},
            "required":["c"]}"#,
        );
        assert_eq!(form(schema).as_deref(), Ok(want));
    }

    #[test]
    fn several_choices_have_no_words_in_2025_06_18() {
        let schema =
            r#"{"type":"object","properties":{"c":{"type":"array","items":{"type":"string","enum":["r"]}}}}"#;
        assert!(form(schema).is_err());
    }

    #[test]
    fn a_titled_choice_is_one_in_either_spelling() {
        let schema = r#"{"properties":{"c":{"type":"string","anyOf":[{"const":"r","title":"Red"}]}}}"#;
        let want = r#"{"properties":{"c":{"type":"string","enum":["r"],"enumNames":["Red"]}}}"#;
        assert_eq!(form(schema).as_deref(), Ok(want));
    }

    #[test]
    fn fields_that_need_no_change_come_back_as_they_are() {
        for schema in [
            line(
                r#"{ "type":"object","properties":{"c":{"type":"string","enum":["r"],
                "enumNames":["R"]}, "b":{"type":"boolean"}}}"#,
            ),
            r#"{"properties":{"a":{"oneOf":[{"title":"no const"}]},"b":{"anyOf":7},"c":1}}"#,
            r#"{"properties":[]}"#,
            "7",
        ] {
            assert_eq!(form(schema).as_deref(), Ok(schema));
        }
    }
}
