//! What policies may speak about.

use std::collections::BTreeMap;

use cedar_policy::Schema;

use crate::arguments::{ArgumentType, cedar_members};

const TEXT: &str = include_str!("schema.cedarschema");

/// Where the declared arguments stand in it.
const PLACE: &str = "    // The members that `policy.arguments` declares stand here.\n";

/// The schema in Cedar's own form, with the arguments that were declared.
#[must_use]
pub fn schema_text(arguments: &BTreeMap<String, ArgumentType>) -> String {
    if arguments.is_empty() {
        return TEXT.to_owned();
    }
    let members: String = arguments
        .iter()
        .map(|(name, kind)| {
            let one = BTreeMap::from([(name.clone(), kind.clone())]);
            format!("    {},\n", cedar_members(&one))
        })
        .collect();
    TEXT.replacen(PLACE, &members, 1)
}

/// The schema.
///
/// # Errors
/// What Cedar says of arguments that cannot be declared.
pub(crate) fn schema(arguments: &BTreeMap<String, ArgumentType>) -> Result<Schema, String> {
    Schema::from_cedarschema_str(&schema_text(arguments))
        .map(|(schema, _)| schema)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_one_with_and_without_arguments() {
        assert!(TEXT.contains(PLACE));
        let nested = BTreeMap::from([("force".to_owned(), ArgumentType::Boolean)]);
        let arguments = BTreeMap::from([
            ("amount".to_owned(), ArgumentType::Long),
            ("odd \"name\"".to_owned(), ArgumentType::Strings),
            ("options".to_owned(), ArgumentType::Record(nested)),
        ]);
        for arguments in [BTreeMap::new(), arguments] {
            schema(&arguments).expect("a schema");
        }
    }
}
